"""What the store contract promises of single calls, on both stores."""

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest

from tests.stores.conftest import AnyStore
from tests.stores.strategies import TABLE
from tidesync.contracts.store import Store
from tidesync.errors import (
    InvalidId,
    InvalidQuery,
    InvalidRecord,
    StoreClosed,
    UnknownTable,
)
from tidesync.query import Compare, Field, Not, Query, Value, equals
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.values import ColumnType

ALL = Query(TABLE.name)
OTHER = TableSchema("__other", (Column("key"),))


def put(store: AnyStore, *records: Record) -> None:
    with store.transaction(write=True) as transaction:
        transaction.put(TABLE.name, records)


def stored(store: AnyStore) -> list[Record]:
    with store.transaction(write=False) as transaction:
        return list(transaction.select(ALL))


def test_it_is_a_store(store: AnyStore) -> None:
    """All stores have the contract's shape."""
    contract: Store = store
    assert isinstance(store, SQLCipherStore) is contract.capabilities.encrypted


def test_nothing_works_before_open(store: AnyStore) -> None:
    """A transaction before open is StoreClosed. [M01]"""
    for write in (True, False):
        with pytest.raises(StoreClosed, match="open"), store.transaction(write=write):
            pass


def test_a_table_that_was_not_opened_is_unknown(store: AnyStore) -> None:
    """Every call names a table that was opened, else UnknownTable says which there are. [M01] [M09]"""
    store.open([TABLE])
    calls: list[Callable[[Any], object]] = [
        lambda t: t.get("nope", ["1"]),
        lambda t: t.put("nope", [{"id": "1"}]),
        lambda t: t.delete("nope", ["1"]),
        lambda t: list(t.select(Query("nope"))),
        lambda t: t.count(Query("nope")),
        lambda t: t.delete_where(Query("nope")),
    ]
    with store.transaction(write=True) as transaction:
        for call in calls:
            with pytest.raises(UnknownTable, match="thing"):
                call(transaction)


def test_put_inserts_and_replaces(store: AnyStore) -> None:
    """Put inserts what is new and replaces whole records, nulls and missing fields included. [M02] [M08]"""
    store.open([TABLE])
    put(store, {"id": "1", "text": "a", "number": None}, {"id": "2"})
    put(store, {"id": "1", "flag": True})
    with store.transaction(write=False) as transaction:
        assert [{"id": "2"}, {"id": "1", "flag": True}, None] == transaction.get(TABLE.name, ["2", "1", "3"])


def test_the_later_of_two_with_one_id_stays(store: AnyStore) -> None:
    """Of two records with one id in one put the later one stays, whole. [M12]"""
    store.open([TABLE])
    for count in (1, 20):
        put(store, *({"id": "1", "text": "a", "number": n} for n in range(count)), {"id": "1", "text": "b"})
        assert [{"id": "1", "text": "b"}] == stored(store)


def test_empty_calls_do_nothing(store: AnyStore) -> None:
    """Empty lists of records and ids are no error. [M04] [M13]"""
    store.open([])
    store.open([TABLE])
    with store.transaction(write=True) as transaction:
        transaction.put(TABLE.name, [])
        assert [] == transaction.get(TABLE.name, [])
        assert 0 == transaction.delete(TABLE.name, [])
        assert 0 == transaction.delete_where(ALL)
        assert 0 == transaction.count(ALL)
    assert [] == stored(store)


def test_ids_are_case_sensitive(store: AnyStore) -> None:
    """`ABC` and `abc` are two records. [M14] [M16] [M17]"""
    store.open([TABLE])
    put(store, {"id": "abc", "number": 1}, {"id": "ABC", "number": 2})
    with store.transaction(write=True) as transaction:
        assert 1 == transaction.delete(TABLE.name, ["Abc", "abc"])
        assert [None, {"id": "ABC", "number": 2}] == transaction.get(TABLE.name, ["abc", "ABC"])


@pytest.mark.parametrize("record", [{}, {"id": None}, {"id": ""}, {"id": 5}, {"id": "\ud800"}, {"text": "a"}])
def test_a_record_needs_an_id(store: AnyStore, record: Record) -> None:
    """A record without an id that is text is refused, and nothing changes. [M14]"""
    store.open([TABLE])
    with store.transaction(write=True) as transaction:
        for before in (0, 10):
            with pytest.raises((InvalidId, InvalidRecord)):
                transaction.put(TABLE.name, [*({"id": str(n)} for n in range(before)), record])
    assert [] == stored(store)


def test_a_record_is_a_dict(store: AnyStore) -> None:
    """What is no dict is refused. [M14]"""
    store.open([TABLE])
    with store.transaction(write=True) as transaction:
        for wrong in (None, "text", 5, ["id"]):
            with pytest.raises(InvalidRecord, match=type(wrong).__name__):
                transaction.put(TABLE.name, [wrong])  # type: ignore[list-item]


@pytest.mark.parametrize("field", ["text", "number", "ratio", "flag", "tree", "any", "version", "extra"])
@pytest.mark.parametrize(
    "value",
    [nan, inf, -inf, 2**63, -(2**63) - 1, "\ud800", b"bytes", (1,), {1}, object, 1j, {"a": nan}, [2**63],
     {1: 2}, ["\udfff"], {"\ud800": 1}],
)  # fmt: skip
@pytest.mark.parametrize("others", [0, 20])
def test_what_is_not_json_is_refused_by_name(store: AnyStore, field: str, value: Any, others: int) -> None:
    """A value that is not JSON is InvalidRecord, naming the field; nothing of the put happens. [M18] [M20]"""
    store.open([TABLE])
    with store.transaction(write=True) as transaction:
        good: list[Record] = [{"id": str(n), field: None} for n in range(others)]
        with pytest.raises(InvalidRecord, match=field) as caught:
            transaction.put(TABLE.name, [*good, {"id": "x", field: value}])
        assert caught.value.field.startswith(field)
    assert [] == stored(store)


def test_field_names_are_text(store: AnyStore) -> None:
    """A field name that is not text, or that no encoding can carry, is refused."""
    store.open([TABLE])
    with store.transaction(write=True) as transaction:
        for name in (1, None, "\ud800"):
            with pytest.raises(InvalidRecord):
                transaction.put(TABLE.name, [{"id": "1", name: 1}])  # type: ignore[dict-item]


def test_nesting_has_a_limit(store: AnyStore) -> None:
    """64 levels are kept, 65 refused, and 100,000 do not crash."""
    store.open([TABLE])
    value: Any = 1
    for _ in range(64):
        value = [value]
    put(store, {"id": "1", "any": value, "extra": value, "tree": value})
    assert [{"id": "1", "any": value, "extra": value, "tree": value}] == stored(store)
    with store.transaction(write=True) as transaction, pytest.raises(InvalidRecord, match="64"):
        transaction.put(TABLE.name, [{"id": "2", "tree": [value]}])


def test_an_invalid_id_in_a_list_deletes_nothing(store: AnyStore) -> None:
    """One id that is not text: an error, and nothing is deleted; missing ids do not matter. [M17]"""
    store.open([TABLE])
    put(store, {"id": "1"})
    with store.transaction(write=True) as transaction:
        for wrong in (None, 5, b"1"):
            with pytest.raises(InvalidId):
                transaction.delete(TABLE.name, ["1", wrong])  # type: ignore[list-item]
            with pytest.raises(InvalidId):
                transaction.get(TABLE.name, ["1", wrong])  # type: ignore[list-item]
        assert 1 == transaction.count(ALL)
        assert 1 == transaction.delete(TABLE.name, ["0", "1", "1", "2"])


def test_forty_thousand_ids(store: AnyStore) -> None:
    """Any number of ids may be asked for at once, also repeated; each is answered in place. [M05] [R-M23]"""
    store.open([TABLE])
    count = 40_000
    put(store, *({"id": f"{n}", "number": n} for n in range(0, count, 2)))
    ids = [f"{n}" for n in range(count)] + ["0", "0", "1"]
    with store.transaction(write=True) as transaction:
        found = transaction.get(TABLE.name, ids)
        assert [{"id": f"{n}", "number": n} if n % 2 == 0 else None for n in range(count)] == found[:count]
        assert [{"id": "0", "number": 0}, {"id": "0", "number": 0}, None] == found[count:]
        assert count // 2 == transaction.delete(TABLE.name, ids)


def test_neither_side_sees_later_changes_of_the_other(store: AnyStore) -> None:
    """A record belongs to the store once put, and to the caller once returned."""
    store.open([TABLE])
    given: Record = {"id": "1", "any": [{"a": 1}], "tree": {"b": [2]}, "text": "x"}
    expected: Record = {"id": "1", "any": [{"a": 1}], "tree": {"b": [2]}, "text": "x"}
    with store.transaction(write=True) as transaction:
        transaction.put(TABLE.name, [given])
        for record in (given, *transaction.get(TABLE.name, ["1", "1"]), *transaction.select(ALL)):
            assert record is not None
            record["text"] = "y"
            record["any"][0]["a"] = 9  # type: ignore[index]
            record["tree"]["b"].append(9)  # type: ignore[call-overload, index]
            assert [expected] == list(transaction.select(ALL))
    assert [expected] == stored(store)


def test_system_tables_are_ordinary(store: AnyStore) -> None:
    """Tables whose names start with two underscores are tables like any other."""
    store.open([TABLE, OTHER])
    with store.transaction(write=True) as transaction:
        transaction.put(OTHER.name, [{"id": "a\0b", "key": "k", "version": None}, {"id": "c"}])
        assert [{"id": "a\0b", "key": "k", "version": None}] == list(
            transaction.select(Query(OTHER.name, equals("key", "k")))
        )


def test_parts_of_records(store: AnyStore) -> None:
    """A query for some fields gives id and those fields, and leaves out what a record has not. [M16] [N06]"""
    store.open([TABLE])
    put(
        store,
        {"id": "1", "text": "a", "flag": None, "extra": [1], "tree": {"a": 1}},
        {"id": "2", "number": 2},
    )
    for fields, expected in (
        ((), [{"id": "1"}, {"id": "2"}]),
        (("flag", "number", "id"), [{"id": "1", "flag": None}, {"id": "2", "number": 2}]),
        (("extra", "tree", "nowhere"), [{"id": "1", "extra": [1], "tree": {"a": 1}}, {"id": "2"}]),
    ):
        with store.transaction(write=False) as transaction:
            assert expected == list(transaction.select(Query(TABLE.name, fields=fields)))


def test_a_query_nested_too_deeply_is_refused(store: AnyStore) -> None:
    """A condition nested 5,000 deep is InvalidQuery, and the next query works."""
    store.open([TABLE])
    put(store, {"id": "1"})
    condition: Not = Not(equals("text", "a"))
    for _ in range(5_000):
        condition = Not(condition)
    with store.transaction(write=True) as transaction:
        for call in (transaction.select, transaction.count, transaction.delete_where):
            with pytest.raises(InvalidQuery, match="flatter"):
                _ = call(Query(TABLE.name, condition))
        assert 1 == transaction.count(ALL)


def test_values_of_typed_columns_come_back_and_are_found(store: AnyStore) -> None:
    """Dates, decimals, UUIDs, bytes and enums come back as they were and are found. [M10]"""
    values: dict[str, tuple[ColumnType, str]] = {
        "at": (ColumnType.DATETIME, "2026-11-20T03:45:05.507000Z"),
        "day": (ColumnType.DATE, "0001-01-01"),
        "clock": (ColumnType.TIME, "23:59:59.999999"),
        "price": (ColumnType.DECIMAL, "1.50"),
        "key": (ColumnType.UUID, "0190a6f2-7c1e-7a3b-8f00-1234567890ab"),
        "raw": (ColumnType.BYTES, "AAH/"),
        "colour": (ColumnType.ENUM, "red"),
    }
    table = TableSchema("typed", tuple(Column(name, kind) for name, (kind, _) in values.items()))
    store.open([table])
    row: Record = {"id": "1", **{name: text for name, (_, text) in values.items()}}
    with store.transaction(write=True) as transaction:
        transaction.put("typed", [row, {"id": "2"}])
        for name, (kind, text) in values.items():
            for op in ("eq", "le", "ge"):
                where = Compare(op, Field(name, kind), Value(text, kind))  # type: ignore[arg-type]
                assert [row] == list(transaction.select(Query("typed", where)))
        same_number = Compare("eq", Field("price", ColumnType.DECIMAL), Value("1.5", ColumnType.DECIMAL))
        assert [row] == list(transaction.select(Query("typed", same_number)))
