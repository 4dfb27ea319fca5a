"""What came of the rules: one result each, and reports that people and programs read."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from tidesync.conformance.rules import SUITE_VERSION, Rule, order_of
from tidesync.errors import ConfigurationError


class Verdict(enum.Enum):
    """What came of one rule."""

    PASSED = "passed"
    BROKEN = "broken"
    """The rule does not hold."""
    ERROR = "error"
    """Something was raised that the rule does not expect."""
    DEVIATES = "deviates"
    """It is broken, as declared in `known_deviations`."""
    HOLDS = "holds, though declared as a deviation"
    UNDECLARED = "not declared"
    WORKS = "works, though not declared"
    UNAVAILABLE = "not on this machine"
    NEWER = "newer than the version asked for"


FAILURES: Final = frozenset({Verdict.BROKEN, Verdict.ERROR, Verdict.HOLDS})


@attrs.frozen(kw_only=True)
class Result:
    """What came of one rule; `detail` says why, `error` is what was raised."""

    rule: Rule
    verdict: Verdict
    detail: str = ""
    seconds: float = 0.0
    error: BaseException | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def failed(self) -> bool:
        """Whether the adapter has to be mended, or its declarations."""
        return self.verdict in FAILURES


class NotConforming(AssertionError):
    """Some rules failed; `report` has all results."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__("\n".join(report.told()))


@attrs.frozen(kw_only=True)
class Report:
    """What came of all rules for one adapter: who it is, what it `declares`, and a result for each rule."""

    adapter: str
    declares: str
    results: Sequence[Result]
    narrowing: str = ""
    version: str = SUITE_VERSION

    @property
    def failures(self) -> Sequence[Result]:
        """The results that are failures."""
        return [result for result in self.results if result.failed]

    def check(self) -> None:
        """Raise `NotConforming` if a rule failed."""
        if self.failures:
            raise NotConforming(self)

    def told(self, *, verbose: bool = True) -> Iterator[str]:
        """Lines for a person: how many rules came to what, each failure, and what the reader should know.

        `verbose` adds to a failure why the rule matters and where to look.
        """
        counts = {verdict: sum(each.verdict is verdict for each in self.results) for verdict in Verdict}
        totals = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
        seconds = sum(each.seconds for each in self.results)
        yield f"{self.adapter} ({self.declares}): {totals}; {seconds:.1f} s"
        if self.narrowing:
            yield f"  narrowed: {self.narrowing}"
        for each in self.results:
            if each.verdict is Verdict.WORKS:
                yield f"  {each.rule.shows} is not declared, and works ({each.rule.id}): {each.detail}"
            elif each.verdict is Verdict.DEVIATES:
                yield f"  {each.rule.id} deviates: {each.detail}"
            elif each.failed:
                yield f"  {each.rule.id} {each.verdict.value}: {each.rule.promise}"
                if verbose:
                    yield f"    Why: {each.rule.why}"
                    yield f"    Look at: {each.rule.look}"
                yield from (f"    {line}" for line in each.detail.splitlines())


def in_order(results: Iterable[Result]) -> list[Result]:
    """The results in the order of their rules' ids."""
    return sorted(results, key=lambda result: order_of(result.rule.id))


def write_matrix(path: Path, reports: Sequence[Report]) -> None:
    """Write what came of the rules, by adapter, as Markdown (`.md`) or JSON (`.json`)."""
    if path.suffix == ".json":
        text = json.dumps({"suite": SUITE_VERSION, "adapters": list(map(_document, reports))}, indent=2)
    elif path.suffix == ".md":
        text = "\n".join(_markdown(reports))
    else:
        raise ConfigurationError(f"a report is a file that ends in .md or .json, not {path.name!r}")
    _ = path.write_text(text + "\n", encoding="utf-8")


def _document(report: Report) -> dict[str, Any]:
    return {
        "adapter": report.adapter,
        "declares": report.declares,
        "narrowing": report.narrowing,
        "version": report.version,
        "results": [
            {
                "id": each.rule.id,
                "rule": each.rule.promise,
                "since": each.rule.since,
                "requires": list(each.rule.requires),
                "verdict": each.verdict.name.lower(),
                "detail": each.detail,
                "seconds": round(each.seconds, 3),
            }
            for each in report.results
        ],
    }


def _markdown(reports: Sequence[Report]) -> Iterator[str]:
    yield f"# Support matrix, suite {SUITE_VERSION}"
    kinds = sorted(
        {each.rule.id.partition("-")[0] for report in reports for each in report.results}, reverse=True
    )
    for kind in kinds:
        columns = [
            report
            for report in reports
            if any(each.rule.id.startswith(kind + "-") for each in report.results)
        ]
        rules = {each.rule.id: each.rule for report in columns for each in report.results}
        yield ""
        yield f"| rule | what it promises | {' | '.join(report.adapter for report in columns)} |"
        yield f"|---|---|{'---|' * len(columns)}"
        found = [{each.rule.id: each.verdict.value for each in report.results} for report in columns]
        for id in sorted(rules, key=order_of):
            cells = " | ".join(by_id.get(id, "not run") for by_id in found)
            yield f"| {id} | {rules[id].promise.replace('|', chr(92) + '|')} | {cells} |"
    yield ""
    for report in reports:
        yield f"* **{report.adapter}** declares: {report.declares}."
        if report.narrowing:
            yield f"  Narrowed: {report.narrowing}."
        for each in report.results:
            if each.verdict in (Verdict.DEVIATES, Verdict.WORKS, *FAILURES):
                yield f"  * {each.rule.id} {each.verdict.value}: {each.detail.partition(chr(10))[0]}"
