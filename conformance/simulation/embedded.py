"""The real authority on a memory store, and a faulty link to it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import attrs

from tidesync.conformance.simulation.calls import DENIED, REFUSED, UNKNOWN, Call, Reply
from tidesync.conformance.simulation.plain import read
from tidesync.conformance.simulation.tapes import Draw
from tidesync.contracts.transport import (
    Applied,
    Change,
    Denied,
    NotSent,
    Outcome,
    Page,
    PullRequest,
    Rejected,
    TransportCapabilities,
    Unknown,
    Untried,
)
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.principal import Principal, conflicts


def refuse_bad(old: Record | None, new: Record | None, principal: Principal) -> Rejected | None:
    """BAD is refused, where it conflicts with nothing."""
    bad = new is not None and "BAD" in new.values() and not conflicts(old, new)
    return Rejected("bad", "refused") if bad else None


class WatchedAuthority(Authority):
    """The authority, which will not take BAD content, and tells the watcher what took effect."""

    def __init__(self, tables: Sequence[TableSchema], *, foreign_keys: bool, batch: int, watch: Any) -> None:
        self.time = 1_750_000_000.0
        super().__init__(
            MemoryStore(), tables, foreign_keys=foreign_keys, identity="authority", max_changes=batch,
            clock=lambda: self.time, before_write=refuse_bad,
        )  # fmt: skip
        self.watch = watch
        _ = self.open()

    def alive(self) -> dict[tuple[str, str], Record]:
        """What there is."""
        return {
            (name, id): row
            for name in self.tables
            for id, row in self.store.tables[name].items()  # type: ignore[attr-defined]  # a memory store
            if not row["_deleted"]
        }

    def known(self) -> set[tuple[str, str]]:
        """What there is, or was."""
        return {(name, id) for name in self.tables for id in self.store.tables[name]}  # type: ignore[attr-defined]

    def take(self, changes: Sequence[Change]) -> list[Outcome]:
        """Push, and tell what took effect now and not in an earlier push."""
        self.time += 1.0
        before = self.sequence()
        outcomes = self.push(changes)
        for change, outcome in zip(changes, outcomes, strict=True):
            match outcome:
                case Applied(version, _) if version and int(version.partition(".")[0]) > before:
                    self.watch.took(change)
                case Rejected("foreign_key"):
                    self.watch.foreign_key(change)
                case _:
                    pass
        return outcomes

    def sequence(self) -> int:
        """The last number drawn."""
        return self.store.tables["__authority"]["meta"]["sequence"]  # type: ignore[attr-defined, no-any-return]


@attrs.frozen
class EmbeddedLink:
    """Whole pushes and pages as single requests; a push may also break off in its middle."""

    remote: WatchedAuthority

    def open(self) -> Generator[Call, Reply, TransportCapabilities]:
        """Who it is."""
        return read((yield Call("hello", lambda draw: self.remote.capabilities())))  # type: ignore[no-any-return]

    def push(self, changes: Sequence[Change]) -> Generator[Call, Reply, list[Outcome]]:
        """One request for all."""
        reply = yield Call("push", lambda draw: self.arrive(changes, draw), changes)
        if reply is REFUSED:
            return [NotSent("refused", 1.0)] * len(changes)
        if reply is DENIED:
            return [Denied("denied")] * len(changes)
        if reply is UNKNOWN:
            return [Unknown("no answer")] * len(changes)
        return reply  # type: ignore[no-any-return]

    def arrive(self, changes: Sequence[Change], draw: Draw) -> Reply:
        """At the remote: all of it; or it stops somewhere, and says so, or half says so, or does not."""
        count = len(changes)
        if count < 2 or draw.below(10):
            return self.remote.take(changes)
        done = draw.below(count)
        how = draw.below(3)
        if how == 0:
            _ = self.remote.take(changes[:done])
            return UNKNOWN
        if how == 1:
            outcomes = self.remote.take(changes[: max(done, 1)])
            return outcomes + [Untried()] * (count - len(outcomes))
        outcomes = self.remote.take(changes[: done + 1])
        return [*outcomes[:done], Unknown("it broke off here"), *[Untried()] * (count - done - 1)]

    def pull(self, request: PullRequest) -> Generator[Call, Reply, Page]:
        """One request."""
        call = Call(f"pull {request.query.table}", lambda draw: self.remote.pull(request))
        return read((yield call))  # type: ignore[no-any-return]
