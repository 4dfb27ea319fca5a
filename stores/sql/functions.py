"""What a query means, as functions of SQL: they share `tidesync.predicate` with every other store.

Values that SQLite has no type for travel between the functions as BLOBs: `true` and `false`, `d` and the text
of a decimal, `[` for any list or object, `s` and a text that holds U+0000, where a driver would cut it there; other
BLOBs are JSON, as rows.py writes it.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from tidesync.predicate import (
    COMPARISONS,
    FUNCTIONS,
    NUMBER,
    STRUCTURE,
    TEXT,
    Scalar,
    arithmetic,
    decimal_of,
    kind_of,
    negate,
)
from tidesync.records import INT_MAX, INT_MIN
from tidesync.stores.sql.rows import SqlValue, loads

TRUE, FALSE, NESTED = b"true", b"false", b"["
CARRIED: Final = "s"
_STRUCTURE: Final[list[object]] = []


def load(value: SqlValue) -> Scalar:
    """A SQL value as predicate.py sees it."""
    if type(value) is not bytes:
        return value
    if value[:1] in (b"[", b"{"):
        return _STRUCTURE
    text = value.decode()
    if text[0] == CARRIED:
        return text[1:]
    return Decimal(text[1:]) if text[0] == "d" else loads(text)


def dump(value: Scalar) -> SqlValue:
    """The inverse of `load`."""
    if value is None or type(value) is str:
        return value
    if type(value) is bool:
        return TRUE if value else FALSE
    if type(value) is float:
        return value if value == value else NESTED  # NaN: like a list, it equals nothing  # noqa: PLR0124
    if type(value) is Decimal or (type(value) is int and not INT_MIN <= value <= INT_MAX):
        return f"d{value}".encode()
    return value if type(value) is int else NESTED


def carried(value: SqlValue) -> SqlValue:
    """A value in the form in which any driver hands it to a function whole."""
    return f"{CARRIED}{value}".encode() if type(value) is str and "\0" in value else value


def _number_key(value: Scalar) -> bytes:
    """Bytes in the order of numbers, whether integer, float or decimal."""
    number = Decimal(value)
    if not number:
        return b"\x01"
    sign, digits, _ = number.as_tuple()
    size = (number.adjusted() + (1 << 62)).to_bytes(8, "big") + bytes(digits).rstrip(b"\x00")
    # Of two negative numbers the greater size comes first; 0xFF ends what a longer number would go on with.
    return b"\x00" + bytes(255 - byte for byte in size) + b"\xff" if sign else b"\x02" + size


def sort_key(value: SqlValue) -> bytes:
    """Bytes in the order that a query sorts by: null, booleans, numbers, text, then all lists and objects."""
    loaded = load(value)
    kind = kind_of(loaded)
    if kind == NUMBER:
        content = _number_key(loaded)
    elif kind == TEXT:
        content = loaded.encode()
    else:
        content = b"\x01" if loaded is True else b""
    return bytes((kind,)) + content


class Members:
    """The constants of an `In` that is too long or too mixed for SQL, as long as the compiled query lives."""

    _numbers: Final = itertools.count(1)
    _alive: Final[weakref.WeakValueDictionary[int, Members]] = weakref.WeakValueDictionary()

    def __init__(self, values: Iterable[Scalar]) -> None:
        kinds = [(kind_of(value), value) for value in values]
        self._values = frozenset(pair for pair in kinds if pair[0] != STRUCTURE)
        self.number = next(self._numbers)
        self._alive[self.number] = self

    @classmethod
    def contain(cls, value: SqlValue, number: int) -> int:
        """1 if the value equals one of the constants registered under the number."""
        loaded = load(value)
        kind = kind_of(loaded)
        return int(kind != STRUCTURE and (kind, loaded) in cls._alive[number]._values)


def _lifted(function: Callable[..., Scalar]) -> Callable[..., SqlValue]:
    return lambda *arguments: dump(function(*map(load, arguments)))


def _arithmetic(op: str) -> Callable[..., SqlValue]:
    def apply(a: SqlValue, b: SqlValue) -> SqlValue:
        return dump(arithmetic(op, load(a), load(b)))

    return apply


def _compare(function: Callable[[Scalar, Scalar], bool]) -> Callable[..., SqlValue]:
    def apply(a: SqlValue, b: SqlValue) -> SqlValue:
        return int(function(load(a), load(b)))

    return apply


def _more(rest: Any, field: SqlValue) -> SqlValue:
    """One of the fields that have no column."""
    more = None if rest is None else loads(rest)[0]
    return None if more is None else dump(more.get(load(field)))


SQL_FUNCTIONS: Final[dict[str, tuple[Callable[..., SqlValue], int]]] = {
    **{f"tide_{name}": (_lifted(function), -1) for name, function in FUNCTIONS.items()},
    **{f"tide_{op}": (_arithmetic(op), 2) for op in ("add", "sub", "mul", "div", "mod")},
    "tide_negate": (_lifted(negate), 1),
    "tide_decimal": (_lifted(decimal_of), 1),
    **{f"tide_{op}": (_compare(function), 2) for op, function in COMPARISONS.items()},
    "tide_in": (Members.contain, 2),
    "tide_more": (_more, 2),
    "tide_sort": (sort_key, 1),
}
"""What a connection must register: name, function, number of arguments (-1: any); all deterministic."""
