"""A profile for mutants: what fails is enough; nobody reads the shortest form of it."""

from __future__ import annotations

from hypothesis import Phase, settings

from tidesync.conformance.profiles import Profile


class Unshrunk(Profile):
    """A profile whose properties stop at the first example that fails."""

    def settings(self, examples: int | None = None) -> settings:
        return settings(super().settings(examples), phases=(Phase.explicit, Phase.generate))
