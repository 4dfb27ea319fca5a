"""Rates: tokens that come back with time, and a memory that has an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidesync.transports.service.guard import Rate


class Clock:
    """Seconds, as the test says."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_burst_passes_at_once_and_then_one_by_one() -> None:
    """Two a second: after a burst of three, the next waits for half a second."""
    clock = Clock()
    rate = Rate(2.0, 3, clock)
    told = [rate.wait("ann") for _ in range(4)]
    clock.now += 0.25
    soon = rate.wait("ann")
    clock.now += 0.25

    assert ([0, 0, 0, 0.5], 0.25, 0) == (told, soon, rate.wait("ann"))
    assert 0.5 == rate.wait("ann")


def test_who_was_quiet_has_a_burst_again_and_no_more() -> None:
    """Tokens are not saved for ever."""
    clock = Clock()
    rate = Rate(1.0, 2, clock)
    for _ in range(2):
        rate.wait("ann")
    clock.now += 3600

    assert [0, 0, 1] == [rate.wait("ann") for _ in range(3)]


def test_a_refusal_costs_nothing() -> None:
    """Who asks too often gets in as soon as who waits."""
    clock = Clock()
    rate = Rate(1.0, 1, clock)
    rate.wait("ann")
    for _ in range(100):
        rate.wait("ann")
    clock.now += 1

    assert 0 == rate.wait("ann")


def test_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest unseen are forgotten, as if they came for the first time."""
    monkeypatch.setattr("tidesync.transports.service.guard.PRINCIPALS", 10)
    rate = Rate(0.001, 1, Clock())
    for number in range(100):
        rate.wait("often") if number else None
        rate.wait(str(number))

    assert (10, True) == (len(rate.buckets), rate.wait("often") > 0)


@given(st.lists(st.floats(0, 5), max_size=50), st.floats(0.1, 10), st.integers(1, 5))
def test_never_more_than_the_rate_and_the_burst(gaps: list[float], rate: float, burst: int) -> None:
    """Over any time: the burst, and the rate times the seconds."""
    clock = Clock()
    bucket = Rate(rate, burst, clock)
    passed = 0
    for gap in gaps:
        clock.now += gap
        passed += bucket.wait("ann") == 0

    assert passed <= burst + rate * sum(gaps) + 0.001
