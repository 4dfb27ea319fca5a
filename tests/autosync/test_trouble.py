"""What autosync does about errors: on a thread, with a wire that can be scripted."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest

from tests.api.support import LISTS, NOTES, Remote
from tests.autosync.support import LONG, TINY, Held, device, refuse
from tidesync import KeepLocal, Pull, PushFailed
from tidesync.contracts.transport import Change, NotSent, Outcome, PullRequest, Rejected, Unknown
from tidesync.errors import (
    NotReachable,
    RemoteChanged,
    RemoteUnavailable,
    RequestRefused,
    ResyncRequired,
)
from tidesync.events import (
    AutosyncStopped,
    AutosyncWaiting,
    CycleFinished,
    Event,
)
from tidesync.stores.memory import MemoryStore


def test_a_failing_remote_is_not_hammered(remote: Remote) -> None:
    """Each failure waits, up to longer and longer, whatever is written; then all arrives."""
    ctx, wire, watch = device(remote.authority)
    wire.on_pull = refuse(RemoteUnavailable("503"))
    with ctx, ctx.autosync([NOTES], **{**TINY, "backoff": 0.02, "max_backoff": 10.0}) as auto:
        for number in range(150):
            ctx[NOTES].insert({"id": f"{number:03}"})
            time.sleep(0.001)
        assert 1 <= len(wire.pulls) < 40
        wire.on_pull = lambda request: None
        auto.trigger()
        watch.until(lambda: auto.status.state == "idle" and auto.status.failures == 0)
    waits = [each.why for each in watch.of(AutosyncWaiting)]
    assert "failure" == waits[0]


@pytest.mark.parametrize("of", ["push", "pull"])
def test_the_remote_names_the_time(remote: Remote, of: str) -> None:
    """Nothing is sent before it, neither for a change nor for a trigger: of a push and of a pull."""
    ctx, wire, watch = device(remote.authority)
    named: list[float] = []
    after: list[float] = []

    def sent(_: object) -> None:
        if named:
            after.append(time.monotonic())

    def push(_: Change) -> Outcome:
        named.append(time.monotonic())
        return NotSent("slow down", retry_after=0.15)

    def pull(request: PullRequest) -> None:
        sent(request)
        if not named:
            named.append(time.monotonic())
            raise NotReachable("slow down", retry_after=0.15)

    wire.on_push, wire.on_pull = sent, pull
    with ctx:
        if of == "push":
            wire.say("a", push)
            ctx[NOTES].insert({"id": "a"})
        with ctx.autosync([NOTES], **TINY) as auto:
            watch.cycles(1)
            ctx[NOTES].insert({"id": "b"})
            auto.trigger()
            watch.until(lambda: remote.content("note", "b"))
    assert "retry_after" == watch.of(AutosyncWaiting)[0].why
    assert after[0] - named[0] >= 0.15


def test_a_pull_that_cannot_go_through_rests(remote: Remote) -> None:
    """The other pulls and the pushes go on at their pace; a trigger tries it again."""
    remote.write("note", "there")
    ctx, wire, watch = device(remote.authority)
    wire.on_pull = refuse(RequestRefused("no such table", code="404"), "list")

    def asked() -> int:
        return sum(each.query.table == "list" for each in wire.pulls)

    with ctx, ctx.autosync([LISTS, NOTES], **{**TINY, "max_backoff": 60.0}) as auto:
        watch.cycles(1)
        ctx[NOTES].insert({"id": "here"})
        watch.cycles(2)
        assert (1, ["here", "there"]) == (asked(), remote.ids("note"))
        assert ctx[NOTES].get("there") is not None
        first, second = watch.of(CycleFinished)
        assert (False, True, None) == (first.ok, second.ok, second.error)
        assert isinstance(auto.status.last_error, RequestRefused)
        assert ("idle", 0, None) == (auto.status.state, auto.status.failures, auto.status.last_success)
        wire.on_pull = lambda request: None
        auto.trigger()
        watch.cycles(3)
        assert (2, None) == (asked(), auto.status.last_error)
        assert auto.status.last_success is not None


@pytest.mark.parametrize("resync", [False, True])
def test_a_cursor_that_is_no_longer_honoured(remote: Remote, resync: bool) -> None:
    """The pull rests, or starts again from nothing and reconciles, as it was told."""
    remote.write("note", "a")
    remote.write("note", "b")
    ctx, wire, watch = device(remote.authority)
    with ctx:
        with ctx.autosync([Pull(NOTES, resync=resync)], **TINY):
            watch.cycles(1)
        ctx.purge(NOTES, ctx[NOTES].where(text=None), name="other")
        del watch.events[:]

        def once(request: PullRequest) -> None:
            if request.cursor is not None:
                raise ResyncRequired("forgotten")

        wire.on_pull = once
        with ctx.autosync([Pull(NOTES, resync=resync)], **{**TINY, "max_backoff": 60.0}):
            watch.cycles(1)
        assert (2 if resync else 0) == ctx[NOTES].count()
        assert isinstance(watch.of(CycleFinished)[0].error, ResyncRequired) is not resync


def test_refused_operations_stop_nothing_and_are_sent_once(remote: Remote) -> None:
    """The cycle counts as good, and tells of them once."""
    remote.write("note", "there")
    ctx, wire, watch = device(remote.authority)
    wire.say("bad", Rejected("no", "not today"))
    with ctx, ctx.autosync([NOTES], **{**TINY, "every": 0.005}) as auto:
        ctx[NOTES].insert({"id": "bad"})
        watch.until(lambda: wire.changes)
        count = len(watch.of(CycleFinished))
        watch.until(lambda: len(watch.of(CycleFinished)) > count + 3)
        assert ctx[NOTES].get("there") is not None
        assert (1, 0) == (len(wire.changes), auto.status.failures)
    [told] = [each for each in watch.of(CycleFinished) if each.error is not None]
    assert told.ok
    assert isinstance(told.error, PushFailed)
    assert ["bad"] == [each.record_id for each in told.error.errors]


def test_an_operation_in_doubt_is_a_failure_and_the_pulls_go_on(remote: Remote) -> None:
    """It is sent again, later, under the same id."""
    remote.write("note", "there")
    ctx, wire, watch = device(remote.authority)
    wire.say("a", *[Unknown("500")] * 3, wire.forward)
    with ctx:
        ctx[NOTES].insert({"id": "a"})
        with ctx.autosync([NOTES], **TINY):
            watch.until(lambda: ctx.pending_operations == 0 and watch.of(CycleFinished)[-1].ok)
        first = watch.of(CycleFinished)[0]
        assert (False, 1, 1) == (first.ok, first.records, len({change.id for change in wire.changes}))


def test_without_a_network_nothing_is_sent(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    """The predicate is asked before each cycle; no and an exception are the same; it is told once."""
    ctx, wire, watch = device(remote.authority)
    answers: list[Any] = [False, ValueError("odd"), 0, True]
    asked = threading.Event()

    def online() -> bool:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        asked.set()
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    with ctx, caplog.at_level(logging.ERROR, "tidesync"):
        with ctx.autosync([NOTES], online=online, **TINY) as auto:
            watch.cycles(1)
            assert ("offline", 0, 0) == (auto.status.state, wire.requests, wire.opened)
            for left in (2, 1):
                asked.clear()
                auto.trigger()
                assert asked.wait(LONG)
                watch.until(lambda left=left: len(answers) == left)
            auto.trigger()
            watch.until(lambda: watch.of(CycleFinished))
        assert ["AutosyncWaiting offline", "CycleStarted trigger"] == watch.own[:2]
    assert ["the online predicate of autosync failed: that counts as no"] == [
        each.getMessage() for each in caplog.records
    ]


def test_another_remote_ends_it(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    """Trying again would be wrong: the thread ends, and tells why."""
    ctx, wire, watch = device(remote.authority)
    with ctx:
        ctx.pull(NOTES)
        ctx.close()
        wire.limits = {"identity": "another"}
        ctx.open()
        auto = ctx.autosync([NOTES], **TINY)
        watch.until(lambda: watch.of(AutosyncStopped))
        [stopped] = watch.of(AutosyncStopped)
        assert ("error", True) == (stopped.why, isinstance(stopped.error, RemoteChanged))
        assert (stopped.error, "stopped", 1) == (
            auto.status.last_error, auto.status.state, auto.status.failures,
        )  # fmt: skip
        auto.stop()
    assert ["autosync stopped for RemoteChanged"] == [each.getMessage() for each in caplog.records]


def test_what_user_code_raises_is_a_failure(remote: Remote) -> None:
    """A policy that raises keeps its record in conflict; the pulls go on, and it is asked again later."""
    asked: list[int] = []

    def policy(conflict: object) -> KeepLocal:
        asked.append(1)
        if len(asked) < 3:
            raise ValueError("not yet")
        return KeepLocal()

    remote.write("note", "a", text="theirs")
    ctx, _, watch = device(remote.authority, policy=policy)
    with ctx:
        ctx[NOTES].insert({"id": "a", "text": "mine"})
        with ctx.autosync([LISTS], **TINY):
            watch.until(lambda: ctx.pending_operations == 0)
    assert isinstance(watch.of(CycleFinished)[0].error, ValueError)
    assert "mine" == (remote.content("note", "a") or {})["text"]


def test_a_push_elsewhere_is_waited_for(remote: Remote) -> None:
    """Another context on the store holds the lease: that is no failure, and not asked without pause."""
    store = MemoryStore()
    one, wire, _ = device(remote.authority, store)
    two, other, watch = device(remote.authority, store, patience=0.0)
    held = Held(wire, "push")
    with one, two:
        one[NOTES].insert({"id": "a"})
        pushing = threading.Thread(target=one.push)
        pushing.start()
        assert held.begun.wait(LONG)
        with two.autosync([NOTES], **TINY) as auto:
            watch.cycles(3)
            assert ("waiting", 0, 0) == (auto.status.state, auto.status.failures, other.requests)
            assert {"busy"} == {each.why for each in watch.of(AutosyncWaiting)}
            held.go_on.set()
            pushing.join()
            watch.until(lambda: watch.of(CycleFinished)[-1].ok)
    assert 1 == len(remote.ids("note"))


def test_a_manual_push_waits_for_its_turn(remote: Remote) -> None:
    """While a cycle runs, `ctx.push()` of another thread waits on the lease, and is not disturbed by `stop()`."""
    ctx, wire, _ = device(remote.authority)
    held = Held(wire)
    with ctx:
        auto = ctx.autosync([NOTES], **{**TINY, "on_change": False})
        assert held.begun.wait(LONG)
        ctx[NOTES].insert({"id": "a"})
        reports: list[Any] = []
        pushing = threading.Thread(target=lambda: reports.append(ctx.push()))
        pushing.start()
        time.sleep(0.02)
        stopping = threading.Thread(target=auto.stop)
        stopping.start()
        held.go_on.set()
        pushing.join()
        stopping.join()
        assert ["a"] == [each.record_id for each in reports[0].pushed]


def test_stopping_the_context_ends_the_cycle_and_not_autosync(remote: Remote) -> None:
    """`ctx.stop()` is about what is under way."""
    ctx, wire, watch = device(remote.authority)
    held = Held(wire)
    with ctx, ctx.autosync([NOTES, LISTS], **TINY) as auto:
        assert held.begun.wait(LONG)
        ctx.stop()
        held.go_on.set()
        watch.cycles(1)
        assert (["note"], "idle") == ([each.query.table for each in wire.pulls], auto.status.state)
        assert CycleFinished(False, 0, 0, 0, None) == watch.of(CycleFinished)[0]
        auto.trigger()
        watch.cycles(2)
        assert watch.of(CycleFinished)[1].ok


def test_a_subscriber_that_raises_breaks_nothing(remote: Remote) -> None:
    """Whatever it raises, and whenever."""
    ctx, _, watch = device(remote.authority)

    def raising(event: Event) -> None:
        raise ValueError(type(event).__name__)

    ctx.subscribe(raising)
    with ctx, ctx.autosync([NOTES], **TINY):
        ctx[NOTES].insert({"id": "a"})
        watch.until(lambda: ctx.pending_operations == 0)
    assert "AutosyncStopped stop" == watch.own[-1]
