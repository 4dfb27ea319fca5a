"""A server on a port of loopback, on the same event loop as what is tested: everything happens in turn."""

import asyncio
import inspect
from typing import Self

import httpx

from tests.transports.http.support import Awaited, Handler


class Serving:
    """Answers as a function does, on real connections; `connections` are open now, `accepted` were so far."""

    def __init__(self, answer: Handler | Awaited) -> None:
        self.answer = answer
        self.connections = self.accepted = 0
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        await self.settled()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/app"

    async def settled(self, connections: int = 0) -> None:
        """Wait until no more than so many connections are open."""
        async with asyncio.timeout(5):
            while self.connections > connections:
                self._ended.clear()
                _ = await self._ended.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.accepted += 1
        try:
            while True:
                await self._exchange(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections -= 1
            self._ended.set()
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        method, target, _ = line.split(" ")
        headers = httpx.Headers(
            [(name, value) for name, _, value in (each.partition(": ") for each in lines)]
        )
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        answer = self.answer(
            httpx.Request(method, f"http://127.0.0.1{target}", headers=headers, content=body)
        )
        reply = await answer if inspect.isawaitable(answer) else answer
        kept = [f"{name}: {value}" for name, value in reply.headers.items() if name != "content-length"]
        head = [f"HTTP/1.1 {reply.status_code} X", f"Content-Length: {len(reply.content)}", *kept]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + reply.content)
        await writer.drain()
