"""Transactions with numbers, such that what a store must hold after so many of them is known."""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from typing import Any, Final, TypeAlias

from tidesync.conformance.expect import equal, true, works
from tidesync.conformance.store.bench import StoreBench
from tidesync.conformance.store.children import Fuse, Parent, Step
from tidesync.conformance.store.tables import OTHER, THING
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.query import Compare, Field, Query, Value
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

NOTE: Final = TableSchema("note", (Column("text", ColumnType.STRING),), indexes=(("text",),))


TABLES: Final = (THING, OTHER, NOTE)


PAD: Final = "and so on, " * 40


State: TypeAlias = dict[str, list[Record]]


def writing(bench: StoreBench, first: int) -> Step:
    """Commits for ever, telling what is reached: the stage, the number, the time."""

    def step(parent: Parent) -> None:
        store = bench.open(*TABLES)
        for number in itertools.count(first):
            with store.transaction(write=True) as transaction:
                change(transaction, number, parent)
                parent.tell(("ending", number, time.monotonic()))
            parent.tell(("committed", number, time.monotonic()))

    return step


def cut_short(bench: StoreBench, first: int, call: int | None) -> Step:
    """Two commits, and a kill inside the second at that call; None: no kill, and the last told is how many calls."""

    def step(parent: Parent) -> None:
        store = bench.open(*TABLES)
        commit(store, first)
        parent.tell("committed")
        fuse = Fuse(call)
        with ExitStack() as stack, store.transaction(write=True) as transaction:
            change(transaction, first + 1)
            _ = stack.enter_context(fuse)
        parent.tell(fuse.counted)
        if call is not None:
            parent.kill_me()

    return step


def seconds(told: list[Any], number: int) -> float:
    """How long the commit of a transaction took."""
    times = {stage: at for stage, of, at in told if of == number}
    return float(times["committed"] - times["ending"])


def survives(bench: StoreBench, acknowledged: int, how: str, *, exactly: bool = False) -> int:
    """See what a kill left, and commit the next transaction; the number of the one after it."""
    with works(how):
        store = bench.open(*TABLES)
        there = state_of(store)
    done = acknowledged
    if not exactly and there == after(acknowledged + 1):
        done += 1
    holds(done, there, how)
    with works(f"{how}: when it is written again"):
        commit(store, done)
        holds(done + 1, state_of(store), f"{how}, and another transaction")
        store.close()
    return done + 1


def holds(done: int, there: State, how: str) -> None:
    """See that the tables hold what so many transactions left."""
    found = next((number for number in range(done + 2) if there == after(number)), None)
    if found is not None:
        true(found == done, f"{how}: {done} transactions were acknowledged, and {found} of them are there")
    expected = after(done)
    equal(_ids(expected), _ids(there), f"{how}, after {done} transactions")
    equal(expected, there, f"{how}, after {done} transactions")


def _ids(state: State) -> dict[str, list[str]]:
    return {name: [str(record["id"]) for record in records] for name, records in state.items()}


def commit(store: Store, number: int) -> None:
    """Run the transaction of that number."""
    with store.transaction(write=True) as transaction:
        change(transaction, number)


def change(transaction: StoreTransaction, number: int, parent: Parent | None = None) -> None:
    """What the transaction of that number does, to two tables: puts, replaces, deletes."""
    transaction.put(THING.name, _parts(number))
    transaction.put(OTHER.name, [{"id": "last", "key": number}])
    if parent is not None:
        parent.tell(("changed", number, time.monotonic()))
    _ = transaction.delete(THING.name, [f"{number - 1:04}x0"])
    _ = transaction.delete_where(Query(THING.name, where=Compare("eq", Field("number"), Value(number - 2))))
    transaction.put(OTHER.name, [{"id": f"{number:04}", "key": number}])


def _parts(number: int) -> list[Record]:
    return [{"id": f"{number:04}x{n}", "number": number, "text": PAD, "part": n} for n in range(6)]


def after(done: int) -> State:
    """What the tables hold after so many transactions."""
    others: list[Record] = [{"id": f"{number:04}", "key": number} for number in range(done)]
    if done:
        others.append({"id": "last", "key": done - 1})
    return {
        THING.name: [*(_parts(done - 2)[1:] if done > 1 else []), *(_parts(done - 1) if done else [])],
        OTHER.name: others,
        NOTE.name: [],
    }


def state_of(store: Store) -> State:
    """What the tables hold, all in one transaction, which counts the same."""
    with store.transaction(write=False) as transaction:
        state = {table.name: list(transaction.select(Query(table.name))) for table in TABLES}
        for name, records in state.items():
            equal(len(records), transaction.count(Query(name)), f"count of {name}, beside select")
    return state
