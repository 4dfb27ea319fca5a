"""Event loops: which one a context belongs to, what opening and closing promise there, and what is left at the end."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.aio.support import AsyncWire, AsyncWorld, looped, on_loop, threads, until
from tests.api.failing import FailingStore
from tests.api.support import NOTES, TABLES, Remote, Wire
from tidesync import AsyncSyncContext, PushFailed, SyncContext, table
from tidesync.contracts.transport import Change
from tidesync.errors import ConfigurationError, ContextClosed, SchemaMismatch, UsageError
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore

# ---- which loop


def test_a_context_is_of_the_loop_that_opened_it(world: AsyncWorld) -> None:
    """Used, opened or closed on another loop meanwhile it is a `UsageError`, and nothing happens."""
    ctx = world.device()
    opened, leave, raised = threading.Event(), threading.Event(), list[str]()

    async def one() -> None:
        async with ctx:
            _ = await ctx[NOTES].insert({"id": "a"})
            opened.set()
            await until(leave)
            assert 1 == await ctx[NOTES].count()

    async def other() -> None:
        calls: list[Any] = [
            ctx[NOTES].count, ctx.open, ctx.close, ctx.push, lambda: ctx.batch().__aenter__(),
            lambda: ctx.pending_operations, lambda: ctx[NOTES].insert_many([{"id": "b"}]),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(UsageError, match="another event loop"):
                await call()
            raised.append("")

    thread = threading.Thread(target=lambda: asyncio.run(one()))
    thread.start()
    assert opened.wait(10)
    try:
        asyncio.run(other())
    finally:
        leave.set()
        thread.join(10)
    assert (7, []) == (len(raised), threads())


def test_without_a_loop(world: AsyncWorld) -> None:
    """What is not awaited says what to do; `stop` may come from any thread."""
    ctx = world.device()
    with pytest.raises(ContextClosed, match=r"async with AsyncSyncContext\(...\) as ctx"):
        ctx.stop()

    async def stopped() -> None:
        async with ctx:
            await asyncio.to_thread(ctx.stop)
            with pytest.raises(UsageError, match="event loop"):
                await asyncio.to_thread(lambda: ctx.pending_operations.send(None))  # type: ignore[attr-defined]

    on_loop(stopped())


def test_opened_again_on_another_loop(world: AsyncWorld, wire: AsyncWire) -> None:
    """Closed on one loop, it is opened on the next, and goes on with what it has kept."""
    ctx = world.device(wire=wire)

    async def use(id: str) -> list[Any]:
        async with ctx:
            _ = await ctx[NOTES].insert({"id": id})
            _ = await ctx.push()
            return await ctx[NOTES].values("id")

    assert [["a"], ["a", "b"], ["a", "b", "c"]] == [on_loop(use(id)) for id in "abc"]
    assert (["a", "b", "c"], 3, 3) == (world.remote.ids("note"), wire.inner.opened, wire.inner.closed)


@pytest.mark.parametrize("how", ["open", "close", "with"])
def test_left_open_by_a_loop_that_ended(world: AsyncWorld, how: str) -> None:
    """It can be opened again, or closed, on another loop: also if a batch was under way, which leaves nothing."""
    ctx = world.device()

    async def leave() -> None:
        _ = await ctx.open()
        _ = await ctx[NOTES].insert({"id": "a"})
        await ctx.batch().__aenter__()
        _ = await ctx[NOTES].insert({"id": "b"})

    async def again() -> list[Any]:
        if how == "close":
            await ctx.close()
            await ctx.close()
        if how != "with":
            _ = await ctx.open()
            found = await ctx[NOTES].values("id")
            await ctx.close()
            return found
        async with ctx:
            return await ctx[NOTES].values("id")

    asyncio.run(leave())
    assert (["a"], []) == (asyncio.run(again()), threads())


def test_use_on_a_loop_that_came_later(world: AsyncWorld) -> None:
    """Without `open` it is told."""
    ctx = world.device()

    async def leave() -> None:
        _ = await ctx.open()

    asyncio.run(leave())
    with pytest.raises(UsageError, match="another event loop"):
        asyncio.run(ctx[NOTES].count())
    asyncio.run(ctx.close())
    assert [] == threads()


PROGRAM = """
import asyncio, sys
from tidesync import AsyncSyncContext, table
from tidesync.stores.sqlite import SQLiteStore
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport
notes = table("note", {"text": str})
async def main():
    authority = Authority(MemoryStore(), [notes.schema], identity="r")
    ctx = AsyncSyncContext(SQLiteStore(sys.argv[1]), LoopbackTransport(authority), [notes])
    await ctx.open()
    await ctx[notes].insert({"id": "a"})
    left = asyncio.create_task(ctx[notes].insert({"id": "b"}))
    await ctx.push()
    print(await ctx.pending_operations)
    if sys.argv[2] == "close":
        await left
        await ctx.close()
asyncio.run(main())
print("ended")
"""


@pytest.mark.parametrize("how", ["close", "leave"])
def test_a_program_that_ends(tmp_path: Path, how: str) -> None:
    """Closed or not, the interpreter ends, and says nothing, with all warnings on."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, str(tmp_path / "one.db"), how]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "0\nended\n", "") == (ended.returncode, ended.stdout, ended.stderr)


# ---- opening and closing


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


# ---- many tasks


@looped
@pytest.mark.parametrize("kind", ["asynchronous", "synchronous"])
async def test_a_hundred_tasks_at_once(world: AsyncWorld, kind: str) -> None:
    """They write, read, push and pull; no error, and both sides agree."""
    wire = world.wire()
    for number in range(40):
        _ = world.remote.write("note", f"there{number}", stars=number)
    async with world.device(wire=wire if kind == "asynchronous" else wire.inner, page_size=20) as ctx:

        async def work(number: int) -> None:
            _ = await ctx[NOTES].insert({"id": f"{number:02}"})
            async with ctx.batch():
                _ = await ctx[NOTES].update(f"{number:02}", stars=number)
                if number % 3 == 0:
                    await ctx[NOTES].delete(f"{number:02}")
            if number % 25 == 0:
                _ = await ctx.push()
                _ = await ctx[NOTES].pull(name="all")
            async for row in ctx[NOTES].where(id=f"{number:02}"):
                assert number == row["stars"]

        async with asyncio.TaskGroup() as group:
            for number in range(100):
                _ = group.create_task(work(number))
        _ = await ctx.push()
        _ = await ctx[NOTES].pull(name="all")
        kept = [f"{number:02}" for number in range(100) if number % 3]
        there = sorted(f"there{number}" for number in range(40))
        assert kept + there == await ctx[NOTES].values("id") == world.remote.ids("note")
        assert 0 == await ctx.pending_operations


@looped
async def test_two_contexts_share_a_store_file(tmp_path: Path, remote: Remote) -> None:
    """One of each face, in one process: each sees what the other wrote."""
    with SyncContext(SQLiteStore(tmp_path / "one.db"), Wire(remote.authority), TABLES) as blocking:
        async with AsyncSyncContext(
            SQLiteStore(tmp_path / "one.db"), AsyncWire(remote.authority), TABLES
        ) as ctx:
            _ = blocking[NOTES].insert({"id": "a"})
            _ = await ctx[NOTES].update("a", text="x")
            assert ["insert"] == [each.kind for each in await ctx.operations()]
            _ = await ctx.push()
            assert 0 == blocking.pending_operations


# ---- what a synchronous context refuses


def test_a_synchronous_context_awaits_nobody(remote: Remote) -> None:
    """What has to be awaited is refused at construction, where to give it is said."""

    async def policy(conflict: Any) -> Any:
        raise AssertionError

    class Handler:
        async def execute(self, attempt: Any, send: Any) -> Any:
            raise AssertionError

        async def on_push_complete(self, report: Any) -> None:
            raise AssertionError

    wrong: list[tuple[Any, dict[str, Any]]] = [
        (AsyncWire(remote.authority), {}),
        (None, {"policy": policy}),
        (None, {"policies": {NOTES: policy}}),
        (None, {"handler": Handler()}),
    ]
    for transport, options in wrong:
        with pytest.raises(ConfigurationError, match="AsyncSyncContext"):
            _ = SyncContext(MemoryStore(), transport, TABLES, **options)
