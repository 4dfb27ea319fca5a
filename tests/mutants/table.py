"""The page of all broken parts: `python -m tests.mutants.table` brings docs/mutants.md up to date."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.mutants.engines.all import MUTANTS as ENGINES
from tests.mutants.registry import table
from tidesync.conformance.rules import Suite

PAGE: Final = Path(__file__).parents[2] / "docs" / "mutants.md"

SUITES: Final = (
    ("Stores", "tests.mutants.stores.all", "StoreConformance"),
    ("Transports", "tests.mutants.transports.all", "TransportConformance"),
)
"""Where the broken parts of a sort are registered, as `MUTANTS`, and the suite whose rules catch them."""

_TOP = """# Broken on purpose

<!-- Written by `python -m tests.mutants.table`. -->

A suite that passes everything passes what is right, too. So the [conformance suite](../conformance/GUIDE.md) and the
[simulation](simulation.md) are tested against parts that are broken on purpose: each has one small mistake that
somebody could have made, and each is caught. A store or a transport is caught by the one rule that is named, and not by
a crash; an engine by the simulation, in a world where the sound engine passes the same run.

The same in a few lines: a store that forgets one record of several.

```python
from tidesync.conformance.simulation import Scenario, simulate
from tidesync.stores.memory import MemoryStore, MemoryTransaction


class Forgetful(MemoryTransaction):
    def put(self, table, records):
        super().put(table, records[:-1] if len(records) > 1 else records)


class ForgetfulStore(MemoryStore):
    def transaction(self, *, write):
        return Forgetful(self, write)


report = simulate(Scenario(make_store=lambda folder: ForgetfulStore()), runs=20)
assert not report.ok
```
"""


def rendered() -> str:
    """The page as it should be."""
    parts = [_TOP]
    for title, module, suite in SUITES:
        rows = of_suite(module, suite)
        if rows:
            heads = ("name", "what is broken", "made from", "caught by")
            parts.append(f"## {title}: {len(rows)}\n\n{markdown(heads, rows)}")
    mistakes = len({broken.mistake for broken in ENGINES.values()})
    parts.append(
        f"## Engines: {mistakes}\n\n{markdown(('name', 'what is broken', 'rule', 'caught in, from seed'), engines())}"
    )
    return "\n".join(parts)


def of_suite(module: str, name: str) -> Sequence[Sequence[str]]:
    """The broken parts of a sort; none while nobody has registered any."""
    if importlib.util.find_spec(module) is None:
        return []
    suite: type[Suite] = getattr(importlib.import_module("tidesync.conformance"), name)
    return table(importlib.import_module(module).MUTANTS.values(), suite)


def engines() -> Sequence[Sequence[str]]:
    """A row for each mistake, with every world that it is noticed in."""
    rows: dict[str, list[str]] = {}
    for broken in ENGINES.values():
        name = broken.name.partition(" (")[0]
        row = rows.setdefault(name, [name, broken.mistake, broken.rule, ""])
        row[3] += f"{', ' if row[3] else ''}`{broken.profile}` {broken.seed}"
    return [rows[name] for name in sorted(rows, key=lambda name: (rows[name][2], name))]


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    _ = PAGE.write_text(rendered(), "utf-8")
