"""What a store and a transport need to know of a table: columns, references, indexes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Literal, TypeAlias

import attrs

from tidesync.errors import ConfigurationError
from tidesync.values import ColumnType

Concurrency: TypeAlias = Literal["optimistic", "last-write-wins"]

TABLE_NAME = re.compile(r"(__)?[A-Za-z][A-Za-z0-9_]{0,62}\Z")
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")


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
                f"{self.name!r} cannot be a column name: letters, digits and underscores, 63 at most, no leading __"
            )


@attrs.frozen(slots=False)
class TableSchema:
    """A table as stores and transports see it.

    `columns` never holds `id`, nor system fields that a class declares. `references` maps a column to the
    table whose records it names; an empty mapping says that no column does; None says nothing, and any text
    equal to the id of a queued record is then taken to name it. `indexes` are tuples of column names.
    """

    name: str
    columns: tuple[Column, ...] = ()
    references: Mapping[str, str] | None = None
    indexes: tuple[tuple[str, ...], ...] = ()
    concurrency: Concurrency = "optimistic"

    def __attrs_post_init__(self) -> None:
        if not TABLE_NAME.match(self.name):
            raise ConfigurationError(
                f"{self.name!r} cannot be a table name: letters, digits and underscores, 63 at most, a letter first"
            )

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """Columns by local name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def by_wire(self) -> Mapping[str, Column]:
        """Columns by wire name."""
        return {column.wire: column for column in self.columns}
