"""Which operations depend on which.

Two operations depend on each other when they touch the same record, or when one inserts or deletes a record
that the other's content names, before or after. A table may declare which fields name records; where it says
nothing, any text equal to the id of a queued record names it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidesync.operations import Kind
from tidesync.records import ID_LIMIT, Record
from tidesync.rules.chain import record_key
from tidesync.schema import TableSchema

ANY_TABLE = "*"
"""Stands for the table in a name whose table is not declared."""


def names(schema: TableSchema, record_id: str, *contents: Record | None) -> frozenset[str]:
    """The record keys that these contents of one record name; `*/id` where the table is not declared.

    A record does not name itself, but text equal to its own id may mean a record of another table.
    """
    found: set[str] = set()
    if schema.references is None:
        for content in contents:
            if content is not None:
                found.update(
                    record_key(ANY_TABLE, value)
                    for field, value in content.items()
                    if isinstance(value, str) and 0 < len(value) <= ID_LIMIT and field != "id"
                )
        return frozenset(found)
    for field, table in schema.references.items():
        for content in contents:
            value = content.get(field) if content is not None else None
            if isinstance(value, str) and value and (value != record_id or table != schema.name):
                found.add(record_key(table, value))
    return frozenset(found)


def named_records(named: frozenset[str], tables: Mapping[str, TableSchema]) -> list[str]:
    """The record keys that may be meant: an undeclared name may mean a record of any table."""
    keys: list[str] = []
    for name in sorted(named):  # the same queue asks in the same order, in every process
        table, _, record_id = name.partition("/")
        keys.extend([record_key(each, record_id) for each in tables] if table == ANY_TABLE else [name])
    return keys


def names_of(table: str, record_id: str) -> tuple[str, str]:
    """The names under which others may know this record."""
    return record_key(table, record_id), record_key(ANY_TABLE, record_id)


def begins_or_ends(kind: Kind | None) -> bool:
    """Whether the operation inserts or deletes its record: only then does naming it make a dependence."""
    return kind in ("insert", "delete")
