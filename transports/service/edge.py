"""What is done for every reply, whoever makes it: headers, a bound on slow readers, compression, the log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import anyio
import anyio.lowlevel
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidesync.transports.service.log import Entry
from tidesync.transports.service.problems import Problem

PART: Final = 1 << 16
"""Bytes of a reply that are handed to the server at once: what a client has `Limits.patience` to make room for."""

_HEADERS: Final = (
    # Tells clients of tidesync that there is more than the two published protocols.
    ("Tidesync-Protocol", "1"),
    # A copy may be kept, for one principal, and is asked about each time: ETags make that cheap.
    ("Cache-Control", "private, no-cache"),
    # What a record holds is never run as a script or page, whatever it looks like.
    ("X-Content-Type-Options", "nosniff"),
)
_PORT: Final = re.compile(r":[0-9]*\Z")
_REFUSED: Final = re.compile(r"\s*q=0(\.0*)?\s*\Z")


class TooSlow(Exception):
    """The client did not make room for a part of the reply in time; nothing more can be said to it."""


class Edge:
    """The outermost layer: marks each reply, bounds the wait for its client, logs it."""

    def __init__(self, app: ASGIApp, patience: float) -> None:
        self.app, self.patience = app, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of connection pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        entry = scope["tidesync"] = Entry(scope["method"])
        reply = _Reply(entry, send, self.patience)
        try:
            await self.app(scope, receive, reply.send)
        except TooSlow:
            return  # the server drops the connection, for its reply is not complete
        finally:
            entry.write()


class _Reply:
    """One reply on its way out, in parts."""

    def __init__(self, entry: Entry, send: Send, patience: float) -> None:
        self.entry, self.patience = entry, patience
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass a message on; raises `TooSlow`."""
        if message["type"] == "http.response.start":
            self.entry.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS:
                headers.setdefault(name, value)
            await self._deliver(message)
            return
        if message["type"] != "http.response.body":
            await self._deliver(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        for start in range(0, len(body) - PART, PART):
            part = bytes(body[start : start + PART])
            await self._deliver({"type": "http.response.body", "body": part, "more_body": True})
            self._count(part)
        rest = body if len(body) <= PART else body[(len(body) - 1) // PART * PART :]
        await self._deliver({"type": "http.response.body", "body": bytes(rest), "more_body": more})
        self._count(rest)
        self.entry.done = not more

    def _count(self, part: bytes) -> None:
        if self.entry.method != "HEAD":  # its body is dropped by the server
            self.entry.size += len(part)

    async def _deliver(self, message: Message) -> None:
        delivered = False
        with anyio.move_on_after(self.patience):
            await self._send(message)
            delivered = True
        if not delivered:
            raise TooSlow
        if message.get("more_body", False):
            # Sending may not have waited: others have their turn, and whether the client has left is learnt here.
            await anyio.lowlevel.checkpoint()


class Hosts:
    """Answers under these names alone: a page of another site cannot give itself one of them."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app, self.hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; 421 under another name."""
        if scope["type"] == "http":
            host = _PORT.sub("", Headers(scope=scope).get("host", "").lower())
            if host not in self.hosts:
                problem = Problem(421, "unknown_host", "this service has another name")
                await problem.reply()(scope, receive, send)
                return
        await self.app(scope, receive, send)


class Gzip(GZipMiddleware):
    """Compresses replies for clients that take gzip, also streamed ones, part by part."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and takes_gzip(Headers(scope=scope).get("accept-encoding", "")):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding names gzip, and does not refuse it with q=0."""
    for each in accepted.lower().split(","):
        name, _, weight = each.partition(";")
        if name.strip() == "gzip":
            return _REFUSED.match(weight) is None
    return False
