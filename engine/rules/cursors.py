"""When a cursor may move, and what is already known of a window that is read again.

A remote that cannot promise commit order may make a record visible late: the next pull rewinds by `overlap`
seconds, counted back from the remote's clock when the pull *began*, and what was delivered inside that window is
remembered by id and version. That memory, not the table, decides what is already known: a record may have been
purged, or edited, here since.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from tidesync.contracts.transport import CursorGuarantee, TransportCapabilities
from tidesync.records import Json


class Trail:
    """Notices that a remote leads in a circle: it announces more, and a cursor comes back.

    Only one cursor is kept, the one at the last power of two (R. P. Brent, 1980), so that it costs the same for
    any number of pages, and any circle is found within a few rounds of it.
    """

    def __init__(self, *start: Json) -> None:
        self._mark: tuple[Json, ...] = start
        self._steps = 0
        self._limit: int = 1

    def returns(self, cursor: Json) -> bool:
        """Note the next cursor; True if it was met before."""
        if self._mark == (cursor,):
            return True
        self._steps += 1
        if self._steps == self._limit:
            self._mark, self._steps = (cursor,), 0
            self._limit *= 2
        return False


@attrs.frozen
class Bookmark:
    """How far a named pull came: the opaque `cursor`, and the edge of the window that is read again.

    `owes`: it began anew, and what is gone at the remote has not been looked for since.
    """

    cursor: Json = None
    began: str | None = None
    latest: str | None = None
    complete: bool = False
    owes: bool = False


def overlap_needed(capabilities: TransportCapabilities) -> float:
    """Seconds to rewind by: none where the guarantee is HORIZON or better, or where every pull reads all."""
    weak = CursorGuarantee.FULL_SCAN < capabilities.cursor < CursorGuarantee.HORIZON
    return capabilities.overlap if weak else 0.0


def window_edge(bookmark: Bookmark, overlap: float) -> str | None:
    """Records changed before this moment will not be delivered again; None if that cannot be told."""
    known = [moment for moment in (bookmark.began, bookmark.latest) if moment is not None]
    if not known or bookmark.began is None:
        return None
    # Two overlaps: the remote's clock is read to the second, and the remote may round up.
    try:
        edge = datetime.fromisoformat(min(known)) - timedelta(seconds=2 * overlap + 2)
    except OverflowError:
        return None
    return edge.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
