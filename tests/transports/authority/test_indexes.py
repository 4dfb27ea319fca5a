"""What followers ask of an authority's table is read from an index, on SQLite."""

from pathlib import Path

import pytest

from tidesync.query import Query, all_of
from tidesync.schema import TableSchema
from tidesync.stores.sql.compile import compile_query
from tidesync.stores.sql.ddl import layout_of
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.http.paging import Position, condition
from tidesync.transports.layout import LIVE, stored
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.odata import parse_filter, parse_order

TABLE = TableSchema("item")
FIRST = Position(at="2026-01-02T03:04:05.678Z")
NEXT = Position(at="2026-01-02T03:04:05.678Z", seen=("a", "b"))


@pytest.mark.parametrize("position", [FIRST, NEXT])
@pytest.mark.parametrize("deleted", [True, False])
def test_a_pull_by_updated_at_begins_where_the_last_one_ended(
    tmp_path: Path, position: Position, deleted: bool
) -> None:
    """A page of a pull over plain REST costs what it holds, however large the table."""
    text, keys = condition(position, "2.0")
    order = ",".join(name for name, _ in keys)
    where = parse_filter(text or "", TABLE, dialect="2.0", closed=False, limits=Limits())
    query = Query(
        "item",
        all_of(None if deleted else LIVE, where),
        parse_order(order, TABLE, closed=False, limits=Limits()),
        take=50,
    )
    store = SQLiteStore(tmp_path / "remote.db")
    with Authority(store, [TABLE]):
        layout = layout_of(stored(TABLE, foreign_keys=False), None, [])
        compiled = compile_query(query, layout, frozenset)
        connection = store.borrow()
        sql = f'EXPLAIN QUERY PLAN SELECT * FROM "item"{compiled.tail}'
        steps = [str(row[3]) for row in connection.execute(sql, compiled.parameters)]
        store.give_back(connection)
    assert "SEARCH item USING INDEX item:updated_at,id (updated_at>? AND updated_at<?)" == steps[0]
