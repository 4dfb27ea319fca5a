"""Records between their local form and the form they have on the wire; pure.

| column | local (canonical) | 2.0 | 3.0 |
|---|---|---|---|
| DATETIME | `2026-11-20T03:45:05.507000Z` | 3 decimals, 6 where microseconds need them | the same |
| JSON | any JSON value | its JSON text: the server would store `[object Object]` | itself |
| everything else | canonical | itself | itself |

What comes back is made canonical again where a server is known to change the form and keep the value: dates
of any offset and number of decimals, whole numbers in a FLOAT column, numbers in a DECIMAL column. What
cannot be read stays as it is: the engine decides what to do with a value that does not fit its column.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, cast

from tidesync.errors import ConfigurationError, InvalidId, InvalidRecord
from tidesync.records import INT_MAX, INT_MIN, Json, Record, Tombstone, check_record, same
from tidesync.schema import TableSchema
from tidesync.values import ColumnType

Dialect: TypeAlias = Literal["2.0", "3.0"]
Decode: TypeAlias = Callable[[Json], Json]

SYSTEM: Final = {"version": "version", "createdAt": "created_at", "updatedAt": "updated_at"}
"""System columns on the wire, and their local names."""
WIRE_SYSTEM: Final = {local: wire for wire, local in SYSTEM.items()} | {"id": "id"}
RESERVED: Final = frozenset(name.lower() for name in ("id", "deleted", *SYSTEM))
ESCAPE: Final = "~"
DAWN: Final = "0001-01-01T00:00:00.000Z"
DUSK: Final = "9999-12-31T23:59:59.999Z"
SAFE_INT: Final = 2**53
_NAME_2 = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z", re.ASCII)
_SHORT: Final = len("2026-11-20T03:45:05.507Z")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", re.ASCII)


class Unsendable(Exception):
    """Content that this protocol cannot carry; `code` and `message` become a `Rejected`."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


class Twice(dict[str, Json]):
    """A JSON object in which a key occurred twice: nobody can say which value was meant."""


def canonical_moment(value: Json) -> Json:
    """A timestamp of any offset and number of decimals as canonical text; anything else as it is."""
    if not isinstance(value, str) or not _ISO.match(value):
        return value
    try:
        moment = datetime.datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return value
        if (
            len(value) == _SHORT and value[19] == "." and value[23] == "Z" and value[10] == "T"
        ):  # nearly always
            return value[:23] + "000Z"
        return moment.astimezone(datetime.UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    except (ValueError, OverflowError):
        return value


def is_canonical(text: str) -> bool:
    """Whether text is a point in time in canonical form."""
    return bool(_CANONICAL.match(text)) and canonical_moment(text) == text


def wire_moment(value: Json) -> Json:
    """Canonical text with the decimals that the wire knows: three, or six where microseconds need them."""
    if isinstance(value, str) and _CANONICAL.match(value) and value.endswith("000Z"):
        return value[:-4] + "Z"
    return value


def millisecond(canonical: str) -> str:
    """Canonical text cut to the millisecond it lies in, as the wire writes it."""
    return canonical[:23] + "Z"


def shifted(wire: str, seconds: float) -> str:
    """A wire timestamp moved by some seconds; never before the year 1."""
    moment = datetime.datetime.fromisoformat(wire)
    try:
        moment += datetime.timedelta(seconds=seconds)
    except OverflowError:
        moment = datetime.datetime.fromisoformat(DAWN if seconds < 0 else DUSK)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


_BEYOND: Final = 10**308
"""From here on an integer may be no float at all."""


def _whole(value: Json) -> Json:
    """A float without fraction as the integer that was meant."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < SAFE_INT else value


def _real(value: Json) -> Json:
    """An integer in a FLOAT column as the float that was meant, exactly or in digits, or that alone can hold it.

    A server on JavaScript writes a large float without a fraction: the digits that tell it apart, and then zeros.
    """
    if type(value) is int and abs(value) < _BEYOND:
        real = float(value)
        if int(real) == value or int(Decimal(repr(real))) == value or not INT_MIN <= value <= INT_MAX:
            return real
    return value


def _decimal_text(value: Json) -> Json:
    return str(value) if type(value) in (int, float, Decimal) else value


def _opened(value: Json) -> Json:
    """JSON text in a JSON column as the value it stands for."""
    if not isinstance(value, str):
        return value
    try:
        opened: Json = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return opened


def _decoder(type: ColumnType, dialect: Dialect) -> Decode | None:
    if type is ColumnType.JSON:
        return _opened if dialect == "2.0" else None
    return {
        ColumnType.DATETIME: canonical_moment,
        ColumnType.INTEGER: _whole,
        ColumnType.FLOAT: _real,
        ColumnType.DECIMAL: _decimal_text,
    }.get(type)


class Form:
    """One table as it looks on the wire: names, decoders, and the columns that the remote was seen to have.

    Raises `ConfigurationError` for wire names that are reserved or used twice.
    """

    def __init__(self, schema: TableSchema, dialect: Dialect) -> None:
        self.schema = schema
        self.dialect: Dialect = dialect
        self.known: set[str] = set()
        self.exact_numbers = any(column.type is ColumnType.DECIMAL for column in schema.columns)
        self._readers: dict[str, tuple[str, Decode | None]] = {}
        folded: dict[str, str] = {}
        for column in schema.columns:
            key = column.wire.lower()
            if key in RESERVED:
                raise ConfigurationError(
                    f"{schema.name}.{column.name} is called {column.wire!r} on the wire, which the remote "
                    "reserves: rename it"
                )
            if key in folded:
                raise ConfigurationError(
                    f"{schema.name}.{column.name} and {schema.name}.{folded[key]} have one name on the wire "
                    f"({column.wire!r}): rename one"
                )
            folded[key] = column.name
            self._readers[column.wire] = (column.name, _decoder(column.type, dialect))

    def wire_name(self, field: str) -> str | None:
        """The wire name of a declared column, of id or of a system field; None for any other."""
        if field in WIRE_SYSTEM:
            return WIRE_SYSTEM[field]
        column = self.schema.by_name.get(field)
        return column.wire if column else None

    def column_type(self, field: str) -> ColumnType:
        """The type of a declared column, of id or of a system field; ANY for any other."""
        if field in ("id", "version"):
            return ColumnType.STRING
        if field in WIRE_SYSTEM:
            return ColumnType.DATETIME
        column = self.schema.by_name.get(field)
        return column.type if column else ColumnType.ANY

    def encode(self, record: Mapping[str, Json], fields: Iterable[str]) -> dict[str, Json]:
        """The fields of a record as the wire has them. Raises `Unsendable`."""
        return {
            self._sent_name(field): self._sent_value(field, record[field])
            for field in fields
            if field in record
        }

    def _sent_name(self, field: str) -> str:
        if field in self.schema.by_name:
            return self.schema.wire_name(field)
        wire = field[1:] if _escaped(field[1:]) and field[0] == ESCAPE else self.schema.wire_name(field)
        if field in WIRE_SYSTEM or wire.lower() in RESERVED:
            raise Unsendable(
                "reserved-field",
                f"{self.schema.name}.{field}: the remote has another meaning for this name: declare the "
                "column and rename it",
            )
        if self.dialect == "2.0" and not _NAME_2.match(wire):
            raise Unsendable(
                "field-name",
                f"{self.schema.name}.{field!r:.80}: the remote takes letters, digits and underscores only: "
                "declare the column and rename it",
            )
        return wire

    def _sent_value(self, field: str, value: Json) -> Json:
        type = self.column_type(field)
        if type is ColumnType.DATETIME:
            return wire_moment(value)
        if self.dialect == "3.0" or value is None:
            return value
        if type is ColumnType.JSON:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        if isinstance(value, list | dict):
            raise Unsendable(
                "structured-value",
                f"{self.schema.name}.{field} holds a {type_name(value)}, which the remote would store as "
                '"[object Object]": declare the column with a list, dict or class type',
            )
        if isinstance(value, int) and abs(value) > SAFE_INT:
            raise Unsendable(
                "integer-precision",
                f"{self.schema.name}.{field} holds an integer beyond 2**53, of which the remote would lose "
                "digits: declare it as text or Decimal",
            )
        return value

    def read(self, row: Json, sent: Record | None = None) -> tuple[str, Record | Tombstone]:
        """The id and the copy that a row of the wire stands for; raises ValueError saying why it is none.

        `sent` is what this client just wrote: where the server gives the same value back in another form (5
        for 5.0, milliseconds for microseconds), the form that was sent is kept.
        """
        if not isinstance(row, dict):
            raise ValueError(f"it is {type_name(row)}, and must be an object")
        if isinstance(row, Twice):
            raise ValueError("a key occurs twice in it")
        version = row.get("version")
        if version is not None and not isinstance(version, str):
            raise ValueError(f"its version is {type_name(version)}, and must be text")
        record: Record = {}
        for key, value in row.items():
            if key in SYSTEM or key == "deleted":
                continue
            reader = self._readers.get(key)
            if reader is not None:
                name, decode = reader
                plain = _floats(value) if self.exact_numbers and decode is not _decimal_text else value
                record[name] = plain if decode is None or plain is None else decode(plain)
            else:
                name = ESCAPE + key if _escaped(key) else self.schema.local_name(key)
                record[name] = _floats(value) if self.exact_numbers else value
        for wire, local in SYSTEM.items():
            if row.get(wire) is not None:
                record[local] = row[wire] if wire == "version" else canonical_moment(row[wire])
        try:
            id = check_record(self.schema.name, record)
        except (InvalidId, InvalidRecord) as error:
            raise ValueError(str(error)) from error
        if row.get("deleted") is True:
            return id, Tombstone(version)
        if sent is not None:
            self._adopt(record, sent)
        return id, record

    def introduces(self, record: Mapping[str, Json], fields: Iterable[str]) -> bool:
        """Whether writing these fields may make the remote add a column."""
        names = (field for field in fields if field != "id" and record.get(field) is not None)
        return any(self.schema.wire_name(name) not in self.known for name in names)

    def note(self, row: Mapping[str, object]) -> None:
        """Remember the columns of a whole row: the server never leaves one out."""
        self.known.update(row)

    def _adopt(self, got: Record, sent: Record) -> None:
        for field, value in sent.items():
            if field == "id" or field in SYSTEM.values():
                continue
            if field not in got:
                if value is None:
                    got[field] = None
            elif not same(got[field], value) and self._same_value(field, got[field], value):
                got[field] = value

    def _same_value(self, field: str, got: Json, sent: Json) -> bool:
        if isinstance(got, int | float) and isinstance(sent, int | float):
            return not isinstance(got, bool) and not isinstance(sent, bool) and got == sent
        if isinstance(got, str) and isinstance(sent, str) and self.column_type(field) is ColumnType.DATETIME:
            return bool(_CANONICAL.match(sent)) and sent[:23] + "000Z" == got
        return False


def _escaped(wire: str) -> bool:
    """Whether an undeclared field of the wire has a name that means something else here."""
    return wire in ("created_at", "updated_at")


def lone_surrogate(text: str) -> bool:
    """Whether text cannot stand in an address, or anywhere else."""
    return any("\ud800" <= character <= "\udfff" for character in text) if not text.isascii() else False


def type_name(value: object) -> str:
    """What JSON calls a value, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float | Decimal):
        return "a number"
    return "text" if isinstance(value, str) else "an array" if isinstance(value, list) else "an object"


def _floats(value: Any) -> Json:
    """JSON that was parsed with Decimal, with floats instead."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_floats(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in cast("Mapping[str, Any]", value).items()}
    plain: Json = value
    return plain
