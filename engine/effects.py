"""What a plan may ask of the world. A driver performs each effect and sends its answer back.

A plan is a generator: `page = yield from PullPage(request)`. `Effect.__iter__` yields the effect itself and
returns the answer, so the answer is typed. No plan holds a store transaction across an exchange: `Transact`
makes that impossible, since its step runs whole inside one transaction.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast, final

from tidesync.answers import answered, sound_capabilities, sound_copy, sound_outcomes, sound_page
from tidesync.conflicts import AsyncPolicy, Conflict, Policy, Resolution
from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import (
    AsyncTransport,
    Change,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
)
from tidesync.events import Event
from tidesync.records import Copy
from tidesync.schema import TableSchema

T = TypeVar("T")
U = TypeVar("U")


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
    """One exchange with the remote, whose answer is looked at before anyone believes it.

    `large`: its answer may hold so much that looking at it takes milliseconds.
    """

    __slots__ = ()
    large: ClassVar[bool] = False

    def ask(self, transport: Transport | AsyncTransport) -> T | Awaitable[T]:
        """Make the call; an asynchronous transport's answer has to be awaited."""
        raise TypeError(f"{type(self).__name__} does not say how to be asked of {type(transport).__name__}")

    def sound(self, answer: T) -> T:
        """The answer, looked at. Raises `ProtocolError`."""
        raise TypeError(f"{type(self).__name__} does not say how to look at {type(answer).__name__}")

    def perform(self, transport: Transport) -> T:
        """Do it, on a synchronous transport."""
        return answered(lambda: self.sound(cast(T, self.ask(transport))))


Perform: TypeAlias = Callable[[Exchange[Any]], Any]
"""What performs an exchange: it returns the answer or, on an event loop, what has to be awaited for it."""


def then(answer: T | Awaitable[T], step: Callable[[T], U]) -> U | Awaitable[U]:
    """What the step makes of an answer, now or, if the answer has to be awaited, once it is there."""
    if not inspect.isawaitable(answer):
        return step(answer)

    async def later() -> U:
        return step(await answer)

    return later()


@final
class OpenRemote(Exchange[TransportCapabilities]):
    """Find out who the remote is."""

    __slots__ = ("tables",)

    def __init__(self, tables: Sequence[TableSchema]) -> None:
        self.tables = tables

    def ask(
        self, transport: Transport | AsyncTransport
    ) -> TransportCapabilities | Awaitable[TransportCapabilities]:
        """Make the call."""
        return transport.open(self.tables)

    def sound(self, answer: TransportCapabilities) -> TransportCapabilities:
        """The capabilities, if they can be."""
        return sound_capabilities(answer)


@final
class PushChanges(Exchange[Sequence[Outcome]]):
    """Send changes, get one outcome for each."""

    __slots__ = ("changes",)
    large = True

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes

    def ask(self, transport: Transport | AsyncTransport) -> Sequence[Outcome] | Awaitable[Sequence[Outcome]]:
        """Make the call."""
        return transport.push(self.changes)

    def sound(self, answer: Sequence[Outcome]) -> Sequence[Outcome]:
        """The outcomes; one that cannot be read is a doubt."""
        return sound_outcomes(self.changes, answer)


@final
class PullPage(Exchange[Page]):
    """Read one page."""

    __slots__ = ("request",)
    large = True

    def __init__(self, request: PullRequest) -> None:
        self.request = request

    def ask(self, transport: Transport | AsyncTransport) -> Page | Awaitable[Page]:
        """Make the call."""
        return transport.pull(self.request)

    def sound(self, answer: Page) -> Page:
        """The page; what of it cannot be kept is junk."""
        return sound_page(self.request.query.table, answer)


@final
class GetRecord(Exchange[Copy]):
    """Read one record."""

    __slots__ = ("id", "table")

    def __init__(self, table: str, id: str) -> None:
        self.table, self.id = table, id

    def ask(self, transport: Transport | AsyncTransport) -> Copy | Awaitable[Copy]:
        """Make the call."""
        return transport.get(self.table, self.id)

    def sound(self, answer: Copy) -> Copy:
        """The copy, if it can be one of this record."""
        return sound_copy(self.table, self.id, answer)


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

    def __init__(self, policy: Policy | AsyncPolicy, conflict: Conflict) -> None:
        self.policy, self.conflict = policy, conflict


@final
class Handle(Effect[T]):
    """Call the user's handler, outside any transaction. `call` gets a function that performs an exchange."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[Perform], T]) -> None:
        self.call = call
