"""The plugin, in a pytest of its own, as an author of a store meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import pytest
from tidesync.conformance import StoreConformance, Domain
from tidesync.contracts.store import StoreCapabilities
from tidesync.stores import MemoryStore, SQLiteStore
from tests.conformance.machinery.broken import MergingStore

class Base(StoreConformance):
    @pytest.fixture
    def make_store(self): return MemoryStore

class TestPlain(Base):
    domain = Domain(ids=str.isascii, says="ids are ASCII")

class TestMerging(Base):
    @pytest.fixture
    def make_store(self): return MergingStore

class TestKnown(TestMerging):
    known_deviations = {"STORE-02": "it merges"}

class TestWrongly(Base):
    known_deviations = {"STORE-02": "it does not merge at all"}

class TestFile(StoreConformance):
    @pytest.fixture
    def make_store(self, tmp_path): return lambda: SQLiteStore(tmp_path / "x.db", synchronous="normal")

del Base
"""
ROOT = Path(__file__).parents[3]


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """pytest on the module, in its folder; its status and what it said."""
    path = folder / "test_mine.py"
    if not path.exists():
        _ = path.write_text(MODULE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-rsx",
        "--strict-markers",
        str(path),
        *arguments,
    ]
    ran = subprocess.run(
        command, check=False, cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return ran.returncode, ran.stdout + ran.stderr


def test_an_authors_run(tmp_path: Path) -> None:
    """The header, verdicts, a program, probes and both reports, in a run with failures."""
    status, said = run(tmp_path, "-k", "capabilities_are or replaces_whole", "--conformance-report", "x.json")
    assert 1 == status
    assert "tidesync conformance: suite 2026.11, profile quick" in said
    assert "TestPlain: no optional capability; narrowed: ids are ASCII" in said
    assert "TestKnown: no optional capability; known deviations: STORE-02" in said
    told = {each["adapter"]: each for each in json.loads((tmp_path / "x.json").read_text())["adapters"]}
    verdicts = {
        name: {result["id"]: result["verdict"] for result in each["results"]} for name, each in told.items()
    }
    assert {"STORE-01": "passed", "STORE-02": "passed"} == verdicts["TestPlain"]
    assert "broken" == verdicts["TestMerging"]["STORE-02"]
    assert "deviates" == verdicts["TestKnown"]["STORE-02"]
    assert "holds" == verdicts["TestWrongly"]["STORE-02"]
    assert "broken" == verdicts["TestFile"]["STORE-01"]
    assert "make_store = load_store(sys.argv[1])" in said or "load_store('tests.conformance" in said
    assert "STORE-02 deviates: it merges" in said


def test_the_same_on_workers(tmp_path: Path) -> None:
    """Results come home from workers, and the matrix is written once, as Markdown."""
    status, said = run(
        tmp_path, "-n", "2", "-k", "TestPlain and replaces_whole", "--conformance-report", "x.md"
    )
    assert (0, True) == (status, "TestPlain (no optional capability): 1 passed" in said)
    assert "| STORE-02 |" in (tmp_path / "x.md").read_text()


def test_capabilities_decide_what_is_tried(tmp_path: Path) -> None:
    """What is not declared is skipped with a reason; what works all the same is said."""
    status, said = run(tmp_path, "-k", "TestFile and (after_close or killed_process or no_process)")
    assert 0 == status, said
    assert "durable is not declared, and works" in said
    assert "needs durable, fork: not declared" in said


def test_an_older_set_of_rules(tmp_path: Path) -> None:
    """An older version leaves newer rules out, and says how many."""
    status, said = run(tmp_path, "--conformance-version", "2025.1", "-k", "TestPlain")
    assert 5 == status
    assert "deselected" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--conformance-report", "x.txt"), "ends in .md or .json"),
        (("--conformance-profile", "slow"), "a profile is one of quick, ci, soak"),
        (("--conformance-version", "new"), "a suite version is like"),
    ],
)
def test_options_that_cannot_be_met(tmp_path: Path, arguments: tuple[str, str], words: str) -> None:
    """A wrong option is a usage error that says what is right."""
    status, said = run(tmp_path, *arguments)
    assert 4 == status
    assert words in said


def test_altering_a_rule_is_a_failure(tmp_path: Path) -> None:
    """A class that overrides a rule is an error of its module; so is a rule that goes later."""
    override = "\nclass TestBad(TestPlain):\n    def test_put_replaces_whole_records(self): pass\n"
    _ = (tmp_path / "test_mine.py").write_text(MODULE + override)
    status, said = run(tmp_path)
    assert 2 == status
    assert "STORE-02: test_put_replaces_whole_records is overridden in TestBad" in said
    _ = (tmp_path / "test_mine.py").write_text(
        MODULE + "\nTestPlain.test_put_replaces_whole_records = None\n"
    )
    status, said = run(tmp_path)
    assert 0 != status
    assert "STORE-02: test_put_replaces_whole_records is deleted in TestPlain" in said


def test_other_peoples_tests_see_nothing_of_it(tmp_path: Path) -> None:
    """Where no class of the suite is collected, the plugin says nothing and loads neither the suite nor Hypothesis."""
    program = (
        "import sys\n\ndef test_it():\n"
        "    assert not {'hypothesis', 'tidesync.conformance.rules', 'tidesync.stores'} & set(sys.modules)\n"
    )
    _ = (tmp_path / "test_mine.py").write_text(program)
    status, said = run(tmp_path, "-p", "no:hypothesispytest")
    assert (0, False) == (status, "conformance:" in said), said
