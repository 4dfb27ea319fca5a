"""Looking at an autosync on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.aio.support import AsyncWire
from tests.api.support import TABLES, Remote
from tests.autosync.support import LONG
from tidesync import AsyncSyncContext
from tidesync.contracts.store import Store
from tidesync.events import (
    AutosyncStopped,
    AutosyncWaiting,
    Event,
)
from tidesync.stores.memory import MemoryStore


async def eventually(so: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(LONG):
        while not await so():  # noqa: ASYNC110  # a store tells nobody
            await asyncio.sleep(0.001)


class Watch:
    """All events of a context, in order; a task may wait for them."""

    def __init__(self, ctx: AsyncSyncContext) -> None:
        self.events: list[Event] = []
        self._more = asyncio.Event()
        _ = ctx.subscribe(self._note)

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind)]

    async def until(self, so: Callable[[], object]) -> None:
        while not so():
            self._more.clear()
            _ = await asyncio.wait_for(self._more.wait(), LONG)

    async def cycles(self, count: int) -> None:
        await self.until(lambda: len(self.of(AutosyncWaiting)) >= count or self.of(AutosyncStopped))

    async def pushed(self, ctx: AsyncSyncContext) -> None:
        async def empty() -> bool:
            return await ctx.pending_operations == 0

        await eventually(empty)


class Held:
    """The first call of this name hangs in the middle until `go_on`."""

    def __init__(self, wire: AsyncWire, what: str = "pull") -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self._wire, self._what = wire, what
        wire.before = self._before

    def _before(self, call: str) -> Awaitable[object] | None:
        if call != self._what:
            return None
        self._wire.before = lambda call: None
        self.begun.set()
        return self.go_on.wait()


def device(
    remote: Remote, store: Store | None = None, **options: Any
) -> tuple[AsyncSyncContext, AsyncWire, Watch]:
    wire = AsyncWire(remote.authority)
    ctx = AsyncSyncContext(store or MemoryStore(), wire, TABLES, **options)
    return ctx, wire, Watch(ctx)
