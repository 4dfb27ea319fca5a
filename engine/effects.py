"""What a plan may ask of the world. A driver performs each effect and sends its answer back.

A plan is a generator: `page = yield from PullPage(request)`. `Effect.__iter__` yields the effect itself and
returns the answer, so the answer is typed. No plan holds a store transaction across an exchange: `Transact`
makes that impossible, since its step runs whole inside one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, final

from tidesync.answers import answered, sound_capabilities, sound_copy, sound_outcomes, sound_page
from tidesync.conflicts import Conflict, Policy, Resolution
from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import Change, Outcome, Page, PullRequest, Transport, TransportCapabilities
from tidesync.events import Event
from tidesync.records import Copy
from tidesync.schema import TableSchema

T = TypeVar("T")


class Effect(Generic[T]):
    """One thing that the world must do; iterating it yields it and returns the answer."""

    __slots__ = ()

    def __iter__(self) -> Generator[Effect[Any], Any, T]:
        answer: T = yield self
        return answer


Plan: TypeAlias = Generator[Effect[Any], Any, T]


@final
class Transact(Effect[T]):
    """Run `step(transaction, now)` whole inside one write transaction; `now` is in seconds since 1970."""

    __slots__ = ("step",)

    def __init__(self, step: Callable[[StoreTransaction, float], T]) -> None:
        self.step = step


class Exchange(Effect[T]):
    """One exchange with the remote, whose answer is looked at before anyone believes it."""

    __slots__ = ()

    def perform(self, transport: Transport) -> T:
        """Do it, on a synchronous transport."""
        raise TypeError(
            f"{type(self).__name__} does not say how to be performed on {type(transport).__name__}"
        )


Perform: TypeAlias = Callable[[Exchange[Any]], Any]


@final
class OpenRemote(Exchange[TransportCapabilities]):
    """Find out who the remote is."""

    __slots__ = ("tables",)

    def __init__(self, tables: Sequence[TableSchema]) -> None:
        self.tables = tables

    def perform(self, transport: Transport) -> TransportCapabilities:
        """Do it."""
        return sound_capabilities(answered(lambda: transport.open(self.tables)))


@final
class PushChanges(Exchange[Sequence[Outcome]]):
    """Send changes, get one outcome for each."""

    __slots__ = ("changes",)

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes

    def perform(self, transport: Transport) -> Sequence[Outcome]:
        """Do it."""
        return answered(lambda: sound_outcomes(self.changes, transport.push(self.changes)))


@final
class PullPage(Exchange[Page]):
    """Read one page."""

    __slots__ = ("request",)

    def __init__(self, request: PullRequest) -> None:
        self.request = request

    def perform(self, transport: Transport) -> Page:
        """Do it."""
        return answered(lambda: sound_page(self.request.query.table, transport.pull(self.request)))


@final
class GetRecord(Exchange[Copy]):
    """Read one record."""

    __slots__ = ("id", "table")

    def __init__(self, table: str, id: str) -> None:
        self.table, self.id = table, id

    def perform(self, transport: Transport) -> Copy:
        """Do it."""
        return sound_copy(self.table, self.id, answered(lambda: transport.get(self.table, self.id)))


@final
class Wait(Effect[None]):
    """Let this many seconds pass."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


@final
class Emit(Effect[None]):
    """Tell the subscribers; an exception in one is logged and breaks nothing."""

    __slots__ = ("events",)

    def __init__(self, *events: Event) -> None:
        self.events = events


@final
class Ask(Effect[Resolution]):
    """Ask a policy about a conflict, outside any transaction."""

    __slots__ = ("conflict", "policy")

    def __init__(self, policy: Policy, conflict: Conflict) -> None:
        self.policy, self.conflict = policy, conflict


@final
class Handle(Effect[T]):
    """Call the user's handler, outside any transaction. `call` gets a function that performs an exchange."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[Perform], T]) -> None:
        self.call = call
