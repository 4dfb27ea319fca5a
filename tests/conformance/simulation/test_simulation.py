"""Twenty thousand runs, the runs that once failed, and that a run is its tapes and nothing else."""

from __future__ import annotations

import pytest

from tests.conformance.simulation.regressions import Regression, regressions
from tidesync.conformance.simulation import world
from tidesync.conformance.simulation.command import CHECK_EVERY, many, play, smallest, tell
from tidesync.conformance.simulation.profiles import PROFILES, Profile
from tidesync.conformance.simulation.tapes import Tapes, tapes_of
from tidesync.conformance.simulation.world import World
from tidesync.stores.memory import MemoryStore

RUNS, PIECES = 314, 2


def told_smaller(profile: Profile, tapes: Tapes) -> str:
    """The story of a failing run, made small."""
    return "\n".join(tell(profile, smallest(profile, tapes)))


def test_there_are_twenty_thousand_runs() -> None:
    """At least 20,000 runs are part of `make test`."""
    assert len(PROFILES) * RUNS >= 20_000


@pytest.mark.parametrize("piece", range(PIECES))
@pytest.mark.parametrize("name", PROFILES)
def test_all_agree_in_the_end(name: str, piece: int) -> None:
    """After quiet: all are equal, nothing is lost, doubled or stuck, whatever the network did."""
    profile, size = PROFILES[name], RUNS // PIECES
    failed = many(profile, range(piece * size, (piece + 1) * size))
    if failed:
        seed, problems = failed[0]
        tapes = tapes_of(name, seed, profile.steps)
        pytest.fail(
            f"{name}, seeds {[each for each, _ in failed]}; seed {seed}: {problems}\n"
            f"python -m tidesync.conformance.simulation shrink {name} {seed}\n{told_smaller(profile, tapes)}"
        )


@pytest.mark.parametrize("known", regressions(), ids=lambda known: known.name)
def test_what_once_failed(known: Regression) -> None:
    """A run that once failed does not fail again."""
    profile = PROFILES[known.profile]
    problems = play(profile, known.tapes, checking=True)
    assert problems == {}, "\n".join([known.story, *tell(profile, known.tapes)])


@pytest.mark.parametrize("name", PROFILES)
def test_a_run_is_its_tapes(name: str) -> None:
    """The same seed tells the same story, to the letter."""
    profile = PROFILES[name]
    tapes = tapes_of(name, 7, profile.steps)
    assert tell(profile, tapes) == tell(profile, tapes_of(name, 7, profile.steps))


@pytest.mark.parametrize("name", PROFILES)
def test_the_quick_store_is_the_memory_store(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most runs are on a store that trusts the engine: they leave the same on the one that does not."""

    def left() -> tuple[object, ...]:
        lived = World(PROFILES[name], tapes_of(name, 5, PROFILES[name].steps))
        return lived.live(), lived.edit, [device.locals() for device in lived.devices], lived.remote.alive()

    quick = left()
    monkeypatch.setattr(world, "QuickStore", MemoryStore)
    assert quick == left()


def test_an_edit_taken_away_moves_no_other() -> None:
    """The schedule keeps its place when the workload changes: what happens before the missing edit is the same."""
    profile = PROFILES["authority-crowd"]
    tapes = tapes_of(profile.name, 3, profile.steps)
    without = Tapes((*tapes.workload[:8], None, *tapes.workload[9:]), tapes.schedule, tapes.ending)
    whole, other = tell(profile, tapes), tell(profile, without)
    same = next(number for number, pair in enumerate(zip(whole, other, strict=False)) if pair[0] != pair[1])
    assert " writes P " in whole[same]
    assert sum(" writes P " in line for line in whole[:same]) >= 3


def test_every_kind_of_fault_happens() -> None:
    """The network of a profile really loses, refuses, delays and denies, and devices really die."""
    lines: list[str] = []
    for seed in range(12):
        for name in ("authority-merge3", "plain-merge3"):
            lines += tell(PROFILES[name], tapes_of(name, seed, PROFILES[name].steps))
    story = "\n".join(lines)
    wanted = (
        "is refused",
        "is lost",
        "times out",
        "reply lost",
        "is denied",
        "is killed",
        "arrives late",
        "in conflict",
    )
    assert [each for each in wanted if each not in story] == []


def test_time_is_the_worlds_own() -> None:
    """No run reads a clock: a world's time goes by its own steps."""
    profile = PROFILES["authority-merge"]
    lived = World(profile, tapes_of(profile.name, CHECK_EVERY, profile.steps))
    _ = lived.run()
    assert 1000.0 < lived.now < 1000.0 + profile.steps
