"""What a pull accepts: names, queries, options and parameters, and what it refuses before any request."""

from typing import Any

import attrs
import pytest

from tests.api.support import LISTS, NOTES, TODOS, Todo, TodoList, Wire, World
from tidesync import PushFailed, SyncContext
from tidesync.contracts.transport import CursorGuarantee, NotSent, Rejected
from tidesync.errors import InvalidQuery, MassDeparture, QueryNameReused, Unsupported


def refused(ctx: SyncContext, wire: Wire, **options: Any) -> str:
    """Why the pull is refused; nothing was asked or changed, and the next call works."""
    before, asked = ctx[TODOS].all(), wire.requests
    query = options.pop("query", None)
    with pytest.raises(InvalidQuery) as caught:
        ctx.pull(TODOS, query, **options)
    assert (before, asked) == (ctx[TODOS].all(), wire.requests)
    ctx[TODOS].pull(name="works")
    return str(caught.value)


def test_a_selection_of_columns_is_refused(ctx: SyncContext, wire: Wire) -> None:
    """A pull brings whole records. [H01]"""
    narrowed = attrs.evolve(ctx[TODOS].where().query, fields=("text",))
    assert "whole records" in refused(ctx, wire, query=narrowed)


@pytest.mark.parametrize("shape", ["order", "skip", "take"])
def test_a_named_pull_has_its_own_order(ctx: SyncContext, wire: Wire, shape: str) -> None:
    """Order, skip and take are refused with a name, and go without. [H02] [H04]"""
    todos = ctx[TODOS]
    query = {
        "order": todos.order_by(TODOS.c.text),
        "skip": todos.where().skip(1),
        "take": todos.where().take(1),
    }
    assert "order of its own" in refused(ctx, wire, query=query[shape], name="n")
    ctx[TODOS].pull(query[shape])


def test_order_skip_and_take_go_without_a_name(ctx: SyncContext, world: World) -> None:
    """An unnamed pull takes the query as it is. [H04]"""
    for index in range(6):
        world.remote.write("todo", f"t{index}", text=str(9 - index), complete=False)
    ctx[TODOS].pull(ctx[TODOS].order_by(TODOS.c.text).skip(1).take(2))
    assert ["t3", "t4"] == ctx[TODOS].values("id")


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", "a\x00", "\ud800", 5, ["a"], b"a", True])
def test_a_name_must_be_printable_text(ctx: SyncContext, wire: Wire, name: Any) -> None:
    """A pull's name is kept beside its cursor: 1 to 255 printable characters. [H05] [I17] [K05]"""
    assert "name" in refused(ctx, wire, name=name)
    with pytest.raises(InvalidQuery, match="name"):
        ctx[TODOS].purge(name=name)


@pytest.mark.parametrize("name", ["a", "x" * 255, "ünïcode 😀", "a/b", "#departed", "todo/all", "%_'\""])
def test_any_printable_name_has_a_cursor_of_its_own(world: World, name: str) -> None:
    """Whatever printable text it is, the name finds its own cursor. [H05] [I16] [I17]"""
    ctx = world.device("one")
    world.remote.write("note", "a", text="x")
    assert 1 == ctx[NOTES].pull(name=name).records
    assert 0 == ctx[NOTES].pull(name=name).records
    assert 1 == ctx[NOTES].pull(name="other").records


@pytest.mark.parametrize(
    "key", ["$filter", "$orderby", "__includeDeleted", "__INCLUDEDELETED", "__systemProperties"]
)
def test_parameters_cannot_overrule_the_protocol(ctx: SyncContext, wire: Wire, key: str) -> None:
    """What belongs to the protocol is said with the query, whatever the case. [H06]"""
    assert key in refused(ctx, wire, parameters={key: "x"})
    with pytest.raises(InvalidQuery, match="belongs to the protocol"):
        ctx.remote(TODOS, {key: "x"})
    for wrong in ({"page": 5}, {5: "x"}, ["page"], "page"):
        assert "texts by name" in refused(ctx, wire, parameters=wrong)


def test_other_parameters_go_with_every_request(world: World) -> None:
    """Parameters of the application's own travel with each page. [N14]"""
    wire = world.wire()
    ctx = world.device("one", wire, page_size=2)
    for index in range(5):
        world.remote.write("note", f"n{index}")
    ctx[NOTES].pull(name="mine", parameters={"tenant": "blue"})
    assert [{"tenant": "blue"}] * 3 == [request.parameters for request in wire.pulls]


@pytest.mark.parametrize(
    "options",
    [
        {"departures": "drop", "name": "n"},
        {"departures": None, "name": "n"},
        {"departures": "remove"},
        {"push": "all"},
        {"push": None},
        {"push": True},
    ],
)
def test_options_must_be_among_the_choices(ctx: SyncContext, wire: Wire, options: dict[str, Any]) -> None:
    """An unknown option, or one without what it needs, is refused. [H09]"""
    refused(ctx, wire, **options)


def test_what_the_remote_does_not_offer_is_refused(world: World) -> None:
    """Departures that a remote cannot report are `Unsupported`, and the error says what to do instead. [H04]"""
    world.remote.write("note", "a", text="x")
    ctx = world.device("one", world.wire(departures=frozenset()))
    with pytest.raises(Unsupported, match="reconcile=True"):
        ctx[NOTES].pull(name="n", departures="remove")
    assert 0 == ctx[NOTES].count()
    ctx[NOTES].pull(name="n")
    assert 1 == ctx[NOTES].count()


def test_the_page_size_is_bounded_by_the_remote(world: World) -> None:
    """The context's page size is asked for, the remote's limit is kept, and there is a default. [H08] [I02]"""
    sizes: list[int] = []
    for size, limit in ((None, 1000), (7, 1000), (5000, 40), (1, 1)):
        wire = world.wire(page_limit=limit)
        options = {} if size is None else {"page_size": size}
        ctx = world.device(f"device {size}", wire, **options)
        ctx[NOTES].pull()
        sizes.append(wire.pulls[0].limit)
    assert [1000, 7, 40, 1] == sizes


def test_a_pull_sends_its_filter(ctx: SyncContext, wire: Wire, world: World) -> None:
    """The filter goes with every pull, with and without a name, before and after the first sync. [H12] [I13] [I21]"""
    world.remote.write("todo", "a", text="milk", complete=False)
    world.remote.write("todo", "b", text="bread", complete=False)
    milk = ctx[TODOS].where(TODOS.c.text.contains("milk"))
    ctx[TODOS].pull(milk)
    ctx[TODOS].pull(milk, name="milk")
    ctx[TODOS].pull(milk, name="milk")
    assert [milk.query.where] * 3 == [request.query.where for request in wire.pulls]
    assert [None, None, False] == [
        request.cursor if request.cursor is None else False for request in wire.pulls
    ]
    assert [True] * 3 == [request.deleted for request in wire.pulls]
    assert [False, True, True] == [request.incremental for request in wire.pulls]
    assert ["a"] == ctx[TODOS].values("id")


def test_a_name_belongs_to_one_query(ctx: SyncContext, wire: Wire, world: World) -> None:
    """The same name with another query is refused, until the name was forgotten. [I22]"""
    world.remote.write("todo", "a", text="milk", complete=False)
    todos = ctx[TODOS]
    todos.pull(todos.where(complete=False), name="open")
    asked = wire.requests
    with pytest.raises(QueryNameReused, match="'open' belongs to another query") as caught:
        todos.pull(todos.where(complete=True), name="open")
    assert ("todo", "open", asked) == (caught.value.table, caught.value.name, wire.requests)
    for same in (todos.where(complete=False), todos.where(TODOS.c.complete == False)):  # noqa: E712
        todos.pull(same, name="open")
    ctx[LISTS].pull(name="open")
    todos.purge(name="open")
    todos.pull(todos.where(complete=True), name="open")


# ---- push first


def queue_three(ctx: SyncContext) -> None:
    ctx[NOTES].insert({"id": "n"})
    ctx[LISTS].insert(TodoList("l"))
    ctx[TODOS].insert(Todo("t", list_id="l"))


@pytest.mark.parametrize(
    ("push", "sent"),
    [("context", ["n", "l", "t"]), ("table", ["l", "t"]), ("none", [])],
)
def test_what_a_pull_pushes_first(ctx: SyncContext, wire: Wire, push: Any, sent: list[str]) -> None:
    """All that is queued, what the table needs, or nothing. [J02] [J06]"""
    queue_three(ctx)
    report = ctx[TODOS].pull(push=push)
    assert sent == [change.record_id for change in wire.changes]
    assert (None if push == "none" else sent) == (
        None if report.push is None else [each.record_id for each in report.push.pushed]
    )
    assert 3 - len(sent) == ctx.pending_operations


def test_a_pull_without_operations_pushes_nothing(ctx: SyncContext, wire: Wire) -> None:
    """Nothing queued, nothing pushed; and with `push="table"` other tables do not matter. [J01] [J02]"""
    assert None is ctx[TODOS].pull().push
    ctx[NOTES].insert({"id": "n"})
    assert None is ctx[TODOS].pull(push="table").push
    assert ([], 1) == (wire.pushes, ctx.pending_operations)


def test_a_stopped_push_stops_the_pull(ctx: SyncContext, wire: Wire, world: World) -> None:
    """If the push is stopped, the pull raises its `PushFailed` and reads nothing. [J05]"""
    world.remote.write("note", "there")
    ctx[NOTES].insert({"id": "here"})
    wire.say("here", NotSent("no network"))
    with pytest.raises(PushFailed) as caught:
        ctx[NOTES].pull()
    assert ("network", [], ["here"]) == (caught.value.report.status, wire.pulls, ctx[NOTES].values("id"))


def test_refused_operations_do_not_stop_the_pull(ctx: SyncContext, wire: Wire, world: World) -> None:
    """A poison operation must not keep news from arriving; the report says what remained. [J05]"""
    world.remote.write("note", "there")
    ctx[NOTES].insert({"id": "here"})
    wire.say("here", Rejected("no", "not today"))
    report = ctx[NOTES].pull()
    assert report.push is not None
    assert (["here"], ["here", "there"]) == (
        [each.record_id for each in report.push.errors], ctx[NOTES].values("id"),
    )  # fmt: skip


# ---- what leaves


def test_departures(ctx: SyncContext, world: World) -> None:
    """What no longer matches stays, unless it is asked to go; pending edits and other names keep it. [J12]"""
    for id in ("leaves", "edited", "wanted", "stays"):
        world.remote.write("todo", id, text="x", complete=False)
    todos = ctx[TODOS]
    unfinished = todos.where(complete=False)
    todos.pull(unfinished, name="open", departures="remove")
    todos.pull(todos.where(text="wanted"), name="wanted")
    for id in ("leaves", "edited"):
        world.remote.write("todo", id, complete=True)
    world.remote.write("todo", "wanted", text="wanted", complete=True)
    todos.pull(todos.where(text="wanted"), name="wanted")
    todos.update("edited", text="mine")
    report = todos.pull(unfinished, name="open", departures="remove", push="none")
    assert (["edited", "stays", "wanted"], 1) == (todos.values("id"), report.departed)


def test_a_mass_departure_drops_nothing(ctx: SyncContext, world: World) -> None:
    """More than half of more than 100 records at once is taken for a mistake: nothing goes."""
    for index in range(120):
        world.remote.write("note", f"n{index}", stars=1)
    notes = ctx[NOTES]
    ones = notes.where(stars=1)
    notes.pull(ones, name="ones", departures="remove")
    for index in range(70):
        world.remote.write("note", f"n{index}", stars=2)
    for _ in range(2):
        with pytest.raises(MassDeparture, match="70 of 120") as caught:
            notes.pull(ones, name="ones", departures="remove")
    assert (70, 120, 120) == (caught.value.going, caught.value.held, notes.count())
    notes.purge(ones, name="ones")
    notes.pull(ones, name="ones", departures="remove")
    assert 50 == notes.count()


def test_reconcile_compares_all_ids(ctx: SyncContext, world: World, wire: Wire) -> None:
    """Deletions that were never told are found, what is missing here is fetched, edits are kept. [R-J21]"""
    for id in ("a", "b", "c", "edited"):
        world.remote.write("note", id, stars=1)
    ctx[NOTES].pull(name="all")
    ctx[NOTES].update("edited", stars=2)
    world.remote.delete("note", "b")
    wire.page = lambda page: attrs.evolve(page, tombstones={})
    ctx[NOTES].pull(name="all", push="none")
    assert ["a", "b", "c", "edited"] == ctx[NOTES].values("id")
    ctx[NOTES].purge(ctx[NOTES].where(id="a"))
    report = ctx[NOTES].pull(name="all", reconcile=True, push="none")
    assert (["a", "c", "edited"], 1) == (ctx[NOTES].values("id"), report.departed)


def test_resync_starts_from_nothing(ctx: SyncContext, world: World, wire: Wire) -> None:
    """`resync` forgets the cursor, reads everything, and drops what is gone. [I16] [I20]"""
    for id in ("a", "b"):
        world.remote.write("note", id, stars=1)
    ctx[NOTES].pull(name="all")
    world.remote.delete("note", "b")
    wire.page = lambda page: attrs.evolve(page, tombstones={})
    report = ctx[NOTES].pull(name="all", resync=True)
    assert (None, ["a"], 1) == (wire.pulls[1].cursor, ctx[NOTES].values("id"), report.records)
    assert 0 == ctx[NOTES].pull(name="all").records


def test_a_remote_without_cursors_is_read_whole(world: World) -> None:
    """Where a cursor promises nothing, a named pull reads everything, and the name still holds. [I08] [I20]"""
    wire = world.wire(cursor=CursorGuarantee.FULL_SCAN)
    ctx = world.device("one", wire)
    world.remote.write("note", "a", stars=1)
    ctx[NOTES].pull(name="all")
    world.remote.write("note", "b", stars=1)
    assert 2 == ctx[NOTES].pull(name="all").records
    assert [(False, None)] * 2 == [(request.incremental, request.cursor) for request in wire.pulls]
    with pytest.raises(QueryNameReused):
        ctx[NOTES].pull(ctx[NOTES].where(stars=1), name="all")
