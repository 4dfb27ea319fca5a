"""Running a scenario many times, and telling the shortest story of each way in which it fails."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import attrs

from tidesync.conformance.simulation.own import OwnWorld
from tidesync.conformance.simulation.scenario import Scenario
from tidesync.conformance.simulation.shrink import shrunk
from tidesync.conformance.simulation.tapes import Tapes, tapes_of

CHECK_EVERY = 4
"""One run in so many looks at the engine's own tables after every transaction, not only in the end."""


class SimulationFailed(AssertionError):
    """A run of a scenario ended otherwise than every run must; `report` has all of it."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__(f"{report}\n{report.failures[0].story}")


@attrs.frozen(slots=False)
class Failure:
    """One run that failed: its seed, the kind of problem that it met first, and what exactly."""

    scenario: Scenario = attrs.field(repr=False)
    seed: int
    kind: str
    detail: str

    @cached_property
    def story(self) -> str:
        """The run in lines, made as short as it still fails in the same way; takes some hundred runs."""
        tapes = tapes_of(self.scenario.name, self.seed, self.scenario.steps)
        smaller = shrunk(tapes, self._kind)
        if self._kind(smaller) != self.kind:
            return (
                f"seed {self.seed} failed with {self.kind!r} ({self.detail}), and does not do so again: something in "
                "the scenario depends on a clock, on chance or on the runs before"
            )
        edits = sum(entry is not None for entry in smaller.workload)
        title = f"{self.scenario.name}, seed {self.seed}, in {len(smaller.schedule)} steps and {edits} edits:"
        return "\n".join([title, *_told(self.scenario, smaller, self.seed)])

    def _kind(self, tapes: Tapes) -> str | None:
        return next(iter(OwnWorld(self.scenario, tapes, checking=_checks(self.seed)).live()), None)


@attrs.frozen
class Report:
    """What came of the runs, and how much happened in them: `mishaps` are requests and replies that were lost."""

    scenario: Scenario = attrs.field(repr=False)
    runs: int
    failures: tuple[Failure, ...]
    edits: int
    conflicts: int
    mishaps: int
    kills: int

    @property
    def ok(self) -> bool:
        """Whether no run failed."""
        return not self.failures

    def raise_for_failures(self) -> Report:
        """Raise `SimulationFailed`, with the story of the first failure, if a run failed; else return the report."""
        if self.failures:
            raise SimulationFailed(self)
        return self

    def __str__(self) -> str:
        """What happened, and how the runs failed that did."""
        lines = [
            f"{self.scenario.name}: {self.runs} runs with {self.edits} edits, {self.conflicts} conflicts, "
            f"{self.mishaps} lost requests or replies, {self.kills} kills: {len(self.failures)} failed"
        ]
        lines += [f"  seed {each.seed}: {each.kind}: {each.detail:.200}" for each in self.failures]
        return "\n".join(lines)


def simulate(scenario: Scenario, runs: int = 200, *, start: int = 0, failures: int = 3) -> Report:
    """Run the scenario with each seed from `start` on; ends early after so many `failures`.

    The same scenario and seed make the same run. What is checked is in docs/simulation.md: after every run's faults
    are over, all devices and the remote agree within a bounded number of rounds, with nothing queued but conflicts
    that the policy deferred; what one device alone wrote is there; no edit took effect twice; nothing deleted comes
    back; the engine's own tables are sound; no exception came out of a policy, store or remote.
    """
    found: list[Failure] = []
    done = edits = conflicts = mishaps = kills = 0
    for seed in range(start, start + runs):
        world = OwnWorld(scenario, tapes_of(scenario.name, seed, scenario.steps), checking=_checks(seed))
        problems = world.live()
        done, edits, conflicts = done + 1, edits + world.edit, conflicts + world.conflicts
        mishaps, kills = mishaps + world.mishaps, kills + world.kills
        if problems:
            kind, detail = next(iter(problems.items()))
            found.append(Failure(scenario, seed, kind, detail))
            if len(found) == failures:
                break
    return Report(scenario, done, tuple(found), edits, conflicts, mishaps, kills)


def replay(scenario: Scenario, seed: int) -> str:
    """The whole story of one run, in lines."""
    return "\n".join(_told(scenario, tapes_of(scenario.name, seed, scenario.steps), seed))


def _checks(seed: int) -> bool:
    return seed % CHECK_EVERY == 0


def _told(scenario: Scenario, tapes: Tapes, seed: int) -> Iterable[str]:
    story: list[str] = []
    _ = OwnWorld(scenario, tapes, story=story, checking=_checks(seed)).live()
    return story
