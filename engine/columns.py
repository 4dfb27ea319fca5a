"""The handles of a table, and what `where`, `order_by` and `values` make of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import final

from tidesync.constants import CONSTANTS, any_constant
from tidesync.errors import InvalidQuery, UnknownColumn
from tidesync.expressions import NUMBERS, Expression, condition
from tidesync.query import Expr, Field, Order, all_of
from tidesync.schema import TableSchema
from tidesync.values import ColumnType, Encode, name_of


@final
class Columns:
    """The handles of a table: `todos.c.text`, or `todos.c["text"]` where the name is no Python name.

    `id`, `version`, `created_at` and `updated_at` are among them. If `undeclared`, the item form also takes
    fields that no column declares. `UnknownColumn` says what was probably meant.
    """

    __slots__ = ("__handles", "__table", "__undeclared")

    def __init__(
        self, schema: TableSchema, encoders: Mapping[str, Encode], *, undeclared: bool = False
    ) -> None:
        self.__table, self.__undeclared = schema.name, undeclared
        types = {
            "id": ColumnType.STRING,
            **{column.name: column.type for column in schema.columns},
            "version": ColumnType.STRING,
            "created_at": ColumnType.DATETIME,
            "updated_at": ColumnType.DATETIME,
        }
        self.__handles = {
            name: Expression(
                Field(name, type), type, f"{schema.name}.{name}", _encoder(type, encoders.get(name))
            )
            for name, type in types.items()
        }

    def __getattr__(self, name: str) -> Expression:
        try:
            return self.__handles[name]
        except KeyError:
            raise UnknownColumn(self.__table, name, suggestion(name, self.__handles)) from None

    def __getitem__(self, name: str) -> Expression:
        if self.__undeclared and name not in self.__handles:
            return Expression(Field(name), ColumnType.ANY, f"{self.__table}.{name}", any_constant)
        return self.__getattr__(name)

    def __iter__(self) -> Iterator[Expression]:
        return iter(self.__handles.values())

    def __dir__(self) -> list[str]:
        return list(self.__handles)


def _encoder(type: ColumnType, declared: Encode | None) -> Encode:
    # Numbers compare with numbers of the other type; the rest is what the column itself would hold.
    return CONSTANTS[type] if declared is None or type in (*NUMBERS, ColumnType.ANY) else declared


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    folded = {each.replace("_", "").lower(): each for each in known}
    close = difflib.get_close_matches(name.replace("_", "").lower(), folded, n=1)
    return folded[close[0]] if close else None


def where(columns: Columns, expressions: Iterable[object], equalities: Mapping[str, object]) -> Expr | None:
    """All of the conditions and `column=value` equalities together; None if there are none."""
    compared = [(columns[name] == value).expr for name, value in equalities.items()]
    return all_of(*map(condition, expressions), *compared)


def ordering(columns: Columns, keys: Iterable[object], *, descending: bool = False) -> tuple[Order, ...]:
    """The keys of an ordering: handles, names of columns, or `handle.descending()`, which stands as it is."""
    order: list[Order] = []
    for key in keys:
        if isinstance(key, Order):
            order.append(key)
        elif isinstance(key, str | Expression):
            handle = columns[key] if isinstance(key, str) else key
            order.append(handle.descending() if descending else handle.ascending())
        else:
            raise TypeError(
                f"{name_of(key)} is no key to order by: give a column handle, such as todos.c.text"
            )
    return tuple(order)


def selection(columns: Columns, names: Iterable[object]) -> tuple[str, ...]:
    """The names of the columns given by handle or by name."""
    fields: list[str] = []
    for name in names:
        handle = columns[name] if isinstance(name, str) else name
        if not isinstance(handle, Expression) or not isinstance(handle.expr, Field):
            raise InvalidQuery(f"{handle!r} is no column: only whole columns can be selected")
        fields.append(handle.expr.name)
    return tuple(fields)
