"""How a watch of an event loop ends: closed, also in a batch, cancelled, or with its loop."""

import asyncio
import contextlib
import gc
import logging
import weakref
from typing import Any

import pytest

from tests.aio.support import AsyncWorld, looped, on_loop
from tests.api.support import NOTES, MakeStore, Remote
from tests.watching.support import ids
from tests.watching.test_aio import eventually
from tidesync import AsyncSyncContext, AsyncWatch, Rows
from tidesync.errors import StoreClosed


@pytest.fixture
def device(make_store: MakeStore, remote: Remote) -> AsyncSyncContext:
    return AsyncWorld(make_store, remote).device()


@looped
async def test_a_callback_that_awaits_what_was_cancelled_goes_on(
    device: AsyncSyncContext, caplog: pytest.LogCaptureFixture
) -> None:
    """That is a failure like others: only who cancels the watch's own task ends it, and then it is closed."""
    caplog.set_level(logging.ERROR, "tidesync")
    given: list[object] = []

    async def back(rows: Rows[Any]) -> None:
        given.append(ids(rows))
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    async with device as ctx:
        watch = ctx[NOTES].watch(None, back, poll=None)
        assert await eventually(lambda: given == [[]])
        await ctx[NOTES].insert({"id": "a"})
        assert await eventually(lambda: given == [[], ["a"]])
        assert 2 == len(caplog.records)
        (task,) = (each for each in asyncio.all_tasks() if each.get_name() == "tidesync-watch-note")
        task.cancel()
        await asyncio.wait((task,))
        assert watch.closed


@pytest.mark.parametrize("kind", ["watch", "context"])
def test_closing_waits_for_no_batch(device: AsyncSyncContext, kind: str) -> None:
    """A callback's watch that waits for a batch to end is closed inside that batch, and is gone."""

    async def main() -> list[list[str] | None]:
        shown: list[list[str] | None] = []
        async with device as ctx:
            watch = ctx[NOTES].watch(None, lambda rows: shown.append(ids(rows)), poll=0.01)
            assert await eventually(lambda: bool(shown))
            with contextlib.suppress(StoreClosed):  # what becomes of a batch whose context was closed
                async with ctx.batch():
                    await ctx[NOTES].insert({"id": "a"})
                    await asyncio.sleep(0.05)  # it wants to look for others' changes
                    await (watch.close() if kind == "watch" else ctx.close())
                    assert watch.closed
                    assert "tidesync-watch-note" not in {task.get_name() for task in asyncio.all_tasks()}
        return shown

    assert [[]] == on_loop(main(), 10)


@looped
async def test_a_watch_that_is_closed_before_its_task_began_is_let_go(device: AsyncSyncContext) -> None:
    """Nothing is kept of it, and the callback is not called."""
    shown: list[object] = []
    async with device as ctx:
        watch = ctx[NOTES].watch(None, shown.append)
        await watch.close()
        gone = weakref.ref(watch)
        del watch
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None
    assert [] == shown


@pytest.mark.parametrize("how", ["ended", "closed in the middle"])
def test_a_watch_of_a_loop_that_is_no_more_can_be_closed(device: AsyncSyncContext, how: str) -> None:
    """On another loop, as its context can."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: None)  # of a task that was left behind

    async def begin() -> AsyncWatch[Any]:
        watch = (await device.open())[NOTES].watch(None, lambda rows: None)
        await asyncio.sleep(0)
        if how == "ended":
            _ = [each.cancel() for each in asyncio.all_tasks() if each is not asyncio.current_task()]
            await asyncio.sleep(0.02)
        return watch

    watch = loop.run_until_complete(begin())
    loop.close()

    async def again() -> None:
        async with device:
            await watch.close()
        await watch.close()

    on_loop(again())
    assert watch.closed
