"""Conditions on moments in fields that nobody declared; pure.

Such a field holds a moment as the text that some client sent: in UTC with a Z, with no to seven decimals. Texts
sort as moments do, but for those that are cut short: "…:07.12Z" stands behind "…:07.123Z".
"""

from __future__ import annotations

from typing import Final

from tidesync.query import And, Compare, CompareOp, Expr, In, Not, Or, Value
from tidesync.values import ColumnType

DEPTH: Final = 2
"""How much deeper such a condition nests than what it is on."""
_DECIMALS: Final = 7


def compared(op: CompareOp, item: Expr, moment: str) -> Expr:
    """`item op moment`, however the item is spelt; `moment` is canonical text."""
    second, decimals = moment[:19], moment[20:26].rstrip("0")
    start = Value(f"{second}.{decimals}", ColumnType.ANY)
    shorter = tuple(_cut(second, decimals[:count]) for count in range(len(decimals)))
    spelt = spellings(moment)
    match op:
        case "eq":
            return In(item, spelt)
        case "ne":
            return Not(In(item, spelt))
        case "ge":
            return And((Compare("ge", item, start), Not(In(item, shorter))))
        case "gt":
            return And((Compare("ge", item, start), Not(In(item, shorter + spelt))))
        case "lt":
            return Or((Compare("lt", item, start), In(item, shorter)))
        case "le":
            return Or((Compare("lt", item, start), In(item, shorter + spelt)))


def spellings(moment: str) -> tuple[str, ...]:
    """All that a client may have sent for a moment in canonical text."""
    second, decimals = moment[:19], moment[20:26].rstrip("0")
    return tuple(_cut(second, decimals.ljust(count, "0")) for count in range(len(decimals), _DECIMALS + 1))


def _cut(second: str, decimals: str) -> str:
    return f"{second}.{decimals}Z" if decimals else f"{second}Z"
