"""Events: who is told what, when, on which thread, and what a subscriber can break."""

import logging
import threading
from typing import Any

import attrs
import pytest

from tests.api.support import LISTS, NOTES, TODOS, Todo, TodoList, Wire, World
from tidesync import KeepRemote, PushFailed, SyncContext
from tidesync.contracts.transport import Rejected
from tidesync.errors import ConfigurationError
from tidesync.events import (
    Event,
    OperationFailed,
    OperationPushed,
    OperationQueued,
    PageStored,
    Progress,
    PullFinished,
    PullStarted,
    PushFinished,
    PushStarted,
    RecordsChanged,
)


@pytest.mark.parametrize("wrong", [None, 5, "print", object()])
def test_only_callables_subscribe(ctx: SyncContext, wrong: Any) -> None:
    """What cannot be called back is refused at once. [P01]"""
    with pytest.raises(ConfigurationError, match="callable"):
        ctx.subscribe(wrong)
    ctx[TODOS].insert(Todo("a"))


def test_events_come_after_the_commit_on_the_calling_thread(ctx: SyncContext) -> None:
    """When an event is told, the write is visible to everyone."""
    seen: list[tuple[int, bool]] = []

    def look(event: Event) -> None:
        other: list[int] = []
        thread = threading.Thread(target=lambda: other.append(ctx[TODOS].count()))
        thread.start()
        thread.join()
        seen.append((other[0], threading.current_thread() is me))

    me = threading.current_thread()
    ctx.subscribe(look)
    ctx[TODOS].insert(Todo("a"))
    assert [(1, True), (1, True)] == seen


def test_the_source_tells_who_changed_a_record(world: World, ctx: SyncContext) -> None:
    """Local edits, push, pull, purge and resolutions can be told apart, and ignored. [P02] [P05] [P06]"""
    sources: list[str] = []
    ctx.subscribe(lambda event: sources.append(event.source) if isinstance(event, RecordsChanged) else None)

    def told() -> list[str]:
        found, sources[:] = list(sources), []
        return found

    ctx[NOTES].insert({"id": "a", "text": "x"})
    assert ["local"] == told()
    ctx.push()
    assert ["push"] == told()
    world.remote.write("note", "a", text="theirs")
    ctx[NOTES].pull()
    assert ["pull"] == told()
    ctx[NOTES].update("a", text="mine")
    world.remote.write("note", "a", text="newer")
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    assert "local" == told()[0]
    caught.value.errors[0].cancel_and_discard()
    assert ["resolution"] == told()
    ctx[NOTES].update("a", text="again")
    told()
    ctx[NOTES].purge(force=True)
    assert ["purge"] == told()


@pytest.mark.parametrize("how", ["cancel_and_update", "update_operation", "resolve"])
def test_resolutions_are_told_as_such(world: World, ctx: SyncContext, how: str) -> None:
    """Each way to settle an error tells a change by resolution. [P06]"""
    world.remote.write("note", "a", text="x")
    ctx[NOTES].pull()
    ctx[NOTES].update("a", text="mine")
    world.remote.write("note", "a", text="theirs")
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    events: list[Event] = []
    ctx.subscribe(events.append)
    if how == "resolve":
        ctx.resolve(ctx.conflicts()[0], KeepRemote())
    else:
        getattr(caught.value.errors[0], how)({"id": "a", "text": "given"})
    assert RecordsChanged("note", ("a",), "resolution") == events[0]


def test_a_subscriber_that_raises_breaks_nothing(
    ctx: SyncContext, caplog: pytest.LogCaptureFixture, world: World
) -> None:
    """Its exception is logged, without the record; the write stands, and the others are told."""
    told: list[Event] = []

    def angry(event: Event) -> None:
        raise ValueError("a bug in the application")

    ctx.subscribe(angry)
    ctx.subscribe(told.append)
    with caplog.at_level(logging.ERROR, logger="tidesync"):
        ctx[NOTES].insert({"id": "a", "text": "very private"})
        ctx.push()
        ctx[NOTES].pull()
    assert (["a"], 0) == (world.remote.ids("note"), ctx.pending_operations)
    assert len(told) == len(caplog.records) > 5
    assert {"a subscriber failed at RecordsChanged"} <= {record.getMessage() for record in caplog.records}
    assert "very private" not in caplog.text


def test_unsubscribing(ctx: SyncContext) -> None:
    """The returned function ends it, also twice, also while an event is told; nobody else is affected."""
    first: list[Event] = []
    second: list[Event] = []

    def once(event: Event) -> None:
        first.append(event)
        stop()

    stop = ctx.subscribe(once)
    ctx.subscribe(second.append)
    ctx[TODOS].insert(Todo("a"))
    stop()
    ctx[TODOS].insert(Todo("b"))
    assert (1, 4) == (len(first), len(second))


def test_a_subscriber_may_use_the_context(ctx: SyncContext, world: World) -> None:
    """A callback may read and write: it runs outside every transaction."""

    def react(event: Event) -> None:
        if isinstance(event, RecordsChanged) and event.table == "todo":
            ctx[NOTES].upsert({"id": "log", "text": ",".join(ctx[TODOS].values("id"))})

    ctx.subscribe(react)
    ctx[TODOS].insert(Todo("a"))
    world.remote.write("todo", "b", text="x", complete=False)
    ctx[TODOS].pull()
    assert "a,b" == (ctx[NOTES].get("log") or {})["text"]


def test_the_order_of_events(ctx: SyncContext, world: World, wire: Wire) -> None:
    """A pull that pushes first: the push from start to end, then the pull from start to end. [J17]"""
    world.remote.write("todo", "there", text="x", complete=False)
    ctx[LISTS].insert(TodoList("l"))
    ctx[TODOS].insert(Todo("refused"))
    wire.say("refused", Rejected("no", "not today"))
    events: list[Event] = []
    ctx.subscribe(events.append)
    ctx[TODOS].pull(name="all")
    told = [event for event in events if not isinstance(event, RecordsChanged)]
    assert [
        PushStarted(2),
        OperationPushed("list", "l", "insert"),
        OperationFailed("todo", "refused", "insert", "no", "not today"),
        Progress("push", 1, 2),
        PushFinished("complete", 1),
        PullStarted("todo", "all"),
        PageStored("todo", 1, 0),
        Progress("pull", 1, 1, "todo"),
        PullFinished("todo", "all", 1, 0),
    ] == told


def test_events_are_frozen_values(ctx: SyncContext) -> None:
    """Events compare by value, and nobody can change them for the next subscriber."""
    events: list[Any] = []
    ctx.subscribe(events.append)
    ctx[TODOS].insert(Todo("a"))
    assert [RecordsChanged("todo", ("a",), "local"), OperationQueued("todo", "a", "insert")] == events
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        events[0].table = "other"
