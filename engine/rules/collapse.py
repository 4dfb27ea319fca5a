"""What becomes of the queue when a new operation meets the record's newest one.

The table is one sentence: the result goes from what was before the old operation to what is after the new one.

| old, new | result |
|---|---|
| insert, update | one insert |
| insert, delete | nothing |
| update, update | one update |
| update, delete | one delete |
| delete, insert | one update |
| any, back to what was before | nothing |

The harder half is *where* the result stands. An operation may move only across operations that it does not
depend on, else the remote would meet them in an order it never could have seen: insert A, insert B, update A to
point at B must not become "insert A pointing at B" before B.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from tidesync.operations import State
from tidesync.records import Record, same
from tidesync.rules.chain import Head

Place: TypeAlias = Literal["old", "new", "both"]


def may_collapse(state: State) -> bool:
    """What may be at the remote is frozen: nothing collapses into it."""
    return state != "attempted"


def place(old_state: State, content: Record | None, *, old_depends: bool, new_depends: bool) -> Place:
    """Where the result stands, given whether each of the two depends on something between them.

    An operation that was refused never was part of the history to be kept, so it always collapses: where
    neither place is free, a delete takes the new one, anything else the old one.
    """
    if not new_depends:
        return "old"
    if not old_depends:
        return "new"
    if old_state == "failed":
        return "old" if content is not None else "new"
    return "both"


def vanishes(before: Record | None, content: Record | None) -> bool:
    """Whether nothing is left to send, by JSON type: true is not 1."""
    if before is None or content is None:
        return before is content
    return same(before, content)


def adopt_news(head: Head) -> None:
    """An insert that met a live remote never vanishes: what is left is a delete of the remote's record."""
    head.base, head.remote = head.remote, None
