"""Looking at an autosync: its events, and times so small that no test waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from tests.api.support import TABLES, Wire
from tidesync import SyncContext
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Change, PullRequest
from tidesync.events import AutosyncStopped, AutosyncWaiting, CycleFinished, CycleStarted, Event
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority

E = TypeVar("E", bound=Event)
TINY: Final[dict[str, Any]] = {
    "every": float("inf"), "quiet": 0.002, "within": 0.02, "backoff": 0.005, "max_backoff": 0.02,
}  # fmt: skip
"""Cycles by change and trigger, and failures that are soon tried again."""
LONG: Final = 30.0
"""Seconds after which something that should happen has not."""


class Watch:
    """All events of a context, in order; others may wait for them."""

    def __init__(self, ctx: Any) -> None:
        self.events: list[Event] = []
        self._more = threading.Condition()
        _ = ctx.subscribe(self._note)

    def _note(self, event: Event) -> None:
        with self._more:
            self.events.append(event)
            self._more.notify_all()

    def of(self, kind: type[E]) -> list[E]:
        return [each for each in tuple(self.events) if isinstance(each, kind)]

    def until(self, so: Callable[[], object]) -> None:
        """Wait until it is so, looking after every event."""
        with self._more:
            if not self._more.wait_for(so, LONG):
                raise TimeoutError(f"it never came: {self.events[-10:]}")

    def cycles(self, count: int) -> None:
        """Wait until so many cycles are over, and it waits for the next."""
        self.until(lambda: len(self.of(AutosyncWaiting)) >= count or self.of(AutosyncStopped))

    @property
    def own(self) -> list[str]:
        """The events of the autosync itself, by name and reason."""
        kinds = (CycleStarted, CycleFinished, AutosyncWaiting, AutosyncStopped)
        told = [each for each in self.events if isinstance(each, kinds)]
        return [f"{type(each).__name__} {getattr(each, 'why', getattr(each, 'ok', ''))}" for each in told]


def device(
    authority: Authority, store: Store | None = None, **options: Any
) -> tuple[SyncContext, Wire, Watch]:
    wire = Wire(authority)
    ctx = SyncContext(store or MemoryStore(), wire, TABLES, **options).open()
    return ctx, wire, Watch(ctx)


class Held:
    """The next push, or pull, hangs in the middle until `go_on`."""

    def __init__(self, wire: Wire, what: str = "pull") -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self._wire = wire
        if what == "push":
            wire.on_push = self._push
        else:
            wire.on_pull = self._pull

    def _push(self, changes: Sequence[Change]) -> None:
        self._wire.on_push = lambda changes: None
        self._hold()

    def _pull(self, request: PullRequest) -> None:
        self._wire.on_pull = lambda request: None
        self._hold()

    def _hold(self) -> None:
        self.begun.set()
        if not self.go_on.wait(LONG):
            raise TimeoutError("nobody let it go on")


def refuse(error: Exception, *tables: str) -> Any:
    """A script for pulls, of these tables or of all."""

    def pull(request: PullRequest) -> None:
        if not tables or request.query.table in tables:
            raise error

    return pull


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("tidesync-autosync")]


@contextmanager
def soon(seconds: float, call: Callable[[], object]) -> Iterator[None]:
    """Call it from another thread after so many seconds."""
    timer = threading.Timer(seconds, call)
    timer.start()
    try:
        yield
    finally:
        timer.join()
