"""Rows of an authority as each dialect shows them, and what clients send as content again; pure.

What `transports/http/values.py` does at the client's end: a moment has three decimals (six where microseconds
need them), and on 2.0 the value of a JSON column is its JSON text. A column without a value is null, never
left out. What comes in is made canonical where it is another spelling of the same value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

import attrs

from tidesync.records import Json, Record
from tidesync.schema import ESCAPE, TableSchema
from tidesync.transports.http.values import SYSTEM, Dialect, wire_moment
from tidesync.transports.layout import DELETED, HIDDEN
from tidesync.values import ColumnType, canonical

Recode: TypeAlias = Callable[[Json], Json]
Wire: TypeAlias = dict[str, Json]
"""A row or a body as it is in JSON."""

LOCAL_SYSTEM: Final = frozenset(("id", *SYSTEM.values())) | HIDDEN
WIRE_SYSTEM: Final = ("id", *SYSTEM, "deleted")
_SHOWN_AS: Final = {**{local: wire for wire, local in SYSTEM.items()}, DELETED: "deleted"}
_SPELT_MANY_WAYS: Final = (
    ColumnType.DATETIME,
    ColumnType.TIME,
    ColumnType.FLOAT,
    ColumnType.DECIMAL,
    ColumnType.UUID,
    ColumnType.BYTES,
)


def _json_text(value: Json) -> Json:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _opened(value: Json) -> Json:
    """What JSON text stands for; what is none is a value already."""
    if not isinstance(value, str):
        return value
    try:
        opened: Json = json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return value
    return opened


def _refuse(name: str) -> None:
    raise ValueError(name)


def _whole(value: Json) -> Json:
    """A number without fraction as the integer that was meant."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _out(type: ColumnType, dialect: Dialect) -> Recode | None:
    if type is ColumnType.DATETIME:
        return wire_moment
    return _json_text if type is ColumnType.JSON and dialect == "2.0" else None


def _in(type: ColumnType, dialect: Dialect) -> Recode | None:
    if type in _SPELT_MANY_WAYS:
        return partial(canonical, type)
    if type is ColumnType.INTEGER:
        return _whole
    return _opened if type is ColumnType.JSON and dialect == "2.0" else None


def _escaped(name: str) -> bool:
    """Whether a field of the wire has a name that means something else here, and is kept with a mark."""
    return name.startswith("__") or name in ("created_at", "updated_at")


@attrs.frozen
class Sent:
    """The body of a request: what the client owns, and the system columns that came along."""

    content: Record
    system: Mapping[str, Json]


class Rows:
    """One table in one dialect."""

    def __init__(self, schema: TableSchema, dialect: Dialect) -> None:
        self.schema, self.dialect = schema, dialect
        self._out = [(column.name, _out(column.type, dialect)) for column in schema.columns]
        self._in = {column.name: _in(column.type, dialect) for column in schema.columns}
        self._known = frozenset(self._in) | LOCAL_SYSTEM
        self._encoders = dict(self._out)

    def wire(self, row: Record) -> Wire:
        """The whole row: the id, columns, whatever else it holds, and the system columns."""
        shown: Wire = {"id": row["id"]}
        for name, encode in self._out:
            value = row.get(name)
            shown[name] = value if encode is None or value is None else encode(value)
        if not row.keys() <= self._known:
            for name in row:
                if name not in self._known:
                    shown[self._shown_name(name)] = row[name]
        shown["createdAt"] = _moment(row.get("created_at"))
        shown["updatedAt"] = _moment(row.get("updated_at"))
        shown["version"] = row.get("version")
        shown["deleted"] = bool(row.get(DELETED))
        return shown

    def selected(self, row: Record, names: Sequence[str]) -> Wire:
        """Some fields of the row, by their local names."""
        shown: Wire = {}
        for name in names:
            value = row.get(name)
            if name in ("created_at", "updated_at"):
                value = _moment(value)
            elif name == DELETED:
                value = bool(value)
            else:
                encode = self._encoders.get(name)
                value = value if encode is None or value is None else encode(value)
            shown[_SHOWN_AS.get(name) or self._shown_name(name)] = value
        return shown

    def sent(self, body: Mapping[str, Json]) -> Sent:
        """What a body says: values of columns in canonical form, where they can be read at all."""
        content: Record = {}
        system: Wire = {}
        for name, value in body.items():
            decode = self._in.get(name)
            if decode is not None and value is not None:
                content[name] = decode(value)
            elif name in WIRE_SYSTEM:
                system[name] = value
            else:
                content[ESCAPE + name if _escaped(name) and name not in self._in else name] = value
        return Sent(content, system)

    @staticmethod
    def _shown_name(name: str) -> str:
        return name[1:] if name.startswith(ESCAPE) and _escaped(name[1:]) else name


def _moment(value: Json) -> Json:
    """A moment of the authority's own clock, which counts milliseconds."""
    return value[:-4] + "Z" if isinstance(value, str) and value.endswith("000Z") else value
