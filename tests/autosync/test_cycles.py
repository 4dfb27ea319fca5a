"""What a cycle does, when one begins, and what it tells: on a thread, with a wire that can be scripted."""

from __future__ import annotations

import math
import time

import pytest

from tests.api.support import LISTS, NOTES, Remote
from tests.autosync.support import LONG, TINY, Held, device, refuse
from tidesync import KeepLocal
from tidesync.contracts.transport import PullRequest, Rejected
from tidesync.errors import (
    NotReachable,
)
from tidesync.events import (
    AutosyncWaiting,
    CycleFinished,
    CycleStarted,
    PullFinished,
    RecordsChanged,
)


def test_writes_travel_by_themselves(remote: Remote) -> None:
    """What is written on one device is on the other, and nobody called push or pull."""
    one, _, _ = device(remote.authority)
    two, _, watch = device(remote.authority)
    with one, two, one.autosync([NOTES], **TINY), two.autosync([NOTES, LISTS], **{**TINY, "every": 0.01}):
        one[NOTES].insert({"id": "a", "text": "x"})
        watch.until(lambda: two[NOTES].get("a"))
        one[NOTES].delete("a")
        watch.until(lambda: two[NOTES].get("a") is None)


def test_what_it_tells_in_what_order(remote: Remote) -> None:
    """A cycle begins, pushes, pulls one after the other, ends with its counts, and waits."""
    remote.write("note", "there")
    ctx, _, watch = device(remote.authority)
    with ctx, ctx.autosync([LISTS, NOTES], **TINY):
        watch.cycles(1)
        ctx[NOTES].insert({"id": "here"})
        watch.cycles(2)
    told = ["CycleStarted start", "CycleFinished True", "AutosyncWaiting every"]
    told += ["CycleStarted change", "CycleFinished True", "AutosyncWaiting every", "AutosyncStopped stop"]
    assert told == watch.own
    first, second = watch.of(CycleFinished)
    assert (CycleFinished(True, 0, 1, 0, None), 1) == (first, second.pushed)
    assert ["list", "note"] * 2 == [each.table for each in watch.of(PullFinished)]
    assert AutosyncWaiting(math.inf, "every") == watch.of(AutosyncWaiting)[0]


def test_the_status_tells_the_same(remote: Remote) -> None:
    """Times are in seconds since 1970, and those of the next cycle are there while one is to come."""
    before = time.time()
    ctx, wire, watch = device(remote.authority)
    held = Held(wire)
    with ctx, ctx.autosync([NOTES], **{**TINY, "every": 100.0}) as auto:
        assert held.begun.wait(LONG)
        syncing = auto.status
        held.go_on.set()
        watch.cycles(1)
        idle = auto.status
        wire.on_pull = refuse(NotReachable("gone", retry_after=50.0))
        auto.trigger()
        watch.cycles(2)
        waiting = auto.status
    assert ("syncing", None, None, None, 0) == (
        syncing.state, syncing.last_success, syncing.last_error, syncing.next_attempt, syncing.failures,
    )  # fmt: skip
    assert ("idle", None, 0) == (idle.state, idle.last_error, idle.failures)
    assert idle.last_success is not None
    assert before <= idle.last_success <= time.time()
    assert idle.next_attempt == pytest.approx(idle.last_success + 100, abs=1)
    assert ("waiting", 1, idle.last_success) == (waiting.state, waiting.failures, waiting.last_success)
    assert isinstance(waiting.last_error, NotReachable)
    assert waiting.next_attempt == pytest.approx(time.time() + 50, abs=5)
    assert ("stopped", None) == (auto.status.state, auto.status.next_attempt)
    assert "<autosync, stopped>" == repr(auto)


# ---- when


def test_a_burst_of_writes_is_few_pushes(remote: Remote) -> None:
    """The queue collapses them, and one push sends what is left."""
    ctx, wire, watch = device(remote.authority)
    with ctx, ctx.autosync(**{**TINY, "quiet": 0.2, "within": LONG}):
        watch.cycles(1)
        ctx[NOTES].insert({"id": "a"})
        for stars in range(100):
            ctx[NOTES].update("a", stars=stars)
        watch.until(lambda: watch.of(CycleFinished)[-1].pushed)
    assert (["insert"], 99) == (
        [each.kind for each in wire.changes],
        (remote.content("note", "a") or {})["stars"],
    )


def test_its_own_work_is_no_cause(remote: Remote) -> None:
    """Records that a push or pull changed, or a policy settled in it, begin no further cycle."""
    ctx, _, watch = device(remote.authority, policy=lambda conflict: KeepLocal())
    with ctx, ctx.autosync([NOTES], **TINY) as auto:
        watch.cycles(1)
        ctx[NOTES].insert({"id": "a", "text": "mine"})
        watch.cycles(2)
        remote.write("note", "a", text="theirs")
        remote.write("note", "b")
        auto.trigger()
        watch.cycles(3)
        time.sleep(0.05)
        assert ["start", "change", "trigger"] == [each.why for each in watch.of(CycleStarted)]
        assert {"local", "push", "pull"} == {each.source for each in watch.of(RecordsChanged)}


def test_what_a_policy_settles_in_a_pull_is_pushed_in_the_same_cycle(remote: Remote) -> None:
    """It does not wait for the next one."""
    ctx, wire, watch = device(remote.authority, policy=lambda conflict: KeepLocal())
    with ctx, ctx.autosync([NOTES], **{**TINY, "on_change": False}) as auto:
        ctx[NOTES].insert({"id": "a", "text": "x"})
        auto.trigger()
        watch.until(lambda: remote.content("note", "a") and auto.status.state == "idle")
        count = len(watch.of(CycleFinished))

        def meanwhile(request: PullRequest) -> None:
            wire.on_pull = lambda request: None
            ctx[NOTES].update("a", text="mine")
            remote.write("note", "a", text="theirs")

        wire.on_pull = meanwhile
        auto.trigger()
        watch.until(lambda: len(watch.of(CycleFinished)) > count and auto.status.state == "idle")
        assert "mine" == (remote.content("note", "a") or {})["text"]
        assert count + 1 == len(watch.of(CycleFinished))


def test_a_resolution_is_a_cause(remote: Remote) -> None:
    """A retry changes no record, and wants to be sent."""
    ctx, wire, watch = device(remote.authority)
    wire.say("a", Rejected("no", "not today"))
    with ctx, ctx.autosync(**TINY):
        ctx[NOTES].insert({"id": "a"})
        watch.until(lambda: [each for each in watch.of(CycleFinished) if each.error])
        ctx.retry(ctx.operations()[0])
        watch.until(lambda: ctx.pending_operations == 0)
    assert ["a"] == remote.ids("note")


def test_changes_during_a_cycle_are_one_more(remote: Remote) -> None:
    """It never overlaps itself, however often it is asked."""
    ctx, wire, watch = device(remote.authority)
    held = Held(wire)
    with ctx, ctx.autosync([NOTES], **TINY) as auto:
        assert held.begun.wait(LONG)
        for number in range(20):
            ctx[NOTES].insert({"id": str(number)})
            auto.trigger()
        time.sleep(0.03)
        assert (1, 0) == (len(watch.of(CycleStarted)), len(wire.pushes))
        held.go_on.set()
        watch.cycles(2)
        time.sleep(0.03)
    assert ["start", "trigger"] == [each.why for each in watch.of(CycleStarted)]
    assert 20 == len(remote.ids("note"))


def test_writes_of_a_batch_are_a_cause_when_it_has_ended(remote: Remote) -> None:
    """And it waits for its end."""
    ctx, _, watch = device(remote.authority)
    with ctx, ctx.autosync(**TINY):
        watch.cycles(1)
        with ctx.batch():
            ctx[NOTES].insert({"id": "a"})
            time.sleep(0.02)
            assert 1 == len(watch.of(CycleStarted))
            ctx[NOTES].insert({"id": "b"})
        watch.until(lambda: ctx.pending_operations == 0)


def test_it_waits_without_looking(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle autosync sleeps until its time; a burst of writes wakes it a few times."""
    ctx, _, watch = device(remote.authority)
    with ctx, ctx.autosync(**{**TINY, "quiet": 0.05, "within": LONG}) as auto:
        watch.cycles(1)
        waits: list[float | None] = []
        calls: list[int] = []
        wait, notify = auto._wake.wait, auto._wake.notify_all
        monkeypatch.setattr(auto._wake, "wait", lambda left=None: (waits.append(left), wait(left))[1])
        monkeypatch.setattr(auto._wake, "notify_all", lambda: (calls.append(1), notify())[1])
        time.sleep(0.05)
        assert [] == waits
        ctx[NOTES].insert({"id": "a"})
        for stars in range(300):
            ctx[NOTES].update("a", stars=stars)
        watch.cycles(2)
        assert 1 <= len(calls) < 30
        assert len(waits) < 60
