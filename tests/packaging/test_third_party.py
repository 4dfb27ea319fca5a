"""A stranger's store, a distribution of its own, passes the suite that comes with the wheel."""

import json
import re
from pathlib import Path

import pytest

from tests.packaging.installing import build, copy, environment, run
from tests.packaging.tree import ROOT

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "third_party_store"


def test_a_third_party_store_passes_the_suite(wheel: Path, tmp_path: Path) -> None:
    """Installed as anyone would, away from the checkout, it passes every rule of what it declares; its README runs."""
    copy(("src", "pyproject.toml", "README.md"), EXAMPLE, tmp_path / "source")
    copy(("tests", "pyproject.toml"), EXAMPLE, tmp_path / "checks")
    store = build(tmp_path / "source", tmp_path)
    python = environment(tmp_path / "environment", f"{store}[test]", wheel)
    # `-I`: neither the folder nor the user's own packages are on the path.
    where = "import sys, tidesync, tidesync_sqlite3 as s; print(tidesync.__file__, s.__file__, *sys.path, sep='\\n')"
    paths = run(python, "-I", "-c", where, cwd=tmp_path).splitlines()
    (example,) = re.findall(r"```python\n(.*?)```", (EXAMPLE / "README.md").read_text("utf-8"), re.S)
    report = tmp_path / "report.json"

    run(python, "-I", "-W", "error", "-c", example, cwd=tmp_path)
    run(python, "-I", "-m", "pytest", "-q", "--conformance-report", report, cwd=tmp_path / "checks")

    assert [] == [path for path in paths if Path(path).is_relative_to(ROOT)]
    (adapter,) = json.loads(report.read_text("utf-8"))["adapters"]
    verdicts = {rule["id"]: rule["verdict"] for rule in adapter["results"]}
    undeclared = {rule["id"] for rule in adapter["results"] if {"indexed", "encrypted"} & {*rule["requires"]}}
    assert "durable, multiprocess" == adapter["declares"]
    assert dict.fromkeys(undeclared, "undeclared") == {id: verdicts.pop(id) for id in undeclared}
    assert dict.fromkeys(verdicts, "passed") == verdicts
    assert len(verdicts) > 100
