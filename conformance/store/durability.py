"""Rules about what outlives a close, a kill and another opening."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from typing import Final

from tidesync.conformance.expect import equal, raises, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put
from tidesync.conformance.store.children import Fuse, Parent, Step, forked, spread
from tidesync.conformance.store.ledger import (
    NOTE,
    PAD,
    TABLES,
    after,
    change,
    commit,
    cut_short,
    holds,
    seconds,
    state_of,
    survives,
    writing,
)
from tidesync.conformance.store.tables import OTHER, THING
from tidesync.contracts.store import Store
from tidesync.errors import StoreClosed
from tidesync.query import Compare, Field, Query, Value
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

GROWN: Final = TableSchema(
    "note", (Column("text", ColumnType.STRING), Column("late")), indexes=(("late",), ("text", "late"))
)
"""`NOTE` with a column more, and an index on it."""


class _Undone(Exception):
    pass


class Durability:
    """Rules about what outlives a close, a kill and another opening."""

    @rule("STORE-125", "what was committed is there for every later store on the same place", shows="durable")
    def test_committed_is_there_after_close(self, bench: StoreBench) -> None:
        """After close, another store on the same place holds what was committed: puts, deletes, every table.

        Why: the application ends, and what its user wrote is there the next time.
        Look at: what close writes, and what it forgets to; a delete or a second table that only memory knows of;
        make_store, which must name the same place at each call.
        """
        store = bench.open(*TABLES)
        for number in range(5):
            commit(store, number)
        with store.transaction(write=True) as transaction:
            transaction.put(NOTE.name, [{"id": "kept", "text": "a", "late": [1, {"b": None}]}])
        expected = {**after(5), NOTE.name: [{"id": "kept", "text": "a", "late": [1, {"b": None}]}]}
        store.close()
        for _ in range(2):
            store = bench.open(*TABLES)
            equal(expected, state_of(store), "after close and another make_store")
            store.close()

    @rule(
        "STORE-126",
        "committed (durably, where declared) when the block ends, else rolled back",
        requires=("durable",),
    )
    def test_rolled_back_is_not_there_after_close(self, bench: StoreBench) -> None:
        """What was rolled back, or under way at close, is in no later store on the same place.

        Why: half of a change that the user was told had failed comes back at the next start.
        Look at: what close does with a transaction under way; a log of changes that is written before the commit and
        replayed without it.
        """
        store = bench.open(*TABLES)
        commit(store, 0)
        with raises(_Undone, what="a transaction that raises"):
            _fail_within(store)
        with raises(StoreClosed, what="a transaction during which the store is closed"):
            _close_within(store)
        store = bench.open(*TABLES)
        holds(1, state_of(store), "after close and another make_store")
        commit(store, 1)
        holds(2, state_of(store), "the next transaction")

    @rule("STORE-127", "A new column is added, and takes over the values", requires=("durable",))
    def test_the_schema_outlives_close(self, bench: StoreBench) -> None:
        """Columns, unknown fields and indexes are what they were after another make_store, also with more columns.

        Why: an update of the application declares more, and must find what its older version wrote.
        Look at: where the columns of a table are written down; the values that a new column takes over.
        """
        records: list[Record] = [{"id": f"{n:02}", "text": "b", "late": n} for n in range(20)]
        store = bench.open(NOTE)
        put(store, *records, table=NOTE.name)
        store.close()
        late = Query(NOTE.name, where=Compare("ge", Field("late"), Value(15)))
        for table in (NOTE, GROWN, NOTE, GROWN):
            store = bench.open(table)
            columns = ", ".join(column.name for column in table.columns)
            equal(records, held(store, Query(NOTE.name)), f"opened with the columns {columns}")
            equal(
                records[15:],
                held(store, late),
                f"a query of the field late, opened with the columns {columns}",
            )
            store.close()

    @rule("STORE-128", "without a `close`, and after the process was killed", requires=("durable", "fork"))
    def test_a_store_that_is_not_closed_loses_nothing(self, bench: StoreBench) -> None:
        """What was committed is there although the store was never closed, and its process has just ended.

        Why: applications end without calling close, and a phone ends them without asking.
        Look at: writes that wait for close, for a finalizer, or for an exit handler.
        """

        def dropped(parent: Parent) -> None:
            store = bench.bare()
            store.open(list(TABLES))
            commit(store, 0)
            del store
            _ = gc.collect()
            parent.tell("dropped")

        def left(parent: Parent) -> None:
            commit(bench.open(*TABLES), 1)
            parent.tell("left open")

        for done, step in enumerate((dropped, left), 1):
            with forked(bench, step) as (child,):
                how = f"after a process ended with its store {child.hear()}"
                _ = child.rest()
            with works(how):
                store = bench.open(*TABLES)
                holds(done, state_of(store), how)
                store.close()

    @rule(
        "STORE-129",
        "after the process was killed at any moment: each transaction whole, or not at all",
        requires=("durable", "fork"),
    )
    def test_a_killed_process_leaves_whole_transactions(self, bench: StoreBench) -> None:
        """After SIGKILL at any moment, all acknowledged transactions are there, at most one more, each of them whole.

        That a power failure leaves the same is promised too, and cannot be shown here: a killed process leaves what
        it wrote to the operating system.

        Why: a phone ends applications in mid-write, every day; half a transaction is a queue that contradicts its
        table.
        Look at: one commit for all tables, not one for each; a file that is written in place, and neither replaced nor
        logged; whether the log is replayed at open, and a torn end of it dropped.
        """
        first = 0
        for part in _parts_of_a_commit(bench.profile.kills):
            with forked(bench, writing(bench, first)) as (child,):
                told = [child.hear()]
                while told[-1][:2] != ("ending", first + 2):
                    told.append(child.hear())
                time.sleep(part * min(seconds(told, number) for number in (first, first + 1)))
                told += child.killed()
            acknowledged = 1 + max(number for reached, number, _ in told if reached == "committed")
            first = survives(bench, acknowledged, f"killed after {part:.0%} of a commit")
        with forked(bench, cut_short(bench, first, None)) as (child,):
            calls = child.rest()[-1]
        first = survives(bench, first + 2, "after the end of a process")
        for call in spread(calls, 3 * bench.profile.kills):
            with forked(bench, cut_short(bench, first, call)) as (child,):
                acknowledged = first + len(child.last_words())
            first = survives(
                bench, acknowledged, f"killed in a commit, after call {call} of {calls} to the outside"
            )

    @rule(
        "STORE-130",
        "committed (durably, where declared) when the block ends",
        requires=("durable", "fork"),
    )
    def test_a_commit_is_durable_before_it_is_acknowledged(self, bench: StoreBench) -> None:
        """When the block of a transaction has ended, SIGKILL in the very next moment loses nothing of it.

        That a power failure loses nothing either is promised too, and cannot be shown here.

        Why: the engine tells the remote, and the user, on the ground of what it was told is kept.
        Look at: commits in a background thread, in batches or after a delay; buffers that are not flushed before
        `__exit__` returns.
        """

        def step(parent: Parent) -> None:
            store = bench.open(*TABLES)
            commit(store, number)
            parent.kill_me()

        for number in range(bench.profile.kills):
            with forked(bench, step) as (child,):
                _ = child.last_words()
            with works("after a kill in the moment after a commit"):
                store = bench.open(*TABLES)
                holds(number + 1, state_of(store), "after a kill in the moment after a commit")

    @rule(
        "STORE-131",
        "after the process was killed at any moment",
        requires=("durable", "fork"),
    )
    def test_a_killed_upgrade_loses_nothing(self, bench: StoreBench) -> None:
        """After SIGKILL while a store is opened or upgraded, it opens with the old tables or the new, and all records.

        Why: the first start after an update is the slowest one, and the one that impatient users end.
        Look at: tables and the list of tables that are changed in two steps; a table that is rewritten for a new
        column before its copy is whole; recovery, which may be killed too.
        """
        tables = (NOTE, OTHER)
        records: list[Record] = [{"id": f"{n:04}", "text": f"text {n}", "late0": n} for n in range(200)]
        all_notes, late = Query(NOTE.name), Query(NOTE.name, where=Compare("ge", Field("late0"), Value(150)))
        put(bench.open(*tables), *records, table=NOTE.name)
        with forked(bench, _upgrading(bench, 0, None)) as (child,):
            calls = child.rest()[-1]
        for attempt, call in enumerate(spread(calls, 2 * bench.profile.kills), 1):
            with forked(bench, _upgrading(bench, attempt, call)) as (child,):
                _ = child.last_words()
            how = f"killed in open, after call {call} of {calls} to the outside"
            for wanted in (tables, _grown(attempt)):
                with works(how):
                    store = bench.open(*wanted)
                    equal(
                        [record["id"] for record in records],
                        [each["id"] for each in held(store, all_notes)],
                        how,
                    )
                    equal(records, held(store, all_notes), how)
                    equal(records[150:], held(store, late), f"{how}, by a column that is new")
                    store.close()

    @rule("STORE-132", "A killed process leaves no lock behind", requires=("durable", "fork"))
    def test_a_killed_transaction_leaves_nothing(self, bench: StoreBench) -> None:
        """After SIGKILL in an open transaction, or in mid-iteration, nothing of it is there, and the next may write.

        Why: one crash would lock the application out of its own store, until someone deletes a file.
        Look at: lock files that tell only that they exist, not whose they are; locks with a time of their own;
        changes that reach the file before the commit, and are not undone at open.
        """

        def writing(parent: Parent) -> None:
            store = bench.open(*TABLES)
            with store.transaction(write=True) as transaction:
                change(transaction, 1)
                transaction.put(NOTE.name, [{"id": f"{n}", "text": PAD} for n in range(bench.profile.many)])
                rows = transaction.select(Query(NOTE.name, take=50))
                parent.tell(next(rows)["id"])
                parent.tell(parent.hear())

        def reading(parent: Parent) -> None:
            store = bench.open(*TABLES)
            with store.transaction(write=False) as transaction:
                rows = transaction.select(Query(THING.name))
                parent.tell(next(rows)["id"])
                parent.tell(parent.hear())

        commit(bench.open(*TABLES), 0)
        for done, step in enumerate((writing, reading, writing), 1):
            with forked(bench, step) as (child,):
                _ = child.hear()
                _ = child.killed()
            _ = survives(bench, done, f"after a kill while {step.__name__}", exactly=True)


def _parts_of_a_commit(kills: int) -> Iterator[float]:
    """When to kill, in times that a commit takes."""
    for index in range(kills):
        yield (index * 0.618034) % 1.0 * 1.2


def _upgrading(bench: StoreBench, attempt: int, call: int | None) -> Step:
    """An upgrade, and a kill inside it at that call; None: no kill, and the last told is how many calls."""

    def step(parent: Parent) -> None:
        store = bench.make()
        with Fuse(call) as fuse:
            store.open(list(_grown(attempt)))
        parent.tell(fuse.counted)
        if call is not None:
            parent.kill_me()

    return step


def _grown(attempt: int) -> tuple[TableSchema, ...]:
    """`NOTE` with columns and indexes more than at the attempt before, and new tables."""
    late = [f"late{n}" for n in range(attempt + 1)]
    columns = (*NOTE.columns, *(Column(name) for name in late))
    news = [TableSchema(f"new{attempt}_{n}", columns, indexes=(("text",),)) for n in range(3)]
    return (TableSchema(NOTE.name, columns, indexes=(("text",), *((name,) for name in late))), OTHER, *news)


def _fail_within(store: Store) -> None:
    with store.transaction(write=True) as transaction:
        change(transaction, 1)
        raise _Undone


def _close_within(store: Store) -> None:
    with store.transaction(write=True) as transaction:
        change(transaction, 1)
        store.close()
