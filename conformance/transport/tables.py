"""The tables that a remote holds for the rules for transports."""

from __future__ import annotations

from typing import Final

from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

THING: Final = TableSchema(
    "thing",
    (
        Column("text", ColumnType.STRING),
        Column("number", ColumnType.INTEGER),
        Column("ratio", ColumnType.FLOAT),
        Column("flag", ColumnType.BOOLEAN),
        Column("at", ColumnType.DATETIME),
        Column("tree", ColumnType.JSON),
    ),
)
"""A column of every shape that travels."""
NOTE: Final = TableSchema("note", (Column("text", ColumnType.STRING), Column("number", ColumnType.INTEGER)))
"""Another table, whose cursors are not those of `THING`."""
TABLES: Final = (THING, NOTE)
"""What the remote of an adapter must hold, empty, when a rule begins."""
KNOWN: Final = tuple((value, __name__, name) for name, value in [("THING", THING), ("NOTE", NOTE)])
"""Constants that the program of a failure may name."""
