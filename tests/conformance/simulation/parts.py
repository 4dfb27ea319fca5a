"""Parts that users bring into a world: sound ones, and ones with a small, believable mistake."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast
from uuid import UUID

import attrs

from tidesync import table
from tidesync.conflicts import Conflict, KeepRemote, Merge, Resolution, keep_local
from tidesync.contracts.store import StoreCapabilities
from tidesync.contracts.transport import Anything, Applied, Change, Outcome, Page, PullRequest, Rejected
from tidesync.records import Copy, Record, alive, content_of
from tidesync.rules.merge import merge_contents
from tidesync.stores.memory import MemoryStore, MemoryTransaction
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@attrs.define
class Shelf:
    id: str
    room: UUID
    size: Size = Size.SMALL


@attrs.define
class Book:
    id: str
    shelf_id: str
    title: str = ""
    price: Decimal | None = None
    bought: date | None = None
    read_at: datetime | None = None
    tags: list[str] = attrs.Factory(list)
    cover: bytes = b""


@attrs.define
class Loan:
    id: str
    book_id: str | None = None
    shelf_id: str | None = None
    days: int = 0


SHELVES = table(Shelf, references={})
BOOKS = table(Book, references={"shelf_id": SHELVES}, rename={"shelf_id": "shelfId"})
LOANS = table(Loan, references={"book_id": BOOKS, "shelf_id": SHELVES})
LIBRARY = [SHELVES, BOOKS, LOANS]

# ---- policies


def merging(conflict: Conflict) -> Resolution:
    """Field by field, said as a record; a delete wins over an edit."""
    local, remote = content_of(conflict.local), content_of(conflict.remote)
    if local is None:
        return keep_local(conflict)
    if remote is None:
        return KeepRemote()
    return Merge(merge_contents(content_of(conflict.base), local, remote))


def forgets_deletes(conflict: Conflict) -> Resolution:
    """Takes both sides for records."""
    return Merge({**conflict.local, **conflict.remote})  # type: ignore[dict-item]


def overlays(conflict: Conflict) -> Resolution:
    """Puts what is here over what is there, base or no base: the other's edits go."""
    if conflict.local is None or not alive(conflict.remote):
        return KeepRemote()
    return Merge({**conflict.remote, **(content_of(conflict.local) or {})})


def writes_into_it(conflict: Conflict) -> Resolution:
    """Merges into the very record that it was shown."""
    if conflict.local is None or not alive(conflict.remote):
        return KeepRemote()
    conflict.remote["text"] = conflict.local.get("text")
    return Merge(conflict.remote)


def answers_nothing(conflict: Conflict) -> Resolution:
    """Forgets to return."""
    return None  # type: ignore[return-value]


def another_id(conflict: Conflict) -> Resolution:
    """Merges into a copy with an id of its own."""
    if conflict.local is None:
        return KeepRemote()
    return Merge({**conflict.local, "id": f"{conflict.record_id}-copy"})


# ---- stores


class _Forgetful(MemoryTransaction):
    """Of several records that are put at once the last is forgotten."""

    def put(self, table: str, records: Sequence[Record]) -> None:
        super().put(table, records[:-1] if len(records) > 1 and not table.startswith("__") else records)


class _Emptying(MemoryTransaction):
    """Empty text becomes null."""

    def put(self, table: str, records: Sequence[Record]) -> None:
        super().put(
            table, [{name: None if value == "" else value for name, value in row.items()} for row in records]
        )


class _Committing(MemoryTransaction):
    """What was written before an exception stays."""

    def __exit__(self, *_: object) -> None:
        super().__exit__(None, None, None)


class _First(MemoryTransaction):
    """Of several ids to delete the first one goes, and all are counted."""

    def delete(self, table: str, ids: Sequence[str]) -> int:
        return super().delete(table, ids[:1]) + len(ids[1:])


def memory_with(transaction: type[MemoryTransaction]) -> Callable[[Path], MemoryStore]:
    """A memory store whose transactions are others."""

    class Store(MemoryStore):
        def transaction(self, *, write: bool) -> MemoryTransaction:
            return transaction(self, write)

    return lambda folder: Store()


class Buffered(MemoryStore):
    """Calls itself durable, and writes to its folder only now and then."""

    capabilities = StoreCapabilities(durable=True)
    kept: ClassVar[dict[Path, dict[str, dict[str, Record]]]] = {}

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.commits = folder, 0

    def open(self, tables: Sequence[Any]) -> None:
        super().open(tables)
        for name, rows in self.kept.get(self.folder, {}).items():
            self.tables[name].update(rows)

    def transaction(self, *, write: bool) -> MemoryTransaction:
        self.commits += 1
        if self.commits % 10 == 0:
            self.kept[self.folder] = {name: dict(rows) for name, rows in self.tables.items()}
        return super().transaction(write=write)


STORES: dict[str, Callable[[Path], Any]] = {
    "forgets the last of several": memory_with(_Forgetful),
    "keeps empty text as null": memory_with(_Emptying),
    "does not roll back": memory_with(_Committing),
    "deletes the first of several": memory_with(_First),
    "durable now and then": Buffered,
}


def on_disk(folder: Path) -> SQLiteStore:
    """A SQLite file in the device's folder."""
    return SQLiteStore(folder / "device.db")


# ---- remotes


def authority(*tables: Any, **options: Any) -> Authority:
    """A sound remote, whose clock stands."""
    return Authority(MemoryStore(), tables, clock=lambda: 1_750_000_000.0, **options)


class _Dropping(LoopbackTransport):
    """Of each full batch, the last change is acknowledged and not made."""

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        if len(changes) < 2:
            return super().push(changes)
        return [*super().push(changes[:-1]), Applied("9.0", changes[-1].record)]


class _Blind(LoopbackTransport):
    """Forgets ids of operations, and what they expect: the last writer wins."""

    sent = 0

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        type(self).sent += 1
        return super().push(
            [attrs.evolve(each, id=f"{self.sent}-{each.id}", expected=Anything()) for each in changes]
        )


class _Short(LoopbackTransport):
    """Leaves the last record of a full page out, and moves the cursor past it."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        full = request.incremental and len(page.records) >= request.limit
        return attrs.evolve(page, records=page.records[:-1]) if full else page


class _Deaf(LoopbackTransport):
    """Tells nobody of deletes."""

    def pull(self, request: PullRequest, /) -> Page:
        return attrs.evolve(super().pull(request), tombstones={})


class _Denying(LoopbackTransport):
    """A new record is made, and called refused."""

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        outcomes = super().push(changes)
        return [
            Rejected("created", "201 is no 200") if each.kind == "insert" else outcome
            for each, outcome in zip(changes, outcomes, strict=True)
        ]


def remote_with(transport: type[LoopbackTransport], *tables: Any) -> Callable[[], Callable[[], Any]]:
    """A remote whose clients are these."""
    return lambda: partial(transport, authority(*tables))


class Tagged(LoopbackTransport):
    """Its versions are tags, in which nobody can read what is newer."""

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        bare = [attrs.evolve(each, expected=_with_version(each.expected, _untagged)) for each in changes]
        return [_with_version(outcome, _tagged) for outcome in super().push(bare)]

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        graves = {id: _with_version(grave, _tagged) for id, grave in page.tombstones.items()}
        return attrs.evolve(
            page, records=[_with_version(row, _tagged) for row in page.records], tombstones=graves
        )

    def get(self, table: str, id: str, /) -> Copy:
        return _with_version(super().get(table, id), _tagged)


def _tagged(version: str) -> str:
    return f"W/{version[::-1]}"


def _untagged(tag: str) -> str:
    return tag.removeprefix("W/")[::-1]


def _with_version(value: Any, new: Callable[[str], str]) -> Any:
    """The expectation, outcome or copy with its version changed."""
    if isinstance(value, dict):
        record = cast("Record", value)
        return {**record, "version": new(str(record["version"]))}
    inner = {
        name: getattr(value, name) for name in ("copy", "record") if getattr(value, name, None) is not None
    }
    changed = {name: _with_version(each, new) for name, each in inner.items()}
    version = getattr(value, "version", None)
    if version is not None:
        changed["version"] = new(version)
    return attrs.evolve(value, **changed) if changed else value


REMOTES: dict[str, type[LoopbackTransport]] = {
    "acknowledges and drops": _Dropping,
    "forgets operation ids": _Blind,
    "leaves out the last of a page": _Short,
    "tells nobody of deletes": _Deaf,
    "calls created refused": _Denying,
}
