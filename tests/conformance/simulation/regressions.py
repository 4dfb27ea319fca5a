"""Runs that once failed, small, by name: a profile, two tapes and a line that says what went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import attrs

from tidesync.conformance.simulation.tapes import Tapes

PATH = Path(__file__).with_name("regressions.json")


@attrs.frozen
class Regression:
    """One run that must not fail again. `failed` is the kind of problem that it showed."""

    name: str
    profile: str
    failed: str
    story: str
    tapes: Tapes


def regressions() -> list[Regression]:
    """All that are kept."""
    rows = json.loads(PATH.read_text()) if PATH.exists() else []
    return [
        Regression(
            row["name"], row["profile"], row["failed"], row["story"],
            Tapes(tuple(row["workload"]), tuple(row["schedule"]), row["ending"]),
        )
        for row in rows
    ]  # fmt: skip


def keep(found: Regression) -> None:
    """Add one, or put it in the place of the one of its name."""
    rows = [
        row for row in (json.loads(PATH.read_text()) if PATH.exists() else []) if row["name"] != found.name
    ]
    workload = list(found.tapes.workload)
    while workload and workload[-1] is None:
        _ = workload.pop()
    rows.append({
        "name": found.name, "profile": found.profile, "failed": found.failed, "story": found.story,
        "workload": workload, "schedule": list(found.tapes.schedule), "ending": found.tapes.ending,
    })  # fmt: skip
    lines = ",\n".join(json.dumps(row) for row in rows)
    _ = PATH.write_text(f"[\n{lines}\n]\n")
