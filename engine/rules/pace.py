"""When autosync asks the remote, and what an error means for that.

There is no clock here, no chance and no thread. Times are given, in seconds of a clock that only goes forward; so is
chance, as a number from 0 to below 1. The drivers wait until `due()`, `take` a turn, and tell how it `ended`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final, Literal, TypeAlias

import attrs

from tidesync.errors import (
    ConfigurationError,
    ContextClosed,
    InvalidQuery,
    MassDeparture,
    NotReachable,
    QueryNameReused,
    RemoteChanged,
    RemoteDamaged,
    RequestRefused,
    ResyncRequired,
    SchemaMismatch,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
    StoreTooNew,
    SyncBusy,
    TransportError,
    Unauthorized,
    UnknownTable,
    Unsupported,
    WrongKey,
)
from tidesync.events import CycleReason, WaitReason
from tidesync.reports import PushFailed

State: TypeAlias = Literal["idle", "syncing", "waiting", "offline", "stopped"]
"""What autosync does: nothing is wrong and it waits for its time or a change, a cycle is under way, it waits to try
again, the `online` predicate said no, it has ended."""

Meaning: TypeAlias = Literal["fine", "cut", "rest", "busy", "again", "slow", "stop"]
"""What the end of a push or pull means, from good to bad.

* "fine": nothing has to be done; operations that were refused or are in conflict wait for whoever settles them
* "cut": `ctx.stop()` or a handler ended it; the usual pace goes on
* "rest": this pull cannot go through until somebody does something about it; it rests, all else goes on
* "busy": another push, pull or purge of the store is under way: no failure
* "again": a failure that time may mend: exponential backoff
* "slow": a failure that somebody elsewhere may mend: as seldom as the backoff allows
* "stop": trying again would be wrong, or the same for ever
"""
_ORDER: Final[tuple[Meaning, ...]] = ("fine", "cut", "rest", "busy", "again", "slow", "stop")

ASK_OFFLINE: Final = 10.0
"""Seconds between two questions whether there is a network, at the most: they cost none."""
_DOUBLINGS: Final = 60
"""More of them are no number of seconds that anybody waits."""


# ---- what errors mean


def meaning(error: BaseException, *, of_pull: bool) -> Meaning:
    """What is to be done about what a push or a pull raised."""
    match error:
        case PushFailed():
            return _meaning_of_push(error)
        case SyncBusy():
            return "busy"
        case RemoteChanged() | ContextClosed() | ConfigurationError():
            return "stop"
        case Unauthorized() | RemoteDamaged():
            return "slow"
        case RequestRefused() | ResyncRequired() | MassDeparture():
            return "rest" if of_pull else "slow"
        case QueryNameReused() | UnknownTable() | InvalidQuery() if of_pull:
            return "rest"
        case Unsupported():
            return "rest" if of_pull else "stop"
        case StoreClosed() | StoreCorrupt() | StoreTooNew() | WrongKey() | SchemaMismatch():
            return "stop"
        case StoreReadOnly():
            return "slow"
        case _:  # the network, a store that is busy or full, what policies and handlers raise
            return "again"


def _meaning_of_push(error: PushFailed) -> Meaning:
    match error.report.status:
        case "complete":
            return "again" if any(each.status == "unknown" for each in error.errors) else "fine"
        case "authentication":
            return "slow"
        case "network":
            return "again"
        case "store":
            return "again" if error.__cause__ is None else meaning(error.__cause__, of_pull=False)
        case "caller" | "handler":
            return "cut"


def ends_cycle(error: BaseException, *, of_pull: bool) -> bool:
    """Whether the rest of a cycle is not tried after this; what one pull alone met does not keep the others."""
    stopped = isinstance(error, PushFailed) and error.report.status != "complete"
    if stopped or isinstance(error, NotReachable | StoreError) or retry_after(error) > 0:
        return True
    return meaning(error, of_pull=of_pull) not in ("fine", "rest", "again")


def retry_after(error: BaseException) -> float:
    """The seconds before which the remote wants no request; 0 where it named none."""
    named: float | None = None
    match error:
        case PushFailed():
            named = error.report.retry_after
        case TransportError():
            named = error.retry_after
        case _:
            pass
    return named if named is not None and 0 < named < math.inf else 0.0


def worst(meanings: Collection[Meaning]) -> Meaning:
    """The one that counts for a cycle in which these were met."""
    return _ORDER[max(map(_ORDER.index, meanings), default=0)]


# ---- pace


@attrs.frozen(kw_only=True)
class Tempo:
    """The times of an autosync, in seconds; `SyncContext.autosync` says what they are."""

    every: float = 60.0
    on_change: bool = True
    quiet: float = 0.5
    within: float = 5.0
    backoff: float = 1.0
    max_backoff: float = 300.0


@attrs.frozen
class Turn:
    """One cycle that may begin now: why, and which pulls are part of it, by number."""

    why: CycleReason
    pulls: tuple[int, ...]


@attrs.frozen
class Ended:
    """How a cycle ended; `resting` are the pulls that cannot go through until somebody does something."""

    meaning: Meaning = "fine"
    retry_after: float = 0.0
    resting: frozenset[int] = frozenset()


@attrs.define
class Pace:
    """One autosync: at most one turn is taken at a time, and none before it is due.

    `floor` is the time before which the remote wants no request: nothing hurries past it.
    """

    tempo: Tempo
    pulls: int
    next: float
    """When the next cycle comes by itself."""
    why: CycleReason = "start"
    state: State = "idle"
    waits_for: WaitReason = "every"
    failures: int = 0
    floor: float = -math.inf
    running: bool = False
    asked: bool = False
    _first: float | None = None
    _last: float = -math.inf
    _resting: dict[int, float] = attrs.field(factory=dict[int, float])

    def due(self) -> float:
        """When the next cycle may begin: infinity while one is under way, and after the end."""
        return self._due()[0]

    def waiting(self) -> WaitReason:
        """What it waits for."""
        due, why = self._due()
        if due == self.floor > -math.inf:
            return "retry_after"
        return why if why in ("change", "trigger") else self.waits_for

    def changed(self, now: float) -> None:
        """Something was written here, and wants to be pushed soon."""
        if self.tempo.on_change:
            self._first = now if self._first is None else self._first
            self._last = now

    def trigger(self) -> None:
        """A cycle is wanted now: it waits for nothing but the one under way, and the remote's `retry_after`."""
        self.asked = True

    def take(self, now: float) -> Turn:
        """Begin a turn that is due: it covers everything that was written, or asked for, until now."""
        _, why = self._due()
        if why == "trigger":
            self._resting.clear()
        self._resting = {each: until for each, until in self._resting.items() if now < until}
        self.running, self.asked, self._first = True, False, None
        return Turn(why, tuple(each for each in range(self.pulls) if each not in self._resting))

    def began(self) -> None:
        """The turn is one with a network."""
        self.state = "syncing"

    def offline(self, now: float) -> None:
        """There is no network; the turn ends with that."""
        if self.state != "stopped":
            self._wait("offline", "offline", now + min(self.tempo.every, ASK_OFFLINE))

    def ended(self, now: float, how: Ended, chance: float) -> None:
        """The cycle is over."""
        if self.state == "stopped":
            return
        tempo = self.tempo
        self.floor = now + how.retry_after if how.retry_after > 0 else -math.inf
        # Until somebody mends them, or asks for them.
        rest = now + tempo.max_backoff * (1 - chance / 2)
        self._resting.update((each, rest) for each in how.resting)
        match how.meaning:
            case "fine" | "rest":
                self.failures = 0
                self._wait("idle", "every", now + tempo.every)
            case "cut":
                self._wait("idle", "every", now + tempo.every)
            case "busy":
                self._wait("waiting", "busy", now + tempo.backoff * (1 - chance / 2))
            case "again":
                self.failures += 1
                doubled = tempo.backoff * 2.0 ** min(self.failures - 1, _DOUBLINGS)
                # Full jitter: many devices that failed together do not come back together.
                self._wait("waiting", "failure", now + min(tempo.max_backoff, doubled) * (1 - chance))
            case "slow":
                self.failures += 1
                self._wait("waiting", "refused", now + tempo.max_backoff * (1 - chance / 2))
            case "stop":
                self.failures += 1
                self.stop()

    def stop(self) -> None:
        """There is no further turn."""
        self.state, self.running, self.next = "stopped", False, math.inf

    @property
    def rests(self) -> bool:
        """Whether some pull rests."""
        return bool(self._resting)

    def _wait(self, state: State, waits_for: WaitReason, until: float) -> None:
        self.running, self.state, self.waits_for, self.next = False, state, waits_for, until
        self.why = "every" if state == "idle" else "retry"

    def _due(self) -> tuple[float, CycleReason]:
        if self.running or self.state == "stopped":
            return math.inf, self.why
        if self.asked:
            return self.floor, "trigger"
        at, why = self.next, self.why
        # What failed waits for its time, whatever is written meanwhile.
        if self.state == "idle" and self._first is not None:
            soon = min(self._last + self.tempo.quiet, self._first + self.tempo.within)
            if soon < at:
                at, why = soon, "change"
        return max(at, self.floor), why
