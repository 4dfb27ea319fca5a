"""Batches on an event loop: who is in, who waits, and what is left when they do not end well."""

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.aio.support import AsyncWorld, looped
from tests.api.failing import FailingStore
from tests.api.support import LISTS, NOTES, TODOS, TodoList
from tidesync import AsyncSyncContext
from tidesync.errors import (
    BatchActive,
    ContextClosed,
    RecordExists,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    UsageError,
)
from tidesync.events import RecordsChanged
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore


async def ids(ctx: AsyncSyncContext) -> list[Any]:
    return await ctx[NOTES].values("id")


@looped
async def test_all_or_nothing(world: AsyncWorld) -> None:
    """What is in a batch is seen inside it, and by all when it ends; an exception leaves nothing."""
    told: list[object] = []
    async with world.device() as ctx:
        _ = ctx.subscribe(told.append)
        async with ctx.batch():
            _ = await ctx[NOTES].insert({"id": "a"})
            _ = await ctx[NOTES].insert_many([{"id": "b"}, {"id": "c"}])
            assert (["a", "b", "c"], 3, []) == (await ids(ctx), await ctx.pending_operations, told)
        assert [("a", "b", "c")] == [each.ids for each in told if isinstance(each, RecordsChanged)]

        async def fail() -> None:
            async with ctx.batch():
                _ = await ctx[NOTES].insert({"id": "d"})
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert (["a", "b", "c"], 3) == (await ids(ctx), await ctx.pending_operations)


@looped
async def test_others_wait_in_order(world: AsyncWorld) -> None:
    """Writes and reads of other tasks wait until the batch ends, and then go in the order in which they came."""
    order: list[str] = []
    async with world.device() as ctx:
        inside, leave = asyncio.Event(), asyncio.Event()

        async def batch() -> None:
            async with ctx.batch():
                _ = await ctx[NOTES].insert({"id": "a"})
                inside.set()
                await leave.wait()
                _ = await ctx[NOTES].insert({"id": "b"})
            order.append("batch")

        async def write(id: str) -> None:
            _ = await ctx[NOTES].insert({"id": id})
            order.append(id)

        async def read() -> None:
            order.append(",".join(await ids(ctx)))

        first = asyncio.create_task(batch())
        await inside.wait()
        others = [asyncio.create_task(each) for each in (read(), write("c"), read(), write("d"))]
        await asyncio.sleep(0.02)
        assert [] == order
        leave.set()
        _ = await asyncio.gather(first, *others)
        assert ["batch", "a,b", "c", "a,b,c", "d"] == order


@looped
async def test_children_belong_to_the_batch(world: AsyncWorld) -> None:
    """Tasks begun inside it write and read in it; one that lives on after it does not, from its end on."""
    async with world.device() as ctx:
        over, seen = asyncio.Event(), list[object]()

        async def outlive() -> None:
            await over.wait()
            _ = await ctx[NOTES].insert({"id": "z"})
            seen.append((await ctx.push()).ok)
            async with ctx.batch():
                seen.append(await ids(ctx))

        async def fail() -> None:
            async with ctx.batch():
                children.append(asyncio.create_task(outlive()))
                async with asyncio.TaskGroup() as group:
                    for id in "abc":
                        _ = group.create_task(ctx[NOTES].insert({"id": id}))
                seen.append(await ids(ctx))
                over.set()
                raise ZeroDivisionError

        children: list[asyncio.Task[None]] = []
        with pytest.raises(ZeroDivisionError):
            await fail()
        await children[0]
        assert [["a", "b", "c"], True, ["z"]] == seen


@looped
async def test_a_child_writes_on_at_the_very_end(world: AsyncWorld) -> None:
    """While a batch ends, its children are on their own already: they wait for their turn, and lose nothing."""
    async with world.device() as ctx:
        for pauses in range(20):

            async def write(pauses: int = pauses) -> None:
                for number in range(5):
                    _ = await ctx[NOTES].insert({"id": f"{pauses}-{number}"})

            async with ctx.batch():
                child = asyncio.create_task(write())
                for _ in range(pauses):
                    await asyncio.sleep(0)
            await child
        assert 100 == await ctx[NOTES].count()


@looped
async def test_what_is_refused_inside(world: AsyncWorld) -> None:
    """Push, pull, purge, remote tables and another batch are refused, children's too, and the batch goes on."""
    async with world.device() as ctx:
        async with ctx.batch():
            _ = await ctx[NOTES].insert({"id": "a"})
            calls: list[Any] = [
                ctx.push, ctx[NOTES].pull, ctx[NOTES].purge, lambda: ctx.remote(NOTES).get("a"),
                lambda: ctx.remote(NOTES).all(), lambda: ctx.batch().__aenter__(),
            ]  # fmt: skip
            for call in calls:
                with pytest.raises(BatchActive):
                    await call()
                with pytest.raises(BatchActive):
                    await asyncio.create_task(call())
            with pytest.raises(RecordExists):
                _ = await ctx[NOTES].insert({"id": "a"})
        assert (["a"], True) == (await ids(ctx), (await ctx.push()).ok)


@looped
async def test_a_batch_is_entered_once(world: AsyncWorld) -> None:
    """Another needs another `batch()`; nothing of the refused entry stays."""
    async with world.device() as ctx:
        batch = ctx.batch()
        async with batch:
            _ = await ctx[NOTES].insert({"id": "a"})
        for _ in range(2):
            with pytest.raises(UsageError, match=r"call batch\(\) again"):
                async with batch:
                    raise AssertionError("it was entered")
        _ = await ctx[NOTES].insert({"id": "b"})
        assert ["a", "b"] == await ids(ctx)
    with pytest.raises(ContextClosed):
        async with ctx.batch():
            raise AssertionError("it was entered")


@looped
async def test_batches_of_two_contexts_at_once(world: AsyncWorld) -> None:
    """Each has its own, also within one task; writes go where they belong."""
    async with world.device("one") as one, world.device("two") as two:

        async def fail() -> None:
            async with one.batch():
                _ = await one[NOTES].insert({"id": "a"})
                async with two.batch():
                    _ = await one[NOTES].insert({"id": "b"})
                    _ = await two[NOTES].insert({"id": "c"})
                assert [["a", "b"], ["c"]] == [await ids(one), await ids(two)]
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert [[], ["c"]] == [await ids(one), await ids(two)]


@looped
@pytest.mark.parametrize("caught", [False, True])
async def test_a_store_that_fails_inside(caught: bool) -> None:
    """Nothing of the batch is kept, also if the failure was caught inside; the next batch works."""
    store = FailingStore(MemoryStore())
    async with AsyncSyncContext(store, None, [NOTES]) as ctx:

        async def fail() -> None:
            async with ctx.batch():
                _ = await ctx[NOTES].insert({"id": "a"})
                store.fuse = 1
                try:
                    _ = await ctx[NOTES].insert_many([{"id": f"{n}"} for n in range(3)])
                    _ = await ids(ctx)
                except StoreFull:
                    store.fuse = None
                    if not caught:
                        raise

        with pytest.raises(StoreError):
            await fail()
        store.fuse = None
        assert [] == await ids(ctx)
        async with ctx.batch():
            _ = await ctx[NOTES].insert({"id": "b"})
        assert ["b"] == await ids(ctx)


@looped
async def test_a_store_that_fails_as_a_batch_begins_or_ends() -> None:
    """The error is raised where it happens, and nobody waits for a batch that there is not."""
    store = FailingStore(MemoryStore())
    async with AsyncSyncContext(store, None, [NOTES]) as ctx:
        begin, store.transaction = store.transaction, _Broken  # type: ignore[method-assign, assignment]
        with pytest.raises(StoreFull):
            async with ctx.batch():
                raise AssertionError("it was entered")
        store.transaction = begin  # type: ignore[method-assign]

        async def fail() -> None:
            async with ctx.batch():
                _ = await ctx[NOTES].insert({"id": "a"})
                store.fuse = 1

        with pytest.raises(StoreFull):
            await fail()
        store.fuse = None
        assert [] == await asyncio.wait_for(ids(ctx), 5)


class _Broken:
    def __init__(self, *, write: bool) -> None: ...

    def __enter__(self) -> Any:
        raise StoreFull("no room to begin")

    def __exit__(self, *exception: object) -> None:
        raise AssertionError("what was not entered is left")


@looped
async def test_a_transaction_whose_first_read_fails(tmp_path: Any) -> None:
    """A batch that cannot begin leaves no transaction open."""
    store = FailingStore(SQLiteStore(tmp_path / "one.db"))
    async with AsyncSyncContext(store, None, [NOTES]) as ctx:
        opened: list[str] = []

        class Unreadable:
            def __init__(self, *, write: bool) -> None: ...

            def __enter__(self) -> Any:
                opened.append("in")
                return self

            def __exit__(self, *exception: object) -> None:
                opened.append("out")

            def get(self, table: str, ids: object) -> Any:
                raise StoreError("unreadable")

        begin, store.transaction = store.transaction, Unreadable  # type: ignore[method-assign, assignment, return-value]
        with pytest.raises(StoreError, match="unreadable"):
            async with ctx.batch():
                raise AssertionError("it was entered")
        store.transaction = begin  # type: ignore[method-assign]
        assert (["in", "out"], []) == (opened, await asyncio.wait_for(ids(ctx), 5))


@looped
async def test_a_busy_store(tmp_path: Any) -> None:
    """A batch that cannot begin is `StoreBusy`, and the loop goes on meanwhile; one that is cancelled waits no more."""
    path = tmp_path / "one.db"
    async with AsyncSyncContext(SQLiteStore(path, busy_timeout=0.2), None, [NOTES]) as ctx:
        other = SQLiteStore(path)
        other.open([NOTES.schema])
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with other.transaction(write=True):
                held.set()
                _ = go_on.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(10)
        ticks = 0
        entering = asyncio.create_task(ctx.batch().__aenter__())
        while not entering.done():
            await asyncio.sleep(0.005)
            ticks += 1
        with pytest.raises(StoreBusy):
            await entering
        assert ticks > 10
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02), ctx.batch():
                raise AssertionError("it was entered")
        go_on.set()
        await asyncio.to_thread(thread.join)
        async with ctx.batch():
            _ = await ctx[NOTES].insert({"id": "a"})
        assert ["a"] == await ids(ctx)
        other.close()


# ---- cancellation


@looped
async def test_a_batch_that_is_cancelled_leaves_nothing(world: AsyncWorld) -> None:
    """At whichever await of its body, and others have their turn."""
    async with world.device() as ctx:
        for steps in range(12):

            async def batch(steps: int = steps) -> None:
                async with ctx.batch():
                    for number in range(10):
                        _ = await ctx[NOTES].insert({"id": f"{number}"})
                    await asyncio.Event().wait()

            task = asyncio.create_task(batch())
            for _ in range(steps):
                await asyncio.sleep(0.0005)
            _ = task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ([], 0) == (await asyncio.wait_for(ids(ctx), 5), await ctx.pending_operations)


@looped
async def test_a_timeout_inside_a_batch(world: AsyncWorld) -> None:
    """What it ended may have been done or not; the batch goes on, and keeps the rest."""
    async with world.device() as ctx:
        async with ctx.batch():
            _ = await ctx[NOTES].insert({"id": "a"})
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    _ = await ctx[NOTES].insert({"id": "b"})
            _ = await ctx[NOTES].insert({"id": "c"})
        assert ["a", "c"] == [id for id in await ids(ctx) if id != "b"]


@looped
async def test_cancelled_as_it_ends(world: AsyncWorld) -> None:
    """The end that was begun comes, also when much is to be done before it, and others have their turn."""
    async with world.device() as ctx:
        for pauses in range(4):
            go_on, ending = threading.Event(), asyncio.Event()

            async def batch(id: str, go_on: threading.Event = go_on, ending: asyncio.Event = ending) -> None:
                async with ctx.batch():
                    _ = await ctx[NOTES].insert({"id": id})
                    # What is left behind in the batch still comes before its end.
                    _ = ctx._ports.thread.submit(lambda: go_on.wait(10))
                    ending.set()

            task = asyncio.create_task(batch(f"{pauses}"))
            await ending.wait()
            for _ in range(pauses):
                await asyncio.sleep(0)
            _ = task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
            assert [f"{number}" for number in range(pauses + 1)] == await asyncio.wait_for(ids(ctx), 5)


@looped
async def test_a_waiter_that_is_cancelled_is_left_out(world: AsyncWorld) -> None:
    """It writes nothing, and those behind it have their turn, also if the batch ends in the same moment."""
    async with world.device() as ctx:
        batch = ctx.batch()
        await batch.__aenter__()
        others = [
            asyncio.get_running_loop().create_task(ctx[NOTES].insert({"id": id}), context=_elsewhere())
            for id in "abc"
        ]
        await asyncio.sleep(0)
        _ = others[0].cancel()
        ending = asyncio.create_task(batch.__aexit__(None, None, None))
        assert [True, False, False] == [
            isinstance(each, asyncio.CancelledError)
            for each in await asyncio.gather(*others, return_exceptions=True)
        ]
        await ending
        assert ["b", "c"] == await ids(ctx)


def _elsewhere() -> contextvars.Context:
    """The context of a task that was not begun in the batch."""
    return contextvars.Context()


@looped
@pytest.mark.parametrize("opened_again", [False, True])
async def test_closed_inside(world: AsyncWorld, opened_again: bool) -> None:
    """A context that is closed inside a batch ends it with nothing kept, and those who wait are told."""
    ctx = await world.device().open()
    waiting: list[asyncio.Task[Any]] = []

    async def batch() -> None:
        async with ctx.batch():
            _ = await ctx[NOTES].insert({"id": "a"})
            waiting.append(asyncio.get_running_loop().create_task(ids(ctx), context=_elsewhere()))
            await asyncio.sleep(0)
            await ctx.close()
            with pytest.raises(ContextClosed):
                _ = await ctx[NOTES].insert({"id": "b"})
            if opened_again:
                _ = await ctx.open()
                with pytest.raises(StoreClosed, match="ended when its context was closed"):
                    _ = await ctx[NOTES].insert({"id": "c"})

    with pytest.raises(StoreClosed, match="ended when its context was closed"):
        await batch()
    if opened_again:
        assert [] == await waiting[0] == await ids(ctx)
        await ctx.close()
    else:
        with pytest.raises(StoreClosed):
            _ = await waiting[0]
    async with ctx:
        assert [] == await ids(ctx)


@looped
async def test_what_many_are_given_is_taken_at_once(world: AsyncWorld) -> None:
    """`insert_many` reads its items on the loop, where they belong, before anything else happens."""
    async with world.device() as ctx:
        here = threading.get_ident()

        def items() -> Iterator[Any]:
            for number in range(3):
                assert here == threading.get_ident()
                yield TodoList(f"{number}")

        given = [TodoList("x"), TodoList("y")]
        adding = asyncio.create_task(ctx[LISTS].insert_many(given))
        await asyncio.sleep(0)
        given.append(TodoList("z"))
        assert 2 == len(await adding)
        assert 3 == len(await ctx[LISTS].insert_many(items()))
        assert [] == await ctx[TODOS].insert_many(iter(()))
