"""Live queries and event streams of an `AsyncSyncContext`."""

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.aio.support import AsyncWorld, looped, on_loop
from tests.api.support import NOTES, TABLES, MakeStore, Remote
from tests.watching.other import Other
from tests.watching.support import ids
from tidesync import AsyncSyncContext, AsyncWatch, Rows
from tidesync.errors import BatchActive, ContextClosed, StoreBusy, UsageError
from tidesync.events import EventsMissed, OperationQueued, RecordsChanged
from tidesync.queue import Queue
from tidesync.stores import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport
from tidesync.watching import Rest


@pytest.fixture
def device(make_store: MakeStore, remote: Remote) -> AsyncSyncContext:
    return AsyncWorld(make_store, remote).device()


async def eventually(true: Callable[[], bool]) -> bool:
    """Whether it comes true within ten seconds."""
    for _ in range(2000):
        if true():
            return True
        await asyncio.sleep(0.005)
    return False


@looped
async def test_the_result_comes_at_once_and_after_each_change(device: AsyncSyncContext) -> None:
    """First the result as it is, then each that another one makes; nothing where nothing changed."""
    async with device as ctx:
        await ctx[NOTES].insert({"id": "a", "stars": 1})
        watch = ctx[NOTES].watch(ctx[NOTES].where(NOTES.c.stars > 0).include_total_count(), poll=None)
        rows = await watch.next(0)
        assert rows is not None
        assert (["a"], 1, None) == (ids(rows), rows.total_count, await watch.next(0))
        await ctx[NOTES].insert({"id": "b", "stars": 2})
        assert ["a", "b"] == ids(await watch.next(0))
        await ctx[NOTES].insert({"id": "c", "stars": 0})
        assert await watch.next(0) is None
        async with ctx.batch():
            await ctx[NOTES].delete("a")
            await ctx[NOTES].delete("b")
        assert ([], None) == (await watch.next(0), await watch.next(0))


@looped
async def test_push_pull_and_purge_are_seen(make_store: MakeStore, remote: Remote) -> None:
    """Versions that a push brings, records that a pull brings and drops, what a purge removes."""
    async with AsyncWorld(make_store, remote).device() as ctx:
        watch = ctx[NOTES].watch(poll=None)
        await watch.next()
        await ctx[NOTES].insert({"id": "a"})
        await watch.next()
        await ctx.push()
        rows = await watch.next(0)
        assert rows is not None
        assert rows[0]["version"] is not None
        remote.write("note", "b", text="there", stars=1, tags=[])
        await ctx[NOTES].pull(name="all")
        assert ["a", "b"] == ids(await watch.next(0))
        await ctx[NOTES].purge()
        assert ([], None) == (await watch.next(0), await watch.next(0))


@looped
async def test_async_for_waits_for_the_next(device: AsyncSyncContext) -> None:
    """A task gets each result that others make, however many write; the end of the context ends it."""
    async with device as ctx:
        seen: list[Any] = []

        async def follow() -> None:
            async for rows in ctx[NOTES].watch(poll=None):
                seen.append(ids(rows))

        task = asyncio.create_task(follow())
        assert await eventually(lambda: seen == [[]])
        await asyncio.gather(*(ctx[NOTES].insert({"id": f"{number}"}) for number in range(50)))
        assert await eventually(lambda: len(seen[-1]) == 50)
        assert sorted(map(len, seen)) == [len(each) for each in seen]
        await ctx.close()
        await asyncio.wait_for(task, 10)


@looped
async def test_next_gives_up_in_time(device: AsyncSyncContext) -> None:
    """None after so many seconds, also while another task has the turn; a closed one has nothing."""
    async with device as ctx:
        async with ctx[NOTES].watch() as watch:
            await watch.next()
            waiting = asyncio.create_task(watch.next())
            assert await watch.next(0.02) is None
        assert (None, None, True) == (await waiting, await watch.next(), watch.closed)


@looped
async def test_a_cancelled_next_loses_nothing(device: AsyncSyncContext) -> None:
    """Cancelled at each await of it: whoever asks then gets what it would have got."""
    async with device as ctx:
        watch = ctx[NOTES].watch(poll=None)
        await watch.next()
        for steps in range(8):
            await ctx[NOTES].insert({"id": f"{steps}"})
            task = asyncio.create_task(watch.next())
            for _ in range(steps):
                await asyncio.sleep(0)
            if not task.cancel():
                assert steps + 1 == len(task.result() or ())
                continue
            try:
                found = await task
            except asyncio.CancelledError:
                found = await watch.next(0)
            assert steps + 1 == len(found or ())


@looped
async def test_what_a_cancelled_call_committed_is_seen(device: AsyncSyncContext) -> None:
    """A write that is cancelled after it began on the store's thread goes on: watches see it."""
    begun, go = threading.Event(), threading.Event()

    def write(queue: Queue) -> None:
        begun.set()
        assert go.wait(10)
        queue.write("note", "a", {"id": "a"})

    async with device as ctx:
        watch = ctx[NOTES].watch(poll=None)
        await watch.next()
        task = asyncio.create_task(ctx.write(write))
        assert await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.wait([task])
        go.set()
        assert (True, ["a"]) == (task.cancelled(), ids(await watch.next(10)))


# ---- a callback


@pytest.mark.parametrize("kind", ["function", "coroutine function"])
def test_a_callback_is_given_each_result(device: AsyncSyncContext, kind: str) -> None:
    """In a task of its own, one call at a time, awaited if it is a coroutine function; none begins after the end."""
    given: list[Any] = []

    def back(rows: Rows[Any]) -> None:
        given.append(ids(rows))

    async def later(rows: Rows[Any]) -> None:
        await asyncio.sleep(0)
        back(rows)

    async def main() -> None:
        async with device as ctx:
            watch = ctx[NOTES].watch(None, back if kind == "function" else later, poll=None)
            assert await eventually(lambda: given == [[]])
            await ctx[NOTES].insert({"id": "a"})
            assert await eventually(lambda: given == [[], ["a"]])
            await watch.close()
            await ctx[NOTES].insert({"id": "b"})
            await asyncio.sleep(0.01)
            assert ([[], ["a"]], set()) == (given, ctx._calling)
            ctx[NOTES].watch(None, later)  # held by nobody, and ended by the context

    on_loop(main())


@looped
async def test_a_callback_that_raises_goes_on(
    device: AsyncSyncContext, caplog: pytest.LogCaptureFixture
) -> None:
    """The exception is logged, without records; the next result comes."""
    given: list[Any] = []

    async def back(rows: Rows[Any]) -> None:
        given.append(ids(rows))
        raise ValueError("a bug in the application")

    with caplog.at_level(logging.ERROR, logger="tidesync"):
        async with device as ctx:
            ctx[NOTES].watch(None, back, poll=None)
            gc.collect()
            assert await eventually(lambda: len(given) == 1)
            await ctx[NOTES].insert({"id": "a", "text": "very private"})
            assert await eventually(lambda: len(given) == 2)
    assert ["the callback of a watch of note failed"] * 2 == [
        record.getMessage() for record in caplog.records
    ]
    assert "very private" not in caplog.text


@looped
async def test_a_callback_may_close_its_watch_and_the_context(device: AsyncSyncContext) -> None:
    """It waits for itself in neither case."""
    ended = asyncio.Event()

    async def close(rows: Rows[Any]) -> None:
        await watch.close()
        await ctx.close()
        ended.set()

    async with device as ctx:
        watch = ctx[NOTES].watch(None, close)
        async with asyncio.timeout(10):
            await ended.wait()
        assert watch.closed


@looped
async def test_a_callback_hears_of_what_a_failed_read_would_have_seen(
    device: AsyncSyncContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its task logs the failure, and tries again after a rest."""
    monkeypatch.setattr(Rest, "longer", lambda self: 0.01)
    given: list[Any] = []
    async with device as ctx:
        ctx[NOTES].watch(None, lambda rows: given.append(ids(rows)), poll=None)
        assert await eventually(lambda: given == [[]])
        real, failing = ctx._store.transaction, [True]

        def busy(*, write: bool) -> Any:
            if failing and not write:
                failing.clear()
                raise StoreBusy("another process is writing")
            return real(write=write)

        monkeypatch.setattr(ctx._store, "transaction", busy)
        with caplog.at_level(logging.ERROR, logger="tidesync"):
            await ctx[NOTES].insert({"id": "a"})
            assert await eventually(lambda: given == [[], ["a"]])
    assert ["a watch of note could not look"] == [record.getMessage() for record in caplog.records]


# ---- ends


@looped
async def test_nobody_holds_a_watch(device: AsyncSyncContext) -> None:
    """One that is dropped is gone at once, and so is what was kept for it."""
    async with device as ctx:
        gc.disable()
        try:
            watch: Any = ctx[NOTES].watch()
            await watch.next()
            stream: Any = ctx.events()
            assert 2 == len(ctx._changes._alive())
            del watch, stream
            assert 0 == len(ctx._changes._alive())
        finally:
            gc.enable()


@looped
async def test_a_batch_is_no_place_to_watch(device: AsyncSyncContext) -> None:
    """In the task that is in the batch: `BatchActive`. Other tasks wait until it ends."""
    async with device as ctx:
        watch, other, stream = ctx[NOTES].watch(poll=None), ctx[NOTES].watch(poll=None), ctx.events()
        waiting = asyncio.create_task(other.next())
        async with ctx.batch():
            await ctx[NOTES].insert({"id": "a"})
            for asked in (watch, stream):
                with pytest.raises(BatchActive):
                    await asked.next(0)
            with pytest.raises(BatchActive):
                ctx[NOTES].watch()
        assert ["a"] == ids(await watch.next(0))
        assert ["a"] == ids(await waiting)


@looped
async def test_a_watch_needs_an_open_context(device: AsyncSyncContext) -> None:
    """Before `open` and after `close` it is `ContextClosed`; with a callback it is not asked."""
    async with device as ctx:
        with pytest.raises(UsageError, match="callback"):
            await ctx[NOTES].watch(None, print).next()
    for call in (device[NOTES].watch, device.events):
        with pytest.raises(ContextClosed):
            call()


def test_a_loop_that_ended_leaves_nothing(device: AsyncSyncContext) -> None:
    """A context that was not closed goes on, on another loop; a watch of the first one hears of it without harm."""

    async def leave() -> AsyncWatch[Any]:
        ctx = await device.open()
        watch = ctx[NOTES].watch(poll=None)
        await watch.next()
        ctx[NOTES].watch(None, lambda rows: None)
        return watch

    async def again() -> int:
        async with device as ctx:
            await ctx[NOTES].insert({"id": "a"})
            return await ctx[NOTES].count()

    watch = asyncio.run(leave())
    assert (1, True) == (asyncio.run(again()), watch.closed)


# ---- events


@looped
async def test_every_event_comes_in_order(device: AsyncSyncContext) -> None:
    """What subscribers are told; what a slow reader missed is counted; the end of the context ends it."""
    async with device as ctx:
        told: list[Any] = []
        ctx.subscribe(told.append)
        stream, small = ctx.events(poll=None), ctx.events(buffer=1)
        await ctx[NOTES].insert({"id": "a"})
        await ctx.push()
        assert told == [await stream.next(0) for _ in told]
        assert [EventsMissed(len(told) - 1), told[-1]] == [await small.next(0), await small.next(0)]
        waiting = asyncio.create_task(stream.next())
        await asyncio.sleep(0)
        await ctx[NOTES].insert({"id": "b"})
        assert RecordsChanged("note", ("b",), "local") == await waiting
    assert [OperationQueued("note", "b", "insert")] == [event async for event in stream]


@looped
async def test_another_process_is_seen(tmp_path: Path) -> None:
    """What it commits makes a watch here look again, and is told as an event; our own writes are never told so."""
    store, remote = tmp_path / "device.db", tmp_path / "remote.db"
    authority = Authority(SQLiteStore(remote, synchronous="normal"), [each.schema for each in TABLES])
    transport = LoopbackTransport(authority.open())
    async with AsyncSyncContext(SQLiteStore(store, synchronous="normal"), transport, TABLES) as ctx:
        with await asyncio.to_thread(Other, store, remote) as other:
            told: list[Any] = []
            ctx.subscribe(told.append)
            watch = ctx[NOTES].watch(poll=0.02)
            assert [] == await watch.next(10)
            for number, line in enumerate(("insert a", "insert b c", "purge")):
                await asyncio.to_thread(other.do, line)
                assert (["a"], ["a", "b", "c"], [])[number] == ids(await watch.next(10))
            await ctx[NOTES].insert({"id": "m"})
            assert ["m"] == ids(await watch.next(0))
            assert await watch.next(0.06) is None
        elsewhere = RecordsChanged("note", (), "elsewhere")
        assert [elsewhere] * 3 + [RecordsChanged("note", ("m",), "local")] == [
            each for each in told if isinstance(each, RecordsChanged)
        ]
