"""What came of the rules: one result each, and reports that people and programs read."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from tidesync.conformance.rules import SUITE_VERSION, Rule


class Verdict(enum.Enum):
    """What came of one rule."""

    PASSED = "passed"
    BROKEN = "broken"
    """The rule does not hold."""
    ERROR = "error"
    """Something else was raised than the rule is about."""
    DEVIATES = "deviates"
    """It is broken, as declared in `known_deviations`."""
    HOLDS = "holds, though declared as a deviation"
    ALTERED = "altered"
    """The adapter deleted or overrode the rule."""
    UNDECLARED = "not declared"
    WORKS = "works, though not declared"
    UNAVAILABLE = "cannot be tried on this machine"
    NEWER = "newer than the version asked for"


FAILURES = frozenset({Verdict.BROKEN, Verdict.ERROR, Verdict.HOLDS, Verdict.ALTERED})


@attrs.frozen(kw_only=True)
class Result:
    """What came of one rule; `detail` says why, `error` is what was raised."""

    rule: Rule
    verdict: Verdict
    detail: str = ""
    seconds: float = 0.0
    error: BaseException | None = attrs.field(default=None, repr=False, eq=False)


class NotConforming(AssertionError):
    """Some rules failed; `report` has all results."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__(report.summary())


@attrs.frozen(kw_only=True)
class Report:
    """What came of all rules for one adapter."""

    adapter: str
    capabilities: str
    results: Sequence[Result]
    narrowing: str = ""
    version: str = SUITE_VERSION

    @property
    def failures(self) -> Sequence[Result]:
        """The results that are failures."""
        return [result for result in self.results if result.verdict in FAILURES]

    def check(self) -> None:
        """Raise `NotConforming` if a rule failed."""
        if self.failures:
            raise NotConforming(self)

    def summary(self) -> str:
        """The failures, and how many rules came to what."""
        counts = {verdict: sum(result.verdict is verdict for result in self.results) for verdict in Verdict}
        told = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
        lines = [f"{self.adapter}: {told}"]
        lines += [f"{each.rule.id} {each.rule.promise} {each.detail}" for each in self.failures]
        return "\n".join(lines)
