"""How an autosync on a thread ends: in each state, by whoever, and nothing is left or lost."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.support import NOTES, Remote
from tests.api.test_threads import lease_of
from tests.autosync.support import LONG, TINY, Held, Watch, device, refuse, soon, threads
from tidesync import KeepLocal, SyncContext
from tidesync.errors import ContextClosed, RemoteUnavailable
from tidesync.events import AutosyncStopped, CycleFinished, CycleStarted, Event, PageStored, RecordsChanged
from tidesync.stores.memory import MemoryStore

ROOT = Path(__file__).parents[2]
SLOW: dict[str, Any] = {**TINY, "backoff": 50.0, "max_backoff": 50.0}


def ended(watch: Watch, why: str) -> None:
    """It has ended once, for this reason, without an error, and as the last thing that it told."""
    assert [AutosyncStopped(why, None)] == watch.of(AutosyncStopped)  # type: ignore[arg-type]  # a literal
    assert f"AutosyncStopped {why}" == watch.own[-1]
    assert [] == threads()


@pytest.mark.parametrize("state", ["idle", "waiting", "offline", "at once"])
def test_stopped_while_it_waits(remote: Remote, state: str) -> None:
    """It ends at once; what is queued then stays queued. A second stop does nothing."""
    ctx, wire, watch = device(remote.authority)
    if state == "waiting":
        wire.on_pull = refuse(RemoteUnavailable("503"))
    with ctx:
        began = time.monotonic()
        auto = ctx.autosync([NOTES], online=lambda: state != "offline", **{**SLOW, "on_change": False})
        if state != "at once":
            watch.cycles(1)
            assert state == auto.status.state
        ctx[NOTES].insert({"id": "a"})
        auto.stop()
        auto.stop()
        auto.trigger()
        assert time.monotonic() - began < 10
        assert ("stopped", 1) == (auto.status.state, ctx.pending_operations)
        ended(watch, "stop")
        ctx.push()


@pytest.mark.parametrize("what", ["push", "pull"])
def test_stopped_in_an_exchange(remote: Remote, what: str) -> None:
    """The exchange comes to its end, its answer is kept, nothing else is sent, and nobody holds the lease."""
    remote.write("note", "there")
    remote.write("note", "there too")
    ctx, wire, watch = device(remote.authority, patience=0.0, page_size=1)
    held = Held(wire, what)
    with ctx:
        ctx[NOTES].insert_many([{"id": "a"}, {"id": "b"}])
        wire.limits = {"max_changes": 1}
        auto = ctx.autosync([NOTES], **TINY)
        assert held.begun.wait(LONG)
        auto.stop(0.01)
        assert (["tidesync-autosync"], "syncing") == (threads(), auto.status.state)
        with soon(0.02, held.go_on.set):
            auto.stop()
        ended(watch, "stop")
        pushed, pulls, left, here = (1, 0, 1, 2) if what == "push" else (2, 1, 0, 3)
        assert [CycleFinished(False, pushed, 0, 0, None)] == watch.of(CycleFinished)
        assert (pushed, pulls) == (len(wire.pushes), len(wire.pulls))
        assert (left, here) == (ctx.pending_operations, ctx[NOTES].count())
        assert None is lease_of(ctx)
        assert [] == [each for each in ctx.operations() if each.state == "attempted"]
        ctx.pull(NOTES)
        assert (0, 4) == (ctx.pending_operations, ctx[NOTES].count())


def test_stopped_while_it_waits_for_the_lease(remote: Remote) -> None:
    """It does not wait for as long as a push elsewhere takes."""
    store = MemoryStore()
    one, wire, _ = device(remote.authority, store)
    two, _, watch = device(remote.authority, store, patience=LONG)
    held = Held(wire, "push")
    with one, two:
        one[NOTES].insert({"id": "a"})
        pushing = threading.Thread(target=one.push)
        pushing.start()
        assert held.begun.wait(LONG)
        auto = two.autosync([NOTES], **TINY)
        watch.until(lambda: watch.of(CycleStarted))
        began = time.monotonic()
        auto.stop()
        assert time.monotonic() - began < 10
        ended(watch, "stop")
        held.go_on.set()
        pushing.join()


@pytest.mark.parametrize("at", [CycleStarted, CycleFinished, PageStored, RecordsChanged, AutosyncStopped])
@pytest.mark.parametrize("how", ["stop", "close"])
def test_ended_by_a_subscriber(remote: Remote, at: type[Event], how: str) -> None:
    """It would wait for itself, so it does not wait: the thread ends by itself."""
    remote.write("note", "there")
    store = MemoryStore()
    ctx, _, watch = device(remote.authority, store)
    auto = None
    ready = threading.Event()

    def end(event: Event) -> None:
        if isinstance(event, at) and threads():
            assert ready.wait(LONG)
            assert auto is not None
            _ = auto.stop() if how == "stop" else ctx.close()

    with ctx:
        ctx.subscribe(end)
        auto = ctx.autosync([NOTES], **TINY)
        ready.set()
        if at is AutosyncStopped:
            auto.stop()
        auto._thread.join(LONG)
        ended(watch, "stop" if at is AutosyncStopped else how)
        if how == "close":
            with pytest.raises(ContextClosed):
                ctx.push()
    with device(remote.authority, store)[0] as again:
        again.pull(NOTES)
        assert 1 == again[NOTES].count()


@pytest.mark.parametrize("place", ["policy", "online"])
def test_stopped_by_what_it_asks(remote: Remote, place: str) -> None:
    """By a policy or the predicate: the answer still counts, and nothing is sent."""
    remote.write("note", "a", text="theirs")
    ready = threading.Event()

    def stop() -> None:
        assert ready.wait(LONG)
        auto.stop()

    def policy(conflict: object) -> KeepLocal:
        stop()
        return KeepLocal()

    def online() -> bool:
        if place == "online":
            stop()
        return True

    ctx, wire, watch = device(remote.authority, policy=policy)
    with ctx:
        ctx[NOTES].insert({"id": "a", "text": "mine"})
        auto = ctx.autosync([NOTES], online=online, **TINY)
        ready.set()
        auto._thread.join(LONG)
        ended(watch, "stop")
        assert (1 if place == "policy" else 0, 0) == (len(wire.pushes), len(wire.pulls))
        assert ["update" if place == "policy" else "insert"] == [each.kind for each in ctx.operations()]
        ctx.push()
        assert "mine" == (remote.content("note", "a") or {})["text"]


def test_stopped_in_a_batch(remote: Remote) -> None:
    """A cycle under way waits for the batch, so `stop()` does not wait for the cycle."""
    ctx, _, watch = device(remote.authority)
    with ctx:
        auto = ctx.autosync([NOTES], **TINY)
        watch.cycles(1)
        with ctx.batch():
            ctx[NOTES].insert({"id": "a"})
            auto.trigger()
            time.sleep(0.02)
            assert "syncing" == auto.status.state
            auto.stop()
        auto.stop()
        ended(watch, "stop")
        assert 1 == ctx.pending_operations


@pytest.mark.parametrize("hangs", [False, True])
def test_closing_the_context(remote: Remote, monkeypatch: pytest.MonkeyPatch, hangs: bool) -> None:
    """It waits for the exchange under way, within reason; one that hangs ends as if the process had."""
    monkeypatch.setattr("tidesync.context.CLOSING", 0.05 if hangs else LONG)
    store = MemoryStore()
    ctx, wire, watch = device(remote.authority, store)
    held = Held(wire, "push")
    ctx[NOTES].insert({"id": "a"})
    auto = ctx.autosync([NOTES], **TINY)
    assert held.begun.wait(LONG)
    if hangs:
        ctx.close()
        assert ["tidesync-autosync"] == threads()
        held.go_on.set()
        auto._thread.join(LONG)
    else:
        with soon(0.02, held.go_on.set):
            ctx.close()
    ended(watch, "close")
    with device(remote.authority, store, patience=0.0)[0] as again:
        assert (1 if hangs else 0) == again.pending_operations
        again.push()
        assert (["a"], 0) == (remote.ids("note"), again.pending_operations)


def test_closing_from_many_threads_at_any_moment(remote: Remote) -> None:
    """Whatever is under way: the thread ends, nothing is raised, and the next opening goes on."""
    store = MemoryStore()
    for moment in range(25):
        ctx, _, watch = device(remote.authority, store, patience=5.0)
        raised: list[BaseException] = []

        def guarded(call: Callable[[], object], raised: list[BaseException] = raised) -> None:
            try:
                _ = call()
            except BaseException as error:
                raised.append(error)

        auto = ctx.autosync([NOTES], **TINY)
        ctx[NOTES].insert({"id": str(moment)})
        time.sleep(moment / 5000)
        calls = [ctx.close, ctx.close, auto.stop]
        closers = [threading.Thread(target=guarded, args=(call,)) for call in calls]
        for each in closers:
            each.start()
        for each in closers:
            each.join(LONG)
        assert ([], []) == (raised, threads())
        assert 1 == len(watch.of(AutosyncStopped))
    with device(remote.authority, store)[0] as ctx:
        ctx.pull(NOTES)
        assert (25, 0, 25) == (ctx[NOTES].count(), ctx.pending_operations, len(remote.ids("note")))


def test_a_context_that_is_opened_again_begins_without(remote: Remote) -> None:
    """And may have another one."""
    ctx, _, watch = device(remote.authority)
    with ctx:
        _ = ctx.autosync([NOTES], **TINY)
        watch.cycles(1)
    with ctx:
        assert [] == threads()
        ctx[NOTES].insert({"id": "a"})
        with ctx.autosync([NOTES], **TINY):
            watch.until(lambda: ctx.pending_operations == 0)


def test_an_error_of_its_own_is_told(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    """A predicate that ends the thread: it is told, and logged with its place."""
    ctx, _, watch = device(remote.authority)

    def online() -> bool:
        raise SystemExit(3)

    with ctx:
        auto = ctx.autosync(online=online, **TINY)
        watch.until(lambda: watch.of(AutosyncStopped))
        assert ("error", "stopped") == (watch.of(AutosyncStopped)[0].why, auto.status.state)
        assert isinstance(auto.status.last_error, SystemExit)
        ctx[NOTES].insert({"id": "a"})
        with ctx.autosync(**TINY):
            watch.until(lambda: ctx.pending_operations == 0)
    assert ["autosync stopped for SystemExit"] == [each.getMessage() for each in caplog.records]


def test_a_thread_that_cannot_begin(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the caller's, and another one may begin."""
    ctx, _, _ = device(remote.authority)

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with ctx:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            with pytest.raises(RuntimeError):
                ctx.autosync()
        ctx.autosync().stop()


PROGRAM = """
import os, sys, threading, time
from tests.api.support import NOTES
from tests.autosync.support import TINY, Held, device
from tidesync.transports.authority import Authority
from tidesync.stores.memory import MemoryStore

authority = Authority(MemoryStore(), [NOTES.schema]).open()
ctx, wire, watch = device(authority)
ctx.subscribe(lambda event: print(type(event).__name__, getattr(event, "why", ""), flush=True))
"""


def outcome(program: str) -> tuple[int, str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    return done.returncode, done.stderr, done.stdout.splitlines()


def test_the_end_of_the_program(remote: Remote) -> None:
    """It waits for the exchange under way, and needs no stop; nobody waits for one that hangs."""
    begin = (
        "ctx[NOTES].insert({'id': 'a'}); held = Held(wire, 'push'); ctx.autosync(**TINY); held.begun.wait()\n"
    )
    code, errors, told = outcome(begin + "threading.Timer(0.1, held.go_on.set).start()")
    assert (0, "") == (code, errors)
    assert ["OperationPushed ", "CycleFinished ", "AutosyncStopped exit"] == [
        each for each in told if each.split()[0] in ("OperationPushed", "CycleFinished", "AutosyncStopped")
    ]
    began = time.monotonic()
    code, errors, told = outcome("import tidesync.autosync as own; own.CLOSING = 0.1\n" + begin)
    assert (0, "", "PushStarted ") == (code, errors, told[-1])
    assert time.monotonic() - began < 20


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_has_none(remote: Remote) -> None:
    """It may write, stop and end; the parent's goes on. A lock that was held at the fork holds nobody up."""
    code, errors, told = outcome(
        """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads is what this is about
auto = ctx.autosync(**TINY)
watch.cycles(1)
with auto._wake:
    child = os.fork()
    if child == 0:
        auto._wake = None
        auto.changed(); auto.trigger(); auto.stop()
        os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
ctx[NOTES].insert({"id": "a"})
watch.until(lambda: ctx.pending_operations == 0)
auto.stop()
"""
    )
    assert (0, "", "AutosyncStopped stop") == (code, errors, told[-1])


def test_a_context_that_never_had_one_closes_as_before(remote: Remote) -> None:
    """There is nothing to wait for."""
    with SyncContext(MemoryStore(), None, [NOTES]) as ctx:
        ctx[NOTES].insert({"id": "a"})
    assert None is ctx._autosync
