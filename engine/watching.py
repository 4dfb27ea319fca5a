"""Live queries and event streams: what comes when something changed, for whoever waits for it.

A stream has an inbox, to which any thread may add, and a bell that it rings. Here are both, and the streams of the
synchronous face; those of an event loop are in `aio/watching.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, Generic, Protocol, Self, TypeVar
from weakref import ref

import attrs

from tidesync.changes import ANY, Changes, numbers_in
from tidesync.contracts.store import StoreTransaction
from tidesync.errors import ContextClosed, StoreClosed, UsageError
from tidesync.events import Event, EventsMissed, RecordsChanged
from tidesync.live import Result, View
from tidesync.selection import Rows

T = TypeVar("T")
U = TypeVar("U")
R = TypeVar("R")
logger = logging.getLogger("tidesync")
MANY: Final = 500
"""So many changed records, and the query runs at once."""
LONGEST_PAUSE: Final = 60.0
"""Seconds between tries of a callback's watch whose query fails."""


# ---- what came while nobody looked; any thread may add to it


class Inbox:
    """What came for one stream. It holds nobody, so that a stream which nobody holds is gone at once."""

    def __init__(self, table: str | None, ring: Callable[[], None]) -> None:
        self.table, self.closed = table, False
        self._ring, self._lock = ring, threading.Lock()

    def changed(self, ids: tuple[str, ...]) -> None:
        """Records of the table changed."""

    def ended(self) -> None:
        """No more will come."""
        self.closed = True
        self._ring()


class Notes(Inbox):
    """Which records of a table changed since somebody looked; at first nobody has."""

    def __init__(self, table: str, ring: Callable[[], None]) -> None:
        super().__init__(table, ring)
        self._ids: dict[str, None] = {}
        self._any = True

    def changed(self, ids: Collection[str]) -> None:
        """These changed, or `ANY`."""
        self.give_back(ids)
        self._ring()

    def give_back(self, ids: Collection[str]) -> None:
        """These were taken, and nobody could look."""
        with self._lock:
            self._ids.update(dict.fromkeys(ids))
            self._any = self._any or not ids or len(self._ids) > MANY
            if self._any:
                self._ids = {}

    def take(self) -> tuple[str, ...] | None:
        """What changed, `ANY`, or None if nothing did."""
        with self._lock:
            if not self._any and not self._ids:
                return None
            taken, self._ids, self._any = tuple(self._ids), {}, False
        return taken


class Buffer(Inbox):
    """Events that nobody has read; of too many the oldest are dropped, and counted."""

    def __init__(self, limit: int, ring: Callable[[], None]) -> None:
        super().__init__(None, ring)
        self._limit, self._missed = limit, 0
        self._events: deque[Event] = deque()

    def put(self, event: Event) -> None:
        """One more; never waits."""
        with self._lock:
            if len(self._events) >= self._limit:
                _ = self._events.popleft()
                self._missed += 1
            self._events.append(event)
        self._ring()

    def take(self) -> Event | None:
        """The oldest; before it, how many are missing."""
        with self._lock:
            if self._missed:
                missed, self._missed = self._missed, 0
                return EventsMissed(missed)
            return self._events.popleft() if self._events else None

    def hear(self, subscribe: Callable[[Callable[[Event], None]], Callable[[], None]]) -> Callable[[], None]:
        """Put what is told from now on, for as long as anybody holds this; returns a way to stop that."""
        held = ref(self)

        def put(event: Event) -> None:
            found = held()
            if found is None or found.closed:
                stop()
            else:
                found.put(event)

        stop = subscribe(put)
        return stop


# ---- on a thread


class Read(Protocol):
    """Runs a step on one committed state of the store."""

    def __call__(self, step: Callable[[StoreTransaction], U], /) -> U:
        """What the step returns."""
        ...


@attrs.frozen(eq=False)
class Outlook:
    """A context as its watches see it. `outside` raises `BatchActive` inside a batch."""

    changes: Changes
    read: Read
    outside: Callable[[], None]
    tell: Callable[[Sequence[Event]], None]
    subscribe: Callable[[Callable[[Event], None]], Callable[[], None]]

    def look_elsewhere(self) -> None:
        """See whether somebody else changed records, and tell it."""
        before = self.changes.look()
        self.tell(told_elsewhere(self.changes.others(before, self.read(numbers_in))))


def told_elsewhere(tables: Sequence[str]) -> list[Event]:
    """What is told of tables that somebody else changed."""
    return [RecordsChanged(table, ANY, "elsewhere") for table in tables]


class Stream(Generic[R]):
    """What comes, one after another, until it is closed: iterate it, or ask for the `next`. Any thread may."""

    def __init__(self, inbox: Inbox, bell: threading.Event, outlook: Outlook, poll: float | None) -> None:
        self._inbox, self._bell, self._outlook, self._poll = inbox, bell, outlook, poll
        self._turn = threading.Lock()
        outlook.changes.join(inbox)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        found = self.next()
        if found is None:
            raise StopIteration
        return found

    def next(self, timeout: float | None = None) -> R | None:
        """The next one; None if none comes in so many seconds (None: however long it takes), or it is closed.

        Raises `BatchActive` inside a batch, and what reading the store raises; then it is asked again next time.
        """
        self._outlook.outside()
        until = None if timeout is None else time.monotonic() + timeout
        wait = -1 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        if not self._turn.acquire(timeout=wait):
            return None
        try:
            return self._come(until)
        finally:
            self._turn.release()

    @property
    def closed(self) -> bool:
        """Whether it was closed, or the context was."""
        return self._inbox.closed

    def close(self) -> None:
        """Nothing more comes; does nothing if it is closed. Closing the context closes it, too."""
        self._outlook.changes.leave(self._inbox)
        self._inbox.ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _take(self) -> R | None:
        raise NotImplementedError

    def _come(self, until: float | None) -> R | None:
        """Wait. The bell is silenced first and looked at last, so that nothing comes unheard between the two."""
        try:
            while True:
                self._bell.clear()
                found = self._take()
                if found is not None or self.closed:
                    return found
                now = time.monotonic()
                due = None if self._poll is None else self._outlook.changes.next_look(self._poll)
                if due is not None and due <= now:
                    self._outlook.look_elsewhere()
                elif until is not None and until <= now:
                    return None
                else:
                    _ = self._bell.wait(pause(now, until, due))
        except (ContextClosed, StoreClosed):
            if not self.closed:
                raise
            return None


def pause(now: float, *ends: float | None) -> float | None:
    """Seconds until the first of these moments; None if there is none."""
    left = [end - now for end in ends if end is not None]
    return min(*left, threading.TIMEOUT_MAX) if left else None


class Watch(Stream[Rows[T]]):
    """A live query: its result at once, and again after changes that make it another.

    Iterating waits for the next result. However much changed meanwhile, it is the newest, once. Use it with `with`, or
    close it; one that nobody holds is closed. Raises `BatchActive` inside a batch.
    """

    def __init__(
        self,
        view: View[T],
        outlook: Outlook,
        callback: Callable[[Rows[T]], object] | None,
        poll: float | None,
    ) -> None:
        bell = threading.Event()
        self._view, self._notes = view, Notes(view.query.table, bell.set)
        self._last: Result | None = None
        self._calls = callback is not None
        super().__init__(self._notes, bell, outlook, poll)
        if callback is not None:
            name = f"tidesync-watch-{view.query.table}"
            threading.Thread(target=self._call_back, args=(callback,), name=name, daemon=True).start()

    def __repr__(self) -> str:
        return f"<watch of {self._view.query.table}{', closed' if self.closed else ''}>"

    def next(self, timeout: float | None = None) -> Rows[T] | None:
        """The next result; None if none comes in so many seconds (None: however long it takes), or it is closed.

        Raises `BatchActive` inside a batch, and what reading the store raises; then it is asked again next time.
        `UsageError` if this watch has a callback.
        """
        refuse_both(self._calls)
        return super().next(timeout)

    def close(self) -> None:
        """Nothing more comes; does nothing if it is closed. Closing the context closes it, too.

        A call of the callback that is under way goes on to its end, and is not waited for.
        """
        super().close()

    def _take(self) -> Rows[T] | None:
        changed = None if self.closed else self._notes.take()
        if changed is None:
            return None
        try:
            found = self._outlook.read(self._view.look(self._last, changed))
        except BaseException:
            self._notes.give_back(changed)
            raise
        if found is None:
            return None
        self._last, rows = found
        return rows

    def _call_back(self, callback: Callable[[Rows[T]], object]) -> None:
        rest = Rest()
        while not self.closed:
            try:
                rows = self._come(None)
            except Exception:
                logger.exception("a watch of %s could not look", self._view.query.table)
                _ = self._bell.wait(rest.longer())
                continue
            rest = Rest()
            if rows is not None and not self.closed:
                self._call(callback, rows)

    def _call(self, callback: Callable[[Rows[T]], object], rows: Rows[T]) -> None:
        try:
            _ = callback(rows)
        except Exception:
            logger.exception("the callback of a watch of %s failed", self._view.query.table)


def refuse_both(calls: bool) -> None:
    """Raise `UsageError` for a watch that calls back, and is asked as well."""
    if calls:
        raise UsageError(
            "this watch has a callback, which is given every result: make another one to iterate"
        )


class Rest:
    """How long to rest after failures in a row."""

    def __init__(self) -> None:
        self._seconds = 0.5

    def longer(self) -> float:
        """Seconds: twice as many each time, up to a minute."""
        self._seconds = min(self._seconds * 2, LONGEST_PAUSE)
        return self._seconds


class EventStream(Stream[Event]):
    """Every event of a context from now on. Iterating waits for the next one.

    At most `buffer` wait to be read; of more the oldest are dropped, and `EventsMissed` says how many, in their place.
    """

    def __init__(self, outlook: Outlook, buffer: int, poll: float | None) -> None:
        bell = threading.Event()
        self._buffer = Buffer(buffer, bell.set)
        self._stop = self._buffer.hear(outlook.subscribe)
        super().__init__(self._buffer, bell, outlook, poll)

    def close(self) -> None:
        """Nothing more comes but what waits to be read; does nothing if it is closed.

        Closing the context closes it, too.
        """
        self._stop()
        super().close()

    def _take(self) -> Event | None:
        return self._buffer.take()
