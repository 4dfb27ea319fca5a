"""Every python block of README.md and docs/ runs: those of one page one after another, in one namespace."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, Block, blocks, name
from tidesync import SyncContext

NOT_RUN = "python no-run"


@pytest.fixture
def namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """The namespace of a module, as a script in an empty folder has it."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("documentation")
    # Classes are asked for their annotations, which are looked up in the module that defines them.
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield module.__dict__
    for value in module.__dict__.values():
        if isinstance(value, SyncContext):
            value.close()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_programs_of_a_page_run(page: Path, namespace: dict[str, object]) -> None:
    """Every ```python block runs, with warnings as errors; a traceback names the line of the page."""
    for block in blocks(page):
        if block.info == "python":
            padded = "\n" * (block.line - 1) + block.text
            # Asserts are the point: they run under `python -O` too.
            exec(compile(padded, str(page), "exec", optimize=0), namespace)


def test_there_are_programs_to_run() -> None:
    """README and the pages about each subject hold at least one program each."""
    silent = {
        name(page) for page in PAGES if not any(block.info.startswith("python") for block in blocks(page))
    }

    assert {"ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"} == silent


def _python_fences() -> list[tuple[str, Block]]:
    return [
        (f"{name(page)}:{block.line}", block)
        for page in PAGES
        for block in blocks(page)
        if block.info.lower().startswith("py")
    ]


def test_a_block_that_is_not_run_says_why() -> None:
    """A block is `python`, or `python no-run` after a comment with the reason; at most three are not run."""
    odd = [place for place, block in _python_fences() if block.info not in ("python", NOT_RUN)]
    not_run = [(place, block.before) for place, block in _python_fences() if block.info == NOT_RUN]

    assert odd == []
    assert [place for place, before in not_run if not before.startswith("<!-- not run: ")] == []
    assert len(not_run) <= 3
