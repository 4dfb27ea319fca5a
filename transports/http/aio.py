"""The HTTP transport for an event loop: `transport.HttpTransport`, with `await`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import anyio
import httpx

from tidesync.contracts.transport import Change, Outcome, Page, PullRequest, TransportCapabilities
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema
from tidesync.transports.http.auth import AsyncCredentials
from tidesync.transports.http.opening import Face, Opening, not_open
from tidesync.transports.http.options import Protocol, certificates, checked
from tidesync.transports.http.tasks import TaskDriver
from tidesync.transports.http.wire import identity_of


class AsyncHttpTransport:
    """A way to a remote: a service of tidesync, or what speaks Azure Mobile Apps 2.0 or Datasync 3.0, at `url`.

    `protocol="auto"` finds out with one harmless request (one record of the first table). `auth` is an
    httpx.Auth, a token, or a function that returns a fresh token, async or not; a token travels as
    `X-ZUMO-AUTH` on 2.0 and else as `Authorization: Bearer`, and is renewed once when refused. `timeout`:
    seconds for each phase of a request; `retries`: for reads only. `client`: an httpx.AsyncClient of your
    own (proxies, certificates, event hooks), which is not closed here. `page_limit`: records a page, 1000
    at most. On 2.0 and 3.0, `concurrency` is how many changes are under way at once, and `overlap` how many
    seconds the remote may make a change visible late.

    httpx logs every address at INFO, which names ids and filter values: raise the level of its logger where
    that matters. Plain http goes to this machine only, and to hosts named in `allow_plain_http_to`.
    Redirects are followed for reads, within the origin. A reply may have `max_reply_bytes`, decompressed.
    Raises `ConfigurationError`.
    """

    def __init__(  # noqa: PLR0913  # each is an option of its own, by keyword
        self,
        url: str,
        *,
        protocol: Protocol = "auto",
        auth: AsyncCredentials | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20.0,
        retries: int = 2,
        concurrency: int = 4,
        client: httpx.AsyncClient | None = None,
        overlap: float = 10.0,
        allow_plain_http_to: Sequence[str] = (),
        max_reply_bytes: int = 64 * 1024 * 1024,
        page_limit: int = 1000,
    ) -> None:
        self._options = checked(
            url,
            protocol=protocol,
            auth=auth,
            headers=headers,
            timeout=timeout,
            retries=retries,
            concurrency=concurrency,
            overlap=overlap,
            allow_plain_http_to=allow_plain_http_to,
            max_reply_bytes=max_reply_bytes,
            page_limit=page_limit,
        )
        self._given = client
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._opened: tuple[TaskDriver, Opening] | None = None

    def __repr__(self) -> str:
        return f"AsyncHttpTransport({identity_of(self._options.base)!r}, protocol={self._options.protocol!r})"

    async def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        """Find out who the remote is and what it speaks; on 2.0 and 3.0 that it is named sends nothing."""
        async with self._turn():
            driver, opening = self._opened = self._opened or await self._connected()
            return await driver.run(opening.open(tables))

    async def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        """Send changes: on tidesync's own protocol in one request, else each with one of its own."""
        driver, face = self._ready()
        return await driver.run(face.push(changes))

    async def pull(self, request: PullRequest, /) -> Page:
        """Read one page."""
        driver, face = self._ready()
        return await driver.run(face.pull(request))

    async def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        """Read one record as it is now; a tombstone where the remote keeps one."""
        driver, face = self._ready()
        return await driver.run(face.get(table, id))

    async def close(self) -> None:
        """Close connections and threads; a client that was given stays open."""
        async with self._turn():
            opened, self._opened = self._opened, None
        if opened is not None:
            await opened[0].close()

    async def _connected(self) -> tuple[TaskDriver, Opening]:
        client, options = await asyncio.to_thread(self._make_client), self._options
        driver = TaskDriver(client, owned=self._given is None, concurrency=options.concurrency)
        return driver, Opening(options)

    def _make_client(self) -> httpx.AsyncClient:
        """The client. It is made on a thread: that reads certificates, and imports most of httpx and what drives it."""
        anyio.run(anyio.sleep, 0)  # which imports what anyio has for asyncio
        if self._given is not None:
            return self._given
        outside = self._options.outside
        return httpx.AsyncClient(
            trust_env=outside, verify=certificates(trust_env=outside), limits=self._options.pool
        )

    def _ready(self) -> tuple[TaskDriver, Face]:
        if self._opened is None:
            raise not_open()
        driver, opening = self._opened
        return driver, opening.face

    def _turn(self) -> asyncio.Lock:
        """The lock of those who open and close; each event loop has one of its own."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock = loop, asyncio.Lock()
        return self._lock
