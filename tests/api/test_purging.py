"""Purge: what leaves the local store, and what must not."""

import pytest

from tests.api.support import LISTS, NOTES, TODOS, Todo, TodoList, Wire, World
from tidesync import PushFailed, SyncContext
from tidesync.contracts.transport import NotSent, Rejected
from tidesync.errors import InvalidQuery, PurgeBlocked
from tidesync.events import Event, Purged, RecordsChanged


def fill(world: World, ctx: SyncContext, name: str | None = "all") -> None:
    for index in range(6):
        world.remote.write("note", f"n{index}", stars=index)
    ctx[NOTES].pull(name=name)


def test_a_purge_without_operations_sends_nothing(ctx: SyncContext, world: World, wire: Wire) -> None:
    """Records go from this store only; the remote is not asked, and keeps its own. [K01] [K06]"""
    fill(world, ctx)
    ctx[TODOS].insert(Todo("other"))
    asked = wire.requests
    report = ctx[NOTES].purge()
    assert (6, (), ()) == (report.records, tuple(report.operations), tuple(report.orphans))
    assert (0, asked, 6, 1) == (
        ctx[NOTES].count(), wire.requests, len(world.remote.ids("note")), ctx.pending_operations,
    )  # fmt: skip


def test_a_purge_of_a_query_takes_what_matches(ctx: SyncContext, world: World) -> None:
    """Only matching records go; order, skip and take of the query count too. [K09]"""
    fill(world, ctx)
    notes = ctx[NOTES]
    assert 2 == notes.purge(notes.where(NOTES.c.stars < 2)).records
    assert ["n2", "n3", "n4", "n5"] == notes.values("id")
    assert 1 == notes.purge(notes.order_by(NOTES.c.stars, descending=True).skip(1).take(1)).records
    assert ["n2", "n3", "n5"] == notes.values("id")
    assert 0 == notes.purge(notes.where(stars=99)).records


def test_a_purge_pushes_first(ctx: SyncContext, world: World, wire: Wire) -> None:
    """What is queued in the table is sent before the records go. [K01]"""
    fill(world, ctx)
    ctx[NOTES].insert({"id": "new", "stars": 9})
    ctx[NOTES].delete("n0")
    ctx[TODOS].insert(Todo("other"))
    ctx[NOTES].purge()
    assert ["new", "n0"] == [change.record_id for change in wire.changes]
    assert (["n1", "n2", "n3", "n4", "n5", "new"], 1) == (world.remote.ids("note"), ctx.pending_operations)


@pytest.mark.parametrize("edit", ["insert", "update", "delete"])
def test_operations_that_remain_block_a_purge(ctx: SyncContext, world: World, wire: Wire, edit: str) -> None:
    """If an operation on what should go cannot be pushed, nothing changes, the cursor included. [K02] [K12]"""
    fill(world, ctx)
    match edit:
        case "insert":
            ctx[NOTES].insert({"id": "n9", "stars": 1})
        case "update":
            ctx[NOTES].update("n1", stars=50)
        case _:
            ctx[NOTES].delete("n1")
    id = ctx.operations()[0].record_id
    wire.say(id, *[Rejected("no", "not today")] * 2)
    before = (ctx[NOTES].all(), ctx.pending_operations)
    for query in (None, ctx[NOTES].where(stars=1)):
        with pytest.raises(PurgeBlocked, match=r"1 operation\(s\)") as caught:
            ctx[NOTES].purge(query, name="all")
        assert ("note", 1) == (caught.value.table, caught.value.pending)
    assert before == (ctx[NOTES].all(), ctx.pending_operations)
    assert 0 == ctx[NOTES].pull(name="all", push="none").records


def test_a_purge_offline_changes_nothing(ctx: SyncContext, world: World, wire: Wire) -> None:
    """If the push before it is stopped, records and operations are as before. [K02]"""
    fill(world, ctx)
    ctx[NOTES].update("n0", stars=7)
    wire.say("n0", NotSent("no network"))
    with pytest.raises((PurgeBlocked, PushFailed)):
        ctx[NOTES].purge()
    assert (6, 1) == (ctx[NOTES].count(), ctx.pending_operations)
    ctx[NOTES].purge()
    assert (0, 0) == (ctx[NOTES].count(), ctx.pending_operations)


def test_operations_outside_the_query_do_not_matter(ctx: SyncContext, world: World, wire: Wire) -> None:
    """An edit of another record blocks nothing, and is not even pushed. [K09]"""
    fill(world, ctx)
    ctx[NOTES].update("n5", text="mine")
    ctx[NOTES].purge(ctx[NOTES].where(NOTES.c.stars < 3))
    assert (["n3", "n4", "n5"], 1, 0) == (ctx[NOTES].values("id"), ctx.pending_operations, len(wire.changes))


def test_force_drops_operations_with_their_records(ctx: SyncContext, world: World, wire: Wire) -> None:
    """Forced, nothing is pushed: operations and records go, and the report tells which. [K12] [K04]"""
    fill(world, ctx)
    ctx[NOTES].insert({"id": "new", "stars": 0})
    ctx[NOTES].update("n0", stars=10)
    ctx[NOTES].delete("n1")
    ctx[NOTES].update("n5", text="mine")
    report = ctx[NOTES].purge(ctx[NOTES].where(NOTES.c.stars < 2), force=True)
    assert [("insert", "new"), ("update", "n0"), ("delete", "n1")] == [
        (each.kind, each.record_id) for each in report.operations
    ]
    assert (["n2", "n3", "n4", "n5"], 1, []) == (
        ctx[NOTES].values("id"),
        ctx.pending_operations,
        wire.changes,
    )
    ctx[NOTES].purge(force=True)
    assert (0, 0) == (ctx[NOTES].count(), ctx.pending_operations)
    ctx[NOTES].pull(name="all")
    assert [0, 1, 2, 3, 4, 5] == ctx[NOTES].values("stars")


def test_force_reports_orphans(ctx: SyncContext) -> None:
    """Operations that waited for a dropped one stay queued, and are named. [K12]"""
    ctx[LISTS].insert(TodoList("l"))
    ctx[TODOS].insert_many([Todo("child", list_id="l"), Todo("free")])
    report = ctx[LISTS].purge(force=True)
    assert ["child"] == [each.record_id for each in report.orphans]
    assert ["child", "free"] == [each.record_id for each in ctx.operations()]
    assert 2 == len(ctx.push().pushed)


def test_a_purge_of_the_table_forgets_every_cursor(ctx: SyncContext, world: World) -> None:
    """After the whole table went, the next pull of any name brings everything back. [K06] [R-K14] [J13]"""
    fill(world, ctx)
    ctx[NOTES].pull(ctx[NOTES].where(stars=1), name="one")
    ctx[NOTES].purge()
    assert 1 == ctx[NOTES].pull(ctx[NOTES].where(stars=1), name="one").records
    assert (6, 6) == (ctx[NOTES].pull(name="all").records, ctx[NOTES].count())


def test_a_purge_may_forget_one_cursor(ctx: SyncContext, world: World) -> None:
    """Named, a purge forgets that cursor and no other; without a name a query keeps them all. [K05] [K08] [I16]"""
    fill(world, ctx)
    ctx[NOTES].pull(name="second")
    some = ctx[NOTES].where(NOTES.c.stars < 2)
    ctx[NOTES].purge(some)
    assert [0, 0] == [ctx[NOTES].pull(name=name).records for name in ("all", "second")]
    ctx[NOTES].purge(some, name="all")
    assert [6, 0] == [ctx[NOTES].pull(name=name).records for name in ("all", "second")]
    assert 6 == ctx[NOTES].count()


def test_wrong_arguments_of_a_purge_change_nothing(ctx: SyncContext, world: World) -> None:
    """An illegal name or query is refused before anything goes. [K05] [K13]"""
    fill(world, ctx)
    for name in ("", "\n", "x" * 256):
        with pytest.raises(InvalidQuery):
            ctx[NOTES].purge(name=name)
    with pytest.raises(InvalidQuery):
        ctx[NOTES].purge(ctx[TODOS].where())
    with pytest.raises(InvalidQuery):
        ctx[NOTES].purge("stars lt 2")
    assert 6 == ctx[NOTES].count()


def test_a_purge_tells_what_went(ctx: SyncContext, world: World) -> None:
    """One event counts the records; whoever shows them can see that some are gone."""
    fill(world, ctx)
    ctx[NOTES].update("n0", text="mine")
    events: list[Event] = []
    ctx.subscribe(events.append)
    ctx[NOTES].purge(ctx[NOTES].where(NOTES.c.stars < 2), force=True)
    assert Purged("note", 2) == events[-1]
    told = [each for each in events if isinstance(each, RecordsChanged)]
    assert {"purge"} == {each.source for each in told}


def test_pulled_again_after_a_purge(ctx: SyncContext, world: World, wire: Wire) -> None:
    """What a window of an overlapping pull remembers does not hide what was purged. [R-K14] [R-I36]"""
    from tidesync.contracts.transport import CursorGuarantee

    wire.limits = {"cursor": CursorGuarantee.KEYSET, "overlap": 60.0}
    fill(world, ctx)
    ctx[NOTES].purge(name="all")
    assert 6 == ctx[NOTES].pull(name="all").records
    ctx[NOTES].purge()
    assert (6, 6) == (ctx[NOTES].pull(name="all").records, ctx[NOTES].count())
