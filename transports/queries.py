"""A query that a stranger sent as JSON, in the form of `encoding.query_json`: read strictly, with bounds.

What comes out is well formed: names of operations and functions are known, arguments are as many as they
should be, constants are scalars. What is asked for may still have no meaning (`InvalidQuery`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar, cast, get_args

from tidesync.errors import InvalidRecord
from tidesync.query import (
    ARITY,
    And,
    Arithmetic,
    ArithmeticOp,
    Call,
    Compare,
    CompareOp,
    Expr,
    Field,
    Function,
    In,
    Negate,
    Not,
    Or,
    Order,
    Query,
    Value,
)
from tidesync.records import Json, check_json
from tidesync.transports.strict import Malformed, Members, shown, text, type_name
from tidesync.values import ColumnType

DEPTH: Final = 32
NODES: Final = 2_000
CONSTANTS: Final = 50_000
NAMES: Final = 1_000
KEYS: Final = 100
_QUERY: Final = frozenset(("table", "where", "order", "skip", "take", "fields", "total"))
_COMPARISONS: Final[Mapping[str, CompareOp]] = {op: op for op in get_args(CompareOp)}
_ARITHMETIC: Final[Mapping[str, ArithmeticOp]] = {op: op for op in get_args(ArithmeticOp)}
_FUNCTIONS: Final[Mapping[str, Function]] = {name: name for name in ARITY}
_TYPES: Final = {type.value: type for type in ColumnType}

T = TypeVar("T")


def read_query(value: Json, path: str = "query", *, depth: int = DEPTH) -> Query:
    """The query. Raises `Malformed`. `depth`: how deep expressions may nest."""
    members = Members(value, path, _QUERY)
    reader = _Reader(depth)
    where, order = members.raw("where"), members.raw("order")
    take = members.raw("take")
    return Query(
        table=members.text("table"),
        where=None if where is None else reader.expression(where, members.at("where"), depth),
        order=() if order is None else reader.order(order, members.at("order")),
        skip=members.count("skip", 0),
        take=None if take is None else members.count("take"),
        fields=None if members.raw("fields") is None else members.names("fields", NAMES),
        total=members.flag("total"),
    )


class _Reader:
    """Reads the expressions of one query; together they have at most `NODES` nodes.

    Lists have at most `CONSTANTS` values, which cost less to compare with.
    """

    def __init__(self, depth: int) -> None:
        self.depth, self.nodes, self.constants = depth, NODES, CONSTANTS

    def order(self, value: Json, path: str) -> tuple[Order, ...]:
        """The keys of an ordering."""
        keys = _array(value, path)
        if len(keys) > KEYS:
            raise Malformed(path, f"it has {len(keys)} keys, and {KEYS} are the limit")
        return tuple(self.key(key, f"{path}[{place}]") for place, key in enumerate(keys))

    def key(self, value: Json, path: str) -> Order:
        """One key: an expression, and whether it is descending."""
        match value:
            case [by, bool(descending)]:
                return Order(self.expression(by, path, self.depth), descending)
            case _:
                raise Malformed(path, "a key is an array of an expression and true (descending) or false")

    def expression(self, value: Json, path: str, depth: int) -> Expr:
        """One expression, with `depth` levels left for it."""
        if depth <= 0:
            raise Malformed(path, f"it is nested deeper than {self.depth} levels")
        self.nodes -= 1
        if self.nodes < 0:
            raise Malformed(path, f"the query has more than {NODES} parts")
        node = _array(value, path)

        def within(item: Json, place: int) -> Expr:
            return self.expression(item, f"{path}[{place}]", depth - 1)

        def all_of(items: Sequence[Json], first: int) -> tuple[Expr, ...]:
            return tuple(within(item, first + place) for place, item in enumerate(items))

        match node:
            case ["field", name, type]:
                return Field(text(name, f"{path}[1]"), _known(_TYPES, type, f"{path}[2]", "column type"))
            case ["value", constant, type]:
                type_of = _known(_TYPES, type, f"{path}[2]", "column type")
                return Value(_scalar(constant, f"{path}[1]"), type_of)
            case ["compare", op, left, right]:
                comparison = _known(_COMPARISONS, op, f"{path}[1]", "comparison")
                return Compare(comparison, within(left, 2), within(right, 3))
            case ["in", item, list(values)]:
                constants = cast("list[Json]", values)
                self.constants -= len(constants)
                if self.constants < 0:
                    raise Malformed(path, f"the query has lists of more than {CONSTANTS} values")
                found = tuple(_scalar(each, f"{path}[2][{place}]") for place, each in enumerate(constants))
                return In(within(item, 1), found)
            case ["and", *items]:
                return And(all_of(items, 1))
            case ["or", *items]:
                return Or(all_of(items, 1))
            case ["not", item]:
                return Not(within(item, 1))
            case ["arithmetic", op, left, right]:
                operation = _known(_ARITHMETIC, op, f"{path}[1]", "operation")
                return Arithmetic(operation, within(left, 2), within(right, 3))
            case ["negate", item]:
                return Negate(within(item, 1))
            case ["call", name, *arguments]:
                function = _known(_FUNCTIONS, name, f"{path}[1]", "function")
                if len(arguments) != ARITY[function]:
                    reason = f"{function} takes {ARITY[function]} argument(s), not {len(arguments)}"
                    raise Malformed(path, reason)
                return Call(function, all_of(arguments, 2))
            case _:
                raise Malformed(path, f"no expression is written as {shown(node)}")


def _array(value: Json, path: str) -> list[Json]:
    if not isinstance(value, list):
        raise Malformed(path, f"it is {type_name(value)}, and must be an array")
    return value


def _known(known: Mapping[str, T], name: Json, path: str, what: str) -> T:
    found = known.get(name) if isinstance(name, str) else None
    if found is None:
        raise Malformed(path, f"there is no {what} {shown(name)}")
    return found


def _scalar(value: Json, path: str) -> Json:
    if isinstance(value, list | dict):
        raise Malformed(path, f"a constant is no structure, and this is {type_name(value)}")
    try:
        check_json("", "", value)
    except InvalidRecord as error:
        raise Malformed(path, error.reason) from error
    return value
