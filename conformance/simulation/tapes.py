"""Where a run's decisions come from: two tapes of integers, one for the users, one for the world around them.

A tape is a list, so that a failing run can be made smaller by hand or by `shrink`: an entry of the workload that
becomes None is an edit that nobody makes, and moves nothing else. Each step of the world reads one entry of the
schedule, and all that it decides comes from that entry.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, TypeVar

import attrs

T = TypeVar("T")


class Draw:
    """Decisions out of one integer, one after another."""

    __slots__ = ("left",)

    def __init__(self, number: int) -> None:
        self.left = number

    def below(self, bound: int) -> int:
        """An integer from 0 to `bound` - 1."""
        self.left, found = divmod(self.left, bound)
        return found

    def one(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[self.below(len(choices))]


class _Steady(Draw):
    """Nothing out of the ordinary, every time."""

    __slots__ = ()

    def below(self, bound: int) -> int:
        """The last choice: chances are written so that it is the likely one."""
        return bound - 1


STEADY: Final = _Steady(0)


@attrs.frozen
class Tapes:
    """What a run is made of, besides its profile."""

    workload: tuple[int | None, ...]
    schedule: tuple[int, ...]
    ending: int = 0
    """In which order the devices come to rest."""


def tapes_of(profile: str, seed: int, steps: int) -> Tapes:
    """The tapes of a seed. The two are drawn apart: a change of the one leaves the other as it is."""
    users, world = random.Random(f"users {profile} {seed}"), random.Random(f"world {profile} {seed}")
    return Tapes(
        tuple(users.getrandbits(64) for _ in range(steps // 2)),
        tuple(world.getrandbits(80) for _ in range(steps)),
        world.getrandbits(16),
    )
