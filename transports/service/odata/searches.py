"""`indexof` and `substring` where the comparison around them is exactly a search that the AST has."""

from __future__ import annotations

from typing import Final, Literal

import attrs

from tidesync.query import And, Call, Compare, CompareOp, Expr, Not, Or, Value
from tidesync.transports.service.odata.literals import Constant
from tidesync.transports.service.odata.tokens import FilterError
from tidesync.values import ColumnType


@attrs.frozen
class Search:
    """`indexof(text, part)`, or `substring(text, start, length)`; both are null where their text is null."""

    name: Literal["indexof", "substring"]
    text: Expr
    part: Expr | None = None
    start: int = 0
    length: int | None = None

    @property
    def only(self) -> str:
        """What it can be compared with, in a message."""
        if self.name == "indexof":
            return "only compared with 0 or -1, which is a search"
        return "only from 0 on, or to the end, eq or ne a text of that length"


_ABSENT, _FOUND, _FIRST, _LATER = "absent", "found", "first", "later"
_INDEX: Final[dict[tuple[CompareOp, int], str]] = {
    ("ge", 0): _FOUND,
    ("gt", -1): _FOUND,
    ("lt", 0): _ABSENT,
    ("le", -1): _ABSENT,
    ("eq", -1): _ABSENT,
    ("eq", 0): _FIRST,
    ("gt", 0): _LATER,
    ("ge", 1): _LATER,
}


def compared(search: Search, op: CompareOp, constant: Constant) -> Expr | None:
    """`search op constant` as an equal expression; None if there is none. Raises `FilterError`."""
    if op == "ne":
        equal = compared(search, "eq", constant)
        return None if equal is None else Not(equal)
    if search.part is not None:
        return _index(search.text, search.part, op, constant)
    if op != "eq" or constant.kind != "text" or not isinstance(constant.value, str):
        return None
    return _slice(search, constant.value, constant.at)


def _index(text: Expr, part: Expr, op: CompareOp, constant: Constant) -> Expr | None:
    if constant.kind != "integer":
        return None
    found, first = Call("contains", (text, part)), Call("startswith", (text, part))
    # Where either is null so is the index, and neither a search nor its absence is true.
    both = Compare("ge", Call("length", (Call("concat", (text, part)),)), Value(0, ColumnType.INTEGER))
    absent = And((both, Not(found)))
    number = int(str(constant.value))
    if (op, number) in (("le", 0), ("lt", 1)):
        return Or((absent, first))
    match _INDEX.get((op, number)):
        case "found":
            return found
        case "absent":
            return absent
        case "first":
            return first
        case "later":
            return And((found, Not(first)))
        case _:
            return None


def _slice(search: Search, wanted: str, at: int) -> Expr | None:
    """`substring(...) eq wanted`, for a slice at the beginning or up to the end."""
    text, value = search.text, Value(wanted, ColumnType.STRING)
    if search.length is None:
        if not wanted:
            raise FilterError("substring is not supported eq '': nobody knows where the text ends", at)
        whole = Compare("eq", Call("length", (text,)), Value(search.start + len(wanted), ColumnType.INTEGER))
        return And((whole, Call("endswith", (text, value))))
    if search.start:
        return None
    if len(wanted) == search.length:
        return Call("startswith", (text, value))
    if len(wanted) < search.length:
        return Compare("eq", text, value)
    return Or(())
