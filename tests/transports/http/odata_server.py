"""An OData filter evaluated the way servers do it, written apart from the code under test.

`sqlite` is the real 2.0 server on its sqlite provider: three-valued logic, comparison by storage class
(number before text, booleans are numbers), text by its UTF-8 bytes; an unknown column empties the answer.
`database` is one behind a 3.0 server, with the two things that differ between databases as options: whether
text is compared without regard to case, and whether null is unequal to a value.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

Row = Mapping[str, Any]
Compare = Callable[[str, Any, Any], bool | None]
_TOKEN = re.compile(
    r"\s*(?:(?P<moment>datetimeoffset'[^']*'|cast\([^,]*,Edm\.DateTimeOffset\))|(?P<text>'(?:[^']|'')*')"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>[(),]))"
)
_COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")


class BadFilter(Exception):
    """The server would answer 500."""


class NoColumn(Exception):
    """The column does not exist."""


@attrs.frozen
class Moment:
    """A timestamp as the server holds it: cut to milliseconds, as text."""

    text: str


def moment(text: str) -> str:
    """A date literal as the text that the sqlite provider compares with."""
    value = datetime.fromisoformat(text).astimezone(UTC)
    return value.isoformat(timespec="milliseconds")[:-6] + "Z"


def tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadFilter(f"{text[at : at + 20]!r}")
        found.append((match.lastgroup or "", match[match.lastgroup or ""]))
        at = match.end()
    return found


@attrs.define
class Filter:
    """One parsed filter; `holds(row)` is True, False or None for unknown."""

    text: str
    columns: frozenset[str]
    compare: Compare
    _tokens: list[tuple[str, str]] = attrs.field(init=False)
    _at: int = attrs.field(init=False, default=0)

    def holds(self, row: Row) -> bool | None:
        self._tokens, self._at = tokens(self.text), 0
        value = self._or(row)
        if self._at != len(self._tokens):
            raise BadFilter(self.text)
        return value

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise BadFilter(self.text)
        self._at += 1
        return self._tokens[self._at - 1]

    def _or(self, row: Row) -> bool | None:
        value = self._and(row)
        while self._peek() == "or":
            self._next()
            other = self._and(row)
            value = True if True in (value, other) else None if None in (value, other) else False
        return value

    def _and(self, row: Row) -> bool | None:
        value = self._not(row)
        while self._peek() == "and":
            self._next()
            other = self._not(row)
            value = False if False in (value, other) else None if None in (value, other) else True
        return value

    def _not(self, row: Row) -> bool | None:
        if self._peek() == "not":
            self._next()
            value = self._not(row)
            return None if value is None else not value
        return self._comparison(row)

    def _comparison(self, row: Row) -> bool | None:
        if self._peek() == "(":
            self._next()
            value = self._or(row)
            if self._next()[1] != ")":
                raise BadFilter(self.text)
            return value
        left = self._operand(row)
        if self._peek() not in _COMPARISONS:
            if left is None or isinstance(left, bool):
                return left
            raise BadFilter(self.text)
        op = self._next()[1]
        right = self._operand(row)
        return self.compare(op, left, right)

    def _operand(self, row: Row) -> Any:
        kind, text = self._next()
        if kind == "moment":
            inner = text.split("'")[1] if "'" in text else text[5:].split(",")[0]
            return Moment(moment(inner))
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text) if any(mark in text for mark in ".eE") else int(text)
        if kind != "word":
            raise BadFilter(self.text)
        if text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        if self._peek() == "(":
            return self._call(text, row)
        if text not in self.columns:
            raise NoColumn(text)
        return row.get(text)

    def _call(self, name: str, row: Row) -> Any:
        self._next()
        arguments = [self._operand(row)]
        while self._peek() == ",":
            self._next()
            arguments.append(self._operand(row))
        if self._next()[1] != ")":
            raise BadFilter(self.text)
        return self.compare(name, arguments[0], arguments[1])


def _relation(op: str, a: Any, b: Any) -> bool:
    return {"eq": a == b, "ne": a != b, "gt": a > b, "ge": a >= b, "lt": a < b, "le": a <= b}[op]


def sqlite(op: str, left: Any, right: Any) -> bool | None:
    """How the 2.0 server compares."""
    if op not in _COMPARISONS:
        raise BadFilter(op)
    if right is None and op in ("eq", "ne"):
        return (left is None) is (op == "eq")
    if left is None or right is None:
        return None

    def key(value: Any) -> tuple[int, Any]:
        if isinstance(value, Moment):
            return 1, value.text.encode()
        return (1, value.encode()) if isinstance(value, str) else (0, value)

    return _relation(op, key(left), key(right))


def database(*, ignore_case: bool, null_differs: bool) -> Compare:
    """How a 3.0 server compares, on one of the databases that it may have."""

    def compare(op: str, left: Any, right: Any) -> bool | None:
        if op in ("eq", "ne") and (left is None or right is None):
            same = left is None and right is None
            if right is not None and op == "ne":
                return True if null_differs else None
            return same is (op == "eq")
        if left is None or right is None:
            return None
        if isinstance(right, Moment):
            return _relation(op, moment(left), right.text)
        if isinstance(left, str) is not isinstance(right, str) or isinstance(left, bool) is not isinstance(
            right, bool
        ):
            raise BadFilter("types differ: 400")
        if isinstance(left, str) and ignore_case:
            left, right = left.casefold(), right.casefold()
        if op == "contains":
            return right in left
        if op in ("startswith", "endswith"):
            return bool(getattr(left, op)(right))
        return _relation(op, left, right)

    return compare
