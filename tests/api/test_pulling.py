"""Pull: pages, cursors, and what becomes of the records here."""

from typing import Any

import attrs
import pytest

from tests.api.support import NOTES, TODOS, Todo, Wire, World, plain
from tidesync import PullReport, PushFailed, SyncContext, keep_remote, table
from tidesync.contracts.transport import Junk, Page, PullRequest, Unknown
from tidesync.errors import (
    NotReachable,
    ProtocolError,
    RemoteUnavailable,
    ResyncRequired,
    Unauthorized,
)
from tidesync.events import Event, PageStored, Progress, PullFinished, PullStarted, RecordsChanged
from tidesync.query import Query
from tidesync.rows import QUARANTINE


def fill(world: World, count: int) -> None:
    for index in range(count):
        world.remote.write("note", f"n{index:03}", stars=index)


# ---- pages and cursors


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (9, 1), (10, 1), (11, 2), (20, 2), (35, 4)])
def test_pages_of_every_fill(world: World, count: int, pages: int) -> None:
    """None, one, exactly full and many pages: all records arrive, and the pull ends. [I01] [I26] [I29]"""
    fill(world, count)
    ctx = world.device("one", page_size=10)
    report = ctx[NOTES].pull(name="all")
    assert (count, count) == (report.records, ctx[NOTES].count())
    assert pages <= report.pages <= pages + 1
    again = ctx[NOTES].pull(name="all")
    assert (0, 0) == (again.records, again.deleted)


def test_a_pull_of_nothing_succeeds(ctx: SyncContext) -> None:
    """An empty table is an empty report. [I25] [I32]"""
    assert PullReport(table="note", name="all", pages=1, total=0) == ctx[NOTES].pull(name="all")
    assert PullReport(table="note", name="all", pages=1, total=0) == ctx[NOTES].pull(name="all")


def test_a_second_pull_brings_what_changed(ctx: SyncContext, world: World) -> None:
    """Inserts, updates and deletes since the last pull of that name, and nothing else. [I28] [I21] [J13]"""
    fill(world, 5)
    ctx[NOTES].pull(name="all")
    world.remote.write("note", "n001", stars=100)
    world.remote.write("note", "new", stars=1)
    world.remote.delete("note", "n002")
    report = ctx[NOTES].pull(name="all")
    assert (2, 1) == (report.records, report.deleted)
    assert ["n000", "n001", "n003", "n004", "new"] == ctx[NOTES].values("id")
    assert 100 == (ctx[NOTES].get("n001") or {})["stars"]


def test_without_a_name_everything_comes(ctx: SyncContext, world: World) -> None:
    """An unnamed pull reads all that matches each time, and keeps no cursor. [I12] [I20]"""
    fill(world, 3)
    assert [3, 3] == [ctx[NOTES].pull().records, ctx[NOTES].pull().records]
    assert 3 == ctx[NOTES].pull(name="all").records


def test_each_name_has_its_own_cursor(ctx: SyncContext, world: World) -> None:
    """Names do not disturb each other, nor do the same names of other tables. [I18] [I22] [R-I36]"""
    fill(world, 4)
    notes = ctx[NOTES]
    few = notes.where(NOTES.c.stars < 2)
    assert 2 == notes.pull(few, name="few").records
    assert 4 == notes.pull(name="all").records
    ctx[TODOS].pull(name="all")
    notes.purge(few, name="few")
    assert ["n002", "n003"] == notes.values("id")
    assert (0, 2) == (notes.pull(name="all").records, notes.pull(few, name="few").records)
    assert 4 == notes.count()


@pytest.mark.parametrize(
    "error", [RemoteUnavailable("500"), NotReachable("gone"), ProtocolError("junk"), Unauthorized("401")]
)
def test_an_interrupted_pull_resumes(world: World, error: Exception) -> None:
    """What was stored before a failing page stays, and the next pull goes on from there. [I10] [I24]"""
    fill(world, 30)
    wire = world.wire()
    ctx = world.device("one", wire, page_size=10)

    def fail(request: PullRequest) -> None:
        if len(wire.pulls) == 3:
            raise error

    wire.on_pull = fail
    with pytest.raises(type(error)):
        ctx[NOTES].pull(name="all")
    assert 20 == ctx[NOTES].count()
    ctx.close()
    again = world.device("one", wire, page_size=10)
    report = again[NOTES].pull(name="all")
    assert (10, 30) == (report.records, again[NOTES].count())


def test_stop_ends_a_pull_after_its_page(world: World) -> None:
    """`stop()` ends the pull after the page under way; the next one goes on. [I10]"""
    fill(world, 30)
    wire = world.wire()
    ctx = world.device("one", wire, page_size=10)
    wire.on_pull = lambda request: ctx.stop() if len(wire.pulls) == 1 else None
    assert 10 == ctx[NOTES].pull(name="all").records
    assert 20 == ctx[NOTES].pull(name="all").records


def test_a_remote_that_does_not_move_ends_the_pull(world: World) -> None:
    """More is announced, nothing comes and the cursor stays: a typed error instead of a loop. [I09] [R-I34]"""
    fill(world, 3)
    wire = world.wire()
    ctx = world.device("one", wire)
    wire.page = lambda page: Page(cursor=None, more=True)
    with pytest.raises(ProtocolError, match="does not move"):
        ctx[NOTES].pull(name="all")
    wire.page = lambda page: page
    assert 3 == ctx[NOTES].pull(name="all").records


def test_the_same_page_twice_changes_nothing(world: World, ctx: SyncContext, wire: Wire) -> None:
    """A page that is delivered again, edits queued or not, is no news. [I14]"""
    world.remote.write("note", "a", stars=1)
    world.remote.write("note", "b", stars=1)
    ctx[NOTES].pull()
    ctx[NOTES].update("a", stars=2)
    before = (ctx[NOTES].all(), ctx.operations())
    ctx[NOTES].pull(push="none")
    assert (before, []) == ((ctx[NOTES].all(), ctx.operations()), ctx.conflicts())


def test_records_without_times_do_not_loop(world: World, ctx: SyncContext, wire: Wire) -> None:
    """A remote that gives no time of change is pulled like any other. [I12] [R-I34] [I14]"""
    fill(world, 5)
    wire.page = lambda page: attrs.evolve(
        page,
        records=[
            {key: value for key, value in record.items() if key != "updated_at"} for record in page.records
        ],
    )
    assert [5, 0] == [ctx[NOTES].pull(name="all").records for _ in range(2)]


def test_a_cursor_that_is_not_honoured(ctx: SyncContext, world: World, wire: Wire) -> None:
    """`ResyncRequired` reaches the caller with nothing changed; `resync=True` starts again. [I16]"""
    fill(world, 3)
    ctx[NOTES].pull(name="all")

    def expired(request: PullRequest) -> None:
        if request.cursor is not None and request.incremental:
            raise ResyncRequired("the cursor is too old")

    wire.on_pull = expired
    with pytest.raises(ResyncRequired):
        ctx[NOTES].pull(name="all")
    assert 3 == ctx[NOTES].count()
    world.remote.delete("note", "n000")
    wire.on_pull = lambda request: None
    ctx[NOTES].pull(name="all", resync=True)
    assert ["n001", "n002"] == ctx[NOTES].values("id")


# ---- applying


def test_pulled_records_replace_and_deleted_ones_go(ctx: SyncContext, world: World) -> None:
    """Counts tell stored and deleted; the deletion of what is not here counts nothing. [J13] [J14]"""
    fill(world, 2)
    world.remote.write("note", "unknown")
    world.remote.delete("note", "unknown")
    report = ctx[NOTES].pull()
    assert (2, 0) == (report.records, report.deleted)
    world.remote.write("note", "n000", stars=50)
    world.remote.delete("note", "n001")
    report = ctx[NOTES].pull()
    assert (1, 1, [{"id": "n000", "stars": 50}]) == (
        report.records, report.deleted, [plain(record) for record in ctx[NOTES].all()],
    )  # fmt: skip


def test_what_the_server_lacks_stays(ctx: SyncContext, world: World, wire: Wire) -> None:
    """Records that do not come with a pull remain. [J12]"""
    fill(world, 3)
    ctx[NOTES].pull()
    wire.page = lambda page: attrs.evolve(page, records=page.records[:1])
    ctx[NOTES].pull()
    assert 3 == ctx[NOTES].count()


def test_news_for_an_edited_record_is_kept_for_the_conflict(ctx: SyncContext, world: World) -> None:
    """Pending edits are not overwritten: the news waits, and the record is in conflict. [J08] [J09]"""
    world.remote.write("note", "a", text="x")
    ctx[NOTES].pull()
    ctx[NOTES].update("a", text="mine")
    world.remote.write("note", "a", text="theirs")
    report = ctx[NOTES].pull(push="none")
    assert 0 == report.records
    [conflict] = ctx.conflicts()
    assert ("mine", "theirs") == ((ctx[NOTES].get("a") or {})["text"], (plain(conflict.remote) or {})["text"])
    assert ["a"] == [each.record_id for each in ctx.push().remaining]


def test_news_of_a_record_in_doubt_waits_for_the_resend(ctx: SyncContext, world: World, wire: Wire) -> None:
    """While an operation may be at the remote, pulled news is only kept; the resend decides. [J08] [J09]"""
    ctx[NOTES].insert({"id": "a", "text": "mine"})
    wire.say("a", wire.lose_reply, Unknown("x"), Unknown("x"))
    with pytest.raises(PushFailed):
        ctx.push()
    world.remote.write("note", "a", stars=5)
    ctx[NOTES].pull(push="none")
    assert ([], "mine") == (ctx.conflicts(), (ctx[NOTES].get("a") or {})["text"])
    ctx.push()
    ctx[NOTES].pull()
    assert ({"id": "a", "text": "mine", "stars": 5}, 0) == (
        plain(ctx[NOTES].get("a")),
        ctx.pending_operations,
    )


def test_own_fields_survive_pulls_and_pushes(world: World) -> None:
    """A field that only this device writes, and sends, stays when others change theirs. [J16]"""
    ctx = world.device("one", policy=keep_remote)
    world.remote.write("note", "a", text="x")
    ctx[NOTES].pull(name="all")
    ctx[NOTES].update("a", private={"seen": True})
    ctx.push()
    world.remote.write("note", "a", text="y")
    ctx[NOTES].pull(name="all")
    assert {"id": "a", "text": "y", "private": {"seen": True}} == plain(ctx[NOTES].get("a"))


def test_system_fields_are_shown_where_declared(world: World, ctx: SyncContext) -> None:
    """The remote's version and times are in dicts, and in objects whose class declares them. [J18]"""
    from datetime import datetime

    @attrs.define
    class Tracked:
        id: str
        text: str = ""
        version: str | None = None
        updated_at: datetime | None = None

    tracked = table(Tracked, name="note")
    device = world.device("tracked", tables=[tracked])
    version = world.remote.write("note", "a", text="x")
    device[tracked].pull()
    ctx[NOTES].pull()
    record, item = ctx[NOTES].get("a"), device[tracked].get("a")
    assert record is not None
    assert item is not None
    assert (version, version, record["updated_at"]) == (record["version"], item.version, item.updated_at)
    assert item.updated_at is not None
    assert item.updated_at.tzinfo is not None


# ---- what cannot be stored


def quarantined(ctx: SyncContext) -> list[tuple[Any, Any]]:
    rows = ctx.read(lambda transaction: list(transaction.select(Query(QUARANTINE))))
    return [(row["record_id"], row["reason"]) for row in rows]


def test_what_cannot_be_stored_is_put_aside(world: World, ctx: SyncContext, wire: Wire) -> None:
    """A record without a usable id, or of a wrong type, is named in the report; the rest is stored. [J10] [R-J22]"""
    fill(world, 2)
    bad: list[Any] = [{"text": "no id"}, {"id": "", "text": "x"}, {"id": "wrong", "text": 5}, {"id": 7}]
    wire.page = lambda page: attrs.evolve(
        page, records=[*page.records, *bad], junk=[Junk("[1, 2]", "this is no object")]
    )
    report = ctx[NOTES].pull(name="all")
    assert (2, 2) == (report.records, ctx[NOTES].count())
    assert 5 == len(report.quarantined)
    assert "note.text: a value of type int does not fit" in report.quarantined["wrong"]
    assert sorted(report.quarantined.items()) == sorted(quarantined(ctx))
    wire.page = lambda page: page
    assert 0 == ctx[NOTES].pull(name="all").records


def test_a_mended_record_leaves_quarantine(world: World, ctx: SyncContext, wire: Wire) -> None:
    """When the record comes again and fits, it is stored, and nothing of it stays aside."""
    world.remote.write("note", "a", text="fine")
    wire.page = lambda page: attrs.evolve(page, records=[{**record, "text": 5} for record in page.records])
    assert ["a"] == list(ctx[NOTES].pull(name="all").quarantined)
    wire.page = lambda page: page
    world.remote.write("note", "a", text="better")
    report = ctx[NOTES].pull(name="all")
    assert ({}, [], "better") == (
        dict(report.quarantined),
        quarantined(ctx),
        (ctx[NOTES].get("a") or {})["text"],
    )


# ---- events


def test_a_pull_tells_its_progress(world: World) -> None:
    """Start, each page with done of total, the end; after each page its records. [J17]"""
    fill(world, 25)
    ctx = world.device("one", page_size=10)
    events: list[Event] = []
    ctx.subscribe(events.append)
    ctx[NOTES].pull(name="all")
    told = [event for event in events if not isinstance(event, RecordsChanged)]
    assert PullStarted("note", "all") == told[0]
    assert [(10, 25), (20, 25), (25, 25)] == [(e.done, e.total) for e in told if isinstance(e, Progress)]
    assert [10, 10, 5] == [each.records for each in told if isinstance(each, PageStored)]
    assert PullFinished("note", "all", 25, 0) == told[-1]
    changed = [event for event in events if isinstance(event, RecordsChanged)]
    assert [("pull", 10), ("pull", 10), ("pull", 5)] == [(each.source, len(each.ids)) for each in changed]


def test_an_unknown_total_is_none(world: World) -> None:
    """A remote that does not count leaves the total unknown. [J17]"""
    fill(world, 3)
    ctx = world.device("one", world.wire(total=False))
    events: list[Event] = []
    ctx.subscribe(events.append)
    assert None is ctx[NOTES].pull().total
    assert [(3, None)] == [(each.done, each.total) for each in events if isinstance(each, Progress)]


def test_news_that_is_no_news_tells_nothing(world: World, ctx: SyncContext) -> None:
    """A pull that finds nothing changed, or only what was pushed from here, changes no record. [P02]"""
    world.remote.write("note", "gone")
    world.remote.delete("note", "gone")
    ctx[NOTES].insert({"id": "a"})
    ctx.push()
    events: list[Event] = []
    ctx.subscribe(events.append)
    for _ in range(2):
        assert 1 == ctx[NOTES].pull().records
    assert [] == [event for event in events if isinstance(event, RecordsChanged)]
    world.remote.write("note", "a", text="x")
    ctx[NOTES].pull()
    assert [RecordsChanged("note", ("a",), "pull")] == [e for e in events if isinstance(e, RecordsChanged)]


def test_errors_of_a_pull_leave_the_lease_free(ctx: SyncContext, wire: Wire) -> None:
    """Whatever a pull ends with, the next call can begin. [P10]"""

    def fail(request: PullRequest) -> None:
        raise NotReachable("gone")

    wire.on_pull = fail
    for _ in range(2):
        with pytest.raises(NotReachable):
            ctx[NOTES].pull()
    wire.on_pull = lambda request: None
    assert 0 == ctx[NOTES].pull().records


def test_a_typed_pull_gives_objects(ctx: SyncContext, world: World) -> None:
    """Records that the class can hold come out as its objects, missing fields as their defaults."""
    world.remote.write("todo", "a", text="x", complete=True)
    world.remote.write("todo", "b", text=None)
    ctx[TODOS].pull()
    assert [Todo("a", "x", True), Todo("b")] == ctx[TODOS].all()
