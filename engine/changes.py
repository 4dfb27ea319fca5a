"""What a context's transactions change, told the moment they are committed; and what somebody else changed.

Every transaction that changes records of a table adds one to that table's number in the row of counters
(`Ledger.flush`). A number that no transaction of this context took was taken by another process, or another context.
Which are ours is never guessed: a transaction says which numbers it takes before it is committed, while nobody else
can write, and whether it was committed once it has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, TypeAlias
from weakref import ref

import attrs

from tidesync.contracts.store import Store, StoreCapabilities, StoreTransaction
from tidesync.ledger import Counters
from tidesync.rows import COUNTERS, META
from tidesync.schema import TableSchema

End: TypeAlias = Literal["committed", "undone", "unsure"]
ANY: tuple[str, ...] = ()
"""Ids of changed records, where nobody knows which: any of the table may have."""


class Noted(NamedTuple):
    """What a transaction under way changes: records of a table, under this number of it."""

    table: str
    ids: tuple[str, ...]
    number: int


class Listener(Protocol):
    """Who is told of changes to one table (None: of none), and of the context's end. It must not block, nor raise."""

    @property
    def table(self) -> str | None:
        """The table's name."""
        ...

    def changed(self, ids: tuple[str, ...]) -> None:
        """These records changed, or `ANY`. Called on the thread that committed it."""
        ...

    def ended(self) -> None:
        """The context was closed."""
        ...


@attrs.define
class _Numbers:
    """One table's numbers. Up to `known` it is clear whose they are, `ours` are beyond; `others` are not told yet."""

    known: int
    ours: set[int] = attrs.field(factory=set[int])
    others: bool = False

    def advance(self, until: int, under_way: Iterable[int]) -> bool:
        """All numbers up to this are committed, or still under way here; True if some were taken elsewhere."""
        stop = min((n for n in under_way if self.known < n <= until), default=until + 1) - 1
        if stop <= self.known:
            return False
        mine = {n for n in self.ours if n <= stop}
        elsewhere = stop - self.known > len(mine)
        self.ours -= mine
        self.known = stop
        self.others = self.others or elsewhere
        return elsewhere


class Changes:
    """What one context knows of changes to its store, and who wants to hear of them. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, _Numbers] = {}
        self._under_way: dict[int, list[Noted]] = {}
        # Never more than a hint: who is not held by anybody else is gone, and no finalizer needs the lock.
        self._listeners: list[ref[Listener]] = []
        self._looked = 0.0

    def begin(self, tables: Iterable[str], numbers: Mapping[str, int]) -> None:
        """The context opens its store, and finds these numbers there."""
        with self._lock:
            self._numbers = {table: _Numbers(numbers.get(table, 0)) for table in tables}
            self._looked = time.monotonic()

    # ---- transactions of this context

    def note(self, table: str, ids: tuple[str, ...], number: int) -> None:
        """The transaction of this thread is about to be committed with these changes."""
        with self._lock:
            self._under_way.setdefault(threading.get_ident(), []).append(Noted(table, ids, number))

    def end(self, how: End) -> None:
        """The transaction of this thread has ended."""
        with self._lock:
            noted = self._under_way.pop(threading.get_ident(), None)
            if noted is None or how == "undone":
                return
            elsewhere = [each.table for each in noted if how == "unsure" or self._settle(each)]
            if not self._listeners:
                return
            listeners = self._alive()
        changed = [(each.table, each.ids) for each in noted]
        _tell(listeners, [*changed, *((table, ANY) for table in elsewhere)])

    def _settle(self, noted: Noted) -> bool:
        numbers = self._numbers.get(noted.table)
        if numbers is None or noted.number <= numbers.known:
            return False
        if noted.number == numbers.known + 1 and not numbers.ours:
            numbers.known = noted.number
            return False
        numbers.ours.add(noted.number)
        return numbers.advance(noted.number, self._claimed(noted.table))

    def _claimed(self, table: str) -> list[int]:
        return [each.number for noted in self._under_way.values() for each in noted if each.table == table]

    # ---- changes of others

    def next_look(self, every: float) -> float:
        """When to look for others' changes, by the clock of `time.monotonic`."""
        return self._looked + every

    def look(self) -> Mapping[str, int]:
        """Somebody looks now; returns what `others` needs of the time before."""
        with self._lock:
            self._looked = time.monotonic()
            return {table: numbers.known for table, numbers in self._numbers.items()}

    def others(self, before: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
        """The tables that others changed, each told once, by the numbers that are in the store."""
        with self._lock:
            for table, numbers in self._numbers.items():
                number = found.get(table, 0)
                # Less than before: somebody who knows of no numbers has written, or a backup is back.
                if number < before.get(table, 0):
                    self._numbers[table] = _Numbers(number, others=True)
                elif number > numbers.known:
                    _ = numbers.advance(number, self._claimed(table))
            changed = [table for table, numbers in self._numbers.items() if numbers.others]
            for table in changed:
                self._numbers[table].others = False
            listeners = self._alive()
        _tell(listeners, [(table, ANY) for table in changed])
        return changed

    # ---- who hears of them

    def join(self, listener: Listener) -> None:
        """Tell it from now on, for as long as anybody holds it."""
        with self._lock:
            self._listeners = [*map(ref, self._alive()), ref(listener)]

    def leave(self, listener: Listener) -> None:
        """Tell it no more."""
        with self._lock:
            self._listeners = [ref(each) for each in self._alive() if each is not listener]

    def close(self) -> None:
        """The context closes: its listeners hear that, and nothing more."""
        with self._lock:
            listeners, self._listeners = self._alive(), []
        for each in listeners:
            each.ended()

    def _alive(self) -> list[Listener]:
        return [listener for each in self._listeners if (listener := each()) is not None]


def _tell(listeners: Sequence[Listener], changed: Sequence[tuple[str, tuple[str, ...]]]) -> None:
    for listener in listeners:
        for table, ids in changed:
            if listener.table == table:
                listener.changed(ids)


def numbers_in(transaction: StoreTransaction) -> Mapping[str, int]:
    """By table, how many transactions changed records of it so far."""
    return Counters(transaction.get(META, [COUNTERS])[0]).changes


class NotedStore:
    """A context's store, whose write transactions say when they have ended."""

    def __init__(self, store: Store, changes: Changes) -> None:
        self._store, self._changes = store, changes

    def __repr__(self) -> str:
        return repr(self._store)

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the store declares."""
        return self._store.capabilities

    def open(self, tables: Sequence[TableSchema]) -> None:
        """Open the store."""
        self._store.open(tables)

    def transaction(self, *, write: bool) -> AbstractContextManager[StoreTransaction]:
        """Begin a transaction of the store."""
        inner = self._store.transaction(write=write)
        return _Noted(inner, self._changes) if write else inner

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class _Noted(AbstractContextManager[StoreTransaction]):
    """A write transaction; what becomes of it is told once it is known, on its thread."""

    __slots__ = ("_changes", "_inner")

    def __init__(self, inner: AbstractContextManager[StoreTransaction], changes: Changes) -> None:
        self._inner, self._changes = inner, changes

    def __enter__(self) -> StoreTransaction:
        return self._inner.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        how: End = "undone" if kind is not None else "unsure"
        try:
            handled = self._inner.__exit__(kind, error, trace)
            how = "undone" if kind is not None else "committed"
        finally:
            self._changes.end(how)
        return handled
