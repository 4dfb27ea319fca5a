"""What every store checks before it takes something: rows, ids, and changed column types.

These are the fast halves of `tidesync.records`: they only say whether something is wrong, and leave it to
`check_id` and `check_json` to say what.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from tidesync.errors import InvalidId, InvalidRecord
from tidesync.records import DEPTH_LIMIT, INT_MAX, INT_MIN, Json, Record, check_id, check_json
from tidesync.values import DECODERS, ColumnType


def check_row(table: str, record: Record) -> bool:
    """Check a record before it is stored; True if all its values are scalars.

    The id must be text that is not empty; the narrower rules for ids of user records are the engine's.
    Raises `InvalidId`, or `InvalidRecord` naming the field.
    """
    if not isinstance(record, dict):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers are not all typed
        raise InvalidRecord(table, "", type(record).__name__, "a record must be a dict")
    id = record.get("id")
    if type(id) is not str or not id:
        _ = check_id(table, id)
    flat = True
    for field, value in record.items():
        if type(field) is not str:
            raise InvalidRecord(table, repr(field), type(field).__name__, "a field name must be str")
        if not field.isascii():
            check_json(table, ascii(field), field)
        kind = type(value)
        if kind is str:
            if not value.isascii():  # type: ignore[union-attr]  # kind is str
                check_json(table, field, value)
        elif kind is int:
            if not INT_MIN <= value <= INT_MAX:  # type: ignore[operator]  # kind is int
                check_json(table, field, value)
        elif kind is float:
            if not isfinite(value):  # type: ignore[arg-type]  # kind is float
                check_json(table, field, value)
        elif value is not None and kind is not bool:
            flat = False
            if not sound(value):
                check_json(table, field, value)
    return flat


def sound(value: Any, depth: int = 0) -> bool:
    """True if a list or object is JSON for certain; False if `check_json` should look."""
    if depth >= DEPTH_LIMIT:
        return False
    items: Iterable[Any]
    container = value.__class__
    if container is dict:
        for key in value:
            if type(key) is not str or not key.isascii():
                return False
        items = value.values()
    elif container is list:
        items = value
    else:
        return False
    for item in items:
        kind = item.__class__
        if kind is str:
            if not item.isascii():
                return False
        elif kind is int:
            if not INT_MIN <= item <= INT_MAX:
                return False
        elif kind is float:
            if not isfinite(item):
                return False
        elif item is not None and kind is not bool and not sound(item, depth + 1):
            return False
    return True


def check_ids(table: str, ids: Sequence[str]) -> None:
    """Raise `InvalidId` unless every id is text that an encoding can carry."""
    for id in ids:
        if type(id) is not str:
            raise InvalidId(table, id, f"it is {type(id).__name__}, and must be str")
    if not "".join(ids).isascii():
        for id in ids:
            if not id.isascii():
                check_json(table, "id", id)


def fits(type: ColumnType, value: Json) -> bool:
    """Whether a stored value is one that a column of this type can give back. Null always is."""
    if value is not None:
        try:
            _ = DECODERS[type](value)
        except ValueError:
            return False
    return True
