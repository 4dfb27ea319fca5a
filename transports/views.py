"""The part of each table that exists for a principal, under the names that the remote knows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Final

import attrs

from tidesync.encoding import encode_query
from tidesync.predicate import matcher
from tidesync.query import Expr, Query, with_names
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.transports.principal import Principal

_KNOWN_LIMIT: Final = 256


@attrs.frozen(eq=False, slots=False)
class View:
    """What one principal may see of one table: where the condition holds; all of it, if that is None.

    A deleted row is seen, as a tombstone, where its last content was.
    """

    where: Expr | None

    @cached_property
    def matches(self) -> Callable[[Record], bool]:
        """Whether a row is seen."""
        return matcher(self.where)

    @cached_property
    def mark(self) -> str | None:
        """A short text that only this condition has, None for all; cursors carry it, for as long as they live."""
        if self.where is None:
            return None
        # The text in which queries are kept: the same in every version, and true is not 1 there.
        return hashlib.blake2b(encode_query(Query("", self.where)).encode(), digest_size=12).hexdigest()

    def row(self, row: Record | None) -> Record | None:
        """The row, if there is one and it is seen."""
        return row if row is None or self.where is None or self.matches(row) else None


ALL: Final = View(None)


class Views:
    """The views of every principal, compiled once for each; `declared` has the tables under local names."""

    def __init__(self, declared: Mapping[str, TableSchema]) -> None:
        self._declared = declared
        self._known: dict[int, tuple[Principal, dict[str, View]]] = {}

    def of(self, principal: Principal, table: str) -> View | None:
        """The principal's view of a table; None where the table does not exist for them, or at all."""
        if table not in self._declared or not principal.sees(table):
            return None
        if principal.views is None or principal.views[table] is None:
            return ALL
        # Principals are compared by identity: their constants may compare equal and mean different things.
        known = self._known.get(id(principal))
        if known is None:
            if len(self._known) >= _KNOWN_LIMIT:
                self._known = {}
            known = self._known[id(principal)] = (principal, {})
        _, views = known
        if table not in views:
            where = principal.views[table]
            assert where is not None
            views[table] = View(with_names(where, self._declared[table].wire_name))
        return views[table]
