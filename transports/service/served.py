"""What every endpoint of the service works with."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, TypeVar

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from tidesync.contracts.transport import Outcome
from tidesync.schema import TableSchema
from tidesync.transports.authority import Authority
from tidesync.transports.commits import Write
from tidesync.transports.principal import Principal
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.problems import Problem
from tidesync.transports.service.writing import Writer

T = TypeVar("T")


class Service:
    """One authority and its limits, as endpoints see them: reads and writes happen off the event loop.

    The store is opened by the first who needs it, or by `open`.
    """

    def __init__(self, authority: Authority, limits: Limits) -> None:
        self.authority, self.limits = authority, limits
        self._mutex = threading.Lock()
        self._writer: Writer | None = None
        self.closed = False

    def open(self) -> None:
        """Open the store, if it is not; also after `close`. Blocks. Raises `StoreError`."""
        with self._mutex:
            self.closed = False
            _ = self._started()

    def _started(self) -> Writer:
        if self._writer is None:
            _ = self.authority.open()
            self._writer = Writer(self.authority.commit)
        return self._writer

    def _started_unless_closed(self) -> Writer | None:
        # A request may have come before `close`, and get here after it.
        with self._mutex:
            return None if self.closed else self._started()

    def close(self) -> None:
        """Finish the writes that were accepted, and close the store; idempotent. Blocks."""
        with self._mutex:
            self.closed = True
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()
            self.authority.close()

    def table(self, name: str, principal: Principal) -> TableSchema:
        """The table of this name that exists for the principal, under wire names. Raises `Problem` 404."""
        schema = self.authority.tables.get(name)
        if schema is None or not principal.sees(name):
            raise Problem(404, "unknown_table", f"there is no table {name!r:.80} here")
        return schema

    async def read(self, ask: Callable[[], T]) -> T:
        """What `ask` returns, asked on another thread. Raises what it raises."""
        _ = await self._open_writer()
        return await anyio.to_thread.run_sync(ask)

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """One outcome per write, in order; what is applied is durable when this returns.

        Who writes at the same time shares a transaction. Raises `StoreError`, and `Problem` 503 where too many
        wait; nothing was written then.
        """
        return await (await self._open_writer()).commit(writes)

    async def _open_writer(self) -> Writer:
        writer = self._writer
        if writer is None and not self.closed:
            writer = await anyio.to_thread.run_sync(self._started_unless_closed)
        if writer is None:
            raise Problem(503, "closing", "the service stops: try again", headers={"Retry-After": "5"})
        return writer


Endpoint: TypeAlias = Callable[[Service, Request, Principal], Awaitable[Response]]
"""Answers one request of somebody who was let in; raises `Problem`."""
