"""Compaction of a remote's log: a fence, and behind it nothing.

The order of its steps makes it safe beside readers and writers, to be killed anywhere, and to run twice at once:

1. A snapshot of the commit where the log shall begin is made, if there is none, and read back with all checks.
2. The fence is created. From now on whoever begins does so at that snapshot, or a later one; and a writer that wins a
   number looks for fences once more, so that none of them commits behind it.
3. Only then is deleted what lies before the fence: commits from the oldest on, so that a reader who is under way finds
   a gap and not the end; then older snapshots, with what killed writers left of them; then older fences.

Each step is right by itself. The next compaction finishes what one left that was killed, also if there is nothing new.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from tidesync.contracts.store import Store
from tidesync.errors import ConfigurationError, RemoteDamaged
from tidesync.query import Query
from tidesync.transports.files import names, snapshots
from tidesync.transports.files.format import Commit, Fence, Meta, read_commit, write_fence
from tidesync.transports.files.lines import digest
from tidesync.transports.files.looking import Scratch, find, foreign_folders, is_number
from tidesync.transports.files.names import (
    FENCES,
    FOLDERS,
    LOG,
    ROOT,
    SNAPSHOTS,
    commit_name,
    fence_name,
    manifest_name,
    part_name,
    parts_folder,
)
from tidesync.transports.files.place import Place
from tidesync.transports.layout import DEAD

_ATTEMPTS: Final = 5


@attrs.frozen(kw_only=True)
class Compaction:
    """What a compaction did.

    `fence`: the number of the commit after which the log now begins, 0 if it begins with the first one. `commits`,
    `snapshots` and `others`: how many commits, manifests of snapshots, and other files (parts, fences, what dead
    writers left) were deleted. `tombstones`: how many tombstones are in no snapshot from now on.
    """

    fence: int
    commits: int = 0
    snapshots: int = 0
    others: int = 0
    tombstones: int = 0


def compact(place: Place, scratch: Store, *, keep: float) -> Compaction:
    """Let the log begin with the newest commit that is at least `keep` seconds older than the last one.

    Commits before that go, with older snapshots; and tombstones of then, so that a cursor from before is no good any
    more (`ResyncRequired`). Time is by the log's own moments. What is needed to know operation ids stays.

    `scratch` is an empty store to work on, in memory or, where there are many records, in a file; it is opened and
    closed. A compaction may run at any time, and beside others. Raises `ConfigurationError` where there is no remote,
    what the place and the store raise, and `RemoteDamaged`: then nothing was deleted.
    """
    if not keep >= 0:
        raise ConfigurationError(f"keep is seconds from 0 on, not {keep!r:.60}")
    meta, meta_hash = find(place)
    _check_names(place)
    filled, made, tombstones = Scratch(place, meta, meta_hash, scratch), 0, 0
    try:
        for _ in range(_ATTEMPTS):
            fence = snapshots.last_fence(place)
            try:
                number = _beginning(place, meta, fence, keep)
                if number > fence:
                    made, tombstones = number, _fence(place, filled, number)
                break
            except RemoteDamaged:
                # Somebody else's compaction may have deleted what was being read.
                if snapshots.last_fence(place) <= fence:
                    raise
    finally:
        scratch.close()
    return _deleted(place, meta, made, tombstones)


def _check_names(place: Place) -> None:
    """Raise `RemoteDamaged` where anything lies that does not belong: then it is not touched."""
    for folder in (ROOT, *FOLDERS):
        if odd := foreign_folders(folder, place.folders(folder)):
            raise names.foreign(folder, odd[0])
    for folder in FOLDERS:
        _ = names.numbers(folder, place.names(folder))
    for folder in filter(is_number, place.folders(SNAPSHOTS)):
        _ = names.digests(int(folder), place.names(parts_folder(int(folder))))


def _beginning(place: Place, meta: Meta, fence: int, keep: float) -> int:
    """The number of the commit that shall be the fence's; the present one if there is no better."""
    found = [number for number in names.numbers(LOG, place.names(LOG)) if number > fence]
    if not found:
        return fence
    before = snapshots.earlier(_commit(place, meta, found[-1]).at, keep)
    low, high = 0, len(found)  # `low` of them are old enough, from `high` on none is
    while low < high:
        middle = (low + high) // 2
        if keep == 0 or _commit(place, meta, found[middle]).at <= before:
            low = middle + 1
        else:
            high = middle
    for number in reversed(found[:low]):
        if _is_free(place, meta, number):
            return number
    return fence


def _commit(place: Place, meta: Meta, number: int) -> Commit:
    content = place.read(commit_name(number))
    if content is None:
        raise snapshots.missing(commit_name(number))
    return read_commit(content, number, meta.id)


def _is_free(place: Place, meta: Meta, number: int) -> bool:
    """Whether a commit can have a whole snapshot: where there is a damaged one, its name is taken for ever."""
    if place.read(manifest_name(number)) is None:
        return True
    try:
        _check_whole(place, meta, number)
    except RemoteDamaged:
        return False
    return True


def _check_whole(place: Place, meta: Meta, number: int) -> None:
    """Read all of a snapshot. Raises `RemoteDamaged`."""
    for _ in snapshots.lines(place, snapshots.manifest_in(place, meta, number)):
        pass


def _fence(place: Place, scratch: Scratch, number: int) -> int:
    """Make the fence, once there is a snapshot that is whole; how many tombstones are not in that."""
    meta = scratch.meta
    _ = snapshots.begin(place, meta, scratch.load, upto=number)
    _ = scratch.read_on(number)
    before = _tombstones(scratch)
    with scratch.store.transaction(write=True) as transaction:
        snapshots.trim(transaction, meta.remembers, number)
    made = snapshots.make(place, meta, scratch.store)
    gone = before - _tombstones(scratch) if made is not None else 0
    _check_whole(place, meta, number)
    content = place.read(manifest_name(number))
    if content is None:
        raise snapshots.missing(manifest_name(number))
    # One that is there already is of the same snapshot: its name is taken once.
    fence = Fence(remote=meta.id, number=number, snapshot=digest(content))
    _ = place.create(fence_name(number), write_fence(fence))
    return gone


def _tombstones(scratch: Scratch) -> int:
    with scratch.store.transaction(write=False) as transaction:
        return sum(transaction.count(Query(table, DEAD)) for table in scratch.head.tables)


def _deleted(place: Place, meta: Meta, made: int, tombstones: int) -> Compaction:
    """Delete what lies before the fence, and what dead writers left; `made` is the fence that was made just now."""
    fence = snapshots.last_fence(place)
    commits = _before(place, LOG, fence)
    manifests = _before(place, SNAPSHOTS, fence)
    others = [*_parts(place, fence), *map(fence_name, _before(place, FENCES, fence))]
    if fence != made and (commits or manifests or others):
        # Whoever made it may have been killed long ago; nothing goes that would be missed since.
        _check_whole(place, meta, fence)
    for name in (*map(commit_name, commits), *map(manifest_name, manifests), *others):
        place.delete(name)
    return Compaction(
        fence=fence, commits=len(commits), snapshots=len(manifests), others=len(others) + place.sweep(),
        tombstones=tombstones,
    )  # fmt: skip


def _before(place: Place, folder: str, fence: int) -> list[int]:
    return [number for number in names.numbers(folder, place.names(folder)) if number < fence]


def _parts(place: Place, fence: int) -> Iterator[str]:
    """The parts of snapshots before the fence, with and without a manifest."""
    for folder in place.folders(SNAPSHOTS):
        if is_number(folder) and int(folder) < fence:
            for each in names.digests(int(folder), place.names(parts_folder(int(folder)))):
                yield part_name(int(folder), each)
