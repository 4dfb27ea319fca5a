"""Whatever a transport answers ends in a typed error, a doubt or quarantine; the next call works."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from tests.attacks.support import BOOKS, SHELVES, Book, Hostile, device, faults, recovers, snapshot
from tidesync import KeepLocal, Policy, PushFailed, SyncContext, keep_local, keep_remote, merge_fields
from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    Denied,
    NotSent,
    Rejected,
    Undeleted,
    Unknown,
)
from tidesync.errors import ProtocolError, TidesyncError
from tidesync.records import Record, Tombstone
from tidesync.stores.memory import MemoryStore

NAN = float("nan")
TOO_DEEP: Any = {}
for _ in range(100_000):
    TOO_DEEP = {"x": TOO_DEEP}
GOOD: Record = {"id": "r", "title": "new", "version": "1"}


def copy_with(**fields: Any) -> Callable[[Change], Record]:
    return lambda change: {"id": change.record_id, "version": "1", **fields}


UNREADABLE: dict[str, Callable[[Change], Any]] = {
    "nothing": lambda change: None,
    "text": lambda change: "Applied",
    "another's copy": lambda change: Applied("1", {"id": "other", "version": "1"}),
    "a copy without id": lambda change: Applied("1", {"version": "1"}),
    "a copy that is text": lambda change: Applied("1", "x"),  # type: ignore[arg-type]
    "a lone surrogate": lambda change: Applied("1", copy_with(name="\ud800")(change)),
    "too large a number": lambda change: Applied("1", copy_with(extra=2**70)(change)),
    "NaN": lambda change: Applied("1", copy_with(extra=NAN)(change)),
    "too deep": lambda change: Applied("1", copy_with(extra=TOO_DEEP)(change)),
    "a version that is a number": lambda change: Applied(7),  # type: ignore[arg-type]
    "a version that no encoding carries": lambda change: Applied("\ud800"),
    "a tombstone with a number": lambda change: Applied("1", Tombstone(5)),  # type: ignore[arg-type]
    "conflict with another": lambda change: Conflicted({"id": "other", "version": "1"}),
    "conflict with NaN": lambda change: Conflicted(copy_with(name=NAN)(change)),
    "conflict with text": lambda change: Conflicted("x"),  # type: ignore[arg-type]
    "undeleted nothing": lambda change: Undeleted(None),  # type: ignore[arg-type]
    "undeleted another": lambda change: Undeleted({"id": "other"}),
    "a doubt without a reason": lambda change: Unknown(None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_an_outcome_that_cannot_be_read_is_a_doubt(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, answer: Callable[[Change], Any]
) -> None:
    """It may be in effect: the operation stays attempted, is sent again as it was, and the report says why."""
    hostile.on_push = lambda changes: [answer(change) for change in changes]
    with pytest.raises(PushFailed) as failed:
        ctx.push()
    assert {"unknown"} == {error.status for error in failed.value.errors}
    assert {"attempted", "pending"} >= {operation.state for operation in ctx.operations()}
    assert "other" not in ctx[SHELVES]
    assert recovers(ctx, hostile, store)


@pytest.mark.parametrize("count", [0, 5])
def test_another_number_of_outcomes_is_a_protocol_error(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, count: int
) -> None:
    """Which change an outcome is about cannot be told: all are in doubt."""
    hostile.on_push = lambda changes: [Applied("1")] * count
    with pytest.raises(ProtocolError, match=f"{count} outcomes"):
        ctx.push()
    assert recovers(ctx, hostile, store)


def test_outcomes_that_are_no_list(ctx: SyncContext, hostile: Hostile, store: MemoryStore) -> None:
    """None is a typed error; any iterable of outcomes will do."""
    hostile.on_push = lambda changes: None
    with pytest.raises(ProtocolError, match="NoneType"):
        ctx.push()
    inner = hostile.inner
    hostile.on_push = lambda changes: (outcome for outcome in inner.push(changes))
    assert ctx.push().ok
    assert recovers(ctx, hostile, store)


@pytest.mark.parametrize(
    "outcome",
    [
        Rejected(None, object()),  # type: ignore[arg-type]
        Rejected("\ud800", "no \ud800"),
        Denied("\ud800"),
        NotSent(None, "soon"),  # type: ignore[arg-type]
        NotSent("later", NAN),
        NotSent("later", 1e300),
    ],
    ids=range(6),
)
def test_a_reason_is_kept_as_far_as_it_can_be(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, outcome: Any
) -> None:
    """What is wrong with the words of a refusal does not undo the refusal."""
    hostile.on_push = lambda changes: [outcome for _ in changes]
    with pytest.raises(PushFailed) as failed:
        ctx.push()
    report = failed.value.report
    assert report.retry_after is None
    assert [] == faults(store)
    hostile.on_push = None
    assert ctx.push(retry_failed=True).ok
    assert recovers(ctx, hostile, store)


def test_a_copy_that_does_not_fit_the_class_is_not_shown(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore
) -> None:
    """The push is in effect; the record stays readable, as it was sent."""

    def answer(changes: Sequence[Change]) -> list[Applied]:
        _ = hostile.inner.push(changes)
        return [Applied("9", copy_with(name=5, title=[1], pages="many")(change)) for change in changes]

    hostile.on_push = answer
    assert ctx.push().ok
    assert Book("b", "old", 1, "s") == ctx[BOOKS].get("b")
    assert recovers(ctx, hostile, store)


# ---- capabilities

NONSENSE: tuple[dict[str, Any], ...] = (
    {"max_changes": 0}, {"max_changes": -1}, {"max_changes": "x"}, {"max_changes": True}, {"page_limit": 0},
    {"page_limit": -1}, {"identity": None}, {"identity": ""}, {"identity": "\ud800"}, {"max_bytes": -1},
    {"exchange_timeout": float("inf")}, {"exchange_timeout": -1.0}, {"exchange_timeout": "x"}, {"overlap": NAN},
    {"overlap": -5.0}, {"overlap": float("inf")}, {"cursor": None}, {"departures": None}, {"tombstones": 5},
    {"remembers": "x"},
)  # fmt: skip


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_capabilities_that_cannot_be(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, nonsense: dict[str, Any]
) -> None:
    """They are refused before anything is sent, naming the one that is wrong."""
    before = snapshot(store)
    hostile.on_open = lambda found: attrs.evolve(found, **nonsense)
    for call in (
        ctx.push,
        lambda: ctx.pull(BOOKS, name="n", push="none"),
        lambda: ctx.remote(BOOKS).get("b"),
    ):
        with pytest.raises(TidesyncError, match=next(iter(nonsense))):
            call()
    assert (before, 0) == (snapshot(store), hostile.calls)
    assert recovers(ctx, hostile, store)


def test_capabilities_that_are_none(ctx: SyncContext, hostile: Hostile, store: MemoryStore) -> None:
    """A transport that says nothing of itself is not used."""
    hostile.on_open = lambda found: None
    with pytest.raises(TidesyncError, match="NoneType"):
        ctx.push()
    assert recovers(ctx, hostile, store)


# ---- exceptions

STRANGE: tuple[Exception, ...] = (
    ValueError("x"), OSError("x"), RecursionError("x"), MemoryError(), StopIteration(), KeyError("id"),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "no"), TidesyncError("q"),
)  # fmt: skip


@pytest.mark.parametrize("strange", STRANGE, ids=lambda error: type(error).__name__)
def test_an_exception_of_any_kind_is_typed(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, strange: Exception
) -> None:
    """What a transport raises by mistake reaches the caller as an error of tidesync that says what it was."""

    def fail(*_: object) -> Any:
        raise strange

    calls: list[tuple[str, Callable[[], Any]]] = [
        ("on_open", ctx.push), ("on_push", ctx.push), ("on_pull", lambda: ctx.pull(BOOKS, push="none")),
        ("on_get", lambda: ctx.remote(BOOKS).get("b")),
    ]  # fmt: skip
    for place, call in calls:
        setattr(hostile, place, fail)
        with pytest.raises(TidesyncError) as raised:
            call()
        assert str(strange) in str(raised.value)
        assert place in ("on_open", "on_push") or strange in (raised.value, raised.value.__cause__)
        setattr(hostile, place, None)
        assert [] == faults(store)
    assert recovers(ctx, hostile, store)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_leaves_what_was_marked(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, stop: type[BaseException]
) -> None:
    """It passes through; the next push sends the same operation again, and nothing waits for the lease."""

    def interrupt(*_: object) -> Any:
        raise stop

    hostile.on_push = interrupt
    with pytest.raises(stop):
        ctx.push()
    assert ["attempted", "pending"] == [operation.state for operation in ctx.operations()]
    assert recovers(ctx, hostile, store)


@pytest.mark.parametrize("answer", [5, "x", [], {}, {"id": "other"}, {"id": "b", "pages": NAN}], ids=repr)
def test_a_record_read_directly_is_looked_at(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, answer: Any
) -> None:
    """A remote table gives out no record that is none, nor another's."""
    hostile.on_get = lambda table, id: answer
    with pytest.raises(ProtocolError):
        ctx.remote(BOOKS).get("b")
    assert recovers(ctx, hostile, store)


@pytest.mark.parametrize("policy", [keep_remote, keep_local, merge_fields("remote"), merge_fields()])
def test_no_policy_takes_news_that_do_not_fit_the_class(policy: Policy) -> None:
    """The record stays in conflict and readable; the user may put the remote right, or take it knowingly."""
    hostile, store = Hostile(), MemoryStore()
    ctx = device(hostile, store, policy=policy)
    ctx[BOOKS].insert(Book("b", "old"))
    hostile.on_push = lambda changes: [Conflicted({"id": "b", "title": 5, "pages": "x", "version": "9"})]
    with pytest.raises(PushFailed) as failed:
        ctx.push()
    assert ["conflict"] == [error.status for error in failed.value.errors]
    assert Book("b", "old") == ctx[BOOKS].get("b")
    assert [] == faults(store)
    hostile.on_push = lambda changes: [Applied("10", {"id": "b", "title": "old", "version": "10"})]
    (conflict,) = ctx.conflicts()
    ctx.resolve(conflict, KeepLocal())
    assert ctx.push().ok
    assert ([], []) == (faults(store), ctx.conflicts())
