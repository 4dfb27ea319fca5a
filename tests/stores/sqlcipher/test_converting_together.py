"""Encrypting and decrypting a file that others use, several times at once, and killed in the middle."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stores.sqlcipher import worker
from tests.stores.sqlcipher.support import (
    KEY,
    ROWS,
    SOAK,
    TABLE,
    Child,
    made,
    plain_rows,
    rows_of,
    start,
)
from tidesync.errors import (
    ConfigurationError,
    StoreBusy,
    StoreError,
    WrongKey,
)
from tidesync.records import Record
from tidesync.stores import encryption
from tidesync.stores.encryption import decrypt_file, encrypt_file
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore

KILLS = 300 if SOAK else 12


def test_one_of_several_at_once_does_it(path: Path) -> None:
    """Several who encrypt a file in place at once: one does, the others are told that it is encrypted."""
    told: list[str] = []

    def encrypt() -> None:
        try:
            encrypt_file(path, path, KEY)
            told.append("done")
        except StoreError as error:
            told.append(type(error).__name__)

    threads = [threading.Thread(target=encrypt) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["StoreCorrupt", "StoreCorrupt", "done"] == sorted(told)
    assert ROWS == rows_of(path)


def test_another_who_makes_the_same_copy_waits(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who make a copy under one path from different files: the first's is in place, the other is refused."""
    made(tmp_path / "e.db", rows=[{"id": "other"}])
    fill: Callable[..., None] = encryption._fill
    refused: list[Exception] = []

    def late() -> None:
        try:
            decrypt_file(tmp_path / "e.db", tmp_path / "new.db", KEY)
        except ConfigurationError as error:
            refused.append(error)

    second = threading.Thread(target=late)

    def interrupted(*arguments: Any) -> None:
        monkeypatch.setattr(encryption, "_fill", fill)
        second.start()
        time.sleep(0.2)
        fill(*arguments)

    monkeypatch.setattr(encryption, "_fill", interrupted)
    encrypt_file(path, tmp_path / "new.db", KEY)
    second.join()
    assert ["exists already"] == [str(error).split(": ")[1].split(",")[0] for error in refused]
    assert ROWS == rows_of(tmp_path / "new.db")


def test_who_waits_too_long_for_another_is_told(path: Path, tmp_path: Path) -> None:
    """While another makes a copy in the folder, StoreBusy after `busy_timeout`; nothing is made."""
    with encryption._alone(str(path), 0.0), pytest.raises(StoreBusy, match="folder"):
        encrypt_file(path, path, KEY, busy_timeout=0.05)
    assert ["x.db"] == [each.name for each in tmp_path.iterdir()]


def test_what_is_written_after_the_copy_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place, a writer who waits until the copy is made, writes and closes, keeps what was acknowledged: StoreBusy,
    and the original stays. One record changes no count, and not the first page."""
    path = tmp_path / "e.db"
    made(path)
    store = SQLCipherStore(path, key=KEY)
    store.open([TABLE])
    compare: Callable[..., None] = encryption._compare
    changed: Record = {"id": "0007", "text": "changed"}

    def write() -> None:
        with store.transaction(write=True) as transaction:
            transaction.put("todo", [changed])
        store.close()

    writer = threading.Thread(target=write)

    def late(*arguments: Any) -> None:
        compare(*arguments)
        writer.start()
        time.sleep(0.1)

    monkeypatch.setattr(encryption, "_compare", late)
    with pytest.raises(StoreBusy, match="written meanwhile"):
        decrypt_file(path, path, KEY)
    writer.join()
    assert [changed] == [row for row in rows_of(path) if row["id"] == "0007"]
    assert ["e.db"] == [each.name for each in tmp_path.iterdir()]
    monkeypatch.undo()
    decrypt_file(path, path, KEY)
    assert [changed] == [row for row in plain_rows(path) if row["id"] == "0007"]


def test_killed_at_any_moment_the_file_is_one_or_the_other(path: Path, tmp_path: Path) -> None:
    """After SIGKILL the file under the path is whole, plain or encrypted, with every record."""
    chance = random.Random(5)
    now = "plain"
    for _ in range(KILLS):
        process = Child(worker.convert, path, now)
        assert f"{now}\n" == process.stdout.readline()
        time.sleep(chance.uniform(0, 0.25))
        _ = process.kill()
        try:
            rows, now = rows_of(path), "encrypted"
        except WrongKey:
            rows, now = plain_rows(path), "plain"
        assert ROWS == rows
        assert {"x.db", "x.db-unfinished"} >= {
            each.name.removesuffix("-journal").removesuffix("-wal").removesuffix("-shm")
            for each in tmp_path.iterdir()
        }
    if now == "plain":
        encrypt_file(path, path, KEY)
    decrypt_file(path, path, KEY)
    assert ROWS == plain_rows(path)
    assert ["x.db"] == [each.name for each in tmp_path.iterdir()]


def test_whoever_waited_writes_nothing_to_a_file_that_is_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opened the original in the moment of the exchange is told, and loses no write; nor does who opens the new
    file at once."""
    rename: Callable[[str, str], None] = encryption._rename
    waiting: list[Any] = []

    def late(unfinished: str, target: str) -> None:
        waiting.append(start("add", target, 1, "first"))
        time.sleep(0.6)  # it waits for the lock on the original
        rename(unfinished, target)

    made(path.with_name("e.db"))
    monkeypatch.setattr(encryption, "_rename", late)
    decrypt_file(path.with_name("e.db"), path.with_name("e.db"), KEY)
    # Who waits would take the log of the new file, which nobody has moved yet, for that of the original.
    store = SQLiteStore(path.with_name("e.db"))
    store.open([TABLE])
    with store.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": "new"}])
    (process,) = waiting
    out, err = process.communicate(timeout=60)
    with store.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": "newer"}])
    store.close()
    assert 1 == process.returncode
    assert any(name in err for name in ("WrongKey", "StoreReadOnly", "StoreCorrupt")), out + err
    assert [*ROWS, {"id": "new"}, {"id": "newer"}] == plain_rows(path.with_name("e.db"))
    with pytest.raises(StoreError):
        _ = rows_of(path.with_name("e.db"))
