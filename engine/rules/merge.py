"""Three-way merges of contents, field by field. Absent is a value of its own."""

from __future__ import annotations

from enum import Enum
from typing import Final

from tidesync.conflicts import Side
from tidesync.records import Json, Record, same


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING


def _equal(a: Json | _Missing, b: Json | _Missing) -> bool:
    if a is MISSING or b is MISSING:
        return a is b
    return same(a, b)


def merge_contents(base: Record | None, local: Record, remote: Record, prefer: Side = "local") -> Record:
    """Per field: what one side alone changed wins; what both changed to different values goes by `prefer`.

    Without a base every field counts as changed by whichever side has it.
    """
    base = base or {}
    merged: Record = {}
    for field in (*local, *(name for name in remote if name not in local)):
        b, here, there = base.get(field, MISSING), local.get(field, MISSING), remote.get(field, MISSING)
        if _equal(here, b):
            result = there
        elif _equal(there, b) or prefer == "local":
            result = here
        else:
            result = there
        if result is not MISSING:
            merged[field] = result
    return merged


def changed_fields(old: Record | None, new: Record) -> tuple[str, ...]:
    """The names of the fields whose values differ, `id` never among them; all of `new` where nothing was."""
    if old is None:
        return tuple(field for field in new if field != "id")
    gone = (field for field in old if field not in new)
    return tuple(
        f for f in (*new, *gone) if f != "id" and not _equal(old.get(f, MISSING), new.get(f, MISSING))
    )


def echoes(sent: Record, fields: tuple[str, ...], found: Record) -> bool:
    """Whether what was sent stands in the remote's copy: null may be absent, and 3.0 may come back as 3."""
    return all(_alike(sent.get(field), found.get(field)) for field in fields)


def _alike(a: Json, b: Json) -> bool:
    if (
        isinstance(a, int | float)
        and isinstance(b, int | float)
        and not isinstance(a, bool)
        and not isinstance(b, bool)
    ):
        return a == b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return all(_alike(a.get(key), b.get(key)) for key in a.keys() | b.keys())
    return same(a, b)
