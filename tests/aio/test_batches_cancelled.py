"""Batches on an event loop that are cancelled, run out of time, or are closed inside."""

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from tests.aio.support import AsyncWorld, looped
from tests.api.support import NOTES
from tidesync import AsyncSyncContext
from tidesync.errors import ContextClosed, StoreClosed


async def ids(ctx: AsyncSyncContext) -> list[Any]:
    return await ctx[NOTES].values("id")


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
