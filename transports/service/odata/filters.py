"""Reads a filter: operator precedence on two stacks, so that no text can exhaust the interpreter's own.

From the loosest: `or`, `and`, `eq ne`, `gt ge lt le in`, `add sub`, `mul div mod`, `not` and `-`. Operators and
functions are in lower case. Parentheses cost nothing; what counts as depth is the expression they leave, in
which `a or (b or c)` is one node: clients write a long list of alternatives as one pair around the other.
"""

from __future__ import annotations

from typing import Final, cast, get_args

import attrs

from tidesync.query import ArithmeticOp, CompareOp, Expr
from tidesync.schema import TableSchema
from tidesync.transports.http.values import Dialect
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.odata import terms
from tidesync.transports.service.odata.literals import Constant, cast_to, constant
from tidesync.transports.service.odata.names import Names
from tidesync.transports.service.odata.terms import Term
from tidesync.transports.service.odata.tokens import FilterError, Token, tokens_of

_STRENGTH: Final = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(("eq", "ne"), 3),
    **dict.fromkeys(("gt", "ge", "lt", "le", "in"), 4),
    **dict.fromkeys(("add", "sub"), 5),
    **dict.fromkeys(("mul", "div", "mod"), 6),
}
_UNARY: Final = 7
_COMPARISONS: Final[dict[str, CompareOp]] = {op: op for op in get_args(CompareOp)}


def parse_filter(text: str, schema: TableSchema, *, dialect: Dialect, closed: bool, limits: Limits) -> Expr:
    """The condition that a filter is, over the table's local names.

    `closed`: only declared columns have a name. Raises `FilterError`, and nothing else, for any other text.
    """
    return _Parser(text, Names(schema, closed=closed), dialect, limits).read()


@attrs.define
class _Waiting:
    """An operator that waits for its right side, or a bracket that waits to be closed.

    `strength` 0 is a bracket: `word` is then the name of its function, or "(". `first` is the number of terms
    that were there when it opened.
    """

    word: str
    strength: int
    at: int
    first: int = 0


class _Parser:
    def __init__(self, text: str, names: Names, dialect: Dialect, limits: Limits) -> None:
        self._words = tokens_of(text, limits.filter)
        self._place = 0
        self._names, self._whole, self._most = names, dialect == "3.0", limits.depth
        self._terms: list[Term] = []
        self._waiting: list[_Waiting] = []

    def read(self) -> Expr:
        operand = True
        while True:
            word = self._next()
            if operand:
                operand = self._operand(word)
            elif word.kind == "end":
                break
            else:
                operand = self._operator(word)
        self._reduce(0)
        if self._waiting:
            raise FilterError("this parenthesis is not closed", self._waiting[-1].at)
        return terms.condition(self._terms[0])

    def _next(self) -> Token:
        word = self._words[self._place]
        self._place += 1
        return word

    def _peek(self) -> Token:
        return self._words[self._place]

    def _expect(self, mark: str, what: str) -> None:
        word = self._next()
        if word.text != mark:
            raise FilterError(f"{what}, not {word.shown}", word.at)

    # -- where a value belongs: whether another must follow

    def _operand(self, word: Token) -> bool:
        if word.kind == "mark":
            return self._opening(word)
        if word.kind == "end":
            raise FilterError("a value is missing at the end", word.at)
        if word.kind == "name":
            if self._is_call(word):
                return self._call(word)
            if word.text == "not":
                self._waiting.append(_Waiting("not", _UNARY, word.at))
                return True
        found = constant(word)
        if found is not None:
            self._push(terms.of_constant(found))
        else:
            if self._peek().text == "/":
                raise FilterError("a path into a column is not supported", self._peek().at)
            self._push(terms.of_field(self._names.field(word), word.at))
        return False

    def _is_call(self, word: Token) -> bool:
        return self._peek().text == "(" and word.text != "not"

    def _opening(self, word: Token) -> bool:
        if word.text == "(":
            self._waiting.append(_Waiting("(", 0, word.at, len(self._terms)))
            return True
        if word.text == "-":
            if self._peek().kind != "number":
                self._waiting.append(_Waiting("-", _UNARY, word.at))
                return True
            self._push(terms.of_constant(self._constant(word)))
            return False
        raise FilterError(f"a value belongs here, not {word.shown}", word.at)

    def _constant(self, word: Token) -> Constant:
        """The constant that begins with a word, which may be a minus. Raises `FilterError`."""
        number = self._next() if word.text == "-" and self._peek().kind == "number" else None
        found = constant(word) if number is None else constant(number._replace(at=word.at), negative=True)
        if found is None:
            raise FilterError(f"a constant belongs here, not {word.shown}", word.at)
        return found

    def _call(self, word: Token) -> bool:
        if word.text == "cast":
            self._push(terms.of_constant(self._cast()))
            return False
        if word.text not in terms.FUNCTIONS:
            raise FilterError(f"the function {word.shown} is not supported", word.at)
        self._place += 1
        self._waiting.append(_Waiting(word.text, 0, word.at, len(self._terms)))
        return True

    def _cast(self) -> Constant:
        """`cast(constant,Edm.Type)`, of which the first word has been read."""
        self._place += 1
        given = self._constant(self._next())
        self._expect(",", "a cast has two parts: a comma belongs here")
        name = self._next()
        found = cast_to(given, name)
        self._expect(")", "a parenthesis closes a cast")
        return found

    # -- behind a value: whether another must follow

    def _operator(self, word: Token) -> bool:
        strength = _STRENGTH.get(word.text) if word.kind == "name" else None
        if strength is not None:
            self._reduce(strength)
            if word.text == "in":
                self._members(word)
                return False
            self._waiting.append(_Waiting(word.text, strength, word.at))
            return True
        if word.kind == "mark" and word.text in "),":
            return self._closing(word)
        raise FilterError(f"an operator belongs here, not {word.shown}", word.at)

    def _closing(self, word: Token) -> bool:
        self._reduce(0)
        if not self._waiting:
            raise FilterError("nothing is open that this could close", word.at)
        opened = self._waiting[-1]
        if word.text == ",":
            if opened.word == "(":
                raise FilterError("a comma belongs between the arguments of a function", word.at)
            return True
        self._waiting.pop()
        if opened.word != "(":
            arguments = self._terms[opened.first :]
            del self._terms[opened.first :]
            self._push(terms.call(opened.word, arguments, opened.at))
        return False

    def _members(self, word: Token) -> None:
        self._expect("(", "after 'in' come constants in parentheses")
        constants: list[Constant] = []
        if self._peek().text == ")":
            self._place += 1
        else:
            after = ","
            while after == ",":
                item = self._next()
                is_cast = item.text == "cast" and self._is_call(item)
                constants.append(self._cast() if is_cast else self._constant(item))
                mark = self._next()
                if mark.kind != "mark" or mark.text not in ",)":
                    raise FilterError(f"a comma or a parenthesis belongs here, not {mark.shown}", mark.at)
                after = mark.text
        self._push(terms.membership(self._terms.pop(), constants, word.at))

    # -- operators meet their operands

    def _reduce(self, strength: int) -> None:
        """Apply what binds as strongly as the operator that comes, or more strongly; brackets stay."""
        while self._waiting and self._waiting[-1].strength >= max(strength, 1):
            self._apply(self._waiting.pop())

    def _apply(self, top: _Waiting) -> None:
        right = self._terms.pop()
        if top.strength == _UNARY:
            self._push(terms.negated(right) if top.word == "not" else terms.minus(right, top.at), top.at)
            return
        left = self._terms.pop()
        compare = _COMPARISONS.get(top.word)
        if compare is not None:
            self._push(terms.comparison(compare, left, right, top.at), top.at)
        elif top.strength <= 2:
            self._push(terms.joined(top.word, [left, right]), top.at)
        else:
            op = cast("ArithmeticOp", top.word)
            self._push(terms.arithmetic(op, left, right, top.at, whole=self._whole), top.at)

    def _push(self, term: Term, at: int | None = None) -> None:
        if term.depth > self._most:
            raise FilterError(
                f"the filter nests more than {self._most} deep here", term.at if at is None else at
            )
        self._terms.append(term)
