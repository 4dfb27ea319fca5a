"""A synchronous face of an asynchronous transport, so that the suite can be played on that, too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from tidesync.contracts.transport import (
    AsyncTransport,
    Change,
    Outcome,
    Page,
    PullRequest,
    TransportCapabilities,
)
from tidesync.errors import ContextClosed
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema

T = TypeVar("T")


class Bridged:
    """A `Transport` whose calls are awaited by an event loop in a thread of its own, several at once if need be.

    The loop runs from the first call to `close`, and another one after that. A call that is interrupted (Ctrl-C), or
    under way at `close`, is cancelled; the latter raises `ContextClosed`.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._loop: _Loop | None = None

    def __repr__(self) -> str:
        return f"Bridged({self._transport!r})"

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        """Find out who the remote is and what it can do."""
        return self._awaited(lambda: self._transport.open(tables))

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        """Send changes; one outcome per change, in order."""
        return self._awaited(lambda: self._transport.push(changes))

    def pull(self, request: PullRequest, /) -> Page:
        """Read one page."""
        return self._awaited(lambda: self._transport.pull(request))

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        """Read one record as it is now."""
        return self._awaited(lambda: self._transport.get(table, id))

    def close(self) -> None:
        """Close the transport, and end the thread; idempotent."""
        with self._lock:
            loop, self._loop = self._loop or _Loop(), None
        try:
            loop.call(self._transport.close).result()
        finally:
            loop.end()

    def _awaited(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        with self._lock:
            if self._loop is None:
                self._loop = _Loop()
            answer = self._loop.call(call)
        try:
            return answer.result()
        except CancelledError as error:
            raise ContextClosed("the transport was closed during the call") from error
        finally:
            _ = answer.cancel()  # which nobody waits for any more


class _Loop:
    """An event loop in a thread of its own, until `end`."""

    def __init__(self) -> None:
        begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, args=(begun,), name="bridged", daemon=True)
        self._thread.start()
        self._loop, self._over = begun.result()

    def _run(self, begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        async def until_over() -> None:
            over = asyncio.Event()
            begun.set_result((asyncio.get_running_loop(), over))
            _ = await over.wait()

        asyncio.run(until_over())  # which cancels what is left, and waits for it

    def call(self, call: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """What the call will return."""
        return asyncio.run_coroutine_threadsafe(call(), self._loop)

    def end(self) -> None:
        """End the loop, with all that is under way."""
        _ = self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
