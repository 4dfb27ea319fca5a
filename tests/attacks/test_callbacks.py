"""Policies, handlers, subscribers and classes that raise, answer junk, or call back into the context."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from tests.attacks.support import CARDS, SHELVES, Hostile, Shelf, device, faults
from tidesync import Attempt, Conflict, DefaultHandler, KeepLocal, PushFailed, PushReport, SyncContext, table
from tidesync.contracts.transport import Change, Outcome, Rejected
from tidesync.errors import ContextClosed, InvalidRecord, StoreError, SyncBusy, TidesyncError
from tidesync.events import Event
from tidesync.stores.memory import MemoryStore


class Scripted(DefaultHandler):
    """Does what it was given in `execute`, and at the end."""

    def __init__(self, during: Callable[[Attempt, Callable[[], Outcome]], Any], end: Any = None) -> None:
        self.during, self.end = during, end

    def execute(self, attempt: Attempt, send: Callable[[], Outcome]) -> Any:
        return self.during(attempt, send)

    def on_push_complete(self, report: PushReport) -> None:
        if self.end is not None:
            self.end(report)


def in_conflict(**options: Any) -> tuple[SyncContext, MemoryStore, Hostile]:
    """A shelf that changed here and at the remote."""
    hostile, store = Hostile(), MemoryStore()
    ctx = device(hostile, store)
    ctx[SHELVES].insert(Shelf("s", "one"))
    ctx.push()
    other = device(Hostile(hostile.authority))
    other.pull(SHELVES)
    other[SHELVES].update("s", name="theirs")
    other.push()
    ctx[SHELVES].update("s", name="mine")
    ctx.close()
    return device(hostile, store, **options), store, hostile


def handler_of(place: str, call: Callable[[], None]) -> Scripted:
    """Calls before it sends an update, or at the end of a push."""

    def during(attempt: Attempt, send: Callable[[], Outcome]) -> Outcome:
        if place == "execute" and attempt.operation.kind == "update":
            call()
        return send()

    return Scripted(during, (lambda report: call()) if place == "on_push_complete" else None)


# ---- calling back


def calls_of(ctx: SyncContext) -> list[Callable[[], object]]:
    return [
        ctx.push,
        lambda: ctx.pull(SHELVES),
        lambda: ctx.purge(SHELVES),
        lambda: ctx.purge(SHELVES, force=True),
    ]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("place", ["policy", "execute", "on_push_complete", "subscriber"])
def test_sync_inside_a_callback_of_sync_is_refused_at_once(place: str, number: int) -> None:
    """It would wait for itself: `SyncBusy` says so without waiting, and what was under way goes on."""
    seen: list[Exception] = []

    def again(*_: object) -> None:
        began = time.monotonic()
        with pytest.raises(SyncBusy, match="wait for itself") as raised:
            calls_of(ctx)[number]()
        seen.append(raised.value)
        assert time.monotonic() - began < 5

    def policy(conflict: Conflict) -> KeepLocal:
        if place == "policy":
            again()
        return KeepLocal()

    handler = handler_of(place, again)
    ctx, store, hostile = in_conflict(handler=handler, policy=policy)
    if place == "subscriber":
        ctx.subscribe(again)
    assert ctx.push().ok
    assert seen
    assert [] == faults(store)
    assert ["mine"] == [record["name"] for record in hostile.authority.records("shelf")]


def test_two_contexts_of_one_store_on_one_thread() -> None:
    """A push inside another context's push would wait for it just the same."""
    store, hostile = MemoryStore(), Hostile()
    second = device(Hostile(hostile.authority), store)
    first = device(hostile, store)
    first[SHELVES].insert(Shelf("s"))
    seen: list[Any] = []

    def push(changes: Sequence[Change]) -> Sequence[Outcome]:
        with pytest.raises(SyncBusy) as raised:
            second.push()
        seen.append(raised.value)
        return hostile.inner.push(changes)

    hostile.on_push = push
    assert first.push().ok
    assert 1 == len(seen)
    assert second.push().ok


@pytest.mark.parametrize("place", ["policy", "execute", "on_push_complete", "subscriber"])
def test_writes_and_remote_reads_inside_a_callback(place: str) -> None:
    """Callbacks run outside transactions: they may read and write here, and read at the remote."""
    ran: list[int] = []

    def write(*_: object) -> None:
        if len(ran) < 3:
            ran.append(1)
            with ctx.batch():
                ctx[SHELVES].update("s", name=f"again {len(ran)}")
                ctx[CARDS].insert({"text": "x"})
            assert ctx.remote(SHELVES).get("s") is not None

    def policy(conflict: Conflict) -> KeepLocal:
        if place == "policy":
            write()
        return KeepLocal()

    handler = handler_of(place, write)
    ctx, store, hostile = in_conflict(policy=policy, handler=handler)
    ctx._handler = handler  # only from here on
    ctx.close()
    ctx.open()
    if place == "subscriber":
        ctx.subscribe(write)
    for _ in range(5):
        if not ctx.pending_operations:
            break
        _ = ctx.push()
    assert ran
    assert [] == faults(store)
    assert 0 == ctx.pending_operations
    assert [ctx[SHELVES].get("s")] == [
        Shelf("s", str(each["name"])) for each in hostile.authority.records("shelf")
    ]


@pytest.mark.parametrize("place", ["policy", "execute", "on_push_complete", "subscriber", "transport"])
def test_closing_inside_a_callback(place: str) -> None:
    """The call under way ends with a typed error; everything can be opened again, and goes on."""
    closed: list[int] = []

    def close(*_: object) -> None:
        if not closed:
            closed.append(1)
            ctx.close()

    def policy(conflict: Conflict) -> KeepLocal:
        if place == "policy":
            close()
        return KeepLocal()

    handler = handler_of(place, close)
    ctx, store, hostile = in_conflict(policy=policy, handler=handler)
    ctx._handler = handler  # only from here on
    ctx.close()
    ctx.open()
    if place == "subscriber":
        _ = ctx.subscribe(close)
    if place == "transport":
        hostile.on_push = lambda changes: (close(), hostile.inner.push(changes))[1]
    with pytest.raises((PushFailed, StoreError, ContextClosed)):
        ctx.push()
    with pytest.raises(ContextClosed):
        ctx[SHELVES].all()
    ctx.open()
    assert [] == faults(store)
    _ = ctx.push()
    assert ([], 0) == (faults(store), ctx.pending_operations)


def test_closing_inside_a_batch() -> None:
    """Nothing of the batch is kept, and the store can be opened again."""
    store = MemoryStore()
    ctx = device(Hostile(), store)

    def write_and_close() -> None:
        with ctx.batch():
            ctx[SHELVES].insert(Shelf("s"))
            ctx.close()

    with pytest.raises(TidesyncError):
        write_and_close()
    ctx.open()
    assert ([], 0) == (list(ctx[SHELVES]), ctx.pending_operations)


# ---- raising and junk


class Strange(Exception):
    """What user code raises."""


@pytest.mark.parametrize("place", ["policy", "execute", "on_push_complete"])
def test_what_a_callback_raises_reaches_the_caller(place: str) -> None:
    """It is the user's own error; nothing is lost, and the next push goes on."""
    mood = ["bad"]

    def fail(*_: object) -> None:
        if mood:
            raise Strange

    def policy(conflict: Conflict) -> KeepLocal:
        if place == "policy":
            fail()
        return KeepLocal()

    handler = handler_of(place, fail)
    ctx, store, _ = in_conflict(policy=policy, handler=handler)
    with pytest.raises(Strange):
        ctx.push()
    assert [] == faults(store)
    mood.clear()
    assert ctx.push().ok
    assert ([], 0) == (faults(store), ctx.pending_operations)


def test_a_subscriber_that_raises_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, without the record, and others are still told."""
    seen: list[Event] = []

    def fail(event: Event) -> None:
        raise Strange

    ctx = device(Hostile())
    ctx.subscribe(fail)
    ctx.subscribe(seen.append)
    ctx[SHELVES].insert(Shelf("s", "private words"))
    assert ctx.push().ok
    assert seen
    assert "a subscriber failed" in caplog.text
    assert "private words" not in caplog.text


@pytest.mark.parametrize("junk", [5, "Applied", Rejected, [], {}], ids=repr)
def test_a_handler_that_answers_junk(junk: Any) -> None:
    """Its answer cannot be read: the operation is in doubt, is reported, and sent again unchanged."""
    hostile, store = Hostile(), MemoryStore()
    mood = ["bad"]
    ctx = device(
        hostile, store, handler=Scripted(lambda attempt, send: (send(), junk if mood else send())[1])
    )
    ctx[SHELVES].insert(Shelf("s"))
    with pytest.raises(PushFailed) as failed:
        ctx.push()
    assert ["unknown"] == [error.status for error in failed.value.errors]
    assert [] == faults(store)
    mood.clear()
    assert ctx.push().ok
    assert 1 == len(hostile.authority.records("shelf"))


def test_a_handler_that_forgets_to_return() -> None:
    """What it sent is in doubt, and the report says what to write."""
    hostile, store = Hostile(), MemoryStore()
    ctx = device(hostile, store, handler=Scripted(lambda attempt, send: (send(), None)[1]))
    ctx[SHELVES].insert(Shelf("s"))
    with pytest.raises(PushFailed, match="return the outcome"):
        ctx.push()
    assert ["attempted"] == [operation.state for operation in ctx.operations()]
    assert [] == faults(store)


@pytest.mark.parametrize("answer", [None, KeepLocal, "keep", 5])
def test_a_policy_that_answers_junk(answer: Any) -> None:
    """It is told what to return; the record stays in conflict."""
    ctx, store, _ = in_conflict(policy=lambda conflict: answer)
    with pytest.raises(TidesyncError, match="KeepLocal"):
        ctx.push()
    assert [] == faults(store)
    assert 1 == len(ctx.conflicts())


# ---- classes


@attrs.define
class Picky:
    id: str
    size: int = 0

    def __attrs_post_init__(self) -> None:
        if self.size > 5:
            raise Strange(f"{self.size} is too large")


def test_a_class_that_refuses_changes_nothing() -> None:
    """A write that its class would not read back is refused; nothing is queued."""
    picky = table(Picky)
    ctx = SyncContext(MemoryStore(), None, [picky]).open()
    item = ctx[picky].insert(Picky("a", 1))
    item.size = 9
    for call in (
        lambda: ctx[picky].update(item), lambda: ctx[picky].update("a", size=9),
        lambda: ctx[picky].insert({"id": "b", "size": 9}),
    ):  # fmt: skip
        with pytest.raises(InvalidRecord, match="too large"):
            _ = call()
    assert ([Picky("a", 1)], 1) == (list(ctx[picky]), ctx.pending_operations)


def test_a_class_that_reads_the_store_while_it_is_made() -> None:
    """Inside a write's transaction that is refused, and changes nothing."""

    @attrs.define
    class Nosy:
        id: str

        def __attrs_post_init__(self) -> None:
            if self.id == "b":
                ctx[nosy].insert(Nosy("c"))

    nosy = table(Nosy)
    ctx: Any = None
    made = SyncContext(MemoryStore(), None, [nosy]).open()
    ctx = made
    with pytest.raises(TidesyncError):
        made[nosy].insert({"id": "b"})
    ctx = {nosy: made[nosy]}
    assert [] == faults(made._store, [nosy])
