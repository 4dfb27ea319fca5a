"""What both faces of autosync share: what they are given, and a `Course`, which is an autosync between its moments."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from tidesync import arguments
from tidesync.contracts.transport import (
    Change,
    NotSent,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
)
from tidesync.effects import Plan
from tidesync.errors import ConfigurationError, NotReachable, SyncBusy, TidesyncError
from tidesync.events import AutosyncStopped, AutosyncWaiting, CycleFinished, Event, StopReason
from tidesync.objects import Table
from tidesync.plans.cycle import Cycle, Wanted, cycle
from tidesync.plans.pull import Departures
from tidesync.plans.pull import Pull as PullPlan
from tidesync.records import Copy
from tidesync.rules.pace import Pace, State, Tempo, Turn
from tidesync.schema import TableSchema
from tidesync.selection import query_of
from tidesync.session import Session

NAME: Final = "autosync"
"""The name under which a table is pulled whole."""
CLOSING: Final = 5.0
"""Seconds that the end of a context, or of the program, waits for the exchange under way."""
NAP: Final = 60.0
"""Seconds after which a driver looks at its clock, at the latest: a machine may sleep, or its time be set."""
_STOPPED: Final = "autosync was stopped"
logger = logging.getLogger("tidesync")


@attrs.frozen(kw_only=True)
class AutosyncStatus:
    """What autosync does, and what happened last; times are in seconds since 1970.

    `state` is "idle" (nothing is wrong: it waits for its time, or a change), "syncing", "waiting" (it tries again
    later), "offline" or "stopped". `last_success` is when a cycle last went to its end, `last_error` what went wrong
    in the last cycle, or in a pull that rests since. `failures` are those in a row. `next_attempt`: None while a
    cycle is under way, and after the end.
    """

    state: State
    last_success: float | None
    last_error: BaseException | None
    failures: int
    next_attempt: float | None


@attrs.frozen
class Pull:
    """A pull for `ctx.autosync(pulls=[…])`: what of a table, and how, as `ctx.pull` says.

    `name` is that of the pull; a whole table's is "autosync" if none is given, a query's has to be given. A cursor
    that the remote no longer honours is `ResyncRequired`, and this pull rests; `resync=True` lets it start again from
    nothing, and reconcile, by itself.
    """

    table: Table[Any]
    query: object = None
    name: str | None = attrs.field(default=None, kw_only=True)
    departures: Departures = attrs.field(default="keep", kw_only=True)
    reconcile: bool = attrs.field(default=False, kw_only=True)
    resync: bool = attrs.field(default=False, kw_only=True)
    parameters: Mapping[str, str] | None = attrs.field(default=None, kw_only=True)


# ---- what is given


def check_tempo(tempo: Tempo) -> None:
    """Raise `ConfigurationError` unless these can be the times of an autosync."""
    times = attrs.asdict(tempo)
    on_change: object = times.pop("on_change")
    _check(isinstance(on_change, bool), "on_change", "True or False", on_change)
    for name, value in times.items():
        _check(isinstance(value, int | float) and not isinstance(value, bool), name, "in seconds", value)
    longest = tempo.max_backoff
    _check(tempo.every > 0, "every", "seconds above 0, or math.inf", tempo.every)
    _check(0 <= tempo.quiet < math.inf, "quiet", "seconds from 0", tempo.quiet)
    _check(tempo.quiet <= tempo.within < math.inf, "within", "seconds, and not less than quiet", tempo.within)
    _check(0 < tempo.backoff < math.inf, "backoff", "seconds above 0", tempo.backoff)
    _check(tempo.backoff <= longest < math.inf, "max_backoff", "seconds, and not less than backoff", longest)


def _check(right: bool, name: str, what: str, given: object) -> None:
    if not right:
        raise ConfigurationError(f"{name} is {what}, not {given!r:.60}")


def check_online(online: object, *, on_a_loop: bool) -> None:
    """Raise `ConfigurationError` unless this can tell whether there is a network."""
    if online is not None and not callable(online):
        raise ConfigurationError(f"online is a callable that returns True or False, not {online!r:.60}")
    if not on_a_loop:
        arguments.check_plain("online", online)


def planned(pulls: Sequence[Pull | Table[Any]], known: Callable[[Table[Any]], Table[Any]]) -> list[Wanted]:
    """The pulls as plans; raises what `ctx.pull` would, and `ConfigurationError` for two of one table and name."""
    if isinstance(pulls, str | Table | Pull) or not hasattr(pulls, "__iter__"):
        raise ConfigurationError(f"pulls are a list of tables and Pull(…), not {pulls!r:.60}")
    found = [_planned(each if isinstance(each, Pull) else Pull(each), known) for each in pulls]
    names = [(each.pull.query.table, each.pull.name) for each in found]
    for table, name in names:
        if names.count((table, name)) > 1:
            raise ConfigurationError(f"two pulls of {table} are named {name!r}: give one another name=")
    return found


def _planned(wanted: Pull, known: Callable[[Table[Any]], Table[Any]]) -> Wanted:
    query = query_of(known(wanted.table), wanted.query)
    if wanted.name is None and query.where is not None:
        raise ConfigurationError(
            f"{query.table}: a pull of a query needs a name of its own: Pull(table, query, name=…)"
        )
    name = NAME if wanted.name is None else wanted.name
    arguments.check_pull(query, name, wanted.departures, "none")
    arguments.check_parameters(wanted.parameters or {})
    plan = PullPlan(
        query=query, name=name, departures=wanted.departures, reconcile=wanted.reconcile, push="none",
        parameters=dict(wanted.parameters or {}),
    )  # fmt: skip
    return Wanted(plan, wanted.resync)


# ---- what both faces share


class Course:
    """An autosync between its moments: its pace, and what happened last. It has no lock: that is its driver's."""

    def __init__(self, wanted: Sequence[Wanted], tempo: Tempo) -> None:
        self._wanted = wanted
        self.pace = Pace(tempo, len(wanted), time.monotonic())
        self.halted: StopReason | None = None
        self._success: float | None = None
        self._error: BaseException | None = None

    @property
    def left(self) -> float:
        """Seconds until the next cycle, 0 or less if it is due."""
        return self.pace.due() - time.monotonic()

    def hurried(self, what: Callable[[], None]) -> bool:
        """Do something to the pace; True if that makes the next cycle come earlier."""
        before = self.pace.due()
        what()
        return self.pace.due() < before

    def plan(self, turn: Turn) -> Callable[[Session], Plan[Cycle]]:
        """What the turn comes to."""
        wanted = {number: self._wanted[number] for number in turn.pulls}
        return lambda session: cycle(session, wanted)

    def offline(self) -> list[Event]:
        """There is no network; what to tell of that, which is nothing the second time."""
        before = self.pace.state
        self.pace.offline(time.monotonic())
        return [] if before == "offline" else [self._waiting()]

    def ended(self, done: Cycle) -> list[Event]:
        """A cycle is over; what to tell of that."""
        how, error = done.ended(), next(iter(done.errors), None)
        if self.halted is not None:  # what it met then is that it was stopped
            how, error = attrs.evolve(how, meaning="cut"), None
        elif how.meaning == "cut":
            error = None
        self.pace.ended(time.monotonic(), how, random.random())  # noqa: S311  # it only spreads load
        ok = how.meaning == "fine"
        if ok and not self.pace.rests:
            self._success, self._error = time.time(), error
        elif error is not None:
            self._error = error
        told: list[Event] = [CycleFinished(ok, done.pushed, done.records, done.deleted, error)]
        if self.halted is None and self.pace.state != "stopped":
            told.append(self._waiting())
        return told

    def stopped(self, error: BaseException | None) -> AutosyncStopped:
        """It has ended, by this error or by what was asked for; what to tell of that."""
        if self.pace.state == "stopped" and error is None and self.halted is None:
            error = self._error
        self.pace.stop()
        if error is not None:
            self._error = error
            known = isinstance(error, TidesyncError)
            logger.error("autosync stopped for %s", type(error).__name__, exc_info=None if known else error)
        return AutosyncStopped(self.halted or "error", error)

    def status(self) -> AutosyncStatus:
        """What it does, and what happened last."""
        left = self.left
        attempt = time.time() + max(left, 0.0) if left < math.inf else None
        return AutosyncStatus(
            state=self.pace.state, last_success=self._success, last_error=self._error,
            failures=self.pace.failures, next_attempt=attempt,
        )  # fmt: skip

    def _waiting(self) -> AutosyncWaiting:
        return AutosyncWaiting(max(self.left, 0.0), self.pace.waiting())


class Refusing:
    """The wire of an autosync that was stopped: nothing more is sent, so that what is under way comes to its end."""

    def open(self, _tables: Sequence[TableSchema], /) -> TransportCapabilities:
        """Send nothing."""
        raise NotReachable(_STOPPED)

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        """Send nothing: the operations stay queued as they were."""
        return [NotSent(_STOPPED) for _ in changes]

    def pull(self, _request: PullRequest, /) -> Page:
        """Send nothing."""
        raise NotReachable(_STOPPED)

    def get(self, _table: str, _id: str, /) -> Copy:
        """Send nothing."""
        raise NotReachable(_STOPPED)

    def close(self) -> None:
        """Do nothing."""


REFUSING: Final[Transport] = Refusing()


def halted() -> SyncBusy:
    """What ends a wait for another push, pull or purge."""
    return SyncBusy(_STOPPED)


class Running(Protocol):
    """An autosync, as its context sees it."""

    @property
    def on(self) -> bool:
        """Whether it goes on: it has not ended, and was not stopped."""
        ...

    def changed(self) -> None:
        """Something was written here."""
        ...
