"""Long lists as comprehensions: what a rule counted up is not written out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from tidesync.conformance.expect import difference

LONG: Final = 20
"""From so many items on."""


def counted(items: Sequence[Any], source: Callable[[Any], str]) -> str | None:
    """An expression of `n` that is each item at its place n; None unless they are counted up."""
    first = items[0]
    kind = cast("type[object]", type(first))
    if any(type(item) is not kind for item in items):
        return None
    if all(difference(first, item) is None for item in items):
        return source(first)
    if kind is int:
        return _number(items)
    if kind is str:
        return _text(items)
    if kind is dict:
        if any(list(item) != list(first) for item in items):
            return None
        parts = [(source(key), counted([item[key] for item in items], source)) for key in first]
        return (
            None if any(part is None for _, part in parts) else _joined("{}", [f"{k}: {v}" for k, v in parts])
        )
    if kind in (list, tuple):
        if any(len(item) != len(first) for item in items):
            return None
        inner = [counted(column, source) for column in zip(*items, strict=True)]
        ends = "[]" if kind is list else "()"
        return None if None in inner else _joined(ends, [str(each) for each in inner])
    return None


def _joined(ends: str, parts: Sequence[str]) -> str:
    comma = "," if ends == "()" and len(parts) == 1 else ""
    return f"{ends[0]}{', '.join(parts)}{comma}{ends[1]}"


def _number(items: Sequence[int]) -> str | None:
    first = items[0]
    if any(item != first + n for n, item in enumerate(items)):
        return None
    return f"n + {first}" if first else "n"


def _text(items: Sequence[str]) -> str | None:
    """A text with one number in it that is counted up."""
    for found in re.finditer(r"\d+", items[0]):
        before, digits, after = items[0][: found.start()], found.group(), items[0][found.end() :]
        start, width = (
            int(digits),
            len(digits) if digits.startswith("0") or len(items[-1]) == len(items[0]) else 0,
        )
        if all(item == f"{before}{start + n:0{width}}{after}" for n, item in enumerate(items)):
            number = f"{{n{f' + {start}' if start else ''}{f':0{width}' if width else ''}}}"
            braced = [ascii(part)[1:-1].replace("{", "{{").replace("}", "}}") for part in (before, after)]
            if not any(quote in before + after for quote in "'\""):
                return f"f'{braced[0]}{number}{braced[1]}'"
    return None
