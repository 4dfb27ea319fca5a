"""What the parts of a filter mean together: each operator and function, with the types of its operands.

Null is as in `tidesync.predicate`, two-valued: it equals null, is neither less nor greater than anything, and
`x ne 1` holds where x is null. Text compares by code point, and `length` counts code points.

* `div` is real division in 2.0, as its clients and its server have it; in 3.0 two integers divide as
  integers, towards zero, as OData 4 says.
* `indexof` and `substring` are no functions of the query AST: they are taken where the comparison they stand
  in is exactly a search (`indexof(x,'a') ge 0` is `contains(x,'a')`), and refused elsewhere.
"""

from __future__ import annotations

from typing import Final, cast

import attrs

from tidesync.expressions import NUMBERS
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
    Value,
)
from tidesync.transports.http.values import SAFE_INT
from tidesync.transports.service.odata import spellings
from tidesync.transports.service.odata.literals import OWN_TYPES, Constant
from tidesync.transports.service.odata.searches import Search, compared
from tidesync.transports.service.odata.tokens import FilterError
from tidesync.values import ColumnType

_ANY, _BOOLEAN, _INTEGER, _FLOAT = ColumnType.ANY, ColumnType.BOOLEAN, ColumnType.INTEGER, ColumnType.FLOAT
_DECIMAL, _STRING = ColumnType.DECIMAL, ColumnType.STRING
_TEXTS: Final = frozenset((_STRING, ColumnType.UUID, ColumnType.ENUM))
_TEXTUAL: Final = frozenset((_STRING, ColumnType.ENUM, _ANY))
_NUMERIC: Final = NUMBERS | {_ANY}
_DAYS: Final = frozenset((ColumnType.DATETIME, ColumnType.DATE))
_CLOCKS: Final = frozenset((ColumnType.DATETIME, ColumnType.TIME))
_TURNED: Final[dict[CompareOp, CompareOp]] = {
    "eq": "eq",
    "ne": "ne",
    "lt": "gt",
    "gt": "lt",
    "le": "ge",
    "ge": "le",
}

_ON_TEXT: Final[dict[str, tuple[Function, ColumnType]]] = {
    "tolower": ("lower", _STRING),
    "toupper": ("upper", _STRING),
    "trim": ("trim", _STRING),
    "length": ("length", _INTEGER),
}
_ON_TEXTS: Final[dict[str, tuple[Function, ColumnType]]] = {
    "concat": ("concat", _STRING),
    "contains": ("contains", _BOOLEAN),
    "substringof": ("contains", _BOOLEAN),
    "startswith": ("startswith", _BOOLEAN),
    "endswith": ("endswith", _BOOLEAN),
}
_ON_TIME: Final = {
    **dict.fromkeys(("year", "month", "day"), _DAYS),
    **dict.fromkeys(("hour", "minute", "second"), _CLOCKS),
}
_ON_NUMBER: Final = frozenset(("round", "floor", "ceiling"))
_SEARCHES: Final = {"indexof": (2,), "substring": (2, 3)}


@attrs.define
class Term:
    """A part of a filter that has been read.

    `depth` counts how deep its expression nests. `constant` is set for a constant, whose `expr` is then
    what it is alone; `search` for a function that only a comparison gives a meaning. `divided`: an integer
    division is in it, whose operands are in its expression twice.
    """

    expr: Expr
    type: ColumnType
    at: int
    depth: int = 1
    constant: Constant | None = None
    search: Search | None = None
    divided: bool = False

    @property
    def spoken(self) -> str:
        """What it is, in a message."""
        if self.constant is not None:
            return self.constant.spoken
        return f"{self.expr.name}" if isinstance(self.expr, Field) else "this expression"


def of_constant(constant: Constant) -> Term:
    """A constant; what it is worth is known when it meets something."""
    return Term(Value(None), OWN_TYPES[constant.kind], constant.at, constant=constant)


def of_field(field: Field, at: int) -> Term:
    """A column."""
    return Term(field, field.type, at)


def condition(term: Term) -> Expr:
    """The term as something that holds or does not. Raises `FilterError`."""
    _no_search(term)
    if term.constant is not None:
        if term.constant.kind != "boolean":
            raise FilterError(f"{term.spoken} is no condition: compare it with something", term.at)
        return term.constant.alone()
    if term.type not in (_BOOLEAN, _ANY):
        raise FilterError(
            f"{term.spoken} is {term.type.value}, which is no condition: compare it with something", term.at
        )
    return term.expr


def joined(word: str, terms: list[Term]) -> Term:
    """`a and b and c`, or with `or`: one node, whatever its parentheses were."""
    items: list[Expr] = []
    depth = 0
    for term in terms:
        expr = condition(term)
        if isinstance(expr, And if word == "and" else Or):
            items.extend(expr.items)
            depth = max(depth, term.depth)
        else:
            items.append(expr)
            depth = max(depth, term.depth + 1)
    whole = And(tuple(items)) if word == "and" else Or(tuple(items))
    return Term(whole, _BOOLEAN, terms[0].at, depth, divided=any(term.divided for term in terms))


def negated(term: Term) -> Term:
    """`not a`."""
    return Term(Not(condition(term)), _BOOLEAN, term.at, term.depth + 1, divided=term.divided)


def minus(term: Term, at: int) -> Term:
    """`-a`."""
    operand = _numeric(term, "-")
    return Term(Negate(operand.expr), operand.type, at, term.depth + 1, divided=term.divided)


def comparison(op: CompareOp, left: Term, right: Term, at: int) -> Term:
    """`a op b`; a constant is read as the type of the other side. Raises `FilterError`."""
    depth, divided = max(left.depth, right.depth) + 1, left.divided or right.divided
    if left.search is not None or right.search is not None:
        if left.search is None:
            left, right, op = right, left, _TURNED[op]
        return Term(_searched(op, left, right), _BOOLEAN, left.at, depth + 5, divided=divided)
    if left.type is _ANY and right.constant is not None and right.constant.kind == "moment":
        expr = spellings.compared(op, left.expr, str(right.constant.value))
        return Term(expr, _BOOLEAN, left.at, left.depth + spellings.DEPTH, divided=divided)
    if right.type is _ANY and left.constant is not None and left.constant.kind == "moment":
        return comparison(_TURNED[op], right, left, at)
    a, b = _met(left, right)
    if op not in ("eq", "ne") and ColumnType.BYTES in (left.type, right.type):
        raise FilterError("bytes have no order: only eq and ne", at)
    return Term(Compare(op, a, b), _BOOLEAN, left.at, depth, divided=divided)


def membership(item: Term, constants: list[Constant], at: int) -> Term:
    """`a in (b,c)`. Raises `FilterError`."""
    _no_search(item)
    if item.constant is not None:
        raise FilterError("before 'in' belongs a column", at)
    values = [constant.meeting(item.type, item.spoken) for constant in constants]
    if item.type is _DECIMAL and not isinstance(item.expr, Field):
        equal = tuple(Compare("eq", item.expr, value) for value in values)
        return Term(Or(equal), _BOOLEAN, item.at, item.depth + 2)
    if item.type is _ANY:
        moments = (str(each.value) for each in constants if each.kind == "moment")
        values += [Value(text, _ANY) for moment in moments for text in spellings.spellings(moment)]
    return Term(In(item.expr, tuple(value.value for value in values)), _BOOLEAN, item.at, item.depth + 1)


def arithmetic(op: ArithmeticOp, left: Term, right: Term, at: int, *, whole: bool) -> Term:
    """`a op b` on numbers; `whole`: two integers divide towards zero. Raises `FilterError`."""
    word = f"'{op}'"
    a, b = _numeric(left, word), _numeric(right, word)
    types = {a.type, b.type}
    if _DECIMAL in types:
        a, b = (_exactly(term) for term in (a, b))
    result = next((type for type in (_DECIMAL, _ANY, _FLOAT) if type in types), _INTEGER)
    depth, divided = max(left.depth, right.depth) + 1, left.divided or right.divided
    if op != "div" or result is not _INTEGER:
        return Term(Arithmetic(op, a.expr, b.expr), result, left.at, depth, divided=divided)
    if not whole:
        return Term(Arithmetic("div", a.expr, b.expr), _FLOAT, left.at, depth, divided=divided)
    if divided:
        raise FilterError(
            "an integer division of an integer division is not supported: divide by 2.0, say", at
        )
    # A remainder has the sign of what is divided: without it the division leaves nothing over.
    multiple = Arithmetic("sub", a.expr, Arithmetic("mod", a.expr, b.expr))
    return Term(Arithmetic("div", multiple, b.expr), _INTEGER, left.at, depth + 2, divided=True)


def call(name: str, arguments: list[Term], at: int) -> Term:
    """A function of its arguments. Raises `FilterError`."""
    if name not in FUNCTIONS:
        raise FilterError(f"the function {name!r:.60} is not supported", at)
    counts = _SEARCHES.get(name, (2,) if name in _ON_TEXTS else (1,))
    if len(arguments) not in counts:
        spoken = " or ".join(map(str, counts))
        raise FilterError(f"{name} takes {spoken} arguments, not {len(arguments)}", at)
    depth, divided = max(term.depth for term in arguments) + 1, any(term.divided for term in arguments)
    if name in _SEARCHES:
        search = _search(name, arguments)
        return Term(search.text, _STRING, at, depth, search=search, divided=divided)
    function, type, operands = _typed_call(name, arguments)
    return Term(Call(function, tuple(operands)), type, at, depth, divided=divided)


FUNCTIONS: Final = _ON_TEXT.keys() | _ON_TEXTS.keys() | _ON_TIME.keys() | _ON_NUMBER | _SEARCHES.keys()


def _typed_call(name: str, arguments: list[Term]) -> tuple[Function, ColumnType, list[Expr]]:
    if name in _ON_TEXT:
        return *_ON_TEXT[name], [_textual(arguments[0], name)]
    if name in _ON_TEXTS:
        operands = [_textual(term, name) for term in arguments]
        return *_ON_TEXTS[name], operands[::-1] if name == "substringof" else operands
    if name in _ON_TIME:
        return cast("Function", name), _INTEGER, [_temporal(arguments[0], name)]
    number = _numeric(arguments[0], name)
    return cast("Function", name), number.type, [number.expr]


def _no_search(term: Term) -> None:
    if term.search is not None:
        raise FilterError(f"{term.search.name} is not supported here: {term.search.only}", term.at)


def _searched(op: CompareOp, left: Term, right: Term) -> Expr:
    search = left.search
    found = None
    if search is not None and right.constant is not None:
        found = compared(search, op, right.constant)
    if search is None or found is None:
        _no_search(left)
        raise FilterError("this comparison is not supported", left.at)
    return found


def _search(name: str, arguments: list[Term]) -> Search:
    text = _textual(arguments[0], name)
    if name == "indexof":
        return Search("indexof", text, _textual(arguments[1], name))
    numbers = [term.constant for term in arguments[1:]]
    if not all(number is not None and number.kind == "integer" for number in numbers):
        raise FilterError(
            "substring is supported with numbers only, such as substring(x,0,3)", arguments[1].at
        )
    start, *length = [int(str(number.value)) for number in numbers if number is not None]
    if not all(0 <= number <= SAFE_INT for number in (start, *length)):
        raise FilterError("substring counts from 0 on", arguments[1].at)
    return Search("substring", text, None, start, length[0] if length else None)


def _textual(term: Term, name: str) -> Expr:
    _no_search(term)
    if term.constant is not None and term.constant.kind == "text":
        return term.constant.alone()
    if term.constant is not None or term.type not in _TEXTUAL:
        raise FilterError(f"{name} takes text, and {term.spoken} is {_kind(term)}", term.at)
    return term.expr


def _temporal(term: Term, name: str) -> Expr:
    _no_search(term)
    if term.constant is not None or term.type not in _ON_TIME[name]:
        raise FilterError(
            f"{name} takes a column of dates or times, and {term.spoken} is {_kind(term)}", term.at
        )
    return term.expr


def _numeric(term: Term, name: str) -> Term:
    _no_search(term)
    if term.constant is not None and term.type in NUMBERS:
        value = term.constant.alone()
        return attrs.evolve(term, expr=value, type=value.type)
    if term.constant is not None or term.type not in _NUMERIC:
        raise FilterError(f"{name} takes numbers, and {term.spoken} is {_kind(term)}", term.at)
    return term


def _exactly(term: Term) -> Term:
    return term if term.constant is None else attrs.evolve(term, expr=term.constant.meeting(_DECIMAL, "this"))


def _kind(term: Term) -> str:
    return "none" if term.constant is not None else term.type.value


def _met(left: Term, right: Term) -> tuple[Expr, Expr]:
    """Both sides of a comparison, constants as the type of the other side."""
    match left.constant, right.constant:
        case None, None:
            types = {left.type, right.type}
            alike = len(types) == 1 or _ANY in types or types <= NUMBERS or types <= _TEXTS
            if alike and ColumnType.JSON not in types:
                return left.expr, right.expr
            raise FilterError(
                f"{left.spoken} is {left.type.value} and {right.spoken} is {right.type.value}: they never compare",
                right.at,
            )
        case None, Constant() as constant:
            return left.expr, constant.meeting(left.type, left.spoken)
        case Constant() as constant, None:
            return constant.meeting(right.type, right.spoken), right.expr
        case Constant() as one, Constant() as other:
            return _constants(one, other)
    raise AssertionError  # the cases above are all there are


def _constants(one: Constant, other: Constant) -> tuple[Expr, Expr]:
    types = {OWN_TYPES[one.kind], OWN_TYPES[other.kind]}
    if types <= NUMBERS and _DECIMAL in types:
        return one.meeting(_DECIMAL, "this"), other.meeting(_DECIMAL, "this")
    if len(types) > 1 and not types <= NUMBERS and _ANY not in types:
        raise FilterError(f"{one.spoken} is never compared with {other.spoken}", other.at)
    return one.alone(), other.alone()
