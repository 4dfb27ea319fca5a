"""Queries to SQL with parameters, so that rows are found by indexes and mean what predicate.py says.

A comparison of a column with a constant is native: because a column has no affinity, SQLite orders NULL,
numbers, text and BLOBs apart, and bounding a range by the next kind keeps the comparison within one. Else the
functions of functions.py are called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from tidesync.errors import InvalidQuery
from tidesync.predicate import NULL, STRUCTURE, TEXT, decimal_of, kind_of
from tidesync.query import (
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    Field,
    In,
    Negate,
    Not,
    Or,
    Order,
    Query,
    Value,
)
from tidesync.records import Json
from tidesync.stores.sql.ddl import REST, Layout, StoredColumn, quoted
from tidesync.stores.sql.functions import CARRIED, FALSE, TRUE, Members, carried, dump
from tidesync.stores.sql.rows import SqlValue
from tidesync.values import ColumnType

_SQL_TRUE: Final = "x'74727565'"
_SQL_FALSE: Final = "x'66616c7365'"
_SQL_NESTED: Final = "x'5b'"
_LOWER: Final = ("gt", "ge")
_UPPER: Final = ("lt", "le")
_OPERATORS: Final = {"eq": "=", "ne": "IS NOT", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_TURNED: Final = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_ID: Final = StoredColumn("id", ColumnType.STRING, "id")
_LIST_LIMIT: Final = 4_096
_DEPTH_LIMIT: Final = 200

OddColumns = Callable[[], frozenset[str]]
"""Gives the columns that hold values SQLite sorts otherwise than a query does; called only if it matters."""


@attrs.frozen
class Compiled:
    """A query as SQL: the parts of a SELECT from the WHERE on, and their parameters.

    `members` keeps alive what the parameters refer to: hold it while the statement runs.
    """

    where: str
    order: str
    limit: str
    where_parameters: tuple[SqlValue, ...]
    order_parameters: tuple[SqlValue, ...]
    limit_parameters: tuple[SqlValue, ...]
    members: tuple[Members, ...]

    @property
    def tail(self) -> str:
        """What follows `FROM table`."""
        return f"{self.where}{self.order}{self.limit}"

    @property
    def parameters(self) -> tuple[SqlValue, ...]:
        """The parameters of the tail."""
        return (*self.where_parameters, *self.order_parameters, *self.limit_parameters)


def compile_query(query: Query, layout: Layout, odd: OddColumns, *, whole_texts: bool = True) -> Compiled:
    """The query as SQL. Raises `InvalidQuery` for what has no meaning.

    `whole_texts`: texts with U+0000 in them reach functions whole; else they are carried there in BLOBs.
    """
    where, by = _Compiler(layout, whole_texts), _Compiler(layout, whole_texts)
    condition = "" if query.where is None else f" WHERE {where.condition(query.where)}"
    order = ", ".join((*by.keys(query.order, where.native_ranges, odd), '"id"'))
    limit = ""
    numbers: tuple[int, ...] = ()
    if query.skip or query.take is not None:
        limit = " LIMIT ? OFFSET ?"
        numbers = (-1 if query.take is None else query.take, query.skip)
    return Compiled(
        condition,
        f" ORDER BY {order}",
        limit,
        tuple(where.parameters),
        tuple(by.parameters),
        numbers,
        (*where.members, *by.members),
    )


def _joined(word: str, items: Sequence[str]) -> str:
    """The items joined as a balanced tree, because SQLite limits the depth of an expression."""
    if len(items) <= 8:
        return f"({f' {word} '.join(items)})"
    middle = len(items) // 2
    return f"({_joined(word, items[:middle])} {word} {_joined(word, items[middle:])})"


def _next_text(text: str) -> str | None:
    """The least text above all that start with this one; None if there is none."""
    while text:
        point = ord(text[-1]) + 1
        if point <= 0x10FFFF:
            return text[:-1] + chr(0xE000 if point == 0xD800 else point)
        text = text[:-1]
    return None


class _Compiler:
    """Writes one clause; parameters are appended in the order in which their marks are written."""

    def __init__(self, layout: Layout, whole_texts: bool) -> None:
        self._layout = layout
        self._whole_texts = whole_texts
        self._depth = 0
        self.parameters: list[SqlValue] = []
        self.members: list[Members] = []
        self.native_ranges: set[str] = set()
        """Columns that the whole condition bounds to one native kind."""
        self._between: set[str] = set()
        """Columns that a conjunction bounds on both sides."""

    def keys(self, order: tuple[Order, ...], bounded: set[str], odd: OddColumns) -> list[str]:
        """The keys of an ORDER BY."""
        keys: list[str] = []
        for key in order:
            if isinstance(key.by, Value):
                continue
            column = self._column(key.by)
            native = column is not None and (
                column is _ID or column.name in bounded or column.name not in odd()
            )
            if column is not None and native:
                sql = quoted(column.stored)
            else:
                sql = f"tide_sort({self.value(key.by)})"
            keys.append(f"{sql} DESC" if key.descending else sql)
        return keys

    def _column(self, expr: Expr) -> StoredColumn | None:
        """The column that an expression is, if SQLite can compare it natively."""
        if not isinstance(expr, Field) or expr.type is ColumnType.DECIMAL:
            return None
        column = _ID if expr.name == "id" else self._layout.by_name.get(expr.name)
        return None if column is None or column.type is ColumnType.JSON else column

    def _bind(self, value: SqlValue) -> str:
        self.parameters.append(value)
        return "?"

    def _argument(self, value: SqlValue) -> str:
        """A constant that goes to a function."""
        return self._bind(value if self._whole_texts else carried(value))

    def condition(self, expr: Expr, *, top: bool = True) -> str:
        """SQL that is true where the expression is, else false or NULL. `top`: only AND is around it."""
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise InvalidQuery("the condition is nested too deeply: make it flatter")
        try:
            return self._condition(expr, top)
        finally:
            self._depth -= 1

    def _condition(self, expr: Expr, top: bool) -> str:
        match expr:
            case And(items):
                self._note_bounds(items)
                return _joined("AND", [self.condition(item, top=top) for item in items]) if items else "1"
            case Or(items):
                return _joined("OR", [self.condition(item, top=False) for item in items]) if items else "0"
            case Not(item):
                return f"(({self.condition(item, top=False)}) IS NOT TRUE)"
            case Compare(op, left, right):
                return self._compare(op, left, right, top)
            case In(item, values):
                return self._in(item, values)
            case Value(value):
                return "1" if value is True else "0"
            case Call("startswith", (left, Value(str() as prefix, kind))) if kind is not ColumnType.DECIMAL:
                column = self._column(left)
                if column is not None and column.type is not ColumnType.BOOLEAN:
                    return self._startswith(quoted(column.stored), prefix)
            case Call("contains", (left, Value(str() as part, kind))) if kind is not ColumnType.DECIMAL:
                column = self._column(left)
                if column is not None and column.type is not ColumnType.BOOLEAN:
                    name = quoted(column.stored)
                    return f"(typeof({name}) = 'text' AND instr({name}, {self._bind(part)}) > 0)"
            case Field():
                column = self._column(expr)
                if column is not None and column.type is ColumnType.BOOLEAN:
                    return f"{quoted(column.stored)} = 1"
            case _:
                pass
        return f"{self.value(expr)} = {_SQL_TRUE}"

    def _note_bounds(self, items: tuple[Expr, ...]) -> None:
        """Note which columns have a lower and an upper bound among the items, or in a conjunction among them."""
        lower, upper = set[str](), set[str]()
        rest = [*items]
        while rest:
            match rest.pop():
                case And(more):
                    rest += more
                case Compare(op, Field(name), Value()):
                    (lower if op in _LOWER else upper if op in _UPPER else set[str]()).add(name)
                case Compare(op, Value(), Field(name)):
                    (upper if op in _LOWER else lower if op in _UPPER else set[str]()).add(name)
                case _:
                    pass
        self._between |= lower & upper

    def _startswith(self, name: str, prefix: str) -> str:
        start = f"{name} >= {self._bind(prefix)}"
        end = _next_text(prefix)
        return f"({start} AND {name} < {'x' + repr('') if end is None else self._bind(end)})"

    def _compare(self, op: str, left: Expr, right: Expr, top: bool) -> str:
        if isinstance(left, Value):
            op, left, right = _TURNED[op], right, left
        column = self._column(left)
        if column is not None and isinstance(right, Value) and right.type is not ColumnType.DECIMAL:
            sql = self._native(op, column, right.value, top)
            if sql is not None:
                return sql
        return f"tide_{op}({self.value(left)}, {self.value(right)})"

    def _native(self, op: str, column: StoredColumn, value: Json, top: bool) -> str | None:
        """A comparison of a column with a constant; None if SQLite cannot make it."""
        name, kind = quoted(column.stored), kind_of(value)
        if kind == NULL:
            return {"eq": f"{name} IS NULL", "ne": f"{name} IS NOT NULL"}.get(op, "0")
        if kind == STRUCTURE:
            return "1" if op == "ne" else "0"
        if (column.type is ColumnType.BOOLEAN) is not (type(value) is bool):
            return self._boolean(op, name, value) if type(value) is bool else None
        constant = int(value) if type(value) is bool else dump(value)
        if type(constant) is bytes:
            return None  # an integer that is too large for SQLite, or no number
        if top and op != "ne":
            self.native_ranges.add(column.name)
        # SQLite searches an index for one bound on either side: with a + it must not take that of the kind.
        other = f"+{name}" if column.name in self._between else name
        if op in _UPPER and kind == TEXT:
            return f"({other} >= '' AND {name} {_OPERATORS[op]} {self._bind(constant)})"
        sql = f"{name} {_OPERATORS[op]} {self._bind(constant)}"
        if op in _LOWER:
            return f"({sql} AND {other} < {'x' if kind == TEXT else ''}'')"
        return sql

    @staticmethod
    def _boolean(op: str, name: str, value: bool) -> str:
        """A comparison with true or false of a column where booleans are BLOBs."""
        if op == "ne":
            return f"{name} IS NOT {_SQL_TRUE if value else _SQL_FALSE}"
        holds = {
            "eq": (not value, value),
            "lt": (value, False),
            "le": (True, value),
            "gt": (False, not value),
            "ge": (not value, True),
        }[op]
        found = [sql for sql, holding in zip((_SQL_FALSE, _SQL_TRUE), holds, strict=True) if holding]
        return f"{name} IN ({', '.join(found)})" if found else "0"

    def _in(self, item: Expr, values: tuple[Json, ...]) -> str:
        column = self._column(item)
        if column is None or len(values) > _LIST_LIMIT:
            return self._in_members(item, values)
        boolean = column.type is ColumnType.BOOLEAN
        constants: list[SqlValue] = []
        for value in values:
            kind = kind_of(value)
            if kind in (NULL, STRUCTURE):
                continue
            if boolean is not (type(value) is bool):
                if boolean:
                    return self._in_members(item, values)
                constant: SqlValue = TRUE if value else FALSE
                constants.append(constant if type(value) is bool else dump(value))
                continue
            constants.append(int(value) if type(value) is bool else dump(value))
        parts: list[str] = []
        if constants:
            # A few sizes, so that the prepared statement is found again.
            constants += [constants[-1]] * ((1 << (len(constants) - 1).bit_length()) - len(constants))
            parts.append(f"{quoted(column.stored)} IN ({', '.join(map(self._bind, constants))})")
        if None in values:
            parts.append(f"{quoted(column.stored)} IS NULL")
        return _joined("OR", parts) if parts else "0"

    def _in_members(self, item: Expr, values: tuple[Json, ...]) -> str:
        decimal = isinstance(item, Field | Value) and item.type is ColumnType.DECIMAL
        members = Members(map(decimal_of, values) if decimal else values)
        self.members.append(members)
        return f"tide_in({self.value(item)}, {self._bind(members.number)}) = 1"

    def value(self, expr: Expr) -> str:
        """SQL for the value of an expression, in the form that functions.py describes."""
        match expr:
            case Field(name, kind):
                value = self._field(name)
                return f"tide_decimal({value})" if kind is ColumnType.DECIMAL else value
            case Value(value, kind):
                return self._argument(dump(decimal_of(value) if kind is ColumnType.DECIMAL else value))
            case Arithmetic(op, left, right):
                return f"tide_{op}({self._deeper(left)}, {self._deeper(right)})"
            case Negate(item):
                return f"tide_negate({self._deeper(item)})"
            case Call(function, arguments):
                return f"tide_{function}({', '.join(map(self._deeper, arguments))})"
            case _:
                return f"CASE WHEN {self.condition(expr, top=False)} THEN {_SQL_TRUE} ELSE {_SQL_FALSE} END"

    def _deeper(self, expr: Expr) -> str:
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise InvalidQuery("the condition is nested too deeply: make it flatter")
        try:
            return self.value(expr)
        finally:
            self._depth -= 1

    def _field(self, field: str) -> str:
        column = _ID if field == "id" else self._layout.by_name.get(field)
        if column is None:
            return f"tide_more({quoted(REST)}, {self._argument(field)})"
        name = quoted(column.stored)
        if column.type is ColumnType.BOOLEAN:
            return f"CASE {name} WHEN 1 THEN {_SQL_TRUE} WHEN 0 THEN {_SQL_FALSE} ELSE {name} END"
        if column.type is ColumnType.JSON:
            return f"CASE typeof({name}) WHEN 'text' THEN {_SQL_NESTED} ELSE {name} END"
        if self._whole_texts:
            return name
        return f"CASE WHEN instr({name}, char(0)) THEN CAST('{CARRIED}' || {name} AS BLOB) ELSE {name} END"
