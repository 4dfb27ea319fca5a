"""Remote tables: the records at the remote, read and written directly."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.api.support import NOTES, TODOS, Todo, Wire, World, plain
from tidesync import SyncContext, table
from tidesync.contracts.transport import Applied, Denied, NotSent, Outcome, Rejected, Unknown
from tidesync.errors import (
    InvalidId,
    InvalidRecord,
    NotReachable,
    RemoteConflict,
    RemoteUnavailable,
    RequestRefused,
    TidesyncError,
    Unauthorized,
)
from tidesync.records import Tombstone, version_of


@attrs.define
class Note:
    id: str
    text: str = ""
    stars: int = 0
    version: str | None = None


VERSIONED = table(Note, name="note")


def test_writing_and_reading(ctx: SyncContext, world: World) -> None:
    """Insert, update, get and delete act at the remote, and leave the local store and queue alone."""
    there = ctx.remote(TODOS)
    item = there.insert(Todo("", "x"))
    assert item == there.get(item.id) == TODOS.from_record(world.remote.authority.records("todo")[0])
    assert Todo(item.id, "y", True) == there.update(Todo(item.id, "y", True))
    there.delete(item.id)
    assert None is there.get(item.id)
    assert isinstance(world.remote.get("todo", item.id), Tombstone)
    assert (0, 0) == (ctx[TODOS].count(), ctx.pending_operations)


def test_versions_are_checked(world: World) -> None:
    """An object that carries a version is written only over that version; without one it is unconditional."""
    ctx = world.device("one", tables=[VERSIONED])
    there = ctx.remote(VERSIONED)
    old = there.insert(Note("a", "x"))
    new = there.update(attrs.evolve(old, text="y"))
    for call in (lambda: there.update(attrs.evolve(old, text="z")), lambda: there.delete(old)):
        with pytest.raises(RemoteConflict, match="note/a") as caught:
            call()
        assert new.version == version_of(caught.value.copy)
    assert "free" == there.update(Note("a", "free")).text
    there.delete("a")


def test_an_insert_of_a_taken_id_conflicts(ctx: SyncContext, world: World) -> None:
    """The error holds what the remote has; a deleted id can be revived, as it was."""
    there = ctx.remote(NOTES)
    there.insert({"id": "a", "text": "x"})
    with pytest.raises(RemoteConflict) as caught:
        there.insert({"id": "a", "text": "y"})
    assert {"id": "a", "text": "x"} == plain(caught.value.copy)
    there.delete("a")
    with pytest.raises(RemoteConflict):
        there.update({"id": "a", "text": "z", "version": "1"})
    assert {"id": "a", "text": "x"} == plain(there.undelete("a"))
    assert ["a"] == world.remote.ids("note")


def test_reading_with_conditions(ctx: SyncContext, world: World, wire: Wire) -> None:
    """Conditions, order, skip, take, totals, counts and values are answered by the remote. [N14]"""
    for index in range(10):
        world.remote.write("note", f"n{index}", stars=index % 3, text=f"t{index}")
    there = ctx.remote(NOTES, {"tenant": "blue"})
    twos = there.where(stars=2).order_by(NOTES.c.text, descending=True)
    assert ["n8", "n5", "n2"] == [each["id"] for each in twos]
    page = twos.skip(1).take(1).include_total_count().all()
    assert (["n5"], 3) == ([each["id"] for each in page], page.total_count)
    assert (3, ["t8", "t5", "t2"]) == (twos.count(), twos.values("text"))
    assert None is there.where(stars=9).first()
    assert {"blue"} == {request.parameters["tenant"] for request in wire.pulls}
    assert 0 == ctx[NOTES].count()


def test_many_pages_are_one_answer(world: World) -> None:
    """The pages of a listing are put together, in order; a count is of all of them."""
    for index in range(30):
        world.remote.write("note", f"n{index:02}", stars=-index)
    wire = world.wire()
    inner = wire.inner.pull
    wire.inner.pull = lambda request: inner(attrs.evolve(request, limit=7))  # type: ignore[method-assign]
    ctx = world.device("one", wire)
    there = ctx.remote(NOTES).where().order_by(NOTES.c.stars)
    assert [f"n{index:02}" for index in reversed(range(30))] == [each["id"] for each in there]
    assert 5 == len(wire.pulls)
    assert 30 == there.count()


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Rejected("too_long", "the text is too long"), RequestRefused),
        (Unknown("504"), RemoteUnavailable),
        (NotSent("no route", 5.0), NotReachable),
        (Denied("the token has expired"), Unauthorized),
    ],
)
def test_failures_are_typed(
    ctx: SyncContext, wire: Wire, outcome: Outcome, error: type[TidesyncError]
) -> None:
    """Each way to fail has its own error, naming the record; the next call works."""
    there = ctx.remote(NOTES)
    calls: list[Callable[[], Any]] = [
        lambda: there.insert({"id": "a"}), lambda: there.update({"id": "a"}), lambda: there.delete("a"),
    ]  # fmt: skip
    for call in calls:
        wire.say("a", outcome)
        with pytest.raises(error, match="note/a"):
            call()
    assert "a" == there.insert({"id": "a"})["id"]


def test_reading_without_a_network(ctx: SyncContext, wire: Wire) -> None:
    """Reads raise what the transport raised."""

    def fail(request: Any) -> None:
        raise NotReachable("no network")

    wire.on_pull = fail
    for call in (lambda: ctx.remote(NOTES).where().all(), lambda: ctx.remote(NOTES).where().count()):
        with pytest.raises(NotReachable):
            call()


def test_bad_input_reaches_no_wire(ctx: SyncContext, wire: Wire) -> None:
    """Illegal ids and records are refused before any request."""
    there = ctx.remote(NOTES)
    calls: list[Callable[[], Any]] = [
        lambda: there.insert({"id": "a\n"}), lambda: there.update({"text": "x"}), lambda: there.delete(""),
        lambda: there.get("x" * 256), lambda: there.undelete(""), lambda: there.insert({"n": float("nan")}),
        lambda: there.insert({"n": 2**63}), lambda: there.update({"id": "a", "stars": "x"}),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises((InvalidId, InvalidRecord)):
            call()
    assert 0 == wire.requests


def test_a_write_whose_reply_tells_no_record_is_read(ctx: SyncContext, wire: Wire, world: World) -> None:
    """If the remote tells only the version, the record is fetched."""
    world.remote.write("note", "a", text="theirs")
    wire.say("a", Applied("v", None))
    assert "theirs" == ctx.remote(NOTES).update({"id": "a", "text": "x"})["text"]
    assert 1 == wire.gets
