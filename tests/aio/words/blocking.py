"""The asyncio face behind the words of the synchronous one: each call is awaited on the thread of an event loop."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from tests.api.support import TABLES, Wire, World
from tidesync import (
    AsyncRemoteTable,
    AsyncSelection,
    AsyncSyncContext,
    AsyncSyncTable,
    OperationError,
    defer,
)
from tidesync.aio.batch import AsyncBatch
from tidesync.contracts.transport import Change, Outcome, Page, PullRequest, TransportCapabilities
from tidesync.records import Copy
from tidesync.reports import Settled
from tidesync.schema import TableSchema


class Loop:
    """An event loop on a thread. Each thread that calls has a context there, as one task would have."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.complaints: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self._callers = threading.local()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What the function returns, awaited if it has to be."""
        if threading.current_thread() is self._thread:
            raise AssertionError("this call would wait for itself")
        if not hasattr(self._callers, "context"):
            self._callers.context = contextvars.copy_context()
        done: Future[Any] = Future()

        async def run() -> None:
            try:
                answer = function(*args, **kwargs)
                done.set_result(await answer if inspect.isawaitable(answer) else answer)
            except BaseException as error:
                done.set_exception(error)

        def begin() -> None:
            tasks.append(self.loop.create_task(run(), context=context))

        context, tasks = self._callers.context, list[asyncio.Task[None]]()
        _ = self.loop.call_soon_threadsafe(begin)
        return done.result(60)

    def close(self) -> None:
        left = self.call(asyncio.all_tasks)
        _ = self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        if self.complaints or len(left) > 1:
            raise AssertionError(f"{self.complaints} were not seen, {left} are left")


class Blocking:
    """A context, table or selection of the asyncio face, whose methods wait for the answer."""

    def __init__(self, inner: Any, loop: Loop) -> None:
        self._inner, self._loop = inner, loop

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name == "batch":
            return lambda: self._batch(value())
        if inspect.iscoroutinefunction(getattr(value, "__func__", value)):
            return lambda *args, **kwargs: self._shown(
                self._loop.call(
                    value, *map(given, args), **{key: given(each) for key, each in kwargs.items()}
                )
            )
        if inspect.isawaitable(value):

            async def answer() -> Any:
                return await value

            return self._loop.call(answer)
        if inspect.ismethod(value):
            return lambda *args, **kwargs: self._shown(value(*args, **kwargs))
        return value

    def __getitem__(self, key: Any) -> Any:
        return self._shown(self._inner[key])

    def __iter__(self) -> Iterator[Any]:
        async def rows() -> list[Any]:
            return [row async for row in self._inner]

        return iter(self._loop.call(rows))

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self.get(id) is not None

    def __repr__(self) -> str:
        return repr(self._inner)

    def __eq__(self, other: object) -> bool:
        return self._inner == given(other)

    def __hash__(self) -> int:
        return hash(self._inner)

    def _shown(self, value: Any) -> Any:
        if value is self._inner:
            return self
        wrapped = AsyncSyncTable, AsyncSelection, AsyncRemoteTable
        return Blocking(value, self._loop) if isinstance(value, wrapped) else value

    @contextmanager
    def _batch(self, batch: AsyncBatch) -> Iterator[None]:
        self._loop.call(batch.__aenter__)
        try:
            yield
        except BaseException as error:
            self._loop.call(batch.__aexit__, type(error), error, error.__traceback__)
            raise
        self._loop.call(batch.__aexit__, None, None, None)


class BlockingContext(Blocking):
    """A context, which also settles the errors that it reported."""

    def open(self) -> "BlockingContext":
        self._loop.call(self._inner.open)
        self._inner._session.resolver = self
        return self

    def close(self) -> None:
        self._loop.call(self._inner.close)

    def __enter__(self) -> "BlockingContext":
        return self.open()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def resolve_error(self, error: OperationError, how: str, record: Any = None) -> Settled:
        self._loop.call(self._inner.resolve_error, error, how, record)
        return Settled()


def given(value: Any) -> Any:
    """What a method of the inner object is given."""
    return value._inner if isinstance(value, Blocking) else value


def on_a_thread(function: Callable[..., Any]) -> Any:
    """A policy as a coroutine function: it may call the blocking context, as a policy of threads may."""

    async def call(*args: Any) -> Any:
        return await asyncio.to_thread(function, *args)

    return call


class Handler:
    """A handler that blocks, for a loop."""

    def __init__(self, inner: Any, loop: Loop) -> None:
        self._inner, self._loop = inner, loop

    async def execute(self, attempt: Any, send: Callable[[], Any]) -> Outcome | None:
        return await asyncio.to_thread(self._inner.execute, attempt, lambda: self._loop.call(send))  # type: ignore[no-any-return]

    async def on_push_complete(self, report: Any) -> None:
        await asyncio.to_thread(self._inner.on_push_complete, report)


class Awaited:
    """A wire whose calls have to be awaited; what it calls back may block."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    async def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        return await asyncio.to_thread(self.wire.open, tables)

    async def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return await asyncio.to_thread(self.wire.push, changes)

    async def pull(self, request: PullRequest, /) -> Page:
        return await asyncio.to_thread(self.wire.pull, request)

    async def get(self, table: str, id: str, /) -> Copy:
        return await asyncio.to_thread(self.wire.get, table, id)

    async def close(self) -> None:
        await asyncio.to_thread(self.wire.close)


class BlockingWorld(World):
    """Its devices are of the asyncio face."""

    loop: Loop

    def device(self, name: str = "one", wire: Wire | None = None, **options: Any) -> Any:
        tables = options.pop("tables", TABLES)
        if options.get("policy", defer) is not defer:
            options["policy"] = on_a_thread(options["policy"])
        if "policies" in options:
            options["policies"] = {key: on_a_thread(each) for key, each in options["policies"].items()}
        if "handler" in options:
            options["handler"] = Handler(options["handler"], self.loop)
        inner = AsyncSyncContext(self.make_store(name), Awaited(wire or self.wire()), tables, **options)
        context = BlockingContext(inner, self.loop)
        self.contexts.append(context)  # type: ignore[arg-type]
        return context.open()
