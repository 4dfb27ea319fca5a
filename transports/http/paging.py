"""Where a pull stands, and what the next page is; pure.

An incremental pull walks along `updatedAt`, whole milliseconds at a time, because a remote may keep more
decimals than it shows and compare with fewer:

* *sweep*: everything from a millisecond on, ordered by updatedAt and id, without the records of that
  millisecond that the page before ended with (named one by one: they are few);
* *drain*: where they are too many to be named, the millisecond is read to its end in order of id, and the
  sweep goes on behind it;
* *nulls*: records without updatedAt come first in the order; they are read by id, once.

No `$skip`: a record that changes meanwhile moves to the end, and shifts nothing. The end is an empty page:
a server may give fewer records than it was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import attrs

from tidesync.errors import ProtocolError, ResyncRequired
from tidesync.records import Json
from tidesync.transports.http.odata import address_length, moment_literal, text_literal
from tidesync.transports.http.values import DAWN, Dialect, is_canonical, millisecond, shifted

NAMED: Final = 20
NAMED_LENGTH: Final = 2_000
"""How many records of one millisecond are named in a filter, and how long their names may be in an
address."""
Mode: TypeAlias = Literal["sweep", "drain", "nulls"]
Order: TypeAlias = Sequence[tuple[str, bool]]


@attrs.frozen(kw_only=True)
class Position:
    """A cursor.

    `at`: the millisecond reached, None at the very start. `seen`: its records that were delivered. `after`:
    the last id of a drain or of the nulls. `clock`: the remote's clock when the pull that made this began.
    `ended`: that pull came to its end.
    """

    mode: Mode = "sweep"
    at: str | None = None
    seen: tuple[str, ...] = ()
    after: str = ""
    clock: str | None = None
    ended: bool = False

    def to_json(self) -> Json:
        """As the engine keeps it."""
        plain: dict[str, Json] = {"at": self.at, "clock": self.clock}
        if self.mode != "sweep":
            plain |= {"mode": self.mode, "after": self.after}
        if self.seen:
            plain["seen"] = list(self.seen)
        return plain | {"ended": True} if self.ended else plain


def position_of(cursor: Json) -> Position:
    """The inverse of `to_json`. Raises `ResyncRequired` for what this transport never made."""
    if cursor is None:
        return Position()
    try:
        if not isinstance(cursor, dict) or not {"at", "clock"} <= cursor.keys():
            raise TypeError
        position = Position(
            mode=cursor.get("mode", "sweep"),
            at=cursor["at"],
            seen=tuple(cursor.get("seen", ())),
            after=cursor.get("after", ""),
            clock=cursor["clock"],
            ended=cursor.get("ended", False) is True,
        )
        if position.at is not None:
            _ = shifted(position.at, 0)
        if position.clock is not None:
            _ = shifted(position.clock, 0)
    except (TypeError, ValueError, AttributeError) as error:
        raise ResyncRequired("this cursor was not made by the HTTP transport: pull(resync=True)") from error
    return position


def begin(cursor: Json, overlap: float) -> tuple[Position, bool]:
    """Where a page starts, and whether a pull begins with it (its clock is then the reply's).

    `overlap` rewinds: to so many seconds before the clock of the pull that made the cursor, or before the
    position, whichever is earlier.
    """
    position = position_of(cursor)
    if cursor is None:
        return position, True
    if overlap <= 0 or position.at is None:
        return attrs.evolve(position, ended=False), position.ended or overlap > 0
    reached = position.at if position.clock is None else min(position.at, millisecond(position.clock))
    return Position(at=shifted(reached, -overlap)), True


def condition(position: Position, dialect: Dialect) -> tuple[str | None, Order]:
    """The filter and the order of the page at a position."""
    after = f"id gt {text_literal(position.after)}" if position.after else None
    if position.mode == "nulls":
        return " and ".join(part for part in ("updatedAt eq null", after) if part), [("id", False)]
    order = [("updatedAt", False), ("id", False)]
    if position.at is None:
        return None, order
    low = f"updatedAt ge {moment_literal(position.at, dialect)}"
    behind = moment_literal(shifted(position.at, 0.001), dialect)
    if position.mode == "drain":
        parts = (low, f"updatedAt lt {behind}", after)
        return " and ".join(part for part in parts if part), [("id", False)]
    if not position.seen:
        return low, order
    others = " and ".join(f"id ne {text_literal(id)}" for id in position.seen)
    # The bound that all rows keep stands alone, so that an index of the remote can begin there.
    return f"{low} and (updatedAt ge {behind} or ({others}))", order


def advance(
    position: Position, rows: Sequence[tuple[str, str | None]], clock: str | None
) -> tuple[Position, bool]:
    """The position after a page of (id, canonical updatedAt), and whether there may be more.

    `clock`: when this pull began. Raises `ProtocolError` where the remote does not keep to the order or the
    filter, which would lose records or never end.
    """
    if position.mode == "sweep":
        return _swept(position, rows, clock)
    if not rows:
        at = DAWN if position.mode == "nulls" or position.at is None else shifted(position.at, 0.001)
        return Position(at=at, clock=clock), True
    last = rows[-1][0]
    if last == position.after:
        raise _broken("it gives the same page again")
    return attrs.evolve(position, after=last, clock=clock), True


def _swept(
    position: Position, rows: Sequence[tuple[str, str | None]], clock: str | None
) -> tuple[Position, bool]:
    if not rows:
        return Position(at=position.at, clock=clock, ended=True), False
    moments = [_bucket(moment) for _, moment in rows]
    if moments != sorted(moments):
        raise _broken("its records are not in the order of updatedAt")
    last = moments[-1]
    if not last:
        if position.at is not None:
            raise _broken("its records have no updatedAt")
        return Position(mode="nulls", after=rows[-1][0], clock=clock), True
    tail = {id: None for (id, _), moment in zip(rows, moments, strict=True) if moment == last}
    if position.at is not None:
        if last < position.at or (last == position.at and tail.keys() <= set(position.seen)):
            raise _broken("it gives records that were not asked for")
        if last == position.at:
            tail = dict.fromkeys(position.seen) | tail
    if len(tail) > NAMED or sum(address_length(id) for id in tail) > NAMED_LENGTH:
        return Position(mode="drain", at=last, clock=clock), True
    return Position(at=last, seen=tuple(tail), clock=clock), True


def _bucket(moment: str | None) -> str:
    return millisecond(moment) if moment is not None and is_canonical(moment) else ""


def _broken(how: str) -> ProtocolError:
    return ProtocolError(
        f"the remote cannot be paged through: {how}; pull without a name reads everything by id"
    )


@attrs.frozen(kw_only=True)
class Walk:
    """The cursor of a pull that is not incremental.

    `after`: the last id. `passed`: records that matched and were skipped here; `given`: records that were
    delivered; `read`: rows that the remote gave.
    """

    after: str | None = None
    passed: int = 0
    given: int = 0
    read: int = 0

    def to_json(self) -> Json:
        """As the engine keeps it."""
        return {"after": self.after, "passed": self.passed, "given": self.given, "read": self.read}


def walk_of(cursor: Json) -> Walk:
    """The inverse of `Walk.to_json`. Raises `ResyncRequired` for what this transport never made."""
    if cursor is None:
        return Walk()
    if isinstance(cursor, dict) and cursor.keys() == {"after", "passed", "given", "read"}:
        counts = [cursor["passed"], cursor["given"], cursor["read"]]
        if all(type(count) is int for count in counts) and isinstance(cursor["after"], str | None):
            return Walk(after=cursor["after"], passed=counts[0], given=counts[1], read=counts[2])
    raise ResyncRequired("this cursor was not made by the HTTP transport: pull(resync=True)")
