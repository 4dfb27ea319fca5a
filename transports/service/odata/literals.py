"""Constants as they are spelt, and what they are once it is known which column they meet.

A number is exact for a DECIMAL column and a float or an integer for any other; a date, a time, a moment or a
guid becomes the canonical form of `tidesync.values`; text stands for any of these where the column holds them.
A moment without a zone is in UTC; digits beyond microseconds are cut off, as they are where records come in.
An undeclared field holds a date as some client spelt it: see `spellings`, and for functions as the wire spells one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite
from typing import Final, Literal, TypeAlias

import attrs

from tidesync.query import Value
from tidesync.records import INT_MAX, INT_MIN, Json
from tidesync.transports.http.values import wire_moment
from tidesync.transports.service.odata.tokens import FilterError, Token, surrogate_in
from tidesync.values import (
    ColumnType,
    Misfit,
    decode_bytes,
    decode_date,
    decode_datetime,
    decode_decimal,
    decode_time,
    decode_uuid,
    encode_bytes,
    encode_date,
    encode_datetime,
    encode_time,
    encode_uuid,
)

LiteralKind: TypeAlias = Literal[
    "null", "boolean", "integer", "float", "decimal", "text", "moment", "date", "time", "guid"
]
_SPOKEN: Final[dict[LiteralKind, str]] = {
    "null": "null",
    "boolean": "a boolean",
    "integer": "a number",
    "float": "a number",
    "decimal": "a number",
    "text": "text",
    "moment": "a date and time",
    "date": "a date",
    "time": "a time of day",
    "guid": "a guid",
}
MOST_DIGITS: Final = 60
_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_MIDNIGHT: Final = "T00:00:00.000000Z"
CASTS: Final[dict[str, LiteralKind]] = {
    "Edm.DateTimeOffset": "moment",
    "Edm.DateTime": "moment",
    "Edm.Date": "date",
    "Edm.TimeOfDay": "time",
    "Edm.Guid": "guid",
}


@attrs.frozen
class Constant:
    """A constant as it was written: its kind, its value so far, and where it begins."""

    kind: LiteralKind
    value: Json
    at: int

    @property
    def spoken(self) -> str:
        """What it is, in a message."""
        return _SPOKEN[self.kind]

    def meeting(self, type: ColumnType, what: str) -> Value:
        """The constant as a value of the type that it meets in `what`. Raises `FilterError`."""
        if self.kind == "null":
            return Value(None, type)
        read = _READERS[type].get(self.kind)
        if read is None:
            raise FilterError(f"{what} is {type.value}, which is never compared with {self.spoken}", self.at)
        try:
            return read(self.value)
        except Misfit as error:
            raise FilterError(
                f"{what} is {type.value}, and {self.value!a:.60} does not fit: {error}", self.at
            ) from error

    def alone(self) -> Value:
        """The constant as a value of the type that it says itself. Raises `FilterError`."""
        return self.meeting(OWN_TYPES[self.kind], "this")


OWN_TYPES: Final[dict[LiteralKind, ColumnType]] = {
    "null": ColumnType.ANY,
    "boolean": ColumnType.BOOLEAN,
    "integer": ColumnType.INTEGER,
    "float": ColumnType.FLOAT,
    "decimal": ColumnType.DECIMAL,
    "text": ColumnType.STRING,
    "moment": ColumnType.DATETIME,
    "date": ColumnType.DATE,
    "time": ColumnType.TIME,
    "guid": ColumnType.UUID,
}


def constant(token: Token, *, negative: bool = False) -> Constant | None:
    """The constant that a word spells; None if it spells none. Raises `FilterError`."""
    kind, text, at = token
    match kind:
        case "number":
            return _number(text, at, negative)
        case "text":
            return Constant("text", _unquoted(text, at), at)
        case "quoted":
            word, _, quoted = text.partition("'")
            return _dated("guid" if word == "guid" else "moment", _unquoted(f"'{quoted}", at), at)
        case "date" | "time" | "moment" | "guid":
            return _dated(kind, text, at)
        case "name" if text in ("true", "false"):
            return Constant("boolean", text == "true", at)
        case "name" if text == "null":
            return Constant("null", None, at)
        case _:
            return None


def cast_to(given: Constant, name: Token) -> Constant:
    """`cast(given, name)`, for constants whose text is of that type already. Raises `FilterError`."""
    kind = CASTS.get(name.text)
    if kind is None:
        raise FilterError(f"a cast to {name.shown} is not supported", name.at)
    if given.kind == "null":
        return given
    if not isinstance(given.value, str):
        raise FilterError(f"{given.spoken} cannot be cast to {name.text}", given.at)
    return _dated(kind, given.value, given.at)


def _unquoted(quoted: str, at: int) -> str:
    text = quoted[1:-1].replace("''", "'")
    if surrogate_in(text) is not None:
        raise FilterError("this text holds a lone surrogate, which no record does", at)
    return text


def _number(text: str, at: int, negative: bool) -> Constant:
    digits = f"-{text}" if negative else text
    suffix = digits[-1].lower()
    if suffix in "lmfd":
        digits = digits[:-1]
    else:
        suffix = ""
    if len(digits) > MOST_DIGITS:
        raise FilterError(f"this number has more than {MOST_DIGITS} characters", at)
    whole = "." not in digits and "e" not in digits.lower()
    if not isfinite(float(digits)):
        raise FilterError("no column holds a number as large as this", at)
    if suffix == "m":
        return Constant("decimal", digits, at)
    if whole and suffix in ("", "l"):
        return Constant("integer", digits, at)
    return Constant("float", digits, at)


def _dated(kind: LiteralKind, text: str, at: int) -> Constant:
    try:
        return Constant(kind, _CANONICAL[kind](text), at)
    except Misfit as error:
        raise FilterError(f"{text!a:.60} is not {_SPOKEN[kind]}: {error}", at) from error


def _moment(text: str) -> str:
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise Misfit("it is not an instant such as 2026-11-20T03:45:05.507Z")
    day, clock, seconds, fraction, zone = found.groups()
    full = f"{day}T{clock or '00:00'}{seconds or ':00'}{fraction or ''}{zone or 'Z'}"
    return str(encode_datetime(decode_datetime(full)))


def _date(text: str) -> str:
    if len(text) > 10:
        moment = _moment(text)
        if not moment.endswith(_MIDNIGHT):
            raise Misfit("it is a time of day as well")
        return moment[:10]
    return str(encode_date(decode_date(text)))


def _time(text: str) -> str:
    return str(encode_time(decode_time(text)))


def _guid(text: str) -> str:
    return str(encode_uuid(decode_uuid(text)))


_CANONICAL: Final[dict[LiteralKind, Callable[[str], str]]] = {
    "moment": _moment,
    "date": _date,
    "time": _time,
    "guid": _guid,
}

# -- from the text of a constant to the value of a type -------------------------------------------------

_Reader: TypeAlias = Callable[[Json], Value]


def _as_text(type: ColumnType, canonical: Callable[[str], Json] = str) -> _Reader:
    return lambda value: Value(canonical(str(value)), type)


def _as_is(value: Json) -> Value:
    return Value(value, ColumnType.BOOLEAN)


def _as_integer(value: Json) -> Value:
    number = int(str(value))
    if not INT_MIN <= number <= INT_MAX:
        raise Misfit("it does not fit 64 bits")
    return Value(number, ColumnType.INTEGER)


def _as_float(value: Json) -> Value:
    return Value(float(str(value)), ColumnType.FLOAT)


def _as_number(value: Json) -> Value:
    """A number whose type is told by its digits, for columns that count in binary."""
    text = str(value)
    return _as_integer(value) if text.lstrip("-").isdigit() else _as_float(value)


def _as_decimal(value: Json) -> Value:
    number = decode_decimal(value)
    if abs(number.adjusted()) > 400:
        raise Misfit("it is too large or too small")
    return Value(str(number), ColumnType.DECIMAL)


def _bytes(text: str) -> Json:
    return encode_bytes(decode_bytes(text))


_NUMBERS: Final[dict[LiteralKind, _Reader]] = {
    "integer": _as_integer,
    "float": _as_float,
    "decimal": _as_number,
}
_TEXT, _ANY, _DAY = ColumnType.STRING, ColumnType.ANY, ColumnType.DATE
_INSTANT: Final = _as_text(ColumnType.DATETIME, _moment)
_READERS: Final[dict[ColumnType, dict[LiteralKind, _Reader]]] = {
    ColumnType.STRING: {"text": _as_text(_TEXT), "guid": _as_text(_TEXT)},
    ColumnType.INTEGER: _NUMBERS,
    ColumnType.FLOAT: _NUMBERS,
    ColumnType.BOOLEAN: {"boolean": _as_is},
    ColumnType.DATETIME: {"moment": _INSTANT, "date": _INSTANT, "text": _INSTANT},
    ColumnType.DATE: dict.fromkeys(("date", "moment", "text"), _as_text(_DAY, _date)),
    ColumnType.TIME: dict.fromkeys(("time", "text"), _as_text(ColumnType.TIME, _time)),
    ColumnType.DECIMAL: dict.fromkeys(("integer", "float", "decimal", "text"), _as_decimal),
    ColumnType.UUID: dict.fromkeys(("guid", "text"), _as_text(ColumnType.UUID, _guid)),
    ColumnType.ENUM: {"text": _as_text(ColumnType.ENUM), "integer": _as_integer},
    ColumnType.BYTES: {"text": _as_text(ColumnType.BYTES, _bytes)},
    ColumnType.JSON: {},
    ColumnType.ANY: {
        **_NUMBERS,
        "boolean": _as_is,
        "text": _as_text(_ANY),
        "guid": _as_text(_ANY),
        "date": _as_text(_ANY),
        "time": _as_text(_ANY),
        "moment": _as_text(_ANY, wire_moment),
    },
}
"""By the type that a constant meets and its kind: how it is read; what is not here never compares."""
