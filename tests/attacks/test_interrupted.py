"""Pulls that end in the middle, and big things."""

from contextlib import suppress
from typing import Any

import pytest

from tests.attacks.support import BOOKS, CARDS, Book, Hostile, device, faults
from tidesync import KeepLocal, SyncContext
from tidesync.contracts.transport import Page, PullRequest
from tidesync.errors import InvalidRecord, NotReachable, StaleRecord
from tidesync.stores.memory import MemoryStore


def with_books(count: int = 6) -> tuple[SyncContext, MemoryStore, Hostile]:
    """A device that has pulled these, of which the remote then loses the first without a trace."""
    hostile, store = Hostile(), MemoryStore()
    source = device(Hostile(hostile.authority))
    source[BOOKS].insert_many(Book(f"b{number}") for number in range(count))
    source.push()
    ctx = device(hostile, store, page_size=2)
    ctx.pull(BOOKS, name="all")
    with hostile.authority.store.transaction(write=True) as transaction:
        _ = transaction.delete("book", ["b0"])
    return ctx, store, hostile


@pytest.mark.parametrize("at", range(1, 7))
@pytest.mark.parametrize("how", ["raises", "stops"])
def test_a_resync_that_was_interrupted_is_still_owed(at: int, how: str) -> None:
    """What a resync would have dropped is dropped by the next pull of the name, whoever asks for it."""
    ctx, store, hostile = with_books()
    calls: list[int] = []

    def pull(request: PullRequest) -> Page:
        calls.append(1)
        if len(calls) == at and how == "raises":
            raise NotReachable("gone")
        if len(calls) == at:
            ctx.stop()
        return hostile.inner.pull(request)

    hostile.on_pull = pull
    with suppress(NotReachable):
        ctx.pull(BOOKS, name="all", resync=True)
    hostile.on_pull = None
    ctx.close()
    ctx.open()
    ctx.pull(BOOKS, name="all")
    assert [f"b{number}" for number in range(1, 6)] == [book.id for book in ctx[BOOKS]]
    assert [] == faults(store)
    count = hostile.calls
    ctx.pull(BOOKS, name="all")
    assert 1 == hostile.calls - count, "it is owed no more"


def test_a_huge_text_goes_everywhere() -> None:
    """Ten megabytes of text are written, pushed, pulled, and read back exactly."""
    hostile = Hostile()
    hostile.authority.record_limit = 1 << 25
    text = "é" * 5_000_000
    ctx = device(hostile)
    ctx[BOOKS].insert(Book("b", text))
    assert ctx.push().ok
    other = device(Hostile(hostile.authority))
    other.pull(BOOKS)
    assert Book("b", text) == other[BOOKS].get("b")


def nested(levels: int, bottom: Any = 1) -> Any:
    for _ in range(levels):
        bottom = {"x": bottom}
    return bottom


@pytest.mark.parametrize(("levels", "legal"), [(62, True), (63, False), (64, False), (100_000, False)])
def test_nesting_has_a_limit_that_is_told(levels: int, legal: bool) -> None:
    """62 levels go through queue, conflict and wire; more is refused where it is written, and changes nothing."""
    hostile, store = Hostile(), MemoryStore()
    ctx = device(hostile, store)
    item = {"id": "c", "deep": nested(levels)}
    if not legal:
        with pytest.raises(InvalidRecord, match=r"deeper than 6[24] levels") as raised:
            ctx[CARDS].insert(item)
        assert len(str(raised.value)) < 500
        assert ([], 0) == (faults(store), ctx.pending_operations)
        return
    ctx[CARDS].insert(item)
    ctx[CARDS].update("c", text="x")
    assert ctx.push().ok
    other = device(Hostile(hostile.authority))
    other.pull(CARDS)
    other[CARDS].update("c", text="theirs")
    other.push()
    ctx[CARDS].update("c", text="mine")
    ctx.pull(CARDS, push="none")
    (conflict,) = ctx.conflicts()
    ctx.resolve(conflict, KeepLocal())
    assert ctx.push().ok
    ctx.pull(CARDS)
    assert nested(levels) == (ctx[CARDS].get("c") or {})["deep"]
    assert [] == faults(store)


def test_a_value_that_holds_itself_is_refused() -> None:
    """It has no end, and no JSON."""
    ctx = device(Hostile())
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidRecord):
        ctx[CARDS].insert({"id": "c", "deep": endless})
    assert 0 == ctx.pending_operations


def test_twenty_thousand_operations_are_listed_and_dropped() -> None:
    """A long queue is listed in order, and a purge that may lose it empties it."""
    hostile, store = Hostile(), MemoryStore()
    ctx = device(hostile, store)
    ctx[BOOKS].insert_many(Book(f"{number:05d}") for number in range(20_000))
    listed = ctx.operations(BOOKS)
    assert [f"{number:05d}" for number in range(20_000)] == [each.record_id for each in listed]
    report = ctx.purge(BOOKS, force=True)
    assert (20_000, 20_000, 0, []) == (
        report.records,
        len(report.operations),
        ctx.pending_operations,
        faults(store),
    )


def test_an_object_from_before_is_refused_once_and_for_all() -> None:
    """A version that the remote never gave is older than anything."""
    ctx = device(Hostile())
    ctx[CARDS].insert({"id": "c", "text": "x"})
    ctx.push()
    with pytest.raises(StaleRecord):
        ctx[CARDS].update({"id": "c", "version": "\u0000made up", "text": "y"})
    assert 0 == ctx.pending_operations
