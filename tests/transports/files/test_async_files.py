"""The file transport on an event loop: word for word the same, and what a cancelled call leaves."""

import asyncio
import inspect
import threading
from pathlib import Path

import pytest

from tests.transports.authority.support import insert, kinds
from tests.transports.files.clients import TABLES, Files, client, commits, held
from tests.transports.files.dying import Memory
from tidesync.contracts.transport import AsyncTransport, PullRequest, Transport
from tidesync.errors import ContextClosed
from tidesync.query import Query
from tidesync.transports import AsyncFileTransport, FileTransport


def _words(made: type[object]) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(value)
        for name, value in vars(made).items()
        if inspect.isfunction(value) and (not name.startswith("_") or name == "__init__")
    }


def test_both_say_the_same_words() -> None:
    """Each public name of one is one of the other, with the same signature and docstring; all of them await."""
    one, other = _words(FileTransport), _words(AsyncFileTransport)

    assert one == other
    assert {name: inspect.getdoc(getattr(FileTransport, name)) for name in one} == {
        name: inspect.getdoc(getattr(AsyncFileTransport, name)) for name in other
    }
    asked = [name for name in other if name != "__init__"]
    assert asked == [name for name in asked if inspect.iscoroutinefunction(getattr(AsyncFileTransport, name))]


def test_it_is_the_transport_on_a_thread(tmp_path: Path) -> None:
    """What is pushed on a loop is there for everybody, and the other way round; errors come out as they are."""

    async def told() -> None:
        transport: AsyncTransport = AsyncFileTransport(tmp_path / "remote")
        other: Transport = FileTransport(tmp_path / "remote")
        with pytest.raises(ContextClosed):
            _ = await transport.get("item", "a")
        assert await transport.open(TABLES) == other.open(TABLES)

        assert ["Applied"] == kinds(await transport.push([insert("a")]))
        assert ["Applied"] == kinds(other.push([insert("b")]))

        page = await transport.pull(PullRequest(query=Query("item")))
        assert ["a", "b"] == [record["id"] for record in page.records]
        assert other.get("item", "a") == await transport.get("item", "a")
        await transport.close()
        await transport.close()
        with pytest.raises(ContextClosed):
            _ = await transport.get("item", "a")

    asyncio.run(told())


class Slow(Memory):
    """A place whose creates wait to be let go."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self.waiting, self.go = threading.Event(), threading.Event()

    def create(self, name: str, content: bytes) -> bool:
        if name.startswith("log/"):
            self.waiting.set()
            assert self.go.wait(10)
        return super().create(name, content)


def test_one_thread_for_all_calls_until_it_is_closed(tmp_path: Path) -> None:
    """Also where it was closed, and opened again."""

    def files() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name == "tidesync files"]

    async def main() -> None:
        transport = AsyncFileTransport(tmp_path / "remote")
        for _ in range(2):
            _ = await transport.open(TABLES)
            await asyncio.sleep(0.02)
            one = files()
            _ = await transport.get("item", "a")
            assert (1, one) == (len(one), files())
            await transport.close()
            for thread in one:
                await asyncio.to_thread(thread.join, 10)
            assert [] == files()

    asyncio.run(main())


def test_a_cancelled_push_goes_on_behind() -> None:
    """As if its reply were lost: it has its effect, and the next call comes after it; the loop does not wait."""

    async def told() -> None:
        files: Files = {}
        place = Slow(files)
        transport = AsyncFileTransport(place)
        _ = await transport.open(TABLES)
        pushing = asyncio.ensure_future(transport.push([insert("a")]))
        assert await asyncio.to_thread(place.waiting.wait, 10)

        assert pushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            _ = await pushing
        asked = asyncio.ensure_future(transport.get("item", "a"))
        await asyncio.sleep(0.01)
        assert not asked.done()
        assert [] == commits(files)
        place.go.set()

        assert await asked is not None
        assert ["a"] == list(held(client(files)))
        await transport.close()

    asyncio.run(told())


def test_a_call_that_was_cancelled_before_its_turn_is_not_made() -> None:
    """Nobody has begun it: nothing is in doubt."""

    async def told() -> None:
        files: Files = {}
        place = Slow(files)
        transport = AsyncFileTransport(place)
        _ = await transport.open(TABLES)
        first = asyncio.ensure_future(transport.push([insert("a")]))
        second = asyncio.ensure_future(transport.push([insert("b")]))
        assert await asyncio.to_thread(place.waiting.wait, 10)

        assert second.cancel()
        await asyncio.sleep(0)
        place.go.set()

        assert ["Applied"] == kinds(await first)
        await transport.close()
        assert ["a"] == list(held(client(files)))

    asyncio.run(told())


def test_a_close_that_is_given_up_closes() -> None:
    """Also while a push is under way, which comes to its end first."""

    async def told() -> None:
        files: Files = {}
        place = Slow(files)
        transport = AsyncFileTransport(place)
        _ = await transport.open(TABLES)
        pushing = asyncio.ensure_future(transport.push([insert("a")]))
        closing = asyncio.ensure_future(transport.close())
        assert await asyncio.to_thread(place.waiting.wait, 10)

        assert closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        place.go.set()

        assert ["Applied"] == kinds(await pushing)
        with pytest.raises(ContextClosed):
            _ = await transport.get("item", "a")
        assert ["a"] == list(held(client(files)))

    asyncio.run(told())
