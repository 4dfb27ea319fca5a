"""Calls that are cancelled at each point where they suspend: they are done, or not, and nothing else is left."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import attrs
import pytest

from tests.aio.points import Points, When
from tests.aio.support import AsyncWire, on_loop
from tests.api.failing import contents
from tests.api.support import LISTS, NOTES, TABLES, TODOS, Remote, Todo, TodoList, plain
from tidesync import AsyncSyncContext, Conflict, Merge
from tidesync.contracts.transport import Change, CursorGuarantee, Outcome
from tidesync.errors import RecordExists
from tidesync.events import RecordsChanged
from tidesync.records import version_of
from tidesync.rows import META
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority

Kind: TypeAlias = Literal["knows operations", "plain"]
NAMES = [each.name for each in TABLES]


async def merge(conflict: Conflict) -> Any:
    """Asks somebody who takes his time."""
    await asyncio.sleep(0)
    remote = plain(conflict.remote)
    return Merge({**(remote or {}), "id": conflict.record_id, "text": "merged"})


class Handler:
    """Awaits before and after each send."""

    async def execute(self, attempt: Any, send: Callable[[], Awaitable[Outcome]]) -> Outcome:
        await asyncio.sleep(0)
        outcome = await send()
        await asyncio.sleep(0)
        return outcome

    async def on_push_complete(self, report: Any) -> None:
        await asyncio.sleep(0)


class Device:
    """One device with something to do, whose remote counts the writes that take effect."""

    def __init__(self, kind: Kind, handler: Handler | None = None) -> None:
        authority = Authority(
            MemoryStore(), [each.schema for each in TABLES], identity="r",
            remembers=None if kind == "knows operations" else 0.0,
        )  # fmt: skip
        self.remote = Remote(authority.open())
        limits = {} if kind == "knows operations" else {"cursor": CursorGuarantee.TIMESTAMP, "overlap": 1e6}
        self.wire = AsyncWire(authority, max_changes=2, **limits)
        self.wire.inner.inner.push = self._push  # type: ignore[method-assign]  # counted
        self.effects: dict[str, int] = {}
        self.store = MemoryStore()
        self.told: list[Any] = []
        self.ctx = AsyncSyncContext(
            self.store, self.wire, TABLES, policy=merge, handler=handler, page_size=2, patience=0.0
        )
        _ = self.ctx.subscribe(self.told.append)

    def _push(self, changes: Any) -> Any:
        outcomes: list[Outcome] = []
        for change in changes:
            outcomes += self._count(change)
        return outcomes

    def _count(self, change: Change) -> Any:
        before = version_of(self.remote.get(change.table, change.record_id))
        outcomes = self.remote.authority.push([change])
        if version_of(self.remote.get(change.table, change.record_id)) != before:
            key = f"{change.table}/{change.record_id}"
            self.effects[key] = self.effects.get(key, 0) + 1
        return outcomes

    async def prepare(self) -> None:
        """Records of both sides, edits of both, and a conflict on the way."""
        ctx, remote = self.ctx, self.remote
        for id in ("edited", "gone", "both", "kept"):
            _ = remote.write("note", id, text="there", stars=1)
        _ = await ctx.pull(NOTES, name="all")
        _ = await ctx[NOTES].update("edited", text="here")
        await ctx[NOTES].delete("gone")
        _ = await ctx[NOTES].update("both", text="here")
        _ = remote.write("note", "both", text="theirs", stars=2)
        for number in range(3):
            _ = remote.write("note", f"new{number}", text="there")
        async with ctx.batch():
            _ = await ctx[LISTS].insert(TodoList("l", "list"))
            _ = await ctx[TODOS].insert(Todo("t", "todo", list_id="l"))
            _ = await ctx[NOTES].insert({"id": "own", "text": "here"})

    @property
    def here(self) -> dict[tuple[str, str], Any]:
        found = contents(self.store, NAMES)
        return {(name, str(record["id"])): record for name, records in found.items() for record in records}

    @property
    def state(self) -> Any:
        """What is to be the same however often it was interrupted."""
        here = {key: plain(record) for key, record in self.here.items()}
        there = {(name, id): self.remote.content(name, id) for name in NAMES for id in self.remote.ids(name)}
        return here, there, self.effects

    def untold(self, before: dict[tuple[str, str], Any]) -> set[tuple[str, str]]:
        """Records that are not as they were, of which no event has told."""
        after, found = self.here, [each for each in self.told if isinstance(each, RecordsChanged)]
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        told = {(each.table, id) for each in found for id in each.ids}
        return {key for key in changed - told if key[0] not in [each.table for each in found if not each.ids]}


@attrs.frozen
class Case:
    """A call to cancel, how often it suspends, and how it is done again."""

    name: str
    call: Callable[[AsyncSyncContext], Awaitable[Any]]
    points: dict[Kind, int]
    handler: type[Handler] | None = None
    again: Callable[[AsyncSyncContext], Awaitable[Any]] | None = None


async def insert(ctx: AsyncSyncContext) -> None:
    _ = await ctx[NOTES].insert({"id": "x"})


async def insert_again(ctx: AsyncSyncContext) -> None:
    try:
        await insert(ctx)
    except RecordExists:
        return


async def insert_many(ctx: AsyncSyncContext) -> None:
    _ = await ctx[NOTES].insert_many([{"id": "x"}, {"id": "y"}])


async def many_again(ctx: AsyncSyncContext) -> None:
    found = await ctx[NOTES].where(NOTES.c.id.is_in(["x", "y"])).values("id")
    assert found in ([], ["x", "y"])
    if not found:
        await insert_many(ctx)


async def batch(ctx: AsyncSyncContext) -> None:
    async with ctx.batch():
        _ = await ctx[NOTES].insert({"id": "x"})
        assert None is not await ctx[NOTES].get("x")
        _ = await ctx[NOTES].insert({"id": "y"})


async def batch_again(ctx: AsyncSyncContext) -> None:
    found = await ctx[NOTES].where(NOTES.c.id.is_in(["x", "y"])).values("id")
    assert found in ([], ["x", "y"])  # all, or nothing
    if not found:
        await batch(ctx)


async def resolve(ctx: AsyncSyncContext) -> None:
    _ = await ctx.pending_operations
    for operation in await ctx.operations():
        if operation.state == "failed":
            await ctx.retry(operation)


async def remote_table(ctx: AsyncSyncContext) -> None:
    assert "there" == (await ctx.remote(NOTES).get("kept") or {})["text"]
    assert 7 == len(await ctx.remote(NOTES).all())
    _ = await ctx.remote(NOTES).update({"id": "kept", "stars": 5})


async def remote_again(ctx: AsyncSyncContext) -> None:
    if (await ctx.remote(NOTES).get("kept") or {})["stars"] != 5:  # a write that was cancelled is in doubt
        await remote_table(ctx)


CASES = [
    Case("push", lambda ctx: ctx.push(), {"knows operations": 25, "plain": 25}),
    Case("push with a handler", lambda ctx: ctx.push(), {"knows operations": 53, "plain": 53}, Handler),
    Case("pull", lambda ctx: ctx.pull(NOTES, name="all"), {"knows operations": 44, "plain": 44}),
    Case(
        "pull and reconcile",
        lambda ctx: ctx.pull(NOTES, name="all", push="none", resync=True, reconcile=True),
        {"knows operations": 33, "plain": 33},
    ),
    Case("purge", lambda ctx: ctx.purge(NOTES), {"knows operations": 23, "plain": 23}),
    Case("purge by force", lambda ctx: ctx.purge(NOTES, force=True), {"knows operations": 3, "plain": 3}),
    Case("insert", insert, {"knows operations": 1}, again=insert_again),
    Case("insert many", insert_many, {"knows operations": 2}, again=many_again),
    Case("batch", batch, {"knows operations": 5}, again=batch_again),
    Case("queue", resolve, {"knows operations": 2}),
    Case("remote table", remote_table, {"knows operations": 9}, again=remote_again),
]


PLANS: dict[Kind, list[tuple[When, bool]]] = {
    "knows operations": [("before", False), ("during", True), ("after", False)],
    "plain": [("during", True)],
}
"""When the cancellation comes, and whether another one follows wherever it is cleaned up."""


async def whole(case: Case, kind: Kind) -> tuple[int, Any]:
    """The number of points, and what there is at the end, if nothing is cancelled."""
    device = Device(kind, case.handler() if case.handler else None)
    async with device.ctx:
        await device.prepare()
        points = Points(_coroutine(case.call(device.ctx)), device.ctx._ports)
        await points
        await ended(device)
        return points.count, device.state


async def _coroutine(call: Awaitable[Any]) -> Any:
    return await call


async def ended(device: Device) -> None:
    """What every history ends with: all that is left to do."""
    _ = await device.ctx.push()
    _ = await device.ctx.pull(NOTES, name="all")
    assert 0 == await device.ctx.pending_operations


async def interrupted(case: Case, kind: Kind, at: int, when: When, again: bool) -> Any:
    """What there is at the end if the call was cancelled at that point."""
    device = Device(kind, case.handler() if case.handler else None)
    async with device.ctx as ctx:
        await device.prepare()
        device.told.clear()
        before = device.here
        points = Points(_coroutine(case.call(ctx)), ctx._ports, at, when, again)
        task = asyncio.create_task(_coroutine(points))
        _ = await asyncio.wait([task])
        assert task.cancelled(), (at, task)
        # What it had asked for comes before what is asked for now.
        held = (await ctx.read(lambda transaction: transaction.get(META, ["lease"])))[0]
        assert held is None or not isinstance(held["value"], dict) or held["value"]["holder"] is None
        assert set() == device.untold(before)
        assert await ctx.pending_operations == len(await ctx.operations())
        assert {asyncio.current_task()} == asyncio.all_tasks()
        await (case.again or case.call)(ctx)
        await ended(device)
        return device.state


@pytest.mark.parametrize(
    ("case", "kind"),
    [pytest.param(case, kind, id=f"{case.name}, {kind}") for case in CASES for kind in case.points],
)
def test_cancelled_at_each_point(case: Case, kind: Kind) -> None:
    """Nothing is lost or takes effect twice, the lease is free, what was committed is told, and it ends equal."""

    async def every() -> None:
        count, expected = await whole(case, kind)
        assert case.points[kind] == count
        for at in range(1, count + 1):
            for when, again in PLANS[kind]:
                assert (at, when, expected) == (at, when, await interrupted(case, kind, at, when, again))

    on_loop(every(), within=120)
