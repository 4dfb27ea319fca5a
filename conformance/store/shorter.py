"""Making a failing history short: fewer steps first, then simpler ones, as long as it fails in the same way.

Hypothesis would do so too, choice by choice, in minutes; a history of steps is shortened in a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import attrs

S = TypeVar("S")


@attrs.define
class Shorter(Generic[S]):
    """`fails(steps)` tells whether a history fails; `simpler(step)` gives what could stand for a step, simplest first.

    At most `tries` histories are tried.
    """

    fails: Callable[[list[S]], bool]
    simpler: Callable[[S], Iterable[S]]
    tries: int = 400

    def shortest(self, steps: list[S]) -> list[S]:
        """The shortest that was found; the history itself if nothing shorter fails."""
        steps = self._fewer(steps)
        index = 0
        while index < len(steps):
            better = next(
                (
                    one
                    for one in self.simpler(steps[index])
                    if self._tried([*steps[:index], one, *steps[index + 1 :]])
                ),
                None,
            )
            if better is None:
                index += 1
            else:
                steps = [*steps[:index], better, *steps[index + 1 :]]
        return self._fewer(steps)

    def _fewer(self, steps: list[S]) -> list[S]:
        size = len(steps)
        while size:
            start = 0
            while start < len(steps):
                rest = [*steps[:start], *steps[start + size :]]
                if self._tried(rest):
                    steps = rest
                else:
                    start += size
            size //= 2
        return steps

    def _tried(self, steps: list[S]) -> bool:
        self.tries -= 1
        return self.tries >= 0 and self.fails(steps)
