"""The tables that the rules for stores are tried on."""

from __future__ import annotations

from typing import Final

from tidesync.query import Query
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

THING: Final = TableSchema(
    "thing",
    (
        Column("text", ColumnType.STRING),
        Column("number", ColumnType.INTEGER),
        Column("ratio", ColumnType.FLOAT),
        Column("flag", ColumnType.BOOLEAN),
        Column("price", ColumnType.DECIMAL),
        Column("at", ColumnType.DATETIME),
        Column("tree", ColumnType.JSON),
        Column("any"),
    ),
    indexes=(("text", "number"), ("flag", "at"), ("number",)),
)
"""A column of every shape, and indexes."""
OTHER: Final = TableSchema("__other", (Column("key"),), indexes=(("key",),))
"""A table like those of the engine."""
ALL: Final = Query(THING.name)
"""Every record of `THING`, by id."""
KNOWN: Final = tuple(
    (value, __name__, name) for name, value in [("THING", THING), ("OTHER", OTHER), ("ALL", ALL)]
)
"""Constants that the program of a failure may name."""
