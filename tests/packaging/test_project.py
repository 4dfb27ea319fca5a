"""The tree keeps its own rules: sizes, versions, and nothing in it that belongs to one machine."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import tidesync
from tests.packaging.tree import ROOMS, ROOT, pyproject, python_files, tracked_files

FILE_LINES = 400
FUNCTION_LINES = 70

# Put together from pieces, so that this file does not hold what it looks for.
_SLASH = "/"
MACHINE_PATHS = re.compile(
    "|".join(
        (
            rf"(?<![\w.:/~-]){_SLASH}(?:home|Users|root|work|mnt|media|workspace){_SLASH}\w",
            rf"(?<![\w.:/~-]){_SLASH}tmp{_SLASH}\w",
            rf"(?<![\w.:/~-]){_SLASH}opt{_SLASH}\w",
            r"\b[A-Z]:" + r"\\" + r"Users\b",
            "file:" + _SLASH * 3,
        )
    )
)


def test_constraints_pin_by_name_and_version_only() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()

    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+!]+", line)] == []
    assert [line for line in lines if "://" in line or "@" in line] == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert [found for path in tracked_files() for found in _machine_paths(path)] == []


def _machine_paths(path: Path) -> Iterator[str]:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("#!") and MACHINE_PATHS.search(line):
            yield f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def test_files_are_under_400_lines() -> None:
    sizes = {path: len(path.read_text("utf-8").splitlines()) for path in _all_python_files()}

    assert {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size >= FILE_LINES} == {}


def _all_python_files() -> list[Path]:
    return python_files(*ROOMS, "tests", "benchmarks")


def test_functions_are_at_most_70_lines() -> None:
    assert [found for path in python_files(*ROOMS) for found in _long_functions(path)] == []


def _long_functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > FUNCTION_LINES:
                yield f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {size} lines"


def test_every_folder_with_code_is_a_named_package() -> None:
    folders = {path.parent.relative_to(ROOT) for path in python_files(*ROOMS)}
    names = {".".join(folder.parts) for folder in folders}
    expected = {re.sub(r"^tidesync\.engine\b", "tidesync", f"tidesync.{name}") for name in names}

    assert expected == set(pyproject()["tool"]["setuptools"]["packages"])


def test_the_version_is_the_same_everywhere() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = next(name for name in re.findall(r"^## \[(.+?)\]", changelog, re.M) if name != "Unreleased")

    assert newest == pyproject()["project"]["version"] == tidesync.__version__
