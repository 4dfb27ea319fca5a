"""A plain file to encrypt. Asserts of the support show their values, and hold under `python -O`, as those of tests."""

from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.stores.sqlcipher.support")

from tests.stores.sqlcipher.support import AWKWARD, ROWS, TABLE  # noqa: E402  # after its asserts are
from tidesync.schema import Column, TableSchema  # noqa: E402
from tidesync.stores.sqlite import SQLiteStore  # noqa: E402
from tidesync.values import ColumnType  # noqa: E402


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A plain file, closed."""
    path = tmp_path / "x.db"
    store = SQLiteStore(path)
    store.open([TABLE, TableSchema("Other", (Column("flag", ColumnType.BOOLEAN),), indexes=(("flag",),))])
    with store.transaction(write=True) as transaction:
        transaction.put("todo", ROWS)
        transaction.put("Other", AWKWARD)
    store.close()
    return path
