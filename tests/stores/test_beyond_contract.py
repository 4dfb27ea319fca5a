"""What our stores promise beyond the contract; the contract itself is shown by `tests/conformance`."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.stores.conftest import AnyStore
from tidesync.conformance.store.tables import ALL, OTHER, THING
from tidesync.errors import (
    InvalidQuery,
    InvalidRecord,
    SchemaMismatch,
    StoreBusy,
    StoreClosed,
    StoreError,
    UnknownTable,
)
from tidesync.query import Compare, Expr, Field, Not, Query, Value, equals
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType


def put(store: AnyStore, *records: Record, table: str = THING.name) -> None:
    with store.transaction(write=True) as transaction:
        transaction.put(table, records)


def held(store: AnyStore, table: str = THING.name) -> list[Record]:
    with store.transaction(write=False) as transaction:
        return list(transaction.select(Query(table)))


# ---- what errors say


def test_errors_say_what_to_do(store: AnyStore) -> None:
    """An error says what the caller should do, or which there are, or what it was given."""
    with pytest.raises(StoreClosed, match="open"), store.transaction(write=False):
        pass
    store.open([THING])
    with store.transaction(write=False) as transaction:
        with pytest.raises(StoreError, match="write=True"):
            transaction.put(THING.name, [{"id": "1"}])
        with pytest.raises(StoreError, match="already"), store.transaction(write=False):
            pass
        with pytest.raises(UnknownTable, match=THING.name):
            _ = transaction.count(Query("nowhere"))
    deep: Any = 1
    for _ in range(65):
        deep = [deep]
    with store.transaction(write=True) as transaction:
        for wrong, told in ((5, "int"), ("text", "str"), ({"id": "1", "tree": deep}, "64")):
            with pytest.raises(InvalidRecord, match=told):
                transaction.put(THING.name, [wrong])  # type: ignore[list-item]


def test_a_query_nested_too_deeply_is_refused(store: AnyStore) -> None:
    """A condition nested 5,000 deep is InvalidQuery, which asks for a flatter one."""
    store.open([THING])
    condition: Expr = equals("text", "a")
    for _ in range(5_000):
        condition = Not(condition)
    with store.transaction(write=True) as transaction:
        for call in (transaction.select, transaction.count, transaction.delete_where):
            with pytest.raises(InvalidQuery, match="flatter"):
                _ = call(Query(THING.name, condition))


def test_a_mismatch_tells_both_types(store: AnyStore) -> None:
    """SchemaMismatch has the table, the column, its type in the store and the declared one."""
    store.open([TableSchema("todo", (Column("a", ColumnType.STRING),))])
    put(store, {"id": "1", "a": "x"}, table="todo")
    with pytest.raises(SchemaMismatch, match="keep the old type") as caught:
        store.open([TableSchema("todo", (Column("a", ColumnType.INTEGER),))])
    error = caught.value
    assert ("todo", "a", "string", "integer") == (error.table, error.column, error.stored, error.declared)


# ---- what is found


def test_values_of_typed_columns_are_found(store: AnyStore) -> None:
    """Dates, decimals, UUIDs, bytes and enums are found by constants of their type. [M10]"""
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


def test_names_that_differ_in_case_outlive_a_restart(store: AnyStore) -> None:
    """`Todo` and `todo` are two tables after a restart, too, and a column comes back in another case. [L04] [L12]"""
    lower, upper = (TableSchema(name, (Column("a", ColumnType.STRING),)) for name in ("todo", "Todo"))
    store.open([lower])
    put(store, {"id": "1", "a": "x"}, table="todo")
    store.open([upper])
    put(store, {"id": "2"}, table="Todo")
    store.close()
    other = TableSchema("todo", (Column("A", ColumnType.STRING),))
    store.open([upper, other])
    assert [{"id": "1", "a": "x"}] == held(store, "todo")
    put(store, {"id": "1", "A": "y", "a": "x"}, table="todo")
    assert [{"id": "1", "A": "y", "a": "x"}] == held(store, "todo")
    store.close()
    store.open([other])
    with pytest.raises(UnknownTable):
        _ = held(store, "Todo")


def test_a_store_that_is_opened_again_holds_what_it_held(store: AnyStore) -> None:
    """Closed in mid-transaction and opened again, the same store has what was committed: in memory, too."""
    store.open([THING])
    put(store, {"id": "1", "tree": [1]})

    def close_inside() -> None:
        with store.transaction(write=True) as transaction:
            transaction.put(THING.name, [{"id": "2"}])
            store.close()

    with pytest.raises(StoreClosed):
        close_inside()
    store.open([THING])
    assert [{"id": "1", "tree": [1]}] == held(store)


# ---- transactions


def test_who_iterates_sees_the_rows_as_they_were(store: AnyStore) -> None:
    """A write to a table that is being iterated does not reach the iterator."""
    store.open([THING])
    count = 1500
    put(store, *({"id": f"{n:04}", "number": n} for n in range(count)))
    with store.transaction(write=True) as transaction:
        rows = transaction.select(ALL)
        first = next(rows)
        transaction.put(THING.name, [{"id": "9999"}, {"id": "0700", "number": -1}])
        assert count + 1 == transaction.delete_where(ALL)
        assert [{"id": f"{n:04}", "number": n} for n in range(count)] == [first, *rows]


def test_what_is_over_or_never_began_is_closed(store: AnyStore) -> None:
    """An iterator that has given all, and a transaction that was never begun, are StoreClosed, too."""
    store.open([THING])
    put(store, {"id": "1"})
    with store.transaction(write=False) as transaction:
        rows = transaction.select(ALL)
        assert {"id": "1"} == next(rows)
    with pytest.raises(StoreClosed):
        _ = next(rows)
    with pytest.raises(StoreClosed):
        _ = store.transaction(write=True).put(THING.name, [])


@pytest.mark.parametrize("write", [True, False])
def test_open_inside_a_transaction_is_an_error(store: AnyStore, write: bool) -> None:
    """Opening inside a transaction of the same thread is a StoreError; the transaction goes on."""
    store.open([THING])
    with store.transaction(write=write) as transaction:
        with pytest.raises(StoreError, match="already"):
            store.open([OTHER])
        assert 0 == transaction.count(ALL)
    put(store, {"id": "1"})


def test_readers_and_writers_do_not_wait_for_each_other(store: AnyStore) -> None:
    """A writer ends while another thread reads, and a reader while another thread writes; neither sees the other."""
    store.open([THING])
    put(store, {"id": "1", "number": 0})
    with ThreadPoolExecutor(1) as other:
        with store.transaction(write=False) as transaction:
            rows = transaction.select(ALL)
            other.submit(put, store, {"id": "1", "number": 1}).result(30)
            assert [{"id": "1", "number": 0}] == list(rows)
            assert 1 == transaction.count(ALL)
        with store.transaction(write=True) as transaction:
            transaction.put(THING.name, [{"id": "1", "number": 2}])
            assert [{"id": "1", "number": 1}] == other.submit(held, store).result(30)


def test_a_long_wait_is_store_busy(make: Callable[..., AnyStore]) -> None:
    """A writer that waits longer than the timeout gets StoreBusy, and may try again; readers do not wait."""
    store = make(busy_timeout=0.05)
    store.open([THING])
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with store.transaction(write=True) as transaction:
            transaction.put(THING.name, [{"id": "1"}])
            begun.set()
            assert end.wait(30)

    with ThreadPoolExecutor(1) as other:
        holder = other.submit(hold)
        assert begun.wait(30)
        started = time.monotonic()
        with pytest.raises(StoreBusy, match="try again"):
            put(store, {"id": "2"})
        assert 0.04 <= time.monotonic() - started
        assert [] == held(store)
        end.set()
        holder.result()
    put(store, {"id": "2"})
    assert [{"id": "1"}, {"id": "2"}] == held(store)


def test_a_transaction_may_end_in_another_thread(store: AnyStore) -> None:
    """A transaction that another thread ends leaves the first one free to begin the next."""
    store.open([THING])
    context = store.transaction(write=True)
    with ThreadPoolExecutor(1) as other:
        transaction = context.__enter__()
        other.submit(transaction.put, THING.name, [{"id": "1"}]).result()
        other.submit(context.__exit__, None, None, None).result()
    assert [{"id": "1"}] == held(store)


def test_closed_while_a_writer_waits_for_its_turn(store: AnyStore) -> None:
    """The writer is told that the store is closed, and nothing else."""
    store.open([THING])
    waits = threading.Event()

    def write() -> None:
        waits.set()
        put(store, {"id": "1"})

    with ThreadPoolExecutor(1) as pool:
        first = store.transaction(write=True)
        _ = first.__enter__()
        writing = pool.submit(write)
        assert waits.wait(10)
        time.sleep(0.05)  # until it stands in line
        store.close()
        with pytest.raises(StoreClosed):
            _ = first.__exit__(None, None, None)
        assert StoreClosed is type(writing.exception(10))
    store.open([THING])
    put(store, {"id": "2"})
    assert [{"id": "2"}] == held(store)
