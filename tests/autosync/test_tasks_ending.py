"""How an autosync on an event loop ends: stopped, closed, cancelled, or with its loop."""

from __future__ import annotations

import asyncio

import pytest

from tests.aio.support import AsyncWire, looped, on_loop
from tests.api.support import NOTES, TABLES, Remote
from tests.autosync.conftest import remote_of_its_own
from tests.autosync.looking import Held, Watch, device, eventually
from tests.autosync.support import LONG, TINY, refuse
from tidesync import AsyncAutosync, AsyncSyncContext, KeepLocal
from tidesync.errors import NotReachable
from tidesync.events import (
    AutosyncStopped,
    CycleFinished,
    CycleStarted,
    Event,
    PageStored,
    RecordsChanged,
)
from tidesync.stores.memory import MemoryStore


def ended(watch: Watch, why: str) -> None:
    """It has ended once, for this reason, and no task of it is left."""
    assert [AutosyncStopped(why, None)] == watch.of(AutosyncStopped)  # type: ignore[arg-type]  # a literal
    assert [] == [each.get_name() for each in asyncio.all_tasks() if "autosync" in each.get_name()]


@pytest.mark.parametrize("state", ["idle", "waiting", "offline", "at once"])
def test_stopped_while_it_waits(state: str) -> None:
    """It ends at once; what is queued then stays queued. A second stop does nothing."""

    async def main() -> None:
        ctx, wire, watch = device(remote_of_its_own())
        if state == "waiting":
            wire.inner.on_pull = refuse(NotReachable("gone"))
        times = {**TINY, "backoff": 50.0, "max_backoff": 50.0, "on_change": False}
        async with ctx:
            auto = ctx.autosync([NOTES], online=lambda: state != "offline", **times)
            if state != "at once":
                await watch.cycles(1)
                assert state == auto.status.state
                await ctx[NOTES].insert({"id": "a"})
            await auto.stop()
            await auto.stop()
            auto.trigger()
            assert ("stopped", state != "at once") == (auto.status.state, await ctx.pending_operations == 1)
            ended(watch, "stop")

    on_loop(main())


@pytest.mark.parametrize("what", ["push", "pull"])
def test_stopped_in_an_exchange(what: str) -> None:
    """The exchange comes to its end, its answer is kept, and nothing else is sent."""

    async def main() -> None:
        remote = remote_of_its_own()
        remote.write("note", "there")
        remote.write("note", "there too")
        ctx, wire, watch = device(remote, patience=0.0, page_size=1)
        held = Held(wire, what)
        async with ctx:
            await ctx[NOTES].insert_many([{"id": "a"}, {"id": "b"}])
            wire.inner.limits = {"max_changes": 1}
            auto = ctx.autosync([NOTES], **TINY)
            _ = await held.begun.wait()
            await auto.stop(0.005)
            assert "syncing" == auto.status.state
            ending = auto.stop()
            held.go_on.set()
            await ending
            ended(watch, "stop")
            pushed, pulls, left, here = (1, 0, 1, 2) if what == "push" else (2, 1, 0, 3)
            assert [CycleFinished(False, pushed, 0, 0, None)] == watch.of(CycleFinished)
            assert (pushed, pulls) == (len(wire.inner.pushes), len(wire.inner.pulls))
            assert (left, here) == (await ctx.pending_operations, await ctx[NOTES].count())
            _ = await ctx.pull(NOTES)

    on_loop(main())


@pytest.mark.parametrize("at", [CycleStarted, CycleFinished, PageStored, RecordsChanged, AutosyncStopped])
@pytest.mark.parametrize("how", ["stop", "close"])
def test_ended_by_a_subscriber(at: type[Event], how: str) -> None:
    """It calls `stop()` without awaiting it, or closes the context in a task of its own."""

    async def main() -> None:
        remote = remote_of_its_own()
        remote.write("note", "there")
        ctx, _, watch = device(remote)
        tasks: list[asyncio.Task[None]] = []

        def end(event: Event) -> None:
            if isinstance(event, at) and not tasks:
                if how == "stop":
                    _ = auto.stop()
                else:
                    tasks.append(asyncio.ensure_future(ctx.close()))

        async with ctx:
            ctx.subscribe(end)
            auto = ctx.autosync([NOTES], **TINY)
            if at is AutosyncStopped:
                await auto.stop()
            await watch.until(lambda: watch.of(AutosyncStopped))
            await asyncio.gather(*tasks)
            await auto.stop()
            ended(watch, "stop" if at is AutosyncStopped else how)

    on_loop(main())


@pytest.mark.parametrize("how", ["stop", "close"])
@pytest.mark.parametrize("place", ["policy", "online"])
def test_ended_by_what_it_awaits(place: str, how: str) -> None:
    """A policy or predicate that awaits the end does not wait for itself."""

    async def main() -> None:
        remote, store = remote_of_its_own(), MemoryStore()
        remote.write("note", "a", text="theirs")

        async def end() -> None:
            await (auto.stop() if how == "stop" else ctx.close())

        async def policy(conflict: object) -> KeepLocal:
            await end()
            return KeepLocal()

        async def online() -> bool:
            if place == "online":
                await end()
            return True

        ctx, wire, watch = device(remote, store, policy=policy)
        async with ctx:
            await ctx[NOTES].insert({"id": "a", "text": "mine"})
            auto = ctx.autosync([NOTES], online=online, **TINY)
            await watch.until(lambda: watch.of(AutosyncStopped))
            ended(watch, how)
            assert (1 if place == "policy" else 0, 0) == (len(wire.inner.pushes), len(wire.inner.pulls))
        async with device(remote, store, policy=lambda conflict: KeepLocal())[0] as again:
            _ = await again.push()
            assert "mine" == (remote.content("note", "a") or {})["text"]

    on_loop(main())


@pytest.mark.parametrize("place", ["policy", "online"])
def test_what_it_calls_awaits_what_was_cancelled(place: str) -> None:
    """A dialog that was dismissed, say: a failure, after which it tries again, and not its end."""

    async def main() -> None:
        remote, store, asked = remote_of_its_own(), MemoryStore(), list[str]()
        remote.write("note", "a", text="theirs")

        async def fail_once(where: str) -> None:
            asked.append(where)
            if where == place and asked.count(where) == 1:
                gone = asyncio.get_running_loop().create_future()
                gone.cancel()
                await gone

        async def policy(conflict: object) -> KeepLocal:
            await fail_once("policy")
            return KeepLocal()

        async def online() -> bool:
            await fail_once("online")
            return True

        ctx, _, watch = device(remote, store, policy=policy)
        async with ctx:
            await ctx[NOTES].insert({"id": "a", "text": "mine"})
            async with ctx.autosync([NOTES], online=online, **{**TINY, "every": 0.01}) as auto:
                await watch.pushed(ctx)
                await watch.until(lambda: any(each.ok for each in watch.of(CycleFinished)))
                assert auto.on
        assert "mine" == (remote.content("note", "a") or {})["text"]
        if place == "policy":
            assert isinstance(watch.of(CycleFinished)[0].error.__cause__, asyncio.CancelledError)

    on_loop(main())


@looped
async def test_stopped_in_a_batch() -> None:
    """A cycle under way waits for the batch, so `stop()` does not wait for the cycle."""
    ctx, _, watch = device(remote_of_its_own())
    async with ctx:
        auto = ctx.autosync([NOTES], **TINY)
        await watch.cycles(1)
        async with ctx.batch():
            await ctx[NOTES].insert({"id": "a"})
            auto.trigger()
            await asyncio.sleep(0.01)
            assert "syncing" == auto.status.state
            await auto.stop()
        await auto.stop()
        ended(watch, "stop")
        assert 1 == await ctx.pending_operations


@pytest.mark.parametrize("what", ["push", "pull"])
@pytest.mark.parametrize("hangs", [False, True])
def test_closing_the_context(what: str, hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the exchange under way, within reason; one that hangs is cancelled."""
    monkeypatch.setattr("tidesync.aio.context.CLOSING", 0.02 if hangs else LONG)

    async def main() -> None:
        remote, store = remote_of_its_own(), MemoryStore()
        ctx, wire, watch = device(remote, store)
        held = Held(wire, what)
        async with ctx:
            await ctx[NOTES].insert({"id": "a"})
            _ = ctx.autosync([NOTES], **TINY)
            _ = await held.begun.wait()
            if not hangs:
                held.go_on.set()
        ended(watch, "close")
        async with device(remote, store, patience=0.0)[0] as again:
            assert (1 if hangs and what == "push" else 0) == await again.pending_operations
            _ = await again.push()
        assert ["a"] == remote.ids("note")

    on_loop(main())


@pytest.mark.parametrize("how", ["the block", "stop", "group"])
def test_cancelled(how: str) -> None:
    """A block or a `stop()` that is cancelled waits for no exchange, and leaves the store as a crash would."""

    async def main() -> None:
        remote, store = remote_of_its_own(), MemoryStore()
        ctx, wire, watch = device(remote, store)
        held = Held(wire, "push")
        async with ctx:
            await ctx[NOTES].insert({"id": "a"})
            auto = ctx.autosync(**TINY)
            _ = await held.begun.wait()

            async def block() -> None:
                async with auto:
                    _ = await asyncio.Event().wait()

            if how == "group":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01), asyncio.TaskGroup() as group:
                        _ = group.create_task(block())
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await (block() if how == "the block" else auto.stop())
            await asyncio.sleep(0)
            ended(watch, "stop")
            assert [("attempted", "a")] == [(each.state, each.record_id) for each in await ctx.operations()]
            _ = await ctx.push()
            assert ["a"] == remote.ids("note")

    on_loop(main())


def test_the_end_of_the_loop(remote: Remote) -> None:
    """Its task is cancelled like any other: nothing is said on standard error, and the next loop begins anew."""
    wire = AsyncWire(remote.authority)
    ctx = AsyncSyncContext(MemoryStore(), wire, TABLES)

    async def main() -> list[Event]:
        told: list[Event] = []
        _ = ctx.subscribe(told.append)
        _ = await ctx.open()
        await ctx[NOTES].insert({"id": "a"})
        held = Held(wire, "push")
        _ = ctx.autosync(**TINY)
        _ = await held.begun.wait()
        return told

    told = asyncio.run(main())
    assert AutosyncStopped("cancelled", None) == told[-1]

    async def again() -> None:
        async with ctx:
            watch = Watch(ctx)
            async with ctx.autosync(**TINY):
                await watch.pushed(ctx)

    on_loop(again())
    assert ["a"] == remote.ids("note")


def test_a_loop_that_was_closed_in_the_middle(remote: Remote) -> None:
    """Its task never ends; the next loop is not held up by it."""
    ctx = AsyncSyncContext(MemoryStore(), AsyncWire(remote.authority), TABLES)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: None)  # of a task that was left behind

    async def begin() -> None:
        _ = await ctx.open()
        auto = ctx.autosync([NOTES], **TINY)

        async def synced() -> bool:
            return auto.status.last_success is not None

        await eventually(synced)

    loop.run_until_complete(begin())
    loop.close()

    async def again() -> None:
        async with ctx:
            await ctx[NOTES].insert({"id": "a"})
            async with ctx.autosync([NOTES], **TINY):
                await Watch(ctx).pushed(ctx)

    on_loop(again())
    assert ["a"] == remote.ids("note")


@pytest.mark.parametrize("how", ["ended", "closed in the middle"])
def test_what_is_left_of_a_loop_that_is_no_more(how: str) -> None:
    """It can be stopped on the next loop, and its context be opened and closed there."""
    ctx, _, _ = device(remote_of_its_own())
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: None)  # of a task that was left behind

    async def begin() -> AsyncAutosync:
        _ = await ctx.open()
        auto = ctx.autosync([NOTES], **TINY)
        await asyncio.sleep(0)
        if how == "ended":
            _ = [each.cancel() for each in asyncio.all_tasks() if each is not asyncio.current_task()]
            await asyncio.sleep(0.02)
        return auto

    auto = loop.run_until_complete(begin())
    loop.close()

    async def again() -> None:
        async with ctx:
            assert not auto.on
            await auto.stop()
            auto.trigger()
        await auto.stop()

    on_loop(again())
