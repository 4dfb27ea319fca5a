"""Looking at a remote without taking part in it: what is read by who checks it, and by who makes its log shorter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tidesync.contracts.store import Store
from tidesync.errors import ConfigurationError, RemoteDamaged
from tidesync.transports.authority import Authority
from tidesync.transports.files import index, names, snapshots
from tidesync.transports.files.format import Commit, Meta, read_meta
from tidesync.transports.files.index import HEAD, Head
from tidesync.transports.files.lines import digest
from tidesync.transports.files.log import Log
from tidesync.transports.files.names import FOLDERS, META, ROOT, SNAPSHOTS
from tidesync.transports.files.parts import Known, Manifest, Row
from tidesync.transports.files.place import Place

COMMITS_AT_ONCE: Final = 1000
BYTES_AT_ONCE: Final = 8_000_000
"""What is read before it is applied, in one transaction."""


def find(place: Place) -> tuple[Meta, str]:
    """The remote in a place, and the hash of its meta.json.

    Raises `ConfigurationError` where there is none, `RemoteDamaged` where it has lost its meta.json.
    """
    content = place.read(META)
    if content is not None:
        return read_meta(content), digest(content)
    if any(not names.is_ignored(name) for folder in FOLDERS for name in place.names(folder)):
        raise RemoteDamaged(META, "it is missing, though there are commits: bring it back from a copy")
    raise no_remote(place)


def no_remote(place: Place) -> ConfigurationError:
    """The error for a place where none of a remote's files is."""
    return ConfigurationError(f"{place!r} holds no remote: there is no {META}; is it the right target?")


class Scratch:
    """An index on a store that is empty, filled from a remote's files as far as is wanted."""

    def __init__(self, place: Place, meta: Meta, meta_hash: str, store: Store) -> None:
        self.place, self.meta, self.store = place, meta, store
        store.open([HEAD])
        with store.transaction(write=False) as transaction:
            if index.find_head(transaction) is not None:
                raise ConfigurationError(
                    f"{store!r:.200} is in use: give an empty store, which is not needed later"
                )
        self.authority = Authority(store, (), identity=meta.id, epoch=meta.id.replace("-", "")).open()
        self.head: Head = Head(remote=meta.id, meta=meta_hash, hash=meta_hash)
        with store.transaction(write=True) as transaction:
            index.write_head(transaction, self.head)

    def load(self, manifest: Manifest, lines: Iterable[Row | Known] | None = None) -> Head:
        """Put a snapshot in the place of what is here, or leave that as it is and raise `RemoteDamaged`."""
        index.open_tables(self.store, manifest.tables)
        with self.store.transaction(write=True) as transaction:
            found = snapshots.lines(self.place, manifest) if lines is None else lines
            self.head = index.load(transaction, self.head, manifest, found)
        return self.head

    def apply(self, commits: Sequence[tuple[Commit, str]]) -> Head:
        """Apply the next commits, each with the hash of its file."""
        if commits:
            index.open_tables(self.store, {entry.table for commit, _ in commits for entry in commit.changes})
            with self.store.transaction(write=True) as transaction:
                self.head = index.apply(transaction, self.head, commits)
        return self.head

    def read_on(self, last: int) -> Head:
        """Read and apply commits up to this one. Raises `RemoteDamaged`."""
        for batch in _batches(Log(self.place, self.meta).commits(self.head, last)):
            _ = self.apply(batch)
        return self.head


def _batches(commits: Iterable[tuple[Commit, str, int]]) -> Iterator[list[tuple[Commit, str]]]:
    batch, size = list[tuple[Commit, str]](), 0
    for commit, its_hash, its_size in commits:
        batch.append((commit, its_hash))
        size += its_size
        if len(batch) == COMMITS_AT_ONCE or size > BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    yield batch


def foreign_folders(folder: str, inside: Iterable[str]) -> list[str]:
    """Of the folders inside one of the remote, those that do not belong there."""
    found = [name for name in inside if not names.is_ignored(name)]
    if folder == ROOT:
        return [name for name in found if name not in FOLDERS]
    return [name for name in found if folder != SNAPSHOTS or not is_number(name)]


def is_number(name: str) -> bool:
    """Whether this is the name of the folder of a snapshot's parts."""
    return len(name) == 20 and name.isascii() and name.isdigit() and 1 <= int(name) <= names.LAST_NUMBER
