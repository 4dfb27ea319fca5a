"""The file transport for an event loop: the same, on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidesync.aio.worker import Worker
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Change, Outcome, Page, PullRequest, TransportCapabilities
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema
from tidesync.transports.files.format import REMEMBERS, SNAPSHOT_EVERY
from tidesync.transports.files.place import Place
from tidesync.transports.files.targets import Target
from tidesync.transports.files.transport import FileTransport


class AsyncFileTransport:
    """An `AsyncTransport` to a remote that is a folder or a bucket: `FileTransport` with `async def`.

    Calls are made one after another on one thread of their own, so that the loop never waits for a disk. One that is
    cancelled before its turn is not made; one that has begun goes on there to its end, as if its reply were lost, and
    the next ones wait behind it.
    """

    def __init__(
        self,
        target: Target | Place,
        *,
        index: Store | None = None,
        options: Mapping[str, Any] | None = None,
        remembers: int = REMEMBERS,
        snapshot_every: int = SNAPSHOT_EVERY,
    ) -> None:
        self._inner: Final = FileTransport(
            target, index=index, options=options, remembers=remembers, snapshot_every=snapshot_every
        )
        self._thread: Final = Worker("tidesync files")

    def __repr__(self) -> str:
        return f"Async{self._inner!r}"

    async def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        self._thread.begin()
        return await self._thread.run(lambda: self._inner.open(tables))

    async def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return await self._thread.run(lambda: self._inner.push(changes))

    async def pull(self, request: PullRequest, /) -> Page:
        return await self._thread.run(lambda: self._inner.pull(request))

    async def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        return await self._thread.run(lambda: self._inner.get(table, id))

    async def close(self) -> None:
        closing = self._thread.submit(self._inner.close)
        self._thread.end()
        # Who gives up waiting for it has closed all the same.
        await asyncio.shield(closing)
