"""When something fails: at the n-th call, or by chance from a seed. The same plan fails in the same places again."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import attrs

from tidesync.errors import ConfigurationError

K = TypeVar("K", bound=str)
K_co = TypeVar("K_co", bound=str, covariant=True)


class Faults(Protocol[K_co]):
    """Decides for each call, counted from 1, what goes wrong: None for nothing."""

    def at(self, call: int) -> K_co | None:
        """The fault of this call."""
        ...


@attrs.frozen
class Nth(Generic[K]):
    """Fails at the calls of these numbers, counted from 1: `Nth({3: "fail"})`."""

    calls: Mapping[int, K]

    def at(self, call: int) -> K | None:
        """The fault of this call."""
        return self.calls.get(call)


@attrs.frozen
class Chance(Generic[K]):
    """Fails in a `share` (0 to 1) of calls, each time with one of the `kinds`: the same ones for the same `seed`.

    A call's fault depends on the seed and on its number alone. Raises `ConfigurationError` for another share.
    """

    seed: int
    share: float
    kinds: Sequence[K]

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigurationError(f"share is the part of calls that fail, from 0 to 1, not {self.share!r}")
        if not self.kinds:
            raise ConfigurationError("kinds names at least one kind of fault")

    def at(self, call: int) -> K | None:
        """The fault of this call."""
        draw = random.Random(f"{self.seed} {call}")
        return self.kinds[draw.randrange(len(self.kinds))] if draw.random() < self.share else None


@attrs.frozen
class Fault:
    """What went wrong: the number of the call, what was called, and how it failed."""

    call: int
    method: str
    kind: str


class Calls(Generic[K]):
    """Counts calls and asks the plan; `log` has the faults that happened."""

    def __init__(self, faults: Faults[K] | None) -> None:
        self.faults = faults
        self.count = 0
        self.log: list[Fault] = []

    def next(self, method: str) -> K | None:
        """Count one call; its fault."""
        self.count += 1
        kind = None if self.faults is None else self.faults.at(self.count)
        if kind is not None:
            self.log.append(Fault(self.count, method, kind))
        return kind
