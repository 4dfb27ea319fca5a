"""Local writes: what they do to the record and the queue, and what they refuse."""

import dataclasses
import uuid
from datetime import datetime
from typing import Any

import attrs
import pytest

from tests.api.support import NOTES, SOME_DAY, TODOS, Todo, TodoList, World, plain
from tidesync import SyncContext, new_id, table
from tidesync.errors import (
    InvalidId,
    InvalidRecord,
    RecordExists,
    RecordNotFound,
    StaleRecord,
    UnknownColumn,
)

# ---- inserts


@pytest.mark.parametrize("missing", ["", None])
def test_a_missing_id_is_generated(ctx: SyncContext, missing: Any) -> None:
    """An empty or missing id is generated, returned, stored and queued. [B01] [B02] [B05]"""
    stored = ctx[TODOS].insert(Todo(missing, "x"))
    [operation] = ctx.operations()
    assert "7" == str(uuid.UUID(stored.id))[14]
    assert (stored, stored.id, "insert") == (ctx[TODOS].get(stored.id), operation.record_id, operation.kind)
    unnamed = ctx[NOTES].insert({"text": "y"})
    assert {"text": "y", "id": unnamed["id"]} == ctx[NOTES].get(unnamed["id"])


def test_generated_ids_differ_and_follow_time() -> None:
    """Ids that `new_id` makes are all different. [B05]"""
    ids = [new_id() for _ in range(1000)]
    assert 1000 == len(set(ids))


def test_own_ids_are_kept_and_taken_ones_refused(ctx: SyncContext) -> None:
    """An application may make its ids by itself; one that is taken is refused. [B04]"""
    make = iter(["todo-1", "todo-2", "todo-1"])
    first, second = ctx[TODOS].insert_many([Todo(next(make)), Todo(next(make))])
    assert ("todo-1", "todo-2") == (first.id, second.id)
    with pytest.raises(RecordExists):
        ctx[TODOS].insert(Todo(next(make)))


def test_inserting_an_existing_id_is_refused(ctx: SyncContext) -> None:
    """Insert of an id that is here raises, names it, and leaves record and queue alone. [B09] [B10] [D21]"""
    ctx[TODOS].insert(Todo("a", "first"))
    before = ctx.operations()
    with pytest.raises(RecordExists, match=r"todo/a exists already: use update\(\) or upsert\(\)") as caught:
        ctx[TODOS].insert(Todo("a", "second"))
    assert ("todo", "a") == (caught.value.table, caught.value.id)
    assert before == ctx.operations()
    assert Todo("a", "first") == ctx[TODOS].get("a")


def test_inserting_what_was_pulled_is_refused(world: World, ctx: SyncContext) -> None:
    """It does not matter where the record came from. [B09]"""
    world.remote.write("todo", "a", text="theirs")
    ctx[TODOS].pull()
    with pytest.raises(RecordExists):
        ctx[TODOS].insert(Todo("a"))
    assert 0 == ctx.pending_operations


def test_insert_many_is_all_or_nothing(ctx: SyncContext) -> None:
    """Many inserts are one transaction: a refused one takes the others with it. [B21] [M13]"""
    bad: list[Any] = [Todo("a"), Todo("x" * 256), Todo("\n"), None]
    for wrong in bad:
        with pytest.raises((RecordExists, InvalidId, InvalidRecord)):
            ctx[TODOS].insert_many([Todo("a"), Todo("b"), wrong])
    assert (0, 0) == (ctx[TODOS].count(), ctx.pending_operations)
    assert [] == ctx[TODOS].insert_many([])
    assert ["a", "b"] == [each.id for each in ctx[TODOS].insert_many([Todo("a"), Todo("b")])]
    assert 2 == ctx.pending_operations


def test_each_write_queues_one_operation(ctx: SyncContext, world: World) -> None:
    """One write, one operation: with kind, whole content and a place of its own. [B20] [C21]"""
    for id in ("u", "d"):
        world.remote.write("note", id, text="there")
    ctx[NOTES].pull()
    ctx[NOTES].insert({"id": "i", "text": "new"})
    ctx[NOTES].update("u", stars=5)
    ctx[NOTES].delete("d")
    operations = ctx.operations()
    assert [
        ("insert", "i", {"id": "i", "text": "new"}),
        ("update", "u", {"id": "u", "text": "there", "stars": 5}),
        ("delete", "d", None),
    ] == [(each.kind, each.record_id, each.content) for each in operations]
    places = [each.sequence for each in operations]
    assert sorted(set(places)) == places


# ---- updates


def test_updating_or_deleting_what_is_not_here_is_refused(ctx: SyncContext) -> None:
    """Update and delete of an unknown record raise and queue nothing; upsert inserts it. [B12] [B13] [B14]"""
    for call in (
        lambda: ctx[TODOS].update(Todo("a")),
        lambda: ctx[TODOS].update("a", text="x"),
        lambda: ctx[TODOS].delete("a"),
        lambda: ctx[TODOS].delete(Todo("a")),
    ):
        with pytest.raises(RecordNotFound, match="todo/a is not in the local store"):
            call()
    assert (0, None) == (ctx.pending_operations, ctx[TODOS].get("a"))
    assert Todo("a", "x") == ctx[TODOS].upsert(Todo("a", "x"))
    assert Todo("a", "y") == ctx[TODOS].upsert(Todo("a", "y"))
    assert ["insert"] == [each.kind for each in ctx.operations()]


@pytest.mark.parametrize("missing", ["", None])
def test_updating_or_deleting_without_an_id_is_refused(ctx: SyncContext, missing: Any) -> None:
    """Only an insert may lack an id. [B06]"""
    for call in (
        lambda: ctx[TODOS].update(Todo(missing)),
        lambda: ctx[TODOS].delete(Todo(missing)),
        lambda: ctx[NOTES].update({"text": "x"}),
        lambda: ctx[NOTES].delete({"text": "x"}),
    ):
        with pytest.raises(InvalidId):
            call()
    assert 0 == ctx.pending_operations


@pytest.mark.parametrize(
    ("nothing", "kind"), [(None, "null"), (5, "int"), (TodoList("a"), "TodoList"), (["a"], "list")]
)
def test_writing_what_is_no_object_of_the_table_is_refused(ctx: SyncContext, nothing: Any, kind: str) -> None:
    """What is neither an object of the table nor a dict is refused, by its type. [B08]"""
    for call in (ctx[TODOS].insert, ctx[TODOS].update, ctx[TODOS].upsert, ctx[TODOS].delete):
        with pytest.raises(InvalidRecord, match=kind):
            call(nothing)
    assert (0, 0) == (ctx[TODOS].count(), ctx.pending_operations)


def test_an_update_by_id_changes_only_what_is_named(ctx: SyncContext) -> None:
    """`update(id, **changes)` leaves other fields, and returns the object as it is stored."""
    ctx[TODOS].insert(Todo("a", "x", due=SOME_DAY))
    assert Todo("a", "x", True, due=SOME_DAY) == ctx[TODOS].update("a", complete=True)
    assert Todo("a", "x", True) == ctx[TODOS].update("a", due=None)
    for wrong in ({"id": "b"}, {"version": "1"}, {"complete": "yes"}, {"due": datetime(2024, 1, 1)}):  # noqa: DTZ001
        with pytest.raises(InvalidRecord):
            ctx[TODOS].update("a", **wrong)
    with pytest.raises(UnknownColumn, match="did you mean 'text'"):
        ctx[TODOS].update("a", txt="y")
    with pytest.raises(TypeError):
        ctx[TODOS].update(Todo("a"), text="y")  # type: ignore[call-overload]
    assert Todo("a", "x", True) == ctx[TODOS].get("a")


def test_an_update_that_changes_nothing_queues_nothing(world: World, ctx: SyncContext) -> None:
    """Writing what is there already is no edit; a value of another type is one (true is not 1)."""
    world.remote.write("note", "a", text="x", stars=1, odd=1)
    ctx[NOTES].pull()
    ctx[NOTES].update("a", text="x")
    ctx[NOTES].update({"id": "a", "stars": 1})
    assert 0 == ctx.pending_operations
    ctx[NOTES].update("a", odd=True)
    assert 1 == ctx.pending_operations


def test_a_dict_updates_the_fields_that_it_has(ctx: SyncContext) -> None:
    """A dict is a partial update, for typed tables too; an object is a whole one."""
    ctx[TODOS].insert(Todo("a", "x", True))
    assert Todo("a", "y", True) == ctx[TODOS].update({"id": "a", "text": "y"})
    assert Todo("a", "z") == ctx[TODOS].update(Todo("a", "z"))


def test_undeclared_fields_of_untyped_tables_are_kept(ctx: SyncContext, world: World) -> None:
    """A table of dicts takes any JSON field beside its columns, and sends it."""
    extra = {"id": "a", "text": "x", "colour": {"red": [1, 2.5, None, True]}, "": ""}
    assert extra == ctx[NOTES].insert(extra)
    ctx[NOTES].update("a", stars=3)
    ctx.push()
    assert {**extra, "stars": 3} == world.remote.content("note", "a")


def test_unknown_fields_survive_pull_edit_and_push(ctx: SyncContext, world: World) -> None:
    """What the server sends and the class does not name comes back unchanged."""
    world.remote.write("todo", "a", text="x", complete=False, colour="blue", deep={"n": [1, None]})
    ctx[TODOS].pull()
    item = ctx[TODOS].get("a")
    assert item is not None
    ctx[TODOS].update(attrs.evolve(item, text="y"))
    ctx[TODOS].update("a", complete=True)
    ctx.push()
    assert {
        "id": "a", "text": "y", "complete": True, "colour": "blue", "deep": {"n": [1, None]},
    } == world.remote.content("todo", "a")  # fmt: skip


# ---- system fields and stale objects


def test_system_fields_of_the_user_are_ignored(ctx: SyncContext, world: World) -> None:
    """What a user puts into system fields is not stored; the remote's stay through edits. [B18] [J18]"""
    inserted = ctx[NOTES].insert({"id": "a", "text": "x", "version": "mine", "updated_at": SOME_DAY})
    assert {"id": "a", "text": "x"} == inserted
    ctx.push()
    pushed = ctx[NOTES].get("a")
    assert pushed is not None
    assert pushed["version"] != "mine"
    edited = ctx[NOTES].update({**pushed, "text": "y", "created_at": SOME_DAY})
    assert {**pushed, "text": "y"} == edited
    assert plain(world.remote.get("note", "a")) == {"id": "a", "text": "x"}


def test_an_object_from_an_older_copy_is_stale(ctx: SyncContext, world: World) -> None:
    """Foreign news since the object was read makes its update `StaleRecord`, with both copies."""
    world.remote.write("note", "a", text="x")
    ctx[NOTES].pull()
    old = ctx[NOTES].get("a")
    assert old is not None
    world.remote.write("note", "a", text="theirs")
    ctx[NOTES].pull()
    new = ctx[NOTES].get("a")
    for call in (ctx[NOTES].update, ctx[NOTES].delete, ctx[NOTES].upsert):
        with pytest.raises(StaleRecord, match="changed at the remote") as caught:
            call({**old, "text": "mine"})
        assert ("x", "theirs") == (old["text"], caught.value.current["text"])
        assert old["version"] == caught.value.given["version"]
    assert (0, new) == (ctx.pending_operations, ctx[NOTES].get("a"))
    ctx[NOTES].update("a", text="by id")
    assert 1 == ctx.pending_operations


def test_own_pushes_do_not_make_an_object_stale(ctx: SyncContext) -> None:
    """A version that only our own pushes have moved on from is not stale, however many they were."""
    ctx[NOTES].insert({"id": "a", "text": "0"})
    ctx.push()
    held = ctx[NOTES].get("a")
    assert held is not None
    for index in range(4):
        ctx[NOTES].update("a", text=str(index + 1))
        ctx.push()
    assert "mine" == ctx[NOTES].update({**held, "text": "mine"})["text"]


def test_an_object_with_a_null_version_is_not_checked(ctx: SyncContext, world: World) -> None:
    """A null version says nothing about where the object came from, and is written. [C28]"""

    @attrs.define
    class Versioned:
        id: str
        text: str = ""
        version: str | None = None

    versioned = table(Versioned, name="note")
    device = world.device("versioned", tables=[versioned])
    world.remote.write("note", "a", text="x")
    device[versioned].pull()
    old = device[versioned].get("a")
    assert old is not None
    assert old.version is not None
    world.remote.write("note", "a", text="theirs")
    device[versioned].pull()
    with pytest.raises(StaleRecord):
        device[versioned].update(attrs.evolve(old, text="mine"))
    assert "mine" == device[versioned].update(attrs.evolve(old, text="mine", version=None)).text


# ---- classes


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    id: str
    day: datetime
    tags: list[str] = dataclasses.field(default_factory=list)


def test_dataclasses_frozen_and_slotted_work(world: World) -> None:
    """A class need not be mutable, nor hold attributes of its own. [B22]"""
    events = table(Frozen, name="note")
    ctx = world.device("frozen", tables=[events])
    stored = ctx[events].insert(Frozen("a", SOME_DAY, ["x"]))
    assert Frozen("a", SOME_DAY, ["x"]) == stored
    ctx.close()
    again = world.device("frozen", tables=[events])
    again[events].update(dataclasses.replace(stored, tags=["x", "y"]))
    assert [("insert", ["x", "y"])] == [
        (each.kind, (each.content or {})["tags"]) for each in again.operations()
    ]


def test_objects_are_not_shared_with_the_store(ctx: SyncContext) -> None:
    """Changing an object after it was written, or read, changes nothing stored."""
    given: dict[str, Any] = {"id": "a", "text": "x", "tags": ["one"], "odd": {"n": 1}}
    stored = ctx[NOTES].insert(given)
    given["tags"].append("two")
    given["odd"]["n"] = 2
    stored["odd"]["n"] = 3
    assert (["one"], {"n": 1}) == (ctx[NOTES].values("tags")[0], (ctx[NOTES].get("a") or {})["odd"])
    assert {"n": 1} == (ctx.operations()[0].content or {})["odd"]


@attrs.define
class Strict:
    id: str
    stars: int = attrs.field(default=1, validator=attrs.validators.in_(range(1, 6)))


def test_what_the_class_refuses_is_not_written(world: World) -> None:
    """If the class will not take what an update would make, nothing has changed."""
    strict = table(Strict, name="note")
    ctx = world.device("strict", tables=[strict])
    ctx[strict].insert(Strict("a", 3))
    for call in (
        lambda: ctx[strict].update("a", stars=9),
        lambda: ctx[strict].update({"id": "a", "stars": 9}),
        lambda: ctx[strict].insert({"id": "b", "stars": 9}),
        lambda: ctx[strict].insert_many([{"id": "b"}, {"id": "c", "stars": 9}]),
    ):
        with pytest.raises(InvalidRecord, match="the class refuses"):
            call()
    assert ([Strict("a", 3)], 1) == (ctx[strict].all(), ctx.pending_operations)


# ---- reading


def test_get_and_refresh(ctx: SyncContext) -> None:
    """Get answers the record or None; refresh wants it to be there. [B25] [B26]"""
    assert None is ctx[TODOS].get("a")
    item = ctx[TODOS].insert(Todo("a", "x"))
    ctx[TODOS].update("a", text="y")
    assert Todo("a", "y") == ctx[TODOS].get("a") == ctx[TODOS].refresh(item)
    ctx[TODOS].delete("a")
    for gone in (item, Todo("never")):
        with pytest.raises(RecordNotFound):
            ctx[TODOS].refresh(gone)
    with pytest.raises(InvalidId):
        ctx[TODOS].refresh(Todo(""))


def test_counting(ctx: SyncContext) -> None:
    """Counts take the condition and neither skip nor take; a total is there only if asked for. [B28] [B29]"""
    ctx[TODOS].insert_many(Todo(f"t{index}", complete=index % 2 == 0) for index in range(9))
    done = ctx[TODOS].where(TODOS.c.complete)
    assert (9, 5, 5) == (ctx[TODOS].count(), done.count(), done.skip(1).take(2).count())
    page = done.skip(1).take(2).include_total_count().all()
    assert (["t2", "t4"], 5) == ([each.id for each in page], page.total_count)
    assert None is done.all().total_count


def test_a_dict_for_a_class_names_only_its_columns(ctx: SyncContext) -> None:
    """A misspelt field of a dict is refused with what was probably meant, not stored beside the columns."""
    with pytest.raises(UnknownColumn, match="did you mean 'text'"):
        ctx[TODOS].insert({"id": "a", "txet": "two"})
    ctx[TODOS].insert({"id": "a", "text": "one"})
    with pytest.raises(UnknownColumn, match="did you mean 'text'"):
        ctx[TODOS].update({"id": "a", "txet": "two"})
    assert ["one"] == ctx[TODOS].values("text")
    assert "a" in ctx[TODOS]
    assert "b" not in ctx[TODOS]
