"""What the names in a filter, an order or a selection mean: columns by their names on the wire.

A name counts with its case first, then without where that is one column only, as the 2.0 server has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidesync.query import Field, Order
from tidesync.schema import TableSchema
from tidesync.transports.layout import DELETED, HIDDEN
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.odata.tokens import FilterError, Token, tokens_of
from tidesync.values import ColumnType

SYSTEM: Final = {
    "id": Field("id", ColumnType.STRING),
    "version": Field("version", ColumnType.STRING),
    "createdAt": Field("created_at", ColumnType.DATETIME),
    "updatedAt": Field("updated_at", ColumnType.DATETIME),
    "deleted": Field(DELETED, ColumnType.BOOLEAN),
}
"""The columns that every table has, by their names on the wire."""
_FOLDED: Final = {wire.lower(): field for wire, field in SYSTEM.items()}
_UNSEEN: Final = HIDDEN | {field.name for field in SYSTEM.values()} - SYSTEM.keys()
MOST_KEYS: Final = 16


class Names:
    """The columns of one table; `closed` knows no others than the declared ones."""

    def __init__(self, schema: TableSchema, *, closed: bool) -> None:
        self._schema, self._closed = schema, closed

    def field(self, token: Token) -> Field:
        """The column that a word names. Raises `FilterError`."""
        name = token.text
        field = SYSTEM.get(name)
        if field is not None:
            return field
        column = self._schema.by_wire.get(name)
        if column is not None:
            return Field(column.name, column.type)
        folded = name.lower()
        alike = [column for wire, column in self._schema.by_wire.items() if wire.lower() == folded]
        if folded in _FOLDED and not alike:
            return _FOLDED[folded]
        if len(alike) == 1 and folded not in _FOLDED:
            return Field(alike[0].name, alike[0].type)
        if alike:
            raise FilterError(f"{name!r:.60} may be more than one column: write it with its case", token.at)
        if self._closed or name in _UNSEEN or name.startswith("__") or "." in name:
            raise FilterError(f"{self._schema.name} has no column {name!r:.60}", token.at)
        return Field(self._schema.local_name(name))


def parse_order(text: str, schema: TableSchema, *, closed: bool, limits: Limits) -> tuple[Order, ...]:
    """The keys of `a desc,b`, at most 16; a column that comes again adds nothing. Raises `FilterError`."""
    keys: dict[str, Order] = {}
    for field, at, direction in _items(text, Names(schema, closed=closed), limits):
        if direction is not None and direction.text.lower() not in ("asc", "desc"):
            raise FilterError(
                f"after a column comes asc, desc or a comma, not {direction.shown}", direction.at
            )
        if field.type is ColumnType.JSON:
            raise FilterError(f"{field.name} is JSON, which has no order", at)
        descending = direction is not None and direction.text.lower() == "desc"
        keys.setdefault(field.name, Order(field, descending))
        if len(keys) > MOST_KEYS:
            raise FilterError(f"{MOST_KEYS} columns are the most to order by", at)
    return tuple(keys.values())


def parse_select(text: str, schema: TableSchema, *, closed: bool, limits: Limits) -> tuple[str, ...]:
    """The local names of the columns in `a,b`, each once. Raises `FilterError`."""
    names: dict[str, None] = {}
    for field, _, extra in _items(text, Names(schema, closed=closed), limits):
        if extra is not None:
            raise FilterError(f"after a column comes a comma, not {extra.shown}", extra.at)
        names[field.name] = None
    return tuple(names)


def _items(text: str, names: Names, limits: Limits) -> Iterator[tuple[Field, int, Token | None]]:
    """The columns of a list, where they are, and the word behind each if there is one."""
    words = iter(tokens_of(text, limits.filter))
    for word in words:
        if word.kind != "name":
            raise FilterError(f"a column belongs here, not {word.shown}", word.at)
        after, extra = next(words), None
        if after.kind == "name":
            after, extra = next(words), after
        if after.text == "/":
            raise FilterError("a path into a column is not supported", after.at)
        if after.kind != "end" and after.text != ",":
            raise FilterError(f"after a column comes a comma, not {after.shown}", after.at)
        yield names.field(word), word.at, extra
        if after.kind == "end":
            return
