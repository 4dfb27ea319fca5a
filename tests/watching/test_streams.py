"""`ctx.events()`: every event from now on, to iterate."""

import gc
import threading
import time
from typing import Any

from tests.api.support import LISTS, NOTES, TodoList, World
from tests.watching.support import eventually
from tidesync import SyncContext
from tidesync.events import Event, EventsMissed, OperationQueued, Purged, RecordsChanged


def test_every_event_comes_in_order(ctx: SyncContext, world: World) -> None:
    """What subscribers are told, from the moment that the stream was made."""
    ctx[NOTES].insert({"id": "before"})
    told: list[Event] = []
    ctx.subscribe(told.append)
    with ctx.events(poll=None) as stream:
        ctx[NOTES].insert({"id": "a"})
        ctx.push()
        ctx[NOTES].pull()
        ctx[NOTES].purge()
        found: list[Event] = []
        while (event := stream.next(0)) is not None:
            found.append(event)
    assert told == found
    assert (RecordsChanged("note", ("a",), "local"), Purged("note", 2)) == (found[0], found[-1])


def test_a_slow_reader_is_told_how_much_it_missed(ctx: SyncContext) -> None:
    """Of more than wait the oldest are dropped; `EventsMissed` stands in their place, and the newest are all there."""
    stream = ctx.events(buffer=3, poll=None)
    for number in range(4):
        ctx[LISTS].insert(TodoList(f"{number}"))
    assert [
        EventsMissed(5),
        OperationQueued("list", "2", "insert"),
        RecordsChanged("list", ("3",), "local"),
        OperationQueued("list", "3", "insert"),
        None,
    ] == [stream.next(0) for _ in range(5)]
    ctx[LISTS].insert(TodoList("4"))
    assert RecordsChanged("list", ("4",), "local") == stream.next(0)


def test_only_streams_tell_of_what_they_missed(ctx: SyncContext) -> None:
    """A subscriber misses nothing, and another stream has its own count."""
    told: list[Event] = []
    ctx.subscribe(told.append)
    slow, quick = ctx.events(buffer=1, poll=None), ctx.events(poll=None)
    ctx[NOTES].insert_many([{"id": f"{number}"} for number in range(3)])
    assert (EventsMissed(3), 4) == (slow.next(0), len(told))
    assert told == [quick.next(0) for _ in told]


def test_a_writer_never_waits_for_a_reader(ctx: SyncContext) -> None:
    """Nobody reads, and writing goes on; what is kept is bounded."""
    stream = ctx.events(buffer=10, poll=None)
    ctx[NOTES].insert_many([{"id": f"{number}"} for number in range(500)])
    assert 10 == len(stream._buffer._events)
    assert EventsMissed(491) == stream.next(0)


def test_iterating_waits_and_ends_with_the_context(ctx: SyncContext) -> None:
    """What was told before the end is still there to be read; then the iteration ends."""
    stream, found = ctx.events(), list[Event]()

    def follow() -> None:
        for event in stream:
            found.append(event)
            time.sleep(0.01)

    thread = threading.Thread(target=follow)
    thread.start()
    for id in "abc":
        ctx[NOTES].insert({"id": id})
    ctx.close()
    thread.join(10)
    assert (False, 6, True, None) == (thread.is_alive(), len(found), stream.closed, stream.next())


def test_what_is_told_after_the_end_is_not_kept(ctx: SyncContext) -> None:
    """A closed stream takes no more, also if the context is opened again."""
    stream, other = ctx.events(), ctx.events()
    stream.close()
    stream.close()
    ctx[NOTES].insert({"id": "a"})
    assert (None, True) == (stream.next(0), stream.closed)
    ctx.close()
    ctx.open()
    ctx[NOTES].insert({"id": "b"})
    assert 2 == len(list(other))
    assert [] == ctx._subscribers


def test_nobody_holds_a_stream(ctx: SyncContext) -> None:
    """One that is dropped is gone, and with the next event its subscription."""
    gc.disable()
    try:
        stream: Any = ctx.events()
        ctx[NOTES].insert({"id": "a"})
        del stream
        assert [] == ctx._changes._alive()
        ctx[NOTES].insert({"id": "b"})
        assert [] == ctx._subscribers
    finally:
        gc.enable()


def test_no_event_is_lost_between_reading_and_waiting(ctx: SyncContext) -> None:
    """Threads write as fast as they can, and a reader gets each event once."""
    stream, found = ctx.events(poll=None, buffer=10_000), list[Any]()
    reader = threading.Thread(target=lambda: [found.append(event) for event in stream])

    def write(name: str) -> None:
        for number in range(40):
            ctx[NOTES].insert({"id": f"{name}{number}"})

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join(60)
    assert eventually(lambda: len(found) == 240)
    stream.close()
    reader.join(10)
    queued = [each.record_id for each in found if isinstance(each, OperationQueued)]
    assert sorted(f"{name}{number}" for name in "abc" for number in range(40)) == sorted(queued)
