"""A read that takes too long is ended, and nothing else is."""

import time
from pathlib import Path
from typing import Any

import pytest

from tidesync.errors import ConfigurationError, StoreTimeout
from tidesync.query import Call, Compare, Field, Or, Query, Value
from tidesync.schema import TableSchema
from tidesync.stores.sqlite import SQLiteStore

TABLE = TableSchema("item")
COSTLY = Query(
    "item", Or(tuple(Compare("eq", Call("lower", (Field("text"),)), Value(f"no {n}")) for n in range(400)))
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    store = SQLiteStore(path, synchronous="normal")
    store.open([TABLE])
    with store.transaction(write=True) as transaction:
        transaction.put("item", [{"id": f"{n}", "text": "x" * 50} for n in range(5_000)])
    store.close()
    return path


def test_a_read_is_ended_when_its_time_is_over(path: Path) -> None:
    """The reader is told, the store goes on, and writes take what they take."""
    store = SQLiteStore(path, read_timeout=0.05)
    store.open([TABLE])
    for ask in (lambda reading: list(reading.select(COSTLY)), lambda reading: reading.count(COSTLY)):
        with (
            pytest.raises(StoreTimeout, match=r"took more than 0\.05 s"),
            store.transaction(write=False) as reading,
        ):
            _ = ask(reading)
        with store.transaction(write=False) as reading:
            assert 5_000 == reading.count(Query("item"))
    with store.transaction(write=True) as writing:
        time.sleep(0.06)
        assert 5_000 == writing.delete_where(Query("item"))
    store.close()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "1"])
def test_a_time_that_cannot_be_is_refused(tmp_path: Path, timeout: Any) -> None:
    """It is a number of seconds, or None."""
    with pytest.raises(ConfigurationError, match="read_timeout is in seconds"):
        _ = SQLiteStore(tmp_path / "a.db", read_timeout=timeout)
