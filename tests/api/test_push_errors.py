"""Push: what stops it, what it sets aside, and what it reports."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.api.failing import FailingStore
from tests.api.support import LISTS, NOTES, TABLES, TODOS, Script, Todo, TodoList, Wire, World, plain
from tidesync import DefaultHandler, PushFailed, PushReport, SyncContext, keep_local
from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    Denied,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
    Untried,
)
from tidesync.errors import NotReachable, ProtocolError, RemoteUnavailable, StoreFull, Unauthorized
from tidesync.records import Tombstone, version_of
from tidesync.session import Attempt


def failed(call: Callable[[], object]) -> PushReport:
    with pytest.raises(PushFailed) as caught:
        call()
    return caught.value.report


def fill(ctx: SyncContext, *ids: str) -> None:
    ctx[NOTES].insert_many({"id": id} for id in ids)


def test_a_network_error_stops_the_push(ctx: SyncContext, wire: Wire, world: World) -> None:
    """What was certainly not sent stays as it was, and goes with the next push. [F01] [R-F25] [F06]"""
    fill(ctx, "a", "b", "c")
    wire.say("b", NotSent("connection refused", 7.0))
    wire.say("c", Untried())
    report = failed(ctx.push)
    assert ("network", 7.0, "connection refused", 2) == (
        report.status, report.retry_after, report.reason, report.pending,
    )  # fmt: skip
    assert ["a"] == [each.record_id for each in report.pushed]
    assert [("b", "pending", 0), ("c", "pending", 0)] == [
        (each.record_id, each.state, each.attempts) for each in ctx.operations()
    ]
    assert 1 == len(wire.pushes)
    assert (["b", "c"], 0) == ([each.record_id for each in ctx.push().pushed], ctx.pending_operations)
    assert ["a", "b", "c"] == world.remote.ids("note")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotReachable("no such host", retry_after=3.0), "network"),
        (RemoteUnavailable("503"), "network"),
        (ProtocolError("not JSON"), "network"),
        (Unauthorized("401"), "authentication"),
    ],
)
def test_a_remote_that_cannot_be_opened_stops_the_push(
    ctx: SyncContext, wire: Wire, error: Exception, status: str
) -> None:
    """If even the first contact fails, nothing was sent, and the report says why. [F01] [F02]"""
    fill(ctx, "a")

    def refuse() -> None:
        wire.on_open = lambda: None
        raise error

    wire.on_open = refuse
    report = failed(ctx.push)
    assert (status, 1, str(error)) == (report.status, report.pending, report.reason)
    assert ["pending"] == [each.state for each in ctx.operations()]
    assert ["a"] == [each.record_id for each in ctx.push().pushed]


def test_refused_credentials_stop_the_push(ctx: SyncContext, wire: Wire) -> None:
    """The operation stays pending, and the next push sends it. [F02]"""
    fill(ctx, "a")
    wire.say("a", Denied("the token has expired"))
    report = failed(ctx.push)
    assert ("authentication", "the token has expired", 1) == (report.status, report.reason, report.pending)
    assert 1 == len(ctx.push().pushed)


def test_a_server_error_is_tried_again(ctx: SyncContext, wire: Wire) -> None:
    """An operation in doubt is sent again within the push, identical, up to three times. [F16] [F22] [R-F23]"""
    fill(ctx, "a")
    wire.say("a", Unknown("500"), Unknown("timeout"))
    assert 1 == len(ctx.push().pushed)
    assert [1, 2, 3] == [change.attempts for change in wire.changes]
    assert 1 == len({change.id for change in wire.changes})


def test_doubt_that_stays_is_set_aside(ctx: SyncContext, wire: Wire, world: World) -> None:
    """After three tries the operation stays in doubt with what depends on it; the rest goes. [F05] [F22]"""
    ctx[LISTS].insert(TodoList("l"))
    ctx[TODOS].insert(Todo("child", list_id="l"))
    ctx[TODOS].insert(Todo("free"))
    wire.say("l", *[Unknown("500")] * 3)
    report = failed(ctx.push)
    assert ("complete", [("l", "unknown")]) == (
        report.status, [(each.record_id, each.status) for each in report.errors],
    )  # fmt: skip
    assert (["free"], ["attempted", "pending"]) == (
        world.remote.ids("todo"), [each.state for each in ctx.operations()],
    )  # fmt: skip
    ctx.push()
    assert (["child", "free"], ["l"]) == (world.remote.ids("todo"), world.remote.ids("list"))


def test_three_doubts_in_a_row_mean_that_the_remote_is_down(world: World) -> None:
    """Three different operations in doubt, one after another, stop the push. [F01]"""
    wire = world.wire(max_changes=1)
    ctx = world.device("one", wire)
    fill(ctx, "a", "b", "c", "d", "e")
    for id in "abcde":
        wire.say(id, *[Unknown("503")] * 9)
    report = failed(ctx.push)
    assert ("network", 5) == (report.status, report.pending)
    assert "e" not in {change.record_id for change in wire.changes}


def test_a_store_that_fails_stops_the_push(world: World) -> None:
    """Whenever the store fails, the push says so; what was sent is sent again, and takes effect once. [F04]"""
    steps, done = 0, False
    seen: list[Any] = []
    while not done:
        steps += 1
        failing = FailingStore(world.make_store(f"{steps}"))
        ctx = SyncContext(failing, world.wire(), TABLES, patience=0.0).open()
        world.contexts.append(ctx)
        fill(ctx, f"a{steps}", f"b{steps}")
        failing.fuse = steps
        # While the lease is taken nothing has begun, and there is nothing to report.
        expected: type[Exception] = StoreFull if steps <= 2 else PushFailed
        try:
            done = ctx.push().ok and failing.fuse > 0
        except expected as error:
            seen.append(error)
        failing.fuse = None
        _ = ctx.push()
        assert (["a", "b"], 0) == (
            [id[0] for id in world.remote.ids("note") if id[1:] == str(steps)], ctx.pending_operations,
        )  # fmt: skip
    assert steps > 10
    reports = [error.report for error in seen if isinstance(error, PushFailed)]
    assert {("store", "the disk is full")} == {(report.status, report.reason) for report in reports}
    assert {StoreFull} == {type(error.__cause__) for error in seen if isinstance(error, PushFailed)}


class Stubborn(DefaultHandler):
    """Stops at one record, before or after sending it."""

    def __init__(self, id: str, *, sent: bool) -> None:
        self.id, self.sent = id, sent

    def execute(self, attempt: Attempt, send: Any) -> Outcome | None:
        if attempt.operation.record_id != self.id:
            outcome: Outcome = send()
            return outcome
        if self.sent:
            send()
        attempt.abort_push()
        raise AssertionError("abort_push raises")


@pytest.mark.parametrize(("sent", "state"), [(False, "pending"), (True, "attempted")])
def test_a_handler_can_stop_the_push(world: World, sent: bool, state: str) -> None:
    """What went before is done, the rest stays queued; what the handler had sent is in doubt. [F08] [C17]"""
    wire = world.wire()
    ctx = world.device("one", wire, handler=Stubborn("b", sent=sent))
    fill(ctx, "a", "b", "c")
    report = failed(ctx.push)
    assert ("handler", ["a"], 2) == (
        report.status, [each.record_id for each in report.pushed], report.pending,
    )  # fmt: skip
    assert [("b", state), ("c", "pending")] == [(each.record_id, each.state) for each in ctx.operations()]
    ctx.close()
    again = world.device("one")
    again.push()
    assert (["a", "b", "c"], 0) == (world.remote.ids("note"), again.pending_operations)


@pytest.mark.parametrize("gone", ["deleted", "never"])
def test_deleting_what_is_gone_is_a_success(world: World, wire: Wire, gone: str) -> None:
    """The remote's record was deleted, or it never had one: the delete is done. [F09] [F10]"""
    ctx = world.device("one", wire)
    world.remote.write("note", "a", text="x")
    ctx[NOTES].pull()
    ctx[NOTES].delete("a")
    if gone == "deleted":
        world.remote.delete("note", "a")
    else:
        wire.say("a", Conflicted(None))
    report = ctx.push()
    assert (["delete"], 0, None) == (
        [each.kind for each in report.pushed], ctx.pending_operations, ctx[NOTES].get("a"),
    )  # fmt: skip


def test_a_refusal_keeps_its_reason(ctx: SyncContext, wire: Wire) -> None:
    """Code and message stay with the operation, the record stays as the user left it. [F17] [G24] [F05]"""
    ctx[NOTES].insert({"id": "a", "text": "x"})
    wire.say("a", Rejected("too_long", "the text is too long"))
    [error] = failed(ctx.push).errors
    assert ("note", "a", "rejected", "too_long", "the text is too long") == (
        error.table, error.record_id, error.status, error.code, error.message,
    )  # fmt: skip
    assert ({"id": "a", "text": "x"}, None) == (error.sent, error.server)
    [operation] = ctx.operations()
    assert operation == error.operation
    assert ("failed", {"id": "a", "text": "x"}) == (operation.state, ctx[NOTES].get("a"))
    ctx.push()
    assert 1 == len(wire.changes)


def test_a_refusal_in_one_table_leaves_others_alone(ctx: SyncContext, wire: Wire) -> None:
    """A later push of another table succeeds; its report names what an earlier one left. [R-F24]"""
    fill(ctx, "a")
    wire.say("a", Rejected("no", "not today"))
    failed(ctx.push)
    ctx[TODOS].insert(Todo("t"))
    report = ctx.push([TODOS])
    assert (["t"], ["a"], True) == (
        [each.record_id for each in report.pushed], [each.record_id for each in report.remaining], report.ok,
    )  # fmt: skip


def test_a_conflict_tells_what_the_remote_has(ctx: SyncContext, world: World) -> None:
    """The error of an unsettled conflict holds what was sent and what the server has. [F18] [G12] [G13]"""
    world.remote.write("note", "a", text="x")
    ctx[NOTES].pull()
    theirs = world.remote.write("note", "a", text="theirs")
    ctx[NOTES].update("a", text="mine")
    [error] = failed(ctx.push).errors
    assert ("conflict", "note", "a", "update") == (
        error.status, error.table, error.record_id, error.operation.kind,
    )  # fmt: skip
    assert ({"id": "a", "text": "mine"}, {"id": "a", "text": "theirs"}) == (error.sent, plain(error.server))
    assert theirs == version_of(error.server)
    assert {"id": "a", "text": "theirs"} == world.remote.content("note", "a")
    assert ("pending", True) == (ctx.operations()[0].state, ctx.operations()[0].in_conflict)


@pytest.mark.parametrize(("conflicts", "requests"), [(0, 1), (1, 2), (3, 4)])
def test_a_settled_conflict_costs_one_request_each(world: World, conflicts: int, requests: int) -> None:
    """Without dispute one request; with one that the policy settles, one more each time. [F12] [F13]"""
    wire = world.wire()
    ctx = world.device("one", wire, policy=keep_local)
    world.remote.write("note", "a", text="x")
    ctx[NOTES].pull()
    ctx[NOTES].update("a", text="mine")
    wire.say("a", *[disturbing(world)] * conflicts)
    ctx.push()
    assert (requests, {"id": "a", "text": "mine"}) == (len(wire.pushes), world.remote.content("note", "a"))


def disturbing(world: World) -> Script:
    """Another device is faster, every time."""
    inner = world.wire().inner

    def answer(change: Change) -> Outcome:
        world.remote.write("note", "a", text="theirs")
        return inner.push([change])[0]

    return answer


def test_a_record_that_stays_in_conflict_is_set_aside(world: World) -> None:
    """A policy that settles in vain is asked five times for one record; the others still go. [F14] [R-F26]"""
    wire = world.wire()
    asked: list[Any] = []

    def policy(conflict: Any) -> Any:
        asked.append(conflict)
        return keep_local(conflict)

    ctx = world.device("one", wire, policy=policy)
    world.remote.write("note", "a", text="x")
    ctx[NOTES].pull()
    ctx[NOTES].update("a", text="mine")
    ctx[NOTES].insert({"id": "b"})
    wire.say("a", *[disturbing(world)] * 20)
    report = failed(ctx.push)
    assert (5, 6) == (len(asked), sum(change.record_id == "a" for change in wire.changes))
    assert ("complete", ["b"], [("a", "conflict")]) == (
        report.status,
        [each.record_id for each in report.pushed],
        [(each.record_id, each.status) for each in report.errors],
    )
    assert ["pending"] == [each.state for each in ctx.operations()]
    wire.scripts.clear()
    ctx.push()
    assert {"id": "a", "text": "mine"} == world.remote.content("note", "a")


def test_stop_ends_a_push_after_its_exchange(world: World) -> None:
    """`stop()` from elsewhere ends the push as "caller"; what was done stays done. [F06]"""
    wire = world.wire(max_changes=1)
    ctx = world.device("one", wire)
    fill(ctx, "a", "b")
    wire.on_push = lambda changes: ctx.stop()
    report = failed(ctx.push)
    assert ("caller", ["a"], 1) == (report.status, [each.record_id for each in report.pushed], report.pending)
    wire.on_push = lambda changes: None
    assert 1 == len(ctx.push().pushed)


@pytest.mark.parametrize("error", [ValueError("bug"), RuntimeError("boom")])
def test_a_transport_that_raises_leaves_everything_in_doubt(
    ctx: SyncContext, wire: Wire, world: World, error: Exception
) -> None:
    """What a broken transport had been given counts as sent: it is sent again, identical."""
    fill(ctx, "a")

    def explode(changes: Sequence[Change]) -> None:
        wire.on_push = lambda changes: None
        raise error

    wire.on_push = explode
    with pytest.raises(ProtocolError, match=str(error)) as caught:
        ctx.push()
    assert error is caught.value.__cause__
    assert ["attempted"] == [each.state for each in ctx.operations()]
    ctx.push()
    assert (["a"], 2) == (world.remote.ids("note"), wire.changes[-1].attempts)


def test_an_answer_to_a_dropped_operation_changes_nothing(ctx: SyncContext, wire: Wire) -> None:
    """An operation that was dropped while it was sent is not brought back by its answer. [C18] [C25] [F06]"""
    from tidesync.rules.chain import Head

    fill(ctx, "a", "b")

    def drop(changes: Sequence[Change]) -> None:
        def step(queue: Any) -> None:
            head = queue.ledger.head("note", "a")
            assert isinstance(head, Head)
            queue.discard(head)

        ctx.write(step)

    wire.on_push = drop
    report = ctx.push()
    assert (["b"], None, 0) == (
        [each.record_id for each in report.pushed], ctx[NOTES].get("a"), ctx.pending_operations,
    )  # fmt: skip


def test_a_tombstone_where_nothing_was_known(ctx: SyncContext, wire: Wire) -> None:
    """An insert that meets a tombstone brings the record back, without asking anyone."""
    fill(ctx, "a")
    wire.say("a", Conflicted(Tombstone("v1")), Applied("v2", {"id": "a", "version": "v2"}))
    ctx.push()
    assert ([("insert", 1), ("insert", 1)], {"id": "a", "version": "v2"}) == (
        [(change.kind, change.attempts) for change in wire.changes], ctx[NOTES].get("a"),
    )  # fmt: skip
    assert Tombstone("v1") == wire.changes[1].expected
