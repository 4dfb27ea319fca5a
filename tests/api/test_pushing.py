"""Push: what goes out, in which order, and what comes of it."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import attrs
import pytest

from tests.api.support import LISTS, NOTES, SOME_DAY, TODOS, Todo, TodoList, Wire, World
from tidesync import DefaultHandler, PushFailed, PushReport, SyncContext, table
from tidesync.contracts.transport import Absent, Applied, Outcome, Rejected
from tidesync.errors import ConfigurationError, RecordNotFound, UnknownTable
from tidesync.events import OperationPushed, Progress, PushFinished, PushStarted
from tidesync.records import Tombstone
from tidesync.session import Attempt


def test_a_push_sends_everything(ctx: SyncContext, world: World, wire: Wire) -> None:
    """All tables, all kinds: both sides agree, and the queue is empty. [E01] [E05] [E21]"""
    world.remote.write("note", "u", text="there")
    world.remote.write("note", "d", text="there")
    ctx[NOTES].pull()
    ctx[NOTES].update("u", stars=1)
    ctx[NOTES].delete("d")
    ctx[TODOS].insert(Todo("t", "x", due=SOME_DAY))
    ctx[LISTS].insert(TodoList("l"))
    report = ctx.push()
    assert ["update", "delete", "insert", "insert"] == [each.kind for each in report.pushed]
    assert ("complete", (), (), 0, True) == (
        report.status, tuple(report.errors), tuple(report.remaining), report.pending, report.ok,
    )  # fmt: skip
    assert ([], 0) == (ctx.operations(), ctx.pending_operations)
    assert [world.remote.get("note", "u")] == ctx.read(lambda transaction: transaction.get("note", ["u"]))
    assert isinstance(world.remote.get("note", "d"), Tombstone)
    assert {"id": "l", "name": ""} == world.remote.content("list", "l")
    assert ctx.read(lambda transaction: transaction.get("todo", ["t"])) == [world.remote.get("todo", "t")]


def test_a_push_may_be_narrowed(ctx: SyncContext, world: World) -> None:
    """Only the tables given are sent, with what they depend on; none given means all. [E02] [R-E34]"""
    ctx[NOTES].insert({"id": "n"})
    ctx[LISTS].insert(TodoList("l"))
    ctx[LISTS].insert(TodoList("other"))
    ctx[TODOS].insert(Todo("t", list_id="l"))
    report = ctx.push([TODOS])
    assert [("list", "l"), ("todo", "t")] == [(each.table, each.record_id) for each in report.pushed]
    assert 2 == report.pending
    assert ["n", "other"] == [each.record_id for each in ctx.push([]).pushed]


def test_two_tables_one_after_the_other_after_a_restart(world: World, ctx: SyncContext) -> None:
    """The count is right after each of two narrowed pushes of a reopened store. [R-E34]"""
    ctx[NOTES].insert_many([{"id": "a"}, {"id": "b"}])
    ctx[LISTS].insert(TodoList("l"))
    ctx.close()
    again = world.device("one")
    again.push([NOTES])
    assert 1 == again.pending_operations
    again.push([LISTS])
    assert 0 == again.pending_operations


def test_operations_of_one_table_go_in_order(world: World) -> None:
    """Where the remote takes one change at a time, they come one at a time, in the queue's order. [E06]"""
    wire = world.wire(max_changes=1)
    ctx = world.device("one", wire)
    ids = [f"n{index}" for index in range(7)]
    ctx[NOTES].insert_many({"id": id} for id in ids)
    ctx[NOTES].update("n0", stars=1)
    ctx.push()
    assert [[id] for id in ids] == [[change.record_id for change in push] for push in wire.pushes]


def test_many_operations_travel_together_in_parts(world: World) -> None:
    """No exchange holds more than the remote takes, and never two operations of one record. [E09] [R-E33]"""
    wire = world.wire(max_changes=10)
    ctx = world.device("one", wire)
    for index in range(30):
        world.remote.write("note", f"old{index}", text="x")
    ctx[NOTES].pull()
    for index in range(30):
        ctx[NOTES].insert({"id": f"new{index}"})
        if index % 3:
            ctx[NOTES].update(f"old{index}", stars=index)
        else:
            ctx[NOTES].delete(f"old{index}")
    report = ctx.push()
    assert (60, 0, 0) == (len(report.pushed), report.pending, ctx.pending_operations)
    assert [10] * 6 == [len(push) for push in wire.pushes]
    assert all(len({change.record_id for change in push}) == len(push) for push in wire.pushes)
    assert world.remote.ids("note") == ctx[NOTES].values("id")


def test_pushing_nothing_succeeds(ctx: SyncContext, wire: Wire) -> None:
    """An empty queue needs no request, and reports nothing. [E10]"""
    assert PushReport() == ctx.push()
    assert 0 == wire.requests


@pytest.mark.parametrize("wrong", [5, TODOS, [None], "todo", ["todo"]])
def test_wrong_arguments_of_a_push_are_refused(ctx: SyncContext, wire: Wire, wrong: Any) -> None:
    """Push takes a collection of tables: anything else is a typed error, and nothing is sent. [E10]"""
    ctx[TODOS].insert(Todo("a"))
    with pytest.raises((UnknownTable, ConfigurationError)):
        ctx.push(wrong)
    assert (1, 0) == (ctx.pending_operations, wire.requests)
    assert 1 == len(ctx.push().pushed)


def test_what_is_sent_is_the_record_as_it_was_left(ctx: SyncContext, wire: Wire) -> None:
    """The latest content goes out, without system fields. [E14]"""
    ctx[NOTES].insert({"id": "a", "text": "x"})
    ctx.push()
    ctx[NOTES].update("a", text="y")
    ctx[NOTES].update("a", text="z", stars=1)
    ctx.push()
    assert [{"id": "a", "text": "x"}, {"id": "a", "text": "z", "stars": 1}] == [
        change.record for change in wire.changes
    ]


def test_an_answer_without_a_record_changes_no_content(ctx: SyncContext, wire: Wire) -> None:
    """A remote that tells only the version leaves the content as the user wrote it. [E16]"""
    ctx[NOTES].insert({"id": "a", "text": "x"})
    wire.say("a", Applied("v1", None))
    ctx.push()
    record = ctx[NOTES].get("a")
    assert record is not None
    assert ({"id": "a", "text": "x"}, "v1", 0) == (
        {"id": record["id"], "text": record["text"]}, record["version"], ctx.pending_operations,
    )  # fmt: skip


def test_what_the_remote_made_of_a_write_is_stored(ctx: SyncContext, wire: Wire) -> None:
    """The remote's copy becomes the local record, with what the remote changed in it. [E05]"""
    ctx[NOTES].insert({"id": "a", "text": "x"})
    wire.say("a", Applied("v1", {"id": "a", "text": "X!", "stars": 3, "version": "v1"}))
    ctx.push()
    assert {"id": "a", "text": "X!", "stars": 3, "version": "v1"} == ctx[NOTES].get("a")


def test_the_answer_to_a_delete_brings_nothing_back(ctx: SyncContext, wire: Wire, world: World) -> None:
    """Whatever copy a remote sends after a delete, the record stays gone. [E17]"""
    world.remote.write("note", "a", text="x")
    ctx[NOTES].pull()
    ctx[NOTES].delete("a")
    wire.say("a", Applied("v2", Tombstone("v2")))
    ctx.push()
    assert (None, 0) == (ctx[NOTES].get("a"), ctx.pending_operations)


def test_a_lost_reply_has_one_effect(ctx: SyncContext, wire: Wire, world: World) -> None:
    """A push whose reply was lost is sent again under the same id, and takes effect once."""
    ctx[NOTES].insert({"id": "a", "text": "x"})
    wire.say("a", wire.lose_reply)
    report = ctx.push()
    assert (["a"], 0) == ([each.record_id for each in report.pushed], report.pending)
    first, second = wire.changes
    assert (first.id, first.record, 1, 2) == (second.id, second.record, first.attempts, second.attempts)
    assert {"id": "a", "text": "x"} == world.remote.content("note", "a")
    ctx[NOTES].pull()
    assert [world.remote.get("note", "a")] == ctx.read(lambda transaction: transaction.get("note", ["a"]))


def test_errors_of_a_push_are_gone_after_success(ctx: SyncContext, wire: Wire) -> None:
    """Once it went through, neither operation nor error is left. [E18] [R-F24]"""
    ctx[NOTES].insert({"id": "a"})
    wire.say("a", Rejected("no", "not today"))
    with pytest.raises(PushFailed):
        ctx.push()
    report = ctx.push(retry_failed=True)
    assert ((), (), []) == (tuple(report.errors), tuple(report.remaining), ctx.operations())


def test_the_report_says_what_happened(ctx: SyncContext, wire: Wire) -> None:
    """What went through, what did not in this push, what earlier ones left, and how it ended. [E20] [F05]"""
    ctx[NOTES].insert({"id": "old"})
    wire.say("old", Rejected("no", "not today"))
    with pytest.raises(PushFailed):
        ctx.push()
    ctx[NOTES].insert_many([{"id": "good"}, {"id": "bad"}, {"id": "worse"}])
    wire.say("bad", Rejected("bad", "bad content"))
    wire.say("worse", Rejected("worse", "worse content"))
    with pytest.raises(
        PushFailed, match=r"2 operation\(s\) did not go through: note/bad: bad content"
    ) as caught:
        ctx.push()
    report = caught.value.report
    assert ("complete", False, 3) == (report.status, report.ok, report.pending)
    assert ["good"] == [each.record_id for each in report.pushed]
    assert [("bad", "rejected", "bad"), ("worse", "rejected", "worse")] == [
        (each.record_id, each.status, each.code) for each in report.errors
    ]
    assert caught.value.errors == report.errors
    assert ["old"] == [each.record_id for each in report.remaining]
    following = ctx.push()
    assert (["old", "bad", "worse"], True) == ([each.record_id for each in following.remaining], following.ok)


def test_a_conflict_does_not_hold_up_the_others(ctx: SyncContext, world: World) -> None:
    """Records that nobody disputes go through beside one in conflict. [E22]"""
    for id in ("a", "b", "c"):
        world.remote.write("note", id, text="x")
    ctx[NOTES].pull()
    world.remote.write("note", "b", text="theirs")
    for id in ("a", "b", "c"):
        ctx[NOTES].update(id, text="mine")
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    assert ["b"] == [error.record_id for error in caught.value.errors]
    assert ["a", "c"] == [each.record_id for each in caught.value.report.pushed]


def test_a_push_tells_its_progress(ctx: SyncContext) -> None:
    """Start with the number queued, each operation, done of total, and the end. [P02]"""
    ctx[NOTES].insert_many([{"id": "a"}, {"id": "b"}])
    events: list[Any] = []
    ctx.subscribe(events.append)
    ctx.push()
    told = [e for e in events if isinstance(e, PushStarted | OperationPushed | Progress | PushFinished)]
    assert [
        PushStarted(2),
        OperationPushed("note", "a", "insert"),
        OperationPushed("note", "b", "insert"),
        Progress("push", 2, 2),
        PushFinished("complete", 2),
    ] == told


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@attrs.define
class Inner:
    n: int
    when: date


@attrs.define
class Everything:
    id: str
    flag: bool
    whole: int
    real: float
    text: str
    moment: datetime
    day: date
    hour: time
    money: Decimal
    key: UUID
    colour: Colour
    raw: bytes
    inner: Inner
    several: list[int]
    named: dict[str, float]
    nothing: str | None = None


EVERYTHING = table(Everything)
FULL = Everything(
    "a", True, -(2**63), 5e-324, "\u0000é😀\u0301", datetime(1, 1, 1, tzinfo=UTC), date(2024, 2, 29),
    time(23, 59, 59, 999999), Decimal("-0.10000000000000000000000000001"), UUID(int=7), Colour.BLUE,
    bytes(range(256)), Inner(1, date(1999, 12, 31)), [1, 2], {"x": 0.1, "": -0.0},
)  # fmt: skip


def test_every_type_survives_the_whole_way(world: World) -> None:
    """Each type of column comes back the same after write, push, and a look-up by another device. [E25] [M06]"""
    from tests.api.support import Remote
    from tidesync.stores.memory import MemoryStore
    from tidesync.transports.authority import Authority

    remote = Remote(Authority(MemoryStore(), [EVERYTHING.schema], identity="all").open())
    one = world.device("one", Wire(remote.authority), tables=[EVERYTHING])
    two = world.device("two", Wire(remote.authority), tables=[EVERYTHING])
    assert FULL == one[EVERYTHING].insert(FULL)
    one.push()
    two[EVERYTHING].pull()
    assert FULL == one[EVERYTHING].get("a") == two[EVERYTHING].get("a") == two.remote(EVERYTHING).get("a")


def test_the_whole_life_of_a_record(ctx: SyncContext, world: World) -> None:
    """Insert, push, pull, read, update, refresh, delete, push, purge: each step sees the one before. [E26]"""
    item = ctx[TODOS].insert(Todo("", "x"))
    ctx.push()
    ctx[TODOS].pull()
    assert [item] == ctx[TODOS].all()
    ctx[TODOS].update(attrs.evolve(item, complete=True))
    assert attrs.evolve(item, complete=True) == ctx[TODOS].refresh(item)
    ctx[TODOS].delete(item)
    assert None is ctx[TODOS].get(item.id)
    ctx.push()
    assert isinstance(world.remote.get("todo", item.id), Tombstone)
    assert 0 == ctx[TODOS].purge().records
    ctx[TODOS].pull()
    assert [] == ctx[TODOS].all()
    with pytest.raises(RecordNotFound):
        ctx[TODOS].refresh(item)


class Counting(DefaultHandler):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def execute(self, attempt: Attempt, send: Any) -> Outcome | None:
        self.seen.append((attempt.operation.kind, attempt.operation.record_id))
        outcome: Outcome = send()
        return outcome


def test_the_handler_sees_queued_operations_only(world: World) -> None:
    """Each queued operation goes through the handler, one at a time; remote tables do not. [E13]"""
    handler = Counting()
    wire = world.wire()
    ctx = world.device("one", wire, handler=handler)
    ctx[NOTES].insert_many([{"id": "a"}, {"id": "b"}])
    ctx.push()
    ctx.remote(NOTES).insert({"id": "direct"})
    ctx.remote(NOTES).delete("a")
    assert [("insert", "a"), ("insert", "b")] == handler.seen
    assert [1, 1, 1, 1] == [len(push) for push in wire.pushes]


def test_re_creating_a_deleted_id(ctx: SyncContext, world: World, wire: Wire) -> None:
    """An id that was deleted at the remote may be used again: the record is there, once."""
    ctx[NOTES].insert({"id": "a", "text": "first"})
    ctx.push()
    ctx[NOTES].delete("a")
    ctx.push()
    ctx[NOTES].insert({"id": "a", "text": "second"})
    ctx.push()
    assert {"id": "a", "text": "second"} == world.remote.content("note", "a")
    assert Absent() == wire.changes[0].expected
    assert 0 == ctx.pending_operations
