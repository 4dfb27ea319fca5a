"""A store's file that is reached through a symbolic link, or under two names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stores.sqlcipher.support import KEY, TABLE, contents
from tidesync.query import Query
from tidesync.stores.file_store import FileStore, Mode
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore

Opened = Callable[..., FileStore]


@pytest.fixture(params=["plain", "encrypted"])
def opened(request: pytest.FixtureRequest) -> Opened:
    """Opens either kind of store."""

    def open_store(path: Path, mode: Mode = "rwc") -> FileStore:
        encrypted = request.param == "encrypted"
        store = SQLCipherStore(path, key=KEY, mode=mode) if encrypted else SQLiteStore(path, mode=mode)
        store.open([TABLE])
        return store

    return open_store


def _put(store: FileStore, id: str) -> None:
    with store.transaction(write=True) as transaction:
        transaction.put("todo", [{"id": id}])


def _held(store: FileStore) -> list[object]:
    with store.transaction(write=False) as transaction:
        return [row["id"] for row in transaction.select(Query("todo"))]


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A link to a file, which is not there yet, in another folder."""
    for name in ("files", "links"):
        (tmp_path / name).mkdir()
    link = tmp_path / "links" / "x.db"
    link.symlink_to(tmp_path / "files" / "x.db")
    return link


def test_a_link_names_the_file(link: Path, opened: Opened) -> None:
    """A store makes, opens again and shares a file through a link to it, and leaves nothing beside the link."""
    for id in ("1", "2"):
        store = opened(link)
        _put(store, id)
        other = opened(link.resolve())
        _put(other, f"{id} other")
        assert _held(store) == _held(other)
        store.close()
        other.close()
    for mode in ("rw", "ro"):
        store = opened(link, mode)
        assert ["1", "1 other", "2", "2 other"] == _held(store)
        store.close()
    assert ["x.db"] == [each.name for each in link.parent.iterdir()]
    assert ["x.db"] == [each.name for each in link.resolve().parent.iterdir()]


def test_the_log_is_beside_the_file_and_not_beside_the_link(
    link: Path, opened: Opened, tmp_path: Path
) -> None:
    """Mode "ro" leaves the log of a crash where it is, through a link too, and reads what is in it."""
    store = opened(tmp_path / "x.db")
    _put(store, "only in the log")
    for name in ("x.db", "x.db-wal"):
        shutil.copy(tmp_path / name, link.resolve().parent / name)
    store.close()
    before = contents(link.resolve().parent)
    reader = opened(link, "ro")
    assert ["only in the log"] == _held(reader)
    reader.close()
    assert before == contents(link.resolve().parent)
