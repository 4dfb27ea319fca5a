"""Live queries of a `SyncContext`."""

import gc
import logging
from contextlib import suppress
from typing import Any

import pytest

from tests.api.support import LISTS, NOTES, TODOS, Todo, TodoList, Wire, World
from tests.watching.support import eventually, ids
from tidesync import Defer, KeepRemote, PushFailed, SyncContext, Watch, table
from tidesync.contracts.transport import Rejected
from tidesync.errors import (
    BatchActive,
    ConfigurationError,
    InvalidQuery,
    StoreBusy,
)
from tidesync.stores import MemoryStore, SQLiteStore
from tidesync.watching import MANY, Rest

# ---- what comes, and when


def test_the_result_comes_at_once_and_after_each_change(ctx: SyncContext) -> None:
    """First the result as it is, then each that a local write makes; nothing where nothing changed."""
    ctx[NOTES].insert({"id": "a", "stars": 1})
    watch = ctx[NOTES].watch(ctx[NOTES].where(NOTES.c.stars > 0), poll=None)
    assert (["a"], None) == (ids(watch.next(0)), ids(watch.next(0)))
    ctx[NOTES].insert({"id": "b", "stars": 2})
    assert ["a", "b"] == ids(watch.next(0))
    ctx[NOTES].insert({"id": "c", "stars": 0})
    ctx[NOTES].update("a", stars=1)
    assert watch.next(0) is None
    ctx[NOTES].delete("b")
    assert (["a"], None) == (ids(watch.next(0)), watch.next(0))


def test_results_are_those_of_the_table(ctx: SyncContext) -> None:
    """Objects of the table's class, in the query's order, with the total that was asked for."""
    ctx[TODOS].insert_many([Todo("a", "x"), Todo("b", "y"), Todo("c", "z")])
    watch = ctx[TODOS].watch(
        ctx[TODOS].order_by("text", descending=True).take(2).include_total_count(), poll=None
    )
    rows = watch.next()
    assert rows is not None
    assert ([Todo("c", "z"), Todo("b", "y")], 3) == (rows, rows.total_count)
    ctx[TODOS].delete("a")
    rows = watch.next(0)
    assert rows is not None
    assert (["c", "b"], 2) == (ids(rows), rows.total_count)


def test_a_table_is_watched_whole_without_a_query(ctx: SyncContext) -> None:
    """`watch()` is of all records, by id."""
    with ctx[LISTS].watch(poll=None) as watch:
        ctx[LISTS].insert(TodoList("b"))
        ctx[LISTS].insert(TodoList("a"))
        assert ["a", "b"] == ids(watch.next(0))


def test_a_batch_is_one_change(ctx: SyncContext) -> None:
    """What a batch writes comes once, when it is committed; what is rolled back never comes."""
    watch = ctx[NOTES].watch(poll=None)
    watch.next()
    with ctx.batch():
        ctx[NOTES].insert({"id": "a"})
        _ = ctx[NOTES].all()
        ctx[NOTES].insert({"id": "b"})
    assert (["a", "b"], None) == (ids(watch.next(0)), watch.next(0))
    with suppress(ZeroDivisionError), ctx.batch():
        ctx[NOTES].insert({"id": "c"})
        raise ZeroDivisionError
    assert watch.next(0) is None


def test_however_much_changed_the_newest_comes_once(ctx: SyncContext) -> None:
    """A consumer that was busy meanwhile gets the newest result, and no other."""
    watch = ctx[NOTES].watch(poll=None)
    watch.next()
    for stars in range(5):
        ctx[NOTES].upsert({"id": "a", "stars": stars})
    assert ([{"id": "a", "stars": 4}], None) == (watch.next(0), watch.next(0))


def test_what_is_kept_of_many_changes_is_bounded(ctx: SyncContext) -> None:
    """Of more changes than are worth looking at one by one, only that there were some is kept."""
    watch = ctx[NOTES].watch(poll=None)
    watch.next()
    for start in range(0, 1200, 400):
        ctx[NOTES].insert_many([{"id": f"{number:04}"} for number in range(start, start + 400)])
        assert len(watch._notes._ids) <= MANY
    assert (1200, None) == (len(watch.next(0) or ()), watch.next(0))


def test_other_tables_do_not_matter(ctx: SyncContext) -> None:
    """A change to another table is not even looked at."""
    watch = ctx[NOTES].watch(poll=None)
    watch.next()
    ctx[LISTS].insert(TodoList("a"))
    assert watch._notes.take() is None


def test_push_pull_and_purge_are_seen(ctx: SyncContext, world: World) -> None:
    """Versions that a push brings, records that a pull brings and drops, what a purge removes."""
    watch = ctx[NOTES].watch(poll=None)
    watch.next()
    ctx[NOTES].insert({"id": "a"})
    watch.next()
    ctx.push()
    rows = watch.next(0)
    assert rows is not None
    assert rows[0]["version"] is not None
    world.remote.write("note", "b", text="there", stars=1, tags=[])
    ctx[NOTES].pull(name="all")
    assert ["a", "b"] == ids(watch.next(0))
    world.remote.delete("note", "a")
    ctx[NOTES].pull(name="all")
    assert ["b"] == ids(watch.next(0))
    ctx[NOTES].pull(name="all")
    assert watch.next(0) is None
    ctx[NOTES].purge()
    assert ([], None) == (watch.next(0), watch.next(0))


def test_a_forced_purge_is_one_change(ctx: SyncContext) -> None:
    """Records with queued operations and without go in one transaction: one result."""
    ctx[NOTES].insert({"id": "a"})
    ctx.push()
    ctx[NOTES].insert({"id": "b"})
    watch = ctx[NOTES].watch(poll=None)
    watch.next()
    ctx[NOTES].purge(force=True)
    assert ([], None) == (watch.next(0), watch.next(0))


def test_a_page_at_a_time(world: World, wire: Wire) -> None:
    """Each page of a pull is a change of its own: who is quick sees the table grow."""
    ctx = world.device("one", wire, page_size=2)
    for id in "abcde":
        world.remote.write("note", id, text="", stars=0, tags=[])
    watch = ctx[NOTES].watch(poll=None)
    seen: list[int] = [len(watch.next(0) or ())]
    wire.on_pull = lambda request: seen.append(len(watch.next(0) or ()))
    ctx[NOTES].pull()
    seen.append(len(watch.next(0) or ()))
    assert [0, 0, 2, 4, 5] == seen


def test_settled_conflicts_are_seen(world: World) -> None:
    """What a policy decides in a pull, and what `resolve` decides."""
    ctx = world.device("one", policy=lambda conflict: KeepRemote() if conflict.record_id == "a" else Defer())
    ctx[NOTES].insert_many([{"id": id, "text": "old"} for id in "ab"])
    ctx.push()
    for id in "ab":
        world.remote.write("note", id, text="theirs")
        ctx[NOTES].update(id, text="ours")
    watch = ctx[NOTES].watch(poll=None)

    def texts() -> list[str] | None:
        rows = watch.next(0)
        return None if rows is None else [row["text"] for row in rows]

    assert ["ours", "ours"] == texts()
    ctx[NOTES].pull(push="none")
    assert ["theirs", "ours"] == texts()
    [conflict] = ctx.conflicts()
    ctx.resolve(conflict, KeepRemote())
    assert (["theirs", "theirs"], None) == (texts(), texts())


def test_a_resolution_of_an_error_is_seen(ctx: SyncContext, wire: Wire) -> None:
    """`cancel_and_discard` takes the record back, and the watch says so."""
    ctx[NOTES].insert({"id": "a"})
    wire.say("a", Rejected("no", "not today"))
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    watch = ctx[NOTES].watch(poll=None)
    assert ["a"] == ids(watch.next(0))
    caught.value.errors[0].cancel_and_discard()
    assert [] == watch.next(0)


# ---- ends and failures


def test_nobody_holds_a_watch(ctx: SyncContext) -> None:
    """One that is dropped is gone at once, and so is what was kept for it; closing one leaves, too."""
    watch = ctx[NOTES].watch()
    watch.next()
    assert 1 == len(ctx._changes._alive())
    gc.disable()
    try:
        del watch
        assert 0 == len(ctx._changes._alive())
        for _ in ctx[NOTES].watch():
            break
        assert 0 == len(ctx._changes._alive())
    finally:
        gc.enable()
    kept = [ctx[NOTES].watch() for _ in range(3)]
    kept[0].close()
    kept[0].close()
    assert (2, 2) == (len(ctx._changes._alive()), len(ctx._changes._listeners))


def test_what_a_failed_read_would_have_seen_is_not_lost(
    ctx: SyncContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is busy is told to whoever asked; asked again, the watch gives what it owes."""
    watch = ctx[NOTES].watch(poll=None)
    watch.next()
    ctx[NOTES].insert({"id": "a"})

    def busy(*, write: bool) -> Any:
        raise StoreBusy("another process is writing")

    monkeypatch.setattr(ctx._store, "transaction", busy)
    with pytest.raises(StoreBusy):
        watch.next(0)
    monkeypatch.undo()
    assert (["a"], None) == (ids(watch.next(0)), watch.next(0))


def test_a_callback_hears_of_what_a_failed_read_would_have_seen(
    ctx: SyncContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread logs the failure, and tries again after a rest, which grows to a minute."""
    rest = Rest()
    assert [1, 2, 4, 8, 16, 32, 60, 60] == [rest.longer() for _ in range(8)]
    monkeypatch.setattr(Rest, "longer", lambda self: 0.01)
    given: list[Any] = []
    ctx[NOTES].watch(None, lambda rows: given.append(ids(rows)), poll=None)
    assert eventually(lambda: given == [[]])
    real, failing = ctx._store.transaction, [True]

    def busy(*, write: bool) -> Any:
        if failing and not write:
            failing.clear()
            raise StoreBusy("another process is writing")
        return real(write=write)

    monkeypatch.setattr(ctx._store, "transaction", busy)
    with caplog.at_level(logging.ERROR, logger="tidesync"):
        ctx[NOTES].insert({"id": "a"})
        assert eventually(lambda: given == [[], ["a"]])
    assert ["a watch of note could not look"] == [record.getMessage() for record in caplog.records]


def test_a_commit_that_may_have_failed_is_looked_at(
    ctx: SyncContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the end of a transaction raises: watches look, and see what is there."""
    watch = ctx[NOTES].watch(poll=None)
    watch.next()
    inner = type(ctx._store._store.transaction(write=True))
    leave = inner.__exit__

    def doubtful(self: Any, *error: Any) -> Any:
        _ = leave(self, *error)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(inner, "__exit__", doubtful)
        with pytest.raises(KeyboardInterrupt):
            ctx[NOTES].insert({"id": "a"})
    assert ["a"] == ids(watch.next(0))


@pytest.mark.parametrize(
    ("call", "refused"),
    [
        (lambda ctx: ctx[NOTES].watch(ctx[LISTS].where()), InvalidQuery),
        (lambda ctx: ctx[NOTES].watch("text"), InvalidQuery),
        (lambda ctx: ctx[NOTES].watch(None, 5), ConfigurationError),
        (lambda ctx: ctx[NOTES].watch(poll=0), ConfigurationError),
        (lambda ctx: ctx[NOTES].watch(poll=True), ConfigurationError),
        (lambda ctx: ctx[NOTES].watch(poll=float("nan")), ConfigurationError),
        (lambda ctx: ctx.events(buffer=0), ConfigurationError),
        (lambda ctx: ctx.events(buffer=1.5), ConfigurationError),
        (lambda ctx: ctx.events(poll=-1), ConfigurationError),
    ],
)
def test_what_makes_no_sense_is_refused(ctx: SyncContext, call: Any, refused: type[Exception]) -> None:
    """Before anything is watched."""
    with pytest.raises(refused):
        call(ctx)
    assert [] == ctx._changes._alive()


def test_a_batch_is_no_place_to_watch(ctx: SyncContext) -> None:
    """Inside a batch nothing is committed yet: `BatchActive`, always; afterwards the watch goes on."""
    watch, stream = ctx[NOTES].watch(), ctx.events()
    watch.next()
    with ctx.batch():
        for asked in (watch, stream):
            with pytest.raises(BatchActive):
                asked.next(0)
        ctx[NOTES].insert({"id": "a"})
        with pytest.raises(BatchActive):
            ctx[NOTES].watch()
    assert (["a"], True) == (ids(watch.next(0)), stream.next(0) is not None)


def test_a_watch_of_a_class_that_refuses_a_record(tmp_path: Any) -> None:
    """What reading raises is raised, each time it is asked, and the next good result comes."""
    import attrs

    @attrs.define
    class Strict:
        id: str
        n: int = attrs.field(default=0, validator=attrs.validators.lt(5))

    strict = table(Strict, name="strict")
    with SyncContext(SQLiteStore(tmp_path / "a.db"), None, [strict]) as ctx:
        watch = ctx[strict].watch(poll=None)
        assert [] == watch.next(0)
        ctx.write(lambda queue: queue.write("strict", "a", {"id": "a", "n": 9}))
        for _ in range(2):
            with pytest.raises(Exception, match="the class refuses the record"):
                watch.next(0)
        ctx.write(lambda queue: queue.write("strict", "a", {"id": "a", "n": 1}))
        assert [Strict("a", 1)] == watch.next(0)


def test_a_watch_says_what_it_is() -> None:
    """Its repr names the table, and whether it is closed."""
    with SyncContext(MemoryStore(), None, [NOTES]) as ctx:
        watch: Watch[dict[str, Any]] = ctx[NOTES].watch()
        assert "<watch of note>" == repr(watch)
    assert "<watch of note, closed>" == repr(watch)
