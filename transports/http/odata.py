"""The part of a condition that a remote may be trusted with, as OData text; pure.

What is sent always lets through every record that the condition lets through, by the meaning of
`tidesync.predicate`; `exact` says whether it lets through nothing else. What a remote gets wrong is left
out, and a conjunction is sent without it:

* 2.0 (seen on the real server): `ne`, `not` and comparisons with null drop nulls; text, date and remainder
  functions answer wrongly or not at all; a user's dates are compared as text in whatever form each client
  wrote them; an unknown column makes the whole answer empty, so an `or` may only name columns that every
  branch needs, or that exist.
* 3.0: text is compared by the database's collation, so equality and `contains` find too much, while an
  order, or the negation of either, may find too little.
* Both: numbers beyond 2**53; functions of case and length; arithmetic; undeclared fields.

Two things are taken on trust: that 2.0 compares text by code point (the sqlite provider does), and that a
boolean column holds booleans.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from tidesync.query import And, Call, Compare, Expr, Field, In, Not, Or, Order, Value
from tidesync.records import Json
from tidesync.transports.http.values import SAFE_INT, Dialect, Form, is_canonical, millisecond, shifted
from tidesync.values import ColumnType

TEXT_LIMIT: Final = 1_000
IN_LIMIT: Final = 40
FILTER_LIMIT: Final = 5_000
"""Servers refuse an address of more than 8 or 16 kilobytes."""
_TEXT: Final = (ColumnType.STRING, ColumnType.UUID, ColumnType.ENUM, ColumnType.BYTES)
_NUMBER: Final = (ColumnType.INTEGER, ColumnType.FLOAT, ColumnType.ENUM)
_FLIPPED: Final = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}
_NEGATED: Final = {"lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
ALWAYS: Final = frozenset(("id", "version", "createdAt", "updatedAt"))


@attrs.frozen
class Part:
    """What can be said of a condition.

    `text` None says nothing. `needs`: columns that must hold a value for it to hold.
    """

    text: str | None = None
    exact: bool = False
    used: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


_ALL: Final = Part(None, exact=True)
_NOTHING: Final = Part(None, exact=False)


@attrs.frozen
class Split:
    """The filter to send (None: none), whether it is the whole condition, and columns worth knowing of."""

    text: str | None
    exact: bool
    wants: frozenset[str] = frozenset()


def text_literal(text: str) -> str:
    """Text in quotes, quotes inside doubled."""
    return "'" + text.replace("'", "''") + "'"


def moment_literal(wire: str, dialect: Dialect) -> str:
    """A point in time."""
    return f"datetimeoffset'{wire}'" if dialect == "2.0" else f"cast({wire},Edm.DateTimeOffset)"


def number_literal(number: int | float) -> str | None:
    """A number that the remote reads as the same number; None if it would not."""
    if isinstance(number, int):
        return str(number) if abs(number) <= SAFE_INT else None
    return repr(number)


def split(where: Expr | None, form: Form) -> Split:
    """What to send of a condition."""
    if where is None:
        return Split(None, True)
    translator = _Translator(form)
    part = translator.part(where, negate=False)
    if part.text is not None and address_length(part.text) > FILTER_LIMIT:
        return Split(None, False)
    return Split(part.text, part.exact, frozenset(translator.wants))


def ordering(order: Sequence[Order], form: Form) -> list[tuple[str, bool]] | None:
    """Wire columns and directions of an ordering; None if the remote cannot be trusted with it."""
    keys: list[tuple[str, bool]] = []
    for key in order:
        wire = form.wire_name(key.by.name) if isinstance(key.by, Field) else None
        type = form.column_type(key.by.name) if isinstance(key.by, Field) else ColumnType.ANY
        if wire is None or type in (ColumnType.ANY, ColumnType.JSON, ColumnType.DECIMAL):
            return None
        keys.append((wire, key.descending))
    return keys


def address_length(text: str) -> int:
    """How long a text is in an address, where every other byte than a letter or digit takes three places."""
    return sum(1 if byte < 0x80 and chr(byte).isalnum() else 3 for byte in text.encode("utf-8", "replace"))


def any_of(ids: Iterable[str]) -> str:
    """A filter for these records."""
    return " or ".join(f"id eq {text_literal(id)}" for id in ids)


def both(*filters: str | None) -> str | None:
    """The conjunction of what is given; None if nothing is."""
    given = [text for text in filters if text]
    return " and ".join(f"({text})" for text in given) if len(given) > 1 else (given[0] if given else None)


class _Translator:
    def __init__(self, form: Form) -> None:
        self.form = form
        self.dialect: Dialect = form.dialect
        self.wants: set[str] = set()

    def part(self, expr: Expr, *, negate: bool) -> Part:
        match expr:
            case And(items) | Or(items):
                parts = [self.part(item, negate=negate) for item in items]
                return self._and(parts) if isinstance(expr, And) is not negate else self._or(parts)
            case Not(item):
                return self.part(item, negate=not negate)
            case Field(name):
                return self._compare("eq", name, True, negate)
            case Value(value):
                return _ALL if (value is True) is not negate else self._never()
            case Compare(op, Field(name), Value(value, type)) if type is not ColumnType.DECIMAL:
                return self._compare(op, name, value, negate)
            case Compare(op, Value(value, type), Field(name)) if type is not ColumnType.DECIMAL:
                return self._compare(_FLIPPED.get(op, op), name, value, negate)
            case In(Field(name), values) if not negate and len(values) <= IN_LIMIT:
                return self._or([self._compare("eq", name, value, False) for value in values])
            case Call(function, (Field(name), Value(value))) if not negate and self.dialect == "3.0":
                return self._search(function, name, value)
            case _:
                return _NOTHING

    def _and(self, parts: list[Part]) -> Part:
        said = [part for part in parts if part.text is not None]
        text = " and ".join(f"({part.text})" for part in said) if len(said) > 1 else None
        return Part(
            said[0].text if len(said) == 1 else text,
            all(part.exact for part in parts),
            frozenset[str]().union(*(part.used for part in said)),
            frozenset[str]().union(*(part.needs for part in said)),
        )

    def _or(self, parts: list[Part]) -> Part:
        if not parts:
            return self._never()
        if any(part.text is None for part in parts):
            return _ALL if _ALL in parts else _NOTHING
        used = frozenset[str]().union(*(part.used for part in parts))
        needs = parts[0].needs.intersection(*(part.needs for part in parts))
        if self.dialect == "2.0":
            doubtful = used - needs - ALWAYS - self.form.known
            if doubtful:
                self.wants |= doubtful
                return _NOTHING
        text = " or ".join(f"({part.text})" for part in parts) if len(parts) > 1 else parts[0].text
        return Part(text, all(part.exact for part in parts), used, needs)

    def _never(self) -> Part:
        return Part("id eq ''", True, frozenset(("id",)), frozenset(("id",)))

    def _leaf(self, wire: str, text: str, *, exact: bool = True) -> Part:
        return Part(text, exact, frozenset((wire,)), frozenset((wire,)))

    def _compare(self, op: str, name: str, value: Json, negate: bool) -> Part:
        wire, type = self.form.wire_name(name), self.form.column_type(name)
        if wire is None or wire == "version":
            return _NOTHING
        if value is None:
            return self._null(op, wire, negate)
        if isinstance(value, bool):
            return self._boolean(op, wire, value, negate) if type is ColumnType.BOOLEAN else _NOTHING
        if isinstance(value, int | float):
            return self._number(op, wire, value, negate) if type in _NUMBER else _NOTHING
        if not isinstance(value, str) or negate or len(value) > TEXT_LIMIT:
            return _NOTHING
        if type is ColumnType.DATETIME:
            return self._moment(op, wire, value)
        return self._text(op, wire, type, value) if type in _TEXT else _NOTHING

    def _null(self, op: str, wire: str, negate: bool) -> Part:
        if self.dialect == "2.0" or op not in ("eq", "ne"):
            return _NOTHING
        wanted = op if not negate else {"eq": "ne", "ne": "eq"}[op]
        return Part(f"{wire} {wanted} null", True, frozenset((wire,)))

    def _boolean(self, op: str, wire: str, value: bool, negate: bool) -> Part:
        if op not in ("eq", "ne"):
            return _NOTHING
        if (op == "eq") is not negate:
            # The Node.js server gives back as true whatever is not false: "not false" finds what reads as true.
            # It leaves out nulls by itself, and others do not.
            loose = value and self.dialect == "2.0"
            text = f"{wire} ne false and {wire} ne null" if loose else f"{wire} eq {str(value).lower()}"
            return self._leaf(wire, text)
        if self.dialect == "2.0":
            return _NOTHING
        return Part(f"{wire} ne {str(value).lower()} or {wire} eq null", True, frozenset((wire,)))

    def _number(self, op: str, wire: str, value: int | float, negate: bool) -> Part:
        literal = number_literal(value)
        if literal is None:
            return _NOTHING
        if op in ("eq", "ne"):
            if (op == "eq") is not negate:
                return self._leaf(wire, f"{wire} eq {literal}")
        elif not negate:
            return self._leaf(wire, f"{wire} {op} {literal}")
        if self.dialect == "2.0":
            return _NOTHING
        wanted = _NEGATED.get(op, "ne")
        return Part(f"{wire} {wanted} {literal} or {wire} eq null", True, frozenset((wire,)))

    def _text(self, op: str, wire: str, type: ColumnType, value: str) -> Part:
        if op == "ne" or (op != "eq" and (self.dialect == "3.0" or type is ColumnType.BYTES)):
            return _NOTHING
        if self.dialect == "3.0" and type is not ColumnType.STRING:
            return _NOTHING  # a Guid, an enum or bytes there may want a literal of its own
        return self._leaf(wire, f"{wire} {op} {text_literal(value)}", exact=self.dialect == "2.0")

    def _moment(self, op: str, wire: str, value: str) -> Part:
        """A comparison by whole milliseconds: the remote may keep more decimals than it shows, or fewer."""
        if op == "ne" or (self.dialect == "2.0" and wire not in ALWAYS) or not is_canonical(value):
            return _NOTHING
        floor = millisecond(value)
        after = shifted(floor, 0.001)
        low, high = moment_literal(floor, self.dialect), moment_literal(after, self.dialect)
        text = {
            "eq": f"{wire} ge {low} and {wire} lt {high}",
            "gt": f"{wire} ge {low}",
            "ge": f"{wire} ge {low}",
            "lt": f"{wire} lt {high}",
            "le": f"{wire} lt {high}",
        }[op]
        return self._leaf(wire, text, exact=op == "ge" and value.endswith("000Z"))

    def _search(self, function: str, name: str, value: Json) -> Part:
        wire, type = self.form.wire_name(name), self.form.column_type(name)
        if (
            function not in ("contains", "startswith", "endswith")
            or wire is None
            or type is not ColumnType.STRING
        ):
            return _NOTHING
        if not isinstance(value, str) or not value or len(value) > TEXT_LIMIT:
            return _NOTHING
        return self._leaf(wire, f"{function}({wire},{text_literal(value)})", exact=False)
