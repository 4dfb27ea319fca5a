"""Flows and their steps: a flow says what is asked of a remote and what the replies mean, and does nothing itself.

A flow is a generator: `yield from Pause(0.2)`. `Step.__iter__` yields the step itself and returns the answer, so
the answer is typed. A driver performs the steps: `threads.ThreadDriver` on the threads that call, and
`tasks.TaskDriver` on an event loop. Only an `Exception` is thrown into a flow; on anything else (a cancelled task,
KeyboardInterrupt) it is closed. Between two steps a flow looks at values and at the clock, and at nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, final

from tidesync.transports.http.auth import Tokens
from tidesync.transports.http.exchange import Incoming, Outgoing

T = TypeVar("T")


class Step(Generic[T]):
    """One thing that the driver must do; iterating it yields it and returns the answer."""

    __slots__ = ()

    def __iter__(self) -> Generator[Step[Any], Any, T]:
        answer: T = yield self
        return answer


Flow: TypeAlias = Generator[Step[Any], Any, T]


@final
class Send(Step[None]):
    """Send a request once, give `incoming` what comes back, and let go of the connection. Raises as httpx does."""

    __slots__ = ("incoming", "outgoing")

    def __init__(self, outgoing: Outgoing, incoming: Incoming) -> None:
        self.outgoing, self.incoming = outgoing, incoming


@final
class Pause(Step[None]):
    """Let this many seconds pass."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


@final
class Authorize(Step[str | None]):
    """A token to send: the present one, or another than the one that was `refused`; None if there is no other.

    Those who were refused with the same token share one renewal. Raises `Unauthorized`.
    """

    __slots__ = ("refused", "tokens")

    def __init__(self, tokens: Tokens, refused: str | None = None) -> None:
        self.tokens, self.refused = tokens, refused


@final
class Compute(Step[T]):
    """Call `work`, which computes, over about so many bytes: an event loop is not to wait for much of it.

    It goes over much in pieces, or calls back into Python now and then: a single call into C that takes long holds
    up every thread.
    """

    __slots__ = ("size", "work")

    def __init__(self, work: Callable[[], T], size: int) -> None:
        self.work, self.size = work, size


@final
class Together(Step[list[T]]):
    """Run several flows, as many at once as the transport has under way; their results, in order."""

    __slots__ = ("flows",)

    def __init__(self, flows: Sequence[Flow[T]]) -> None:
        self.flows: Sequence[Flow[Any]] = flows
