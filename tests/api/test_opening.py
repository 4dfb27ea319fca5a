"""Opening and closing a context, and what it refuses before that."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.api.support import LISTS, NOTES, TABLES, TODOS, Remote, Todo, TodoList, Wire, World
from tidesync import DefaultHandler, SyncContext, keep_local, table
from tidesync.errors import (
    ConfigurationError,
    ContextClosed,
    InvalidQuery,
    RemoteChanged,
    StoreUnavailable,
    UnknownTable,
)
from tidesync.query import Query
from tidesync.rows import META, SYSTEM_TABLES
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.http import HttpTransport


@pytest.mark.parametrize("nothing", [None, "todo.db", object()])
def test_a_context_needs_a_store(nothing: Any) -> None:
    """Without a store there is nothing to work on: refused at construction, naming what was given. [A01]"""
    with pytest.raises(ConfigurationError, match="a store is needed"):
        _ = SyncContext(nothing, None, TABLES)


def test_a_handler_is_optional(world: World) -> None:
    """Without a handler operations are sent as they are; the default handler does the same. [A02]"""
    without = world.device("without")
    with_default = world.device("with", handler=DefaultHandler())
    without[TODOS].insert(Todo("a"))
    with_default[TODOS].insert(Todo("b"))
    assert ["insert"] == [each.kind for each in without.push().pushed]
    assert ["insert"] == [each.kind for each in with_default.push().pushed]
    assert ["a", "b"] == world.remote.ids("todo")


def test_opening_finds_what_was_left(world: World, wire: Wire) -> None:
    """Tables are created at the first opening; queue and cursors are found at the next. [A04]"""
    world.remote.write("todo", "there", text="x")
    first = world.device("one")
    first[TODOS].pull(name="all")
    first[TODOS].insert(Todo("here"))
    first.close()
    second = world.device("one", wire)
    assert 1 == second.pending_operations
    assert ["here", "there"] == second[TODOS].values("id")
    report = second[TODOS].pull(name="all", push="none")
    assert (0, True) == (report.records, wire.pulls[0].cursor is not None)


def test_opening_twice_changes_nothing(world: World) -> None:
    """A second open is a no-op, and close may be repeated too. [A05]"""
    ctx = world.device()
    ctx[TODOS].insert(Todo("a"))
    assert ctx is ctx.open()
    assert 1 == ctx[TODOS].count()
    ctx.close()
    ctx.close()
    with ctx:
        assert 1 == ctx.pending_operations


def test_construction_does_no_io(tmp_path: Path, remote: Remote) -> None:
    """Making a context creates no file and asks nobody; push is the first to touch the network."""
    wire = Wire(remote.authority)
    ctx = SyncContext(SQLiteStore(tmp_path / "one.db"), wire, TABLES)
    assert [] == list(tmp_path.iterdir())
    with ctx:
        ctx[TODOS].insert(Todo("a"))
        assert (0, 0) == (wire.opened, wire.requests)
        ctx.push()
        assert (1, 1) == (wire.opened, wire.requests)
    assert 1 == wire.closed


def test_the_store_that_was_given_keeps_the_cursors(world: World) -> None:
    """Whichever store a context has keeps its cursors, beside everything else. [A06] [I18]"""
    store = world.make_store("one")
    ctx = SyncContext(store, world.wire(), TABLES).open()
    world.contexts.append(ctx)
    ctx[TODOS].pull(name="all")
    with store.transaction(write=False) as transaction:
        assert ["todo/all"] == [row["id"] for row in transaction.select(Query("__cursors"))]


def test_use_before_open_and_after_close_is_refused(world: World) -> None:
    """Every call of a context that is not open raises `ContextClosed`, and works once it is. [A08] [A09] [C09]"""
    ctx = SyncContext(world.make_store("one"), world.wire(), TABLES)
    calls: list[Any] = [
        lambda: ctx[TODOS].insert(Todo("a")),
        lambda: ctx[TODOS].get("a"),
        ctx[TODOS].all,
        lambda: ctx.pending_operations,
        ctx.operations,
        ctx.conflicts,
        ctx.push,
        lambda: ctx.pull(TODOS),
        lambda: ctx.purge(TODOS),
        ctx.stop,
        lambda: ctx.remote(TODOS).get("a"),
        lambda: ctx.batch().__enter__(),
    ]
    for call in calls:
        with pytest.raises(ContextClosed, match="open"):
            call()
    with ctx:
        ctx[TODOS].insert(Todo("a"))
    for call in calls:
        with pytest.raises(ContextClosed, match="open"):
            call()
    assert 1 == ctx.open().pending_operations
    ctx.close()


def test_the_engines_own_tables_are_there(world: World) -> None:
    """The engine's tables are opened once with the user's, and their names cannot be taken. [A10] [A20]"""
    store = world.make_store("one")
    ctx = SyncContext(store, None, TABLES).open()
    world.contexts.append(ctx)
    with store.transaction(write=False) as transaction:
        kept = {each.name: transaction.count(Query(each.name)) for each in SYSTEM_TABLES}
    # The meta table notes how the tables are declared.
    assert {**dict.fromkeys(kept, 0), META: kept[META]} == kept
    names = [each.name for each in SYSTEM_TABLES]
    assert len(names) == len(set(names))
    [queue] = [each for each in SYSTEM_TABLES if each.name == "__operations"]
    columns = {column.name for column in queue.columns}
    assert (
        set() == {"sequence", "table", "record_id", "kind", "content", "state", "attempts", "error"} - columns
    )
    with pytest.raises(ConfigurationError, match="belong to tidesync"):
        _ = table("__operations", {"text": str})


def test_a_context_without_a_transport_works_locally(world: World) -> None:
    """Local work needs no remote; sync without one is a typed error that changes nothing. [A12] [A16]"""
    ctx = SyncContext(world.make_store("one"), None, TABLES).open()
    world.contexts.append(ctx)
    ctx[TODOS].insert(Todo("a"))
    for call in (ctx.push, ctx[TODOS].pull, ctx[TODOS].purge, lambda: ctx.remote(TODOS).get("a")):
        with pytest.raises(ConfigurationError, match="no transport"):
            _ = call()
    assert (1, 1) == (ctx[TODOS].count(), ctx.pending_operations)


@pytest.mark.parametrize(
    "url", ["", "not a url", "ftp://example.org", "http://example.org", "https://", "example.org"]
)
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    """An address must be https, or http on this machine: everything else is refused at once. [A16]"""
    with pytest.raises(ConfigurationError):
        _ = HttpTransport(url)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "1st", "__own", "a" * 200, "a\nb", None])
def test_a_table_name_that_cannot_work_is_refused(name: Any) -> None:
    """A table's name must be one that every store and remote can carry. [A13]"""
    with pytest.raises(ConfigurationError):
        _ = table(name, {"text": str})


def test_a_table_new_to_the_store_is_empty_and_can_be_pulled(world: World) -> None:
    """A table declared later counts nothing at first, and a pull stores all of its rows. [A14]"""
    for index in range(5):
        world.remote.write("note", f"n{index}", text=str(index))
    world.device("one", tables=[LISTS]).close()
    ctx = world.device("one", tables=[LISTS, NOTES])
    assert 0 == ctx[NOTES].count()
    ctx[NOTES].pull()
    assert 5 == ctx[NOTES].count()


def test_unknown_tables_are_refused_by_name(ctx: SyncContext) -> None:
    """A table that the context was not given is named in the error, wherever it is used. [A17] [H10] [K10]"""
    stranger = table("stranger", {"text": str})
    twin = table(Todo, name="todo")
    calls: list[Any] = [
        lambda other: ctx[other],
        lambda other: ctx.table("stranger"),
        ctx.remote,
        lambda other: ctx.push([other]),
        ctx.pull,
        ctx.purge,
        ctx.operations,
    ]
    for call in calls:
        with pytest.raises(UnknownTable, match="stranger"):
            call(stranger)
    with pytest.raises(UnknownTable, match="todo"):
        _ = ctx[twin]
    for nothing in (None, "todo", 5):
        for call in (ctx.pull, ctx.purge):
            with pytest.raises(UnknownTable):
                call(nothing)  # type: ignore[arg-type]
    with pytest.raises(UnknownTable, match="stranger"):
        _ = SyncContext(MemoryStore(), None, TABLES, policies={stranger: keep_local})
    assert (0, 0) == (ctx.pending_operations, ctx[TODOS].count())


def test_only_the_tables_given_are_synced(world: World) -> None:
    """A context syncs the tables it was given, and a push can be narrowed to some of them. [A18]"""
    ctx = world.device("one", tables=[LISTS, TODOS])
    ctx[LISTS].insert(TodoList("l"))
    ctx[TODOS].insert(Todo("t"))
    assert ["list"] == [each.table for each in ctx.push([LISTS]).pushed]
    assert ([], ["l"]) == (world.remote.ids("todo"), world.remote.ids("list"))
    with pytest.raises(UnknownTable, match="note"):
        _ = ctx[NOTES]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tables": [TODOS, TODOS]}, "two tables"),
        ({"tables": [Todo]}, "table\\(\\) returns"),
        ({"policy": "client-wins"}, "policy"),
        ({"policies": {TODOS: "client-wins"}}, "policy"),
        ({"page_size": 0}, "page_size"),
        ({"page_size": 1.5}, "page_size"),
        ({"page_size": True}, "page_size"),
        ({"patience": -1}, "patience"),
        ({"patience": "long"}, "patience"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], reason: str) -> None:
    """A context checks its options when it is made, and says which is wrong. [H08]"""
    given: dict[str, Any] = {"tables": TABLES, **options}
    with pytest.raises(ConfigurationError, match=reason):
        _ = SyncContext(MemoryStore(), None, **given)


def test_stores_open_and_close_repeatedly(world: World, tmp_path: Path) -> None:
    """Opening and closing may be repeated; a path that cannot work is a typed error. [A21] [L01]"""
    for _ in range(3):
        ctx = world.device()
        ctx[TODOS].upsert(Todo("a", "x"))
        ctx.close()
        ctx.close()
    assert 1 == world.device()[TODOS].count()
    with pytest.raises(StoreUnavailable):
        SyncContext(SQLiteStore(tmp_path), None, TABLES).open()
    with pytest.raises(ConfigurationError):
        _ = SQLiteStore("")


def test_a_store_belongs_to_one_remote(world: World, remote: Remote) -> None:
    """Another remote under the same address is `RemoteChanged`, and nothing is sent or stored."""
    ctx = world.device()
    ctx[TODOS].insert(Todo("a"))
    ctx.push()
    ctx.close()
    other = Remote(Authority(MemoryStore(), [each.schema for each in TABLES], identity="other").open())
    other.write("todo", "foreign", text="x")
    strange = world.device("one", Wire(other.authority))
    strange[TODOS].insert(Todo("b"))
    for call in (strange.push, strange[TODOS].pull):
        with pytest.raises(RemoteChanged, match="other"):
            _ = call()
    assert (["a", "b"], ["foreign"], 1) == (
        strange[TODOS].values("id"), other.ids("todo"), strange.pending_operations,
    )  # fmt: skip


def test_the_file_is_free_after_close(tmp_path: Path, remote: Remote) -> None:
    """Closing releases the file: another program can take it, and it can be deleted. [L08]"""
    path = tmp_path / "one.db"
    with SyncContext(SQLiteStore(path), Wire(remote.authority), TABLES) as ctx:
        ctx[TODOS].insert(Todo("a"))
    with sqlite3.connect(path) as raw:
        _ = raw.execute("BEGIN EXCLUSIVE")
    raw.close()
    path.unlink()
    assert not path.exists()


def test_a_query_of_another_table_is_refused(ctx: SyncContext) -> None:
    """Pull and purge take a query of their own table, and nothing else. [H10] [K10] [K13]"""
    ctx[TODOS].insert(Todo("a"))
    for wrong in (ctx[LISTS].where(), "text eq 'x'", 5, TODOS.c.complete):
        for call in (ctx.pull, ctx.purge):
            with pytest.raises(InvalidQuery, match=r"todo"):
                call(TODOS, wrong)
    with pytest.raises(InvalidQuery, match=r"ctx\[todo\]\.where\(…\), not Expression"):
        ctx.pull(TODOS, TODOS.c.complete)
    assert (1, 1) == (ctx[TODOS].count(), ctx.pending_operations)
