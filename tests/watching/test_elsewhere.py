"""What other processes, and other contexts, change in the store."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.support import LISTS, NOTES, TABLES, TodoList
from tests.api.worker import device
from tests.cli.command import tidesync
from tests.watching.other import Other
from tests.watching.support import eventually, ids
from tidesync import SyncContext
from tidesync.events import Event, RecordsChanged
from tidesync.stores import MemoryStore, SQLiteStore

SOON = 0.02


@pytest.fixture
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Two contexts on one store: one file, or one store in memory."""
    if request.param == "memory":
        shared = MemoryStore()
        stores: list[Any] = [shared, shared]
    else:
        stores = [SQLiteStore(tmp_path / "a.db", synchronous="normal") for _ in range(2)]
    one, other = (SyncContext(store, None, TABLES).open() for store in stores)
    yield one, other
    one.close()
    other.close()


def test_another_process_is_seen(tmp_path: Path) -> None:
    """Every kind of change that it commits makes a watch here look again, and is told as an event, without ids.

    So does what `tidesync queue discard` takes back.
    """
    store, remote = tmp_path / "device.db", tmp_path / "remote.db"
    ctx, _ = device(str(store), str(remote))
    with ctx, Other(store, remote) as other:
        told: list[Event] = []
        ctx.subscribe(told.append)
        watch = ctx[NOTES].watch(poll=SOON)
        assert [] == watch.next(10)
        other.do("insert a b")
        assert ["a", "b"] == ids(watch.next(10))
        other.do("push")
        rows = watch.next(10)
        assert rows is not None
        assert [True, True] == ["version" in row for row in rows]
        other.do("purge")
        assert [] == watch.next(10)
        other.do("pull")
        assert ["a", "b"] == ids(watch.next(10))
        other.do("insert c")
        assert ["a", "b", "c"] == ids(watch.next(10))
        assert 0 == tidesync("queue", str(store), "discard", "--all", "--yes").returncode
        assert ["a", "b"] == ids(watch.next(10))
        assert watch.next(3 * SOON) is None
        assert {RecordsChanged("note", (), "elsewhere")} == set(told)
        assert 6 == len(told)


def test_two_processes_write_and_this_one_keeps_up(tmp_path: Path) -> None:
    """While both write, the watch here ends with everything; our own writes are told by id, and never as another's."""
    store, remote = tmp_path / "device.db", tmp_path / "remote.db"
    ctx, _ = device(str(store), str(remote))
    with ctx, Other(store, remote) as other:
        told: list[Any] = []
        ctx.subscribe(told.append)
        newest: list[int] = []
        ctx[NOTES].watch(None, lambda rows: newest.append(len(rows)), poll=SOON)
        thread = threading.Thread(target=lambda: [other.do(f"insert o{number}") for number in range(30)])
        thread.start()
        for number in range(30):
            ctx[NOTES].insert({"id": f"m{number}"})
        thread.join(60)
        assert eventually(lambda: newest[-1:] == [60])
        other.do("nothing")
        ours = [each.ids for each in told if isinstance(each, RecordsChanged) and each.source == "local"]
        assert [(f"m{number}",) for number in range(30)] == ours
        assert any(each == RecordsChanged("note", (), "elsewhere") for each in told)


@pytest.mark.parametrize("pair", ["memory", "sqlite"], indirect=True)
def test_another_context_is_seen(pair: tuple[SyncContext, SyncContext]) -> None:
    """Two contexts on one store hear of each other, not of themselves."""
    one, other = pair
    streams = [each.events(poll=SOON) for each in pair]
    one[NOTES].insert({"id": "a"})
    assert RecordsChanged("note", (), "elsewhere") == streams[1].next(10)
    assert [RecordsChanged("note", ("a",), "local")] == [streams[0].next(10)]
    streams[0].next(10)
    with other.batch():
        other[LISTS].insert(TodoList("l"))
        other[NOTES].insert({"id": "b"})
    found = {streams[0].next(10), streams[0].next(10)}
    assert {RecordsChanged("note", (), "elsewhere"), RecordsChanged("list", (), "elsewhere")} == found
    assert streams[0].next(3 * SOON) is None


@pytest.mark.parametrize("pair", ["memory", "sqlite"], indirect=True)
def test_without_a_poll_nobody_looks(pair: tuple[SyncContext, SyncContext]) -> None:
    """`poll=None`: no read of the store but those that changes of our own make; they show the others' too."""
    one, other = pair
    watch, stream = one[NOTES].watch(poll=None), one.events(poll=None)
    watch.next()
    other[NOTES].insert({"id": "a"})
    assert (None, None) == (watch.next(0.05), stream.next(0.05))
    one[NOTES].insert({"id": "b"})
    assert ["a", "b"] == ids(watch.next(0))


def test_a_context_with_other_tables_does_not_disturb(tmp_path: Path) -> None:
    """Changes of tables that this context was not given are none of its."""
    one, other = (
        SyncContext(SQLiteStore(tmp_path / "a.db", synchronous="normal"), None, tables).open()
        for tables in ([NOTES], [NOTES, LISTS])
    )
    with one, other:
        stream = one.events(poll=SOON)
        other[LISTS].insert(TodoList("l"))
        assert stream.next(3 * SOON) is None
        other[NOTES].insert({"id": "a"})
        assert RecordsChanged("note", (), "elsewhere") == stream.next(10)


def test_many_watches_share_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many streams of a context wait, the row is read about once each `poll` seconds; busy ones do not read."""
    with SyncContext(SQLiteStore(tmp_path / "a.db", synchronous="normal"), None, [NOTES]) as ctx:
        given = [ctx[NOTES].watch(None, lambda rows: None, poll=0.05) for _ in range(10)]
        idle = ctx[NOTES].watch(poll=0.001)
        assert eventually(lambda: all(watch._last is not None for watch in given))
        looks: list[float] = []
        look = ctx._changes.look
        monkeypatch.setattr(ctx._changes, "look", lambda: looks.append(time.monotonic()) or look())
        time.sleep(0.5)
        assert 2 <= len(looks) <= 25
        idle.close()


def test_a_subscriber_that_hears_of_others_may_use_the_context(tmp_path: Path) -> None:
    """It is called on the thread of whoever looked, outside every transaction."""
    one, other = (
        SyncContext(SQLiteStore(tmp_path / "a.db", synchronous="normal"), None, [NOTES]).open()
        for _ in range(2)
    )
    with one, other:
        seen: list[Any] = []
        one.subscribe(lambda event: seen.append(one[NOTES].count()))
        watch = one[NOTES].watch(poll=SOON)
        watch.next()
        other[NOTES].insert({"id": "a"})
        assert (["a"], [1]) == (ids(watch.next(10)), seen)
