"""What the store contract promises of transactions, on both stores."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stores.conftest import AnyStore
from tests.stores.strategies import TABLE
from tests.stores.test_contract import ALL, OTHER, put, stored
from tidesync.errors import StoreBusy, StoreClosed, StoreError


def test_an_exception_rolls_everything_back(store: AnyStore) -> None:
    """Any exception undoes the whole transaction, and the next one works. [M18] [M21]"""
    store.open([TABLE, OTHER])
    put(store, {"id": "1", "number": 1}, {"id": "2"})

    def fail(error: type[BaseException]) -> None:
        with store.transaction(write=True) as transaction:
            transaction.put(TABLE.name, [{"id": "1", "number": 2}, {"id": "3"}])
            transaction.put(OTHER.name, [{"id": "1"}])
            assert 1 == transaction.delete(TABLE.name, ["2"])
            assert 2 == transaction.delete_where(ALL)
            raise error

    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            fail(error)
    assert [{"id": "1", "number": 1}, {"id": "2"}] == stored(store)
    put(store, {"id": "4"})
    assert 3 == len(stored(store))


def test_an_exception_in_mid_iteration_rolls_back(store: AnyStore) -> None:
    """An open iterator does not keep a transaction from being rolled back."""
    store.open([TABLE])
    put(store, *({"id": str(n)} for n in range(1000)))

    def fail() -> None:
        with store.transaction(write=True) as transaction:
            transaction.put(TABLE.name, [{"id": "x"}])
            for _ in transaction.select(ALL):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert 1000 == len(stored(store))


def test_an_iterator_ends_with_its_transaction(store: AnyStore) -> None:
    """An iterator or transaction used after its end is StoreClosed; one that was never begun too."""
    store.open([TABLE])
    put(store, *({"id": str(n)} for n in range(1000)))
    for reached in (0, 1, 999, 1000):
        with store.transaction(write=False) as transaction:
            rows = transaction.select(ALL)
            for _ in range(reached):
                _ = next(rows)
        with pytest.raises(StoreClosed):
            _ = next(rows)
    for call in (
        lambda: transaction.count(ALL),
        lambda: transaction.get(TABLE.name, []),
        lambda: transaction.select(ALL),
        lambda: store.transaction(write=True).put(TABLE.name, []),
    ):
        with pytest.raises(StoreClosed):
            _ = call()
    put(store, {"id": "new"})
    assert 1001 == len(stored(store))


def test_who_iterates_sees_the_rows_as_they_were(store: AnyStore) -> None:
    """A write to a table that is being iterated does not reach the iterator."""
    store.open([TABLE])
    count = 1500
    put(store, *({"id": f"{n:04}", "number": n} for n in range(count)))
    with store.transaction(write=True) as transaction:
        rows = transaction.select(ALL)
        first = next(rows)
        transaction.put(TABLE.name, [{"id": "9999"}, {"id": "0700", "number": -1}])
        assert count + 1 == transaction.delete_where(ALL)
        assert [{"id": f"{n:04}", "number": n} for n in range(count)] == [first, *rows]


def test_a_write_needs_a_write_transaction(store: AnyStore) -> None:
    """Writing in a reading transaction is a StoreError."""
    store.open([TABLE])
    with store.transaction(write=False) as transaction:
        for call in (
            lambda: transaction.put(TABLE.name, [{"id": "1"}]),
            lambda: transaction.delete(TABLE.name, ["1"]),
            lambda: transaction.delete_where(ALL),
        ):
            with pytest.raises(StoreError, match="write=True"):
                _ = call()
    assert [] == stored(store)


@pytest.mark.parametrize("outer", [True, False])
@pytest.mark.parametrize("inner", [True, False])
def test_nesting_is_an_error(store: AnyStore, outer: bool, inner: bool) -> None:
    """A transaction inside one of the same thread is a StoreError; the outer one goes on."""
    store.open([TABLE])
    with store.transaction(write=outer) as transaction:
        with pytest.raises(StoreError, match="already"), store.transaction(write=inner):
            pass
        with pytest.raises(StoreError, match="already"):
            store.open([OTHER])
        assert 0 == transaction.count(ALL)
    put(store, {"id": "1"})


def test_closing_twice_and_opening_again(store: AnyStore) -> None:
    """Close is idempotent, use after it is StoreClosed, and open goes on with what there was. [L01] [L16]"""
    store.close()
    store.open([TABLE])
    store.open([TABLE])
    put(store, {"id": "1", "tree": [1]})
    store.close()
    store.close()
    with pytest.raises(StoreClosed), store.transaction(write=False):
        pass
    store.open([TABLE])
    assert [{"id": "1", "tree": [1]}] == stored(store)


@pytest.mark.parametrize("write", [True, False])
def test_closing_during_a_transaction(store: AnyStore, write: bool) -> None:
    """Close ends a transaction under way: what it does next is StoreClosed, and it writes nothing."""
    store.open([TABLE])
    put(store, {"id": "1"}, {"id": "2"})

    def close_inside() -> None:
        with store.transaction(write=write) as transaction:
            rows = transaction.select(ALL)
            assert {"id": "1"} == next(rows)
            if write:
                transaction.put(TABLE.name, [{"id": "3"}])
            store.close()
            with pytest.raises(StoreClosed):
                _ = next(rows)
            with pytest.raises(StoreClosed):
                _ = transaction.count(ALL)

    with pytest.raises(StoreClosed):
        close_inside()
    store.open([TABLE])
    assert [{"id": "1"}, {"id": "2"}] == stored(store)


def test_a_reader_sees_one_committed_state(store: AnyStore) -> None:
    """What another thread writes meanwhile, committed or not, does not show in a transaction under way."""
    store.open([TABLE])
    put(store, *({"id": f"{n:04}", "number": 0} for n in range(2000)))
    with ThreadPoolExecutor(1) as other:
        with store.transaction(write=False) as transaction:
            rows = transaction.select(ALL)
            first = next(rows)
            other.submit(put, store, *({"id": f"{n:04}", "number": 1} for n in range(2001))).result()
            assert {0} == {row["number"] for row in [first, *rows]}
            assert 2000 == transaction.count(ALL)
            assert [{"id": "0005", "number": 0}] == transaction.get(TABLE.name, ["0005"])
        with store.transaction(write=True) as transaction:
            transaction.put(TABLE.name, [{"id": "0000", "number": 2}])
            before = other.submit(stored, store).result()
            assert [1] * 2001 == [row["number"] for row in before]


def test_writers_take_turns(make: Callable[..., AnyStore]) -> None:
    """Write transactions of many threads run one after another, and none is lost. [R-M24] [R-M25]"""
    store = make(busy_timeout=60.0)
    store.open([TABLE])
    put(store, {"id": "sum", "number": 0})

    def add(_: int) -> None:
        with store.transaction(write=True) as transaction:
            (row,) = transaction.get(TABLE.name, ["sum"])
            assert row is not None
            transaction.put(TABLE.name, [{"id": "sum", "number": row["number"] + 1}])  # type: ignore[operator]

    with ThreadPoolExecutor(6) as pool:
        _ = list(pool.map(add, range(300)))
    assert [{"id": "sum", "number": 300}] == stored(store)


def test_a_long_wait_is_store_busy(make: Callable[..., AnyStore]) -> None:
    """A writer that waits longer than the timeout gets StoreBusy, and may try again; readers do not wait."""
    store = make(busy_timeout=0.05)
    store.open([TABLE])
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with store.transaction(write=True) as transaction:
            transaction.put(TABLE.name, [{"id": "1"}])
            begun.set()
            assert end.wait(30)

    with ThreadPoolExecutor(1) as other:
        holder = other.submit(hold)
        assert begun.wait(30)
        started = time.monotonic()
        with pytest.raises(StoreBusy, match="try again"):
            put(store, {"id": "2"})
        assert 0.04 <= time.monotonic() - started
        assert [] == stored(store)
        end.set()
        holder.result()
    put(store, {"id": "2"})
    assert [{"id": "1"}, {"id": "2"}] == stored(store)


def test_a_transaction_may_end_in_another_thread(store: AnyStore) -> None:
    """A transaction that another thread ends leaves the first one free to begin the next."""
    store.open([TABLE])
    context = store.transaction(write=True)
    with ThreadPoolExecutor(1) as other:
        transaction = context.__enter__()
        other.submit(transaction.put, TABLE.name, [{"id": "1"}]).result()
        other.submit(context.__exit__, None, None, None).result()
    assert [{"id": "1"}] == stored(store)
