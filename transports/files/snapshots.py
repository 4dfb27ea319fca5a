"""Snapshots: the state after a commit, so that not all of the log has to be read.

A snapshot is made of what an index holds, after that has forgotten what need not be known any more. Parts come first,
the manifest last, each created only if it is absent: who is killed leaves rubbish, never half a snapshot, and two who
make the same one make the same files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

import attrs

from tidesync.contracts.store import Store, StoreTransaction
from tidesync.errors import RemoteDamaged, StoreError, TransportError
from tidesync.query import And, Compare, Field, Order, Query, Value
from tidesync.transports import layout
from tidesync.transports.files import index, names
from tidesync.transports.files.format import PLACES, Meta, read_fence
from tidesync.transports.files.index import Head, read_head
from tidesync.transports.files.lines import digest, with_checksum
from tidesync.transports.files.names import (
    FENCES,
    SNAPSHOTS,
    commit_name,
    fence_name,
    manifest_name,
    part_name,
)
from tidesync.transports.files.parts import (
    PART_SIZE,
    Counts,
    Known,
    Manifest,
    Part,
    Row,
    line_of,
    place_of,
    read_manifest,
    read_part,
    write_manifest,
)
from tidesync.transports.files.place import Place
from tidesync.transports.files.reading import read_all
from tidesync.transports.layout import DEAD, REMEMBERED, SEQUENCE
from tidesync.values import ColumnType

KEPT: Final = 10_000
"""Operation ids that are known, however old they are."""
COMMIT_WEIGHT: Final = 64
"""Lines of a snapshot that are about as quickly read as the file of one more commit."""
_ATTEMPTS: Final = 5
_AT: Final = Field("at", ColumnType.DATETIME)
_SEQUENCE: Final = Field(SEQUENCE, ColumnType.INTEGER)
_log: Final = logging.getLogger(__name__)


# ---- reading


def last_fence(place: Place) -> int:
    """The number of the fence that counts, 0 without one."""
    return max(names.numbers(FENCES, place.names(FENCES)), default=0)


def begin(
    place: Place, meta: Meta, load: Callable[[Manifest], Head], *, upto: int | None = None
) -> Head | None:
    """Load the newest snapshot that is whole, and not before the fence; None if there is neither it nor a fence.

    With `upto`, it is the newest of a commit up to that one.

    `load` puts a snapshot in the place of what the index holds, or leaves that as it is and raises. One that is damaged
    is told in the log, and an older one is tried, then the log itself; `RemoteDamaged` if there is a fence and no whole
    snapshot from there on, or if the log ends before a snapshot.
    """
    for _ in range(_ATTEMPTS):
        fence, damages = last_fence(place), list[RemoteDamaged]()
        found = names.numbers(SNAPSHOTS, place.names(SNAPSHOTS))
        head: Head | None = None
        for number in reversed([number for number in found if fence <= number <= (upto or number)]):
            try:
                head = load(manifest_in(place, meta, number, fence))
                break
            except RemoteDamaged as error:
                damages.append(error)
        if last_fence(place) > fence and (head is None or damages):
            continue  # what was looked for went behind a new fence
        if head is None and fence:
            raise damages[0] if damages else missing(manifest_name(fence))
        if damages and place.read(commit_name(found[-1])) is None:
            raise missing(commit_name(found[-1]))  # without it nobody would notice that the log is too short
        for damage in damages:
            _log.warning("a snapshot is damaged, and what is older is read instead: %s", damage)
        return head
    raise RemoteDamaged(FENCES, "its files come and go: look at what deletes them")


def manifest_in(place: Place, meta: Meta, number: int, fence: int = 0) -> Manifest:
    """The manifest of a snapshot from the fence on, of the same commit as there is, and the one that the fence names.

    Raises `RemoteDamaged`.
    """
    name = manifest_name(number)
    content = place.read(name)
    if content is None:
        raise missing(name)
    manifest = read_manifest(content, number, meta.id)
    commit = place.read(commit_name(number))
    if commit is None:
        raise missing(commit_name(number))
    if digest(commit) != manifest.commit:
        raise RemoteDamaged(name, f"it is of another commit {number} than there is")
    if number == fence:
        _check_fence(place, meta, number, digest(content))
    return manifest


def _check_fence(place: Place, meta: Meta, number: int, its_hash: str) -> None:
    content = place.read(fence_name(number))
    try:
        fence = None if content is None else read_fence(content, number, meta.id)
    except RemoteDamaged as error:
        # Its name says where to begin, and the manifest is under a checksum of its own.
        _log.warning("a fence is damaged, and only its name is believed: %s", error)
        return
    if fence is not None and fence.snapshot != its_hash:
        raise RemoteDamaged(manifest_name(number), "it is not the snapshot that the fence names")


def lines(place: Place, manifest: Manifest) -> Iterator[Row | Known]:
    """What a snapshot holds, part by part. Raises `RemoteDamaged`, at the end for what is there too often or not."""
    before, operations = (-1, "", ""), 0
    counts: dict[str, list[int]] = {}
    files = [part_name(manifest.number, part.digest) for part in manifest.parts]
    for part, name, content in zip(manifest.parts, files, read_all(place, files), strict=True):
        if content is None:
            raise missing(name)
        for line in read_part(content, manifest.number, part):
            found = place_of(line)
            if found <= before:
                raise RemoteDamaged(name, "its lines are not in order")
            before = found
            if isinstance(line, Known):
                operations += 1
            elif line.sequence > manifest.sequence:
                raise RemoteDamaged(name, f"{line.table}/{line.id} is of a later commit than the snapshot")
            else:
                counts.setdefault(line.table, [0, 0])[line.deleted] += 1
            yield line
    tables = {table: Counts(*found) for table, found in counts.items()}
    told = {table: found for table, found in manifest.tables.items() if found != Counts()}
    if (tables, operations) != (told, manifest.operations):
        raise RemoteDamaged(manifest_name(manifest.number), "its parts hold more or less than it tells")


def missing(name: str) -> RemoteDamaged:
    """The error for a file that is gone, and should not be."""
    return RemoteDamaged(name, "it is missing: bring it back from a copy")


# ---- forgetting


def trim(transaction: StoreTransaction, remembers: int, fence: int) -> None:
    """Forget in an index what a snapshot would not hold: old operation ids, and tombstones behind the fence.

    Whoever does not know of those deletes yet has a cursor from before the fence. The log's clock counts, so that all
    indexes forget the same.
    """
    meta = layout.read_meta(transaction)
    since = known_from(transaction, meta.clock, remembers)
    if since is not None:
        old = Compare("lt", _AT, Value(since, ColumnType.DATETIME))
        _ = transaction.delete_where(Query(REMEMBERED, old))
    fences = dict(meta.fences)
    for table in read_head(transaction).tables if fence else ():
        last = _last_tombstone(transaction, table, fence)
        if last > fences.get(table, 0):
            behind = Compare("le", _SEQUENCE, Value(last, ColumnType.INTEGER))
            _ = transaction.delete_where(Query(table, And((DEAD, behind))))
            fences[table] = last
    if fences != meta.fences:
        attrs.evolve(meta, fences=fences).write(transaction)


def known_from(transaction: StoreTransaction, clock: str, remembers: int) -> str | None:
    """The moment from which on operation ids are known; None if all are."""
    if transaction.count(Query(REMEMBERED)) <= KEPT:
        return None
    newest = Query(REMEMBERED, None, (Order(_AT, descending=True),), skip=KEPT - 1, take=1, fields=("at",))
    least = next(iter(transaction.select(newest)), None)
    return None if least is None else min(str(least["at"]), earlier(clock, remembers))


def earlier(moment: str, seconds: float) -> str:
    """A moment so many seconds before another one; canonical text, cut to whole milliseconds."""
    if not moment:
        return ""
    then = datetime.fromisoformat(moment).timestamp()
    return layout.moment(then - seconds)


def _last_tombstone(transaction: StoreTransaction, table: str, fence: int) -> int:
    """The sequence of the last tombstone up to a commit; 0 if there is none."""
    behind = Compare("lt", _SEQUENCE, Value((fence + 1) << PLACES, ColumnType.INTEGER))
    query = Query(
        table, And((DEAD, behind)), (Order(_SEQUENCE, descending=True),), take=1, fields=(SEQUENCE,)
    )
    row = next(iter(transaction.select(query)), None)
    return 0 if row is None else int(str(row[SEQUENCE]))


# ---- writing


def after_commit(place: Place, meta: Meta, store: Store, number: int) -> None:
    """Forget what need not be known, and make a snapshot of the index if that pays, where it is this commit's turn.

    Nothing fails here: what goes wrong is told in the log, and a later commit tries again.
    """
    if not meta.snapshot_every or number % meta.snapshot_every:
        return
    try:
        trim_index(place, meta, store)
        with store.transaction(write=False) as transaction:
            head = read_head(transaction)
        if pays(head, _newest(place, meta)):
            _ = make(place, meta, store)
    except (TransportError, StoreError) as error:
        _log.warning("no snapshot was made after commit %d: %s", number, error)


def after_reading(place: Place, meta: Meta, store: Store, before: int, now: int) -> None:
    """Forget what need not be known, where commits of others were read, so that an index does not grow with the log."""
    if meta.snapshot_every and before // meta.snapshot_every < now // meta.snapshot_every:
        try:
            trim_index(place, meta, store)
        except (TransportError, StoreError) as error:
            _log.warning("the index did not forget what need not be known: %s", error)


def trim_index(place: Place, meta: Meta, store: Store) -> None:
    """`trim` by the fence that counts, in a transaction of its own."""
    fence = last_fence(place)
    with store.transaction(write=True) as transaction:
        trim(transaction, meta.remembers, fence)


def pays(head: Head, newest: Manifest | None) -> bool:
    """Whether the commits since the newest snapshot are about as much to read as a new one.

    So a change costs a constant number of lines in snapshots, however many records there are: a new snapshot holds
    at most what the newest one holds, and a row and an operation for each change since.
    """
    if newest is None:
        return True
    since = head.changes - newest.changes + COMMIT_WEIGHT * (head.number - newest.number)
    return head.number > newest.number and since >= newest.lines


def _newest(place: Place, meta: Meta) -> Manifest | None:
    """The newest manifest that can be read, whole or not."""
    for number in reversed(names.numbers(SNAPSHOTS, place.names(SNAPSHOTS))):
        content = place.read(manifest_name(number))
        try:
            if content is not None:
                return read_manifest(content, number, meta.id)
        except RemoteDamaged as error:
            _log.warning("a snapshot is damaged: %s", error)
    return None


def make(place: Place, meta: Meta, store: Store) -> Manifest | None:
    """Make a snapshot of an index; None if there is one of this commit. Raises what the place and the store raise."""
    with store.transaction(write=False) as transaction:
        head, counters = read_head(transaction), layout.read_meta(transaction)
        if place.read(manifest_name(head.number)) is not None:
            return None
        tally = _Tally()
        parts = [
            _part(place, head.number, chunk)
            for chunk in _chunks(tally.counted(index.lines(transaction, head)))
        ]
    manifest = Manifest(
        remote=meta.id, number=head.number, commit=head.hash, sequence=counters.sequence, clock=counters.clock,
        changes=head.changes, operations=tally.operations, tables=tally.tables, fences=counters.fences, parts=parts,
    )  # fmt: skip
    return manifest if place.create(manifest_name(head.number), write_manifest(manifest)) else None


class _Tally:
    """Counts lines on their way."""

    def __init__(self) -> None:
        self.operations = 0
        self.tables: dict[str, Counts] = {}

    def counted(self, found: Iterable[Row | Known]) -> Iterator[Row | Known]:
        for line in found:
            if isinstance(line, Known):
                self.operations += 1
            else:
                counts = self.tables.get(line.table, Counts())
                self.tables[line.table] = Counts(
                    counts.live + (not line.deleted), counts.deleted + line.deleted
                )
            yield line


def _chunks(found: Iterable[Row | Known]) -> Iterator[list[bytes]]:
    """The lines of one part after another."""
    chunk, size = list[bytes](), 0
    for line in map(line_of, found):
        chunk.append(line)
        size += len(line) + 1
        if size >= PART_SIZE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _part(place: Place, number: int, chunk: list[bytes]) -> Part:
    content = with_checksum(chunk)
    part = Part(digest=digest(content), size=len(content), lines=len(chunk))
    # If it is there it is the same: its name is its hash.
    _ = place.create(part_name(number, part.digest), content)
    return part
