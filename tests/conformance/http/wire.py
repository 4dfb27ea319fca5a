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
    """A way to a server whose next request a rule makes fail. `refuse` and `deny` last until `heal`."""

    def __init__(self) -> None:
        self._inside = httpx.HTTPTransport()
        self._lasting: Send | None = None
        self._next: list[Send] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, or do what was planned for it."""
        _ = request.read()
        if self._lasting is not None:
            return self._lasting(request)
        if self._next:
            return self._next.pop(0)(request)
        return self._inside.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        self._inside.close()

    def _heard(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        """The server's reply, read to its end; as if it had not come yet."""
        reply = self._inside.handle_request(request)
        try:
            return reply, reply.read()
        finally:
            reply.close()

    def refuse(self) -> None:
        """Nothing is listening."""

        def refused(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("connection refused", request=request)

        self._lasting = refused

    def lose_request(self) -> None:
        """The request does not arrive, and no reply comes."""

        def lost(request: httpx.Request) -> httpx.Response:
            raise httpx.ReadTimeout("no reply in time", request=request)

        self._next.append(lost)

    def lose_reply(self) -> None:
        """The request arrives, and no reply comes."""

        def lost(request: httpx.Request) -> httpx.Response:
            _ = self._heard(request)
            raise httpx.ReadError("connection reset by peer", request=request)

        self._next.append(lost)

    def truncate_reply(self) -> None:
        """The reply ends in the middle."""

        def cut(request: httpx.Request) -> httpx.Response:
            reply, body = self._heard(request)
            kept = [
                (name, value) for name, value in reply.headers.multi_items() if name != "content-encoding"
            ]
            return httpx.Response(reply.status_code, headers=kept, stream=_Cut(body))

        self._next.append(cut)

    def fail(self) -> None:
        """The server fails inside."""
        self._next.append(lambda request: httpx.Response(500, headers=_JSON, content=b'{"error":"planned"}'))

    def garble_reply(self) -> None:
        """The request arrives, and what comes back is no JSON."""

        def garbled(request: httpx.Request) -> httpx.Response:
            reply, _ = self._heard(request)
            kept = [
                (name, value)
                for name, value in reply.headers.multi_items()
                if name not in ("content-encoding", "content-length")
            ]
            return httpx.Response(reply.status_code, headers=kept, content=b'\xff{"id": nonsense')

        self._next.append(garbled)

    def deny(self) -> None:
        """Nobody is let in."""
        self._lasting = lambda request: httpx.Response(401, headers=_JSON, content=b"{}")

    def heal(self) -> None:
        """Nothing fails any more."""
        self._lasting = None
        self._next.clear()
