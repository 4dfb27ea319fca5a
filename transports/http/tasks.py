"""The driver of flows on tasks of an event loop, with a thread of its own for what would hold the loop up."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, Final, TypeVar, cast

import anyio
import httpx

from tidesync.errors import ConfigurationError
from tidesync.transports.http.auth import Source, Tokens
from tidesync.transports.http.exchange import Incoming, Outgoing, paced, request_of
from tidesync.transports.http.flow import Authorize, Compute, Flow, Pause, Send, Step, Together

T = TypeVar("T")
DIRECT: Final = 1 << 13
"""Bytes that are computed over on the loop itself: that takes less than a millisecond."""
DIRECT_PACKED: Final = 1 << 10
"""The same of compressed bytes, which may be a thousand times as many."""


class TaskDriver:
    """Performs the steps of flows on the loop that made it. `owned`: the client is closed with this.

    Whoever is cancelled waits until the connection is closed, or back in the pool, and no longer.
    """

    def __init__(self, client: httpx.AsyncClient, *, owned: bool, concurrency: int) -> None:
        self._client, self._owned, self._concurrency = client, owned, concurrency
        self._loop, self._token_lock = asyncio.get_running_loop(), asyncio.Lock()
        self._thread: ThreadPoolExecutor | None = None

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end, and return its result."""
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigurationError(
                "the transport was opened on another event loop, where its connections are: close it there, or "
                "make one for each loop"
            )
        try:
            step = next(flow)
            while True:
                try:
                    answer = await self._perform(step)
                except Exception as error:  # noqa: BLE001  # the flow decides what becomes of it
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    async def close(self) -> None:
        """Let go of the thread, and of the client if it is owned; all of it, also if cancelled."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False)  # what it may still compute is wanted by nobody
        if self._owned and not self._loop.is_closed():
            await _to_its_end(asyncio.create_task(self._client.aclose()), lambda: None)

    async def _perform(self, step: Step[Any]) -> Any:
        match step:
            case Send():
                return await self._send(step.outgoing, step.incoming)
            case Compute():
                return step.work() if step.size <= DIRECT else await self._aside(step.work)
            case Authorize():
                return await self._token(step.tokens, step.refused)
            case Pause():
                return await pause(step.seconds)
            case Together():
                return await self._together(step.flows)
            case _:
                raise TypeError(f"{type(step).__name__} is not a step that this driver knows")

    async def _send(self, outgoing: Outgoing, incoming: Incoming) -> None:
        # httpcore shields its cleaning up from a scope that is cancelled, and not from a task that is: a task that is
        # cancelled while it takes a lock of httpcore's would leave a connection in the pool that nobody can use.
        scope = anyio.CancelScope()

        async def exchange() -> None:
            with scope:
                await self._exchange(outgoing, incoming)

        await _to_its_end(asyncio.create_task(exchange()), scope.cancel)

    async def _exchange(self, outgoing: Outgoing, incoming: Incoming) -> None:
        content = outgoing.content
        request = request_of(
            self._client,
            outgoing,
            content if isinstance(content, bytes | None) else _Paced(outgoing, content),
        )
        auth = httpx.USE_CLIENT_DEFAULT if outgoing.auth is None else outgoing.auth
        reply = await self._client.send(request, auth=auth, stream=True, follow_redirects=False)
        try:
            if incoming.begin(reply):
                async with aclosing(cast("AsyncGenerator[bytes]", reply.aiter_raw())) as pieces:
                    async for raw in pieces:
                        if not await self._taken(incoming, raw):
                            return
                incoming.end()
        finally:
            await reply.aclose()

    async def _taken(self, incoming: Incoming, raw: bytes) -> bool:
        if incoming.packed and len(raw) > DIRECT_PACKED:
            return await self._aside(lambda: incoming.take(raw))
        return incoming.take(raw)

    async def _aside(self, work: Callable[[], T]) -> T:
        """What the work returns, computed on the thread."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="tidesync-http")
        return await self._loop.run_in_executor(self._thread, work)

    async def _token(self, tokens: Tokens, refused: str | None) -> str | None:
        async with self._token_lock:
            source = tokens.wanting(refused)
            if source is not None:
                try:
                    given = await _called(source)
                except Exception as error:  # noqa: BLE001  # whatever it raises means no token
                    given = error
                tokens.take(given)
            return tokens.other(refused)

    async def _together(self, flows: Sequence[Flow[T]]) -> list[T]:
        results: dict[int, T] = {}
        left = iter(enumerate(flows))

        async def some() -> None:
            for place, flow in left:
                results[place] = await self.run(flow)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._concurrency, len(flows))):
                    _ = group.create_task(some())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [results[place] for place in range(len(flows))]


class _Paced:
    """The body of a request, which an auth flow may send again."""

    def __init__(self, outgoing: Outgoing, pieces: Sequence[bytes]) -> None:
        self._outgoing, self._pieces = outgoing, pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in paced(self._outgoing, self._pieces):
            yield piece


async def pause(seconds: float) -> None:
    """Wait before a read is tried again."""
    await asyncio.sleep(seconds)


async def _called(source: Source) -> object:
    """What the function gives; one that is not async may wait for whatever it likes, on a thread."""
    given: object = source() if inspect.iscoroutinefunction(source) else await asyncio.to_thread(source)
    return await given if inspect.isawaitable(given) else given


async def _to_its_end(task: asyncio.Task[T], stop: Callable[[], None]) -> T:
    """The result of a task. Who is cancelled meanwhile asks it to stop, and is cancelled once it has ended."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            _ = await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
            stop()
    if cancelled is not None:
        if not task.cancelled():
            _ = task.exception()  # nobody asks for it any more
        raise cancelled
    return task.result()
