"""Rows of an authority as they are kept, deleted ones with their last content: for services that list them.

Everything here is confined to what the principal may see.
"""

from __future__ import annotations

import attrs

from tidesync.query import Expr, Query, all_of
from tidesync.records import Record
from tidesync.transports.authority import Authority
from tidesync.transports.layout import LIVE
from tidesync.transports.principal import Principal


def find_row(authority: Authority, table: str, id: str, principal: Principal) -> Record | None:
    """The row under this id, with its hidden fields; None where there is none for the principal."""
    view = authority.view(table, principal)
    with authority.store.transaction(write=False) as transaction:
        return view.row(transaction.get(table, [id])[0])


def list_rows(
    authority: Authority, query: Query, principal: Principal, *, deleted: bool, after: Expr | None = None
) -> tuple[list[Record], int | None]:
    """The rows of a query in its order, and how many match if it asks for the total.

    `deleted`: deleted rows are listed too. `after` narrows the rows and not the total.
    """
    where = all_of(None if deleted else LIVE, authority.view(query.table, principal).where, query.where)
    with authority.store.transaction(write=False) as transaction:
        found = attrs.evolve(query, where=all_of(where, after))
        rows = [] if query.take == 0 else list(transaction.select(found))
        total = transaction.count(Query(query.table, where)) if query.total else None
    return rows, total
