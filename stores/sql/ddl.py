"""How a table lies in the file: columns under their stored names, indexes, and the statements to make them.

* Stored columns have no affinity, so SQLite converts nothing: 1 stays an integer, 1.0 a real and "1" a text.
* SQLite ignores the case of names; a table or column that would clash gets a stored name of its own.
* A column that a schema no longer declares stays where it is; to its readers it is an unknown field.
* Tables have rowids: rows of more than 200 bytes make a table without them slow and large.
* The layout of each table is kept as JSON in the table `_tidesync`, a name that no record table can have. The
  row with the empty name counts the changes of layouts; every transaction reads it first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final

import attrs

from tidesync.errors import ConfigurationError
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

APPLICATION_ID: Final = 0x74696465  # "tide"
FORMAT: Final = 1
"""Kept as `user_version`; a file with a higher one is `StoreTooNew`."""
COLUMN_LIMIT: Final = 1_000

REST, ODD = HIDDEN = ("__rest", "__odd")
"""Hidden columns. `REST` is NULL in the commonest case, else JSON of three: the fields without a column,
as an object or null; the columns whose NULL means the rarer of null and absent; the columns that hold a value
as JSON in a BLOB. `ODD` is the last of these alone, and NULL if there are none."""

CATALOGUE: Final = 'CREATE TABLE "_tidesync" ("name" NOT NULL PRIMARY KEY, "layout") WITHOUT ROWID'
COUNTER_SET: Final = (
    'INSERT INTO "_tidesync" VALUES (\'\', 1) ON CONFLICT ("name") DO UPDATE SET "layout" = "layout" + 1'
)
COUNTER: Final = 'SELECT "layout" FROM "_tidesync" WHERE "name" = \'\''
LAYOUTS: Final = 'SELECT "layout" FROM "_tidesync" WHERE "name" <> \'\''
LAYOUT_SET: Final = 'INSERT OR REPLACE INTO "_tidesync" VALUES (?, ?)'


@attrs.frozen
class StoredColumn:
    """A column of a table in the file.

    `absent`: NULL means that the record has not this field, else that it is null. The former suits columns
    that were added to rows already there, and the system fields.
    """

    name: str
    type: ColumnType
    stored: str
    absent: bool = False


@attrs.frozen(slots=False)
class Layout:
    """A table in the file."""

    table: str
    stored: str
    columns: tuple[StoredColumn, ...]
    indexes: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, StoredColumn]:
        """Columns by the field that they hold; `id` is none of them."""
        return {column.name: column for column in self.columns}

    def to_json(self) -> str:
        """The text that `from_json` reads."""
        columns = [[column.name, column.type.value, column.stored, column.absent] for column in self.columns]
        return json.dumps([self.table, self.stored, columns, self.indexes])

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """The layout that `to_json` wrote."""
        table, stored, columns, indexes = json.loads(text)
        return cls(
            table,
            stored,
            tuple(
                StoredColumn(name, ColumnType(type), place, absent) for name, type, place, absent in columns
            ),
            tuple(map(tuple, indexes)),
        )


_SYSTEM: Final = (
    Column("version", ColumnType.STRING),
    Column("created_at", ColumnType.DATETIME),
    Column("updated_at", ColumnType.DATETIME),
)


def _free_name(wanted: str, taken: Iterable[str]) -> str:
    """A stored name that differs from the taken ones also where case is ignored."""
    lower = {name.lower() for name in taken}
    wanted = f"~{wanted}" if wanted.lower().startswith("sqlite_") else wanted
    name, number = wanted, 1
    while name.lower() in lower:
        number += 1
        name = f"{wanted}~{number}"
    return name


def _added(
    columns: tuple[StoredColumn, ...], new: Iterable[Column], *, absent: bool
) -> tuple[StoredColumn, ...]:
    taken = ["id", *HIDDEN, *(column.stored for column in columns)]
    for column in new:
        stored = _free_name(column.name, taken)
        taken.append(stored)
        columns = (*columns, StoredColumn(column.name, column.type, stored, absent))
    return columns


def layout_of(schema: TableSchema, before: Layout | None, tables: Iterable[str]) -> Layout:
    """The layout that a table should have, given the one that it has and the stored names of all tables."""
    if before is None:
        columns = _added((), schema.columns, absent=False)
        if not schema.name.startswith("__"):
            columns = _added(columns, (c for c in _SYSTEM if c.name not in schema.by_name), absent=True)
        before = Layout(schema.name, _free_name(schema.name, tables), columns)
    else:
        kept = tuple(
            attrs.evolve(column, type=schema.by_name[column.name].type)
            if column.name in schema.by_name
            else column
            for column in before.columns
        )
        columns = _added(kept, (c for c in schema.columns if c.name not in before.by_name), absent=True)
    if len(columns) > COLUMN_LIMIT:
        raise ConfigurationError(f"{schema.name}: {len(columns)} columns, and {COLUMN_LIMIT} is the limit")
    return attrs.evolve(before, columns=columns, indexes=tuple(map(tuple, schema.indexes)))


def quoted(name: str) -> str:
    """A stored name as SQL; none holds a quote."""
    return f'"{name}"'


def _index(layout: Layout, index: tuple[str, ...]) -> tuple[str, str]:
    """Name and statement of one index. The id comes last, because ties break on it."""
    stored = [name if name == "id" else layout.by_name[name].stored for name in index]
    if "id" not in stored:
        stored.append("id")
    name = quoted(f"{layout.stored}:{','.join(stored)}")
    return name, f"CREATE INDEX {name} ON {quoted(layout.stored)} ({', '.join(map(quoted, stored))})"


def statements(before: Layout | None, after: Layout) -> Iterator[str]:
    """The statements that turn a table from one layout into another; rows are not touched."""
    table = quoted(after.stored)
    if before is None:
        names = ", ".join(quoted(name) for name in (*(c.stored for c in after.columns), *HIDDEN))
        yield f'CREATE TABLE {table} ("id" NOT NULL PRIMARY KEY, {names})'
        odd = quoted(f"{after.stored}:{ODD}")
        yield f"CREATE INDEX {odd} ON {table} ({quoted(ODD)}) WHERE {quoted(ODD)} IS NOT NULL"
    else:
        for column in after.columns[len(before.columns) :]:
            yield f"ALTER TABLE {table} ADD COLUMN {quoted(column.stored)}"
    old = {} if before is None else dict(_index(before, index) for index in before.indexes)
    new = dict(_index(after, index) for index in after.indexes)
    for name in old.keys() - new.keys():
        yield f"DROP INDEX {name}"
    for name in new.keys() - old.keys():
        yield new[name]
