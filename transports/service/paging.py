"""Where a page ended, as text for its nextLink, and the condition that goes on right behind it.

A token names the last row by its values of the order, and its id. What it says is in plain sight and nobody
signs it: whoever makes one up sees rows that they may see anyway, from another place on. Rows that come or go
between two pages move no others: a row is seen at most once, and once if it stays where it is in the order.
"""

from __future__ import annotations

import binascii
import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeAlias, cast

from tidesync.predicate import BOOLEAN, NULL, NUMBER, STRUCTURE, TEXT, decimal_of, kind_of
from tidesync.query import And, Compare, CompareOp, Expr, Field, In, Not, Or, Order, Value
from tidesync.records import INT_MAX, INT_MIN, Json, Record
from tidesync.transports.layout import DELETED
from tidesync.values import ColumnType

TOKEN_LIMIT: Final = 2_000
"""Characters of a token: an address has to hold it beside the filter."""
_ONE_KIND: Final = {"id": TEXT, "created_at": TEXT, "updated_at": TEXT, DELETED: BOOLEAN}
"""Columns of which every row has a value of one kind."""

_Key: TypeAlias = tuple[Field, bool]


class PageTokenError(Exception):
    """A text that is no token of this order; its sentence is for people."""


def token(order: Sequence[Order], row: Record) -> str | None:
    """URL-safe text that names a row in an order, by local names and `id`.

    None where the text would be too long for an address, or the order is not by columns: page by number then.
    """
    keys = _keys(order)
    if keys is None:
        return None
    said = [1, _spelt(keys), [_told(field, row.get(field.name)) for field, _ in keys], row["id"]]
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    encoded = urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")
    return encoded if len(encoded) <= TOKEN_LIMIT else None


def after(order: Sequence[Order], token: str) -> Expr:
    """Holds for the rows strictly behind the token's row: nulls first, text by code point, ties by id.

    Raises `PageTokenError` for a text that is no token, or one of another order.
    """
    keys = _keys(order)
    values, id = _read(token, "" if keys is None else _spelt(keys))
    if keys is None or len(values) != len(keys):
        _refuse("it belongs to another order")
    behind: Expr = Compare("gt", Field("id", ColumnType.STRING), Value(id, ColumnType.STRING))
    for (field, descending), value in reversed(list(zip(keys, values, strict=True))):
        _check(field, value)
        further = _further(field, value, descending=descending)
        if field.name == "id":
            behind = further
            continue
        behind = Or((further, And((_same(field, value), behind))))
    first = keys[0] if keys else None
    if first is not None and first[0].name in _ONE_KIND and first[0].name != "id":
        # It says nothing new, but an index can start from it.
        bound = Compare("le" if first[1] else "ge", first[0], Value(values[0], first[0].type))
        return And((bound, behind))
    return behind


# -- what a token says ----------------------------------------------------------------------------------


def _keys(order: Sequence[Order]) -> list[_Key] | None:
    """The columns and directions that decide an order; None if it is not by columns."""
    keys: list[_Key] = []
    for key in order:
        if not isinstance(key.by, Field):
            return None
        keys.append((key.by, key.descending))
        if key.by.name == "id":
            break
    return keys


def _spelt(keys: Sequence[_Key]) -> str:
    return ",".join(f"{field.name} desc" if descending else field.name for field, descending in keys)


def _told(field: Field, value: Json) -> Json:
    """A value as far as it decides an order: all structures are in one place."""
    if field.type is ColumnType.DECIMAL and decimal_of(value) is None:
        return None
    return [] if kind_of(value) == STRUCTURE else value


def _refuse(why: str) -> NoReturn:
    raise PageTokenError(f"the page token cannot be used: {why}; list the table again from its beginning")


def _read(token: str, spelt: str) -> tuple[list[Json], str]:
    if len(token) > TOKEN_LIMIT or not token.isascii():
        _refuse("no such token was given out")
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        said: Any = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except (binascii.Error, ValueError, RecursionError):
        _refuse("it is damaged")
    if urlsafe_b64encode(raw).decode("ascii").rstrip("=") != token:
        _refuse("it is damaged")
    match said:
        case [1, str(order), values, str(id)] if id and isinstance(values, list):
            if order != spelt:
                _refuse("it belongs to another order")
            given = cast("list[Json]", values)
            if not all(map(_may_be, (*given, id))):
                _refuse("it is damaged")
            return given, id
        case _:
            _refuse("it is damaged")


def _may_be(value: Json) -> bool:
    """Whether a value may be in a token: what a column holds, or an empty list for a structure."""
    match value:
        case None | bool() | []:
            return True
        case int():
            return INT_MIN <= value <= INT_MAX
        case float():
            return math.isfinite(value)
        case str():
            return not any("\ud800" <= letter <= "\udfff" for letter in value)
        case _:
            return False


def _check(field: Field, value: Json) -> None:
    kind = kind_of(value)
    wanted = _ONE_KIND.get(field.name, kind)
    if field.type is ColumnType.DECIMAL and value is not None and decimal_of(value) is None:
        wanted = NUMBER
    if wanted != kind:
        _refuse("it is damaged")


# -- what lies behind -----------------------------------------------------------------------------------


def _compare(op: CompareOp, field: Field, value: Json) -> Expr:
    type = field.type if kind_of(value) != NUMBER or field.type is ColumnType.DECIMAL else ColumnType.ANY
    return Compare(op, field, Value(value, type))


_IS: Final[dict[int, Callable[[Field], Expr]]] = {
    NULL: lambda field: _compare("eq", field, None),
    BOOLEAN: lambda field: In(field, (False, True)),
    NUMBER: lambda field: Or((_compare("lt", field, 0), _compare("ge", field, 0))),
    TEXT: lambda field: _compare("ge", field, ""),
}
"""Whether a column holds a value of a kind; what is of none of these is a structure."""


def _of_kinds(field: Field, kinds: range) -> list[Expr]:
    """Whether a column holds a value of one of the kinds; a DECIMAL column counts as a number or null."""
    return [_IS[kind](field) for kind in kinds if field.type is not ColumnType.DECIMAL or kind == NULL]


def _further(field: Field, value: Json, *, descending: bool) -> Expr:
    """Whether a column is further on in the order than a value."""
    kind = NUMBER if field.type is ColumnType.DECIMAL and value is not None else kind_of(value)
    within = [] if kind in (NULL, STRUCTURE) else [_compare("lt" if descending else "gt", field, value)]
    if field.name in _ONE_KIND:
        return within[0]
    if descending:
        return Or((*within, *_of_kinds(field, range(kind))))
    if field.type is ColumnType.DECIMAL and kind == NUMBER:
        return within[0]
    if kind == STRUCTURE:
        return Or(())
    return Or((*within, Not(Or(tuple(_of_kinds(field, range(kind + 1)))))))


def _same(field: Field, value: Json) -> Expr:
    """Whether a column is where the value is in the order."""
    if kind_of(value) == STRUCTURE:
        return Not(Or(tuple(_of_kinds(field, range(STRUCTURE)))))
    return _compare("eq", field, value)
