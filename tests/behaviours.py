"""Which behaviour is shown by which test: `python -m tests.behaviours` brings BEHAVIOURS.md up to date.

A test shows a behaviour by naming its id in brackets in its docstring; what the rules of the conformance suite show
is listed in `conformance/behaviours.py`. Under each statement of the file stands the list of these tests; statements
and deviations are written by hand.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.conformance.behaviours import SHOWN

HERE = Path(__file__).parent
PAGE = HERE / "BEHAVIOURS.md"
COUNTS = {
    "A": 17, "B": 23, "C": 24, "D": 19, "E": 28, "F": 21, "G": 26, "H": 9, "I": 28, "J": 16, "K": 11, "L": 12,
    "M": 20, "N": 21, "O": 11, "P": 8,
}  # fmt: skip
"""How many behaviours each group has, so that none is lost from the page unnoticed."""

_ID = r"(?:R-)?[A-Z]\d\d"
_STATEMENT = re.compile(rf"^(?:- \*\*)?({_ID})(?:\*\*)? (.*)$")
_DEVIATION = re.compile(rf"^\| ({_ID}) \| (.+) \| (.+) \|$")
_NAMED = re.compile(rf"\[({_ID})\]")
_SHOWN = "  - "


def statements(page: str) -> dict[str, str]:
    """What each id of the page says."""
    return {found[1]: found[2] for line in page.splitlines() if (found := _STATEMENT.match(line))}


def deviations(page: str) -> dict[str, str]:
    """The rule that each deviation cites, by id."""
    return {found[1]: found[3] for line in page.splitlines() if (found := _DEVIATION.match(line))}


@cache
def shown() -> dict[str, list[str]]:
    """The tests that name each id, as pytest would address them."""
    tests: dict[str, list[str]] = {}
    for suite, rules in SHOWN.items():
        for rule, ids in rules.items():
            for id in ids:
                tests.setdefault(id, []).append(f"{suite}::{rule}")
    for path in sorted(HERE.rglob("test_*.py")):
        for name, docstring in _docstrings(ast.parse(path.read_text(encoding="utf-8"))):
            for id in dict.fromkeys(_NAMED.findall(docstring)):
                tests.setdefault(id, []).append(f"{path.relative_to(HERE).as_posix()}::{name}")
    for names in tests.values():
        names.sort(key=lambda name: name.partition("::")[0])
    return tests


def _docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name, ast.get_docstring(node) or ""


def rendered(page: str, tests: dict[str, list[str]]) -> str:
    """The page with the present tests under each statement."""
    lines: list[str] = []
    for line in page.splitlines():
        if line.startswith(_SHOWN):
            continue
        found = _STATEMENT.match(line)
        lines.append(f"- **{found[1]}** {found[2]}" if found else line)
        lines.extend(f"{_SHOWN}`{test}`" for test in (tests.get(found[1], ()) if found else ()))
    return "\n".join(lines) + "\n"


def open_ids(page: str, tests: dict[str, list[str]]) -> list[str]:
    """The ids that neither a test shows nor a deviation explains."""
    return [id for id in statements(page) if id not in tests and id not in deviations(page)]


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(rendered(text, shown()), encoding="utf-8")
    print("open:", " ".join(open_ids(text, shown())) or "none")
