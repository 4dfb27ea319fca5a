"""The real authority on a memory store, and a faulty link to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from tidesync.conformance.simulation.calls import (
    UNKNOWN,
    Call,
    Key,
    Lost,
    Sending,
    Watch,
    in_doubt,
    read,
)
from tidesync.conformance.simulation.tapes import Draw
from tidesync.contracts.transport import (
    Applied,
    Change,
    Outcome,
    Page,
    PullRequest,
    Rejected,
    TransportCapabilities,
    Unknown,
    Untried,
)
from tidesync.errors import TidesyncError
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.principal import Principal, conflicts

T = TypeVar("T")


def refuse_bad(old: Record | None, new: Record | None, principal: Principal) -> Rejected | None:
    """BAD is refused, where it conflicts with nothing."""
    del principal
    bad = new is not None and "BAD" in new.values() and not conflicts(old, new)
    return Rejected("bad", "refused") if bad else None


class WatchedAuthority(Authority):
    """The authority, which will not take BAD content, and tells the watcher what took effect."""

    def __init__(
        self,
        memory: MemoryStore,
        tables: Sequence[TableSchema],
        *,
        foreign_keys: bool,
        batch: int,
        watch: Watch,
    ) -> None:
        self.time = 1_750_000_000.0
        self.memory = memory
        super().__init__(
            self.memory, tables, foreign_keys=foreign_keys, identity="authority", max_changes=batch,
            clock=lambda: self.time, before_write=refuse_bad,
        )  # fmt: skip
        self.watch = watch
        _ = self.open()

    def alive(self) -> dict[Key, Record]:
        """What there is."""
        return {
            (name, id): row
            for name in self.tables
            for id, row in self.memory.tables[name].items()
            if not row["_deleted"]
        }

    def known(self) -> set[Key]:
        """What there is, or was."""
        return {(name, id) for name in self.tables for id in self.memory.tables[name]}

    def plant(self, change: Change, draw: Draw) -> None:
        """A record is there before anything begins."""
        del draw
        _ = self.take([change])

    def tick(self) -> None:
        """Time passes with each write."""

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
        number = self.memory.tables["__authority"]["meta"]["sequence"]
        return number if isinstance(number, int) else 0


class Embedded(Protocol):
    """A remote that takes whole pushes, and answers whole pages."""

    def capabilities(self) -> TransportCapabilities:
        """Who it is."""
        ...

    def take(self, changes: Sequence[Change]) -> list[Outcome]:
        """Push."""
        ...

    def pull(self, request: PullRequest) -> Page:
        """Pull."""
        ...


class EmbeddedLink:
    """Whole pushes and pages as single requests; a push may also break off in its middle."""

    def __init__(self, remote: Embedded) -> None:
        self.remote = remote

    def open(self) -> Sending[TransportCapabilities]:
        """Who it is."""
        return read((yield from Call("hello", lambda draw: failing(self.remote.capabilities))))

    def push(self, changes: Sequence[Change]) -> Sending[list[Outcome]]:
        """One request for all."""
        reply = yield from Call("push", lambda draw: self.arrive(changes, draw), writes=True)
        return [in_doubt(reply)] * len(changes) if isinstance(reply, Lost) else reply

    def arrive(self, changes: Sequence[Change], draw: Draw) -> list[Outcome] | Lost:
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

    def pull(self, request: PullRequest) -> Sending[Page]:
        """One request."""
        ask = partial(self.remote.pull, request)
        return read((yield from Call(f"pull {request.query.table}", lambda draw: failing(ask))))


def failing(ask: Callable[[], T]) -> T | TidesyncError:
    """What the call returns, or the error that it announces."""
    try:
        return ask()
    except TidesyncError as error:
        return error
