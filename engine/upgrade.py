"""When a table's declaration changes, what is kept follows it: nothing that arrived under an old name is lost.

A field that no column named is kept under its wire name. When a class later names it, or renames a column on the
wire, local records, the copies in heads, the content of operations and the queries of named pulls move to the new
names, in one transaction. So a named pull goes on where it meant the same columns of the remote, and is
`QueryNameReused` where its name now stands for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

from tidesync.contracts.store import Store, StoreTransaction
from tidesync.encoding import decode_query, encode_query
from tidesync.errors import ConfigurationError
from tidesync.ledger import Ledger
from tidesync.objects import Table
from tidesync.query import Compare, Field, Order, Query, Value, all_of, equals, with_names
from tidesync.records import Json, Record, alive, decode_copy, encode_copy
from tidesync.rows import CURSORS, HEADS, META, META_TABLE, OPERATIONS, REMOTE
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

Renew: TypeAlias = Callable[[Record], Record]
CHUNK: Final = 500
_DECLARED: Final = "declared/"


def check_owner(store: Store) -> None:
    """Open the store with its facts alone; `ConfigurationError` if a remote keeps its records in it."""
    store.open([META_TABLE])
    with store.transaction(write=False) as transaction:
        if transaction.get(META, [REMOTE]) != [None]:
            raise ConfigurationError(f"{store!r:.200} is a remote's own: give this context another store")


def follow_declarations(store: Store, tables: Mapping[str, Table[Any]]) -> None:
    """Bring what is kept to the names and canonical forms of the tables as they are declared now."""
    with store.transaction(write=False) as transaction:
        changed = [
            table
            for table in tables.values()
            if _declared_before(transaction, table) != _declared(table.schema)
        ]
    if not changed:
        return
    with store.transaction(write=True) as transaction:
        for table in changed:
            before = _declared_before(transaction, table)
            if before is not None and before != _declared(table.schema):
                _convert(transaction, table, _schema_of(table.name, before))
                _note_names(transaction, tables, table.name)
                _count_change(transaction, table.name)
            transaction.put(META, [{"id": _key(table), "value": _declared(table.schema)}])


def declared_tables(transaction: StoreTransaction) -> dict[str, TableSchema]:
    """The tables as they were declared last, by name: columns, names on the wire and references."""
    rows = {str(row["id"]): row["value"] for row in transaction.select(Query(META))}
    return {
        name: _schema_of(name, value)
        for key, value in sorted(rows.items())
        if (name := key.removeprefix(_DECLARED)) != key and isinstance(value, dict)
    }


def _key(table: Table[Any]) -> str:
    return f"{_DECLARED}{table.name}"


def _declared(schema: TableSchema) -> Json:
    columns = [[column.name, column.type.value, column.wire] for column in schema.columns]
    return {"columns": columns, "references": None if schema.references is None else dict(schema.references)}


def _declared_before(transaction: StoreTransaction, table: Table[Any]) -> dict[str, Any] | None:
    row = transaction.get(META, [_key(table)])[0]
    value = None if row is None else row["value"]
    return value if isinstance(value, dict) else None


def _schema_of(name: str, declared: dict[str, Any]) -> TableSchema:
    columns = tuple(Column(column, ColumnType(type), wire) for column, type, wire in declared["columns"])
    return TableSchema(name, columns, declared["references"])


def _convert(transaction: StoreTransaction, table: Table[Any], old: TableSchema) -> None:
    def renew(record: Record) -> Record:
        return table.canonical(table.schema.from_wire(old.to_wire(record)))

    for rows in _chunks(transaction, Query(table.name)):
        moved = [new for row in rows if (new := renew(row)) != row]
        if moved:
            transaction.put(table.name, moved)
    mine = equals("table", table.name, ColumnType.STRING)
    for rows in _chunks(transaction, Query(HEADS, mine)):
        transaction.put(HEADS, [_head(row, renew) for row in rows])
    for rows in _chunks(transaction, Query(OPERATIONS, mine)):
        transaction.put(OPERATIONS, [_operation(row, renew, old, table.schema) for row in rows])
    for rows in _chunks(transaction, Query(CURSORS, mine)):
        transaction.put(CURSORS, [_cursor(row, old, table.schema) for row in rows])


def _note_names(transaction: StoreTransaction, tables: Mapping[str, Table[Any]], name: str) -> None:
    """Note again who names whom, going by the references as they are declared now."""
    schemas = {table.name: table.schema for table in tables.values()}
    for rows in _chunks(transaction, Query(HEADS, equals("table", name, ColumnType.STRING))):
        ledger = Ledger(transaction, schemas, nonce="", now=0.0)
        keys = [str(row["id"]) for row in rows]
        ledger.load(keys)
        for key in keys:
            head = ledger.head_at(key)
            if head is not None:
                ledger.save(head)
        ledger.flush()


def _count_change(transaction: StoreTransaction, name: str) -> None:
    """Others who have this store open hear that records of the table changed."""
    ledger = Ledger(transaction, {}, nonce="", now=0.0)
    ledger.changed_wholly[name] = None
    ledger.flush()


def _head(row: Record, renew: Renew) -> Record:
    def copy(value: Json) -> Json:
        found = decode_copy(value)
        return encode_copy(renew(found)) if alive(found) else value

    return {**row, "base": copy(row["base"]), "remote": copy(row["remote"])}


def _operation(row: Record, renew: Renew, old: TableSchema, new: TableSchema) -> Record:
    content, fields = row["content"], row["fields"]
    return {
        **row,
        "content": renew(content) if isinstance(content, dict) else content,
        "fields": [new.local_name(old.wire_name(name)) for name in fields]
        if isinstance(fields, list)
        else fields,
    }


def _cursor(row: Record, old: TableSchema, new: TableSchema) -> Record:
    query = decode_query(str(row["query"]))
    if query.where is None:
        return row
    where = with_names(query.where, lambda name: new.local_name(old.wire_name(name)))
    return {**row, "query": encode_query(attrs.evolve(query, where=where))}


def _chunks(transaction: StoreTransaction, query: Query) -> Iterator[list[Record]]:
    """The records of a query by id, so many at a time: a table is not written while it is iterated."""
    after: str | None = None
    while True:
        beyond = (
            None
            if after is None
            else Compare("gt", Field("id", ColumnType.STRING), Value(after, ColumnType.STRING))
        )
        page = attrs.evolve(
            query,
            where=all_of(query.where, beyond),
            order=(Order(Field("id", ColumnType.STRING)),),
            take=CHUNK,
        )
        rows = list(transaction.select(page))
        if not rows:
            return
        yield rows
        after = str(rows[-1]["id"])
