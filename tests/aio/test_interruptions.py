"""Timeouts, groups of tasks, transports that hang, stores that are busy; and who may ask for a push inside a push."""

import asyncio
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.aio.support import AsyncWire, AsyncWorld, looped, until
from tests.api.support import NOTES, TABLES, Remote, Wire
from tidesync import (
    AsyncSyncContext,
    Conflict,
    DefaultHandler,
    KeepLocal,
    KeepRemote,
    PushFailed,
    Resolution,
    keep_remote,
)
from tidesync.contracts.transport import Change, NotSent, Rejected
from tidesync.errors import ContextClosed, SyncBusy, UsageError
from tidesync.events import Event, PushFinished
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore


@looped
async def test_timeouts_at_any_moment(world: AsyncWorld) -> None:
    """However often a push and a pull run out of time, they get on, and in the end nothing is lost or there twice."""
    chance = random.Random(5)
    wire = world.wire(max_changes=3)
    for number in range(30):
        _ = world.remote.write("note", f"there{number:02}", stars=number)
    async with world.device(wire=wire, page_size=4, patience=0.0) as ctx:
        _ = await ctx[NOTES].insert_many([{"id": f"here{number:02}"} for number in range(30)])
        for _ in range(60):
            try:
                async with asyncio.timeout(chance.random() * 0.01):
                    _ = await ctx.pull(NOTES, name="all")
            except TimeoutError:
                continue
        _ = await ctx.pull(NOTES, name="all")
        ids = sorted([f"here{n:02}" for n in range(30)] + [f"there{n:02}" for n in range(30)])
        assert (ids, ids) == (world.remote.ids("note"), await ctx[NOTES].values("id"))
        assert 0 == await ctx.pending_operations
        # A second effect of one change would show as news.
        assert 0 == (await ctx.pull(NOTES, name="all")).records


@looped
async def test_a_group_with_a_child_that_fails(world: AsyncWorld, wire: AsyncWire) -> None:
    """Its other children are cancelled, a push among them; the next push sends what that one did not."""
    pushing = asyncio.Event()

    async def hold(call: str) -> None:
        if call == "push":
            pushing.set()
            await asyncio.Event().wait()

    async def fail() -> None:
        await pushing.wait()
        raise ZeroDivisionError

    async with world.device(wire=wire) as ctx:
        _ = await ctx[NOTES].insert({"id": "a"})
        wire.before = hold
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # a group is a block
            async with asyncio.TaskGroup() as group:
                _ = group.create_task(ctx.push())
                _ = group.create_task(ctx[NOTES].pull())
                _ = group.create_task(fail())
        assert [ZeroDivisionError] == [type(each) for each in caught.value.exceptions]
        wire.before = lambda call: None
        assert ["attempted"] == [each.state for each in await ctx.operations()]
        assert (1, ["a"]) == (len((await ctx.push()).pushed), world.remote.ids("note"))


def holding(wire: Wire) -> tuple[threading.Event, threading.Event]:
    begun, go_on = threading.Event(), threading.Event()

    def hold(changes: Sequence[Change]) -> None:
        wire.on_push = lambda changes: None
        begun.set()
        assert go_on.wait(10)

    wire.on_push = hold
    return begun, go_on


@looped
async def test_a_synchronous_transport_that_hangs(world: AsyncWorld) -> None:
    """A push of it can be cancelled; local work goes on, and the next push comes after the call that hung."""
    wire = world.wire().inner
    begun, go_on = holding(wire)
    async with world.device(wire=wire, patience=0.0) as ctx:
        _ = await ctx[NOTES].insert({"id": "a"})
        pushing = asyncio.create_task(ctx.push())
        await until(begun)
        _ = pushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            _ = await pushing
        _ = await ctx[NOTES].insert({"id": "b"})
        assert 2 == await ctx.pending_operations
        again = asyncio.create_task(ctx.push())
        await asyncio.sleep(0.02)
        assert (1, False) == (len(wire.pushes), again.done())
        go_on.set()
        assert ["a", "b"] == [each.record_id for each in (await again).pushed]
        assert (["a", "b"], 0) == (world.remote.ids("note"), await ctx.pending_operations)


@looped
async def test_closed_while_a_cancelled_call_hangs(world: AsyncWorld) -> None:
    """Closing waits for no transport; what is queued is sent by the next opening."""
    wire = world.wire().inner
    begun, go_on = holding(wire)
    ctx = await world.device(wire=wire).open()
    _ = await ctx[NOTES].insert({"id": "a"})
    pushing = asyncio.create_task(ctx.push())
    await until(begun)
    _ = pushing.cancel()
    await asyncio.wait_for(ctx.close(), 5)
    assert pushing.cancelled()
    go_on.set()
    async with world.device() as again:
        _ = await again.push()
        assert ["a"] == world.remote.ids("note")


@looped
@pytest.mark.parametrize("call", ["push", "insert", "get", "pull", "batch"])
async def test_cancelled_while_the_store_is_busy(tmp_path: Path, remote: Remote, call: str) -> None:
    """A caller need not wait for a store that others write; what it asked for is done later, or not, and no more."""
    path = tmp_path / "busy.db"
    async with AsyncSyncContext(SQLiteStore(path), AsyncWire(remote.authority), TABLES, patience=0.0) as ctx:
        _ = await ctx[NOTES].insert({"id": "a"})

        async def batch() -> None:
            async with ctx.batch():
                _ = await ctx[NOTES].insert({"id": "b"})

        calls: dict[str, Any] = {
            "push": ctx.push, "insert": lambda: ctx[NOTES].insert({"id": "b"}), "batch": batch,
            "get": lambda: ctx[NOTES].get("a"), "pull": lambda: ctx[NOTES].pull(name="all"),
        }  # fmt: skip
        other = SQLiteStore(path)
        other.open([])
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with other.transaction(write=True):
                held.set()
                assert go_on.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        await until(held)
        started = time.monotonic()
        first, second = (
            asyncio.create_task(calls[call]()),
            asyncio.create_task(ctx[NOTES].insert({"id": "c"})),
        )
        await asyncio.sleep(0.02)
        _ = first.cancel(), second.cancel()
        _ = await asyncio.wait([first, second])
        assert time.monotonic() - started < 5
        # A read waits for nobody: then it is the write behind it that has begun.
        assert (call != "get", True) == (first.cancelled(), second.cancelled())
        go_on.set()
        await asyncio.to_thread(thread.join)
        other.close()
        found = await ctx[NOTES].values("id")
        assert {"insert": ["a", "b"], "get": ["a", "c"]}.get(call, ["a"]) == found
        _ = await ctx.push()
        assert found == remote.ids("note")


# ---- a push inside a push


@looped
@pytest.mark.parametrize("call", ["push", "pull", "purge"])
@pytest.mark.parametrize("where", ["policy", "handler", "report"])
async def test_asked_for_inside_another_one(world: AsyncWorld, call: str, where: str) -> None:
    """By the task that runs it, it is `SyncBusy` at once: it would wait for itself. It goes on with the next one."""
    refused: list[SyncBusy] = []

    async def ask() -> None:
        if not refused:
            try:
                await calls[call]()
            except SyncBusy as error:
                refused.append(error)

    class Handler:
        async def execute(self, attempt: Any, send: Any) -> Any:
            if where == "handler":
                await ask()
            return await send()

        async def on_push_complete(self, report: Any) -> None:
            if where == "report":
                await ask()

    async def policy(conflict: Conflict) -> Resolution:
        if where == "policy":
            await ask()
        return KeepLocal()

    async with world.device(handler=Handler(), policy=policy, patience=60.0) as ctx:
        calls: dict[str, Any] = {"push": ctx.push, "pull": ctx[NOTES].pull, "purge": ctx[NOTES].purge}
        _ = world.remote.write("note", "a", text="there")
        _ = await ctx[NOTES].pull()
        _ = await ctx[NOTES].update("a", text="mine")
        _ = world.remote.write("note", "a", text="theirs")
        started = time.monotonic()
        _ = await ctx.push()
        assert time.monotonic() - started < 10
        assert ["inside another one" in str(each) for each in refused] == [True]
        assert {"id": "a", "text": "mine"} == world.remote.content("note", "a")


@looped
async def test_asked_for_by_another_task_meanwhile(world: AsyncWorld) -> None:
    """It waits for its turn: also where a subscriber, or a policy, begins that task."""
    others: list[asyncio.Task[Any]] = []

    def told(event: Event) -> None:
        if isinstance(event, PushFinished) and len(others) < 2:
            others.append(asyncio.create_task(ctx.push()))

    def policy(conflict: Conflict) -> Resolution:
        others.append(asyncio.create_task(ctx[NOTES].pull()))
        return KeepRemote()

    async with world.device(policy=policy) as ctx:
        _ = ctx.subscribe(told)
        _ = await ctx[NOTES].insert({"id": "a", "text": "mine"})
        _ = world.remote.write("note", "a", text="theirs")
        _ = await ctx.push()
        for each in others:
            _ = await each
        assert (2, "theirs") == (len(others), (await ctx[NOTES].get("a") or {})["text"])


# ---- policies, handlers and errors that are awaited


@looped
@pytest.mark.parametrize("kind", ["function", "coroutine function"])
async def test_policies_of_both_kinds(world: AsyncWorld, kind: str) -> None:
    """A policy may be a function or a coroutine function, by table too; what it raises comes out."""
    angry = [True]

    def decide(conflict: Conflict) -> Resolution:
        if angry:
            raise ZeroDivisionError
        return keep_remote(conflict)

    async def slowly(conflict: Conflict) -> Resolution:
        await asyncio.sleep(0)
        return decide(conflict)

    policies = {NOTES: decide if kind == "function" else slowly}
    async with world.device(policies=policies, patience=0.0) as ctx:
        _ = await ctx[NOTES].insert({"id": "a", "text": "mine"})
        _ = world.remote.write("note", "a", text="theirs")
        with pytest.raises(ZeroDivisionError):
            _ = await ctx.push()
        assert ["a"] == [each.record_id for each in await ctx.conflicts()]
        angry.clear()
        _ = await ctx.push()
        assert "theirs" == (await ctx[NOTES].get("a") or {})["text"]


@looped
async def test_an_answer_of_the_wrong_kind(world: AsyncWorld) -> None:
    """What a coroutine function answers is checked as any answer is."""

    async def wrong(conflict: Conflict) -> Any:
        return "keep mine"

    async with world.device(policy=wrong) as ctx:
        _ = await ctx[NOTES].insert({"id": "a", "text": "mine"})
        _ = world.remote.write("note", "a", text="theirs")
        with pytest.raises(UsageError, match="a conflict is answered with"):
            _ = await ctx.push()


@looped
async def test_the_default_handler_serves_both_faces(world: AsyncWorld) -> None:
    """What it sends is awaited; a subclass may await in one of the two only."""
    seen: list[int] = []

    class Counting(DefaultHandler):
        async def on_push_complete(self, report: Any) -> None:  # type: ignore[override]
            await asyncio.sleep(0)
            seen.append(len(report.pushed))

    async with world.device(handler=Counting()) as ctx:
        _ = await ctx[NOTES].insert_many([{"id": "a"}, {"id": "b"}])
        assert 2 == len((await ctx.push()).pushed)
    assert [2] == seen


@looped
@pytest.mark.parametrize("how", ["retry", "cancel_and_discard", "cancel_and_update", "update_operation"])
async def test_errors_are_settled_with_await(world: AsyncWorld, wire: AsyncWire, how: str) -> None:
    """In the handler or after the push; in a batch too."""
    async with world.device(wire=wire) as ctx:
        _ = await ctx[NOTES].insert({"id": "a", "text": "x"})
        wire.inner.say("a", Rejected("no", "not today"))
        with pytest.raises(PushFailed) as caught:
            _ = await ctx.push()
        [error] = caught.value.errors
        given = ({"id": "a", "text": "y"},) if "update" in how else ()
        async with ctx.batch():
            await getattr(error, how)(*given)
        states = [each.state for each in await ctx.operations()]
        assert ([] if how.startswith("cancel") else ["pending"]) == states
        texts = {"retry": ["x"], "cancel_and_discard": []}
        assert texts.get(how, ["y"]) == await ctx[NOTES].values("text")


@looped
async def test_errors_are_settled_where_the_context_is_open(world: AsyncWorld, wire: AsyncWire) -> None:
    """From another thread, or after closing, it is refused at once, and nothing is begun that nobody awaits."""
    ctx = await world.device(wire=wire).open()
    _ = await ctx[NOTES].insert({"id": "a"})
    wire.inner.say("a", Rejected("no", "not today"))
    with pytest.raises(PushFailed) as caught:
        _ = await ctx.push()
    [error] = caught.value.errors
    with pytest.raises(UsageError, match="event loop"):
        _ = await asyncio.to_thread(error.retry)
    await ctx.close()
    with pytest.raises(ContextClosed):
        _ = error.retry()


@looped
async def test_a_handler_settles_what_failed(world: AsyncWorld, wire: AsyncWire) -> None:
    """What it awaited to its end is reported no more."""

    class Handler(DefaultHandler):
        async def on_push_complete(self, report: Any) -> None:  # type: ignore[override]
            for error in report.errors:
                await error.cancel_and_discard()

    async with world.device(wire=wire, handler=Handler()) as ctx:
        _ = await ctx[NOTES].insert({"id": "a"})
        wire.inner.say("a", Rejected("no", "not today"))
        assert ((), 0) == ((report := await ctx.push()).errors, report.pending)


@looped
async def test_an_asynchronous_transport_that_fails_in_its_own_way(
    world: AsyncWorld, wire: AsyncWire
) -> None:
    """An exception that no contract names is a `ProtocolError`, chained; a push reports it."""

    async def fail(call: str) -> None:
        raise OSError("the wire is cut")

    async with world.device(wire=wire) as ctx:
        wire.before = fail
        _ = await ctx[NOTES].insert({"id": "a"})
        with pytest.raises(PushFailed, match="OSError: the wire is cut"):
            _ = await ctx.push()
        wire.before = lambda call: None
        wire.inner.say("a", NotSent("no network", retry_after=5.0))
        with pytest.raises(PushFailed) as caught:
            _ = await ctx.push()
        assert 5.0 == caught.value.report.retry_after
        _ = await ctx.push()


@looped
async def test_a_context_without_a_transport() -> None:
    """It works locally, and closes."""
    async with AsyncSyncContext(MemoryStore(), None, TABLES) as ctx:
        _ = await ctx[NOTES].insert({"id": "a"})
        assert 1 == await ctx.pending_operations
