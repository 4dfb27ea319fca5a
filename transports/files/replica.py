"""A remote's tables on an index, kept up with its log: what the transport asks, and writes through."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from tidesync.contracts.store import Store
from tidesync.contracts.transport import Outcome, Rejected
from tidesync.errors import NotReachable, RemoteDamaged, StoreError
from tidesync.records import Record
from tidesync.transports.authority import Authority
from tidesync.transports.commits import Effect
from tidesync.transports.files import index, snapshots
from tidesync.transports.files.format import PLACES, Commit, Entry, Meta, write_commit
from tidesync.transports.files.index import Head
from tidesync.transports.files.lines import digest
from tidesync.transports.files.log import Log
from tidesync.transports.files.parts import Manifest
from tidesync.transports.files.place import Place
from tidesync.transports.layout import DELETED

CHECKED_FOR: Final = 10.0
"""Seconds for which the last commit that was read counts as being there unchanged, where reading is a request."""
PATIENCE: Final = 20.0
"""Seconds in which a writer tries again, where others were first each time."""
FAR: Final = 2000
"""Commits behind which a snapshot is looked for, before they are read one by one."""
COMMITS_AT_ONCE: Final = 1000
BYTES_AT_ONCE: Final = 4_000_000
"""What is read before it is applied, in one transaction."""
COMMIT_SIZE: Final = 64_000_000
"""Bytes that a commit may have; above, several changes are written in several commits."""


class TooLarge(Exception):
    """The writes make a commit that is too large; several may be made one after another."""


class _Lost(Exception):
    """Somebody else's commit has the number; the transaction is rolled back."""


class Replica:
    """One remote's tables on one index, at one commit of its log; any thread may use it, and any process's."""

    def __init__(self, place: Place, meta: Meta, store: Store, authority: Authority) -> None:
        self.meta: Final = meta
        self.store: Final = store
        self.authority: Final = authority
        self.log: Final = Log(place, meta)
        self.writer: Final = secrets.token_hex(8)
        self._place = place
        self._reading = threading.Lock()
        self._open_tables: set[str] = set(authority.tables)
        self._checked: float | None = None
        self._random = random.Random()  # noqa: S311  # jitter, not a secret

    def head(self) -> Head:
        """How far the index is."""
        with self.store.transaction(write=False) as transaction:
            return index.read_head(transaction)

    # ---- reading on

    def catch_up(self) -> Head:
        """Bring the index to the end of the log; how far it is then.

        Raises what the place raises, and `RemoteDamaged`, unless a fence explains what is missing.
        """
        with self._reading:
            head = self.head()
            if head.number == 0 and self._checked is None:
                head = self._begin(head)
            while True:
                try:
                    last = self.log.last(head)
                    if last - head.number > FAR:
                        head = self._begin(head)
                    if last > head.number:
                        head = self._read_on(head, last)
                    else:
                        self._check(head)
                    if last <= head.number:
                        self.log.arrived(head)
                        return head
                except RemoteDamaged:
                    # What is behind a fence may be gone, or be what a writer made of it who had slept.
                    if snapshots.last_fence(self._place) <= head.number:
                        raise
                    head = self._begin(head)

    def _check(self, head: Head) -> None:
        """See that the log goes on from the commit that the index is at; now and then, where that is a request."""
        asked = self._checked if self._place.at_once > 1 else None
        if asked is None or time.monotonic() - asked > CHECKED_FOR:
            self.log.check(head)
            self._checked = time.monotonic()

    def _read_on(self, head: Head, last: int) -> Head:
        """Read and apply commits up to one that was listed, in parts."""
        batch: list[tuple[Commit, str]] = []
        size = 0
        start = head
        for commit, its_hash, its_size in self.log.commits(head, last):
            batch.append((commit, its_hash))
            start, size = start.after(commit, its_hash), size + its_size
            if len(batch) == COMMITS_AT_ONCE or size > BYTES_AT_ONCE or commit.number == last:
                if self._place.at_once == 1 and self.log.is_behind(head.number):
                    # Between the list and the reading of it a fence may have come, and behind it another commit.
                    return self._begin(head)
                head = self._apply(head, batch)
                if head != start:
                    return head
                batch, size = [], 0
        return head

    def _apply(self, head: Head, batch: Sequence[tuple[Commit, str]]) -> Head:
        """Apply the commits after the head, unless another process has gone on meanwhile; the head then."""
        self._open({entry.table for commit, _ in batch for entry in commit.changes})
        with self.store.transaction(write=True) as transaction:
            now = index.read_head(transaction)
            if now != head:
                return now
            now = index.apply(transaction, now, batch)
        # The first of them names the commit that the index was at.
        self._checked = time.monotonic()
        self._open(set(now.tables))
        snapshots.after_reading(self._place, self.meta, self.store, head.number, now.number)
        return now

    def _begin(self, head: Head) -> Head:
        """Go on from the newest snapshot, if there is one."""
        return snapshots.begin(self._place, self.meta, lambda manifest: self._load(head, manifest)) or head

    def _load(self, head: Head, manifest: Manifest) -> Head:
        """Put a snapshot in the place of what the index holds, unless another process has gone on meanwhile."""
        self._open({*head.tables, *manifest.tables})
        with self.store.transaction(write=True) as transaction:
            now = index.read_head(transaction)
            if now != head or manifest.number <= now.number:
                return now
            return index.load(transaction, now, manifest, snapshots.lines(self._place, manifest))

    def _open(self, tables: set[str]) -> None:
        new = tables - self._open_tables
        index.open_tables(self.store, new)
        self._open_tables |= new

    # ---- writing

    def commit(self, taken: Sequence[Effect | Rejected]) -> list[Outcome]:
        """Decide writes on what is held now, and make what takes effect the next commit of the log.

        Raises `InDoubt` where it may have taken effect, and else what says that it has not.
        """
        ends = time.monotonic() + PATIENCE
        for pause in self._pauses():
            _ = self.catch_up()
            try:
                outcomes, made = self._try(taken)
                if made:
                    self._made(made)
                return outcomes
            except _Lost:
                if time.monotonic() + pause > ends:
                    break
                time.sleep(pause)
        raise NotReachable(f"for {PATIENCE:.0f} s other writers were first each time: nothing was written")

    def _pauses(self) -> Iterator[float]:
        bound = 0.004
        while True:
            yield self._random.uniform(0, bound)
            bound = min(bound * 1.5, 0.1)

    def _made(self, number: int) -> None:
        """Make a snapshot after this commit, if that is due."""
        if self.meta.snapshot_every and number % self.meta.snapshot_every == 0:
            # The commit is in effect, whatever becomes of this.
            with suppress(StoreError):
                self._open(set(self.head().tables))
                snapshots.after_commit(self._place, self.meta, self.store, number)

    def _try(self, taken: Sequence[Effect | Rejected]) -> tuple[list[Outcome], int]:
        """One attempt: the outcomes, and the commit's number, 0 for none; `_Lost` if somebody else was first."""
        won: tuple[list[Outcome], int] | None = None
        try:
            with self.store.transaction(write=True) as transaction:
                head = index.read_head(transaction)
                number = head.number + 1
                decided = self.authority.decide(transaction, taken, (number << PLACES) - 1)
                if decided.written:
                    commit = Commit(
                        remote=self.meta.id, number=number, previous=head.hash, at=decided.clock,
                        writer=self.writer, changes=[entry_of(effect, row) for effect, row in decided.written],
                    )  # fmt: skip
                    content = write_commit(commit)
                    if len(content) > COMMIT_SIZE:
                        raise TooLarge(
                            f"its commit would have {len(content)} bytes, and {COMMIT_SIZE} is the most"
                        )
                    if not self.log.append(number, content):
                        raise _Lost
                    won = decided.outcomes, number
                    self._checked = time.monotonic()
                    index.write_head(transaction, head.after(commit, digest(content)))
                return won or (decided.outcomes, 0)
        except StoreError:
            # What is in the log is in effect; the index reads it again.
            if won is None:
                raise
            return won


def entry_of(effect: Effect, row: Record) -> Entry:
    """What a commit says of a write that took effect, and left this row."""
    return Entry(
        operation=effect.key if effect.write.remember else None,
        mark=effect.fingerprint,
        kind=effect.change.kind,
        table=effect.change.table,
        id=effect.change.record_id,
        version=str(row["version"]),
        created_at=str(row["created_at"]),
        deleted=row[DELETED] is True,
        record=index.content_of(row),
    )
