"""Batches on an event loop: who is in, who waits, and what is left when they do not end well."""

import asyncio
import gc
import threading
import weakref
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
async def test_a_chain_of_tasks_keeps_no_batches(world: AsyncWorld) -> None:
    """Each begun in the batch of the one before it: those that are over are not kept for the last."""
    async with world.device() as ctx:
        batches = list[weakref.ref[object]]()

        async def step(left: int, before: asyncio.Event) -> int:
            await before.wait()
            batch, over = ctx.batch(), asyncio.Event()
            batches.append(weakref.ref(batch))
            async with batch:
                if not left:
                    _ = gc.collect()
                    return len([each for each in batches if each() is not None])
                following = asyncio.create_task(step(left - 1, over))
            del batch
            over.set()
            return await following

        begin = asyncio.Event()
        begin.set()
        assert 1 == await step(5, begin)


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
