"""Rules about what a transaction keeps together, and what others see of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

from tidesync.conformance.expect import equal, fail, raises, true, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put, refill
from tidesync.conformance.store.tables import ALL, OTHER, THING
from tidesync.conformance.store.threads import apart
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.errors import (
    InvalidId,
    InvalidQuery,
    InvalidRecord,
    StoreBusy,
    StoreClosed,
    StoreError,
    UnknownTable,
)
from tidesync.query import Field, Order, Query, equals
from tidesync.records import Record


class Stop(BaseException):
    """An exception that is no Exception, as KeyboardInterrupt."""


BOTH: Final = (THING, OTHER)
ALL_OTHER: Final = Query(OTHER.name)
BEFORE: Final[tuple[Record, ...]] = ({"id": "1", "number": 1}, {"id": "2", "text": "b"}, {"id": "3"})


def _raised() -> list[BaseException]:
    """Exceptions of every kind that a block may end with."""
    return [
        ValueError("mine"), KeyError("mine"), StoreError("mine"), StoreClosed("mine"), StopIteration("mine"),
        InvalidRecord("thing", "text", "set", "mine"), RuntimeError("generator raised StopIteration"),
        asyncio.CancelledError("mine"), GeneratorExit("mine"), KeyboardInterrupt("mine"), SystemExit(3), Stop("mine"),
    ]  # fmt: skip


def end_with(
    store: Store, error: BaseException, work: Callable[[StoreTransaction], object], *, write: bool = True
) -> BaseException | None:
    """What comes out of a transaction whose block does the work, and then raises the error."""
    came: BaseException | None = None
    try:
        with store.transaction(write=write) as transaction:
            _ = work(transaction)
            raise error
    except BaseException as caught:  # noqa: BLE001  # what comes out is what the rule is about
        came = caught
    return came


def numbered(count: int) -> list[Record]:
    """So many records with a number each."""
    return [{"id": f"{n:04}", "number": n} for n in range(count)]


def opened(bench: StoreBench) -> Store:
    """An open store with records in two tables."""
    store = bench.open(*BOTH)
    put(store, *BEFORE)
    put(store, {"id": "1", "key": "k"}, table=OTHER.name)
    return store


def _unchanged(store: Store, what: str) -> None:
    equal(list(BEFORE), held(store), f"{THING.name} {what}")
    equal([{"id": "1", "key": "k"}], held(store, ALL_OTHER), f"{OTHER.name} {what}")


class Transactions:
    """What belongs together, and what comes of it when it fails."""

    @rule("STORE-19", "A transaction is atomic and isolated")
    def test_a_transaction_is_kept_when_it_ends(self, bench: StoreBench) -> None:
        """All that a block did to any table is there when it has ended, in the order in which it was done.

        Why: a local write is a record and an operation of the queue; one without the other is lost, or sent twice.
        Look at: a commit for each table, writes that are collected and sorted, and a delete that outlives a later put.
        """
        store = opened(bench)
        with store.transaction(write=True) as transaction:
            transaction.put(THING.name, [{"id": "1"}, {"id": "4"}])
            equal(2, transaction.delete(THING.name, ["1", "2"]), "delete")
            transaction.put(THING.name, [{"id": "2", "text": "again"}])
            equal(1, transaction.delete_where(ALL_OTHER), "delete_where")
            transaction.put(OTHER.name, [{"id": "1", "key": "new"}])
            transaction.put(OTHER.name, [{"id": "2"}])
            equal(1, transaction.delete(OTHER.name, ["2"]), "delete of what was just put")
        expected: list[Record] = [{"id": "2", "text": "again"}, {"id": "3"}, {"id": "4"}]
        equal(expected, held(store), THING.name)
        equal([{"id": "1", "key": "new"}], held(store, ALL_OTHER), OTHER.name)

    @rule("STORE-20", "One atomic, isolated unit")
    def test_a_transaction_sees_its_own_writes(self, bench: StoreBench) -> None:
        """Every call sees what the calls before it in its transaction have written, and only that.

        Why: the engine puts an operation, and looks for it in the queue, within one transaction.
        Look at: reads that go to the committed state, and writes that wait for the commit: for each of get, select,
        count and delete_where.
        """
        store = opened(bench)
        with store.transaction(write=True) as transaction:

            def shows(rows: list[Record], what: str) -> None:
                ids = ["1", "2", "3", "4"]
                there = {row["id"]: row for row in rows}
                equal([there.get(id) for id in ids], transaction.get(THING.name, ids), f"get {what}")
                equal(rows, list(transaction.select(ALL)), f"select {what}")
                equal(len(rows), transaction.count(ALL), f"count {what}")
                found = [row for row in rows if row.get("number") == 7]
                where = Query(THING.name, equals("number", 7), (Order(Field("number")),))
                equal(found, list(transaction.select(where)), f"select by an index {what}")

            first, _, third = BEFORE
            shows(list(BEFORE), "before")
            transaction.put(THING.name, [{"id": "2", "number": 7}, {"id": "4", "number": 7}])
            shows([first, {"id": "2", "number": 7}, third, {"id": "4", "number": 7}], "after put")
            equal(1, transaction.delete(THING.name, ["4"]), "delete of what was just put")
            shows([first, {"id": "2", "number": 7}, third], "after delete")
            equal(1, transaction.delete_where(Query(THING.name, equals("number", 7))), "delete_where")
            shows([first, third], "after delete_where")
            transaction.put(THING.name, [{"id": "2"}])
            shows([first, {"id": "2"}, third], "after another put")

    @rule("STORE-21", "is rolled back on any exception")
    def test_any_exception_rolls_back(self, bench: StoreBench) -> None:
        """Whatever exception ends a block, nothing is left of what it did to any table, and the next one works.

        Why: half of a failed write is worse than none: records without operations never reach the remote.
        Look at: `except Exception`, which lets KeyboardInterrupt and GeneratorExit by; tables that commit on their
        own; a lock that only a commit gives back; a delete that is not undone.
        """

        def rule() -> None:
            store = opened(bench)

            def everything(transaction: StoreTransaction) -> None:
                transaction.put(THING.name, [{"id": "1", "text": "changed"}, {"id": "4"}])
                _ = transaction.delete(THING.name, ["2"])
                transaction.put(OTHER.name, [{"id": "1"}, {"id": "2"}])
                _ = transaction.delete_where(Query(THING.name, skip=1))
                _ = transaction.delete_where(ALL_OTHER)

            ways: dict[str, Callable[[StoreTransaction], object]] = {
                "put": lambda transaction: transaction.put(THING.name, [{"id": "1"}, {"id": "4"}]),
                "put in the second table": lambda transaction: transaction.put(OTHER.name, [{"id": "2"}]),
                "delete": lambda transaction: transaction.delete(THING.name, ["2"]),
                "delete_where": lambda transaction: transaction.delete_where(ALL),
                "all calls": everything,
            }
            for name, work in ways.items():
                _ = end_with(store, ValueError("mine"), work)
                _unchanged(store, f"after {name} and ValueError")
            for error in _raised():
                _ = end_with(store, error, everything)
                _unchanged(store, f"after all calls and {type(error).__name__}")
            with works("a put after transactions that were rolled back"):
                put(store, {"id": "4"})
            equal(4, len(held(store)), "records after a put that nothing disturbed")

        apart(rule, "transactions that end with exceptions")

    @rule("STORE-22", "which comes out as it was raised")
    def test_an_exception_comes_out_as_it_was_raised(self, bench: StoreBench) -> None:
        """The exception that ends a block comes out of it: the very object, neither swallowed nor wrapped.

        Why: the engine and the application look at its class to know what to do next.
        Look at: an `__exit__` that returns something true, `raise StoreError from error` around the whole block, and
        StopIteration in a generator that was made a context manager.
        """

        def rule() -> None:
            store = opened(bench)
            for write in (True, False):
                for error in _raised():
                    came = end_with(store, error, lambda transaction: transaction.count(ALL), write=write)
                    true(came is error, f"{error!r} was raised in the block, and {came!r} came out of it")

        apart(rule, "transactions that end with exceptions")

    @rule("STORE-23", "is rolled back on any exception")
    def test_an_exception_in_mid_iteration_rolls_back(self, bench: StoreBench) -> None:
        """A block that ends while records are being iterated is rolled back like any other.

        Why: what fails is most often the work on one of many records.
        Look at: statements that are still open, for which a database refuses to roll back, or to begin anew.
        """

        def rule() -> None:
            store = bench.open(*BOTH)
            rows = numbered(1_200)
            put(store, *rows)
            kept: list[Iterator[Record]] = []

            def begin(transaction: StoreTransaction) -> None:
                transaction.put(OTHER.name, [{"id": "x"}])
                for query in (ALL, Query(THING.name, order=(Order(Field("number")),)), ALL_OTHER):
                    kept.append(transaction.select(query))
                    _ = next(kept[-1])
                for row in transaction.select(ALL):
                    transaction.put(OTHER.name, [{"id": str(row["id"])}])
                    if row["number"] == 700:
                        break

            for error in (ZeroDivisionError("mine"), Stop("mine")):
                true(end_with(store, error, begin) is error, f"{error!r} did not come out of the block")
                equal([], held(store, ALL_OTHER), f"{OTHER.name} after {error!r} in mid-iteration")
            equal(rows, held(store), f"{THING.name} after exceptions in mid-iteration")
            refill(store, rows[:1])
            equal(rows[:1], held(store), "after the next transaction")

        apart(rule, "transactions that end in mid-iteration")

    @rule("STORE-24", "A call that raises a `UsageError` has done nothing")
    def test_a_refused_call_does_nothing(self, bench: StoreBench) -> None:
        """A put of which one record is refused keeps none of them, in the transaction and after it.

        Why: the engine sets a record aside that cannot be stored, and goes on; its neighbours are put again.
        Look at: records that are checked one by one as they are written, or in parts of a list.
        """
        store = opened(bench)
        wrong: Any = {"id": "bad", "extra": {1, 2}}
        for before, after in ((0, 2), (2, 0), (1, 1), (600, 600), (1_500, 0)):
            rows: list[Record] = [{"id": str(n), "text": "new"} for n in range(before)]
            rows.append(wrong)
            rows.extend([{"id": f"a{n}"} for n in range(after)])
            with store.transaction(write=True) as transaction:
                with raises(InvalidRecord, what=f"put of {before} records, one with a set, {after} records"):
                    transaction.put(THING.name, rows)
                equal(
                    list(BEFORE), list(transaction.select(ALL)), f"select after {before} and a refused record"
                )
            _unchanged(store, f"after a put with a record that was refused, and {before} before it")

    @rule("STORE-25", "and its transaction goes on")
    def test_a_transaction_goes_on_after_a_refused_call(self, bench: StoreBench) -> None:
        """After calls that were refused a transaction does and keeps all else, and keeps what it did before.

        Why: one record that cannot be stored must not cost a page, nor the page be kept in part.
        Look at: a call that ends the transaction, or rolls it back, when it fails.
        """
        store = opened(bench)
        bad: Any = {"id": "4", "text": object()}
        ids: Any = ["1", 5]
        calls: dict[str, tuple[Callable[[StoreTransaction], object], tuple[type[Exception], ...]]] = {
            "put": (lambda transaction: transaction.put(THING.name, [{"id": "1"}, bad]), (InvalidRecord,)),
            "get": (lambda transaction: transaction.get(THING.name, ids), (InvalidId, InvalidRecord)),
            "delete": (lambda transaction: transaction.delete(THING.name, ids), (InvalidId, InvalidRecord)),
            "select": (lambda transaction: list(transaction.select(Query("nowhere"))), (UnknownTable,)),
            "count": (lambda transaction: transaction.count(Query("nowhere")), (UnknownTable, InvalidQuery)),
        }
        for name, (call, kinds) in calls.items():
            with store.transaction(write=True) as transaction:
                transaction.put(THING.name, [{"id": "before", "text": name}])
                with raises(*kinds, what=f"{name} with what is wrong"):
                    _ = call(transaction)
                equal(4, transaction.count(ALL), f"count after a refused {name}")
                with works(f"put after a refused {name}"):
                    transaction.put(THING.name, [{"id": "later", "text": name}])
            expected: list[Record] = [
                *BEFORE, {"id": "before", "text": name}, {"id": "later", "text": name},
            ]  # fmt: skip
            equal(expected, held(store), f"after a transaction with a refused {name}")
            with store.transaction(write=True) as transaction:
                equal(2, transaction.delete(THING.name, ["before", "later"]), "delete")

    @rule("STORE-26", "Used after its end, it and its iterators raise `StoreClosed`")
    def test_a_transaction_is_not_used_after_its_end(self, bench: StoreBench) -> None:
        """Every call of a transaction that has ended raises StoreClosed, also while another one is under way.

        Why: what is written there belongs to no transaction, or to that of somebody else.
        Look at: a connection that the transaction keeps, and that the next transaction has by now.
        """
        store = opened(bench)
        calls: dict[str, Callable[[StoreTransaction], object]] = {
            "get": lambda transaction: transaction.get(THING.name, ["1"]),
            "select": lambda transaction: next(transaction.select(ALL), None),
            "count": lambda transaction: transaction.count(ALL),
            "put": lambda transaction: transaction.put(THING.name, [{"id": "late"}]),
            "delete": lambda transaction: transaction.delete(THING.name, ["1"]),
            "delete_where": lambda transaction: transaction.delete_where(ALL),
        }
        over: dict[str, StoreTransaction] = {}

        def keep(transaction: StoreTransaction) -> None:
            over["was rolled back"] = transaction

        with store.transaction(write=True) as transaction:
            over["was committed"] = transaction
        _ = end_with(store, ValueError("mine"), keep)
        for how, transaction in over.items():
            for name, call in calls.items():
                with raises(StoreClosed, what=f"{name} of a transaction that {how}"):
                    _ = call(transaction)
                with store.transaction(write=True) as another:
                    with raises(StoreClosed, what=f"{name} of a transaction that {how}, during another one"):
                        _ = call(transaction)
                    equal(3, another.count(ALL), f"count of the other one after {name}")
        _unchanged(store, "after calls of transactions that were over")

    @rule("STORE-27", "A transaction inside a transaction of the same thread is a `StoreError`")
    def test_transactions_do_not_nest(self, bench: StoreBench) -> None:
        """A transaction inside another one of the same thread is a StoreError at once, and the outer one goes on.

        Why: it would wait for itself for ever, or commit half of the outer one's work.
        Look at: a lock that may be taken twice by a thread (RLock), or that a thread waits for though it has it; an
        inner one that fails and ends the outer; a note "under way" that the refused one takes away as it leaves.
        """

        def rule() -> None:
            store = opened(bench)
            for outer in (True, False):
                with store.transaction(write=outer) as transaction:
                    for inner in (True, False, True):
                        what = f"write={inner} inside write={outer}"
                        with raises(StoreError, what=what) as caught, store.transaction(write=inner):
                            pass
                        if isinstance(caught.error, StoreBusy):
                            fail(f"{what}: expected StoreError, found StoreBusy: it waited for itself")
                        equal(list(BEFORE), list(transaction.select(ALL)), f"select after {what}")
                    if outer:
                        transaction.put(OTHER.name, [{"id": "1", "key": "new"}])
            equal([{"id": "1", "key": "new"}], held(store, ALL_OTHER), "after the outer transactions")

        apart(rule, "a transaction inside another one of the same thread")
