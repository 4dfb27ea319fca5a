"""The pages of the documentation, and what is in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.packaging.tree import ROOT

PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += [ROOT / "conformance" / "GUIDE.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^( *)(`{3,})(.*)$")


class Block(NamedTuple):
    """One fenced block: what its fence says, the line of its first line of text, the line before the fence."""

    info: str
    line: int
    text: str
    before: str


def name(page: Path) -> str:
    """The page's path from the root, to call it by."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    lines = page.read_text("utf-8").splitlines()
    index = 0
    while index < len(lines):
        fence = _FENCE.match(lines[index])
        index += 1
        if fence is None:
            continue
        start = index
        while lines[index].strip() != fence[2]:
            index += 1
        indent = len(fence[1])
        text = "\n".join(line[indent:] for line in lines[start:index])
        before = next((line for line in reversed(lines[: start - 1]) if line.strip()), "")
        yield Block(fence[3].strip(), start + 1, text, before.strip())
        index += 1


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^( *)(`{3,}).*?^\1\2 *$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *#*$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (anchor := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(anchor)
    return found
