"""Waiting for a live query of a `SyncContext`: by iterating, by asking, by a callback."""

import gc
import logging
import math
import threading
import time
from typing import Any

import pytest

from tests.api.support import NOTES
from tests.watching.support import eventually, ids
from tidesync import Rows, SyncContext
from tidesync.errors import ContextClosed, UsageError

# ---- waiting


def test_iterating_waits_for_the_next(ctx: SyncContext) -> None:
    """A thread that iterates gets each result that another thread makes; closing ends it."""
    watch, seen = ctx[NOTES].watch(poll=None), list[Any]()

    def follow() -> None:
        for rows in watch:
            seen.append(ids(rows))

    thread = threading.Thread(target=follow)
    thread.start()
    assert eventually(lambda: seen == [[]])
    ctx[NOTES].insert({"id": "a"})
    assert eventually(lambda: seen == [[], ["a"]])
    watch.close()
    thread.join(10)
    assert (False, True, []) == (thread.is_alive(), watch.closed, list(watch))


def test_next_gives_up_in_time(ctx: SyncContext) -> None:
    """None after so many seconds without a change."""
    watch = ctx[NOTES].watch()
    watch.next()
    begun = time.monotonic()
    assert watch.next(0.05) is None
    assert 0.05 <= time.monotonic() - begun < 5


def test_the_end_of_the_context_ends_its_watches(ctx: SyncContext) -> None:
    """Whoever waits is told at once; the watch stays closed when the context is opened again."""
    watch, calls = ctx[NOTES].watch(), ctx[NOTES].watch(None, lambda rows: None)
    watch.next()
    threading.Timer(0.05, ctx.close).start()
    assert (None, True, True) == (watch.next(30), watch.closed, calls.closed)
    ctx.open()
    ctx[NOTES].insert({"id": "a"})
    assert watch.next(0) is None
    ctx.close()
    with pytest.raises(ContextClosed):
        ctx[NOTES].watch()


def test_no_change_is_lost_between_looking_and_waiting(ctx: SyncContext) -> None:
    """Four threads write as fast as they can; the last result that comes is all that they wrote, without a poll."""
    watch, newest = ctx[NOTES].watch(poll=None), list[int]()

    def follow() -> None:
        for rows in watch:
            newest.append(len(rows))

    def write(name: str) -> None:
        for number in range(40):
            ctx[NOTES].insert({"id": f"{name}{number}"})

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    reader = threading.Thread(target=follow)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join(60)
    assert eventually(lambda: newest[-1:] == [160])
    assert sorted(set(newest)) == newest
    watch.close()
    reader.join(10)
    assert not reader.is_alive()


def test_several_threads_may_ask_one_watch(ctx: SyncContext) -> None:
    """Each result goes to one of them; who waits for a turn gives up in time, too."""
    watch = ctx[NOTES].watch(poll=None)
    watch.next()
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(watch.next(30))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert watch.next(0.02) is None
    for number in range(3):
        ctx[NOTES].insert({"id": f"{number}"})
        assert eventually(lambda made=number + 1: len(got) == made)  # type: ignore[misc]
    for thread in threads:
        thread.join(10)
    assert [["0"], ["0", "1"], ["0", "1", "2"]] == [ids(rows) for rows in got]


def test_waiting_for_a_turn_is_part_of_the_time(ctx: SyncContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets its turn late waits for the rest of its seconds only."""
    watch, ends, had = ctx[NOTES].watch(), list[Any](), list[float]()

    class Late:
        """A turn that is had only after a moment."""

        def acquire(self, timeout: float) -> bool:
            had.append(time.monotonic())
            time.sleep(0.001)
            return True

        def release(self) -> None: ...

    monkeypatch.setattr(watch, "_turn", Late())
    monkeypatch.setattr(watch, "_come", ends.append)
    for seconds in (10.0, math.inf, None):
        assert watch.next(seconds) is None
    assert ends[0] <= had[0] + 10.0
    assert [math.inf, None] == ends[1:]


# ---- a callback


def test_a_callback_is_given_each_result(ctx: SyncContext) -> None:
    """On a daemon thread of its own, one call at a time; none begins after it was closed."""
    given: list[Any] = []
    thread: list[threading.Thread] = []

    def back(rows: Rows[Any]) -> None:
        thread.append(threading.current_thread())
        given.append(ids(rows))

    watch = ctx[NOTES].watch(None, back, poll=None)
    assert eventually(lambda: given == [[]])
    ctx[NOTES].insert({"id": "a"})
    assert eventually(lambda: given == [[], ["a"]])
    assert ({True}, 1) == ({each.daemon for each in thread}, len(set(thread)))
    watch.close()
    ctx[NOTES].insert({"id": "b"})
    thread[0].join(10)
    assert (False, [[], ["a"]]) == (thread[0].is_alive(), given)


def test_a_callback_that_raises_goes_on(ctx: SyncContext, caplog: pytest.LogCaptureFixture) -> None:
    """The exception is logged, without records; the next result comes."""
    given: list[Any] = []

    def back(rows: Rows[Any]) -> None:
        given.append(ids(rows))
        raise ValueError("a bug in the application")

    with caplog.at_level(logging.ERROR, logger="tidesync"), ctx[NOTES].watch(None, back, poll=None):
        assert eventually(lambda: len(given) == 1)
        ctx[NOTES].insert({"id": "a", "text": "very private"})
        assert eventually(lambda: len(given) == 2 == len(caplog.records))
    assert {"the callback of a watch of note failed"} == {record.getMessage() for record in caplog.records}
    assert "very private" not in caplog.text


def test_a_callback_may_use_the_context_and_close_its_watch(ctx: SyncContext) -> None:
    """It may write, which calls it again, and close its own watch; nobody holds the watch but its thread."""
    given: list[Any] = []

    def back(rows: Rows[Any]) -> None:
        given.append(ids(rows))
        if len(given) < 3:
            ctx[NOTES].insert({"id": f"{len(given)}"})
        else:
            ready.wait(10)
            held[0].close()

    ready = threading.Event()
    held = [ctx[NOTES].watch(None, back, poll=None)]
    ready.set()
    assert eventually(lambda: held[0].closed)
    assert [[], ["1"], ["1", "2"]] == given


def test_a_watch_with_a_callback_lives_without_being_held(ctx: SyncContext) -> None:
    """As a subscription does."""
    given: list[Any] = []
    ctx[NOTES].watch(None, lambda rows: given.append(ids(rows)), poll=None)
    gc.collect()
    ctx[NOTES].insert({"id": "a"})
    assert eventually(lambda: given[-1:] == [["a"]])


def test_a_watch_with_a_callback_is_not_asked(ctx: SyncContext) -> None:
    """Results would go to one or the other: `UsageError`."""
    with ctx[NOTES].watch(None, print) as watch, pytest.raises(UsageError, match="callback"):
        watch.next()
