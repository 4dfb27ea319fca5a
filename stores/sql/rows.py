"""Records to rows and back, exactly.

What a column holds natively, so that indexes and SQL comparisons mean what a query means:

| column | native | as JSON |
|---|---|---|
| BOOLEAN | true 1, false 0, null | anything else, in a BLOB |
| JSON | lists and objects as JSON text, numbers, null | text and booleans, in a BLOB |
| any other | text, integers, floats, null | booleans, lists and objects, in a BLOB |

A BLOB is never a record's own value, because JSON has none. Fields without a column share one JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from operator import itemgetter
from typing import Any, Final, TypeAlias

from tidesync.records import INT_MAX, INT_MIN, Json, Record
from tidesync.stores.checks import check_row, sound
from tidesync.stores.sql.ddl import HIDDEN, Layout, StoredColumn, quoted
from tidesync.values import ColumnType

SqlValue: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = Sequence[SqlValue]
Decode: TypeAlias = Callable[[Row], Record]

_SCALARS: Final = frozenset((type(None), bool, int, float, str))
_NATIVE: Final = frozenset((type(None), int, float, str))
_SHAPES_LIMIT: Final = 1_000

dumps: Final[Callable[[Json], str]] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode
loads: Final[Callable[[str], Any]] = json.JSONDecoder().decode


def _blob(value: Json) -> bytes:
    return dumps(value).encode()


def _from_blob(value: Any) -> Json:
    decoded: Json = loads(value.decode())
    return decoded


def _convert(column: StoredColumn, kind: type) -> Callable[[Json], SqlValue] | None:
    """How a value of this Python type goes into the column; None if as it is."""
    if column.type is ColumnType.BOOLEAN:
        return None if kind in (bool, type(None)) else _blob
    if column.type is ColumnType.JSON:
        if kind not in _SCALARS:
            return dumps
        return _blob if kind in (str, bool) else None
    return None if kind in _NATIVE else _blob


class _Shape:
    """What to do with records that have the same fields, in the same order, with values of the same types."""

    __slots__ = ("convert", "extra", "floats", "ints", "nested", "nulls", "odd", "texts")

    def __init__(self, layout: Layout, record: Record) -> None:
        kinds = {field: type(value) for field, value in record.items()}
        self.texts = [field for field, kind in kinds.items() if kind is str]
        self.ints = [field for field, kind in kinds.items() if kind is int]
        self.floats = [field for field, kind in kinds.items() if kind is float]
        self.nested = [field for field, kind in kinds.items() if kind not in _SCALARS]
        self.extra = [field for field in kinds if field != "id" and field not in layout.by_name]
        self.convert: list[tuple[int, Callable[[Json], SqlValue]]] = []
        nulls: list[str] = []
        odd: list[str] = []
        for index, column in enumerate(layout.columns, start=1):
            kind = kinds.get(column.name)
            if kind is None or kind is type(None):
                if column.absent is (kind is not None):
                    nulls.append(column.name)
                continue
            convert = _convert(column, kind)
            if convert is not None:
                self.convert.append((index, convert))
                if convert is _blob and column.type is not ColumnType.JSON:
                    odd.append(column.name)
        self.nulls = dumps(nulls) if nulls else None
        self.odd = dumps(odd) if odd else None


class Codec:
    """Encodes and decodes the rows of one table."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.table = quoted(layout.stored)
        self._names = ("id", *(column.name for column in layout.columns))
        self.columns = ", ".join(map(quoted, ("id", *(c.stored for c in layout.columns), *HIDDEN)))
        places = ", ".join("?" * (len(self._names) + len(HIDDEN)))
        self.insert = f"INSERT OR REPLACE INTO {self.table} ({self.columns}) VALUES ({places})"
        self.decode = self._decoder(layout.columns)
        self._shapes: dict[tuple[object, ...], _Shape] = {}
        self._marks: dict[SqlValue, frozenset[str]] = {}
        self._gets: dict[int, str] = {}
        self._parts: dict[tuple[str, ...], tuple[str, Decode]] = {}

    def encode(self, records: Iterable[Record]) -> list[Row]:
        """The rows to insert. Raises `InvalidId`, or `InvalidRecord` naming the field."""
        return [self._encode(record) for record in records]

    def _encode(self, record: Record) -> Row:
        if type(record) is not dict:
            _ = check_row(self.layout.table, record)
        key = (*record, *map(type, record.values()))
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._new_shape(key, record)
        if not self._is_sound(record, shape):
            _ = check_row(self.layout.table, record)
        row: list[Any] = [*map(record.get, self._names), None, shape.nulls, shape.odd]
        for index, convert in shape.convert:
            row[index] = convert(row[index])
        if shape.extra:
            row[-3] = dumps({field: record[field] for field in shape.extra})
        return row

    @staticmethod
    def _is_sound(record: Any, shape: _Shape) -> bool:
        """False where `check_row` should look. The types are known to be right."""
        if not "".join([record[field] for field in shape.texts]).isascii() or not record["id"]:
            return False
        for field in shape.ints:
            if not INT_MIN <= record[field] <= INT_MAX:
                return False
        for field in shape.floats:
            if not isfinite(record[field]):
                return False
        return all(sound(record[field]) for field in shape.nested) if shape.nested else True

    def _new_shape(self, key: tuple[object, ...], record: Record) -> _Shape:
        _ = check_row(self.layout.table, record)
        if len(self._shapes) >= _SHAPES_LIMIT:
            self._shapes = {}
        shape = self._shapes[key] = _Shape(self.layout, record)
        return shape

    def get(self, size: int) -> str:
        """The statement that reads rows by this many ids."""
        found = self._gets.get(size)
        if found is None:
            ids = ", ".join("?" * size)
            found = self._gets[size] = f'SELECT {self.columns} FROM {self.table} WHERE "id" IN ({ids})'
        return found

    def part(self, fields: tuple[str, ...]) -> tuple[str, Decode]:
        """The columns to select for some fields, and the function that decodes them."""
        found = self._parts.get(fields)
        if found is None:
            wanted = set(fields)
            columns = tuple(column for column in self.layout.columns if column.name in wanted)
            unknown = wanted - self.layout.by_name.keys() - {"id"}
            hidden = [quoted(name) for name in HIDDEN]
            names = ['"id"', *(quoted(column.stored) for column in columns), *hidden]
            if not unknown:
                names[-3] = "NULL"
            if len(self._parts) >= _SHAPES_LIMIT:
                self._parts = {}
            found = self._parts[fields] = (", ".join(names), self._decoder(columns, unknown))
        return found

    def _decoder(self, columns: tuple[StoredColumn, ...], unknown: set[str] | None = None) -> Decode:
        """Decode rows of id, these columns and the hidden ones; of unknown fields those asked for, or all."""
        names = ("id", *(column.name for column in columns))
        booleans = [column.name for column in columns if column.type is ColumnType.BOOLEAN]
        nested = [column.name for column in columns if column.type is ColumnType.JSON]
        absent = [column.name for column in columns if column.absent]
        known = frozenset(names)
        tail = itemgetter(-3, -2, -1)

        def decode(row: Row) -> Record:
            record: Any = dict(zip(names, row, strict=False))
            for name in booleans:
                if (value := record[name]) is not None:
                    record[name] = value == 1 if type(value) is int else value
            for name in nested:
                value = record[name]
                if type(value) is str:
                    record[name] = loads(value)
                elif type(value) is bytes:
                    record[name] = _from_blob(value)
            more, nulls, odd = tail(row)
            marks = self.marked(nulls) if nulls is not None else ()
            for name in absent:
                if record[name] is None and name not in marks:
                    del record[name]
            for name in marks:
                if name in known and name not in absent:
                    del record[name]
            if odd is not None:
                for name in self.marked(odd) & known:
                    record[name] = _from_blob(record[name])
            if more is not None:
                others: Record = loads(more)
                record.update(
                    others if unknown is None else {key: others[key] for key in unknown & others.keys()}
                )
            return record  # type: ignore[no-any-return]  # built field by field above

        return decode

    def marked(self, text: SqlValue) -> frozenset[str]:
        """The names in a mark, one of the hidden columns `NULLS` and `ODD`."""
        found = self._marks.get(text)
        if found is None:
            if len(self._marks) >= _SHAPES_LIMIT:
                self._marks = {}
            found = self._marks[text] = frozenset(loads(str(text)))
        return found
