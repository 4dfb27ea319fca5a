"""Event loops: which one a context belongs to, what opening and closing promise there, and what is left at the end."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.aio.support import AsyncWire, AsyncWorld, looped, on_loop, threads, until
from tests.api.support import NOTES, TABLES, Remote, Wire
from tidesync import AsyncSyncContext, SyncContext
from tidesync.errors import ConfigurationError, ContextClosed, UsageError
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

    class Called:
        async def __call__(self, conflict: Any) -> Any:
            raise AssertionError

    wrong: list[tuple[Any, dict[str, Any]]] = [
        (AsyncWire(remote.authority), {}),
        (None, {"policy": policy}),
        (None, {"policies": {NOTES: policy}}),
        (None, {"policy": Called()}),
        (None, {"handler": Handler()}),
    ]
    for transport, options in wrong:
        with pytest.raises(ConfigurationError, match="AsyncSyncContext"):
            _ = SyncContext(MemoryStore(), transport, TABLES, **options)
    with SyncContext(MemoryStore(), None, TABLES) as ctx:
        for callback in (policy, Called()):
            with pytest.raises(ConfigurationError, match="AsyncSyncContext"):
                _ = ctx[NOTES].watch(None, callback)


@looped
async def test_a_subscriber_is_not_awaited(world: AsyncWorld) -> None:
    """On a loop neither: a coroutine function is refused, since nothing of it would ever run."""

    async def subscriber(event: Any) -> None:
        raise AssertionError

    async with world.device() as ctx:
        with pytest.raises(ConfigurationError, match="begin a task"):
            _ = ctx.subscribe(subscriber)
        _ = await ctx[NOTES].insert({"id": "a"})
