"""Column types, and the one JSON form that each of them has.

| type | Python | canonical JSON | ordered as stored |
|---|---|---|---|
| STRING, INTEGER, FLOAT, BOOLEAN | str, int, float, bool | itself | yes |
| DATETIME | aware datetime | "2026-11-20T03:45:05.507000Z": UTC, always 27 characters | yes |
| DATE | date | "2026-11-20" | yes |
| TIME | naive time | "03:45:05.507000" | yes |
| DECIMAL | Decimal | its text, exact ("1.50") | no: compared by number |
| UUID | UUID | lower-case text with dashes | yes |
| ENUM | Enum | its value (text or integer) | yes |
| BYTES | bytes | base64 text | equality only |
| JSON | list, dict, nested class | itself | not queried inside |
| ANY | any JSON value | itself | by type, then value |

`encode` is strict: what it takes is what the column holds. `decode` also reads other spellings of the same
value (an offset instead of Z, fewer digits, a number for a DECIMAL), because a field that was unknown until
the class named it is stored as the remote sent it. `canonical` turns those spellings into the one above.
"""

from __future__ import annotations

import binascii
import enum
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

import attrs

from tidesync.errors import InvalidRecord
from tidesync.records import INT_MAX, INT_MIN, Json, check_json


class ColumnType(enum.Enum):
    """What a column holds; it shapes indexes and queries, never what may be stored."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    DATE = "date"
    TIME = "time"
    DECIMAL = "decimal"
    UUID = "uuid"
    ENUM = "enum"
    BYTES = "bytes"
    JSON = "json"
    ANY = "any"


Encode: TypeAlias = Callable[[Any], Json]
Decode: TypeAlias = Callable[[Any], Any]


class Misfit(ValueError):
    """A value that its column cannot hold, and why; whoever knows the column's name says which."""


def encode(type: ColumnType, value: object, *, table: str = "", field: str = "value") -> Json:
    """The canonical JSON form of a value (None is null); `InvalidRecord` if the type cannot hold it."""
    try:
        return None if value is None else ENCODERS[type](value)
    except Misfit as error:
        raise InvalidRecord(table, field, name_of(value), str(error)) from error


def decode(type: ColumnType, value: Json, *, table: str = "", field: str = "value") -> object:
    """The Python value that JSON stands for in a column of the type; `InvalidRecord` if for none.

    An ENUM gives its bare value: only a class knows the members.
    """
    try:
        return None if value is None else DECODERS[type](value)
    except Misfit as error:
        raise InvalidRecord(table, field, name_of(value), str(error)) from error


def canonical(type: ColumnType, value: Json) -> Json:
    """The canonical form of JSON in whatever spelling; what the type cannot read comes back as it is."""
    if value is None or type in _SPELT_ONE_WAY:
        return value
    try:
        return ENCODERS[type](DECODERS[type](value))
    except Misfit:
        return value


def name_of(value: object) -> str:
    """The name of a value's type, for messages."""
    return "null" if value is None else type(value).__name__


# -- encode: Python to canonical JSON -------------------------------------------------------------------


def encode_string(value: object) -> Json:
    """Text, without lone surrogates."""
    if type(value) is not str:
        if not isinstance(value, str):
            raise Misfit("the column holds text: give a str")
        value = str.__str__(value)
    if not value.isascii():
        try:
            _ = value.encode()
        except UnicodeEncodeError:
            raise Misfit("it holds a lone surrogate, which no encoding can carry") from None
    return value


def encode_integer(value: object) -> Json:
    """An integer of 64 bits; a boolean is none."""
    if type(value) is not int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Misfit("the column holds integers: give an int")
        value = int.__int__(value)
    if not INT_MIN <= value <= INT_MAX:
        raise Misfit("it does not fit 64 bits: store it as text")
    return value


def encode_float(value: object) -> Json:
    """A finite float; an integer if a float can hold it exactly."""
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = 0.0
        if number != value:
            raise Misfit("no float holds this integer exactly")
        return number
    if not isinstance(value, float):
        raise Misfit("the column holds floats: give a float")
    if not isfinite(value):
        raise Misfit(f"{value} is not JSON: use None")
    return float.__float__(value)


def encode_boolean(value: object) -> Json:
    """True or False."""
    if value is True or value is False:
        return value
    raise Misfit("the column holds booleans: give True or False")


def encode_datetime(value: object) -> Json:
    """UTC text of 27 characters; a naive datetime is refused, since nobody knows which instant it means."""
    if not isinstance(value, datetime):
        raise Misfit("the column holds instants: give an aware datetime")
    if value.tzinfo is not UTC:
        if value.utcoffset() is None:
            raise Misfit("it has no time zone: use datetime.now(UTC), or value.astimezone()")
        try:
            value = value.astimezone(UTC)
        except OverflowError:
            raise Misfit("in UTC it is outside the years 1 to 9999") from None
    return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def encode_date(value: object) -> Json:
    """A calendar day."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Misfit("the column holds dates: give a date")
    return value.isoformat()


def encode_time(value: object) -> Json:
    """A time of day without zone, to the microsecond."""
    if not isinstance(value, time):
        raise Misfit("the column holds times of day: give a time")
    if value.tzinfo is not None:
        raise Misfit("it has a time zone, which a time of day cannot keep: use value.replace(tzinfo=None)")
    return value.isoformat(timespec="microseconds")


def encode_decimal(value: object) -> Json:
    """The decimal's text, digit for digit; an integer is exact too."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal):
        raise Misfit("the column holds exact decimals: give a Decimal")
    if not value.is_finite():
        raise Misfit(f"{value} is not a number that JSON has: use None")
    return str(value)


def encode_uuid(value: object) -> Json:
    """Lower-case text with dashes."""
    if not isinstance(value, UUID):
        raise Misfit("the column holds UUIDs: give a uuid.UUID")
    return str(value)


def encode_enum(value: object) -> Json:
    """The value of a member, which is text or an integer."""
    return scalar(value.value if isinstance(value, enum.Enum) else value)


def scalar(value: object) -> Json:
    """Text or an integer, else `Misfit`: what the values of an enumeration may be."""
    return encode_string(value) if isinstance(value, str) else encode_integer(value)


def encode_bytes(value: object) -> Json:
    """Base64 text (RFC 4648, padded)."""
    if not isinstance(value, bytes | bytearray):
        raise Misfit("the column holds bytes: give bytes")
    return b64encode(value).decode("ascii")


def encode_json(value: object) -> Json:
    """A deep copy of JSON, so that nobody else holds what is stored."""
    if type(value) is str:
        return encode_string(value)
    try:
        check_json("", "", value)
    except InvalidRecord as error:
        raise Misfit(f"{error.field}: {error.reason}" if error.field else error.reason) from error
    return copy_json(value)


def copy_json(value: Any) -> Json:
    """A deep copy of legal JSON."""
    if isinstance(value, dict):
        return {key: copy_json(item) for key, item in cast("dict[str, Json]", value).items()}
    return [copy_json(item) for item in cast("list[Json]", value)] if isinstance(value, list) else value


ENCODERS: Final[dict[ColumnType, Encode]] = {
    ColumnType.STRING: encode_string,
    ColumnType.INTEGER: encode_integer,
    ColumnType.FLOAT: encode_float,
    ColumnType.BOOLEAN: encode_boolean,
    ColumnType.DATETIME: encode_datetime,
    ColumnType.DATE: encode_date,
    ColumnType.TIME: encode_time,
    ColumnType.DECIMAL: encode_decimal,
    ColumnType.UUID: encode_uuid,
    ColumnType.ENUM: encode_enum,
    ColumnType.BYTES: encode_bytes,
    ColumnType.JSON: encode_json,
    ColumnType.ANY: encode_json,
}
"""From a value (never None) to its canonical form, by type; `Misfit` if the type cannot hold it."""


# -- decode: JSON to Python -----------------------------------------------------------------------------


@attrs.frozen
class _Shape:
    """How the canonical text of a type looks, and what reads it (`ValueError` for the 31st of February)."""

    pattern: re.Pattern[str]
    parse: Callable[[str], object]


_DAY, _CLOCK = r"\d{4}-\d\d-\d\d", r"(?:[01]\d|2[0-3]):\d\d:\d\d\.\d{6}"
_HEX = "[0-9a-f]"
_CANONICAL: Final = {
    ColumnType.DATETIME: _Shape(re.compile(f"{_DAY}T{_CLOCK}Z", re.ASCII), datetime.fromisoformat),
    ColumnType.DATE: _Shape(re.compile(_DAY, re.ASCII), date.fromisoformat),
    ColumnType.TIME: _Shape(re.compile(_CLOCK, re.ASCII), time.fromisoformat),
    ColumnType.UUID: _Shape(re.compile(f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"), str),
}
_INSTANT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII
)
_CLOCK_TIME: Final = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)(?:(:[0-5]\d)(\.\d+)?)?", re.ASCII)


def _text(value: object, what: str) -> str:
    if type(value) is not str:
        raise Misfit(f"the column holds {what}, as text")
    return value


def decode_float(value: object) -> float:
    """A float; JSON may spell it as an integer."""
    if type(value) is float or type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise Misfit("no float holds this integer") from error
    raise Misfit("the column holds floats")


def decode_datetime(value: object) -> datetime:
    """An aware datetime in UTC, from ISO 8601 text with a zone; digits beyond microseconds are cut off."""
    text = _text(value, "instants")
    try:
        if _CANONICAL[ColumnType.DATETIME].pattern.fullmatch(text):
            return datetime.fromisoformat(text)
        found = _INSTANT.fullmatch(text)
        if found is None:
            raise Misfit("it is not an instant such as 2026-11-20T03:45:05.507000Z")
        day, clock, fraction, zone = found.groups()
        return datetime.fromisoformat(f"{day}T{clock}{_micros(fraction)}{zone.upper()}").astimezone(UTC)
    except OverflowError:
        raise Misfit("in UTC it is outside the years 1 to 9999") from None
    except ValueError as error:
        raise error if isinstance(error, Misfit) else Misfit("there is no such instant") from None


def decode_date(value: object) -> date:
    """A date."""
    text = _text(value, "dates")
    if is_canonical(ColumnType.DATE, text):
        return date.fromisoformat(text)
    raise Misfit("it is not a date such as 2026-11-20")


def decode_time(value: object) -> time:
    """A naive time of day; seconds may be missing, digits beyond microseconds are cut off."""
    found = _CLOCK_TIME.fullmatch(_text(value, "times of day"))
    if found is None:
        raise Misfit("it is not a time such as 03:45:05.507000")
    return time.fromisoformat(f"{found[1]}{found[2] or ':00'}{_micros(found[3])}")


def _micros(fraction: str | None) -> str:
    return (fraction or ".")[:7].ljust(7, "0")


def decode_decimal(value: object) -> Decimal:
    """An exact decimal, from its text; a JSON number is read by its digits."""
    if type(value) is int or type(value) is float:
        value = repr(value)
    try:
        number = Decimal(_text(value, "decimals"))
    except InvalidOperation:
        raise Misfit("it is not a decimal such as 1.50") from None
    if not number.is_finite():
        raise Misfit("it is not a finite number")
    return number


def decode_uuid(value: object) -> UUID:
    """A UUID, from its text in either case."""
    text = _text(value, "UUIDs")
    if not is_canonical(ColumnType.UUID, text.lower()):
        raise Misfit("it is not a UUID such as 0190a6f2-7c1e-7a3b-8f00-1234567890ab")
    return UUID(text)


def decode_bytes(value: object) -> bytes:
    """Bytes, from base64 text."""
    try:
        return binascii.a2b_base64(_text(value, "bytes").encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Misfit("it is not base64") from None


DECODERS: Final[dict[ColumnType, Decode]] = {
    **ENCODERS,
    ColumnType.FLOAT: decode_float,
    ColumnType.DATETIME: decode_datetime,
    ColumnType.DATE: decode_date,
    ColumnType.TIME: decode_time,
    ColumnType.DECIMAL: decode_decimal,
    ColumnType.UUID: decode_uuid,
    ColumnType.ENUM: scalar,
    ColumnType.BYTES: decode_bytes,
}
"""From JSON (never null) to the Python value, by type; `Misfit` if it stands for none."""

_RESPELT: Final = frozenset({ColumnType.DECIMAL, ColumnType.BYTES})
_SPELT_ONE_WAY: Final = frozenset(
    (
        ColumnType.STRING,
        ColumnType.INTEGER,
        ColumnType.BOOLEAN,
        ColumnType.ENUM,
        ColumnType.JSON,
        ColumnType.ANY,
    )
)


def is_canonical(type: ColumnType, value: Json) -> bool:
    """Whether JSON (not null) is the form that a column of the type holds; cheap, for every pulled record."""
    shape = _CANONICAL.get(type)
    try:
        if shape is None:
            decoded = DECODERS[type](value)
            return type not in _RESPELT or ENCODERS[type](decoded) == value
        if not isinstance(value, str) or shape.pattern.fullmatch(value) is None:
            return False
        _ = shape.parse(value)
    except ValueError:  # Misfit is one
        return False
    return True
