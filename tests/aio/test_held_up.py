"""What never happens on the event loop, because it would hold it up."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest

from tests.aio.support import AsyncWire, AsyncWorld, looped
from tests.api.support import NOTES, TODOS, Todo
from tidesync import answers
from tidesync.objects import Table

IMPORTING = """
import asyncio, sys, threading
from tidesync import AsyncSyncContext, PushFailed, table
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.http import AsyncHttpTransport
notes = table("note", {"text": str})
here, seen = threading.get_ident(), []
def look(event, arguments):
    if event == "import" and threading.get_ident() == here and arguments[0].partition(".")[0] in HEAVY:
        seen.append(arguments[0])
HEAVY = {"httpcore", "anyio", "h11", "apsw", "ssl"}
async def main():
    sys.addaudithook(look)
    async with AsyncSyncContext(SQLiteStore(sys.argv[1]), AsyncHttpTransport("http://127.0.0.1:9"), [notes]) as ctx:
        await ctx[notes].insert({"id": "a"})
        try:
            await ctx.push()
        except PushFailed as error:
            print(error.report.status, [each for each in seen if each not in BEFORE])
BEFORE = set(sys.modules)
asyncio.run(main())
"""


def test_nothing_is_imported_on_the_loop(tmp_path: Any) -> None:
    """The first exchange imports most of httpx, and the first transaction a driver: on threads."""
    command = [sys.executable, "-c", IMPORTING, str(tmp_path / "one.db")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "network []\n" == ended.stdout


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What was done on this thread, of all that takes long for many records."""
    found: set[str] = set()
    me = threading.get_ident()

    def noted(owner: Any, name: str) -> None:
        done = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == me:
                found.add(name)
            return done(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    for name in ("sound_page", "sound_outcomes"):
        noted(sys.modules["tidesync.effects"], name)
    for name in ("to_record", "from_record", "fits"):
        noted(Table, name)
    return found


def test_looking_at_answers_is_where_it_is_watched() -> None:
    """The names that the next test watches are those that are used."""
    assert answers.sound_page is vars(sys.modules["tidesync.effects"])["sound_page"]


@looped
async def test_records_are_looked_at_elsewhere(world: AsyncWorld, wire: AsyncWire, here: set[str]) -> None:
    """Pages, outcomes, and objects made of many records, or records of many objects: off the loop."""
    for number in range(5):
        _ = world.remote.write("todo", f"there{number}", text="x")
    async with world.device(wire=wire) as ctx:
        _ = await ctx[TODOS].insert_many([Todo(f"{number}") for number in range(5)])
        _ = await ctx.push()
        _ = await ctx[TODOS].pull(name="all")
        assert 10 == len(await ctx[TODOS].all()) == len(await ctx.remote(TODOS).all())
        assert 10 == len(await ctx[TODOS].values("text", "due"))
        assert 10 == len([each async for each in ctx[TODOS].where()])
        assert set() == here
        _ = await ctx[NOTES].insert({"id": "one"})  # one at a time is quickly done
        assert {"to_record"} == here


@looped
async def test_nothing_waits_on_the_loop(world: AsyncWorld, wire: AsyncWire) -> None:
    """Transactions are not begun on the loop's thread, and a synchronous transport is not called there."""
    me, threads = threading.get_ident(), set[int]()
    wire.inner.on_push = wire.inner.on_pull = lambda _: threads.add(threading.get_ident())
    async with world.device(wire=wire.inner) as ctx:

        def seen(_: Any) -> None:
            threads.add(threading.get_ident())

        _ = await ctx[NOTES].insert({"id": "a"})
        await ctx.read(seen)
        await ctx.write(seen)
        async with ctx.batch():
            await ctx.read(seen)
        _ = await ctx[NOTES].pull()
        await asyncio.sleep(0)
    assert me not in threads
    assert 2 == len(threads)
