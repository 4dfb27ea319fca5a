"""The query AST: frozen values that say which records, in which order. What they *mean* is in predicate.py.

Nodes compare with `==` like any value. Operators (`<`, `&`, `~`) live on the handles of `expressions.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

import attrs

from tidesync.errors import InvalidQuery
from tidesync.records import INT_MAX, Json
from tidesync.values import ColumnType

CompareOp: TypeAlias = Literal["eq", "ne", "lt", "le", "gt", "ge"]
ArithmeticOp: TypeAlias = Literal["add", "sub", "mul", "div", "mod"]
Function: TypeAlias = Literal[
    "lower", "upper", "length", "trim", "concat", "contains", "startswith", "endswith",
    "year", "month", "day", "hour", "minute", "second", "round", "floor", "ceiling",
]  # fmt: skip
ARITY: Final[dict[Function, int]] = {
    **dict.fromkeys(get_args(Function), 1),
    **dict.fromkeys(("concat", "contains", "startswith", "endswith"), 2),
}


@attrs.frozen
class Field:
    """A column (or an undeclared field, of type ANY) by its local name; a missing field is null."""

    name: str
    type: ColumnType = ColumnType.ANY


@attrs.frozen
class Value:
    """A constant in canonical JSON form."""

    value: Json
    type: ColumnType = ColumnType.ANY


@attrs.frozen
class Compare:
    """`left op right`. Null equals null; null, or another kind of value, is neither less nor greater."""

    op: CompareOp
    left: Expr
    right: Expr


@attrs.frozen
class In:
    """The item equals one of the values."""

    item: Expr
    values: tuple[Json, ...]


@attrs.frozen
class And:
    """All items hold; True when there are none."""

    items: tuple[Expr, ...]


@attrs.frozen
class Or:
    """One of the items holds; False when there are none."""

    items: tuple[Expr, ...]


@attrs.frozen
class Not:
    """The item does not hold (two-valued: null counts as not holding)."""

    item: Expr


@attrs.frozen
class Arithmetic:
    """`left op right` on numbers; null where an operand is no number, or by zero; `div` is real division."""

    op: ArithmeticOp
    left: Expr
    right: Expr


@attrs.frozen
class Negate:
    """The number with its sign changed; null where the item is not a number."""

    item: Expr


@attrs.frozen
class Call:
    """A function of `ARITY`; null where an argument is not of the kind that it takes."""

    function: Function
    arguments: tuple[Expr, ...]


Expr: TypeAlias = Field | Value | Compare | In | And | Or | Not | Arithmetic | Negate | Call


@attrs.frozen
class Order:
    """One key of an ordering: nulls first, text by code point; `descending` turns all of it round."""

    by: Expr
    descending: bool = False


@attrs.frozen
class Query:
    """Which records of a table, in which order, and which part of them.

    `where` is None for all. Ties of `order` break on id, ascending. `skip` and `take` count records, and are
    not negative (`InvalidQuery`). `fields` None means whole records; else `id` comes always. `total` asks for
    the count without skip and take.
    """

    table: str
    where: Expr | None = None
    order: tuple[Order, ...] = ()
    skip: int = 0
    take: int | None = None
    fields: tuple[str, ...] | None = None
    total: bool = False

    def __attrs_post_init__(self) -> None:
        for name, number in (("skip", self.skip), ("take", self.take)):
            if number is None and name == "take":
                continue
            if type(number) is not int or not 0 <= number <= INT_MAX:
                raise InvalidQuery(f"{name} counts records: it must be an int from 0 on, not {number!r:.40}")


def all_of(*items: Expr | None) -> Expr | None:
    """The conjunction of what is given; None if nothing is."""
    given = tuple(item for item in items if item is not None)
    if not given:
        return None
    return given[0] if len(given) == 1 else And(given)


def fields_in(expr: Expr | None) -> frozenset[str]:
    """The names of the fields that an expression looks at."""
    match expr:
        case Field(name):
            return frozenset((name,))
        case Compare(_, left, right) | Arithmetic(_, left, right):
            return fields_in(left) | fields_in(right)
        case And(items) | Or(items) | Call(_, items):
            return frozenset(name for item in items for name in fields_in(item))
        case In(item) | Not(item) | Negate(item):
            return fields_in(item)
        case _:
            return frozenset()


def with_names(expr: Expr, rename: Callable[[str], str]) -> Expr:
    """The expression with every field under the name that `rename` gives it."""

    def again(item: Expr) -> Expr:
        return with_names(item, rename)

    match expr:
        case Field(name):
            return attrs.evolve(expr, name=rename(name))
        case Compare(_, left, right) | Arithmetic(_, left, right):
            return attrs.evolve(expr, left=again(left), right=again(right))
        case And(items) | Or(items):
            return attrs.evolve(expr, items=tuple(map(again, items)))
        case Call(_, arguments):
            return attrs.evolve(expr, arguments=tuple(map(again, arguments)))
        case In(item) | Not(item) | Negate(item):
            return attrs.evolve(expr, item=again(item))
        case Value():
            return expr


def equals(field: str, value: Json, type: ColumnType = ColumnType.ANY) -> Compare:
    """`field == value`, the building block of the engine's own queries."""
    return Compare("eq", Field(field, type), Value(value, type))
