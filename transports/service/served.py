"""What every endpoint of the service works with."""

from __future__ import annotations

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

T = TypeVar("T")


class Service:
    """One authority and its limits, as endpoints see them: reads and writes happen off the event loop."""

    def __init__(self, authority: Authority, limits: Limits) -> None:
        self.authority, self.limits = authority, limits

    def table(self, name: str, principal: Principal) -> TableSchema:
        """The table of this name that exists for the principal, under wire names. Raises `Problem` 404."""
        schema = self.authority.tables.get(name)
        if schema is None or not principal.sees(name):
            raise Problem(404, "unknown_table", f"there is no table {name!r:.80} here")
        return schema

    async def read(self, ask: Callable[[], T]) -> T:
        """What `ask` returns, asked on another thread."""
        return await anyio.to_thread.run_sync(ask)

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """One outcome per write, in order; what is applied is durable when this returns."""
        return await self.read(lambda: self.authority.commit(writes))


Endpoint: TypeAlias = Callable[[Service, Request, Principal], Awaitable[Response]]
"""Answers one request of somebody who was let in; raises `Problem`."""
