"""The pace of autosync, without a clock: whatever happens in whatever order, these bounds hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tidesync.rules.pace import ASK_OFFLINE, Ended, Meaning, Pace, Tempo, Turn

TEMPO = Tempo(every=60.0, quiet=0.5, within=5.0, backoff=1.0, max_backoff=300.0)
FAILED: tuple[Meaning, ...] = ("again", "slow")
seconds = st.floats(0.0, 400.0, allow_nan=False)
chances = st.floats(0.0, 1.0, exclude_max=True)


class Life(RuleBasedStateMachine):
    """Changes, triggers, results and time in any order, beside what is remembered of them in the plainest words."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.pace = Pace(TEMPO, 3, self.now)
        self.turn: Turn | None = None
        self.floor = -math.inf
        self.triggered = False
        self.first: float | None = None
        self.last = -math.inf
        self.ended_at, self.how, self.chance = self.now, "start", 0.0
        self.failures = 0
        self.rests: dict[int, float] = {}

    # ---- what happens

    @rule()
    def change(self) -> None:
        self.pace.changed(self.now)
        self.first = self.now if self.first is None else self.first
        self.last = self.now

    @rule()
    def trigger(self) -> None:
        self.pace.trigger()
        self.triggered = True

    @rule(dt=seconds)
    def wait(self, dt: float) -> None:
        """A driver sleeps until the cycle is due, and no longer; a cycle takes any time."""
        until = self.pace.due()
        self.now = max(self.now, min(self.now + dt, until))

    @rule(dt=st.floats(0, 1e7))
    def sleep(self, dt: float) -> None:
        """The machine was suspended: it wakes long after the time."""
        self.now += dt

    @precondition(lambda self: self.pace.due() <= self.now)
    @rule()
    def take(self) -> None:
        """Never two at a time, never before the remote's time, and never before its own unless somebody asked."""
        assert self.turn is None
        assert self.floor <= self.now
        if not self.triggered:
            bounds = {"again": min(300.0, 2.0 ** (self.failures - 1)), "slow": 300.0, "busy": 1.0}
            spread = 1 - self.chance if self.how == "again" else 1 - self.chance / 2
            assert self.now >= self.ended_at + bounds.get(self.how, 0.0) * spread - 1e-6
        self.turn = turn = self.pace.take(self.now)
        if self.triggered:
            self.rests = {}
        assert turn.why == "trigger" if self.triggered else turn.why != "trigger"
        assert tuple(each for each in range(3) if self.now >= self.rests.get(each, -math.inf)) == turn.pulls
        self.triggered, self.first = False, None

    @precondition(lambda self: self.turn is not None and self.pace.state != "syncing")
    @rule()
    def online(self) -> None:
        self.pace.began()

    @precondition(lambda self: self.turn is not None and self.pace.state != "syncing")
    @rule()
    def offline(self) -> None:
        self.pace.offline(self.now)
        self.turn, self.ended_at, self.how = None, self.now, "offline"

    @precondition(lambda self: self.turn is not None and self.pace.state == "syncing")
    @rule(
        how=st.sampled_from(["fine", "cut", "busy", "again", "again", "again", "slow"]),
        after=st.just(0.0) | st.floats(0.1, 5000),
        resting=st.frozensets(st.integers(0, 2)),
        chance=chances,
    )
    def end(self, how: Meaning, after: float, resting: frozenset[int], chance: float) -> None:
        self.pace.ended(self.now, Ended(how, after, resting), chance)
        self.turn, self.ended_at, self.how, self.chance = None, self.now, how, chance
        self.failures = self.failures + 1 if how in FAILED else 0 if how == "fine" else self.failures
        self.floor = self.now + after if after else -math.inf
        self.rests.update((each, self.now + 300 * (1 - chance / 2)) for each in resting)

    # ---- what holds

    @invariant()
    def one_at_a_time(self) -> None:
        """While a turn is taken, none is due."""
        assert (self.turn is not None) == self.pace.running
        assert self.turn is None or math.inf == self.pace.due()

    @invariant()
    def nothing_starves(self) -> None:
        """The next turn is never further away than the longest of the times, or the remote's."""
        if self.turn is None:
            assert self.pace.due() <= max(self.ended_at + 300.0, self.floor) + 1e-6

    @invariant()
    def nothing_hurries_past_the_remote(self) -> None:
        assert self.turn is not None or self.pace.due() >= self.floor

    @invariant()
    def a_trigger_is_heard(self) -> None:
        """Who asks waits for the cycle under way, and for the remote's time."""
        if self.triggered and self.turn is None:
            assert self.pace.due() <= max(self.now, self.floor)

    @invariant()
    def a_change_is_pushed_within_its_time(self) -> None:
        """Where nothing is wrong, a change waits for silence, and for `within` at the most."""
        if self.turn is None and self.first is not None and self.pace.state == "idle":
            bound = min(self.first + 5.0, self.last + 0.5)
            assert self.pace.due() <= max(bound, self.floor)

    @invariant()
    def changes_hurry_no_failure(self) -> None:
        """What failed, is busy or has no network comes at its own time, whatever is written."""
        if self.turn is None and self.pace.state in ("waiting", "offline") and not self.triggered:
            assert self.pace.due() == max(self.pace.next, self.floor)

    @invariant()
    def it_tells_what_it_does(self) -> None:
        assert self.failures == self.pace.failures
        if self.turn is None:
            states = {"again": "waiting", "slow": "waiting", "busy": "waiting", "offline": "offline"}
            assert states.get(self.how, "idle") == self.pace.state

    @invariant()
    def offline_is_asked_soon(self) -> None:
        if self.turn is None and self.how == "offline" and not self.triggered:
            assert self.pace.due() == max(self.ended_at + ASK_OFFLINE, self.floor)


Life.TestCase.settings = settings(stateful_step_count=40)
TestLife = Life.TestCase


def taken(tempo: Tempo = TEMPO, now: float = 0.0) -> Pace:
    """A pace with its first turn under way."""
    pace = Pace(tempo, 2, now)
    assert Turn("start", (0, 1)) == pace.take(now)
    pace.began()
    return pace


def idle(tempo: Tempo = TEMPO) -> Pace:
    """A pace whose first cycle ended well at 0."""
    pace = taken(tempo)
    pace.ended(0.0, Ended(), 0.0)
    return pace


def test_the_first_cycle_begins_at_once() -> None:
    """Then it comes by time."""
    assert 7.0 == Pace(TEMPO, 0, 7.0).due()
    assert (60.0, "idle", "every") == ((pace := idle()).due(), pace.state, pace.waiting())


def test_a_burst_of_writes_is_one_cycle() -> None:
    """It waits for silence, and not for ever."""
    pace = idle()
    pace.changed(10.0)
    assert (10.5, "change") == (pace.due(), pace.waiting())
    for tenth in range(1, 100):
        pace.changed(10.0 + tenth / 10)
    assert 15.0 == pace.due()
    assert "change" == pace.take(15.0).why
    pace.began()
    pace.ended(15.2, Ended(), 0.0)
    assert 75.2 == pace.due()


def test_a_change_does_not_put_off_what_is_due() -> None:
    """A change shortly before the time waits no longer than that."""
    pace = idle()
    pace.changed(59.9)
    assert 60.0 == pace.due()


def test_changes_may_be_left_to_time() -> None:
    """`on_change=False`."""
    pace = idle(Tempo(on_change=False))
    pace.changed(1.0)
    assert 60.0 == pace.due()


def test_a_change_during_a_cycle_is_one_more_cycle() -> None:
    """Not a second one at the same time; and what was written before it began is part of it."""
    pace = idle()
    pace.changed(1.0)
    assert "change" == pace.take(1.5).why
    pace.began()
    pace.changed(2.0)
    assert math.inf == pace.due()
    pace.ended(9.0, Ended(), 0.0)
    assert 2.5 == pace.due()
    assert "change" == pace.take(9.0).why
    pace.ended(10.0, Ended(), 0.0)
    assert 70.0 == pace.due()


def test_backoff_doubles_up_to_its_end_and_success_resets_it() -> None:
    """Full jitter: from just above 0 to the whole; the same number of failures after that is the same wait."""
    pace, now, waits = taken(), 0.0, []
    for _ in range(80):
        pace.ended(now, Ended("again"), 0.0)
        waits.append(pace.due() - now)
        now = pace.due()
        assert "retry" == pace.take(now).why
    assert [1, 2, 4, 8, 16, 32, 64, 128, 256, 300] == [round(wait) for wait in waits[:10]]
    assert {300} == {round(wait) for wait in waits[10:]}
    pace.ended(now, Ended("again"), 0.75)
    assert 75 == round(pace.due() - now)
    pace.take(pace.due())
    pace.ended(now, Ended(), 0.0)
    pace.take(pace.due())
    pace.ended(now, Ended("again"), 0.0)
    assert (1, 1) == (pace.failures, round(pace.due() - now))


@pytest.mark.parametrize("meaning", ["fine", "cut", "rest", "busy", "again", "slow"])
def test_nothing_comes_before_the_time_that_the_remote_named(meaning: Meaning) -> None:
    """Neither backoff, nor a change, nor whoever asks."""
    pace = taken()
    pace.ended(0.0, Ended(meaning, 500.0), 0.9)
    pace.changed(1.0)
    assert (500.0, "retry_after") == (pace.due(), pace.waiting())
    pace.trigger()
    assert 500.0 == pace.due()
    assert "trigger" == pace.take(500.0).why


def test_whoever_asks_waits_for_no_backoff() -> None:
    """A trigger during a cycle is one more cycle; one while it waits is a cycle at once."""
    pace = taken()
    pace.trigger()
    pace.ended(0.0, Ended("again"), 0.0)
    assert pace.due() <= 0.0
    assert "trigger" == pace.take(0.0).why
    pace.ended(0.0, Ended("slow"), 0.0)
    assert 300.0 == pace.due()
    pace.trigger()
    assert pace.due() <= 0.0


def test_without_a_network_it_asks_now_and_then() -> None:
    """Within `every`, and 10 seconds; a trigger asks at once, also one during the question."""
    for every, again in [(60.0, 10.0), (2.0, 2.0), (math.inf, 10.0)]:
        pace = idle(Tempo(every=every))
        pace.trigger()
        pace.take(5.0)
        pace.offline(5.0)
        pace.changed(5.1)
        assert (5.0 + again, "offline", "offline") == (pace.due(), pace.state, pace.waiting())
        pace.take(5.0 + again)
        pace.trigger()
        pace.offline(6.0)
        assert pace.due() <= 6.0


def test_a_pull_rests_and_the_others_go_on() -> None:
    """Until its time is over, or somebody asks."""
    pace = taken()
    pace.ended(0.0, Ended("rest", 0.0, frozenset({1})), 0.5)
    assert ("idle", 0, True) == (pace.state, pace.failures, pace.rests)
    assert (0,) == pace.take(60.0).pulls
    pace.ended(60.0, Ended(), 0.0)
    assert (0,) == pace.take(224.9).pulls
    pace.ended(224.9, Ended(), 0.0)
    assert (0, 1) == pace.take(284.9).pulls
    pace.ended(284.9, Ended("rest", 0.0, frozenset({0})), 0.5)
    pace.trigger()
    assert (0, 1) == pace.take(285.0).pulls


def test_after_the_end_nothing_is_due() -> None:
    """Whatever comes late."""
    for how in ("stop", "fine"):
        pace = taken()
        if how == "fine":
            pace.stop()
        pace.ended(0.0, Ended(how), 0.0)
        pace.trigger()
        pace.changed(0.0)
        pace.offline(0.0)
        assert ("stopped", math.inf, False) == (pace.state, pace.due(), pace.running)
