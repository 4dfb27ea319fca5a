"""A store is a device's or a remote's: neither takes the other's for its own, and what is in it stays as it is."""

from pathlib import Path

import pytest

from tests.transports.authority.support import applied, change
from tidesync import SyncContext, table
from tidesync.errors import ConfigurationError
from tidesync.stores import MemoryStore, SQLiteStore
from tidesync.transports.authority import Authority

NOTES = table("notes", {"text": str})


def test_a_remote_does_not_take_a_devices_store(tmp_path: Path) -> None:
    """Its records have no place in the order of commits; the device goes on with them as before."""
    path = tmp_path / "device.db"
    with SyncContext(SQLiteStore(path), None, [NOTES]) as ctx:
        _ = ctx[NOTES].insert({"id": "1", "text": "x"})
    before = path.read_bytes()
    for schema in ("open", "closed"):
        with pytest.raises(ConfigurationError, match=r"device\.db.*is a device's own"):
            _ = Authority(SQLiteStore(path), [NOTES], schema=schema).open()
    assert before == path.read_bytes()
    with SyncContext(SQLiteStore(path), None, [NOTES]) as ctx:
        assert ({"id": "1", "text": "x"}, 1) == (ctx[NOTES].get("1"), ctx.pending_operations)


def test_a_device_does_not_take_a_remotes_store(tmp_path: Path) -> None:
    """Nor one that is open: the remote goes on with it, and opens it again."""
    path = tmp_path / "remote.db"
    with Authority(SQLiteStore(path), [NOTES]) as authority:
        with pytest.raises(ConfigurationError, match=r"remote\.db.*is a remote's own"):
            _ = SyncContext(SQLiteStore(path), None, [NOTES]).open()
        _ = applied(authority, change("insert", "1", table="notes", text="x"))
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="remote's own"):
        _ = SyncContext(SQLiteStore(path), None, [NOTES]).open()
    assert before == path.read_bytes()
    with Authority(SQLiteStore(path), [NOTES]) as authority:
        assert ["1"] == [record["id"] for record in authority.records("notes")]


def test_one_store_in_memory_is_not_both() -> None:
    """It is the store's content that says whose it is."""
    store = MemoryStore()
    with Authority(store, [NOTES]), pytest.raises(ConfigurationError):
        _ = SyncContext(store, None, [NOTES]).open()
