"""What a store and a transport need to know of a table: columns, references, indexes, names on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal, TypeAlias, get_args

import attrs

from tidesync.errors import ConfigurationError
from tidesync.records import SYSTEM_FIELDS, Record
from tidesync.values import ColumnType

Concurrency: TypeAlias = Literal["optimistic", "last-write-wins"]

TABLE_NAME = re.compile(r"(__)?[A-Za-z][A-Za-z0-9_]{0,62}\Z")
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")
RESERVED = frozenset(("id", *SYSTEM_FIELDS))
ESCAPE = "~"


@attrs.frozen
class Column:
    """One declared column: its local name, type, and the name it has on the wire.

    `nullable` says whether null fits it (a class field with a default takes null as that default).
    """

    name: str
    type: ColumnType = ColumnType.ANY
    wire: str = attrs.field(default=attrs.Factory(lambda self: self.name, takes_self=True))
    nullable: bool = True

    def __attrs_post_init__(self) -> None:
        if not COLUMN_NAME.match(self.name) or self.name.startswith("__"):
            raise ConfigurationError(
                f"{self.name!r} cannot be a column name: letters, digits and _, 63 at most, no __ first"
            )


@attrs.frozen(slots=False)
class TableSchema:
    """A table as stores and transports see it.

    `columns` never holds `id`, nor system fields that a class declares. `references` maps a column to the
    table whose records it names; an empty mapping says that no column does; None says nothing, and any text
    equal to the id of a queued record is then taken to name it. `indexes` are tuples of names of columns and
    system fields.
    """

    name: str
    columns: tuple[Column, ...] = ()
    references: Mapping[str, str] | None = None
    indexes: tuple[tuple[str, ...], ...] = ()
    concurrency: Concurrency = "optimistic"

    def __attrs_post_init__(self) -> None:
        if not TABLE_NAME.match(self.name):
            raise ConfigurationError(
                f"{self.name!r} cannot be a table name: letters, digits and _, 63 at most, a letter first"
            )
        if self.concurrency not in get_args(Concurrency):
            raise ConfigurationError(
                f"{self.name}: concurrency is 'optimistic' or 'last-write-wins', not {self.concurrency!r}"
            )
        self._check_names("columns", (column.name for column in self.columns))
        self._check_names("wire names", (column.wire for column in self.columns))
        for field in self.references or ():
            self._check_column("references", field)
        for index in self.indexes:
            if not index:
                raise ConfigurationError(f"{self.name}: an index names at least one column")
            for field in index:
                if field in SYSTEM_FIELDS:
                    continue
                self._check_column("indexes", field)
                if self.by_name[field].type is ColumnType.JSON:
                    raise ConfigurationError(f"{self.name}.{field} is JSON, which cannot be indexed")

    def _check_names(self, what: str, names: Iterable[str]) -> None:
        seen: set[str] = set()
        for name in names:
            if name in RESERVED and not self.name.startswith("__"):
                raise ConfigurationError(f"{self.name}: {name!r} is reserved, and cannot be among the {what}")
            if name in seen:
                raise ConfigurationError(f"{self.name}: {name!r} is twice among the {what}")
            seen.add(name)

    def _check_column(self, what: str, field: str) -> None:
        if field not in self.by_name:
            raise ConfigurationError(
                f"{self.name}: {what} name {field!r}, and its columns are {', '.join(self.by_name) or 'none'}"
            )

    @cached_property
    def names_none(self) -> bool:
        """Whether it is declared that no column names a record."""
        return self.references is not None and not self.references

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """Columns by local name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def by_wire(self) -> Mapping[str, Column]:
        """Columns by wire name."""
        return {column.wire: column for column in self.columns}

    def to_wire(self, record: Record) -> Record:
        """The record under its wire names; the inverse of `from_wire`, whatever fields it has."""
        return record if not self.renames else {self.wire_name(name): value for name, value in record.items()}

    def from_wire(self, record: Record) -> Record:
        """The record under its local names. Only declared columns are renamed.

        An undeclared field that has the local name of a renamed column on the wire gets a `~` in front, so
        that both survive. A change of declaration is `new.from_wire(old.to_wire(record))`, and loses nothing.
        """
        return (
            record if not self.renames else {self.local_name(wire): value for wire, value in record.items()}
        )

    def at_the_remote(self) -> TableSchema:
        """The table as the remote knows it: every column under its wire name."""
        if not self.renames:
            return self
        wire = {column.name: column.wire for column in self.columns}
        return TableSchema(
            self.name,
            tuple(Column(column.wire, column.type, column.wire, column.nullable) for column in self.columns),
            None if self.references is None else {wire[name]: to for name, to in self.references.items()},
            tuple(tuple(wire.get(name, name) for name in index) for index in self.indexes),
            self.concurrency,
        )

    def wire_name(self, name: str) -> str:
        """The name that a local field has on the wire."""
        column = self.by_name.get(name)
        if column is not None:
            return column.wire
        bare = name.lstrip(ESCAPE)
        if bare in self._only_local and name != bare:
            return name[1:]
        return ESCAPE + name if bare in self._only_wire else name

    def local_name(self, wire: str) -> str:
        """The local name of a field on the wire."""
        column = self.by_wire.get(wire)
        if column is not None:
            return column.name
        bare = wire.lstrip(ESCAPE)
        if bare in self._only_wire and wire != bare:
            return wire[1:]
        return ESCAPE + wire if bare in self._only_local else wire

    @cached_property
    def renames(self) -> bool:
        """Whether a column has another name on the wire."""
        return any(column.name != column.wire for column in self.columns)

    @cached_property
    def _only_local(self) -> frozenset[str]:
        return frozenset(self.by_name.keys() - self.by_wire.keys())

    @cached_property
    def _only_wire(self) -> frozenset[str]:
        return frozenset(self.by_wire.keys() - self.by_name.keys())
