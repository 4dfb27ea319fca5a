"""What a remote in a folder or bucket is, in figures; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tidesync.contracts.store import Store
from tidesync.query import Query
from tidesync.transports import layout
from tidesync.transports.files import names, snapshots
from tidesync.transports.files.format import Meta, read_commit
from tidesync.transports.files.lines import FORMAT
from tidesync.transports.files.looking import Scratch, find, is_number
from tidesync.transports.files.names import FOLDERS, LOG, ROOT, SNAPSHOTS, commit_name, parts_folder
from tidesync.transports.files.parts import Counts
from tidesync.transports.files.place import Place
from tidesync.transports.files.replica import Replica
from tidesync.transports.layout import DEAD, LIVE, REMEMBERED


@attrs.frozen(kw_only=True)
class Info:
    """A remote in figures.

    `remote` is its id, `format` that of its files; `remembers` (seconds) and `snapshot_every` (commits) are what it was
    made with. `commits` is the number of the last commit, and `changes` counts those of all commits. `first` and `last`
    are the moments of the oldest commit that is in the log and of the newest one, canonical text, None without one.
    `fence` is the number of the commit with whose snapshot the log begins, 0 if it begins with the first commit;
    `snapshots` are the numbers of those from there on. `files` and `sizes` tell how many files there are, and how many
    bytes, by folder ("" is meta.json). `tables` counts live records and tombstones by table, `operations` the
    operations that are known when they are sent again.
    """

    remote: str
    format: int
    remembers: int
    snapshot_every: int
    commits: int
    changes: int
    first: str | None
    last: str | None
    fence: int
    snapshots: tuple[int, ...]
    files: Mapping[str, int]
    sizes: Mapping[str, int]
    tables: Mapping[str, Counts]
    operations: int


def info(place: Place, scratch: Store) -> Info:
    """Read a remote as somebody does who comes for the first time, and count what there is.

    `scratch` is an empty store to work on, in memory or, where there are many records, in a file; it is opened and
    closed. Raises `ConfigurationError` where there is no remote, `RemoteDamaged`, and what place and store raise.
    """
    meta, meta_hash = find(place)
    filled = Scratch(place, meta, meta_hash, scratch)
    try:
        head = Replica(place, meta, scratch, filled.authority).catch_up()
        fence = snapshots.last_fence(place)
        with scratch.transaction(write=True) as transaction:
            snapshots.trim(transaction, meta.remembers, fence)
            tables = {
                table: Counts(transaction.count(Query(table, LIVE)), transaction.count(Query(table, DEAD)))
                for table in head.tables
            }
            operations = transaction.count(Query(REMEMBERED))
            clock = layout.read_meta(transaction).clock
    finally:
        scratch.close()
    log = [number for number in names.numbers(LOG, place.names(LOG)) if number >= fence]
    made = [number for number in names.numbers(SNAPSHOTS, place.names(SNAPSHOTS)) if number >= fence]
    sizes = _sizes(place)
    return Info(
        remote=meta.id, format=FORMAT, remembers=meta.remembers, snapshot_every=meta.snapshot_every,
        commits=head.number, changes=head.changes, first=_moment(place, meta, log[0]) if log else None,
        last=clock or None, fence=fence, snapshots=tuple(made),
        files={folder: len(found) for folder, found in sizes.items()},
        sizes={folder: sum(found) for folder, found in sizes.items()}, tables=tables, operations=operations,
    )  # fmt: skip


def _moment(place: Place, meta: Meta, number: int) -> str | None:
    content = place.read(commit_name(number))
    return None if content is None else read_commit(content, number, meta.id).at


def _sizes(place: Place) -> dict[str, list[int]]:
    """The sizes of all files, by folder; those of the parts with the snapshots."""
    found = {folder: _counted(place, folder) for folder in (ROOT, *FOLDERS)}
    for folder in place.folders(SNAPSHOTS):
        if is_number(folder):
            found[SNAPSHOTS] += _counted(place, parts_folder(int(folder)))
    return found


def _counted(place: Place, folder: str) -> list[int]:
    return [size for name, size in place.sizes(folder).items() if not names.is_ignored(name)]
