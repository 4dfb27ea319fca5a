"""Clients of one remote whose files are a dict, and short ways to see what became of them."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.transports.files.dying import Memory
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Applied, Change, NotSent, Outcome, Page, PullRequest
from tidesync.errors import RemoteDamaged
from tidesync.query import Query
from tidesync.records import Json, Record
from tidesync.schema import Column, TableSchema
from tidesync.transports.files.place import Place
from tidesync.transports.files.transport import FileTransport
from tidesync.values import ColumnType

ITEMS = TableSchema("item", (Column("text", ColumnType.STRING), Column("size", ColumnType.INTEGER)), {})
LISTS = TableSchema("list", (Column("name", ColumnType.STRING),), {})
TABLES = (ITEMS, LISTS)

Files = dict[str, bytes]


def client(
    files: Files | Place, *, index: Store | None = None, tables: Sequence[TableSchema] = TABLES
) -> FileTransport:
    """A client of the remote that has these files, open."""
    transport = FileTransport(Memory(files) if isinstance(files, dict) else files, index=index)
    _ = transport.open(tables)
    return transport


def send(transport: FileTransport, *changes: Change) -> list[Outcome]:
    return list(transport.push(changes))


def applied(transport: FileTransport, *changes: Change) -> list[Applied]:
    """Push what must be applied."""
    outcomes = send(transport, *changes)
    refused = [outcome for outcome in outcomes if not isinstance(outcome, Applied)]
    assert [] == refused
    return [outcome for outcome in outcomes if isinstance(outcome, Applied)]


def pull(transport: FileTransport, cursor: Json = None, table: str = "item", limit: int = 1000) -> Page:
    return transport.pull(PullRequest(query=Query(table), cursor=cursor, limit=limit))


def held(transport: FileTransport, table: str = "item") -> dict[str, Record]:
    """All that the remote holds, by id."""
    records: dict[str, Record] = {}
    cursor: Json = None
    for _ in itertools.count():
        page = pull(transport, cursor, table)
        records |= {str(record["id"]): record for record in page.records}
        cursor = page.cursor
        if not page.more:
            return records
    raise AssertionError


def commits(files: Files) -> list[str]:
    """The names of the commits, in order."""
    return sorted(name for name in files if name.startswith("log/"))


def last_commit(files: Files) -> bytes:
    return files[commits(files)[-1]]


@contextmanager
def damaged(file: str, *says: str) -> Iterator[None]:
    """What happens inside is refused because of this file."""
    with pytest.raises(RemoteDamaged) as caught:
        yield
    assert file == caught.value.file
    assert [] == [text for text in says if text not in str(caught.value)]


def refused(transport: FileTransport, file: str, change: Change) -> None:
    """A push does nothing because of this file, and says so."""
    (outcome,) = send(transport, change)
    assert isinstance(outcome, NotSent)
    assert outcome.reason.startswith(f"{file}: ")
