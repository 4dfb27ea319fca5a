"""Bringing a file's tables to what a schema declares, within one transaction of the caller."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import attrs

from tidesync.errors import SchemaMismatch
from tidesync.schema import TableSchema
from tidesync.stores.checks import fits
from tidesync.stores.sql.ddl import (
    CATALOGUE,
    COUNTER_SET,
    LAYOUT_SET,
    LAYOUTS,
    REST,
    Layout,
    StoredColumn,
    layout_of,
    quoted,
    statements,
)
from tidesync.stores.sql.rows import Codec, Row, SqlValue
from tidesync.values import ColumnType

_BATCH = 500


class Cursor(Iterator[Any], Protocol):
    """A statement that runs."""

    def fetchone(self) -> Any:
        """The next row, or None."""
        ...


class Database(Protocol):
    """What is needed of a connection; the drivers' own connections have it."""

    def execute(self, statements: str, bindings: Sequence[SqlValue] = ..., /) -> Cursor:
        """Run one statement."""
        ...

    def executemany(self, statements: str, sequenceofbindings: Iterable[Sequence[SqlValue]], /) -> Cursor:
        """Run one statement for each row of parameters."""
        ...


def create_catalogue(database: Database) -> None:
    """Create the table that tells the layouts of the others."""
    _ = database.execute(CATALOGUE)
    _ = database.execute(COUNTER_SET)


def read_layouts(database: Database) -> dict[str, Layout]:
    """The layouts of all tables in the file, by table."""
    layouts = (Layout.from_json(text) for (text,) in database.execute(LAYOUTS))
    return {layout.table: layout for layout in layouts}


def changed(stored: dict[str, Layout], schemas: Sequence[TableSchema]) -> dict[str, Layout]:
    """The layouts that have to change, as they should be. Raises `ConfigurationError`."""
    after = dict(stored)
    for schema in schemas:
        taken = [layout.stored for layout in after.values()]
        after[schema.name] = layout_of(schema, after.get(schema.name), taken)
    return {name: layout for name, layout in after.items() if stored.get(name) != layout}


def upgrade(database: Database, schemas: Sequence[TableSchema]) -> None:
    """Create and change tables as declared, and move values to where they now belong.

    Raises `SchemaMismatch` where a changed type would lose values; the caller rolls back.
    """
    stored = read_layouts(database)
    changes = changed(stored, schemas)
    for name, after in changes.items():
        before = stored.get(name)
        if before is not None:
            _check_types(database, before, after)
        for statement in statements(before, after):
            _ = database.execute(statement)
        if before is not None:
            _move_values(database, before, after)
        _ = database.execute(LAYOUT_SET, (name, after.to_json()))
    if changes:
        _ = database.execute(COUNTER_SET)


def _retyped(before: Layout, after: Layout) -> list[tuple[StoredColumn, StoredColumn]]:
    """The columns whose type changes."""
    pairs = ((column, after.by_name[column.name]) for column in before.columns)
    return [(old, new) for old, new in pairs if old.type is not new.type]


def _check_types(database: Database, before: Layout, after: Layout) -> None:
    codec = Codec(before)
    for old, new in _retyped(before, after):
        columns, decode = codec.part((old.name,))
        rows = database.execute(f"SELECT {columns} FROM {codec.table} WHERE {quoted(old.stored)} IS NOT NULL")
        while batch := list(itertools.islice(rows, _BATCH)):
            if not all(fits(new.type, record[old.name]) for record in decode(batch)):
                raise SchemaMismatch(before.table, old.name, old.type.value, new.type.value)


def _move_values(database: Database, before: Layout, after: Layout) -> None:
    """Encode again the rows that the change concerns: new columns, and types encoded in their own way."""
    own = (ColumnType.BOOLEAN, ColumnType.JSON)
    moved = [quoted(old.stored) for old, new in _retyped(before, after) if old.type in own or new.type in own]
    if len(after.columns) > len(before.columns):
        moved.append(quoted(REST))
    if not moved:
        return
    # The columns as the rows have them now: old types, and new columns that are still empty.
    types = {column.name: column.type for column in before.columns}
    now = tuple(attrs.evolve(column, type=types.get(column.name, column.type)) for column in after.columns)
    reading, writing = Codec(attrs.evolve(after, columns=now)), Codec(after)
    concerned = " OR ".join(f"{name} IS NOT NULL" for name in moved)
    select = (
        f'SELECT {reading.columns} FROM {reading.table} WHERE "id" > ? AND ({concerned})'
        f' ORDER BY "id" LIMIT {_BATCH}'
    )
    last = ""
    rows: list[Row]
    while rows := list(database.execute(select, (last,))):
        records = reading.decode(rows)
        last = str(records[-1]["id"])
        _ = database.executemany(*writing.encode(records))
