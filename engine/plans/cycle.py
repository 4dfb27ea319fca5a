"""One cycle of autosync: push, then pull what is wanted, and tell what became of each."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tidesync.effects import Plan
from tidesync.errors import ResyncRequired
from tidesync.plans.pull import Pull, pull
from tidesync.plans.push import push
from tidesync.reports import PullReport, PushFailed
from tidesync.rules.pace import Ended, Meaning, ends_cycle, meaning, retry_after, worst
from tidesync.session import Session


@attrs.frozen
class Wanted:
    """A pull that is part of a cycle; `may_resync`: it starts again by itself where the remote asks for that."""

    pull: Pull
    may_resync: bool = False


@attrs.define
class Cycle:
    """What a cycle did: operations pushed, records stored and removed by its pulls; and what went wrong, in order."""

    pushed: int = 0
    records: int = 0
    deleted: int = 0
    conflicts: int = 0
    errors: list[Exception] = attrs.field(factory=list[Exception])
    meanings: list[Meaning] = attrs.field(factory=list[Meaning])
    resting: set[int] = attrs.field(factory=set[int])
    over: bool = False

    def note(self, error: Exception, number: int | None = None) -> None:
        """Remember what a pull (its number) or a push (None) raised."""
        of_pull = number is not None
        found = meaning(error, of_pull=of_pull)
        self.errors.append(error)
        self.meanings.append(found)
        self.over = self.over or ends_cycle(error, of_pull=of_pull)
        if number is not None and found == "rest":
            self.resting.add(number)

    def ended(self) -> Ended:
        """How it ended, for the pace."""
        after = max(map(retry_after, self.errors), default=0.0)
        return Ended(worst(self.meanings), after, frozenset(self.resting))


def cycle(session: Session, wanted: Mapping[int, Wanted]) -> Plan[Cycle]:
    """Push once, and pull each under a lease of its own, so that others get their turn in between.

    What one pull alone met does not keep the others from being tried. Where a policy settled what came, the result is
    pushed at the end. Never raises what a push or pull raises.
    """
    done = Cycle()
    yield from _push(session, done)
    for number, each in wanted.items():
        if done.over or session.stopping:
            break
        yield from _pull(session, done, number, each)
    if done.conflicts and not done.over and not session.stopping:
        yield from _push(session, done)
    if session.stopping and "cut" not in done.meanings:
        done.meanings.append("cut")
    return done


def _push(session: Session, done: Cycle) -> Plan[None]:
    try:
        report = yield from push(session)
    except PushFailed as failed:
        done.pushed += len(failed.report.pushed)
        done.note(failed)
    except Exception as error:  # noqa: BLE001  # also what policies and handlers raise: the pace decides
        done.note(error)
    else:
        done.pushed += len(report.pushed)


def _pull(session: Session, done: Cycle, number: int, wanted: Wanted) -> Plan[None]:
    try:
        try:
            report = yield from pull(session, wanted.pull)
        except ResyncRequired:
            if not wanted.may_resync or session.stopping:
                raise
            report = yield from pull(session, attrs.evolve(wanted.pull, resync=True))
    except Exception as error:  # noqa: BLE001  # also what policies raise: the pace decides
        done.note(error, number)
    else:
        _count(done, report)


def _count(done: Cycle, report: PullReport) -> None:
    done.records += report.records
    done.deleted += report.deleted + report.departed
    done.conflicts += report.conflicts
