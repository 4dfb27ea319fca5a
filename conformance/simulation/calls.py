"""One request on the wire, and what may come back instead of a reply; what a world asks of a remote and its link."""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar, cast

from tidesync.conformance.simulation.tapes import Draw
from tidesync.contracts.transport import (
    Change,
    Denied,
    NotSent,
    Outcome,
    Page,
    PullRequest,
    TransportCapabilities,
    Unknown,
)
from tidesync.errors import NotReachable, RemoteUnavailable, TidesyncError, Unauthorized
from tidesync.records import Record

R = TypeVar("R")
Key: TypeAlias = tuple[str, str]
"""A table's name and a record's id."""


class Lost(enum.Enum):
    """No reply: nothing was sent, it may have arrived, or the credentials were refused."""

    REFUSED = "refused"
    UNKNOWN = "unknown"
    DENIED = "denied"


REFUSED: Final = Lost.REFUSED
UNKNOWN: Final = Lost.UNKNOWN
DENIED: Final = Lost.DENIED


class Call(Generic[R]):
    """One request: `run` makes it take effect at the remote, once for each time that it arrives.

    `writes`: whether it may change something; a request that changes nothing need not arrive late. Iterating it
    yields it to the network and returns the reply, or what stands for it.
    """

    __slots__ = ("name", "run", "writes")

    def __init__(self, name: str, run: Callable[[Draw], R], *, writes: bool = False) -> None:
        self.name, self.run, self.writes = name, run, writes

    def __iter__(self) -> Generator[Call[Any], Any, R | Lost]:
        return cast("R | Lost", (yield self))


Sending: TypeAlias = Generator[Call[Any], Any, R]
"""The requests of one exchange, one after another, and what came of them."""


class Remote(Protocol):
    """What a world knows of the remote, past its network."""

    def alive(self) -> dict[Key, Record]:
        """All records that it holds."""
        ...

    def known(self) -> set[Key]:
        """What it holds, or held once."""
        ...

    def plant(self, change: Change, draw: Draw) -> None:
        """A record is there before anything begins."""
        ...

    def tick(self) -> None:
        """Some time passes there."""
        ...


class Link(Protocol):
    """The way to a remote, request by request."""

    def open(self) -> Sending[TransportCapabilities]:
        """Who it is."""
        ...

    def push(self, changes: Sequence[Change]) -> Sending[list[Outcome]]:
        """Send changes; one outcome for each."""
        ...

    def pull(self, request: PullRequest) -> Sending[Page]:
        """One page."""
        ...


class Watch(Protocol):
    """Who wants to know what happens at the remote."""

    def took(self, change: Change) -> None:
        """A change took effect."""
        ...

    def foreign_key(self, what: object) -> None:
        """A foreign key refused something."""
        ...


def in_doubt(lost: Lost) -> NotSent | Denied | Unknown:
    """What it means for a change that there was no reply."""
    if lost is REFUSED:
        return NotSent("refused", 1.0)
    return Denied("denied") if lost is DENIED else Unknown("no answer")


def read(reply: R | TidesyncError | Lost) -> R:
    """The reply of a read; what stands for it is raised."""
    if reply is REFUSED:
        raise NotReachable("refused")
    if reply is DENIED:
        raise Unauthorized("denied")
    if isinstance(reply, Lost):
        raise RemoteUnavailable("no answer")
    if isinstance(reply, TidesyncError):
        raise reply
    return reply
