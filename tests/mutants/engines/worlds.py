"""The worlds in which broken engines run: the simulation's profiles, and scenarios that a user could have made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidesync.conflicts import defer
from tidesync.conformance.simulation import Scenario
from tidesync.conformance.simulation.command import play
from tidesync.conformance.simulation.own import OwnWorld
from tidesync.conformance.simulation.profiles import PROFILES
from tidesync.conformance.simulation.tapes import tapes_of
from tidesync.records import Record
from tidesync.transports.principal import Principal, conflicts


def amended(old: Record | None, new: Record | None, who: Principal) -> Record | None:
    """A rule of a remote that sets a column by itself."""
    if new is None or "title" not in new or conflicts(old, new):
        return None
    return {**new, "title": "amended"}


SCENARIOS: Final[Mapping[str, Scenario]] = {
    each.name: each
    for each in (
        Scenario(name="scenario"),
        Scenario(name="scenario-defer", policy=defer),
        Scenario(name="scenario-amends", before_write=amended, computed=["list.title"]),
    )
}


def problems(world: str, seed: int) -> Mapping[str, str]:
    """What is wrong with a run of the profile or scenario of that name."""
    if world in SCENARIOS:
        scenario = SCENARIOS[world]
        return OwnWorld(scenario, tapes_of(world, seed, scenario.steps), checking=True).live()
    profile = PROFILES[world]
    return play(profile, tapes_of(world, seed, profile.steps), checking=True)
