"""Errors of a push: what can be done about each, from where, and when it is too late."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.api.support import NOTES, TODOS, Todo, Wire, World, plain
from tidesync import (
    DefaultHandler,
    KeepLocal,
    OperationError,
    PushFailed,
    PushReport,
    SyncContext,
)
from tidesync.contracts.transport import Applied, Outcome, Rejected, Unknown
from tidesync.errors import InvalidRecord, StaleResolution, UsageError
from tidesync.session import Attempt


def error_of(ctx: SyncContext) -> OperationError:
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    [error] = caught.value.errors
    return error


def refused(ctx: SyncContext, wire: Wire) -> OperationError:
    """An insert that the remote does not take."""
    ctx[NOTES].insert({"id": "a", "text": "mine"})
    wire.say("a", Rejected("no", "not today"))
    return error_of(ctx)


def conflicted(
    world: World, ctx: SyncContext, *, edit: str = "update", news: str = "update"
) -> OperationError:
    """An edit of a record that changed at the remote."""
    if edit == "insert":
        ctx[NOTES].insert({"id": "a", "text": "mine"})
    else:
        world.remote.write("note", "a", text="there")
        ctx[NOTES].pull()
        if edit == "delete":
            ctx[NOTES].delete("a")
        else:
            ctx[NOTES].update("a", text="mine")
    if news == "delete":
        world.remote.delete("note", "a")
    else:
        world.remote.write("note", "a", text="theirs", stars=1)
    return error_of(ctx)


def local(ctx: SyncContext) -> Any:
    return plain(ctx.read(lambda transaction: transaction.get("note", ["a"]))[0])


THEIRS = {"id": "a", "text": "theirs", "stars": 1}


@pytest.mark.parametrize("kind", ["refused", "conflict"])
def test_cancel_and_update(world: World, ctx: SyncContext, wire: Wire, kind: str) -> None:
    """The operation goes, and the record becomes what is given, as if the remote had said so. [G01] [G10] [G20]"""
    error = refused(ctx, wire) if kind == "refused" else conflicted(world, ctx)
    error.cancel_and_update({"id": "a", "text": "given"})
    assert ("given", [], [], 0) == (
        local(ctx)["text"], ctx.operations(), ctx.conflicts(), ctx.pending_operations,
    )  # fmt: skip
    sent = len(wire.changes)
    ctx.push()
    assert sent == len(wire.changes)


@pytest.mark.parametrize("kind", ["refused", "conflict", "deleted"])
def test_cancel_and_discard(world: World, ctx: SyncContext, wire: Wire, kind: str) -> None:
    """The operation goes, and the record becomes the server's copy, or goes with it. [G02] [G10] [G20]"""
    if kind == "refused":
        error, left = refused(ctx, wire), None
    elif kind == "conflict":
        error, left = conflicted(world, ctx), THEIRS
    else:
        error, left = conflicted(world, ctx, news="delete"), None
    error.cancel_and_discard()
    assert (left, [], [], 0) == (local(ctx), ctx.operations(), ctx.conflicts(), ctx.pending_operations)
    sent = len(wire.changes)
    ctx.push()
    assert sent == len(wire.changes)


def test_cancel_and_discard_of_a_refused_update(world: World, ctx: SyncContext, wire: Wire) -> None:
    """The record goes back to the copy that the edits began from. [G02]"""
    world.remote.write("note", "a", text="there")
    ctx[NOTES].pull()
    before = ctx[NOTES].get("a")
    ctx[NOTES].update("a", text="mine")
    wire.say("a", Rejected("no", "not today"))
    error_of(ctx).cancel_and_discard()
    assert (before, 0) == (ctx[NOTES].get("a"), ctx.pending_operations)


@pytest.mark.parametrize("kind", ["refused", "update", "insert", "delete"])
def test_update_operation(world: World, ctx: SyncContext, wire: Wire, kind: str) -> None:
    """What is given is sent instead, as an edit of what the server has. [G04] [G22] [R-G34]"""
    error = refused(ctx, wire) if kind == "refused" else conflicted(world, ctx, edit=kind)
    error.update_operation({"id": "a", "text": "given"})
    assert "given" == local(ctx)["text"]
    [operation] = ctx.operations()
    assert ("insert" if kind == "refused" else "update", "pending", None) == (
        operation.kind, operation.state, operation.error,
    )  # fmt: skip
    ctx.push()
    left = world.remote.content("note", "a")
    assert left is not None
    assert ("given", left, 0) == (left["text"], local(ctx), ctx.pending_operations)


def test_an_update_of_what_is_gone_becomes_an_insert(world: World, ctx: SyncContext, wire: Wire) -> None:
    """The record that the remote deleted is brought back with the given content. [G21]"""
    error = conflicted(world, ctx, news="delete")
    error.update_operation({"id": "a", "text": "given"})
    [operation] = ctx.operations()
    assert "insert" == operation.kind
    ctx.push()
    assert "given" == (world.remote.content("note", "a") or {})["text"]


@pytest.mark.parametrize("news", ["update", "delete"])
def test_retry_of_a_conflict_needs_a_decision(world: World, ctx: SyncContext, news: str) -> None:
    """A conflict is not sent again as it is: the error says how to go on, and nothing changes. [G08]"""
    error = conflicted(world, ctx, news=news)
    before = ctx.operations()
    with pytest.raises(UsageError, match="resolve"):
        error.retry()
    assert before == ctx.operations()


def test_retry_sends_the_same_content(ctx: SyncContext, wire: Wire, world: World) -> None:
    """A refused operation may be sent again with the next push, as it is."""
    error = refused(ctx, wire)
    error.retry()
    ctx.push()
    assert {"id": "a", "text": "mine"} == world.remote.content("note", "a")


Resolve = Callable[[OperationError], None]
RESOLUTIONS: dict[str, Resolve] = {
    "cancel_and_update": lambda error: error.cancel_and_update({"id": "a", "text": "given"}),
    "cancel_and_discard": lambda error: error.cancel_and_discard(),
    "update_operation": lambda error: error.update_operation({"id": "a", "text": "given"}),
    "retry": lambda error: error.retry(),
}


@pytest.mark.parametrize("how", RESOLUTIONS)
@pytest.mark.parametrize("kind", ["refused", "conflict"])
@pytest.mark.parametrize("since", ["edited", "deleted", "resolved", "pushed", "news"])
def test_a_stale_resolution_is_refused(
    world: World, ctx: SyncContext, wire: Wire, how: str, kind: str, since: str
) -> None:
    """After the operation changed in any way the error is out of date: nothing is done. [G06] [G08]"""
    error = refused(ctx, wire) if kind == "refused" else conflicted(world, ctx)
    match since:
        case "edited":
            ctx[NOTES].update("a", text="newer")
        case "deleted":
            ctx[NOTES].delete("a")
        case "resolved":
            error.cancel_and_discard()
        case "pushed" if kind == "refused":
            ctx.push(retry_failed=True)
        case "pushed":
            ctx.resolve(ctx.conflicts()[0], KeepLocal())
            ctx.push()
        case _:
            world.remote.write("note", "a", text="newest")
            ctx[NOTES].pull(push="none")
    before = (ctx.operations(), ctx.conflicts(), local(ctx))
    with pytest.raises(StaleResolution, match="note/a"):
        RESOLUTIONS[how](error)
    assert before == (ctx.operations(), ctx.conflicts(), local(ctx))


@pytest.mark.parametrize("how", ["cancel_and_update", "update_operation"])
@pytest.mark.parametrize(
    "wrong", [None, 5, "a", {"id": "b"}, {"id": "a", "text": object()}, {"id": ""}, [{}]]
)
@pytest.mark.parametrize("kind", ["refused", "conflict"])
def test_a_resolution_needs_a_record(
    world: World, ctx: SyncContext, wire: Wire, how: str, wrong: Any, kind: str
) -> None:
    """What is no record of this id is a typed error, and changes nothing. [G08] [G21] [G22]"""
    error = refused(ctx, wire) if kind == "refused" else conflicted(world, ctx)
    before = (ctx.operations(), ctx.conflicts(), local(ctx))
    if wrong == {"id": ""}:
        getattr(error, how)(wrong)  # an empty id stands for the record's own
        assert local(ctx) is not None
        return
    with pytest.raises((UsageError, InvalidRecord)):
        getattr(error, how)(wrong)
    assert before == (ctx.operations(), ctx.conflicts(), local(ctx))


def test_resolutions_take_objects(world: World, ctx: SyncContext, wire: Wire) -> None:
    """An object of the table is as good as a dict; fields it does not name are the server's."""
    world.remote.write("todo", "a", text="there", complete=False)
    ctx[TODOS].pull()
    ctx[TODOS].update("a", text="mine")
    world.remote.write("todo", "a", text="theirs", extra=5)
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    caught.value.errors[0].update_operation(Todo("a", "given", True))
    ctx.push()
    assert {"id": "a", "text": "given", "complete": True, "extra": 5} == {
        name: value for name, value in (world.remote.content("todo", "a") or {}).items() if value is not None
    }


def test_an_operation_in_doubt_is_reported(ctx: SyncContext, wire: Wire) -> None:
    """What may be at the remote is an error of its own kind; a resolution of it is possible. [F22] [G24]"""
    ctx[NOTES].insert({"id": "a", "text": "mine"})
    wire.say("a", *[Unknown("gateway timeout")] * 3)
    error = error_of(ctx)
    assert ("unknown", "gateway timeout", {"id": "a", "text": "mine"}) == (
        error.status, error.message, error.sent,
    )  # fmt: skip
    error.cancel_and_discard()
    assert (None, 0) == (ctx[NOTES].get("a"), ctx.pending_operations)


# ---- handlers


class Settling(DefaultHandler):
    """Does one thing with every error at the end of a push."""

    def __init__(self, how: Resolve) -> None:
        self.how = how
        self.reports: list[PushReport] = []

    def on_push_complete(self, report: PushReport) -> None:
        self.reports.append(report)
        for error in report.errors:
            self.how(error)


@pytest.mark.parametrize("how", ["cancel_and_update", "cancel_and_discard", "update_operation"])
@pytest.mark.parametrize("kind", ["refused", "conflict"])
def test_errors_may_be_settled_by_the_handler(world: World, how: str, kind: str) -> None:
    """The handler sees the errors first; those that it settles are not reported. [G05] [G14] [G17]"""
    handler, wire = Settling(RESOLUTIONS[how]), world.wire()
    ctx = world.device("one", wire, handler=handler)
    if kind == "refused":
        ctx[NOTES].insert({"id": "a", "text": "mine"})
        wire.say("a", Rejected("no", "not today"))
    else:
        world.remote.write("note", "a", text="there")
        ctx[NOTES].pull()
        ctx[NOTES].update("a", text="mine")
        world.remote.write("note", "a", text="theirs", stars=1)
    report = ctx.push()
    assert ((), ["a"]) == (
        tuple(report.errors), [each.record_id for each in handler.reports[-1].errors],
    )  # fmt: skip
    assert (1 if how == "update_operation" else 0, []) == (report.pending, ctx.conflicts())
    assert report.pending == ctx.pending_operations
    ctx.push()
    assert 0 == ctx.pending_operations


def test_what_the_handler_leaves_is_reported(world: World) -> None:
    """An error that the handler only looked at reaches the caller. [G14]"""
    handler, wire = Settling(lambda error: None), world.wire()
    ctx = world.device("one", wire, handler=handler)
    assert "a" == refused(ctx, wire).record_id


class ClientWins(DefaultHandler):
    """The recipe of the documentation: look at the outcome, and settle what is there."""

    def __init__(self) -> None:
        self.context: SyncContext | None = None

    def on_push_complete(self, report: PushReport) -> None:
        assert self.context is not None
        for conflict in self.context.conflicts():
            self.context.resolve(conflict, KeepLocal())


def test_client_wins_in_a_handler(world: World) -> None:
    """A handler that resolves every conflict with the local record: the next push is through. [G25] [G05]"""
    handler = ClientWins()
    ctx = world.device("one", handler=handler)
    handler.context = ctx
    world.remote.write("note", "a", text="there")
    ctx[NOTES].pull()
    ctx[NOTES].update("a", text="mine")
    world.remote.write("note", "a", text="theirs")
    assert (True, 1) == ((report := ctx.push()).ok, report.pending)
    ctx.push()
    assert ("mine", 0) == ((world.remote.content("note", "a") or {})["text"], ctx.pending_operations)


class Retrying(DefaultHandler):
    """Sends again by itself while the outcome is in doubt."""

    def __init__(self, times: int) -> None:
        self.times = times

    def execute(self, attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:
        outcome = send()
        for _ in range(self.times):
            if not isinstance(outcome, Unknown):
                break
            outcome = send()
        return outcome


def test_a_handler_may_send_again(world: World) -> None:
    """Sends by a handler count as attempts: what it got through is through. [F16]"""
    wire = world.wire()
    ctx = world.device("one", wire, handler=Retrying(4))
    ctx[NOTES].insert({"id": "a"})
    wire.say("a", *[Unknown("503")] * 4)
    assert ["a"] == [each.record_id for each in ctx.push().pushed]
    assert (5, 1) == (len(wire.changes), len({change.id for change in wire.changes}))


class Skipping(DefaultHandler):
    """Leaves one record for later, and answers for another in the remote's place."""

    def execute(self, attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:
        match attempt.operation.record_id:
            case "later":
                return None
            case "made up":
                return Applied("v", {"id": "made up", "version": "v"})
            case _:
                return send()


def test_a_handler_may_leave_an_operation(world: World) -> None:
    """None leaves the operation for a later push; an outcome of its own is taken as the remote's. [C17] [C18]"""
    wire = world.wire()
    ctx = world.device("one", wire, handler=Skipping())
    ctx[NOTES].insert_many([{"id": "later"}, {"id": "made up"}, {"id": "sent"}])
    report = ctx.push()
    assert (["made up", "sent"], 1) == ([each.record_id for each in report.pushed], report.pending)
    assert (["sent"], "pending") == ([each.record_id for each in wire.changes], ctx.operations()[0].state)


class Failing(DefaultHandler):
    def __init__(self, *, at_the_end: bool) -> None:
        self.at_the_end = at_the_end

    def execute(self, attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:
        if not self.at_the_end:
            raise ValueError("a bug")
        return send()

    def on_push_complete(self, report: PushReport) -> None:
        raise ValueError("a bug")


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_handler_that_raises_loses_nothing(world: World, at_the_end: bool) -> None:
    """The exception reaches the caller, the lease is let go, and another push goes through."""
    ctx = world.device("one", handler=Failing(at_the_end=at_the_end), patience=0.0)
    ctx[NOTES].insert({"id": "a"})
    for _ in range(2):
        with pytest.raises(ValueError, match="a bug"):
            ctx.push()
    ctx.close()
    again = world.device("one", patience=0.0)
    again.push()
    assert (["a"], 0) == (world.remote.ids("note"), again.pending_operations)


def test_errors_are_frozen() -> None:
    """Reports and errors are values: nobody changes them afterwards."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        PushReport().pending = 5  # type: ignore[misc]
