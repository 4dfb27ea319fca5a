"""Rules about several threads, and about several stores on one place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tidesync.conformance.expect import equal, raises, true, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put
from tidesync.conformance.store.tables import ALL, OTHER, THING
from tidesync.conformance.store.threads import Apart, apart, persistent, reached
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.errors import StoreBusy, StoreClosed
from tidesync.query import Query
from tidesync.records import Record

WHILE: Final = 0.3
"""Seconds that another thread has to end, where it may also wait for this one: either is right."""
ALL_OTHER: Final = Query(OTHER.name)


class Stop(Exception):
    """Ends a transaction that is not to be kept."""


def _write(store: Store, work: Callable[[StoreTransaction], object]) -> None:
    with store.transaction(write=True) as transaction:
        _ = work(transaction)


def _numbered(count: int, number: int) -> list[Record]:
    return [{"id": f"{n:04}", "number": number} for n in range(count)]


def _seen(store: Store) -> tuple[list[Record], list[Record]]:
    with store.transaction(write=False) as transaction:
        return list(transaction.select(ALL)), list(transaction.select(ALL_OTHER))


class Turn:
    """A counter that writers raise one after another, and notes who wrote while another one did."""

    def __init__(self) -> None:
        self.inside = 0
        self.overlaps = 0

    def add(self, store: Store) -> None:
        """Raise the counter by one."""
        with store.transaction(write=True) as transaction:
            self.inside += 1
            self.overlaps += self.inside > 1
            (row,) = transaction.get(THING.name, ["sum"])
            time.sleep(0.0005)
            number = 0 if row is None else row["number"]
            transaction.put(THING.name, [{"id": "sum", "number": int(str(number)) + 1}])
            self.inside -= 1

    def run(self, stores: list[Store], each: int) -> None:
        """Let a thread for each store add so often, and see that nothing was lost."""

        def work(store: Store) -> None:
            for _ in range(each):
                persistent(lambda: self.add(store))

        threads = [Apart(lambda store=store: work(store)) for store in stores]  # type: ignore[misc]  # mypy infers no lambda with a default
        for thread in threads:
            thread.result("a writer among others")
        equal(0, self.overlaps, "writers that were at work while another one was")
        equal(
            [{"id": "sum", "number": each * len(stores)}], held(stores[0]), "the sum of what all have added"
        )


class Turns:
    """What threads see of each other."""

    @rule("STORE-32", "Readers see one committed state")
    def test_nobody_sees_what_is_not_committed(self, bench: StoreBench) -> None:
        """What a transaction writes is seen by no other thread before it is committed, and never if it is not.

        Why: the application would show, and the push would send, what is then rolled back.
        Look at: one connection or one dict for all threads; writes that change the records in place.
        """
        store = bench.open(THING, OTHER)
        before, after = _numbered(600, 0), _numbered(601, 1)
        put(store, *before)

        def change(transaction: StoreTransaction) -> None:
            transaction.put(THING.name, after[:-1])
            transaction.put(OTHER.name, [{"id": "1"}])
            _ = transaction.delete(THING.name, ["0000"])
            transaction.put(THING.name, [after[0], after[-1]])

        readers: list[Apart[tuple[list[Record], list[Record]]]] = []
        with suppress(Stop), store.transaction(write=True) as transaction:
            change(transaction)
            readers.append(Apart(lambda: persistent(lambda: _seen(store))))
            _ = readers[0].over(WHILE)
            raise Stop
        nothing: list[Record] = []
        equal(
            (before, nothing),
            readers[0].result("a reader"),
            "what another thread saw of what was rolled back",
        )
        with store.transaction(write=True) as transaction:
            change(transaction)
            reader = Apart(lambda: persistent(lambda: _seen(store)))
            early = reader.over(WHILE)
        seen = reader.result("a reader")
        if early:
            equal((before, nothing), seen, "what another thread saw before the commit")
        equal((after, [{"id": "1"}]), apart(lambda: _seen(store)), "what another thread saw after the commit")

    @rule("STORE-33", "Readers see one committed state")
    def test_a_reader_keeps_its_state(self, bench: StoreBench) -> None:
        """A transaction that has begun to read sees that state to its end, whatever others commit meanwhile.

        Why: a report of two lists must be of one moment, and a loop must not meet a record twice.
        Look at: a snapshot of each statement or of each table, and an iterator that fetches the next part of a table
        by a new query; get, count and select must agree in mid-iteration.
        """
        store = bench.open(THING, OTHER)
        before, after = _numbered(1_300, 0), _numbered(1_301, 1)[1:]
        put(store, *before)
        put(store, {"id": "1", "key": 0}, table=OTHER.name)

        def change(transaction: StoreTransaction) -> None:
            _ = transaction.delete(THING.name, ["0000"])
            transaction.put(THING.name, after)
            transaction.put(OTHER.name, [{"id": "1", "key": 1}])

        with store.transaction(write=False) as transaction:
            rows = transaction.select(ALL)
            begun = [next(rows) for _ in range(3)]
            writer = Apart(lambda: persistent(lambda: _write(store, change)))
            _ = writer.over(WHILE)
            begun += [next(rows) for _ in range(800)]
            equal(1_300, transaction.count(ALL), "count in mid-iteration")
            equal(
                [before[0], before[9]], transaction.get(THING.name, ["0000", "0009"]), "get in mid-iteration"
            )
            equal(before, [*begun, *rows], "the records of an iterator, while another thread wrote")
            equal(before, list(transaction.select(ALL)), "select, when another thread had written")
            equal([{"id": "1", "key": 0}], list(transaction.select(ALL_OTHER)), "select of another table")
        writer.result("a writer")
        equal((after, [{"id": "1", "key": 1}]), _seen(store), "what the next transaction saw")

    @rule("STORE-34", "Write transactions run strictly one after another")
    def test_writers_take_turns(self, bench: StoreBench) -> None:
        """Of writers in several threads each begins with what the one before it has committed: none is lost.

        Why: a user writes while a pull stores a page; of two changes of one record the first would vanish.
        Look at: a lock that is taken with the first write and not with the first read, or given back before the
        commit; a lock per thread.
        """
        store = bench.open()
        Turn().run([store] * 5, each=4 * bench.profile.runs)

    @rule("STORE-35", "A long wait is `StoreBusy`")
    def test_a_writer_waits_or_is_told(self, bench: StoreBench) -> None:
        """A writer that finds another one at work waits for its turn, or is StoreBusy; it does not fail otherwise.

        Why: an application tries again after StoreBusy, and reports any other error as a fault.
        Look at: a driver's own error ("database is locked") that comes out as it is, a wait that is not counted, and
        a turn that is never given to one that waited.
        """
        store = bench.open()
        begun = threading.Event()

        def other() -> None:
            begun.set()
            put(store, {"id": "2"})

        with store.transaction(write=True) as transaction:
            transaction.put(THING.name, [{"id": "1"}])
            writer = Apart(other)
            reached(begun, "a thread that begins")
            busy = False
            if writer.over(WHILE):
                with raises(StoreBusy, what="a writer while another one was at work"):
                    writer.result()
                busy = True
            equal([{"id": "1"}], list(transaction.select(ALL)), "what the first writer saw meanwhile")
        if not busy:
            with suppress(StoreBusy):
                writer.result("a writer, when the one before it had ended")
        apart(lambda: persistent(lambda: put(store, {"id": "2"})), "a writer that tries again")
        equal([{"id": "1"}, {"id": "2"}], held(store), "what both have written")

    @rule("STORE-36", "is rolled back on any exception")
    def test_a_writer_that_fails_lets_the_next_one_in(self, bench: StoreBench) -> None:
        """When a writer fails, in whatever thread, a writer of any other thread may begin.

        Why: one failed write would else stop all others until the application is started again.
        Look at: a lock that only a commit gives back, or that is not given back where the begin itself fails.
        """
        store = bench.open()

        def fail(kind: type[BaseException]) -> None:
            with store.transaction(write=True) as transaction:
                transaction.put(THING.name, [{"id": "never"}])
                raise kind

        for number, kind in enumerate((ZeroDivisionError, KeyboardInterrupt, GeneratorExit)):
            with raises(kind, what="a block in another thread"):
                apart(lambda kind=kind: fail(kind), "a writer that fails")  # type: ignore[misc]  # mypy infers no lambda with a default
            what = f"a writer after {kind.__name__} in another thread"
            with works(what):
                apart(lambda number=number: put(store, {"id": str(number)}), what)  # type: ignore[misc]  # mypy infers no lambda with a default
        equal([{"id": "0"}, {"id": "1"}, {"id": "2"}], held(store), "what was written")

    @rule("STORE-37", "A transaction is atomic and isolated")
    def test_no_state_is_torn(self, bench: StoreBench) -> None:
        """While several threads move amounts between two tables, readers always find the whole sum, by every call.

        Why: balances, stocks and places in a list only make sense together.
        Look at: a commit that goes table by table, or a reader that begins between two of them.
        """
        store = bench.open(THING, OTHER)
        tables = (THING.name, OTHER.name)
        count, each = 6, 8 * bench.profile.runs
        ids = [str(n) for n in range(count)]
        for table in tables:
            hundreds: list[Record] = [{"id": id, "number": 100} for id in ids]
            put(store, *hundreds, table=table)

        def move(first: int) -> None:
            for n in range(each):
                source, target = (tables[(first + n) % 2], tables[(first + n + 1) % 2])
                id = ids[(first + n) % count]
                persistent(lambda source=source, target=target, id=id: step(source, target, id))  # type: ignore[misc]  # mypy infers no lambda with a default

        def step(source: str, target: str, id: str) -> None:
            with store.transaction(write=True) as transaction:
                for table, change in ((source, -7), (target, 7)):
                    (row,) = transaction.get(table, [id])
                    number = 0 if row is None else int(str(row["number"]))
                    _ = transaction.delete(table, [id])
                    transaction.put(table, [{"id": id, "number": number + change}])

        def look() -> int:
            looks = 0
            while not all(writer.over(0) for writer in writers):
                looks += 1
                persistent(see)
            return looks

        def see() -> None:
            with store.transaction(write=False) as transaction:
                selected = [row for table in tables for row in transaction.select(Query(table))]
                got = [row for table in tables for row in transaction.get(table, ids)]
                counted = [transaction.count(Query(table)) for table in tables]
            equal(got, selected, "get and select of one transaction")
            equal([count, count], counted, "count of both tables")
            equal(200 * count, sum(int(str(row["number"])) for row in selected), "the sum over both tables")

        writers = [Apart(lambda first=first: move(first)) for first in range(2)]  # type: ignore[misc]  # mypy infers no lambda with a default
        readers = [Apart(look) for _ in range(2)]
        for reader in readers:
            _ = reader.result("a reader among others")
        for writer in writers:
            writer.result("a writer among others")
        see()

    @rule("STORE-38", "Any thread may use an open store, whichever opened it")
    def test_any_thread_may_use_a_store(self, bench: StoreBench) -> None:
        """A store that one thread has opened is used and closed by others, and two may have transactions at a time.

        Why: applications work in pools of threads, and the asynchronous context lends each call to another one.
        Look at: connections that belong to the thread that made them, thread-local state that `open` sets up, and a
        note "under way" that is not kept by thread.
        """
        store = bench.make()
        apart(lambda: store.open([THING]), "open")
        with works("a store that another thread has opened"):
            apart(lambda: put(store, {"id": "1"}), "a write in another thread")
            put(store, {"id": "2"})
        rows = [{"id": "1"}, {"id": "2"}]
        for write in (False, True):
            with store.transaction(write=write) as transaction:
                other = Apart(lambda: persistent(lambda: held(store)))
                _ = other.over(WHILE)
                equal(rows, list(transaction.select(ALL)), "what one of two threads read")
            with works("a reader beside a transaction of another thread"):
                equal(rows, other.result("a reader beside another transaction"), "what the other one read")
        with works("a store that 30 threads use, and another one closes"):
            for _ in range(30):
                equal(rows, apart(lambda: held(store)), "what a new thread read")
            apart(store.close, "close")
        with raises(StoreClosed, what="a transaction after another thread has closed the store"):
            _ = held(store)

    @rule("STORE-39", "Readers see one committed state", requires=("multiprocess",))
    def test_stores_on_one_place_see_each_other(self, bench: StoreBench) -> None:
        """Two stores that are open on one place see at once what the other one commits, and nothing before.

        Why: a command looks at the store of an application that runs, and settles what waits in its queue.
        Look at: records, counts or numbers that a store keeps in memory from one transaction to the next.
        """
        one, two = bench.open(), bench.open()
        for turn in range(3):
            put(one, {"id": "1", "number": turn}, {"id": str(turn)})
            equal(held(one), held(two), "what both hold, after the first has written")
            with two.transaction(write=True) as transaction:
                equal(
                    1, transaction.delete(THING.name, ["1"]), "delete by the second of what the first has put"
                )
                transaction.put(THING.name, [{"id": "two", "number": turn}])
                first = Apart(lambda: persistent(lambda: held(one)))
                early = first.over(WHILE)
            seen = [row["id"] for row in first.result("a reader of the first store")]
            if early:
                true("1" in seen, f"the first saw a delete of the second before its commit: {seen}")
            equal(held(two), held(one), "what both hold, after the second has written")

    @rule("STORE-40", "Write transactions run strictly one after another", requires=("multiprocess",))
    def test_writers_of_two_stores_take_turns(self, bench: StoreBench) -> None:
        """Writers of two stores on one place, in two threads, run one after another, and none is lost.

        Why: two parts of an application may open the same file, without knowing of each other.
        Look at: locks of the process (fcntl) that its own threads pass, and closing a file, which gives them back.
        """
        one, two = bench.open(), bench.open()
        Turn().run([one, two, one, two], each=4 * bench.profile.runs)
        one.close()
        put(two, {"id": "last"})
        equal(2, len(held(two)), "records, after the first store was closed")
