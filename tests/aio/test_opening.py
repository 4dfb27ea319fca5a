"""Opening and closing a context on an event loop: by many at once, cancelled, failing, and in the middle of a push."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from tests.aio.support import AsyncWire, AsyncWorld, looped, threads, until
from tests.api.failing import FailingStore
from tests.api.support import NOTES, TABLES
from tidesync import AsyncSyncContext, PushFailed, table
from tidesync.contracts.transport import Change
from tidesync.errors import ContextClosed, SchemaMismatch
from tidesync.stores.memory import MemoryStore


@looped
async def test_many_open_and_close_at_once(world: AsyncWorld) -> None:
    """Each call ends with the context as it says, whatever others do; the store is never left half open."""
    ctx = world.device()
    _ = await asyncio.gather(*(ctx.open() for _ in range(20)))
    _ = await ctx[NOTES].insert({"id": "a"})
    await asyncio.gather(*(ctx.close() for _ in range(20)))
    with pytest.raises(ContextClosed):
        _ = await ctx[NOTES].count()
    _ = await asyncio.gather(*(call() for _ in range(20) for call in (ctx.open, ctx.close)))
    closing, opening = asyncio.create_task(ctx.close()), asyncio.create_task(ctx.open())
    _ = await asyncio.gather(closing, opening)
    assert 1 == await ctx[NOTES].count()
    await ctx.close()


class SlowStore(FailingStore):
    """Takes its time to open and to close, and notes it."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.calls: list[str] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def open(self, tables: Any) -> None:
        self._wait("open")
        super().open(tables)

    def close(self) -> None:
        self._wait("close")
        super().close()

    def _wait(self, call: str) -> None:
        self.begun.set()
        assert self.go_on.wait(10)
        if self.calls[-1:] != [call]:  # to be opened again, with more tables, is nothing new
            self.calls.append(call)


@looped
@pytest.mark.parametrize("begun", [True, False])
async def test_an_opening_that_is_cancelled(begun: bool) -> None:
    """The store is closed behind it, no thread stays, and the next opening works."""
    store = SlowStore()
    ctx = AsyncSyncContext(store, None, TABLES)
    opening = asyncio.create_task(ctx.open())
    if begun:
        await until(store.begun)
    else:
        await asyncio.sleep(0)
    _ = opening.cancel()
    again = asyncio.create_task(ctx.open())
    with pytest.raises(asyncio.CancelledError):
        _ = await opening
    store.go_on.set()
    _ = await again
    assert 0 == await ctx[NOTES].count()
    await ctx.close()
    assert ["close", "open", "close"] == store.calls[-3:]


@looped
@pytest.mark.parametrize("times", [1, 2])
async def test_a_closing_that_is_cancelled(times: int) -> None:
    """The store is closed all the same, in order, before it is opened again."""
    store, wire = SlowStore(), None
    store.go_on.set()
    ctx = AsyncSyncContext(store, wire, TABLES)
    _ = await ctx.open()
    store.go_on.clear()
    busy = asyncio.create_task(asyncio.sleep(0))
    blocked = ctx._ports.thread.submit(lambda: store.go_on.wait(10))
    closing = asyncio.create_task(ctx.close())
    await busy
    for _ in range(times):
        _ = closing.cancel()
        await asyncio.sleep(0)
    again = asyncio.create_task(ctx.open())
    await asyncio.sleep(0.01)
    store.go_on.set()
    assert isinstance((await asyncio.gather(closing, return_exceptions=True))[0], asyncio.CancelledError)
    _ = await blocked, await again
    assert (["open", "close", "open"], 0) == (store.calls, await ctx[NOTES].count())
    await ctx.close()


@looped
async def test_an_opening_that_fails(world: AsyncWorld) -> None:
    """The error comes out, no thread stays, and a right declaration opens it."""
    async with world.device() as ctx:
        _ = await ctx[NOTES].insert({"id": "a", "text": "x"})
    wrong = world.device(tables=[table("note", {"text": int})])
    with pytest.raises(SchemaMismatch):
        _ = await wrong.open()
    assert [] == threads()
    with pytest.raises(ContextClosed):
        _ = await wrong.pending_operations
    await wrong.close()
    async with world.device() as ctx:
        assert 1 == await ctx[NOTES].count()


@looped
async def test_a_transport_that_fails_at_its_close(world: AsyncWorld, wire: AsyncWire) -> None:
    """The error comes out, and the store is closed."""

    def fail() -> None:
        raise OSError("the plug was pulled")

    wire.inner.close = fail  # type: ignore[method-assign]
    ctx = await world.device(wire=wire).open()
    with pytest.raises(OSError, match="plug"):
        await ctx.close()
    with pytest.raises(ContextClosed):
        _ = await ctx.pending_operations
    assert [] == threads()


@looped
async def test_a_transport_may_close_the_context_that_closes_it(world: AsyncWorld, wire: AsyncWire) -> None:
    """The context is closed once, and can be opened again."""
    ctx = world.device(wire=wire)
    wire.close = ctx.close  # type: ignore[method-assign]  # a transport with an opinion
    _ = await ctx.open()
    await asyncio.wait_for(ctx.close(), 5)
    async with ctx:
        assert 0 == await ctx[NOTES].count()


@looped
@pytest.mark.parametrize("kind", ["asynchronous", "synchronous"])
async def test_closing_while_another_task_pushes(world: AsyncWorld, kind: str) -> None:
    """That push ends as if the process had; what is queued is sent after opening again."""
    ctx: AsyncSyncContext
    wire = world.wire()
    begun, go_on = threading.Event(), threading.Event()

    def hold(changes: Sequence[Change]) -> None:
        begun.set()
        assert go_on.wait(10)

    async def held(call: str) -> None:
        if call == "push":
            begun.set()
            await until(go_on)

    if kind == "synchronous":
        wire.inner.on_push = hold
        ctx = world.device(wire=wire.inner)
    else:
        wire.before = held
        ctx = world.device(wire=wire)
    _ = await ctx.open()
    _ = await ctx[NOTES].insert_many([{"id": "a"}, {"id": "b"}])
    pushing = asyncio.create_task(ctx.push())
    await until(begun)
    await asyncio.wait_for(ctx.close(), 5)
    go_on.set()
    with pytest.raises(PushFailed, match="stopped by store"):
        _ = await pushing
    async with world.device() as again:
        _ = await asyncio.wait_for(again.push(), 5)
        assert (["a", "b"], 0) == (world.remote.ids("note"), await again.pending_operations)


@looped
async def test_closed_and_opened_in_the_middle_of_a_push(world: AsyncWorld, wire: AsyncWire) -> None:
    """A push does not outlive its opening: the next one goes on."""
    ctx = await world.device(wire=wire).open()
    _ = await ctx[NOTES].insert_many([{"id": "a"}, {"id": "b"}])
    wire.inner.limits = {"max_changes": 1}

    async def reopen(call: str) -> None:
        if call == "push":
            wire.before = lambda call: None
            await ctx.close()
            _ = await ctx.open()

    wire.before = reopen
    with pytest.raises(PushFailed, match=r"stopped by caller .*; 1 pending"):
        _ = await ctx.push()
    _ = await ctx.push()
    assert (["a", "b"], 0) == (world.remote.ids("note"), await ctx.pending_operations)
    await ctx.close()
