"""The queue as users see it: what operations tell, in which order, and what survives closing."""

from typing import Any

import attrs
import pytest

from tests.api.support import LISTS, NOTES, TODOS, Todo, TodoList, Wire, World
from tidesync import Operation, PushFailed, Refusal, SyncContext
from tidesync.contracts.transport import Absent, Anything, Applied, Rejected, Unknown, Version
from tidesync.errors import InvalidId, StaleResolution
from tidesync.query import Query
from tidesync.rows import OPERATIONS


def reopened(world: World, ctx: SyncContext, **options: Any) -> SyncContext:
    ctx.close()
    return world.device("one", **options)


def test_every_part_of_an_operation_survives_reopening(world: World, ctx: SyncContext, wire: Wire) -> None:
    """What the queue said before closing it says after: all three kinds, states and errors. [A22] [C01] [C04] [F20]"""
    world.remote.write("note", "gone", text="x")
    ctx[NOTES].pull()
    ctx[NOTES].insert({"id": "refused", "text": "é\u0000😀", "tags": ["a"], "deep": {"n": [1.5, None]}})
    ctx[NOTES].delete("gone")
    ctx[NOTES].insert({"id": "doubt"})
    wire.say("refused", Rejected("too_long", "the text is too long"))
    wire.say("doubt", *[Unknown("lost")] * 3)
    with pytest.raises(PushFailed):
        ctx.push()
    ctx[NOTES].insert({"id": "new"})
    ctx[NOTES].update("doubt", stars=1)
    before = ctx.operations()
    assert [
        ("insert", "failed", 1, Refusal("too_long", "the text is too long")),
        ("insert", "attempted", 3, None),
        ("insert", "pending", 0, None),
        ("update", "pending", 0, None),
    ] == [(each.kind, each.state, each.attempts, each.error) for each in before]
    assert before == reopened(world, ctx).operations()


def test_places_only_grow_also_after_reopening(world: World, ctx: SyncContext) -> None:
    """A place in the queue is never given twice, not even when the queue was empty in between. [C08] [C20]"""
    ctx[TODOS].insert_many([Todo("a"), Todo("b")])
    first = [each.sequence for each in ctx.operations()]
    ctx.push()
    again = reopened(world, ctx)
    again[TODOS].update("a", text="x")
    again[TODOS].update("b", text="x")
    second = [each.sequence for each in again.operations()]
    assert sorted({*first, *second}) == first + second


def test_the_queue_is_listed_in_order_and_by_table(ctx: SyncContext) -> None:
    """Operations come in the order of their places, of all tables or of one. [C08] [C10] [C16] [B30]"""
    assert ([], [], 0) == (ctx.operations(), ctx.operations(TODOS), ctx.pending_operations)
    ctx[TODOS].insert(Todo("t1", "x"))
    ctx[LISTS].insert(TodoList("l1"))
    ctx[TODOS].insert(Todo("t2"))
    assert ["t1", "l1", "t2"] == [each.record_id for each in ctx.operations()]
    assert ["t1", "t2"] == [each.record_id for each in ctx.operations(TODOS)]
    assert ([], 3) == (ctx.operations(NOTES), ctx.pending_operations)
    assert "x" == (ctx.operations(TODOS)[0].content or {})["text"]


def test_the_count_follows_every_write_and_push(ctx: SyncContext) -> None:
    """The number of pending operations is right at every step. [B30] [C09]"""
    for index in range(3):
        ctx[TODOS].insert(Todo(f"t{index}"))
        assert index + 1 == ctx.pending_operations
    ctx[LISTS].insert(TodoList("l"))
    ctx.push([TODOS])
    assert 1 == ctx.pending_operations
    ctx.push()
    assert 0 == ctx.pending_operations


def test_what_a_change_expects_of_the_remote(world: World, ctx: SyncContext, wire: Wire) -> None:
    """An insert expects nothing, an edit or delete the stored version, whatever the object said. [C26] [C29] [C30]"""
    version = world.remote.write("note", "a", text="x")
    deleted = world.remote.write("note", "b", text="x")
    ctx[NOTES].pull()
    ctx[NOTES].insert({"id": "new", "version": "mine"})
    ctx[NOTES].upsert({**(ctx[NOTES].get("a") or {}), "text": "y"})
    ctx[NOTES].delete({"id": "b", "version": deleted})
    ctx.push()
    assert [Absent(), Version(version), Version(deleted)] == [change.expected for change in wire.changes]


def test_an_update_without_a_version_expects_the_stored_one(
    world: World, ctx: SyncContext, wire: Wire
) -> None:
    """An object need not carry a version to be checked at the remote. [C29]"""
    version = world.remote.write("todo", "a", text="x", complete=False)
    ctx[TODOS].pull()
    ctx[TODOS].update(Todo("a", "y"))
    ctx.push()
    assert [Version(version)] == [change.expected for change in wire.changes]


def test_unconditional_only_where_no_version_is_known(world: World) -> None:
    """A remote without versions gets unconditional changes, since there is nothing to expect. [E04]"""
    wire = world.wire()
    wire.page = lambda page: attrs.evolve(page, records=[{"id": "a", "text": "x"}, {"id": "b", "text": "x"}])
    ctx = world.device("one", wire)
    ctx[NOTES].pull()
    ctx[NOTES].delete("a")
    ctx[NOTES].update("b", text="y")
    wire.say("a", Applied(None, None))
    wire.say("b", Applied(None, None))
    ctx.push()
    assert [Anything(), Anything()] == [change.expected for change in wire.changes]


def test_content_travels_with_the_operation(ctx: SyncContext, wire: Wire, world: World) -> None:
    """Inserts and updates are sent from the queue, deletes without content: the table is not asked. [C22] [C24]"""
    ctx[NOTES].insert({"id": "a", "text": "x"})
    store = world.contexts[0].read(lambda transaction: transaction.get("note", ["a"]))
    assert [{"id": "a", "text": "x"}] == store
    ctx.write(lambda queue: queue.ledger.transaction.delete("note", ["a"]))
    assert None is ctx[NOTES].get("a")
    ctx.push()
    ctx[NOTES].delete("a")
    ctx.push()
    assert [{"id": "a", "text": "x"}, None] == [change.record for change in wire.changes]


def test_a_change_names_the_fields_that_changed(world: World, ctx: SyncContext, wire: Wire) -> None:
    """An insert names all fields, an update those that differ from the remote's copy, a delete none. [C21]"""
    world.remote.write("note", "a", text="x", stars=1)
    ctx[NOTES].pull()
    ctx[NOTES].insert({"id": "b", "text": "y", "stars": 2})
    ctx[NOTES].update("a", stars=5)
    ctx[NOTES].update("a", text="x", more=None)
    ctx.push()
    ctx[NOTES].delete("a")
    ctx.push()
    assert [("text", "stars"), ("stars", "more"), ()] == [change.fields for change in wire.changes]


def test_rows_without_optional_parts_can_be_read(world: World, ctx: SyncContext) -> None:
    """A queue whose rows lack what an operation may lack still works. [C02]"""
    ctx[NOTES].insert({"id": "a", "text": "x"})
    optional = {"error", "fields", "expected", "sent_kind", "blocker", "created", "generated"}

    def thin(transaction: Any) -> None:
        [row] = list(transaction.select(Query(OPERATIONS)))
        transaction.put(OPERATIONS, [{key: value for key, value in row.items() if key not in optional}])

    ctx.write(lambda queue: thin(queue.ledger.transaction))
    again = reopened(world, ctx)
    assert [("insert", "a", None)] == [(each.kind, each.record_id, each.error) for each in again.operations()]
    again.push()
    assert {"id": "a", "text": "x"} == world.remote.content("note", "a")


def test_a_kind_follows_from_content(world: World, ctx: SyncContext) -> None:
    """What the row says of its kind is for people: the kind follows from what is before and after. [C05]"""
    ctx[NOTES].insert({"id": "a", "text": "x"})

    def spoil(transaction: Any) -> None:
        [row] = list(transaction.select(Query(OPERATIONS)))
        transaction.put(OPERATIONS, [{**row, "kind": "explode"}])

    ctx.write(lambda queue: spoil(queue.ledger.transaction))
    again = reopened(world, ctx)
    assert ["insert"] == [each.kind for each in again.operations()]
    assert ["insert"] == [each.kind for each in again.push().pushed]


@pytest.mark.parametrize("id", ["", "x" * 256, "a\nb", "a\x00", "a\x7f", "\ud800", 5, None])
def test_no_operation_for_an_illegal_id(ctx: SyncContext, id: Any) -> None:
    """Ids are checked before anything is queued, and when something is looked for. [C06] [C32]"""
    calls: list[Any] = [
        lambda: ctx[TODOS].get(id),
        lambda: ctx[TODOS].delete({"id": id}),
        lambda: ctx[TODOS].update({"id": id, "text": "x"}),
    ]
    if id:
        calls += [lambda: ctx[TODOS].insert(Todo(id)), lambda: ctx[TODOS].upsert({"id": id})]
    for call in calls:
        with pytest.raises(InvalidId, match="todo"):
            call()
    assert (0, 0) == (ctx.pending_operations, ctx[TODOS].count())


def test_empty_text_is_not_null(ctx: SyncContext, world: World) -> None:
    """Empty text, null and absence stay what they are on the way out and back. [C32]"""
    ctx[NOTES].insert_many([{"id": "a", "text": ""}, {"id": "b", "text": None}, {"id": "c"}])
    ctx.push()
    assert [{"id": "a", "text": ""}, {"id": "b", "text": None}, {"id": "c"}] == [
        world.remote.content("note", id) for id in "abc"
    ]


def test_user_queries_never_reach_the_engines_tables(ctx: SyncContext) -> None:
    """A purge by any query of a user's table leaves the queue of other records alone. [C13] [C14] [K12]"""
    ctx[TODOS].insert_many([Todo("a", "x"), Todo("b", "y")])
    ctx[LISTS].insert(TodoList("l"))
    report = ctx[TODOS].purge(ctx[TODOS].where(text="x"), force=True)
    assert ["a"] == [each.record_id for each in report.operations]
    assert (["b", "l"], 2) == ([each.record_id for each in ctx.operations()], ctx.pending_operations)
    ctx[TODOS].purge(force=True)
    assert (["l"], 1) == ([each.record_id for each in ctx.operations()], ctx.pending_operations)
    ctx[NOTES].purge(force=True)
    assert 1 == ctx.pending_operations


def failed_one(ctx: SyncContext, wire: Wire) -> Operation:
    ctx[NOTES].insert({"id": "a", "text": "x"})
    wire.say("a", Rejected("no", "not today"))
    with pytest.raises(PushFailed):
        ctx.push()
    return ctx.operations()[0]


def test_retry_sends_a_refused_operation_again(ctx: SyncContext, wire: Wire, world: World) -> None:
    """`retry` makes a failed operation pending again, as a new one to the remote. [D20]"""
    failed = failed_one(ctx, wire)
    ctx.push()
    assert 1 == len(wire.changes)
    ctx.retry(failed)
    [pending] = ctx.operations()
    assert ("pending", None, 0) == (pending.state, pending.error, pending.attempts)
    assert failed.id != pending.id
    ctx.push()
    assert {"id": "a", "text": "x"} == world.remote.content("note", "a")
    with pytest.raises(StaleResolution, match="note/a"):
        ctx.retry(failed)


def test_push_may_retry_all_that_failed(ctx: SyncContext, wire: Wire, world: World) -> None:
    """`push(retry_failed=True)` sends again what was refused, in the tables that are pushed."""
    failed_one(ctx, wire)
    ctx.push([TODOS], retry_failed=True)
    assert (1, "failed") == (len(wire.changes), ctx.operations()[0].state)
    ctx.push(retry_failed=True)
    assert (["a"], 0) == (world.remote.ids("note"), ctx.pending_operations)


def test_an_edit_of_a_refused_operation_is_sent(ctx: SyncContext, wire: Wire, world: World) -> None:
    """A local edit mends a refused operation: pending, without error, under a new id. [D20]"""
    failed = failed_one(ctx, wire)
    ctx[NOTES].update("a", text="better")
    [mended] = ctx.operations()
    assert ("insert", "pending", None) == (mended.kind, mended.state, mended.error)
    assert failed.id != mended.id
    ctx.push()
    assert {"id": "a", "text": "better"} == world.remote.content("note", "a")


def test_a_dropped_operation_is_never_sent(ctx: SyncContext, wire: Wire, world: World) -> None:
    """What was discarded leaves the queue for good. [C17] [C18]"""
    ctx[NOTES].insert({"id": "a"})
    wire.say("a", Rejected("no", "not today"))
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    caught.value.errors[0].cancel_and_discard()
    ctx.push()
    assert (1, [], None, 0) == (
        len(wire.changes), world.remote.ids("note"), ctx[NOTES].get("a"), ctx.pending_operations,
    )  # fmt: skip


def test_operations_of_an_undeclared_table_wait(world: World, ctx: SyncContext, wire: Wire) -> None:
    """A table that is no longer declared keeps its operations: listed and counted, and not sent. [E30]"""
    ctx[NOTES].insert({"id": "n"})
    ctx[TODOS].insert(Todo("t"))
    later = world.wire()
    again = reopened(world, ctx, wire=later, tables=[LISTS, TODOS])
    assert ["n", "t"] == [each.record_id for each in again.operations()]
    report = again.push()
    assert (["t"], 1) == ([each.record_id for each in report.pushed], report.pending)
    assert [("note", "pending")] == [(each.table, each.state) for each in again.operations()]
    last = reopened(world, again)
    last.push()
    assert (["n"], 0) == (world.remote.ids("note"), last.pending_operations)
