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

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from operator import itemgetter
from typing import Any, Final, TypeAlias

from tidesync.errors import StoreCorrupt
from tidesync.records import INT_MAX, INT_MIN, Json, Record
from tidesync.stores.checks import check_row, sound
from tidesync.stores.sql.ddl import ODD, REST, Layout, StoredColumn, quoted
from tidesync.values import ColumnType

SqlValue: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = Sequence[SqlValue]
Decode: TypeAlias = Callable[[Sequence[Row]], list[Record]]
Marks: TypeAlias = tuple[frozenset[str], frozenset[str]]

_SCALARS: Final = frozenset((type(None), bool, int, float, str))
_NESTED: Final = frozenset((list, dict))
_NATIVE: Final = frozenset((type(None), int, float, str))
_SHAPES_LIMIT: Final = 1_000
_MANY: Final = 8
_ID: Final = StoredColumn("id", ColumnType.STRING, "id")
_REST_OF: Final = itemgetter(-1)
_NOTHING: Final[tuple[None, frozenset[str], frozenset[str]]] = (None, frozenset(), frozenset())

dumps: Final[Callable[[Json], str]] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode
_scan: Final = json.JSONDecoder().raw_decode


def loads(text: str) -> Any:
    """The JSON that `dumps` wrote; without a look for space around it, which takes longer than the rest."""
    try:
        return _scan(text)[0]
    except ValueError as error:
        raise StoreCorrupt(
            "a stored value is not what was written: restore the file from a backup"
        ) from error


def _blob(value: Json) -> bytes:
    return dumps(value).encode()


def _from_json(value: Any) -> Json:
    decoded: Json = value
    if type(value) is str:
        decoded = loads(value)
    elif type(value) is bytes:
        decoded = loads(value.decode())
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


def _native(column: StoredColumn, values: list[Any]) -> Sequence[SqlValue] | None:
    """The values as the column takes them; None unless all are native, sound, and need no mark."""
    kinds = set(map(type, values))
    if column is _ID:
        return values if kinds == {str} and "".join(values).isascii() and all(values) else None
    if type(None) in kinds:
        if column.absent:
            return None
        kinds.discard(type(None))
        present = [value for value in values if value is not None]
    else:
        present = values
    if column.type is ColumnType.JSON:
        if kinds <= _NESTED and all(map(sound, present)):
            return [None if value is None else dumps(value) for value in values]
    elif kinds == {str}:
        if column.type is not ColumnType.BOOLEAN and "".join(present).isascii():
            return values
    elif kinds == {bool}:
        if column.type is ColumnType.BOOLEAN:
            return values
    elif kinds == {int}:
        if column.type is not ColumnType.BOOLEAN and min(present) >= INT_MIN and max(present) <= INT_MAX:
            return values
    elif kinds == {float} and column.type is not ColumnType.BOOLEAN and all(map(isfinite, present)):
        return values
    return None if kinds else values


class _Shape:
    """What to do with records that have the same fields, in the same order, with values of the same types."""

    __slots__ = ("convert", "extra", "floats", "ints", "marks", "nested", "odd", "texts")

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
        self.marks = f",{dumps(nulls)},{dumps(odd)}]" if nulls or odd or self.extra else None
        self.odd = dumps(odd) if odd else None


class Codec:
    """Encodes and decodes the rows of one table."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.table = quoted(layout.stored)
        self._names = ("id", *(column.name for column in layout.columns))
        self.columns = ", ".join(map(quoted, ("id", *(c.stored for c in layout.columns), REST)))
        # An update of all columns: quicker than INSERT OR REPLACE, which deletes the row and writes a new one.
        stored = (quoted(name) for name in (*(c.stored for c in layout.columns), REST, ODD))
        self._replace = f'ON CONFLICT ("id") DO UPDATE SET {", ".join(f"{c} = excluded.{c}" for c in stored)}'
        self._insert = self._insertion([*self._names, REST, ODD])
        self.decode = self._decoder(layout.columns)
        self._shapes: dict[tuple[object, ...], _Shape] = {}
        self._marks: dict[str, Marks] = {}
        self._gets: dict[int, str] = {}
        self._parts: dict[tuple[str, ...], tuple[str, Decode]] = {}

    def encode(self, records: Sequence[Record]) -> tuple[str, Iterable[Row]]:
        """A statement and the rows to insert with it.

        All is checked before this returns. Raises `InvalidId`, or `InvalidRecord` naming the field.
        """
        if len(records) >= _MANY:
            columns = self._encode_columns(records)
            if columns is not None:
                return columns
        return self._insert, [self._encode(record) for record in records]

    def _insertion(self, names: Sequence[str]) -> str:
        by_name = self.layout.by_name
        stored = [quoted(by_name[name].stored if name in by_name else name) for name in names]
        places = ", ".join("?" * len(stored))
        return f"INSERT INTO {self.table} ({', '.join(stored)}) VALUES ({places}) {self._replace}"

    def _encode_columns(self, records: Sequence[Record]) -> tuple[str, Iterable[Row]] | None:
        """Column by column, which is quicker; None unless all have the same fields and native values."""
        try:
            (fields,) = set(map(tuple, records))
        except (ValueError, TypeError):
            return None
        if set(map(type, records)) != {dict} or "id" not in fields:
            return None
        columns: list[Sequence[Any]] = []
        for field in fields:
            column = _ID if field == "id" else self.layout.by_name.get(field)
            encoded = None if column is None else _native(column, [record[field] for record in records])
            if encoded is None:
                return None
            columns.append(encoded)
        missing = [c.name for c in self.layout.columns if not c.absent and c.name not in fields]
        if missing:
            marks = f"[null,{dumps(missing)},[]]"
            return self._insertion([*fields, REST]), zip(*columns, itertools.repeat(marks), strict=False)
        return self._insertion(fields), zip(*columns, strict=True)

    def _encode(self, record: Record) -> Row:
        if type(record) is not dict:
            _ = check_row(self.layout.table, record)
        key = (*record, *map(type, record.values()))
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._new_shape(key, record)
        if not self._is_sound(record, shape):
            _ = check_row(self.layout.table, record)
        row: list[Any] = [*map(record.get, self._names), None, shape.odd]
        for index, convert in shape.convert:
            row[index] = convert(row[index])
        if shape.extra:
            row[-2] = f"[{dumps({field: record[field] for field in shape.extra})}{shape.marks}"
        elif shape.marks:
            row[-2] = f"[null{shape.marks}"
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
            names = ", ".join(map(quoted, ("id", *(column.stored for column in columns), REST)))
            unknown = wanted - self.layout.by_name.keys() - {"id"}
            if len(self._parts) >= _SHAPES_LIMIT:
                self._parts = {}
            found = self._parts[fields] = (names, self._decoder(columns, unknown))
        return found

    def _decoder(self, columns: tuple[StoredColumn, ...], unknown: set[str] | None = None) -> Decode:
        """Decode rows of id, these columns and `REST`; of unknown fields those asked for, or all."""
        names = ("id", *(column.name for column in columns))
        booleans = [column.name for column in columns if column.type is ColumnType.BOOLEAN]
        nested = [column.name for column in columns if column.type is ColumnType.JSON]
        absent = [column.name for column in columns if column.absent]
        known = frozenset(names)
        # Columns that say by NULL that a field is absent come last: `layout_of` adds them behind the others.
        first, sometimes = names[: len(names) - len(absent)], slice(len(names) - len(absent), len(names))
        nothing = (None,) * len(absent)
        sure_booleans = [name for name in booleans if name in first]
        sure_nested = [name for name in nested if name in first]

        def decode(rows: Sequence[Row]) -> list[Record]:
            plain = not any(map(_REST_OF, rows))
            these, flags, trees = names, booleans, nested
            if plain and absent:
                tails = [row[sometimes] for row in rows]
                if tails.count(nothing) == len(tails):
                    these = first
                    flags, trees = sure_booleans, sure_nested
                else:
                    plain = None not in itertools.chain.from_iterable(tails)
            records: list[Any] = list(map(dict, map(zip, itertools.repeat(these), rows)))
            for name in flags:
                for record in records:
                    if type(value := record[name]) is int:
                        record[name] = value == 1
            for name in trees:
                for record in records:
                    if (value := record[name]) is not None:
                        record[name] = _from_json(value)
            if not plain:
                for record, row in zip(records, rows, strict=True):
                    complete(record, row[-1])
            return records

        def complete(record: Any, rest: Any) -> None:
            more, nulls, odd = _NOTHING if rest is None else self._rest(rest)
            for name in absent:
                if record[name] is None and name not in nulls:
                    del record[name]
            for name in nulls & known:
                if name not in absent:
                    del record[name]
            for name in odd & known:
                record[name] = _from_json(record[name])
            if more is not None:
                record.update(more if unknown is None else {key: more[key] for key in unknown & more.keys()})

        return decode

    def _rest(self, text: str) -> tuple[Record | None, frozenset[str], frozenset[str]]:
        found = self._marks.get(text)
        if found is not None:
            return None, *found
        more, nulls, odd = loads(text)
        marks = frozenset(nulls), frozenset(odd)
        if more is None:
            if len(self._marks) >= _SHAPES_LIMIT:
                self._marks = {}
            self._marks[text] = marks
        return more, *marks
