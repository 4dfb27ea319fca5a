"""The suite without pytest: verdicts, declarations, programs, reports."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conformance.machinery.broken import MergingStore
from tidesync.conformance import (
    Domain,
    NotConforming,
    RuleBroken,
    StoreConformance,
    Verdict,
    check_store,
    check_transport,
)
from tidesync.conformance.report import write_matrix
from tidesync.conformance.rules import rules_of
from tidesync.contracts.store import Store, StoreCapabilities
from tidesync.contracts.transport import Transport
from tidesync.errors import ConfigurationError
from tidesync.stores import MemoryStore, SQLiteStore
from tidesync.transports import Authority, LoopbackTransport

DURABLE = next(each.id for each, _ in rules_of(StoreConformance) if each.shows == "durable")


def test_every_rule_has_one_result() -> None:
    """A report has a result for each rule, in order, or for those that were asked for."""
    wanted = ["STORE-02", "STORE-01"]
    report = check_store(MemoryStore, only=wanted)
    assert [("STORE-01", Verdict.PASSED), ("STORE-02", Verdict.PASSED)] == [
        (result.rule.id, result.verdict) for result in report.results
    ]
    report.check()
    with pytest.raises(ConfigurationError, match="'STORE-999'"):
        _ = check_store(MemoryStore, only=["STORE-999"])


def test_a_broken_rule_is_reported_with_all_that_helps() -> None:
    """A failure says the rule, why it matters, where to look, what differed, and a program."""
    report = check_store(MergingStore, only=["STORE-02"])
    (result,) = report.failures
    assert Verdict.BROKEN is result.verdict
    assert isinstance(result.error, RuleBroken)
    with pytest.raises(NotConforming) as caught:
        report.check()
    said = str(caught.value)
    for part in (result.rule.promise, result.rule.why, result.rule.look, "expected", "make_store()"):
        assert part in said


def test_the_program_of_a_failure_can_be_run(tmp_path: Path) -> None:
    """What a failure prints is a program that makes the same calls and prints the same wrong answer."""
    (result,) = check_store(MergingStore, only=["STORE-02"]).failures
    _, _, program = result.detail.partition("The same as a program:\n")
    path = tmp_path / "program.py"
    _ = path.write_text(program)
    assert len(program.splitlines()) < 20
    ran = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60, check=True)
    assert "'extra': 1" in ran.stdout
    assert f"# {ran.stdout.splitlines()[-1]}" in program


def test_a_clients_program_can_be_run(tmp_path: Path) -> None:
    """The same for a transport."""
    (result,) = check_transport(deaf_clients, only=["TRANSPORT-02"]).failures
    _, _, program = result.detail.partition("The same as a program:\n")
    path = tmp_path / "program.py"
    _ = path.write_text(program)
    ran = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60, check=True)
    assert "Applied" in ran.stdout


class Deaf(LoopbackTransport):
    """Never finds a record."""

    def get(self, table: str, id: str, /) -> None:
        return None


def deaf_clients() -> Sequence[Transport]:
    """Two of them."""
    from tidesync.conformance import TABLES

    authority = Authority(MemoryStore(), TABLES)
    return [Deaf(authority), Deaf(authority)]


def test_deviations_are_strict() -> None:
    """A known deviation must fail; one that holds is a failure that says what to take out."""
    known = {"STORE-02": "it merges"}
    (result,) = check_store(MergingStore, only=["STORE-02"], known_deviations=known).results
    assert (Verdict.DEVIATES, "it merges", False) == (result.verdict, result.detail, result.failed)
    (result,) = check_store(MemoryStore, only=["STORE-02"], known_deviations=known).results
    assert (Verdict.HOLDS, True) == (result.verdict, result.failed)
    with pytest.raises(ConfigurationError, match="no rule"):
        _ = check_store(MemoryStore, known_deviations={"STORE-999": "x"})


def sqlite(folder: Path) -> Store:
    """A store in a folder."""
    return SQLiteStore(folder / "x.db", synchronous="normal")


def test_what_works_though_nobody_declared_it_is_said() -> None:
    """A capability that is declared off and plainly works is in the report, and is no failure."""
    (result,) = check_store(sqlite, only=[DURABLE]).results
    assert (Verdict.WORKS, False) == (result.verdict, result.failed)
    (result,) = check_store(MemoryStore, only=[DURABLE]).results
    assert (Verdict.UNDECLARED, False) == (result.verdict, result.failed)


def test_what_is_declared_and_fails_is_a_failure() -> None:
    """A capability that is declared on must work, and then a factory must take a folder."""

    def in_memory(folder: Path) -> Store:
        return MemoryStore()

    durable = StoreCapabilities(durable=True)
    (result,) = check_store(in_memory, capabilities=durable, only=[DURABLE]).results
    assert result.failed
    with pytest.raises(ConfigurationError, match="make_store must take a folder"):
        _ = check_store(MemoryStore, capabilities=durable)


def test_other_exceptions_are_errors() -> None:
    """What a store raises of its own is an error, and not a rule that caught something; but for one about closing."""

    class Crashing(MemoryStore):
        def close(self) -> None:
            raise KeyError("x")

    report = check_store(Crashing, only=["STORE-02", "STORE-42"])
    assert [Verdict.ERROR, Verdict.BROKEN] == [result.verdict for result in report.failures]


def test_older_versions_and_narrowing_are_told() -> None:
    """Rules that are newer than the version are not tried; a narrowing is repeated."""
    report = check_store(MemoryStore, version="2025.12", only=["STORE-01"])
    assert [Verdict.NEWER] == [result.verdict for result in report.results]
    narrow = Domain(ids=str.isascii, says="ids are ASCII")
    report = check_store(MemoryStore, domain=narrow, only=["STORE-02"])
    assert "narrowed: ids are ASCII" in "\n".join(report.told())


def test_reports_are_written(tmp_path: Path) -> None:
    """A matrix is Markdown or JSON by its ending; nothing else is written."""
    reports = [check_store(each, only=["STORE-02"]) for each in (MemoryStore, MergingStore)]
    write_matrix(tmp_path / "x.json", reports)
    told = json.loads((tmp_path / "x.json").read_text())
    assert ["passed", "broken"] == [each["results"][0]["verdict"] for each in told["adapters"]]
    write_matrix(tmp_path / "x.md", reports)
    assert "| passed | broken |" in (tmp_path / "x.md").read_text()
    with pytest.raises(ConfigurationError, match=r"\.md or \.json"):
        write_matrix(tmp_path / "x.txt", reports)


def test_rules_hold_without_asserts() -> None:
    """Under `python -O`, where assert says nothing, a broken rule is still broken."""
    program = (
        "from tidesync.conformance import check_store\n"
        "from tests.conformance.machinery.broken import MergingStore\n"
        "print([result.rule.id for result in check_store(MergingStore, only=['STORE-02']).failures])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-O", "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "['STORE-02']\n" == ran.stdout
