"""A wire that rules may make fail: the transport under the first client's httpx."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import httpx

Send = Callable[[httpx.Request], httpx.Response]
_JSON: Final = {"Content-Type": "application/json"}


class _Cut(httpx.SyncByteStream):
    """The first half of a body, and then the connection is gone."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.RemoteProtocolError("the peer closed the connection without sending the complete body")


class FailingWire(httpx.BaseTransport):
    """A way to a server on which all requests go wrong as a rule says, until `heal`."""

    def __init__(self) -> None:
        self._inside = httpx.HTTPTransport()
        self._fault: Send | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, or do what goes wrong with it."""
        _ = request.read()
        return (self._fault or self._inside.handle_request)(request)

    def close(self) -> None:
        """Close the connections."""
        self._inside.close()

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._fault = None

    def refuse(self) -> None:
        """Nothing is listening."""

        def refused(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("connection refused", request=request)

        self._fault = refused

    def lose_request(self) -> None:
        """The request does not arrive, and no reply comes."""

        def lost(request: httpx.Request) -> httpx.Response:
            raise httpx.ReadTimeout("no reply in time", request=request)

        self._fault = lost

    def lose_reply(self) -> None:
        """The request arrives, and no reply comes."""

        def lost(request: httpx.Request) -> httpx.Response:
            _ = self._heard(request)
            raise httpx.ReadError("connection reset by peer", request=request)

        self._fault = lost

    def truncate_reply(self) -> None:
        """The reply ends in the middle."""

        def cut(request: httpx.Request) -> httpx.Response:
            reply, body = self._heard(request)
            return httpx.Response(reply.status_code, headers=_kept(reply), stream=_Cut(body))

        self._fault = cut

    def garble_reply(self) -> None:
        """The request arrives, and what comes back is no JSON."""

        def garbled(request: httpx.Request) -> httpx.Response:
            reply, _ = self._heard(request)
            return httpx.Response(reply.status_code, headers=_kept(reply), content=b'\xff{"id": nonsense')

        self._fault = garbled

    def fail(self) -> None:
        """The server fails inside."""
        self._fault = lambda request: httpx.Response(500, headers=_JSON, content=b'{"error":"planned"}')

    def deny(self) -> None:
        """Nobody is let in."""
        self._fault = lambda request: httpx.Response(401, headers=_JSON, content=b"{}")

    def _heard(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        reply = self._inside.handle_request(request)
        try:
            return reply, reply.read()
        finally:
            reply.close()


def _kept(reply: httpx.Response) -> list[tuple[str, str]]:
    """The headers, without those that tell how the body travelled."""
    travelling = ("content-encoding", "content-length")
    return [(name, value) for name, value in reply.headers.multi_items() if name not in travelling]
