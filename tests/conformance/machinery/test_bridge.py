"""The bridge: an asynchronous transport as a synchronous one, on a thread of its own for as long as it is open."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tidesync.conformance import TABLES, Bridged, check_transport
from tidesync.contracts.transport import (
    Change,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
)
from tidesync.errors import ContextClosed, RequestRefused
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema
from tidesync.stores import MemoryStore
from tidesync.transports import Authority, LoopbackTransport


class Awaited:
    """Loopback with `await`, as a stranger would write it; `pause` is awaited before each answer."""

    def __init__(self, inner: Transport) -> None:
        self.inner, self.threads = inner, set[str]()
        self.pause: Callable[[], Any] = lambda: asyncio.sleep(0)

    async def _told(self, ask: Callable[[], Any]) -> Any:
        self.threads.add(threading.current_thread().name)
        await self.pause()
        return ask()

    async def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        found: TransportCapabilities = await self._told(lambda: self.inner.open(tables))
        return found

    async def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        outcomes: Sequence[Outcome] = await self._told(lambda: self.inner.push(changes))
        return outcomes

    async def pull(self, request: PullRequest, /) -> Page:
        page: Page = await self._told(lambda: self.inner.pull(request))
        return page

    async def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        copy: Record | Tombstone | None = await self._told(lambda: self.inner.get(table, id))
        return copy

    async def close(self) -> None:
        await self._told(self.inner.close)


def bridges() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name == "bridged"}


@pytest.fixture
def awaited() -> Awaited:
    return Awaited(LoopbackTransport(Authority(MemoryStore(), TABLES)))


def test_an_asynchronous_transport_passes_rules_of_the_suite() -> None:
    """`Bridged` is all that a stranger's clients need."""

    def clients() -> list[Transport]:
        remote = Authority(MemoryStore(), TABLES)
        return [Bridged(Awaited(LoopbackTransport(remote))) for _ in range(3)]

    declared = LoopbackTransport(Authority(MemoryStore(), TABLES)).open(TABLES)
    report = check_transport(clients, capabilities=declared, only=["TRANSPORT-01", "TRANSPORT-02"])
    report.check()
    assert ["passed", "passed"] == [result.verdict.value for result in report.results]
    assert set() == bridges()


def test_calls_run_on_a_thread_until_close(awaited: Awaited) -> None:
    """It begins with the first call, ends with `close`, and begins again; errors come as they are."""
    way = Bridged(awaited)
    assert set() == bridges()
    for _ in range(2):
        _ = way.open(TABLES)
        assert ({"bridged"}, 1) == (awaited.threads, len(bridges()))
        with pytest.raises(RequestRefused):
            _ = way.get("nowhere", "a")
        way.close()
        way.close()
        assert set() == bridges()


def test_calls_of_several_threads_are_awaited_together(awaited: Awaited) -> None:
    """None waits for the end of another one."""
    way = Bridged(awaited)
    _ = way.open(TABLES)
    together = asyncio.Barrier(3)
    awaited.pause = lambda: asyncio.wait_for(together.wait(), 5)
    table = TABLES[0].name
    threads = [threading.Thread(target=way.get, args=(table, "a")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    awaited.pause = lambda: asyncio.sleep(0)
    assert 0 == together.n_waiting
    way.close()


def test_a_call_that_is_under_way_at_close_is_cancelled(awaited: Awaited) -> None:
    """It is told that the transport was closed, and nobody waits for ever."""
    way, begun, raised = Bridged(awaited), threading.Event(), list[type[Exception]]()
    _ = way.open(TABLES)

    async def forever() -> None:
        begun.set()
        awaited.pause = lambda: asyncio.sleep(0)
        _ = await asyncio.Event().wait()

    def call() -> None:
        try:
            _ = way.get(TABLES[0].name, "a")
        except Exception as error:
            raised.append(type(error))

    awaited.pause = forever
    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(5)
    way.close()
    thread.join(5)
    assert [ContextClosed] == raised
