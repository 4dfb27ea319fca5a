"""Which numbers of a table's changes this context took, and which somebody else did."""

import threading
from typing import Any

import pytest

from tests.api.support import NOTES, TABLES, World
from tidesync import SyncContext
from tidesync.changes import ANY, Changes
from tidesync.ledger import Counters
from tidesync.rows import COUNTERS, META
from tidesync.watching import Notes


class Store:
    """The numbers that are committed, and a context's knowledge of them."""

    def __init__(self, number: int = 7) -> None:
        self.number = number
        self.changes = Changes()
        self.changes.begin(["t"], {"t": number, "of others": 3})

    def ours(self, how: Any = "committed") -> None:
        self.changes.note("t", ("a",), self.number + 1)
        self.number += how == "committed"
        self.changes.end(how)

    def look(self) -> list[str]:
        before = self.changes.look()
        return self.changes.others(before, {"t": self.number})


def test_our_own_are_never_told_as_others() -> None:
    """However many this context wrote between two looks."""
    store = Store()
    for _ in range(5):
        store.ours()
        store.ours("undone")
    assert ([], []) == (store.look(), store.look())


def test_one_of_another_is_told_once() -> None:
    """Alone, or before, between and after our own."""
    for places in ((0,), (1,), (2,), (0, 1), (0, 1, 2)):
        store = Store()
        for step in range(3):
            store.number += step in places
            if step < 2:
                store.ours()
        assert (["t"], []) == (store.look(), store.look()), places


def test_one_that_is_being_committed_is_waited_for() -> None:
    """Between the commit and the moment that this is known, nobody takes it for another's; those behind it wait."""
    store = Store()
    store.changes.note("t", ("a",), 8)
    store.number = 8
    assert [] == store.look()
    store.number = 9
    assert [] == store.look()
    store.changes.end("committed")
    assert (["t"], []) == (store.look(), store.look())


def test_a_number_that_was_given_back_may_be_anothers() -> None:
    """A transaction of ours fails, and somebody else takes its number, before or after we know that it failed."""
    store = Store()
    store.ours("undone")
    store.number = 8
    assert ["t"] == store.look()
    store.changes.note("t", ("a",), 9)
    store.number = 9
    assert [] == store.look()
    store.changes.end("undone")
    assert (["t"], []) == (store.look(), store.look())


def test_threads_tell_in_any_order() -> None:
    """The later of two transactions may be known to be committed before the earlier one is."""
    store, first, then = Store(), threading.Event(), threading.Event()

    def earlier() -> None:
        store.changes.note("t", ("a",), 8)
        first.set()
        assert then.wait(10)
        store.changes.end("committed")

    thread = threading.Thread(target=earlier)
    thread.start()
    assert first.wait(10)
    store.number = 8
    store.ours()
    assert [] == store.look()
    then.set()
    thread.join(10)
    assert [] == store.look()


def test_what_is_kept_is_bounded_though_nobody_looks() -> None:
    """Another's number among thousands of ours is noted, and ours are forgotten."""
    store = Store()
    store.number += 1
    for _ in range(1000):
        store.ours()
    assert 0 == len(store.changes._numbers["t"].ours)
    assert (["t"], []) == (store.look(), store.look())


def test_numbers_that_begin_anew_are_a_change() -> None:
    """A store that an older tidesync wrote to, or a backup that was put back, has smaller numbers, or none."""
    store = Store()
    store.number = 0
    assert (["t"], []) == (store.look(), store.look())
    store.ours()
    assert [] == store.look()
    store.number += 1
    assert ["t"] == store.look()


def test_a_look_that_was_overtaken_tells_nothing_wrong() -> None:
    """Numbers that were read before our newest transaction are old, and no sign of anything."""
    store = Store()
    before, found = store.changes.look(), {"t": store.number}
    store.ours()
    assert ([], []) == (store.changes.others(before, found), store.look())


def test_a_doubtful_end_is_told_to_watches_and_found_by_the_next_look() -> None:
    """Whether it was committed is not known: watches look at everything, and the number tells the rest."""
    store = Store()
    notes = Notes("t", lambda: None)
    store.changes.join(notes)
    assert ANY == notes.take()
    store.ours("unsure")
    assert (ANY, []) == (notes.take(), store.look())
    store.changes.note("t", ("a",), 8)
    store.number = 8
    store.changes.end("unsure")
    assert ["t"] == store.look()


def test_another_of_which_our_own_number_tells_is_told_to_watches_at_once() -> None:
    """Whoever writes sees that a number is missing between its last one and this one."""
    store = Store()
    notes = Notes("t", lambda: None)
    store.changes.join(notes)
    notes.take()
    store.ours()
    assert ("a",) == notes.take()
    store.number += 1
    store.ours()
    assert ANY == notes.take()


# ---- what transactions count


def _counted(ctx: SyncContext) -> dict[str, int]:
    return ctx.read(lambda transaction: Counters(transaction.get(META, [COUNTERS])[0]).changes)


def test_each_transaction_that_changes_records_counts_once(ctx: SyncContext, world: World) -> None:
    """Local writes (a batch: one), push, each page of a pull, purge: by table. What changes nothing does not count."""

    def grown(call: Any) -> dict[str, int]:
        before = _counted(ctx)
        call()
        return {name: n - before.get(name, 0) for name, n in _counted(ctx).items() if n != before.get(name)}

    def batch() -> None:
        with ctx.batch():
            for id in "bc":
                ctx[NOTES].insert({"id": id})
                _ = ctx[NOTES].all()

    assert {} == _counted(ctx)
    assert {"note": 1} == grown(lambda: ctx[NOTES].insert({"id": "a"}))
    assert {"note": 1} == grown(batch)
    assert {"note": 1} == grown(ctx.push)
    assert {} == grown(ctx.push)
    assert {} == grown(ctx[NOTES].pull)
    world.remote.write("note", "d", text="", stars=0, tags=[])
    assert {"note": 1} == grown(ctx[NOTES].pull)
    ctx[NOTES].insert({"id": "e"})
    assert {"note": 1} == grown(lambda: ctx[NOTES].purge(force=True))
    assert {} == grown(ctx[NOTES].purge)


def test_a_store_without_numbers_goes_on(world: World) -> None:
    """One that an older tidesync wrote: everything works, and the numbers begin with the next change."""
    ctx = world.device("one")
    ctx[NOTES].insert({"id": "a"})
    with ctx._store.transaction(write=True) as transaction:
        [row] = transaction.get(META, [COUNTERS])
        assert row is not None
        transaction.put(META, [{"id": COUNTERS, "value": row["value"]}])
    ctx.close()
    ctx = world.device("one")
    assert ({}, 1) == (_counted(ctx), ctx.pending_operations)
    watch = ctx[NOTES].watch(poll=0.001)
    assert 1 == len(watch.next(0) or ())
    ctx[NOTES].insert({"id": "b"})
    assert ({"note": 1}, 2) == (_counted(ctx), len(watch.next(0) or ()))
    ctx.push()
    assert 0 == ctx.pending_operations


@pytest.mark.parametrize("write", [True, False])
def test_what_is_rolled_back_counts_nothing(ctx: SyncContext, write: bool) -> None:
    """A batch that fails leaves the numbers, and what is known of them."""
    known = {name: numbers.known for name, numbers in ctx._changes._numbers.items()}
    try:
        with ctx.batch():
            if write:
                ctx[NOTES].insert({"id": "a"})
                _ = ctx[NOTES].all()
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert ({}, {}) == (_counted(ctx), ctx._changes._under_way)
    assert known == {name: numbers.known for name, numbers in ctx._changes._numbers.items()}
    assert {each.name: 0 for each in TABLES} == known
