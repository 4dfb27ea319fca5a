"""What the documentation points to exists."""

import re
from pathlib import Path

import pytest

import tidesync
from tests.docs.pages import PAGES, anchors, name, prose
from tests.packaging.tree import ROOT
from tidesync import errors, events

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FILE = re.compile(
    r"`((?:engine|stores|transports|conformance|cli|tests|docs|benchmarks)/[\w/.-]*|[\w/]+\.py)`"
)
_NAME_IN_FILE = re.compile(r"`([\w/]+\.py)` `(\w+)`")


def _file(path: str) -> Path:
    """A path as the pages write it: from the root, the engine, or the transports."""
    places = [ROOT / path, ROOT / "engine" / path, ROOT / "transports" / path]
    return next((place for place in places if place.exists()), places[0])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    """A link without a scheme names a file of the project, and an anchor a heading in it."""
    broken = []
    for link in _LINK.findall(prose(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_exist(page: Path) -> None:
    """A path in code font that is one of a folder or a module is there, from the root, engine/ or transports/."""
    named = set(_FILE.findall(prose(page)))

    assert {path for path in named if not _file(path).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_names_beside_a_file_are_defined_in_it(page: Path) -> None:
    """Where a page writes a file and a name side by side, the file defines that function or class."""
    pairs = set(_NAME_IN_FILE.findall(prose(page)))
    missing = {
        (path, wanted)
        for path, wanted in pairs
        if not re.search(
            rf"^ *(?:(?:async )?def|class) {wanted}\b", _file(path).read_text("utf-8"), re.MULTILINE
        )
    }

    assert missing == set()


@pytest.mark.parametrize("room", ["engine", "transports", "stores", "conformance"])
def test_every_module_has_its_place_in_the_architecture(room: str) -> None:
    """ARCHITECTURE.md names every module of the engine, the stores, the transports and the suite."""
    named = {path.removeprefix(f"{room}/") for path in _FILE.findall(prose(ROOT / "ARCHITECTURE.md"))}
    modules = {path.relative_to(ROOT / room).as_posix() for path in (ROOT / room).rglob("*.py")}

    assert {each for each in modules if not each.endswith(("__init__.py", "__main__.py"))} - named == set()


def _public_classes(module: object, base: type) -> set[str]:
    found = {each for each in vars(module).values() if isinstance(each, type) and issubclass(each, base)}
    return {each.__name__ for each in found if each.__module__ == getattr(module, "__name__", "")}


def test_every_error_is_documented() -> None:
    """docs/errors.md names every error, and no other."""
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `(\w+)` ", text, re.MULTILINE))
    known = _public_classes(errors, errors.TidesyncError) | {"PushFailed", "AbortPush"}

    assert known == listed


def test_every_event_is_documented() -> None:
    """docs/sync.md names every event, and no other."""
    text = (ROOT / "docs" / "sync.md").read_text("utf-8")
    section = text.partition("\n## Events")[2].partition("\n## ")[0]

    assert _public_classes(events, object) == set(re.findall(r"^\| `(\w+)` ", section, re.MULTILINE))


def test_every_public_name_is_documented() -> None:
    """Every name that `import tidesync` offers is in README or docs/."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    public = [each for each in tidesync.__all__ if not each.startswith("__")]

    assert [each for each in public if not re.search(rf"\b{each}\b", text)] == []
