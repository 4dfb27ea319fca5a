"""AsyncHttpTransport: what is its own. What it sends, and makes of replies, is shown with the fixture `driver`."""

import asyncio
import gzip
import inspect
import json
import re
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from tests.transports.http.fake_server import FakeServer, reply
from tests.transports.http.loop_server import Serving
from tests.transports.http.native_server import NativeServer
from tests.transports.http.support import COLUMNS, READ, ROW, TODO, URL, Awaited, Handler, Script, insert
from tidesync.contracts.transport import Applied, AsyncTransport, Denied, NotSent, Unknown
from tidesync.errors import ConfigurationError, ContextClosed, NotReachable, RemoteUnavailable, Unauthorized
from tidesync.transports import AsyncHttpTransport, HttpTransport
from tidesync.transports.http import native, tasks
from tidesync.transports.http.flow import Compute, Flow, Together

WORDS = ("open", "push", "pull", "get", "close")


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test on a loop that reports what holds it up or is not awaited."""

    async def tested() -> None:
        await test()

    asyncio.run(tested(), debug=True)


async def opened(answer: Handler | Awaited, **options: Any) -> AsyncHttpTransport:
    """An open transport whose network is a function."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer), verify=False)
    way = AsyncHttpTransport(URL, client=client, **{"protocol": "2.0", "retries": 0, **options})
    _ = await way.open([TODO])
    return way


# ---------------------------------------------------------------- the two faces


def test_the_words_are_those_of_the_synchronous_one() -> None:
    """The same names, parameters, defaults and docstrings; each call is to be awaited."""
    public = [
        [name for name in vars(each) if not name.startswith("_")]
        for each in (HttpTransport, AsyncHttpTransport)
    ]
    assert [list(WORDS)] * 2 == public
    for name in WORDS:
        one, other = getattr(HttpTransport, name), getattr(AsyncHttpTransport, name)
        assert (one.__doc__, inspect.signature(one)) == (other.__doc__, inspect.signature(other))
        assert inspect.iscoroutinefunction(other)
    _: type[AsyncTransport] = AsyncHttpTransport


def test_they_are_made_with_the_same_options() -> None:
    """But for an AsyncClient, and a function that may be async; the docstring differs by these words alone."""
    one, other = (inspect.signature(each).parameters for each in (HttpTransport, AsyncHttpTransport))
    different = {name for name in one if str(one[name]) != str(other[name])}
    assert ({"auth", "client"}, list(one)) == (different, list(other))
    assert [one[name].default for name in one] == [other[name].default for name in other]
    words = [re.sub(r"\s+", " ", str(each.__doc__)) for each in (HttpTransport, AsyncHttpTransport)]
    expected = words[0].replace("returns a fresh token;", "returns a fresh token, async or not;")
    assert expected.replace("httpx.Client", "httpx.AsyncClient") == words[1]
    assert "AsyncHttpTransport('https://todo.example', protocol='auto')" == repr(
        AsyncHttpTransport("https://todo.example")
    )


# ---------------------------------------------------------------- one loop


def test_it_is_of_the_loop_that_opened_it() -> None:
    """On another loop it is refused, until it was closed; then it may be opened there."""
    way = AsyncHttpTransport(
        URL, protocol="2.0", client=httpx.AsyncClient(transport=httpx.MockTransport(Script(reply(200, []))))
    )

    async def used() -> list[Any]:
        _ = await way.open([TODO])
        return list((await way.pull(READ)).records)

    assert [] == asyncio.run(used())
    for call in (used(), way.pull(READ)):
        with pytest.raises(ConfigurationError, match="another event loop"):
            _ = asyncio.run(call)
    asyncio.run(way.close())
    with pytest.raises(ContextClosed):
        _ = asyncio.run(way.pull(READ))
    assert [] == asyncio.run(used())


def test_tasks_that_open_it_at_once_open_it_once() -> None:
    """Who comes second finds it open; who closes takes a turn, too; it may be closed twice."""
    accepted: list[int] = []

    async def together() -> None:
        async with Serving(NativeServer()) as server:
            way = AsyncHttpTransport(server.url, protocol="tidesync", timeout=2.0)
            found = await asyncio.gather(*(way.open([TODO]) for _ in range(5)))
            assert {"it"} == {each.identity for each in found}
            await asyncio.gather(way.close(), way.close())
            await server.settled()
            accepted.append(server.accepted)

    for _ in range(2):
        run(together)
    assert [1, 1] == accepted


# ---------------------------------------------------------------- credentials


def guarded(request: httpx.Request) -> httpx.Response:
    """A server that takes one token only, and says the wrong one aloud."""
    token = request.headers.get("x-zumo-auth", "")
    return reply(200, [ROW]) if token == "new" else reply(401, {"error": f"{token} has expired"})


def test_one_renewal_serves_all_tasks_that_were_refused() -> None:
    """Eight tasks are refused with the old token together; one asks for a new one, and all go on with it."""
    given, tokens, gate = list[str](), iter(["old", "new", "newer"]), asyncio.Barrier(8)

    async def fresh() -> str:
        await asyncio.sleep(0.01)
        given.append(next(tokens))
        return given[-1]

    async def refused_together(request: httpx.Request) -> httpx.Response:
        if request.headers["x-zumo-auth"] == "old":
            _ = await asyncio.wait_for(gate.wait(), 5)
        return guarded(request)

    async def several() -> None:
        way = await opened(refused_together, auth=fresh)
        pages = await asyncio.gather(*(way.pull(READ) for _ in range(8)))
        assert [1] * 8 == [len(page.records) for page in pages]

    run(several)
    assert ["old", "new"] == given


def test_who_renews_may_be_cancelled() -> None:
    """The next one in turn asks for the token then."""
    asked = list[int]()

    async def fresh() -> str:
        asked.append(1)
        await asyncio.sleep(0.02)
        return "new"

    async def several() -> None:
        way = await opened(guarded, auth=fresh)
        first, second = (asyncio.create_task(way.pull(READ)) for _ in range(2))
        await asyncio.sleep(0.01)
        _ = first.cancel()
        assert 1 == len((await second).records)
        assert first.cancelled()

    run(several)
    assert [1, 1] == asked


def test_a_function_that_is_not_async_may_wait_for_whatever_it_likes() -> None:
    """It runs on a thread; what it returns may still be awaitable."""
    seen = list[threading.Thread]()

    def deferred() -> Awaitable[str]:
        return coming()

    def plain() -> str:
        seen.append(threading.current_thread())
        return "new"

    async def coming() -> str:
        return "new"

    async def several() -> None:
        for source in (plain, deferred, partial(coming), "new"):
            assert 1 == len((await (await opened(guarded, auth=source)).pull(READ)).records)
        assert threading.current_thread() not in seen

    run(several)
    assert 1 == len(seen)


def test_a_function_that_gives_no_token_denies() -> None:
    """Told by its type, never by its text."""

    async def failing() -> str:
        raise RuntimeError("s3cr3t")

    async def empty() -> str:
        return ""

    async def several() -> None:
        for source in (failing, empty):
            way = await opened(guarded, auth=source)
            (outcome,) = await way.push([insert("a")])
            assert isinstance(outcome, Denied)
            assert "s3cr3t" not in outcome.reason
            with pytest.raises(Unauthorized):
                _ = await way.pull(READ)

    run(several)


def test_a_function_that_has_to_be_awaited_is_for_the_other_face() -> None:
    """`HttpTransport` refuses it at once, and says who can await it."""

    async def fresh() -> str:
        raise AssertionError

    class Source:
        async def __call__(self) -> str:
            raise AssertionError

    sources: list[Any] = [fresh, Source()]
    for source in sources:
        with pytest.raises(ConfigurationError, match="AsyncHttpTransport"):
            _ = HttpTransport(URL, auth=source)


# ---------------------------------------------------------------- the network


def test_a_timeout_proves_nothing() -> None:
    """Silence ends after the time that was allowed: a write is in doubt, a read is unavailable."""

    async def silent() -> None:
        remote, quiet = FakeServer({"todoitem": COLUMNS}), [True]

        async def answer(request: httpx.Request) -> httpx.Response:
            found = remote(request)
            if quiet[0]:
                await asyncio.sleep(0.4)
            return found

        async with Serving(answer) as server:
            way = AsyncHttpTransport(server.url, protocol="2.0", timeout=0.1, retries=0)
            _ = await way.open([TODO])
            (outcome,) = await way.push([insert("a", text="x")])
            assert isinstance(outcome, Unknown)
            with pytest.raises(RemoteUnavailable):
                _ = await way.pull(READ)
            quiet[0] = False
            assert ["a"] == [each["id"] for each in (await way.pull(READ)).records]
            await way.close()

    run(silent)


def test_a_refused_connection_was_not_sent() -> None:
    """Nobody listens: nothing arrived."""

    async def refused() -> None:
        async with Serving(NativeServer()) as server:
            url = server.url
        way = AsyncHttpTransport(url, protocol="2.0", retries=0)
        _ = await way.open([TODO])
        (outcome,) = await way.push([insert("a", text="x")])
        assert isinstance(outcome, NotSent)
        with pytest.raises(NotReachable):
            _ = await way.pull(READ)
        await way.close()

    run(refused)


def test_one_transport_serves_several_tasks() -> None:
    """Push, pull and get at the same time, over as many connections as are allowed, and no more."""

    async def several() -> None:
        async with Serving(FakeServer({"todoitem": COLUMNS})) as server:
            way = AsyncHttpTransport(server.url, protocol="2.0", concurrency=2)
            _ = await way.open([TODO])

            async def work(name: str) -> None:
                for number in range(5):
                    id = f"{name}{number}"
                    outcomes = await way.push([insert(id, text="x"), insert(id + "'", text="y")])
                    assert [Applied, Applied] == [type(one) for one in outcomes]
                    assert "x" == (await way.get("todoitem", id))["text"]

            async with asyncio.TaskGroup() as group:
                for name in "abcd":
                    _ = group.create_task(work(name))
            assert 40 == len((await way.pull(READ)).records)
            await way.close()
            assert server.accepted <= 6

    run(several)


# ---------------------------------------------------------------- the loop


def test_large_pages_are_read_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a few hundred records is parsed on a thread of the transport's, a short one on the loop."""
    seen, read = list[str](), native.read_page

    def watched(messages: Any) -> Any:
        seen.append(threading.current_thread().name.partition("_")[0])
        return read(messages)

    monkeypatch.setattr(native, "read_page", watched)

    async def pulled() -> None:
        way = await opened(NativeServer(), protocol="tidesync")
        _ = await way.push([insert("0", text="x")])
        assert 1 == len((await way.pull(READ)).records)
        _ = await way.push([insert(f"{n}", text="x" * 100) for n in range(1, 300)])
        assert 300 == len((await way.pull(READ)).records)
        await way.close()

    run(pulled)
    assert ["MainThread", "tidesync-http"] == seen


def test_large_replies_are_unpacked_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes compressed is decompressed there, however much comes out."""
    body = gzip.compress(json.dumps([{**ROW, "text": "".join(map(str, range(40_000)))}]).encode())
    seen, take = list[str](), tasks.Incoming.take

    def watched(self: tasks.Incoming, raw: bytes) -> bool:
        seen.append(threading.current_thread().name.partition("_")[0])
        return take(self, raw)

    monkeypatch.setattr(tasks.Incoming, "take", watched)

    async def pulled() -> None:
        async with Serving(lambda request: Packed(body)) as server:
            way = AsyncHttpTransport(server.url, protocol="2.0")
            _ = await way.open([TODO])
            (record,) = (await way.pull(READ)).records
            assert len(record["text"]) > 100_000
            await way.close()

    run(pulled)
    assert "tidesync-http" in seen


class Packed(httpx.Response):
    """A reply whose content is compressed, as it is."""

    def __init__(self, body: bytes) -> None:
        super().__init__(200, content=body)
        self.headers["content-encoding"] = "gzip"


def test_flows_that_run_together_are_as_many_as_are_allowed() -> None:
    """Their results come in order; a failure is the first one's own error, and ends the others."""
    most, now = [0], [0]

    async def slow(request: httpx.Request) -> httpx.Response:
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0.005)
        now[0] -= 1
        return reply(201, {**ROW, **json.loads(request.content)})

    def failing(number: int) -> Flow[int]:
        done = yield from Compute(lambda: number, 1 << 20)
        if done == 2:
            raise ValueError("mine")
        return done

    async def together() -> None:
        way = await opened(slow, protocol="3.0", concurrency=3)
        outcomes = await way.push([insert(f"{n}") for n in range(10)])
        assert [f"{n}" for n in range(10)] == [one.copy["id"] for one in outcomes]
        async with httpx.AsyncClient() as client:
            driver = tasks.TaskDriver(client, owned=False, concurrency=2)

            def all_of(*numbers: int) -> Flow[list[int]]:
                return (yield from Together([failing(number) for number in numbers]))

            assert [5, 4, 3] == await driver.run(all_of(5, 4, 3))
            with pytest.raises(ValueError, match="mine"):
                _ = await driver.run(all_of(1, 2, 3))
            await driver.close()

    run(together)
    assert 3 == most[0]
