"""A call that is cancelled, at whatever await: it lets go of its connection, and the transport goes on working."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from tests.transports.http.fake_server import FakeServer
from tests.transports.http.loop_server import Serving
from tests.transports.http.native_server import NativeServer
from tests.transports.http.points import Points
from tests.transports.http.support import COLUMNS, READ, TODO, Handler, delete, insert
from tidesync.contracts.transport import Applied, Conflicted, NotSent
from tidesync.transports.http import AsyncHttpTransport

CHANGES = [insert(id, text="x" * 4000) for id in "abc"]
"""Enough to be made, and read, on the thread aside."""
Call = Callable[[AsyncHttpTransport], Coroutine[Any, Any, Any]]
CALLS: dict[str, Call] = {
    "open": lambda way: way.open([TODO]),
    "push": lambda way: way.push(CHANGES),
    "pull": lambda way: way.pull(READ),
    "get": lambda way: way.get("todoitem", "z"),
}
SERVERS: dict[str, Callable[[], Handler]] = {
    "tidesync": NativeServer,
    "2.0": lambda: FakeServer({"todoitem": COLUMNS}),
}


async def renewed() -> str:
    """A token that has to be waited for."""
    await asyncio.sleep(0)
    return "token"


def connected(url: str, protocol: Any) -> tuple[httpx.AsyncClient, AsyncHttpTransport]:
    """A transport that may have one connection: if that is lost to the pool, no further call is possible."""
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=1), verify=False, trust_env=False)
    way = AsyncHttpTransport(url, protocol=protocol, client=client, auth=renewed, timeout=2.0, retries=0)
    return client, way


async def cancelled_at(point: int, call: Call, protocol: Any, *, warm: bool, again: bool) -> bool:
    """Cancel a call at this point, and see that all calls work; False where it has no such point."""
    async with Serving(SERVERS["2.0" if protocol == "auto" else protocol]()) as server:
        client, way = connected(server.url, protocol)
        async with client:
            if warm:
                _ = await way.open([TODO])
                _ = await way.push([insert("z", text="z")])
            points = Points(point, again=again)
            cancelled = await points.run(call(way))
            for _ in range(2):  # the loop itself closes generators that were left
                await asyncio.sleep(0)
            assert [] == [task for task in points.tasks if not task.done()]
            await server.settled(1)
            _ = await way.open([TODO])
            assert {Applied, Conflicted} >= {type(one) for one in await way.push(CHANGES)}
            assert {*"abc"} == {str(each["id"]) for each in (await way.pull(READ)).records} - {"z"}
            assert "x" * 4000 == (await way.get("todoitem", "a"))["text"]
            await way.close()
    return cancelled


@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
@pytest.mark.parametrize(
    ("call", "protocol", "warm"),
    [
        ("open", "auto", False), ("open", "tidesync", False), ("open", "tidesync", True), ("push", "tidesync", True),
        ("pull", "tidesync", True), ("get", "tidesync", True), ("push", "2.0", True), ("pull", "2.0", True),
    ],
)  # fmt: skip
def test_cancelled_at_each_await(call: str, protocol: str, warm: bool, again: bool) -> None:
    """The call ends as cancelled, no task and no connection of it stays, and every call works after it."""

    async def each() -> int:
        for point in itertools.count():
            if not await cancelled_at(point, CALLS[call], protocol, warm=warm, again=again):
                return point
        raise AssertionError

    assert asyncio.run(each()) > 4


def test_closing_is_done_also_when_it_is_cancelled() -> None:
    """Whoever cancels `close` waits for it: no connection stays open."""

    async def closed_at(point: int) -> bool:
        async with Serving(NativeServer()) as server:
            way = AsyncHttpTransport(server.url, protocol="tidesync")
            _ = await way.open([TODO])
            cancelled = await Points(point).run(way.close())
            await way.close()
            await server.settled()
            _ = await way.open([TODO])
            assert [Applied] == [type(one) for one in await way.push(CHANGES[:1])]
            await way.close()
        return cancelled

    async def each() -> int:
        for point in itertools.count():
            if not await closed_at(point):
                return point
        raise AssertionError

    assert asyncio.run(each()) > 0


def test_what_was_sent_is_in_doubt() -> None:
    """A push that is cancelled while its reply is awaited may have its effect: as after a lost reply."""

    async def lost() -> None:
        remote, arrived = NativeServer(), asyncio.Event()

        async def silent(request: httpx.Request) -> httpx.Response:
            answer = remote(request)
            if request.url.path.endswith("/push"):
                arrived.set()
                await asyncio.sleep(0.05)
            return answer

        async with Serving(silent) as server:
            client, way = connected(server.url, "tidesync")
            async with client:
                _ = await way.open([TODO])
                pushing = asyncio.create_task(way.push([insert("a", text="x")]))
                _ = await arrived.wait()
                _ = pushing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    _ = await pushing
                await server.settled()
                (again,) = await way.push([insert("a", text="x", attempts=2)])
                assert isinstance(again, Applied)
                assert 1 == len((await way.pull(READ)).records)

    asyncio.run(lost())


def test_one_of_several_that_wait_for_a_connection() -> None:
    """Who is cancelled while waiting for a connection lets those behind it have it."""

    async def waiting() -> None:
        remote, arrived, go = NativeServer(), asyncio.Event(), asyncio.Event()

        async def held(request: httpx.Request) -> httpx.Response:
            if request.method == "GET" and "tables" in request.url.path:
                arrived.set()
                _ = await go.wait()
            return remote(request)

        async with Serving(held) as server:
            client, way = connected(server.url, "tidesync")
            async with client:
                _ = await way.open([TODO])
                first, second, third = (asyncio.create_task(way.get("todoitem", "a")) for _ in range(3))
                _ = await arrived.wait()
                await asyncio.sleep(0.01)
                _ = second.cancel()
                with pytest.raises(asyncio.CancelledError):
                    _ = await second
                go.set()
                assert [None, None] == [await first, await third]
                assert 1 == server.accepted

    asyncio.run(waiting())


def test_a_timeout_of_asyncio_is_a_cancellation() -> None:
    """`asyncio.timeout` ends a call whose server says nothing; the next one works."""

    async def late() -> None:
        quiet, remote = [True], NativeServer()

        async def silent(request: httpx.Request) -> httpx.Response:
            if quiet[0] and request.url.path.endswith("/pull"):
                quiet[0] = False
                await asyncio.sleep(0.3)
            return remote(request)

        async with Serving(silent) as server:
            client, way = connected(server.url, "tidesync")
            async with client:
                _ = await way.open([TODO])
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.02):
                        _ = await way.pull(READ)
                assert [] == list((await way.pull(READ)).records)

    asyncio.run(late())


def test_the_others_of_a_group_are_cancelled_with_one_that_fails() -> None:
    """In a TaskGroup, calls end with the group, and the transport can be used after it."""

    async def failing(arrived: asyncio.Event) -> None:
        _ = await arrived.wait()
        raise RuntimeError("mine")

    async def together(*calls: Coroutine[Any, Any, Any]) -> None:
        async with asyncio.TaskGroup() as group:
            for call in calls:
                _ = group.create_task(call)

    async def grouped() -> None:
        remote, arrived = FakeServer({"todoitem": COLUMNS}), asyncio.Event()

        async def slow(request: httpx.Request) -> httpx.Response:
            if request.method == "DELETE":
                arrived.set()
                await asyncio.sleep(0.05)
            return remote(request)

        async with Serving(slow) as server:
            client, way = connected(server.url, "2.0")
            async with client:
                _ = await way.open([TODO])
                with pytest.raises(ExceptionGroup):
                    await together(way.push([delete(id, "AAA=") for id in "abc"]), failing(arrived))
                assert NotSent not in {type(one) for one in await way.push(CHANGES)}

    asyncio.run(grouped())
