"""Timing: the floor and the measured thing take turns, and the best of each are compared.

What disturbs a measurement only ever makes it slower, so the best of some rounds is the least disturbed.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import attrs


@attrs.frozen
class Result:
    """Microseconds per operation of the thing and of its floor, and their ratio."""

    name: str
    size: int
    cost: float
    floor: float | None = None

    @property
    def ratio(self) -> float | None:
        return None if not self.floor else self.cost / self.floor

    def line(self) -> str:
        rate = f"{1e6 / self.cost:>9,.0f}/s" if self.cost else " " * 11
        floor = "" if self.floor is None else f"   floor {self.floor:>8.1f} us   ratio {self.ratio:>5.2f}"
        return f"  {self.name:<44} {self.size:>8,}  {self.cost:>8.1f} us {rate}{floor}"


def timed(work: Callable[[], object]) -> float:
    """Seconds that the work took, without the collector's pauses."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        _ = work()
        return time.perf_counter() - start
    finally:
        gc.enable()


def compared(
    name: str,
    size: int,
    operations: int,
    work: Callable[[], float],
    floor: Callable[[], float],
    rounds: int = 5,
) -> Result:
    """Run both by turns, each returning its seconds for so many operations; the best per operation."""
    costs, floors = [], []
    for _ in range(rounds):
        floors.append(floor())
        costs.append(work())
    micro = 1e6 / operations
    return Result(name, size, min(costs) * micro, min(floors) * micro)
