"""Collapse as users see it: what becomes of the queue when a record is written again."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.api.support import LISTS, NOTES, TODOS, Remote, Todo, TodoList, Wire, World
from tidesync import PushFailed, SyncContext
from tidesync.contracts.transport import Applied, Change, Rejected, Unknown, Version
from tidesync.errors import RecordExists, RecordNotFound
from tidesync.events import Event, OperationCollapsed, OperationQueued
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority


def queued(ctx: SyncContext) -> list[tuple[str, str]]:
    return [(each.kind, each.record_id) for each in ctx.operations()]


def pulled(world: World, ctx: SyncContext, id: str = "a") -> None:
    world.remote.write("note", id, text="there")
    ctx[NOTES].pull()


def test_insert_then_update_is_one_insert(ctx: SyncContext, world: World) -> None:
    """The insert takes over the latest values. [D02]"""
    ctx[NOTES].insert({"id": "a", "text": "x"})
    ctx[NOTES].update("a", text="y")
    ctx[NOTES].update("a", stars=1)
    assert [("insert", "a")] == queued(ctx)
    ctx.push()
    assert {"id": "a", "text": "y", "stars": 1} == world.remote.content("note", "a")


def test_insert_then_delete_is_nothing(ctx: SyncContext, wire: Wire) -> None:
    """What was never sent and is gone needs no request. [D05] [D16]"""
    ctx[NOTES].insert({"id": "a"})
    ctx[NOTES].delete("a")
    assert ([], 0, None) == (queued(ctx), ctx.pending_operations, ctx[NOTES].get("a"))
    ctx.push()
    assert 0 == wire.requests


def test_update_then_delete_sends_the_delete(world: World, ctx: SyncContext, wire: Wire) -> None:
    """Only the delete is sent, as another operation: the update before it is not. [D08] [D17] [R-D23]"""
    pulled(world, ctx)
    ctx[NOTES].update("a", text="x")
    [update] = ctx.operations()
    ctx[NOTES].delete("a")
    [delete] = ctx.operations()
    assert ("delete", None, update.sequence) == (delete.kind, delete.content, delete.sequence)
    assert update.id != delete.id
    ctx.push()
    assert ["delete"] == [change.kind for change in wire.changes]
    assert [] == world.remote.ids("note")


def test_delete_then_insert_is_an_update(world: World, ctx: SyncContext, wire: Wire) -> None:
    """A record that is written anew after a delete is an update of what the remote has. [D09]"""
    pulled(world, ctx)
    ctx[NOTES].delete("a")
    ctx[NOTES].insert({"id": "a", "stars": 1})
    assert [("update", "a")] == queued(ctx)
    ctx.push()
    assert ["update"] == [change.kind for change in wire.changes]
    found = world.remote.content("note", "a")
    assert found is not None
    assert (1, None) == (found["stars"], found.get("text"))


def test_an_undone_edit_is_nothing(world: World, ctx: SyncContext, wire: Wire) -> None:
    """An edit that is taken back leaves the queue; the record keeps what the remote said."""
    pulled(world, ctx)
    before = ctx[NOTES].get("a")
    ctx[NOTES].update("a", text="x")
    ctx[NOTES].update("a", text="there")
    ctx[NOTES].delete("a")
    ctx[NOTES].insert({"id": "a", "text": "there"})
    assert ([], before) == (queued(ctx), ctx[NOTES].get("a"))
    ctx.push()
    assert 0 == len(wire.changes)


def test_refused_writes_leave_the_queue_alone(world: World, ctx: SyncContext) -> None:
    """Insert of what is here, update and delete of what is not: refused, pending or not. [D01] [D06] [D09] [D10]"""
    pulled(world, ctx, "deleted")
    pulled(world, ctx, "updated")
    ctx[NOTES].insert({"id": "inserted"})
    ctx[NOTES].update("updated", stars=1)
    ctx[NOTES].delete("deleted")
    before = ctx.operations()
    for id in ("inserted", "updated"):
        with pytest.raises(RecordExists, match=id):
            ctx[NOTES].insert({"id": id})
    for call in (lambda: ctx[NOTES].update("deleted", stars=1), lambda: ctx[NOTES].delete("deleted")):
        with pytest.raises(RecordNotFound, match="deleted"):
            call()
    assert before == ctx.operations()


def test_operations_of_different_records_stay_apart(ctx: SyncContext) -> None:
    """Collapse needs the same record: same id in another table, or another case, is not. [D18] [M14]"""
    ctx[NOTES].insert({"id": "a"})
    ctx[NOTES].insert({"id": "A"})
    ctx[TODOS].insert(Todo("a"))
    ctx[NOTES].delete("a")
    assert [("insert", "A"), ("insert", "a")] == queued(ctx)


def test_collapse_keeps_where_the_edits_began(world: World, ctx: SyncContext, wire: Wire) -> None:
    """However often a record is edited, the remote's version that it started from is expected. [D22]"""
    version = world.remote.write("note", "a", text="there")
    ctx[NOTES].pull()
    for index in range(3):
        ctx[NOTES].update("a", stars=index)
    ctx[NOTES].delete("a")
    ctx[NOTES].insert({"id": "a", "text": "new"})
    ctx.push()
    assert [(Version(version), 1)] == [(change.expected, change.attempts) for change in wire.changes]


def test_collapse_is_told(ctx: SyncContext) -> None:
    """Events tell what was queued by itself, and what was merged into what: None if nothing is left."""
    events: list[Event] = []
    ctx.subscribe(events.append)
    ctx[NOTES].insert({"id": "a"})
    ctx[NOTES].update("a", stars=1)
    ctx[NOTES].delete("a")
    assert [
        OperationQueued("note", "a", "insert"),
        OperationCollapsed("note", "a", "insert"),
        OperationCollapsed("note", "a", None),
    ] == [event for event in events if isinstance(event, OperationQueued | OperationCollapsed)]


# ---- on its way, in doubt, refused


def edited_while_sent(wire: Wire, edit: Callable[[], object]) -> None:
    """Do this while the first push is under way."""

    def now(changes: Sequence[Change]) -> None:
        wire.on_push = lambda changes: None
        edit()

    wire.on_push = now


@pytest.mark.parametrize("first", ["insert", "update"])
@pytest.mark.parametrize("second", ["update", "delete"])
def test_edits_queue_behind_what_is_on_its_way(
    world: World, ctx: SyncContext, wire: Wire, first: str, second: str
) -> None:
    """While an operation is being sent, an edit of its record is an operation behind it. [D12] [D13] [C25]"""
    if first == "update":
        pulled(world, ctx)
        ctx[NOTES].update("a", text="x")
    else:
        ctx[NOTES].insert({"id": "a", "text": "x"})
    seen: list[Any] = []

    def edit() -> None:
        if second == "update":
            ctx[NOTES].update("a", text="y")
        else:
            ctx[NOTES].delete("a")
        seen.extend((each.kind, each.state) for each in ctx.operations())

    edited_while_sent(wire, edit)
    ctx.push()
    assert [(first, "attempted"), (second, "pending")] == seen
    assert [(second, "a")] == queued(ctx)
    ctx.push()
    left = {"id": "a", "text": "y"} if second == "update" else None
    assert (left, 0) == (world.remote.content("note", "a"), ctx.pending_operations)


def test_refusals_hold_while_an_operation_is_on_its_way(ctx: SyncContext, wire: Wire, world: World) -> None:
    """Being sent makes no difference to what is refused. [D01] [D14]"""
    pulled(world, ctx, "gone")
    ctx[NOTES].insert({"id": "a"})
    ctx[NOTES].delete("gone")
    seen: list[type] = []

    def edit() -> None:
        calls: list[Callable[[], object]] = [
            lambda: ctx[NOTES].insert({"id": "a"}),
            lambda: ctx[NOTES].update("gone", stars=1),
            lambda: ctx[NOTES].delete("gone"),
        ]
        for call in calls:
            with pytest.raises((RecordExists, RecordNotFound)) as caught:
                call()
            seen.append(caught.type)

    edited_while_sent(wire, edit)
    ctx.push()
    assert [RecordExists, RecordNotFound, RecordNotFound] == seen
    assert 0 == ctx.pending_operations


def test_a_delete_after_a_doubtful_insert_waits_for_it(ctx: SyncContext, wire: Wire, world: World) -> None:
    """An insert that may have arrived is sent again, identical, and then the delete. [D04]"""
    ctx[NOTES].insert({"id": "a", "text": "x"})
    wire.say("a", wire.lose_reply, Unknown("lost"), Unknown("lost"))
    with pytest.raises(PushFailed):
        ctx.push()
    ctx[NOTES].delete("a")
    assert ["attempted", "pending"] == [each.state for each in ctx.operations()]
    assert None is ctx[NOTES].get("a")
    ctx.push()
    kinds = [(change.kind, change.id) for change in wire.changes]
    assert 4 == sum(kind == kinds[0] for kind in kinds[:4])
    assert (["delete"], [], 0) == (
        [kind for kind, _ in kinds[4:]], world.remote.ids("note"), ctx.pending_operations,
    )  # fmt: skip


def test_a_refused_operation_collapses_with_what_follows(ctx: SyncContext, wire: Wire, world: World) -> None:
    """A refused operation had no effect: a delete after a refused insert leaves nothing. [D20]"""
    ctx[NOTES].insert({"id": "a"})
    wire.say("a", Rejected("no", "not today"))
    with pytest.raises(PushFailed):
        ctx.push()
    ctx[NOTES].delete("a")
    assert ([], 0) == (queued(ctx), ctx.pending_operations)
    ctx.push()
    assert (1, []) == (len(wire.changes), world.remote.ids("note"))


# ---- order


@pytest.mark.parametrize("declared", [True, False])
def test_collapse_never_breaks_order(world: World, declared: bool) -> None:
    """Insert A, insert B, update A to point at B: a remote with foreign keys gets B first. [R-D24]"""
    from tidesync import table

    lists = table("list", {"name": str}, references={})
    todos = table("todo", {"list_id": str}, references={"list_id": lists} if declared else None)
    strict = [lists.schema, table("todo", {"list_id": str}, references={"list_id": lists}).schema]
    remote = Remote(Authority(MemoryStore(), strict, foreign_keys=True, identity="strict").open())
    wire = Wire(remote.authority)
    ctx = world.device("one", wire, tables=[lists, todos])
    ctx[todos].insert({"id": "a"})
    ctx[lists].insert({"id": "b"})
    ctx[todos].update("a", list_id="b")
    ctx.push()
    sent = [(change.kind, change.record_id) for change in wire.changes]
    assert sent.index(("insert", "b")) < max(index for index, (_, id) in enumerate(sent) if id == "a")
    assert {"id": "a", "list_id": "b"} == remote.content("todo", "a")


def test_children_wait_for_a_refused_parent(ctx: SyncContext, wire: Wire, world: World) -> None:
    """What names a refused insert is parked behind it; everything else goes."""
    ctx[LISTS].insert(TodoList("l", "too long"))
    ctx[TODOS].insert(Todo("child", list_id="l"))
    ctx[TODOS].insert(Todo("free"))
    wire.say("l", Rejected("too_long", "the name is too long"))
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    assert ["l"] == [error.record_id for error in caught.value.errors]
    assert (["free"], ["l", "child"]) == (
        world.remote.ids("todo"),
        [each.record_id for each in ctx.operations()],
    )
    ctx[LISTS].update("l", name="short")
    ctx.push()
    assert (["child", "free"], 0) == (world.remote.ids("todo"), ctx.pending_operations)


def test_an_edit_made_during_a_push_waits_for_the_next(ctx: SyncContext, wire: Wire) -> None:
    """The push sends what was queued when it began; what came later stays pending. [R-E35] [R-E36] [E12]"""
    ctx[NOTES].insert({"id": "a", "text": "x"})

    def edit() -> None:
        ctx[NOTES].update("a", text="y")
        ctx[NOTES].insert({"id": "later"})

    edited_while_sent(wire, edit)
    report = ctx.push()
    assert (["a"], 2) == ([each.record_id for each in report.pushed], report.pending)
    assert [("update", "a"), ("insert", "later")] == queued(ctx)
    assert "y" == (ctx[NOTES].get("a") or {})["text"]
    report = ctx.push()
    assert (0, True) == (report.pending, isinstance(wire.forward(wire.changes[-1]), Applied))
