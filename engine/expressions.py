"""Column handles: `todos.c.text.contains("milk") & ~todos.c.complete`, frozen into the AST of query.py.

A constant is checked and encoded where it is written: `InvalidQuery` names the column and both types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from decimal import Decimal
from typing import Final, NoReturn, final

import attrs

from tidesync.constants import CONSTANTS
from tidesync.errors import InvalidQuery
from tidesync.query import (
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
    Value,
)
from tidesync.records import Json
from tidesync.values import ColumnType, Encode, Misfit, name_of

NUMBERS: Final = frozenset({ColumnType.INTEGER, ColumnType.FLOAT, ColumnType.DECIMAL})
_BINARY: Final = frozenset({ColumnType.INTEGER, ColumnType.FLOAT})
_NUMERIC: Final = NUMBERS | {ColumnType.ANY}
_TEXTS: Final = frozenset({ColumnType.STRING, ColumnType.UUID, ColumnType.ENUM})
_TEXTUAL: Final = frozenset({ColumnType.STRING, ColumnType.ANY})
_CONDITIONS: Final = frozenset({ColumnType.BOOLEAN, ColumnType.ANY})
_DAYS: Final = frozenset({ColumnType.DATETIME, ColumnType.DATE, ColumnType.ANY})
_CLOCKS: Final = frozenset({ColumnType.DATETIME, ColumnType.TIME, ColumnType.ANY})
_AST: Final = (Field, Value, Compare, In, And, Or, Not, Arithmetic, Negate, Call)


@final
@attrs.frozen(eq=False, repr=False)
class Expression:
    """A column, or something computed from columns. It has no truth value: combine with `& | ~`."""

    expr: Expr
    type: ColumnType
    label: str
    _encode: Encode

    def __repr__(self) -> str:
        return f"<{self.label}: {self.type.value}>"

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"{self.label} is known only for each record: use & | ~ instead of and, or, not, and "
            "(a < x) & (x < b) instead of a < x < b"
        )

    __hash__ = object.__hash__

    # -- comparisons: == and != make a condition, which is not the bool that object promises

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("eq", other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("ne", other)

    def __lt__(self, other: object) -> Expression:
        return self._compare("lt", other)

    def __le__(self, other: object) -> Expression:
        return self._compare("le", other)

    def __gt__(self, other: object) -> Expression:
        return self._compare("gt", other)

    def __ge__(self, other: object) -> Expression:
        return self._compare("ge", other)

    def is_null(self) -> Expression:
        """Holds where the field is null or missing."""
        return self._compare("eq", None)

    def is_not_null(self) -> Expression:
        """Holds where the field has a value."""
        return self._compare("ne", None)

    def is_in(self, values: Iterable[object]) -> Expression:
        """Holds where the field equals one of the values; nowhere if there are none."""
        self._queried()
        if isinstance(values, str | bytes | Mapping):
            raise InvalidQuery(f"{self.label}.is_in() takes a list of values, not one of them")
        # A set has another order in each process, and the same query has to be known again in the next one.
        given = sorted(values, key=repr) if isinstance(values, Set) else list(values)
        if any(isinstance(value, Expression) for value in given) or (
            self.type is ColumnType.DECIMAL and not isinstance(self.expr, Field)
        ):
            return _condition(Or(tuple(Compare("eq", self.expr, self._operand(value)) for value in given)))
        return _condition(In(self.expr, tuple(self._constant(value) for value in given)))

    def between(self, low: object, high: object) -> Expression:
        """Holds from low to high, both included."""
        return (self >= low) & (self <= high)

    # -- conditions

    def __and__(self, other: object) -> Expression:
        return _condition(And((*_items(And, self), *_items(And, other))))

    def __rand__(self, other: object) -> Expression:
        return _condition(And((*_items(And, other), *_items(And, self))))

    def __or__(self, other: object) -> Expression:
        return _condition(Or((*_items(Or, self), *_items(Or, other))))

    def __ror__(self, other: object) -> Expression:
        return _condition(Or((*_items(Or, other), *_items(Or, self))))

    def __invert__(self) -> Expression:
        return _condition(Not(condition(self)))

    # -- numbers

    def __add__(self, other: object) -> Expression:
        if self.type is ColumnType.STRING or (self.type is ColumnType.ANY and isinstance(other, str)):
            return self.concat(other)
        return self._arithmetic("add", other)

    def __radd__(self, other: object) -> Expression:
        if isinstance(other, str):
            return self._call("concat", _TEXTUAL, ColumnType.STRING, first=other)
        return self._arithmetic("add", other, swapped=True)

    def __sub__(self, other: object) -> Expression:
        return self._arithmetic("sub", other)

    def __rsub__(self, other: object) -> Expression:
        return self._arithmetic("sub", other, swapped=True)

    def __mul__(self, other: object) -> Expression:
        return self._arithmetic("mul", other)

    def __rmul__(self, other: object) -> Expression:
        return self._arithmetic("mul", other, swapped=True)

    def __truediv__(self, other: object) -> Expression:
        return self._arithmetic("div", other)

    def __rtruediv__(self, other: object) -> Expression:
        return self._arithmetic("div", other, swapped=True)

    def __mod__(self, other: object) -> Expression:
        return self._arithmetic("mod", other)

    def __rmod__(self, other: object) -> Expression:
        return self._arithmetic("mod", other, swapped=True)

    def __neg__(self) -> Expression:
        self._must_be(_NUMERIC, "-")
        return _computed(Negate(self.expr), self.type, f"-{self.label}")

    def round(self) -> Expression:
        """The nearest whole number, halves away from zero."""
        return self._call("round", _NUMERIC, self.type)

    def floor(self) -> Expression:
        """The largest whole number that is not larger."""
        return self._call("floor", _NUMERIC, self.type)

    def ceiling(self) -> Expression:
        """The smallest whole number that is not smaller."""
        return self._call("ceiling", _NUMERIC, self.type)

    # -- text

    def contains(self, text: object) -> Expression:
        """Holds where the text is somewhere in the field; case counts, and every character means itself."""
        return self._call("contains", _TEXTUAL, ColumnType.BOOLEAN, text)

    def startswith(self, text: object) -> Expression:
        """Holds where the field begins with the text; case counts, and every character means itself."""
        return self._call("startswith", _TEXTUAL, ColumnType.BOOLEAN, text)

    def endswith(self, text: object) -> Expression:
        """Holds where the field ends with the text; case counts, and every character means itself."""
        return self._call("endswith", _TEXTUAL, ColumnType.BOOLEAN, text)

    def concat(self, text: object) -> Expression:
        """The field's text followed by another."""
        return self._call("concat", _TEXTUAL, ColumnType.STRING, text)

    def lower(self) -> Expression:
        """The text in lower case, by Unicode."""
        return self._call("lower", _TEXTUAL, ColumnType.STRING)

    def upper(self) -> Expression:
        """The text in upper case, by Unicode."""
        return self._call("upper", _TEXTUAL, ColumnType.STRING)

    def trim(self) -> Expression:
        """The text without whitespace at both ends."""
        return self._call("trim", _TEXTUAL, ColumnType.STRING)

    def length(self) -> Expression:
        """How many characters (code points) the text has."""
        return self._call("length", _TEXTUAL, ColumnType.INTEGER)

    # -- dates and times, in UTC

    def year(self) -> Expression:
        """The year, in UTC."""
        return self._call("year", _DAYS, ColumnType.INTEGER)

    def month(self) -> Expression:
        """The month, 1 to 12, in UTC."""
        return self._call("month", _DAYS, ColumnType.INTEGER)

    def day(self) -> Expression:
        """The day of the month, 1 to 31, in UTC."""
        return self._call("day", _DAYS, ColumnType.INTEGER)

    def hour(self) -> Expression:
        """The hour, 0 to 23, in UTC."""
        return self._call("hour", _CLOCKS, ColumnType.INTEGER)

    def minute(self) -> Expression:
        """The minute, 0 to 59, in UTC."""
        return self._call("minute", _CLOCKS, ColumnType.INTEGER)

    def second(self) -> Expression:
        """The whole second, 0 to 59."""
        return self._call("second", _CLOCKS, ColumnType.INTEGER)

    # -- order

    def ascending(self) -> Order:
        """A key of `order_by`: nulls first."""
        self._queried()
        return Order(self.expr)

    def descending(self) -> Order:
        """A key of `order_by`, all of it turned round: nulls last."""
        self._queried()
        return Order(self.expr, descending=True)

    # -- how they are made

    def _queried(self) -> None:
        if self.type is ColumnType.JSON:
            raise InvalidQuery(
                f"{self.label} is JSON, which is stored and not queried: give it a column of its own"
            )

    def _must_be(self, types: frozenset[ColumnType], operation: str) -> None:
        self._queried()
        if self.type not in types:
            raise InvalidQuery(f"{operation} has no meaning for {self.label}, which is {self.type.value}")

    def _compare(self, op: CompareOp, other: object) -> Expression:
        self._queried()
        if op not in ("eq", "ne"):
            if other is None:
                raise InvalidQuery(f"{self.label}: nothing is before or after None: use is_null()")
            if self.type is ColumnType.BYTES:
                raise InvalidQuery(
                    f"{self.label} is bytes, which have no order in their stored form: only == and !="
                )
        return _condition(Compare(op, self.expr, self._operand(other)))

    def _arithmetic(self, op: ArithmeticOp, other: object, *, swapped: bool = False) -> Expression:
        self._must_be(_NUMERIC, f"'{op}'")
        if other is None:
            raise InvalidQuery(f"{self.label}: None is no number")
        if isinstance(other, Expression):
            other._must_be(_NUMERIC, f"'{op}'")
        left, right = self.expr, self._operand(other)
        types = {self.type, other.type if isinstance(other, Expression) else _number_type(other)}
        if swapped:
            left, right = right, left
        return _computed(Arithmetic(op, left, right), _result(op, types), f"({self.label} {op} …)")

    def _call(
        self,
        function: Function,
        types: frozenset[ColumnType],
        result: ColumnType,
        *arguments: object,
        first: object = None,
    ) -> Expression:
        self._must_be(types, f"{function}()")
        if any(argument is None for argument in arguments):
            raise InvalidQuery(f"{self.label}.{function}(None) has no meaning: give a text")
        operands = [self.expr, *map(self._operand, arguments)]
        if first is not None:
            operands.insert(0, self._operand(first))
        return _computed(Call(function, tuple(operands)), result, f"{self.label}.{function}()")

    def _operand(self, other: object) -> Expr:
        if not isinstance(other, Expression):
            constant = self._constant(other)
            return Value(constant, self.type if self.type not in _BINARY else _number_type(constant))
        other._queried()
        types = {self.type, other.type}
        if len(types) == 1 or ColumnType.ANY in types or types <= NUMBERS or types <= _TEXTS:
            return other.expr
        raise InvalidQuery(
            f"{self.label} is {self.type.value} and {other.label} is {other.type.value}: they never compare"
        )

    def _constant(self, value: object) -> Json:
        if value is None:
            return None
        try:
            return self._encode(value)
        except Misfit as error:
            raise InvalidQuery(
                f"{self.label} is {self.type.value}, and cannot be compared with a {name_of(value)}: {error}"
            ) from error


def _computed(expr: Expr, type: ColumnType, label: str) -> Expression:
    return Expression(expr, type, label, CONSTANTS[type])


def _condition(expr: Expr) -> Expression:
    return _computed(expr, ColumnType.BOOLEAN, "a condition")


def _number_type(value: object) -> ColumnType:
    if isinstance(value, Decimal):
        return ColumnType.DECIMAL
    return ColumnType.FLOAT if isinstance(value, float) else ColumnType.INTEGER


def _result(op: ArithmeticOp, types: set[ColumnType]) -> ColumnType:
    for type in (ColumnType.DECIMAL, ColumnType.ANY, ColumnType.FLOAT):
        if type in types:
            return type
    return ColumnType.FLOAT if op == "div" else ColumnType.INTEGER


def _items(kind: type[And | Or], value: object) -> tuple[Expr, ...]:
    expr = condition(value)
    return expr.items if isinstance(expr, And | Or) and isinstance(expr, kind) else (expr,)


def condition(value: object) -> Expr:
    """The AST of a condition; `TypeError` for what Python made of a comparison before a column saw it."""
    if isinstance(value, Expression):
        if value.type not in _CONDITIONS:
            raise InvalidQuery(
                f"{value.label} is {value.type.value}, which is no condition: compare it with something"
            )
        return value.expr
    if isinstance(value, bool):
        raise TypeError(
            f"{value} is no condition: it says the same of every record. If it was a comparison, one of its "
            "sides must be a column handle, such as todos.c.complete; leave where() out to select all records"
        )
    if isinstance(value, _AST):
        return value
    raise TypeError(
        f"{name_of(value)} is no condition: build one from column handles, such as todos.c.complete"
    )


def any_of(*conditions: object) -> Expression:
    """Holds where one of the conditions does; nowhere if there are none."""
    return _condition(Or(tuple(map(condition, conditions))))


def every_of(*conditions: object) -> Expression:
    """Holds where all of the conditions do; everywhere if there are none."""
    return _condition(And(tuple(map(condition, conditions))))
