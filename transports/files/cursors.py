"""Cursors of a file remote: the authority's, and the commit at which it was given; pure.

The authority's cursor counts in sequences, which are positions in the log. The commit's hash tells whether it is the
log that the cursor is of: one that was put back to an older copy goes on with other commits under the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tidesync.errors import ResyncRequired
from tidesync.records import Json, Record
from tidesync.transports.files.index import Head

_DIGITS: Final = 32
_LOST: Final = "the cursor is of commits that the remote has lost: start again"


def wrapped(cursor: Json, head: Head) -> Json:
    """The cursor that a follower is given, for one that the authority gave at this head or before it."""
    return None if cursor is None else {"commit": head.number, "hash": head.hash[:_DIGITS], "at": cursor}


def unwrapped(cursor: Json, head: Head, hash_at: Callable[[int], str | None]) -> Json:
    """The authority's cursor; `ResyncRequired` where the log is not the one that it was given for."""
    if cursor is None:
        return None
    members: Record = cursor if isinstance(cursor, dict) else {}
    match members:
        case {"commit": int(number), "hash": str(its_hash), "at": dict(inner), **more} if (
            not more and type(number) is int and number >= 0 and len(its_hash) == _DIGITS
        ):
            if inner.get("identity") != head.remote:
                raise ResyncRequired(f"the cursor is of another remote than {head.remote!r}: start again")
        case _:
            raise ResyncRequired("the cursor is malformed: start again")
    if number > head.number:
        raise ResyncRequired(_LOST)
    found = head.meta if number == 0 else head.hash if number == head.number else hash_at(number)
    if found is None:
        raise ResyncRequired("the cursor is too old: the commits since then were compacted; start again")
    if found[:_DIGITS] != its_hash:
        raise ResyncRequired(_LOST)
    return inner
