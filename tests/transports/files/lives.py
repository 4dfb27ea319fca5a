"""Remotes in memory: devices that share one, logs that are written by hand, and what an index holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from tests.transports.authority.support import ITEMS, LISTS
from tests.transports.files.dying import Memory
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Applied, Change, Outcome, PullRequest
from tidesync.query import Query
from tidesync.records import Record
from tidesync.stores.memory import MemoryStore
from tidesync.transports import FileTransport
from tidesync.transports.files import index, snapshots
from tidesync.transports.files.format import Commit, Entry, Meta, write_commit, write_meta
from tidesync.transports.files.lines import digest
from tidesync.transports.files.names import META, commit_name
from tidesync.transports.files.parts import Known, Row
from tidesync.transports.files.place import Place
from tidesync.transports.layout import moment

ID = "6f1c2a5e-8d0b-4c57-9a33-2f60b7f1d9e4"
Files = dict[str, bytes]


def device(
    place: Place | Files, store: Store | None = None, *, now: float | None = None, **options: int
) -> FileTransport:
    """A transport that is open; `now` is what its clock shows."""
    transport = FileTransport(
        Memory(place) if isinstance(place, dict) else place, index=store or MemoryStore(), **options
    )
    _ = transport.open([LISTS, ITEMS])
    if now is not None:
        transport._current().authority.clock = lambda: now
    return transport


def applied(transport: FileTransport, *changes: Change) -> list[Applied]:
    """Push what must be applied."""
    outcomes: Sequence[Outcome] = transport.push(changes)
    assert [Applied] * len(changes) == [type(each) for each in outcomes]
    return [each for each in outcomes if isinstance(each, Applied)]


def records(transport: FileTransport, table: str = "item") -> dict[str, Record]:
    """All live records, by a pull from the beginning."""
    page = transport.pull(PullRequest(query=Query(table)))
    assert not page.more
    return {str(record["id"]): record for record in page.records}


def held(store: Store) -> list[Row | Known]:
    """All that an index holds."""
    with store.transaction(write=False) as transaction:
        return list(index.lines(transaction, index.read_head(transaction)))


def counters(store: Store) -> tuple[int, str, int]:
    """How far an index is: the commit's number and hash, and all changes so far."""
    with store.transaction(write=False) as transaction:
        head = index.read_head(transaction)
        return head.number, head.hash, head.changes


def trimmed(store: Store, remembers: int, fence: int = 0) -> list[Row | Known]:
    """All that an index holds that a snapshot would hold."""
    with store.transaction(write=True) as transaction:
        snapshots.trim(transaction, remembers, fence)
    return held(store)


def cold(files: Files, **options: int) -> MemoryStore:
    """The index of somebody who comes for the first time, and reads all."""
    store = MemoryStore()
    transport = device(dict(files), store, **options)
    _ = transport.get("item", "nothing")
    return store


@attrs.define
class Written:
    """A remote whose log is written by hand, each commit at a moment in seconds since 1970."""

    files: Files = attrs.field(factory=dict[str, bytes])
    meta: Meta = attrs.field(factory=lambda: Meta(id=ID, remembers=1000, snapshot_every=0))
    previous: str = ""
    number: int = 0

    def __attrs_post_init__(self) -> None:
        self.files[META] = write_meta(self.meta)
        self.previous = digest(self.files[META])

    def commit(self, at: float, entries: Iterable[Entry]) -> None:
        self.number += 1
        content = write_commit(
            Commit(
                remote=ID,
                number=self.number,
                previous=self.previous,
                at=moment(at),
                writer="abc",
                changes=list(entries),
            )
        )
        self.files[commit_name(self.number)] = content
        self.previous = digest(content)

    def put(self, at: float, id: str, text: str = "", *, deleted: bool = False) -> None:
        """A commit of one record, or of its delete."""
        self.commit(at, [entry(f"op{self.number + 1}", id, f"{self.number + 1}", text, deleted=deleted)])


def entry(operation: str, id: str, version: str, text: str = "", *, deleted: bool = False) -> Entry:
    return Entry(
        operation=operation, mark="aa", kind="delete" if deleted else "insert", table="item", id=id, version=version,
        created_at=moment(0), deleted=deleted, record={"text": text},
    )  # fmt: skip
