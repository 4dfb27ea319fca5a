"""The pytest plugin: which rules are tried, what the header and the summary say, and the support matrix.

It is loaded wherever tidesync is installed with pytest, and does nothing but register its options until a class of
the suite is collected.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import pytest

if TYPE_CHECKING:
    from tidesync.conformance.report import Report
    from tidesync.conformance.rules import Rule, Suite

pytest.register_assert_rewrite("tidesync.conformance.store", "tidesync.conformance.transport")

_MARKER: Final = "conformance"
_PROPERTY: Final = "tidesync_conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the suite."""
    group = parser.getgroup("tidesync conformance")
    group.addoption(
        "--conformance-profile",
        dest="conformance_profile",
        metavar="NAME",
        help="how long to search: quick (the default), ci or soak",
    )
    group.addoption(
        "--conformance-report",
        dest="conformance_report",
        metavar="FILE",
        help="write a support matrix: Markdown or JSON, by the ending",
    )
    group.addoption(
        "--conformance-version",
        dest="conformance_version",
        metavar="VERSION",
        help="try the rules of an older version of the suite, such as 2026.11",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse options that cannot be met."""
    config.addinivalue_line(
        "markers", f"{_MARKER}(id, clause, since, requires, shows): a rule of tidesync's conformance suite"
    )
    given = config.getoption("conformance_report")
    if given and Path(given).suffix not in (".md", ".json"):
        raise pytest.UsageError(f"--conformance-report is a file that ends in .md or .json, not {given!r}")
    if config.getoption("conformance_version") or config.getoption("conformance_profile"):
        from tidesync.conformance.profiles import profile_of
        from tidesync.conformance.rules import version_key
        from tidesync.errors import ConfigurationError

        try:
            _ = profile_of(config.getoption("conformance_profile"))
            _ = version_key(_version(config))
        except ConfigurationError as error:
            raise pytest.UsageError(str(error)) from error
    if not hasattr(config, "workerinput"):
        _ = config.pluginmanager.register(_Gathered(config), "tidesync-conformance-gathered")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Decide which rules are tried: the one place for capabilities, versions and deviations."""
    newer: list[pytest.Item] = []
    for item in items:
        found = _rule_of(item)
        if found is None:
            continue
        rule, suite = found
        how = suite.standing(rule, _version(config))
        if how == "newer":
            newer.append(item)
        elif how == "undeclared":
            item.add_marker(
                pytest.mark.skip(reason=f"{rule.id} needs {', '.join(rule.requires)}: not declared")
            )
        elif how == "unavailable":
            item.add_marker(
                pytest.mark.skip(reason=f"{rule.id} needs {', '.join(rule.requires)}: not on this machine")
            )
        elif how == "run" and rule.id in suite.known_deviations:
            reason = suite.known_deviations[rule.id]
            item.add_marker(pytest.mark.xfail(reason=f"{rule.id}: {reason}", strict=True))
    if newer:
        config.hook.pytest_deselected(items=newer)
        items[:] = [item for item in items if item not in newer]


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """The version of the suite, and the adapters that are tried, with what they declare."""
    suites = {found[1] for item in items if (found := _rule_of(item)) is not None}
    if not suites:
        return []
    from tidesync.conformance.profiles import profile_of

    profile = profile_of(config.getoption("conformance_profile")).name
    head = f"tidesync conformance: suite {_version(config)}, profile {profile}"
    return [head, *sorted(f"  {suite.__qualname__}: {suite.title()}" for suite in suites)]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """A failure shows the short program that leads to it."""
    try:
        return (yield)
    except Exception as error:
        program = getattr(pyfuncitem.funcargs.get("bench"), "program", None)
        if _rule_of(pyfuncitem) is not None and program is not None:
            program.attach(error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What came of a rule goes with pytest's own report, from workers too; a probe never fails."""
    report = yield
    found = _rule_of(item)
    if found is None or (call.when != "call" and report.passed):
        return report
    rule, suite = found
    from tidesync.conformance.report import Verdict
    from tidesync.conformance.rules import told
    from tidesync.conformance.running import SKIPPED, judged

    how = suite.standing(rule, _version(item.config))
    error = call.excinfo.value if call.excinfo is not None else None
    if how in SKIPPED:
        verdict, detail = SKIPPED[how], ", ".join(rule.requires)
    elif call.when == "call":
        verdict, detail = judged(error, how, suite.known_deviations.get(rule.id))
    else:
        verdict, detail = Verdict.ERROR, f"{type(error).__name__}: {error}"
    if how == "probe" and call.when == "call" and report.failed:
        path, line, _ = item.location
        report.outcome = "skipped"
        report.longrepr = (
            path,
            (line or 0) + 1,
            f"{rule.id}: {rule.shows} is not declared, and does not work",
        )
    report.user_properties.append((
        _PROPERTY,
        {
            "adapter": suite.__qualname__, "declares": told(suite.offered()), "narrowing": suite.domain.says,
            "rule": attrs.asdict(rule), "verdict": verdict.name, "detail": detail,
            "seconds": round(call.duration, 3),
        },
    ))  # fmt: skip
    return report


class _Gathered:
    """What came of all rules, of all workers, by adapter; told at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._results: dict[str, list[dict[str, Any]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _PROPERTY:
                found = cast("dict[str, Any]", value)
                self._results.setdefault(found["adapter"], []).append(found)

    def _reports(self) -> list[Report]:
        from tidesync.conformance.report import Report, Result, Verdict, in_order
        from tidesync.conformance.rules import Rule

        return [
            Report(
                adapter=adapter,
                declares=found[0]["declares"],
                narrowing=found[0]["narrowing"],
                version=_version(self._config),
                results=in_order(
                    Result(
                        rule=_rule_again(Rule, each["rule"]),
                        verdict=Verdict[each["verdict"]],
                        detail=each["detail"],
                        seconds=each["seconds"],
                    )
                    for each in found
                ),
            )
            for adapter, found in sorted(self._results.items())
        ]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line for each adapter, and what works though nobody declared it."""
        reports = self._reports()
        if reports and terminalreporter.verbosity >= 0:
            terminalreporter.section(f"tidesync conformance, suite {_version(self._config)}")
            for report in reports:
                for line in report.told():
                    terminalreporter.line(line)

    def pytest_sessionfinish(self) -> None:
        """Write the support matrix."""
        given = self._config.getoption("conformance_report")
        if given:
            from tidesync.conformance.report import write_matrix

            write_matrix(Path(given), self._reports())


def _rule_again(made: type[Rule], fields: dict[str, Any]) -> Rule:
    """A rule that came from a worker as JSON."""
    fields["requires"] = tuple(fields["requires"])
    return made(**fields)


def _version(config: pytest.Config) -> str:
    from tidesync.conformance.rules import SUITE_VERSION

    given: str | None = config.getoption("conformance_version")
    return given or SUITE_VERSION


def _rule_of(item: pytest.Item) -> tuple[Rule, type[Suite]] | None:
    """The rule that a test is, and the adapter's class; None for every other test."""
    if item.get_closest_marker(_MARKER) is None or not isinstance(item, pytest.Function):
        return None
    from tidesync.conformance.rules import Suite, rule_of

    cls: Any = item.cls
    rule = rule_of(getattr(item, "function", None))
    if rule is None or cls is None or not issubclass(cls, Suite):
        return None
    cls.check_whole()
    return rule, cls
