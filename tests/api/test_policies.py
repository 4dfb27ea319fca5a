"""Policies: who settles a conflict, with which answer, and what becomes of the record."""

from typing import Any

import attrs
import pytest

from tests.api.disputes import SITUATIONS, THEIRS, THERE, both, disputed
from tests.api.support import LISTS, NOTES, TODOS, Todo, TodoList, World, plain
from tidesync import (
    Conflict,
    KeepLocal,
    KeepRemote,
    Merge,
    MergeFields,
    Policy,
    PushFailed,
    Resolution,
    conflicting_fields,
    keep_local,
    keep_remote,
    merge_fields,
    table,
)
from tidesync.errors import ConfigurationError, InvalidRecord, UsageError
from tidesync.events import ConflictFound, ConflictSettled
from tidesync.records import Tombstone, version_of


@pytest.mark.parametrize(("edit", "news"), SITUATIONS)
@pytest.mark.parametrize("how", ["push", "pull"])
def test_keep_remote(world: World, edit: str, news: str, how: str) -> None:
    """Server wins: the local record becomes the server's copy, and nothing is left to send. [G26] [G30] [G16]"""
    wire = world.wire()
    ctx = disputed(world, edit, news, wire, policy=keep_remote)
    if how == "push":
        ctx.push()
    else:
        ctx[NOTES].pull(push="none")
    there = None if news == "delete" else THEIRS
    assert ((there, there), 0, []) == (both(world, ctx), ctx.pending_operations, ctx.conflicts())
    count = len(wire.changes)
    ctx.push()
    assert count == len(wire.changes)


@pytest.mark.parametrize(("edit", "news"), SITUATIONS)
@pytest.mark.parametrize("how", ["push", "pull"])
def test_keep_local(world: World, edit: str, news: str, how: str) -> None:
    """Client wins: the local record is sent over what the server has, once more, and is through. [G25] [G30] [G16]"""
    ctx = disputed(world, edit, news, policy=keep_local)
    here = both(world, ctx)[0]
    if how == "pull":
        ctx[NOTES].pull(push="none")
    ctx.push()
    local, remote = both(world, ctx)
    assert (0, []) == (ctx.pending_operations, ctx.conflicts())
    assert local == remote
    assert here is None or here.items() <= (remote or {}).items()
    assert (edit == "delete") is (remote is None)


@pytest.mark.parametrize(("edit", "news"), SITUATIONS)
@pytest.mark.parametrize("prefer", ["local", "remote"])
def test_merge_fields(world: World, edit: str, news: str, prefer: Any) -> None:
    """Field by field: one side's edit wins over none; where both edited, or one deleted, `prefer` decides. [G32]"""
    ctx = disputed(world, edit, news, policy=merge_fields(prefer))
    ctx.push()
    local, remote = both(world, ctx)
    expected: dict[tuple[str, str, str], Any] = {
        ("insert", "update", "local"): {"id": "a", "text": "mine", "stars": 1},
        ("insert", "update", "remote"): THEIRS,
        ("update", "update", "local"): {"id": "a", "text": "mine", "stars": 1},
        ("update", "update", "remote"): THEIRS,
        ("delete", "update", "local"): None,
        ("delete", "update", "remote"): THEIRS,
        ("update", "delete", "local"): {"id": "a", "text": "mine", "stars": 1},
        ("update", "delete", "remote"): None,
    }
    assert expected[edit, news, prefer] == local == remote
    assert 0 == ctx.pending_operations


def test_edits_of_different_fields_merge(world: World) -> None:
    """What each side alone changed is in the result, also fields that only one of them knows."""
    ctx = world.device("one", policy=merge_fields())
    world.remote.write("note", "a", text="x", stars=1, gone=1)
    ctx[NOTES].pull()
    ctx[NOTES].update("a", text="mine", tags=["new"])
    world.remote.write("note", "a", stars=5, theirs={"n": 1})
    ctx.push()
    merged = {"id": "a", "text": "mine", "stars": 5, "gone": 1, "tags": ["new"], "theirs": {"n": 1}}
    assert (merged, merged) == both(world, ctx)


@pytest.mark.parametrize(("edit", "news"), SITUATIONS)
def test_deferring_loses_nothing(world: World, edit: str, news: str) -> None:
    """Without a policy the record stays in conflict, is listed with all three copies, and nothing is sent. [G12]"""
    wire = world.wire()
    ctx = disputed(world, edit, news, wire)
    here = both(world, ctx)[0]
    with pytest.raises(PushFailed):
        ctx.push()
    sent = len(wire.changes)
    [conflict] = ctx.conflicts()
    base = None if edit == "insert" else {"id": "a", **THERE}
    assert (("note", "a"), base, here) == (conflict.key, plain(conflict.base), plain(conflict.local))
    if news == "delete":
        assert isinstance(conflict.remote, Tombstone)
    else:
        assert THEIRS == plain(conflict.remote)
    report = ctx.push()
    assert (sent, ["a"], 1) == (
        len(wire.changes), [each.record_id for each in report.remaining], ctx.pending_operations,
    )  # fmt: skip
    ctx.close()
    assert [conflict] == world.device("one").conflicts()


def test_a_deferred_conflict_parks_only_what_depends_on_it(world: World) -> None:
    """A list in conflict holds up the deletes and inserts that name it, and nothing else."""
    ctx = world.device("one")
    world.remote.write("list", "l", name="there")
    ctx[LISTS].pull()
    ctx[LISTS].delete("l")
    world.remote.write("list", "l", name="theirs")
    ctx[TODOS].insert(Todo("free"))
    with pytest.raises(PushFailed):
        ctx.push()
    assert ["free"] == world.remote.ids("todo")
    ctx[LISTS].insert(TodoList("l", "mine"))
    ctx[TODOS].insert(Todo("other", list_id="elsewhere"))
    ctx.push()
    assert ["free", "other"] == world.remote.ids("todo")


def test_a_policy_sees_the_whole_record(world: World) -> None:
    """Base, local and remote are whole records with system fields; objects can be made of them."""
    seen: list[Conflict] = []

    def policy(conflict: Conflict) -> Resolution:
        seen.append(conflict)
        return KeepLocal()

    ctx = world.device("one", policy=policy)
    world.remote.write("todo", "a", text="there", complete=False, extra=1)
    ctx[TODOS].pull()
    ctx[TODOS].update("a", text="mine")
    theirs = world.remote.write("todo", "a", complete=True)
    ctx.push()
    [conflict] = seen
    assert (Todo("a", "there"), Todo("a", "mine"), Todo("a", "there", True)) == conflict.as_objects(
        TODOS.from_record
    )
    assert theirs == version_of(conflict.remote)
    assert {"text": ("mine", "there"), "complete": (False, True)} == conflicting_fields(conflict)
    assert (conflict.local or {})["extra"] == 1


@attrs.define
class Scored:
    id: str
    text: str
    stars: int


@pytest.mark.parametrize("form", ["dict", "object"])
def test_merge_takes_a_dict_or_an_object(world: World, form: str) -> None:
    """What a policy merged is sent as an edit of the remote's copy; fields the class lacks are the remote's."""
    scored = table(Scored, name="note")

    def policy(conflict: Conflict) -> Resolution:
        if form == "dict":
            return Merge({"id": "a", "text": "merged", "stars": 9})
        _, local, remote = conflict.as_objects(scored.from_record)
        assert local is not None
        assert remote is not None
        return Merge(attrs.evolve(local, text="merged", stars=local.stars + remote.stars))

    ctx = world.device("one", policy=policy, tables=[scored])
    world.remote.write("note", "a", text="there", stars=1, colour="red")
    ctx[scored].pull()
    ctx[scored].update("a", stars=4)
    world.remote.write("note", "a", stars=5, colour="blue")
    ctx.push()
    merged = {"id": "a", "text": "merged", "stars": 9, "colour": "blue"}
    assert (merged, merged) == both(world, ctx)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, UsageError),
        ("keep_local", UsageError),
        ({"id": "a"}, UsageError),
        (KeepLocal, UsageError),
        (Merge({"id": "b", "text": "x"}), InvalidRecord),
        (Merge({"id": "a", "text": object()}), InvalidRecord),
        (Merge({"id": "a", "text": float("nan")}), InvalidRecord),
        (Merge(None), InvalidRecord),
        (Merge(5), InvalidRecord),
    ],
)
@pytest.mark.parametrize("how", ["push", "pull"])
def test_a_wrong_answer_changes_nothing(world: World, answer: Any, error: type[Exception], how: str) -> None:
    """What is no resolution is a typed error; the conflict stays, and the next push works. [G08] [G18]"""
    answers: list[Any] = [answer]

    def policy(conflict: Conflict) -> Any:
        return answers.pop(0) if answers else KeepLocal()

    ctx = disputed(world, "update", "update", policy=policy)
    with pytest.raises(error):
        ctx.push() if how == "push" else ctx[NOTES].pull(push="none")
    assert (["a"], 1) == ([each.record_id for each in ctx.conflicts()], ctx.pending_operations)
    assert "mine" == (ctx[NOTES].get("a") or {})["text"]
    ctx.push()
    assert {"id": "a", "text": "mine", "stars": 1} == world.remote.content("note", "a")


@pytest.mark.parametrize("how", ["push", "pull"])
def test_a_policy_that_raises_changes_nothing(world: World, how: str) -> None:
    """The exception reaches the caller; the conflict is kept, the lease let go, and the next push works. [G18]"""
    angry = [True]

    def policy(conflict: Conflict) -> Resolution:
        if angry:
            angry.clear()
            raise ZeroDivisionError("mine")
        return KeepRemote()

    ctx = disputed(world, "update", "update", policy=policy, patience=0.0)
    with pytest.raises(ZeroDivisionError):
        ctx.push() if how == "push" else ctx[NOTES].pull(push="none")
    assert ["a"] == [each.record_id for each in ctx.conflicts()]
    ctx.push()
    assert ((THEIRS, THEIRS), 0) == (both(world, ctx), ctx.pending_operations)


def test_an_edit_while_the_policy_thinks_is_asked_about(world: World) -> None:
    """An answer to a question that the user has overtaken is not applied: the policy is asked again."""
    asked: list[str] = []

    def slow(conflict: Conflict) -> Resolution:
        asked.append(str((conflict.local or {})["text"]))
        if len(asked) == 1:
            ctx[NOTES].update("a", text="newer")
        return Merge({"id": "a", "text": f"{asked[-1]} merged"})

    ctx = disputed(world, "update", "update", policy=slow)
    ctx.push()
    assert ["mine", "newer"] == asked
    assert {"id": "a", "text": "newer merged", "stars": 1} == both(world, ctx)[1]


def test_a_delete_while_the_policy_thinks_wins_over_its_answer(world: World) -> None:
    """A record that was deleted meanwhile is asked about as deleted."""
    locals_seen: list[Any] = []

    def slow(conflict: Conflict) -> Resolution:
        locals_seen.append(conflict.local)
        if len(locals_seen) == 1:
            ctx[NOTES].delete("a")
        return KeepLocal()

    ctx = disputed(world, "update", "update", policy=slow)
    ctx.push()
    assert (2, None, (None, None)) == (len(locals_seen), locals_seen[-1], both(world, ctx))


def test_policies_by_table_come_before_the_default(world: World) -> None:
    """A table's own policy is asked for its records, the context's for all others. [G28]"""
    ctx = world.device("one", policy=keep_local, policies={TODOS: keep_remote})
    for name in ("note", "todo"):
        world.remote.write(name, "a", text="there", **({"complete": False} if name == "todo" else {}))
    ctx[NOTES].pull()
    ctx[TODOS].pull()
    ctx[NOTES].update("a", text="mine")
    ctx[TODOS].update("a", text="mine")
    for name in ("note", "todo"):
        world.remote.write(name, "a", text="theirs")
    ctx.push()
    assert ("mine", "theirs") == (
        (ctx[NOTES].get("a") or {})["text"], (ctx[TODOS].get("a") or Todo("")).text,
    )  # fmt: skip


def test_last_write_wins_sends_again_with_the_current_version(world: World) -> None:
    """A table may say that the last write wins: its conflicts are settled without a policy. [R-G33] [G29]"""
    wins = table("note", {"text": str}, concurrency="last-write-wins")
    wire = world.wire()
    ctx = world.device("one", wire, tables=[wins])
    first = world.remote.write("note", "a", text="there")
    ctx[wins].pull()
    ctx[wins].update("a", text="mine")
    second = world.remote.write("note", "a", text="theirs")
    ctx.push()
    assert [first, second] == [getattr(change.expected, "version", None) for change in wire.changes]
    assert {"id": "a", "text": "mine"} == world.remote.content("note", "a")


def test_fields_are_merged_for_one_side_or_the_other() -> None:
    """`prefer` names one of the two sides: checked when the policy is made, not at the first conflict."""
    for make in (merge_fields, MergeFields):
        with pytest.raises(ConfigurationError, match="'local' or 'remote'"):
            make("server")  # type: ignore[arg-type]


def test_settling_is_told(world: World) -> None:
    """An event tells that a conflict was found, and how it ended."""
    events: list[Any] = []
    ctx = disputed(world, "update", "update", policy=keep_remote)
    ctx.subscribe(events.append)
    ctx.push()
    told = [each for each in events if isinstance(each, ConflictFound | ConflictSettled)]
    assert [ConflictFound("note", "a"), ConflictSettled("note", "a", "KeepRemote")] == told


@pytest.mark.parametrize("policy", [keep_local, keep_remote, merge_fields("local"), merge_fields("remote")])
def test_deleted_on_both_sides_is_no_conflict(world: World, policy: Policy) -> None:
    """If neither side is alive nobody is asked, and the queue is empty. [G32]"""
    asked: list[Conflict] = []

    def watching(conflict: Conflict) -> Resolution:
        asked.append(conflict)
        return policy(conflict)

    ctx = disputed(world, "delete", "delete", policy=watching)
    ctx[NOTES].pull(push="none")
    ctx.push()
    assert ([], (None, None), 0) == (asked, both(world, ctx), ctx.pending_operations)
