"""How long the suite searches: `quick`, `ci` or `soak`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, cast

import attrs
from hypothesis import HealthCheck, Phase, Verbosity, settings

from tidesync.errors import ConfigurationError

_HEALTH: Final = cast("list[HealthCheck]", list(HealthCheck))
ENVIRONMENT: Final = "TIDESYNC_CONFORMANCE_PROFILE"


@attrs.frozen(kw_only=True)
class Profile:
    """Sizes of one run.

    `examples` and `steps` bound each property and each state machine, `runs` the repetitions of what is left to
    chance in scheduling, `kills` the killed processes of a rule, `many` the size of what a rule calls many.
    """

    name: str
    examples: int
    machines: int
    steps: int
    runs: int
    kills: int
    many: int
    derandomize: bool = True

    def settings(self, examples: int | None = None) -> settings:
        """Hypothesis settings for a property, with this many examples."""
        return settings(
            max_examples=examples or self.examples,
            stateful_step_count=self.steps,
            derandomize=self.derandomize,
            database=None,
            deadline=None,
            print_blob=False,
            report_multiple_bugs=False,
            verbosity=Verbosity.quiet,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=_HEALTH,
        )


PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile(name="quick", examples=40, machines=15, steps=20, runs=3, kills=4, many=2_000),
        Profile(name="ci", examples=200, machines=60, steps=30, runs=10, kills=20, many=10_000),
        Profile(
            name="soak",
            examples=5_000,
            machines=1_500,
            steps=50,
            runs=100,
            kills=300,
            many=40_000,
            derandomize=False,
        ),
    )
}


def profile_of(name: str | Profile | None = None) -> Profile:
    """The profile of that name; of the environment variable TIDESYNC_CONFORMANCE_PROFILE, else `quick`, for None."""
    if isinstance(name, Profile):
        return name
    wanted = name or os.environ.get(ENVIRONMENT) or "quick"
    found = PROFILES.get(wanted)
    if found is None:
        raise ConfigurationError(f"a profile is one of {', '.join(PROFILES)}, not {wanted!r:.60}")
    return found
