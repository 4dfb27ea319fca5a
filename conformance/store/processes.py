"""Rules about several processes on one store.

What each process does is told step by step, so that nothing is left to chance but what the store itself decides: a
store may let a process wait, or raise `StoreBusy`, wherever a rule does not say that it goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from tidesync.conformance.expect import equal, fail, raises, true, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put
from tidesync.conformance.store.children import SILENT, Parent, Step, fork, forked
from tidesync.conformance.store.roles import (
    add,
    numbers_of,
    overwriting,
    patiently,
    reading,
    turning,
    write,
)
from tidesync.conformance.store.tables import OTHER, THING
from tidesync.contracts.store import Store
from tidesync.errors import StoreClosed, StoreError
from tidesync.query import Compare, Field, Query, Value
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

OLD: Final = TableSchema("note", (Column("text", ColumnType.STRING),), indexes=(("text",),))
NEW: Final = TableSchema("note", (Column("text", ColumnType.STRING), Column("late")), indexes=(("late",),))
MORE: Final = TableSchema("more", (Column("late"),))
_MOMENT: Final = 0.1
"""Seconds for which a process is watched that should wait; a store that waits is the slower for it."""


class Processes:
    """Rules about several processes on one store."""

    @rule(
        "STORE-133",
        "across processes where `multiprocess` is declared",
        requires=("fork",),
        shows="multiprocess",
    )
    def test_no_process_loses_a_write(self, bench: StoreBench) -> None:
        """Processes that read a number and write it again, one more, in several tables, lose none of it.

        Why: an application and its background service would each undo what the other did.
        Look at: the lock between processes, which is taken before the first read of a write transaction and given
        back after the commit; what is cached from one transaction to the next.
        """
        times, sum_of = 10 * bench.profile.runs, dict.fromkeys((THING.name, OTHER.name), 0)

        def step(parent: Parent) -> None:
            with works("opened by a process"):
                store = bench.open(THING, OTHER)
            for _ in range(times):
                with works("written by several processes"):
                    patiently(lambda: add(store))
                with works("read while other processes write"):
                    numbers = list(numbers_of(store).values())
                equal(numbers[:1] * 2, numbers, "the numbers of two tables, always written together")
            parent.tell("done")

        for processes in (2, 4):
            with forked(bench, *[step] * processes) as children:
                for child in children:
                    _ = child.rest()
            for name in sum_of:
                sum_of[name] += processes * times
            equal(
                sum_of,
                numbers_of(bench.open(THING, OTHER)),
                f"after {processes} processes added {times} each",
            )

    @rule("STORE-134", "and open and upgrade it at once", requires=("multiprocess", "fork"))
    def test_processes_open_a_new_place_at_once(self, bench: StoreBench) -> None:
        """Processes that make and upgrade a store in the same moment, each with a column of its own, all succeed.

        Why: after an update, the application and its service start together.
        Look at: reading the list of tables and writing it in one turn; a table that another process makes meanwhile.
        """

        def opening(number: int) -> Step:
            def step(parent: Parent) -> None:
                parent.tell("ready")
                parent.tell(parent.hear())
                with works("opened by several processes at once"):
                    store = patiently(lambda: bench.open(*_declared([number], f"own{number}")))
                    patiently(lambda: put(store, {"id": f"{number}", f"late{number}": number}, table="note"))
                    patiently(lambda: put(store, {"id": "1"}, table=f"own{number}"))

            return step

        for run in range(bench.profile.runs):
            numbers = range(4 * run, 4 * run + 4)
            with forked(bench, *[opening(number) for number in numbers]) as children:
                for word in ("ready", "go"):
                    for child in children:
                        equal(word, child.hear())
                        child.tell("go")
                for child in children:
                    _ = child.rest()
            expected: list[Record] = [{"id": f"{n}", f"late{n}": n} for n in range(4 * run + 4)]
            with works("after several processes opened it at once"):
                store = bench.open(*_declared(range(4 * run + 4), *(f"own{number}" for number in numbers)))
                found = sorted(held(store, Query("note")), key=lambda record: int(str(record["id"])))
                equal(expected, found, "what each process put")
                for n in numbers:
                    late = Query("note", where=Compare("eq", Field(f"late{n}"), Value(n)))
                    equal([expected[n]], held(store, late), "a query of the column of a process")
                    equal([{"id": "1"}], held(store, Query(f"own{n}")), "the table of a process")

    @rule(
        "STORE-135",
        "Write transactions run strictly one after another, across threads, and across processes",
        requires=("multiprocess", "fork"),
    )
    def test_writers_of_two_processes_take_turns(self, bench: StoreBench) -> None:
        """While one process is in a write transaction, no other gets into one; then it does, and sees what was done.

        Why: what a transaction has read must be true until it has written.
        Look at: a lock that begins with the first write and not with the transaction; one that only threads see.
        """
        put(bench.open(THING, OTHER), {"id": "sum", "number": 0})
        with forked(bench, *[turning(bench)] * 2) as children:
            for number in range(bench.profile.runs):
                one, two = children if number % 2 else reversed(children)
                one.tell("begin")
                equal(number * 2, one.hear(), "what the first process found")
                two.tell("begin")
                if two.listen(_MOMENT) is not SILENT:
                    fail("two processes are in a write transaction at the same time")
                one.tell("end")
                equal("ended", one.hear())
                equal(number * 2 + 1, two.hear(), "what the second process found, which had to wait")
                two.tell("end")
                equal("ended", two.hear())

    @rule("STORE-136", "A killed process leaves no lock behind", requires=("multiprocess", "fork"))
    def test_a_killed_writer_lets_the_next_one_in(self, bench: StoreBench) -> None:
        """When a process is killed in its write transaction, one that waits gets in, and sees nothing of what it did.

        Why: one crash of a service would stop the application until the machine is started again.
        Look at: locks that the system does not give back by itself; what the one that waits does to recover.
        """
        put(bench.open(THING, OTHER), {"id": "sum", "number": 0})
        for number in range(bench.profile.runs):
            with forked(bench, *[turning(bench)] * 2) as (one, two):
                one.tell("begin")
                equal(number, one.hear(), "what the first process found")
                two.tell("begin")
                true(
                    two.listen(_MOMENT) is SILENT, "two processes are in a write transaction at the same time"
                )
                _ = one.killed()
                equal(number, two.hear(), "what the second process found, after the first was killed")
                two.tell("end")
                equal("ended", two.hear())
        with works("after a process was killed"):
            equal(bench.profile.runs, numbers_of(bench.open(THING, OTHER))[THING.name], "what was committed")

    @rule(
        "STORE-137",
        "Readers see one committed state",
        requires=("multiprocess", "fork"),
    )
    def test_a_reader_sees_one_state_while_another_process_writes(self, bench: StoreBench) -> None:
        """A reading transaction sees one committed state of all tables, whatever another process writes meanwhile.

        Why: the engine reads the queue and the records it is about, and they must be of one moment.
        Look at: a reading transaction that reads each time anew; rows that are fetched in parts; uncommitted rows.
        """
        size = 300
        write(bench.open(THING, OTHER), 0, size)
        with forked(bench, reading(bench), overwriting(bench, size)) as (reader, writer):
            for number in range(0, 2 * bench.profile.runs, 2):
                reader.tell("begin")
                equal("begun", reader.hear())
                writer.tell(number + 1)
                told = [writer.listen(_MOMENT)]
                writer.tell("commit")
                told.append(writer.listen(_MOMENT))
                reader.tell("go on")
                old, middle, new = ([{number + n: size}] * 3 for n in range(3))
                equal(old, reader.hear(), "the rest of a select begun before, another one, and another table")
                equal(["written", "committed"], [writer.hear() if word is SILENT else word for word in told])
                writer.tell(number + 2)
                equal("written", writer.hear())
                reader.tell("look")
                seen = reader.listen(_MOMENT)
                writer.tell("commit")
                equal("committed", writer.hear())
                if seen is SILENT:
                    seen = reader.hear()
                    middle = new if seen == new else middle
                equal(middle, seen, "what is seen while another process writes")

    @rule(
        "STORE-138",
        "stores on the same place that were opened with older declarations go on",
        requires=("multiprocess", "fork"),
    )
    def test_a_schema_that_one_process_grew_is_seen_by_the_other(self, bench: StoreBench) -> None:
        """When one process opens with more, one that had it open goes on, and each finds what the other writes.

        Why: an application is updated while its old service still runs.
        Look at: a list of columns that is read once, at open; records of the old process that miss the new index.
        """

        def step(parent: Parent) -> None:
            store = bench.open(OLD)
            for word in iter(parent.hear, "end"):
                with works("after another process opened it with more columns"):
                    if word == "upgrade":
                        store.open([NEW, MORE])
                    elif word == "put":
                        put(store, theirs, table="note")
                    parent.tell(held(store, Query("note")))

        first: Record = {"id": "before", "text": "a", "late": 1}
        mine: Record = {"id": "new process", "text": "c", "late": 3}
        theirs: Record = {"id": "old process", "text": "b", "late": 2, "other": [1]}
        put(bench.open(OLD), first, table="note")
        with forked(bench, step) as (child,):
            child.tell("look")
            equal([first], child.hear(), "the old process, before")
            with works("opened with more columns, while another process has it open"):
                store = bench.open(NEW, MORE)
                put(store, mine, table="note")
                put(store, {"id": "1", "late": 1}, table="more")
            child.tell("look")
            equal(
                [first, mine], child.hear(), "the old process, after a process with a new column has written"
            )
            child.tell("put")
            equal([first, mine, theirs], child.hear(), "the old process, after it has written itself")
            late = Query("note", where=Compare("ge", Field("late"), Value(2)))
            equal([mine, theirs], held(store, late), "the new process, by its new column")
            equal([{"id": "1", "late": 1}], held(store, Query("more")), "the new process, its new table")
            child.tell("upgrade")
            equal([first, mine, theirs], child.hear(), "the old process, after it was upgraded too")
            child.tell("end")
            _ = child.rest()

    @rule(
        "STORE-139",
        "In a process that was forked while the store was open, the store works, or is `StoreClosed`",
        requires=("multiprocess", "fork"),
    )
    def test_a_fork_leaves_the_store_to_its_parent(self, bench: StoreBench) -> None:
        """A forked process may use the store it inherits, or gets StoreClosed; the parent's goes on, whole.

        Why: web servers and job queues fork, and do not ask first.
        Look at: connections and locks that two processes believe to be theirs (notice the fork: `os.getpid()`, or
        `os.register_at_fork`); a transaction that the child ends.
        """
        store = bench.open()

        def inheriting(_: Parent) -> None:
            with works("in a forked process"):
                try:
                    put(store, {"id": "2"})
                except StoreClosed:
                    put(bench.open(), {"id": "2"})
                store.close()

        put(store, {"id": "1"})
        _in_fork(inheriting)
        expected: list[Record] = [{"id": "1"}, {"id": "2"}, {"id": "3"}]
        with works("in the parent of a forked process"):
            put(store, {"id": "3"})
            equal(expected, held(store), "what the child put, and the parent after it")
        with raises(_Undone, what="a transaction that raises, in which the process was forked"):
            _fork_within(store, expected)
        with works("after a transaction in which the process was forked"):
            equal(
                expected, held(store), "after the child ended the transaction, and the parent rolled it back"
            )
            put(store, {"id": "4"})
            equal([*expected, {"id": "4"}], held(store), "the next transaction of the parent")

    @rule(
        "STORE-140",
        "In a process that was forked while the store was open, the store works, or is `StoreClosed`",
        requires=("multiprocess", "fork"),
    )
    def test_a_forked_process_may_write_late(self, bench: StoreBench) -> None:
        """What a forked process is told is stored stays, also when its parent closed the store and opened it again.

        Why: a worker that was forked at the start of a program writes long after the program went on.
        Look at: an inherited connection, whose locks and log the parent's `close` took away.
        """
        store = bench.open()

        def inheriting(parent: Parent) -> None:
            _ = parent.hear()
            with works("in a process that was forked before its parent opened the store again"):
                try:
                    put(store, {"id": "3"})
                except StoreClosed:
                    put(bench.open(), {"id": "3"})

        put(store, {"id": "1"})
        child = fork(inheriting)
        try:
            with works("in the parent of a forked process"):
                store.close()
                store.open([THING])
                put(store, {"id": "2"})
            child.tell("now")
            _ = child.rest()
        finally:
            child.bury()
        store.close()
        with works("after a forked process wrote"):
            equal([{"id": "1"}, {"id": "2"}, {"id": "3"}], held(bench.open()), "what both processes put")


class _Undone(Exception):
    pass


def _declared(numbers: Iterable[int], *others: str) -> list[TableSchema]:
    """A table with a column of each number, and other tables."""
    return [TableSchema("note", tuple(Column(f"late{n}") for n in numbers)), *map(TableSchema, others)]


def _in_fork(step: Step) -> None:
    """Run the step in a process that inherits all that is open here."""
    child = fork(step)
    try:
        _ = child.rest()
    finally:
        child.bury()


def _fork_within(store: Store, there: list[Record]) -> None:
    block = store.transaction(write=True)
    with block as transaction:
        transaction.put(THING.name, [{"id": "4"}])
        rows = transaction.select(Query(THING.name))
        first = next(rows)

        def child(parent: Parent) -> None:
            with suppress(StoreError):
                transaction.put(THING.name, [{"id": "of the child"}])
            with suppress(StoreError):
                _ = list(rows)
            with suppress(StoreError):
                _ = block.__exit__(None, None, None)
            parent.tell("over")

        _in_fork(child)
        equal(
            [*there, {"id": "4"}],
            [first, *rows],
            "what the parent iterates, after the child ended the transaction",
        )
        raise _Undone
