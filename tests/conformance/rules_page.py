"""The page of all rules: `python -m tests.conformance.rules_page` brings docs/rules.md up to date."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tidesync.conformance import SUITE_VERSION, StoreConformance, TransportConformance
from tidesync.conformance.rules import Rule, Suite, rules_of

PAGE: Final = Path(__file__).parents[2] / "docs" / "rules.md"
SUITES: Final[dict[str, type[Suite]]] = {"Stores": StoreConformance, "Transports": TransportConformance}
_SHOWN: Final = "test_put_replaces_whole_records"
"""The rule of the example."""

_TOP = """# The rules

<!-- Written by `python -m tests.conformance.rules_page`. -->

Version {version} of the [conformance suite](conformance.md): {stores} rules for stores, {transports} for transports.
One that needs nothing is tried on all of them, any other where what it needs is declared ([what the names
mean](conformance.md#what-a-rule-may-need)). One that *shows* a capability is tried in any case, so that whoever
forgot to declare it is told. Each is named by a [part that is broken on purpose](mutants.md), and has to catch it.

Why a rule matters, and what to look at when it fails, is in its docstring, and the sentence of the contract that it is
tied to in its marker. All of that is told of a `Rule`, too:

```python
from tidesync.conformance import check_store
from tidesync.stores import MemoryStore

(result,) = check_store(MemoryStore, only=["{example}"]).results
print(result.verdict.value, result.rule.promise, result.rule.why, result.rule.look, sep="\\n")
```
"""


def rendered() -> str:
    """The page as it should be."""
    counts = {title: len(rules_of(suite)) for title, suite in SUITES.items()}
    (example,) = [each.id for each, _ in rules_of(StoreConformance) if each.name == _SHOWN]
    lines = [
        _TOP.format(
            version=SUITE_VERSION,
            stores=counts["Stores"],
            transports=counts["Transports"],
            example=example,
        )
    ]
    for title, suite in SUITES.items():
        lines.append(f"## {title}: {counts[title]}\n")
        for heading, rules in parts(suite):
            lines += [f"### {heading}\n", "| rule | promises | needs |\n|---|---|---|", *map(_row, rules), ""]
    return "\n".join(lines)


def parts(suite: type[Suite]) -> Iterator[tuple[str, list[Rule]]]:
    """The rules of a suite, by the mixin that has them, in the order of their ids; a heading for each."""
    found: dict[type, list[Rule]] = {}
    for each, function in rules_of(suite):
        found.setdefault(_home(suite, function), []).append(each)
    for mixin, rules in found.items():
        yield _heading(mixin), rules


def _home(suite: type[Suite], function: Callable[..., Any]) -> type:
    return next(base for base in suite.__mro__ if vars(base).get(function.__name__) is function)


def _heading(mixin: type) -> str:
    """What a mixin is about, from the first line of its docstring."""
    first = (inspect.getdoc(mixin) or "").partition("\n")[0].rstrip(".")
    about = re.sub(r"^(?:The rules? that|Rules about|Rules that) ", "", first)
    return about[0].upper() + about[1:]


def _row(each: Rule) -> str:
    needs = [f"{need} *(shows it)*" if need == each.shows else need for need in each.requires]
    return f"| {each.id} | {_plain(each.promise)} | {', '.join(needs)} |"


def _plain(text: str) -> str:
    """The text with no sign that Markdown takes for its own, but in code font."""
    return "".join(
        part if part.startswith("`") else re.sub(r"([*|<\[])", r"\\\1", part)
        for part in re.split(r"(`[^`]*`)", text)
    )


if __name__ == "__main__":
    _ = PAGE.write_text(rendered(), "utf-8")
