"""A wire that rules may make fail: the transport under the first client's httpx, for threads and for an event loop.

Nobody speaks TLS here: to read the certificates of all authorities would take a fifth of each test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import httpx

_JSON: Final = {"Content-Type": "application/json"}
Answer = Callable[[httpx.Request], httpx.Response]
Echo = Callable[[httpx.Request, httpx.Response, bytes], httpx.Response]


class _Cut(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The first half of a body, and then the connection is gone."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.RemoteProtocolError("the peer closed the connection without sending the complete body")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


class FailingWire(httpx.BaseTransport):
    """A way to a server on which all requests go wrong as a rule says, until `heal`.

    `instead`: what becomes of a request that does not arrive. `echo`: what becomes of the reply to one that does.
    """

    def __init__(self) -> None:
        self._inside = httpx.HTTPTransport(verify=False)
        self.instead: Answer | None = None
        self.echo: Echo | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, or do what goes wrong with it."""
        _ = request.read()
        if self.instead is not None:
            return self.instead(request)
        reply = self._inside.handle_request(request)
        if self.echo is None:
            return reply
        try:
            body = reply.read()
        finally:
            reply.close()
        return self.echo(request, reply, body)

    def close(self) -> None:
        """Close the connections."""
        self._inside.close()

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.instead = self.echo = None

    def refuse(self) -> None:
        """Nothing is listening."""

        def refused(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("connection refused", request=request)

        self._goes_wrong(instead=refused)

    def lose_request(self) -> None:
        """The request does not arrive, and no reply comes."""

        def lost(request: httpx.Request) -> httpx.Response:
            raise httpx.ReadTimeout("no reply in time", request=request)

        self._goes_wrong(instead=lost)

    def lose_reply(self) -> None:
        """The request arrives, and no reply comes."""

        def lost(request: httpx.Request, reply: httpx.Response, body: bytes) -> httpx.Response:
            raise httpx.ReadError("connection reset by peer", request=request)

        self._goes_wrong(echo=lost)

    def truncate_reply(self) -> None:
        """The reply ends in the middle."""

        def cut(request: httpx.Request, reply: httpx.Response, body: bytes) -> httpx.Response:
            return httpx.Response(reply.status_code, headers=_kept(reply), stream=_Cut(body))

        self._goes_wrong(echo=cut)

    def garble_reply(self) -> None:
        """The request arrives, and what comes back is no JSON."""

        def garbled(request: httpx.Request, reply: httpx.Response, body: bytes) -> httpx.Response:
            return httpx.Response(reply.status_code, headers=_kept(reply), content=b'\xff{"id": nonsense')

        self._goes_wrong(echo=garbled)

    def fail(self) -> None:
        """The server fails inside."""
        self._goes_wrong(
            instead=lambda request: httpx.Response(500, headers=_JSON, content=b'{"error":"planned"}')
        )

    def deny(self) -> None:
        """Nobody is let in."""
        self._goes_wrong(instead=lambda request: httpx.Response(401, headers=_JSON, content=b"{}"))

    def _goes_wrong(self, *, instead: Answer | None = None, echo: Echo | None = None) -> None:
        self.instead, self.echo = instead, echo


class AsyncFailingWire(httpx.AsyncBaseTransport):
    """The same for an event loop, as `wire` says; it keeps no connection, since nobody closes it on its loop."""

    def __init__(self, wire: FailingWire) -> None:
        self._wire = wire
        self._inside = httpx.AsyncHTTPTransport(
            verify=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, or do what goes wrong with it."""
        _ = await request.aread()
        if self._wire.instead is not None:
            return self._wire.instead(request)
        reply = await self._inside.handle_async_request(request)
        if self._wire.echo is None:
            return reply
        try:
            body = await reply.aread()
        finally:
            await reply.aclose()
        return self._wire.echo(request, reply, body)


def _kept(reply: httpx.Response) -> list[tuple[str, str]]:
    """The headers, without those that tell how the body travelled."""
    travelling = ("content-encoding", "content-length")
    return [(name, value) for name, value in reply.headers.multi_items() if name not in travelling]
