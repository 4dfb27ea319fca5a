"""`tidesync conformance MODULE:FACTORY`."""

import json
from pathlib import Path

import pytest

from tidesync.cli import main
from tidesync.conformance import StoreConformance, TransportConformance
from tidesync.conformance.rules import rules_of


def test_a_store_and_clients(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A factory of stores and one of clients are both tried, with what they say of themselves."""
    report = tmp_path / "x.json"
    one = ["conformance", "tidesync.stores:MemoryStore", "--only", "STORE-02", "--report", str(report)]
    assert 0 == main(one)
    assert "tidesync.stores.memory:MemoryStore (no optional capability): 1 passed" in capsys.readouterr().out
    assert "passed" == json.loads(report.read_text())["adapters"][0]["results"][0]["verdict"]
    clients = "tests.conformance.machinery.test_running:deaf_clients"
    assert 1 == main(["conformance", clients, "--only", "TRANSPORT-02"])
    said = capsys.readouterr().out
    assert "TRANSPORT-02 broken" in said
    assert f"load_clients('{clients}')" in said


def test_a_deviation(capsys: pytest.CaptureFixture[str]) -> None:
    """What is known to be broken is no failure, and is said."""
    broken = ["conformance", "tests.conformance.machinery.broken:MergingStore", "--only", "STORE-02"]
    assert 1 == main(broken)
    assert 0 == main([*broken, "--deviates", "STORE-02=it merges"])
    assert "STORE-02 deviates: it merges" in capsys.readouterr().out


def test_the_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """All rules of both suites can be read before a run; without a factory there is nothing else to do."""
    assert 0 == main(["conformance", "--list"])
    lines = capsys.readouterr().out.splitlines()
    assert sum(len(rules_of(suite)) for suite in (StoreConformance, TransportConformance)) == len(lines)
    assert lines[0].startswith("STORE-01 A store has the capabilities")
    with pytest.raises(SystemExit, match="2"):
        _ = main(["conformance"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere:x"], "nowhere"),
        (["tidesync.stores"], "MODULE:NAME"),
        (["tidesync.stores:Nothing"], "Nothing"),
        (["tidesync.stores:__all__"], "must be a function or a class"),
        (["builtins:dict"], "makes dict"),
        (["tidesync.stores:MemoryStore", "--only", "STORE-999"], "STORE-999"),
        (["tidesync.stores:MemoryStore", "--report", "x.txt"], ".md or .json"),
        (["tidesync.stores:MemoryStore", "--deviates", "STORE-01"], "ID=REASON"),
        (["tidesync.stores:MemoryStore", "--suite", "new"], "2026.11"),
    ],
)
def test_what_cannot_be_tried(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    """Anything else is one line, and status 2."""
    assert 2 == main(["conformance", *arguments])
    assert words in capsys.readouterr().err
