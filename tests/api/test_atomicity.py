"""All or nothing: single writes, batches, and stores that fail in the middle of either."""

import threading
from typing import Any

import pytest

from tests.api.failing import FailingStore, contents
from tests.api.support import LISTS, NOTES, TABLES, TODOS, Todo, TodoList, Wire, World
from tidesync import SyncContext
from tidesync.errors import BatchActive, RecordExists, StoreError, StoreFull
from tidesync.events import Event, RecordsChanged
from tidesync.rows import SYSTEM_TABLES

# ---- batches


def test_a_batch_is_one_transaction(ctx: SyncContext) -> None:
    """All writes of a batch, in any tables, take effect together; reads inside see them. [M18]"""
    with ctx.batch():
        ctx[LISTS].insert(TodoList("l"))
        ctx[TODOS].insert_many(Todo(f"t{index}", list_id="l") for index in range(3))
        ctx[TODOS].update("t0", text="x")
        ctx[TODOS].delete("t1")
        assert (["t0", "t2"], Todo("t0", "x", list_id="l")) == (ctx[TODOS].values("id"), ctx[TODOS].get("t0"))
        assert (2, ["t0"]) == (ctx[TODOS].count(), [each.id for each in ctx[TODOS].where(text="x")])
        assert (3, 3) == (ctx.pending_operations, len(ctx.operations()))
    assert ["l", "t0", "t2"] == [each.record_id for each in ctx.operations()]


def test_an_exception_undoes_the_batch(ctx: SyncContext) -> None:
    """Whatever leaves the block undoes it whole: records, queue, counters, events. [B21] [M21]"""
    ctx[TODOS].insert(Todo("kept", "x"))
    before = ctx.operations()
    events: list[Event] = []
    ctx.subscribe(events.append)
    for error in (ValueError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)), ctx.batch():  # noqa: PT012
            ctx[TODOS].insert(Todo("a"))
            ctx[TODOS].update("kept", text="y")
            raise error
    with pytest.raises(RecordExists), ctx.batch():  # noqa: PT012
        ctx[TODOS].insert(Todo("a"))
        ctx[TODOS].insert(Todo("kept"))
    assert (before, [Todo("kept", "x")], []) == (ctx.operations(), ctx[TODOS].all(), events)
    ctx[TODOS].insert(Todo("a"))
    assert 2 == ctx.pending_operations


def test_an_error_caught_inside_leaves_the_rest_of_the_batch(ctx: SyncContext) -> None:
    """A refused write inside a batch changed nothing, so the batch may go on without it."""
    with ctx.batch():
        ctx[TODOS].insert(Todo("a"))
        with pytest.raises(RecordExists):
            ctx[TODOS].insert(Todo("a"))
        with pytest.raises(RecordExists):
            ctx[TODOS].insert_many([Todo("b"), Todo("a")])
        ctx[TODOS].insert(Todo("c"))
    assert ["a", "c"] == [each.record_id for each in ctx.operations()] == ctx[TODOS].values("id")


def test_a_failure_caught_inside_spoils_the_batch(world: World) -> None:
    """After the store failed inside a batch nothing of it is kept, whoever caught the error."""
    failing = FailingStore(world.make_store("one"))
    ctx = SyncContext(failing, None, TABLES).open()
    world.contexts.append(ctx)
    with pytest.raises(StoreError, match="nothing of it is kept") as caught, ctx.batch():  # noqa: PT012
        ctx[TODOS].insert(Todo("a"))
        failing.fuse = 1
        with pytest.raises(StoreFull):
            ctx[TODOS].count()
        failing.fuse = None
        ctx[TODOS].insert(Todo("b"))
    assert failing.error is caught.value.__cause__
    assert (0, 0) == (ctx[TODOS].count(), ctx.pending_operations)


def test_sync_inside_a_batch_is_refused(ctx: SyncContext, wire: Wire) -> None:
    """Push, pull, purge and another batch inside raise `BatchActive`; the batch itself goes on."""
    with ctx.batch():
        ctx[TODOS].insert(Todo("a"))
        for call in (ctx.push, ctx[TODOS].pull, ctx[TODOS].purge, lambda: ctx.batch().__enter__()):
            with pytest.raises(BatchActive):
                _ = call()
    assert (1, 0) == (ctx.pending_operations, wire.requests)
    ctx.push()
    assert 0 == ctx.pending_operations


def test_other_threads_wait_for_a_batch(ctx: SyncContext) -> None:
    """Another thread's write comes after the batch, its read sees the state before it."""
    seen: list[int] = []
    written = threading.Event()

    def write() -> None:
        ctx[TODOS].insert(Todo("other"))
        written.set()

    writer = threading.Thread(target=write)
    with ctx.batch():
        ctx[TODOS].insert(Todo("a"))
        reader = threading.Thread(target=lambda: seen.append(ctx[TODOS].count()))
        reader.start()
        reader.join()
        writer.start()
        assert not written.wait(0.05)
        ctx[TODOS].insert(Todo("b"))
    writer.join()
    assert [0] == seen
    assert ["a", "b", "other"] == [each.record_id for each in ctx.operations()]


def test_a_batch_tells_its_events_once_at_the_end(ctx: SyncContext) -> None:
    """One event a table lists all records of the batch, after the commit. [P04]"""
    events: list[Event] = []
    ctx.subscribe(events.append)
    with ctx.batch():
        ctx[TODOS].insert_many([Todo("a"), Todo("b")])
        ctx[LISTS].insert(TodoList("l"))
        ctx[TODOS].update("a", text="x")
        assert [] == events
    assert [
        RecordsChanged("todo", ("a", "b"), "local"),
        RecordsChanged("list", ("l",), "local"),
    ] == [event for event in events if isinstance(event, RecordsChanged)]


# ---- failures of the store


def everything(store: Any) -> dict[str, list[dict[str, Any]]]:
    return contents(store, [*(each.name for each in SYSTEM_TABLES), *(each.name for each in TABLES)])


@pytest.mark.parametrize("kind", ["insert", "update", "delete", "many", "batch"])
def test_a_write_that_fails_in_the_middle_changes_nothing(world: World, kind: str) -> None:
    """Whichever statement of a write fails, nothing has changed, and the next call works. [B16] [B17]"""
    failing = FailingStore(world.make_store("one"))
    ctx = SyncContext(failing, world.wire(), TABLES).open()
    world.contexts.append(ctx)
    ctx[LISTS].insert(TodoList("l"))
    ctx[TODOS].insert_many([Todo("a", list_id="l"), Todo("b")])
    ctx.push([LISTS])

    def write() -> None:
        match kind:
            case "insert":
                ctx[TODOS].insert(Todo("c", list_id="l"))
            case "update":
                ctx[TODOS].update("a", text="new")
            case "delete":
                ctx[LISTS].delete("l")
            case "many":
                ctx[TODOS].insert_many(Todo(f"m{index}") for index in range(3))
            case _:
                with ctx.batch():
                    ctx[TODOS].update("b", text="new")
                    ctx[LISTS].insert(TodoList("m"))

    before, steps = everything(failing), 0
    while True:
        steps += 1
        failing.fuse = steps
        try:
            write()
        except StoreFull:
            assert before == everything(failing)
        else:
            break
    failing.fuse = None
    assert steps > 2
    assert before != everything(failing)
    ctx.push()
    assert 0 == ctx.pending_operations


def test_a_stores_own_error_keeps_its_cause(world: World) -> None:
    """A typed store error reaches the caller as raised, with the driver's own behind it. [B16] [C12]"""
    cause = OSError("no space left")
    error = StoreFull("the disk is full")
    error.__cause__ = cause
    failing = FailingStore(world.make_store("one"), error)
    ctx = SyncContext(failing, None, TABLES).open()
    world.contexts.append(ctx)
    failing.fuse = 1
    with pytest.raises(StoreError) as caught:
        ctx[TODOS].insert(Todo("a"))
    assert cause is caught.value.__cause__
    failing.fuse = None
    assert (0, 0) == (ctx[TODOS].count(), ctx.pending_operations)


# ---- threads


def test_threads_that_write_lose_nothing(ctx: SyncContext) -> None:
    """Twenty threads of local writes: each takes its turn, and every write is there. [B24] [R-M25]"""
    ctx[TODOS].insert(Todo("shared", "0"))
    raised: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for index in range(10):
                ctx[TODOS].insert(Todo(f"{number}-{index}"))
                ctx[NOTES].upsert({"id": "shared", f"field{number}": index})
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == raised
    assert (201, 202) == (ctx[TODOS].count(), ctx.pending_operations)
    shared = ctx[NOTES].get("shared")
    assert {"id": "shared", **{f"field{number}": 9 for number in range(20)}} == shared
