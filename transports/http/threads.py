"""The driver of flows on threads: that of the caller, and a few of its own for flows that run together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from tidesync.transports.http.auth import Tokens
from tidesync.transports.http.exchange import Incoming, Outgoing, paced, request_of
from tidesync.transports.http.flow import Authorize, Compute, Flow, Pause, Send, Step, Together

T = TypeVar("T")


class ThreadDriver:
    """Performs the steps of flows; thread-safe, as httpx.Client is. `owned`: the client is closed with this."""

    def __init__(self, client: httpx.Client, *, owned: bool, concurrency: int) -> None:
        self._client, self._owned, self._concurrency = client, owned, concurrency
        self._lock, self._token_lock = threading.Lock(), threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end on this thread, and return its result."""
        try:
            step = next(flow)
            while True:
                try:
                    answer = self._perform(step)
                except Exception as error:  # noqa: BLE001  # the flow decides what becomes of it
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    def close(self) -> None:
        """Let go of the threads, and of the client if it is owned."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
        if self._owned:
            self._client.close()

    def _perform(self, step: Step[Any]) -> Any:
        match step:
            case Send():
                return self._send(step.outgoing, step.incoming)
            case Compute():
                return step.work()
            case Authorize():
                return self._token(step.tokens, step.refused)
            case Pause():
                return pause(step.seconds)
            case Together():
                return list(self._workers().map(self.run, step.flows))
            case _:
                raise TypeError(f"{type(step).__name__} is not a step that this driver knows")

    def _send(self, outgoing: Outgoing, incoming: Incoming) -> None:
        content = outgoing.content
        request = request_of(
            self._client,
            outgoing,
            content if isinstance(content, bytes | None) else _Paced(outgoing, content),
        )
        auth = httpx.USE_CLIENT_DEFAULT if outgoing.auth is None else outgoing.auth
        reply = self._client.send(request, auth=auth, stream=True, follow_redirects=False)
        try:
            if incoming.begin(reply):
                for raw in reply.iter_raw():
                    if not incoming.take(raw):
                        return
                incoming.end()
        finally:
            reply.close()

    def _token(self, tokens: Tokens, refused: str | None) -> str | None:
        with self._token_lock:
            source = tokens.wanting(refused)
            if source is not None:
                try:
                    given: object = source()
                except Exception as error:  # noqa: BLE001  # whatever it raises means no token
                    given = error
                tokens.take(given)
            return tokens.other(refused)

    def _workers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="tidesync-http")
            return self._pool


class _Paced:
    """The body of a request, which an auth flow may send again."""

    def __init__(self, outgoing: Outgoing, pieces: Sequence[bytes]) -> None:
        self._outgoing, self._pieces = outgoing, pieces

    def __iter__(self) -> Iterator[bytes]:
        return paced(self._outgoing, self._pieces)


def pause(seconds: float) -> None:
    """Wait before a read is tried again."""
    time.sleep(seconds)
