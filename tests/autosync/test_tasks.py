"""Autosync on an event loop: the same cycles."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.aio.support import AsyncWire, looped, on_loop
from tests.api.support import LISTS, NOTES, TABLES, Remote, Wire
from tests.autosync.conftest import remote_of_its_own
from tests.autosync.looking import Held, device, eventually
from tests.autosync.support import TINY
from tidesync import AsyncSyncContext, KeepLocal
from tidesync.contracts.transport import PullRequest, Rejected
from tidesync.errors import BatchActive, ContextClosed, NotReachable, RemoteChanged, UsageError
from tidesync.events import (
    AutosyncStopped,
    AutosyncWaiting,
    CycleFinished,
    CycleStarted,
    PullFinished,
)
from tidesync.stores.memory import MemoryStore


@pytest.mark.parametrize("synchronous", [False, True])
def test_writes_travel_by_themselves(remote: Remote, synchronous: bool) -> None:
    """What is written on one device is on the other, over a transport of either kind."""

    async def main() -> None:
        transports = [Wire(remote.authority) if synchronous else AsyncWire(remote.authority) for _ in "ab"]
        one, two = (AsyncSyncContext(MemoryStore(), each, TABLES) for each in transports)
        async with one, two, one.autosync([NOTES], **TINY), two.autosync([NOTES], **{**TINY, "every": 0.01}):
            await one[NOTES].insert({"id": "a"})

            async def there() -> bool:
                return await two[NOTES].get("a") is not None

            await eventually(there)

    on_loop(main())


@looped
async def test_what_it_tells_in_what_order() -> None:
    """As on a thread: a cycle begins, pushes, pulls, ends with its counts, and waits."""
    remote = remote_of_its_own()
    remote.write("note", "there")
    ctx, _, watch = device(remote)
    async with ctx, ctx.autosync([LISTS, NOTES], **TINY) as auto:
        await watch.cycles(1)
        async with ctx.batch():
            await ctx[NOTES].insert({"id": "here"})
            await ctx[NOTES].insert({"id": "here too"})
        await watch.cycles(2)
        assert ("idle", None, 0) == (auto.status.state, auto.status.last_error, auto.status.failures)
    kinds = (CycleStarted, CycleFinished, AutosyncWaiting, AutosyncStopped)
    names = [type(each).__name__ for each in watch.events if isinstance(each, kinds)]
    assert [*["CycleStarted", "CycleFinished", "AutosyncWaiting"] * 2, "AutosyncStopped"] == names
    assert [(0, 1), (2, 2)] == [(each.pushed, each.records) for each in watch.of(CycleFinished)]
    assert ["list", "note"] * 2 == [each.table for each in watch.of(PullFinished)]
    assert "<autosync, stopped>" == repr(auto)


@looped
async def test_another_thread_may_trigger_and_stop_it() -> None:
    """As whoever is told of a network does; the loop wakes for it."""
    asyncio.get_running_loop().set_debug(True)  # else asyncio does not notice what only happens to work
    ctx, _, watch = device(remote_of_its_own())
    async with ctx:
        auto = ctx.autosync([NOTES], **TINY)
        await watch.cycles(1)
        await asyncio.to_thread(auto.trigger)
        await watch.cycles(2)
        assert ["start", "trigger"] == [each.why for each in watch.of(CycleStarted)]
        await asyncio.to_thread(auto.stop)
        await watch.until(lambda: watch.of(AutosyncStopped))
        await asyncio.to_thread(auto.trigger)
        assert (False, "stopped", 2) == (auto.on, auto.status.state, len(watch.of(CycleStarted)))


@looped
async def test_it_never_overlaps_itself() -> None:
    """Changes and triggers during a cycle are one more; resolutions are a cause, its own work is none."""
    remote = remote_of_its_own()
    ctx, wire, watch = device(remote, policy=lambda conflict: KeepLocal())
    held = Held(wire)
    wire.inner.say("bad", Rejected("no", "not today"))
    async with ctx, ctx.autosync([NOTES], **TINY) as auto:
        _ = await held.begun.wait()
        for number in range(10):
            await ctx[NOTES].insert({"id": str(number)})
            auto.trigger()
        await asyncio.sleep(0.02)
        assert (1, 0) == (len(watch.of(CycleStarted)), len(wire.inner.pushes))
        held.go_on.set()
        await watch.cycles(2)
        await asyncio.sleep(0.02)
        assert ["start", "trigger"] == [each.why for each in watch.of(CycleStarted)]
        await ctx[NOTES].insert({"id": "bad"})
        await watch.until(lambda: any(each.error for each in watch.of(CycleFinished)))
        await ctx.retry((await ctx.operations())[0])
        await watch.pushed(ctx)


@looped
async def test_failures_wait_and_the_remote_names_the_time() -> None:
    """Neither a change nor a trigger is earlier than that."""
    remote = remote_of_its_own()
    ctx, wire, watch = device(remote)
    sent: list[float] = []

    def pull(request: PullRequest) -> None:
        sent.append(time.monotonic())
        if len(sent) == 1:
            raise NotReachable("slow down", retry_after=0.1)

    wire.inner.on_push, wire.inner.on_pull = lambda changes: sent.append(time.monotonic()), pull
    async with ctx, ctx.autosync([NOTES], **TINY) as auto:
        await watch.cycles(1)
        assert ("waiting", 1) == (auto.status.state, auto.status.failures)
        await ctx[NOTES].insert({"id": "a"})
        auto.trigger()
        await watch.until(lambda: remote.content("note", "a") and len(watch.of(AutosyncWaiting)) > 1)
        assert sent[1] - sent[0] >= 0.1
        assert ("idle", 0) == (auto.status.state, auto.status.failures)


@pytest.mark.parametrize("waits", [False, True])
def test_the_predicate(waits: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A function, or a coroutine function; no and an exception are the same."""
    answers: list[Any] = [False, ValueError("odd"), True]

    def answer() -> bool:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return bool(found)

    async def awaited() -> bool:
        await asyncio.sleep(0)
        return answer()

    async def main() -> None:
        ctx, wire, watch = device(remote_of_its_own())
        async with ctx, ctx.autosync([NOTES], online=awaited if waits else answer, **TINY) as auto:
            await watch.cycles(1)
            assert ("offline", 0) == (auto.status.state, wire.inner.opened)
            auto.trigger()
            await asyncio.sleep(0.01)
            auto.trigger()
            await watch.until(lambda: watch.of(CycleFinished))
        assert ["offline", "every"] == [each.why for each in watch.of(AutosyncWaiting)]

    on_loop(main())
    assert 1 == len(caplog.records)


@looped
async def test_another_remote_ends_it() -> None:
    """Trying again would be wrong: the task ends, and tells why."""
    remote, store = remote_of_its_own(), MemoryStore()
    async with device(remote, store)[0] as ctx:
        await ctx.pull(NOTES)
    ctx, wire, watch = device(remote, store)
    wire.inner.limits = {"identity": "another"}
    async with ctx:
        auto = ctx.autosync([NOTES], **TINY)
        await watch.until(lambda: watch.of(AutosyncStopped))
        assert ("error", RemoteChanged) == ((told := watch.of(AutosyncStopped)[0]).why, type(told.error))
        assert (told.error, "stopped") == (auto.status.last_error, auto.status.state)
        await auto.stop()


@looped
async def test_one_at_a_time() -> None:
    """And none in a batch, before the context is open, or after."""
    ctx, _, _ = device(remote_of_its_own())
    with pytest.raises(ContextClosed):
        ctx.autosync()
    async with ctx:
        async with ctx.batch():
            with pytest.raises(BatchActive):
                ctx.autosync()
        for _ in range(2):
            auto = ctx.autosync()
            with pytest.raises(UsageError, match="on already"):
                ctx.autosync()
            await auto.stop()


@looped
async def test_the_loop_is_not_held_up() -> None:
    """An idle autosync makes no turn of the loop its own; a cycle lets others run."""
    remote = remote_of_its_own()
    ctx, wire, watch = device(remote)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1

    def pull(request: PullRequest) -> None:
        nonlocal beats
        beats = 0

    wire.inner.on_pull = pull
    async with ctx, ctx.autosync([NOTES, LISTS], **TINY):
        beating = asyncio.ensure_future(beat())
        await watch.cycles(1)
        assert beats > 0
        beating.cancel()
        count = len(watch.events)
        await asyncio.sleep(0.03)
        assert count == len(watch.events)
