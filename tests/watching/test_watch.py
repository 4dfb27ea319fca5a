"""Live queries of a `SyncContext`."""

import gc
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.api.support import LISTS, NOTES, TODOS, Todo, TodoList, Wire, World
from tidesync import Defer, KeepRemote, PushFailed, Rows, SyncContext, Watch, table
from tidesync.contracts.transport import Rejected
from tidesync.errors import (
    BatchActive,
    ConfigurationError,
    ContextClosed,
    InvalidQuery,
    StoreBusy,
    UsageError,
)
from tidesync.stores import MemoryStore, SQLiteStore
from tidesync.watching import MANY, Rest


def ids(rows: Rows[Any] | None) -> list[str] | None:
    return (
        None if rows is None else [row.id if isinstance(row, Todo | TodoList) else row["id"] for row in rows]
    )


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it comes true within ten seconds."""
    end = time.monotonic() + 10
    while not true() and time.monotonic() < end:
        time.sleep(0.002)
    return true()


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


# ---- waiting


def test_iterating_waits_for_the_next(ctx: SyncContext) -> None:
    """A thread that iterates gets each result that another thread makes; closing ends it."""
    watch, seen = ctx[NOTES].watch(poll=None), list[Any]()

    def follow() -> None:
        for rows in watch:
            seen.append(ids(rows))

    thread = threading.Thread(target=follow)
    thread.start()
    assert eventually(lambda: seen == [[]])
    ctx[NOTES].insert({"id": "a"})
    assert eventually(lambda: seen == [[], ["a"]])
    watch.close()
    thread.join(10)
    assert (False, True, []) == (thread.is_alive(), watch.closed, list(watch))


def test_next_gives_up_in_time(ctx: SyncContext) -> None:
    """None after so many seconds without a change."""
    watch = ctx[NOTES].watch()
    watch.next()
    begun = time.monotonic()
    assert watch.next(0.05) is None
    assert 0.05 <= time.monotonic() - begun < 5


def test_the_end_of_the_context_ends_its_watches(ctx: SyncContext) -> None:
    """Whoever waits is told at once; the watch stays closed when the context is opened again."""
    watch, calls = ctx[NOTES].watch(), ctx[NOTES].watch(None, lambda rows: None)
    watch.next()
    threading.Timer(0.05, ctx.close).start()
    assert (None, True, True) == (watch.next(30), watch.closed, calls.closed)
    ctx.open()
    ctx[NOTES].insert({"id": "a"})
    assert watch.next(0) is None
    ctx.close()
    with pytest.raises(ContextClosed):
        ctx[NOTES].watch()


def test_no_change_is_lost_between_looking_and_waiting(ctx: SyncContext) -> None:
    """Four threads write as fast as they can; the last result that comes is all that they wrote, without a poll."""
    watch, newest = ctx[NOTES].watch(poll=None), list[int]()

    def follow() -> None:
        for rows in watch:
            newest.append(len(rows))

    def write(name: str) -> None:
        for number in range(40):
            ctx[NOTES].insert({"id": f"{name}{number}"})

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    reader = threading.Thread(target=follow)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join(60)
    assert eventually(lambda: newest[-1:] == [160])
    assert sorted(set(newest)) == newest
    watch.close()
    reader.join(10)
    assert not reader.is_alive()


def test_several_threads_may_ask_one_watch(ctx: SyncContext) -> None:
    """Each result goes to one of them; who waits for a turn gives up in time, too."""
    watch = ctx[NOTES].watch(poll=None)
    watch.next()
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(watch.next(30))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert watch.next(0.02) is None
    for number in range(3):
        ctx[NOTES].insert({"id": f"{number}"})
        assert eventually(lambda made=number + 1: len(got) == made)  # type: ignore[misc]
    for thread in threads:
        thread.join(10)
    assert [["0"], ["0", "1"], ["0", "1", "2"]] == [ids(rows) for rows in got]


# ---- a callback


def test_a_callback_is_given_each_result(ctx: SyncContext) -> None:
    """On a daemon thread of its own, one call at a time; none begins after it was closed."""
    given: list[Any] = []
    thread: list[threading.Thread] = []

    def back(rows: Rows[Any]) -> None:
        thread.append(threading.current_thread())
        given.append(ids(rows))

    watch = ctx[NOTES].watch(None, back, poll=None)
    assert eventually(lambda: given == [[]])
    ctx[NOTES].insert({"id": "a"})
    assert eventually(lambda: given == [[], ["a"]])
    assert ({True}, 1) == ({each.daemon for each in thread}, len(set(thread)))
    watch.close()
    ctx[NOTES].insert({"id": "b"})
    thread[0].join(10)
    assert (False, [[], ["a"]]) == (thread[0].is_alive(), given)


def test_a_callback_that_raises_goes_on(ctx: SyncContext, caplog: pytest.LogCaptureFixture) -> None:
    """The exception is logged, without records; the next result comes."""
    given: list[Any] = []

    def back(rows: Rows[Any]) -> None:
        given.append(ids(rows))
        raise ValueError("a bug in the application")

    with caplog.at_level(logging.ERROR, logger="tidesync"), ctx[NOTES].watch(None, back, poll=None):
        assert eventually(lambda: len(given) == 1)
        ctx[NOTES].insert({"id": "a", "text": "very private"})
        assert eventually(lambda: len(given) == 2 == len(caplog.records))
    assert {"the callback of a watch of note failed"} == {record.getMessage() for record in caplog.records}
    assert "very private" not in caplog.text


def test_a_callback_may_use_the_context_and_close_its_watch(ctx: SyncContext) -> None:
    """It may write, which calls it again, and close its own watch; nobody holds the watch but its thread."""
    given: list[Any] = []

    def back(rows: Rows[Any]) -> None:
        given.append(ids(rows))
        if len(given) < 3:
            ctx[NOTES].insert({"id": f"{len(given)}"})
        else:
            ready.wait(10)
            held[0].close()

    ready = threading.Event()
    held = [ctx[NOTES].watch(None, back, poll=None)]
    ready.set()
    assert eventually(lambda: held[0].closed)
    assert [[], ["1"], ["1", "2"]] == given


def test_a_watch_with_a_callback_lives_without_being_held(ctx: SyncContext) -> None:
    """As a subscription does."""
    given: list[Any] = []
    ctx[NOTES].watch(None, lambda rows: given.append(ids(rows)), poll=None)
    gc.collect()
    ctx[NOTES].insert({"id": "a"})
    assert eventually(lambda: given[-1:] == [["a"]])


def test_a_watch_with_a_callback_is_not_asked(ctx: SyncContext) -> None:
    """Results would go to one or the other: `UsageError`."""
    with ctx[NOTES].watch(None, print) as watch, pytest.raises(UsageError, match="callback"):
        watch.next()


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
