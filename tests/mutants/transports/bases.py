"""What broken transports are made from: sound ones, of which a mutant is a subclass with one mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import attrs

from tests.conformance.wires import LoopbackWire
from tests.mutants.registry import Mutant, words
from tests.mutants.transports.remote import Place, Remote
from tidesync.conformance import TABLES
from tidesync.conformance.transport.bench import Wire
from tidesync.contracts.transport import (
    Change,
    CursorGuarantee,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
)
from tidesync.errors import ResyncRequired
from tidesync.query import Query
from tidesync.records import Copy, Json
from tidesync.schema import TableSchema
from tidesync.stores import MemoryStore
from tidesync.transports import Authority, LoopbackTransport

C = TypeVar("C", bound="type[Base]")
NAMES: Final = frozenset(table.name for table in TABLES)
MUTANTS: Final[dict[str, Mutant]] = {}
"""All broken transports, by name."""


class Base:
    """A sound transport: what it declares, and how clients of a new remote are made."""

    base: ClassVar[str]
    capabilities: ClassVar[TransportCapabilities] = TransportCapabilities(
        identity="", cursor=CursorGuarantee.COMMIT_ORDERED, max_changes=1000, ordered=True, total=True, filters=True,
        tombstones=NAMES, departures=NAMES, remembers=None,
    )  # fmt: skip

    @classmethod
    def made(cls) -> Sequence[Transport]:
        """Clients of a new and empty remote."""
        raise NotImplementedError

    @classmethod
    def options(cls) -> Mapping[str, Any]:
        """What `check_transport` is told of it."""
        return {"capabilities": cls.capabilities, "make_wire": _wire_of}


def _wire_of(clients: Sequence[Any]) -> Wire:
    wire: Wire = clients[0]
    return wire


class Loopback(Base):
    """A client between the engine and a sound one; it passes everything on.

    `shared` is one for all clients of a remote: what a mistake at the remote would keep there.
    """

    base = "loopback"

    def __init__(self, inner: Transport, shared: dict[Any, Any]) -> None:
        self.inner, self.shared = inner, shared

    @classmethod
    def made(cls) -> Sequence[Transport]:
        authority, shared = Authority(MemoryStore(), TABLES), dict[Any, Any]()
        first, *others = (cls(LoopbackTransport(authority), shared) for _ in range(3))
        return [LoopbackWire(first), *others]

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        return attrs.evolve(self.capabilities, identity=self.inner.open(tables).identity)

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        """One after another: `one` is what a mistake replaces, or `sent` and `heard`."""
        return [self.heard(change, self.one(self.sent(change))) for change in changes]

    def sent(self, change: Change) -> Change:
        """What is sent for a change."""
        return change

    def one(self, change: Change) -> Outcome:
        """What comes of one change."""
        return self.inner.push([change])[0]

    def heard(self, change: Change, outcome: Outcome) -> Outcome:
        """What is made of the reply."""
        return outcome

    def pull(self, request: PullRequest, /) -> Page:
        return self.inner.pull(request)

    def get(self, table: str, id: str, /) -> Copy:
        return self.inner.get(table, id)

    def close(self) -> None:
        self.inner.close()

    def end(self, table: str) -> Json:
        """The cursor of whoever has everything by now."""
        return self.inner.pull(PullRequest(query=Query(table), limit=1000)).cursor


class Bounded(Loopback):
    """Loopback that declares how many bytes it takes in one push."""

    base = "loopback with a limit in bytes"
    capabilities = attrs.evolve(Loopback.capabilities, max_bytes=50_000)


class Wired(Base, LoopbackWire):
    """Loopback over a wire that fails as it is told."""

    base = "wire"

    @classmethod
    def made(cls) -> Sequence[Transport]:
        authority = Authority(MemoryStore(), TABLES)
        return [cls(LoopbackTransport(authority)), *(LoopbackTransport(authority) for _ in range(2))]


class Rows(Base, Remote):
    """A remote of rows with timestamps, as behind a REST interface."""

    base = "rows with timestamps"
    capabilities = TransportCapabilities(
        identity="", cursor=CursorGuarantee.KEYSET, max_changes=5, ordered=True, total=True, filters=True,
        tombstones=NAMES, departures=NAMES, overlap=5.0,
    )  # fmt: skip

    @classmethod
    def made(cls) -> Sequence[Transport]:
        remote = cls()
        return [
            LoopbackWire(remote.client(cls.capabilities)),
            *(remote.client(cls.capabilities) for _ in range(2)),
        ]


class Instants(Rows):
    """The same where no two pushes have one timestamp: nothing is committed late."""

    base = "rows with timestamps of their own"
    capabilities = attrs.evolve(Rows.capabilities, cursor=CursorGuarantee.HORIZON, overlap=0.0)
    last = 0.0

    def begun(self) -> float:
        self.last = max(self.last + 1e-5, super().begun())
        return self.last

    def place(self, request: PullRequest) -> Place:
        place = super().place(request)
        if place.key[0] > max(self.last, self.now()):
            raise ResyncRequired("the cursor is ahead of all that was written")
        return place


def make(part: type[Base]) -> Callable[[Path], Sequence[Transport]]:
    """A factory of clients, as `check_transport` takes it."""

    def clients(folder: Path) -> Sequence[Transport]:
        return part.made()

    return clients


SOUND: Final[Mapping[str, type[Base]]] = {
    each.base: each for each in (Loopback, Bounded, Wired, Rows, Instants)
}
"""The sound ones, by name."""


def broken(caught_by: str) -> Callable[[C], C]:
    """Register a class as a broken transport: its docstring is the mistake, a rule's method must catch it."""

    def register(part: C) -> C:
        name = words(part.__name__)
        if name in MUTANTS:
            raise ValueError(f"two mutants are named {name}")
        MUTANTS[name] = Mutant(
            name=name,
            mistake=" ".join((part.__doc__ or "").split()),
            caught_by=caught_by,
            make=make(part),
            base=part.base,
            options=part.options,
        )
        return part

    return register
