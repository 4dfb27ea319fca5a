"""Whether a remote in a folder or bucket is whole: everything is read and checked, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TypeAlias

import attrs

from tidesync.contracts.store import Store, StoreTransaction
from tidesync.errors import RemoteDamaged
from tidesync.records import same
from tidesync.transports import layout
from tidesync.transports.files import index, names, snapshots
from tidesync.transports.files.format import Commit, Fence, Meta, read_commit, read_fence, read_meta
from tidesync.transports.files.index import Head
from tidesync.transports.files.lines import digest
from tidesync.transports.files.looking import BYTES_AT_ONCE, Scratch, foreign_folders, is_number, no_remote
from tidesync.transports.files.names import (
    FENCES,
    FOLDERS,
    LOG,
    META,
    ROOT,
    SNAPSHOTS,
    TEMPORARY,
    commit_name,
    fence_name,
    manifest_name,
    part_name,
    parts_folder,
)
from tidesync.transports.files.parts import Known, Manifest, Row, place_of, read_manifest
from tidesync.transports.files.place import Place
from tidesync.transports.files.reading import read_all
from tidesync.transports.strict import Malformed, Members, parse

_Line: TypeAlias = Row | Known


@attrs.frozen
class Damage:
    """A file that is not as it was written, and what is wrong with it."""

    file: str
    reason: str


@attrs.frozen(kw_only=True)
class Verification:
    """What was found. Nothing was changed.

    `remote` is the remote's id, "unknown" if no file tells it. `commits`, `changes` and `snapshots` are how many were
    read that are whole; `fence` is the number of the commit with whose snapshot the log begins, 0 if it begins with the
    first commit. `damages` is all that was found. `leftovers` are files that do no harm, and that a compaction deletes:
    what lies before the fence, and what writers left that were killed.
    """

    remote: str
    commits: int
    changes: int
    snapshots: int
    fence: int
    damages: tuple[Damage, ...]
    leftovers: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages


def verify(place: Place, scratch: Store) -> Verification:
    """Read all of a remote, and check every hash, number, count and order; also each snapshot against the log.

    `scratch` is an empty store to work on, in memory or, where there are many records, in a file; it is opened and
    closed. What is damaged is told, and what comes after it is checked all the same, as far as that can be.
    Raises `ConfigurationError` where there is no remote, and what the place and the store raise. A compaction that runs
    meanwhile may look like damage.
    """
    content, damages = None, list[Damage]()
    try:
        content = place.read(META)
        if content is None:
            raise snapshots.missing(META)
        meta = read_meta(content)
    except RemoteDamaged as error:
        damages.append(Damage(error.file, error.reason))
        meta = Meta(id=_remote_of(place))
    known = content is not None and not damages
    meta_hash = digest(content) if content is not None and known else ""
    filled = Scratch(place, meta, meta_hash, scratch)
    try:
        return _Look(place, meta, filled, damages, meta_hash or None).all()
    finally:
        scratch.close()


def _remote_of(place: Place) -> str:
    """The id of a remote whose meta.json does not tell it: what its last commit says."""
    with suppress(RemoteDamaged):
        if place.read(META) is None and not any(map(place.names, FOLDERS)):
            raise no_remote(place)
    found = list[str]()
    with suppress(RemoteDamaged):
        found = place.names(LOG)
    for number in reversed([number for number in map(names.number_of, found) if number]):
        with suppress(Malformed, RemoteDamaged):
            content = place.read(commit_name(number)) or b""
            if remote := Members(parse(content.partition(b"\n")[0])).text("remote"):
                return remote
    return "unknown"


class _Look:
    """One look at all of a remote. `at` is the commit that the index is at, None where it is at none for sure."""

    def __init__(
        self, place: Place, meta: Meta, scratch: Scratch, damages: list[Damage], meta_hash: str | None
    ) -> None:
        self.place, self.meta, self.scratch, self.damages = place, meta, scratch, damages
        self.leftovers: list[str] = []
        self.commits = self.changes = self.snapshots = self.fence = 0
        self.at: int | None = 0
        self.previous: str | None = meta_hash  # of the commit before; None where that is not known
        self.clock = ""
        self.batch: list[tuple[Commit, str]] = []
        self.size = 0

    def all(self) -> Verification:
        """Look at everything."""
        self.root()
        fence = self.last_fence()
        manifests = self.manifests(fence)
        self.parts(manifests)
        self.log(manifests)
        return Verification(
            remote=self.meta.id, commits=self.commits, changes=self.changes, snapshots=self.snapshots,
            fence=self.fence, damages=tuple(self.damages), leftovers=tuple(self.leftovers),
        )  # fmt: skip

    def damaged(self, file: str, reason: str) -> None:
        """Note a damage."""
        self.damages.append(Damage(file, reason))

    def wrong(self, error: RemoteDamaged) -> None:
        """Note what reading found."""
        self.damaged(error.file, error.reason)

    # ---- names

    def root(self) -> None:
        """What lies beside the remote's own folders."""
        for name in self.listed(ROOT):
            if name != META:
                self.wrong(names.foreign(ROOT, name))
        for folder in (ROOT, *FOLDERS):
            for name in foreign_folders(folder, self.within(self.place.folders, folder)):
                self.wrong(names.foreign(folder, name))

    def within(self, names_in: Callable[[str], list[str]], folder: str) -> list[str]:
        """What there is in a folder; nothing if it is none, which is a damage."""
        try:
            return names_in(folder)
        except RemoteDamaged as error:
            if Damage(error.file, error.reason) not in self.damages:
                self.wrong(error)
            return []

    def listed(self, folder: str) -> list[str]:
        """The names in a folder that count; what is unfinished is left over."""
        found = self.within(self.place.names, folder)
        start = f"{folder}/" if folder else ""
        self.leftovers += [f"{start}{name}" for name in found if name.startswith(TEMPORARY)]
        return [name for name in found if not names.is_ignored(name)]

    def numbers(self, folder: str) -> list[int]:
        """The numbers in a folder, in order; each name that is none is a damage."""
        found: list[int] = []
        for name in self.listed(folder):
            try:
                found += names.numbers(folder, [name])
            except RemoteDamaged as error:
                self.wrong(error)
        return found

    # ---- fences and snapshots

    def last_fence(self) -> Fence | None:
        """The fence that counts, if it can be read; those before it are left over."""
        found = self.numbers(FENCES)
        self.leftovers += map(fence_name, found[:-1])
        if not found:
            return None
        self.fence, self.at, self.previous = found[-1], None, None
        try:
            return read_fence(self.read(fence_name(self.fence)), self.fence, self.meta.id)
        except RemoteDamaged as error:
            self.wrong(error)
            return None

    def manifests(self, fence: Fence | None) -> dict[int, Manifest | None]:
        """The manifests from the fence on, by number; None for one that is damaged."""
        found: dict[int, Manifest | None] = {}
        for number in self.numbers(SNAPSHOTS):
            name = manifest_name(number)
            if number < self.fence:
                self.leftovers.append(name)
                continue
            found[number] = None
            try:
                content = self.read(name)
                found[number] = read_manifest(content, number, self.meta.id)
                if fence is not None and number == fence.number and digest(content) != fence.snapshot:
                    self.damaged(name, "it is not the snapshot that the fence names")
            except RemoteDamaged as error:
                self.wrong(error)
        if self.fence and self.fence not in found:
            self.wrong(snapshots.missing(manifest_name(self.fence)))
        return found

    def parts(self, manifests: dict[int, Manifest | None]) -> None:
        """Parts that no manifest lists are left over; those that one lists are read with it."""
        for folder in self.within(self.place.folders, SNAPSHOTS):
            number = int(folder) if is_number(folder) else 0
            if not number:
                continue  # foreign
            manifest = manifests.get(number)
            listed = {part.digest for part in manifest.parts} if manifest is not None else set[str]()
            for name in self.listed(parts_folder(number)):
                try:
                    [found] = names.digests(number, [name])
                except RemoteDamaged as error:
                    self.wrong(error)
                    continue
                # Where a manifest is damaged, its parts may be of use to whoever mends it.
                if found not in listed and (manifest is not None or number not in manifests):
                    self.leftovers.append(part_name(number, found))

    # ---- the log

    def log(self, manifests: dict[int, Manifest | None]) -> None:
        """Every commit from the fence on, and between them each snapshot where its commit is."""
        found = self.numbers(LOG)
        self.leftovers += [commit_name(number) for number in found if number < self.fence]
        counted = {number for number in found if number >= self.fence}
        contents = self.contents([commit_name(number) for number in sorted(counted)])
        expected = self.fence or 1
        for number in sorted(counted | manifests.keys()):
            if number > expected or number not in counted:
                self.gap(expected, number if number not in counted else number - 1)
            expected = number + 1
            if number in counted:
                self.commit(number, next(contents))
            manifest = manifests.get(number)
            if manifest is not None:
                self.snapshot(manifest)
        self.flush()
        if self.fence and expected == self.fence:
            self.gap(self.fence, self.fence)

    def gap(self, first: int, last: int) -> None:
        """Some commits are not there."""
        more = "" if first == last else f", and so are all up to {last}"
        self.damaged(commit_name(first), f"it is missing{more}: bring it back from a copy")
        self.flush()
        self.at = self.previous = None

    def contents(self, files: list[str]) -> Iterator[bytes | RemoteDamaged | None]:
        """What these files hold, one after another; of one that is no file, what is wrong with it."""
        done = 0
        while done < len(files):
            try:
                for content in read_all(self.place, files[done:]):
                    done += 1
                    yield content
            except RemoteDamaged as error:
                done += 1
                yield error

    def commit(self, number: int, content: bytes | RemoteDamaged | None) -> None:
        """One commit: what it says, whether it follows the one before, and what it makes of the tables."""
        name, previous = commit_name(number), self.previous
        if content is None:
            self.gap(number, number)
            return
        self.previous = None  # what is torn has another hash than it had
        try:
            if isinstance(content, RemoteDamaged):
                raise content
            commit = read_commit(content, number, self.meta.id)
            self.previous = digest(content)
            if previous is not None and commit.previous != previous:
                raise RemoteDamaged(name, f"it does not follow the commit {number - 1} that is there")
            if commit.at < self.clock:
                raise RemoteDamaged(name, "its moment is before that of the commit before")
        except RemoteDamaged as error:
            self.wrong(error)
            self.flush()
            self.at = None
            return
        self.clock = commit.at
        self.commits += 1
        self.changes += len(commit.changes)
        if self.at == number - 1:
            self.batch.append((commit, self.previous))
            self.at, self.size = number, self.size + len(content)
            if self.size > BYTES_AT_ONCE:
                self.flush()
        elif number != self.fence:
            self.at = None

    def flush(self) -> None:
        """Apply what was read."""
        _ = self.scratch.apply(self.batch)
        self.batch, self.size = [], 0

    def snapshot(self, manifest: Manifest) -> None:
        """One snapshot: all of its parts, and whether it is what the log made of the tables."""
        self.flush()
        number, before = manifest.number, len(self.damages)
        if self.previous is not None and manifest.commit != self.previous:
            self.damaged(manifest_name(number), f"it is of another commit {number} than there is")
        found = snapshots.lines(self.place, manifest)
        try:
            if self.at == number:
                with self.scratch.store.transaction(write=False) as transaction:
                    odd = unlike(transaction, self.scratch.head, self.meta, manifest, found)
                if odd is not None:
                    self.damaged(manifest_name(number), f"it is not what the log makes of the tables: {odd}")
            else:
                _ = self.scratch.load(manifest, found)
                self.at = number
        except RemoteDamaged as error:
            self.wrong(error)
        self.snapshots += len(self.damages) == before

    def read(self, name: str) -> bytes:
        """A file that was listed."""
        content = self.place.read(name)
        if content is None:
            raise snapshots.missing(name)
        return content


def unlike(
    transaction: StoreTransaction, head: Head, meta: Meta, manifest: Manifest, found: Iterable[_Line]
) -> str | None:
    """The first thing in which a snapshot is not what an index at its commit holds; None if there is none.

    Either may have forgotten more than the other, of what may be forgotten. Raises `RemoteDamaged`, as `lines` does.
    """
    counters = layout.read_meta(transaction)
    told = manifest.sequence, manifest.clock, manifest.changes
    if told != (counters.sequence, counters.clock, head.changes):
        return "its sequence, clock or number of changes is another"
    since = snapshots.known_from(transaction, counters.clock, meta.remembers) or ""

    def forgotten(line: _Line, fences: Mapping[str, int]) -> bool:
        if isinstance(line, Known):
            return line.at < since
        return line.deleted and line.sequence <= fences.get(line.table, 0)

    for mine, its in _side_by_side(index.lines(transaction, head), found):
        if its is None and mine is not None and not forgotten(mine, manifest.fences):
            return f"{_called(mine)} is missing"
        if mine is None and its is not None and not forgotten(its, counters.fences):
            return f"{_called(its)} is there, and should not be"
        if mine is not None and its is not None and not _alike(mine, its):
            return f"{_called(its)} is another"
    return None


def _side_by_side(mine: Iterator[_Line], its: Iterable[_Line]) -> Iterator[tuple[_Line | None, _Line | None]]:
    """Lines of two that are both in order, with the one of the same place where there is one."""
    others = iter(its)
    one, other = next(mine, None), next(others, None)
    while one is not None or other is not None:
        if other is None or (one is not None and place_of(one) < place_of(other)):
            yield one, None
            one = next(mine, None)
        elif one is None or place_of(other) < place_of(one):
            yield None, other
            other = next(others, None)
        else:
            yield one, other
            one, other = next(mine, None), next(others, None)


def _alike(one: _Line, other: _Line) -> bool:
    """Whether two lines are the same, values by their type."""
    if not isinstance(one, Row) or not isinstance(other, Row):
        return one == other
    return attrs.evolve(one, record={}) == attrs.evolve(other, record={}) and same(one.record, other.record)


def _called(line: _Line) -> str:
    return f"operation {line.operation!a}" if isinstance(line, Known) else f"{line.table}/{line.id!a}"
