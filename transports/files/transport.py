"""The file transport: a folder or a bucket as a remote, without a server."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs

from tidesync.contracts.store import Store
from tidesync.contracts.transport import (
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
from tidesync.errors import (
    ConfigurationError,
    ContextClosed,
    RemoteDamaged,
    RemoteUnavailable,
    StoreError,
    TransportError,
    Unauthorized,
)
from tidesync.records import INT_MAX, Copy, Record, Tombstone
from tidesync.schema import TableSchema
from tidesync.transports.authority import Authority
from tidesync.transports.commits import Effect, Write
from tidesync.transports.files import index
from tidesync.transports.files.cursors import unwrapped, wrapped
from tidesync.transports.files.format import REMEMBERS, SNAPSHOT_EVERY, Meta
from tidesync.transports.files.index import HEAD, Head
from tidesync.transports.files.log import InDoubt
from tidesync.transports.files.names import META
from tidesync.transports.files.opening import find_or_make
from tidesync.transports.files.place import Place
from tidesync.transports.files.replica import PATIENCE, Replica, TooLarge
from tidesync.transports.files.targets import Target, open_place
from tidesync.transports.layout import check_owner
from tidesync.transports.renaming import Renaming

_CALLS: Final = 8
"""Calls of a place that one exchange makes, where no more than a commit or two came since the last one."""


class FileTransport:
    """A `Transport` to a remote that is a folder or a bucket: files alone, and no server.

    `target`: the path of a folder, or an address (`file://`, `s3://`, `gs://`, `az://`, `memory://`; the extra `files`
    has what buckets need), or an object with the methods of `Place`. `options` are for the bucket. Any number of
    processes may share it: each file is created only if it is absent, and never written again, so that of those who
    write at once one is first, and the others decide again on what it wrote.

    `index` is the store for what the log makes of the tables, opened and closed with the transport: memory by default,
    which is filled anew after a `close`; for many records a SQLiteStore on a file of its own, which other processes of
    this machine may share. It may have `synchronous="normal"`: what it loses is read again.

    Where there is no remote yet, `open` makes one, which remembers the ids of operations for `remembers` seconds at the
    least, and gets a snapshot each `snapshot_every` commits (0: never). Later these are what they were.

    What was acknowledged is durable in the place. Files that are torn, missing or foreign are `RemoteDamaged`, which
    names the first, and a push is `NotSent`. Raises `ConfigurationError`.
    """

    def __init__(
        self,
        target: Target | Place,
        *,
        index: Store | None = None,
        options: Mapping[str, Any] | None = None,
        remembers: int = REMEMBERS,
        snapshot_every: int = SNAPSHOT_EVERY,
    ) -> None:
        for name, value, least in (("remembers", remembers, 1), ("snapshot_every", snapshot_every, 0)):
            if type(value) is not int or not least <= value <= INT_MAX:
                raise ConfigurationError(
                    f"{name} is a whole number from {least} to 2^63 - 1, not {value!r:.60}"
                )
        if index is not None and (isinstance(index, type) or not hasattr(index, "transaction")):
            raise ConfigurationError(
                f"index is a store of its own, such as SQLiteStore(path), and not {index!r:.60}"
            )
        self._place: Final[Place] = target if isinstance(target, Place) else open_place(target, options)
        self._given: Final = index
        self._remembers, self._snapshot_every = remembers, snapshot_every
        self._mutex = threading.Lock()
        self._index: Store | None = None
        self._replica: Replica | None = None
        self._renaming = Renaming()

    def __repr__(self) -> str:
        return f"FileTransport({self._place!r})"

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        with self._mutex, _served():
            store = self._index or self._given or _memory()
            check_owner(store)
            try:
                replica = self._opened(store, tables)
            except BaseException:
                if self._index is None:  # who could not open may not think of closing
                    store.close()
                raise
            self._index, self._replica, self._renaming = store, replica, Renaming(tables)
        return attrs.evolve(
            replica.authority.capabilities(),
            remembers=float(replica.meta.remembers),
            exchange_timeout=PATIENCE + _CALLS * self._place.longest,
        )

    def _opened(self, store: Store, tables: Sequence[TableSchema]) -> Replica:
        store.open([HEAD])
        with store.transaction(write=False) as transaction:
            head = index.find_head(transaction)
        meta, meta_hash = find_or_make(
            self._place, self._remembers, self._snapshot_every, known=head is not None
        )
        if head is not None:
            _check_same(head, meta, meta_hash)
        authority = Authority(store, tables, identity=meta.id, epoch=meta.id.replace("-", "")).open()
        if head is None:
            with store.transaction(write=True) as transaction:
                if index.find_head(transaction) is None:
                    index.write_head(transaction, Head(remote=meta.id, meta=meta_hash, hash=meta_hash))
        return Replica(self._place, meta, store, authority)

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        replica, names = self._current(), self._renaming
        most = replica.authority.max_changes
        taken = replica.authority.read([Write(names.sent(change)) for change in changes[:most]])
        outcomes: list[Outcome] = []
        waiting = [taken]
        while waiting:
            part = waiting.pop()
            try:
                outcomes += replica.commit(part)
            except TooLarge as error:
                middle = len(part) // 2
                if middle == 0:
                    outcomes.append(Rejected("too_large", f"the record is too large: {error}"))
                else:
                    waiting += [part[middle:], part[:middle]]
            except (TransportError, ConfigurationError, StoreError) as error:
                outcomes += _stopped(part, error)
                outcomes += [Untried() for later in reversed(waiting) for _ in later]
                break
        heard = [
            names.heard(change.table, outcome) for change, outcome in zip(changes, outcomes, strict=False)
        ]
        return [*heard, *(Untried() for _ in changes[most:])]

    def pull(self, request: PullRequest, /) -> Page:
        replica, names = self._current(), self._renaming
        with _served():
            head = replica.catch_up()
            cursor = unwrapped(request.cursor, head, replica.log.hash_at)
            page = replica.authority.pull(names.asked(attrs.evolve(request, cursor=cursor)))
            # Another thread may have gone on since: then the cursor tells more than it has to, which does no harm.
            page = attrs.evolve(page, cursor=wrapped(page.cursor, replica.head()))
        return names.told(request.query.table, page)

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        replica = self._current()
        with _served():
            _ = replica.catch_up()
            copy: Copy = replica.authority.get(table, id)
        return self._renaming.read(table, copy)

    def close(self) -> None:
        with self._mutex:
            store, self._index, self._replica = self._index, None, None
            self._place.close()
            if store is not None:
                store.close()

    def _current(self) -> Replica:
        replica = self._replica
        if replica is None:
            raise ContextClosed("the transport is not open: call open() first")
        return replica


def _memory() -> Store:
    from tidesync.transports.files.memory import MemoryIndex

    return MemoryIndex()


def _check_same(head: Head, meta: Meta, meta_hash: str) -> None:
    if head.remote != meta.id:
        raise ConfigurationError(
            f"the index is of remote {head.remote!r}, and {meta.id!r} is here: use another index, or the right target"
        )
    if head.meta != meta_hash:
        raise RemoteDamaged(META, "it is another one than was there: bring it back from a copy")


def _stopped(taken: Sequence[Effect | Rejected], error: Exception) -> list[Outcome]:
    """What becomes of writes where this was raised: all of them may be in effect, or certainly none is."""
    reason = str(error)
    outcome: Outcome
    match error:
        case InDoubt():
            outcome = Unknown(reason)
        case Unauthorized():
            outcome = Denied(reason)
        case TransportError():
            outcome = NotSent(reason, error.retry_after)
        case StoreError():
            outcome = NotSent(f"the index failed: {reason}")
        case _:
            outcome = NotSent(reason)
    return [item if isinstance(item, Rejected) else outcome for item in taken]


@contextmanager
def _served() -> Generator[None, None, None]:
    """What the index raises is the remote's trouble to whoever asks."""
    try:
        yield
    except StoreError as error:
        raise RemoteUnavailable(f"the index failed: {error}") from error
