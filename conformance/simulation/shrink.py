"""Making a failing run small: edits are dropped with the schedule as it is, then the schedule is cut and thinned."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tidesync.conformance.simulation.tapes import Tapes


def shrunk(tapes: Tapes, fails: Callable[[Tapes], str | None]) -> Tapes:
    """A smaller run that fails in the same way; the same run if it does not fail.

    `fails` says how a run fails first, or None if it does not.
    """
    kind = fails(tapes)
    if kind is None:
        return tapes

    def still(candidate: Tapes) -> bool:
        return fails(candidate) == kind

    while True:
        before = tapes
        tapes = _fewer_edits(tapes, still)
        tapes = _shorter(tapes, still)
        tapes = _thinner(tapes, still)
        if before == tapes:
            return tapes


def _fewer_edits(tapes: Tapes, still: Callable[[Tapes], bool]) -> Tapes:
    workload = list(tapes.workload)
    for size in (8, 4, 2, 1):
        for start in range(0, len(workload), size):
            if all(entry is None for entry in workload[start : start + size]):
                continue
            kept = workload[start : start + size]
            workload[start : start + size] = [None] * len(kept)
            if not still(attrs.evolve(tapes, workload=tuple(workload))):
                workload[start : start + size] = kept
    return attrs.evolve(tapes, workload=tuple(workload))


def _shorter(tapes: Tapes, still: Callable[[Tapes], bool]) -> Tapes:
    """Nothing happens after the step that matters last."""
    low, high = 0, len(tapes.schedule)
    while low < high:
        middle = (low + high) // 2
        if still(attrs.evolve(tapes, schedule=tapes.schedule[:middle])):
            high = middle
        else:
            low = middle + 1
    shorter = attrs.evolve(tapes, schedule=tapes.schedule[:high])
    return shorter if high < len(tapes.schedule) and still(shorter) else tapes


def _thinner(tapes: Tapes, still: Callable[[Tapes], bool]) -> Tapes:
    """Steps that do not matter are taken out."""
    schedule = list(tapes.schedule)
    index = len(schedule) - 1
    while index >= 0:
        candidate = schedule[:index] + schedule[index + 1 :]
        if still(attrs.evolve(tapes, schedule=tuple(candidate))):
            schedule = candidate
        index -= 1
    return attrs.evolve(tapes, schedule=tuple(schedule))
