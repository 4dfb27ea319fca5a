"""Processes that do one thing at each word of a rule."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from tidesync.conformance.expect import fail, works
from tidesync.conformance.store.bench import StoreBench
from tidesync.conformance.store.children import Parent, Step
from tidesync.conformance.store.tables import OTHER, THING
from tidesync.contracts.store import Store
from tidesync.errors import StoreBusy
from tidesync.query import Query
from tidesync.records import Json, Record

T = TypeVar("T")


PATIENCE: Final = 20.0
"""Seconds after which a store that is busy should not be any more."""


def patiently(step: Callable[[], T]) -> T:
    """What the step gives, again and again while it is `StoreBusy`."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return step()
        except StoreBusy:
            if time.monotonic() > until:
                fail(f"StoreBusy for {PATIENCE:.0f} s, while other processes have their turns")
            time.sleep(0.001)


def add(store: Store) -> None:
    """Read the numbers of two tables, and write them one higher."""
    with store.transaction(write=True) as transaction:
        for table in (THING.name, OTHER.name):
            (row,) = transaction.get(table, ["sum"])
            transaction.put(table, [{"id": "sum", "number": _number(row) + 1}])


def _number(row: Record | None) -> int:
    number: Json = row["number"] if row else 0
    return number if isinstance(number, int) else -1


def numbers_of(store: Store) -> dict[str, int]:
    """The number in each of two tables."""
    with store.transaction(write=False) as transaction:
        return {table: _number(transaction.get(table, ["sum"])[0]) for table in (THING.name, OTHER.name)}


def write(store: Store, number: int, size: int) -> None:
    """Put a number into every row of two tables."""
    with store.transaction(write=True) as transaction:
        for table in (THING.name, OTHER.name):
            transaction.put(table, [{"id": f"{n}", "number": number} for n in range(size)])


def turning(bench: StoreBench) -> Step:
    """At each "begin", add one to the numbers, tell what they were, and commit at the next word."""

    def turn(store: Store, parent: Parent) -> None:
        with store.transaction(write=True) as transaction:
            (row,) = transaction.get(THING.name, ["sum"])
            transaction.put(THING.name, [{"id": "sum", "number": _number(row) + 1}])
            parent.tell(_number(row))
            _ = parent.hear()

    def step(parent: Parent) -> None:
        store = patiently(lambda: bench.open(THING, OTHER))
        while parent.hear():
            with works("while another process has its turn"):
                patiently(lambda: turn(store, parent))
            parent.tell("ended")

    return step


def reading(bench: StoreBench) -> Step:
    """Tells which numbers there are, and how many of each, three times in one transaction."""

    def look(store: Store, parent: Parent, *, slowly: bool) -> None:
        with store.transaction(write=False) as transaction:
            rows = transaction.select(Query(THING.name))
            first = next(rows)
            if slowly:
                parent.tell("begun")
                _ = parent.hear()
            others = [list(transaction.select(Query(table))) for table in (THING.name, OTHER.name)]
            seen = [dict(Counter(_number(row) for row in each)) for each in ([first, *rows], *others)]
        parent.tell(seen)

    def step(parent: Parent) -> None:
        store = bench.open(THING, OTHER)
        for word in iter(parent.hear, None):
            look(store, parent, slowly=word == "begin")

    return step


def overwriting(bench: StoreBench, size: int) -> Step:
    """Puts a number into every row of two tables, and commits at the next word."""

    def overwrite(store: Store, parent: Parent, number: int) -> None:
        with store.transaction(write=True) as transaction:
            for table in (THING.name, OTHER.name):
                transaction.put(table, [{"id": f"{n}", "number": number} for n in range(size)])
            parent.tell("written")
            _ = parent.hear()

    def step(parent: Parent) -> None:
        store = bench.open(THING, OTHER)
        for number in iter(parent.hear, None):
            patiently(partial(overwrite, store, parent, number))
            parent.tell("committed")

    return step
