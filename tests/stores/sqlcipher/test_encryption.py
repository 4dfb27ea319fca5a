"""Encrypting and decrypting a file: verified before the original is touched, and safe to kill."""

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stores.sqlcipher.support import (
    KEY,
    OTHER_KEY,
    PASSPHRASE,
    ROWS,
    SOAK,
    TABLE,
    contents,
    held,
    made,
    opened,
    plain_rows,
    rows_of,
    start,
)
from tidesync import SyncContext, table
from tidesync.errors import (
    ConfigurationError,
    StoreBusy,
    StoreCorrupt,
    StoreUnavailable,
    WrongKey,
)
from tidesync.stores import encryption
from tidesync.stores.encryption import decrypt_file, encrypt_file
from tidesync.stores.keys import KeySource
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore

KILLS = 300 if SOAK else 12


@pytest.mark.parametrize("key", [KEY, PASSPHRASE, lambda: KEY], ids=["raw", "passphrase", "function"])
def test_there_and_back(path: Path, tmp_path: Path, key: KeySource) -> None:
    """Every record of every table comes through both ways, exactly; the originals stay as they are."""
    original = contents(tmp_path)
    encrypt_file(path, tmp_path / "e.db", key)
    assert original == {name: each for name, each in contents(tmp_path).items() if name != "e.db"}
    assert b"text" not in (tmp_path / "e.db").read_bytes()
    with opened(tmp_path / "e.db", key) as store:
        assert ROWS == held(store)
        store.verify()
    decrypt_file(tmp_path / "e.db", tmp_path / "p.db", key)
    assert ROWS == plain_rows(tmp_path / "p.db")
    assert repr(plain_rows(path, "Other")) == repr(plain_rows(tmp_path / "p.db", "Other"))
    assert ["e.db", "p.db", "x.db"] == sorted(each.name for each in tmp_path.iterdir())


def test_in_place(path: Path, tmp_path: Path) -> None:
    """The same path twice, also through a link, replaces the file; its permissions stay."""
    path.chmod(0o640)
    encrypt_file(path, path, KEY)
    assert ROWS == rows_of(path)
    assert not path.read_bytes().startswith(b"SQLite")
    (tmp_path / "link.db").symlink_to(path)
    decrypt_file(tmp_path / "link.db", path, KEY)
    assert ROWS == plain_rows(path)
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)
    assert ["link.db", "x.db"] == sorted(each.name for each in tmp_path.iterdir())


def test_an_application_goes_on_with_its_queue(tmp_path: Path) -> None:
    """Operations that wait to be sent come through."""
    notes = table("notes", {"text": str})
    path = tmp_path / "x.db"
    with SyncContext(SQLiteStore(path), None, [notes]) as context:
        context[notes].insert({"id": "1", "text": "kept"})
    encrypt_file(path, path, KEY)
    with SyncContext(SQLCipherStore(path, key=KEY), None, [notes]) as context:
        assert 1 == context.pending_operations
        assert ["kept"] == [note["text"] for note in context[notes].all()]


def test_what_is_only_in_the_log_comes_through(path: Path, tmp_path: Path) -> None:
    """A copy holds what was last committed, while the application has the file open in another process."""
    made(tmp_path / "e.db")
    writer = start("log", tmp_path / "e.db")
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(5)]
    with pytest.raises(StoreBusy, match="open elsewhere"):
        decrypt_file(tmp_path / "e.db", tmp_path / "e.db", KEY, busy_timeout=0.2)
    decrypt_file(tmp_path / "e.db", tmp_path / "p.db", KEY)
    writer.kill()
    _ = writer.communicate()
    assert {f"log {number}" for number in told} <= {str(row["id"]) for row in plain_rows(tmp_path / "p.db")}
    assert {"e.db", "p.db", "x.db"} == {
        each.name.removesuffix("-wal").removesuffix("-shm") for each in tmp_path.iterdir()
    }


def test_what_cannot_be_is_told_and_touches_nothing(path: Path, tmp_path: Path) -> None:
    """A wrong key, a file that exists, no file, no database, the wrong direction."""
    made(tmp_path / "e.db")
    _ = (tmp_path / "text.db").write_text("hello" * 100)
    before = contents(tmp_path)
    new = tmp_path / "new.db"
    wrong: list[tuple[type[Exception], Callable[[], None]]] = [
        (ConfigurationError, lambda: encrypt_file(path, tmp_path / "e.db", KEY)),
        (ConfigurationError, lambda: decrypt_file(tmp_path / "e.db", path, KEY)),
        (WrongKey, lambda: decrypt_file(tmp_path / "e.db", new, OTHER_KEY)),
        (WrongKey, lambda: decrypt_file(tmp_path / "e.db", tmp_path / "e.db", PASSPHRASE)),
        (WrongKey, lambda: decrypt_file(path, new, KEY)),
        (StoreCorrupt, lambda: encrypt_file(tmp_path / "e.db", new, KEY)),
        (StoreCorrupt, lambda: encrypt_file(tmp_path / "text.db", new, KEY)),
        (StoreUnavailable, lambda: encrypt_file(tmp_path / "no.db", new, KEY)),
        (StoreUnavailable, lambda: encrypt_file(path, tmp_path / "no" / "new.db", KEY)),
        (StoreUnavailable, lambda: decrypt_file(tmp_path, new, KEY)),
    ]
    for error, step in wrong:
        with pytest.raises(error):
            step()
        assert before == contents(tmp_path)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_copy_that_differs_is_thrown_away(
    path: Path, tmp_path: Path, in_place: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that is missing, more, or of another type in the copy is found before the original is touched."""
    target = path if in_place else tmp_path / "new.db"
    fill: Callable[..., None] = encryption._fill
    statements = (
        "DELETE FROM todo WHERE id = '0007'",
        "INSERT INTO todo (id, text) VALUES ('more', 1)",
        "UPDATE Other SET flag = 1.0 WHERE id = '1'",
        "UPDATE \"_tidesync\" SET layout = layout || ' ' WHERE name = 'todo'",
        'DROP INDEX "todo:text,id"',
        "PRAGMA user_version = 0",
    )
    store = SQLiteStore(path, mode="rw")
    store.open([])
    with store.transaction(write=True) as transaction:
        transaction.put("Other", [{"id": "1", "flag": 1}])
    store.close()
    for statement in statements:

        def spoil(source: Any, unfinished: Any, version: int, statement: str = statement) -> None:
            fill(source, unfinished, version)
            connection = encryption.connected(unfinished)
            _ = connection.execute(statement)
            connection.close()

        monkeypatch.setattr(encryption, "_fill", spoil)
        with pytest.raises(StoreCorrupt, match="the copy is not what the original is"):
            encrypt_file(path, target, KEY)
        assert ROWS == plain_rows(path)
        assert ["x.db"] == [each.name for each in tmp_path.iterdir()]


def test_a_damaged_file_is_not_decrypted(tmp_path: Path) -> None:
    """One changed byte in what is read is StoreCorrupt, nothing is made, and the original stays."""
    made(tmp_path / "e.db")
    content = bytearray((tmp_path / "e.db").read_bytes())
    content[len(content) // 2] ^= 1
    _ = (tmp_path / "e.db").write_bytes(content)
    for target in ("p.db", "e.db"):
        with pytest.raises(StoreCorrupt):
            decrypt_file(tmp_path / "e.db", tmp_path / target, KEY)
    assert {"e.db": bytes(content)} == contents(tmp_path)


def test_a_store_of_this_process_must_be_closed(path: Path) -> None:
    """In place, also a store in the same process counts as having the file open."""
    store = SQLiteStore(path)
    store.open([])
    with pytest.raises(StoreBusy, match="another kind"):
        encrypt_file(path, path, KEY)
    store.close()
    encrypt_file(path, path, KEY)
    with opened(path) as encrypted:
        assert ROWS == held(encrypted)
        with pytest.raises(StoreBusy, match="open elsewhere"):
            decrypt_file(path, path, KEY, busy_timeout=0.1)
        assert ROWS == held(encrypted)


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_what_another_file_left_is_not_taken_for_the_copys(path: Path, tmp_path: Path, ending: str) -> None:
    """SQLite would put an old log, or journal, into a new file of its name: a copy is not made beside one."""
    old, new = SQLiteStore(tmp_path / "old.db"), tmp_path / "new.db"
    old.open([TABLE])
    with old.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": "old"}])
    shutil.copy(tmp_path / "old.db-wal", f"{new}{ending}")
    old.close()
    made(tmp_path / "e.db")
    before = contents(tmp_path)
    for step in (lambda: decrypt_file(tmp_path / "e.db", new, KEY), lambda: encrypt_file(path, new, KEY)):
        with pytest.raises(ConfigurationError, match=f"new.db{ending}: exists already"):
            step()
    assert before == contents(tmp_path)


def test_a_second_name_would_keep_the_records(path: Path, tmp_path: Path) -> None:
    """A hard link would still lead to the records in plain text: in place it is refused, and told."""
    (tmp_path / "y.db").hardlink_to(path)
    before = contents(tmp_path)
    with pytest.raises(ConfigurationError, match="another name"):
        encrypt_file(path, path, KEY)
    assert before == contents(tmp_path)
    (tmp_path / "y.db").unlink()
    encrypt_file(path, path, KEY)
    assert ROWS == rows_of(path)


@pytest.mark.parametrize("layout", ["{", json.dumps(["todo"]), "5"])
def test_a_damaged_list_of_tables_is_told(path: Path, tmp_path: Path, layout: str) -> None:
    """A file whose own list of tables cannot be read is StoreCorrupt, and no copy is made."""
    connection = sqlite3.connect(path)
    _ = connection.execute("UPDATE _tidesync SET layout = ? WHERE name = 'todo'", (layout,))
    connection.commit()
    connection.close()
    with pytest.raises(StoreCorrupt, match="list of tables"):
        encrypt_file(path, tmp_path / "new.db", KEY)
    assert ["x.db"] == [each.name for each in tmp_path.iterdir()]


WRONG: list[Any] = [None, b"x.db", "", ":memory:", "a\0b"]


@pytest.mark.parametrize("wrong", WRONG, ids=ascii)
def test_what_is_no_path_is_refused(path: Path, wrong: Any) -> None:
    """As for a store: a path is that of a file, and a timeout is in seconds; else a ConfigurationError."""
    for step in (
        lambda: encrypt_file(path, wrong, KEY),
        lambda: decrypt_file(wrong, path, KEY),
        lambda: encrypt_file(path, path, KEY, busy_timeout=wrong),
    ):
        with pytest.raises(ConfigurationError):
            step()
    assert ROWS == plain_rows(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives files away")
def test_the_copy_belongs_to_whom_the_original_does(path: Path) -> None:
    """Who converts the file of an application as root does not take it from the application."""
    os.chown(path, 65_534, 65_534)
    encrypt_file(path, path, KEY)
    assert (65_534, 65_534) == (path.stat().st_uid, path.stat().st_gid)
