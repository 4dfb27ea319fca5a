"""The table, the records, and remotes that cost next to nothing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from tidesync import SyncContext, Table, table
from tidesync.contracts.transport import (
    Applied,
    Change,
    CursorGuarantee,
    Outcome,
    Page,
    PullRequest,
    Rejected,
    TransportCapabilities,
)
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.sqlite import SQLiteStore

BODY = "b" * 100
STAMP = "2026-01-01T00:00:00.000000Z"


def note(n: int) -> dict[str, Any]:
    """A record of about 190 bytes of JSON."""
    return {"id": f"{n:032x}", "title": f"title {n}", "done": False, "n": n, "body": BODY}


def notes(*, declared: bool) -> Table[dict[str, Any]]:
    """The table that everything is measured on, with references declared (none) or nothing said."""
    columns = {"title": str, "body": str, "done": bool, "n": int}
    return table("notes", columns, references={} if declared else None, indexes=("n",))


class Acknowledge:
    """A remote that takes everything at once and remembers nothing; `refuse` names ids that it will not take."""

    def __init__(self, total: int = 0, refuse: frozenset[str] = frozenset()) -> None:
        self.total, self.refuse, self.taken = total, refuse, 0

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        return TransportCapabilities(
            identity="bench",
            cursor=CursorGuarantee.COMMIT_ORDERED,
            max_changes=1000,
            ordered=True,
            total=True,
        )

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        self.taken += len(changes)
        return [
            Rejected("400", "refused") if change.record_id in self.refuse else Applied(f"v{change.id}")
            for change in changes
        ]

    def pull(self, request: PullRequest, /) -> Page:
        start = request.cursor if isinstance(request.cursor, int) else 0
        end = min(start + request.limit, self.total)
        return Page(
            records=[_sent(n) for n in range(start, end)], cursor=end, more=end < self.total, total=self.total
        )

    def get(self, table: str, id: str, /) -> Record | None:
        return None

    def close(self) -> None:
        pass


def _sent(n: int) -> Record:
    return {**note(n), "version": f"v{n}", "created_at": STAMP, "updated_at": STAMP}


@contextmanager
def device(
    remote: Acknowledge, *, declared: bool, synchronous: str = "normal"
) -> Iterator[tuple[SyncContext, Table[dict[str, Any]]]]:
    """A context on a new SQLite file."""
    todo = notes(declared=declared)
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "bench.db", synchronous=synchronous)  # type: ignore[arg-type]  # one of two words
        with SyncContext(store, remote, [todo]) as context:
            yield context, todo


@contextmanager
def bare(*, synchronous: str = "normal") -> Iterator[apsw.Connection]:
    """A bare connection with one table for records and one for a queue."""
    with tempfile.TemporaryDirectory() as folder:
        connection = apsw.Connection(str(Path(folder) / "floor.db"))
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", 2 if synchronous == "full" else 1)
        connection.execute(
            "create table notes(id text primary key, title, body, done, n, version, created_at, updated_at)"
        )
        connection.execute("create index notes_n on notes(n)")
        connection.execute("create table queue(sequence integer primary key, id text, state text, item text)")
        try:
            yield connection
        finally:
            connection.close()


def row(record: dict[str, Any]) -> tuple[Any, ...]:
    """A record as the bare table has it."""
    return (
        record["id"], record["title"], record["body"], record["done"], record["n"],
        record.get("version"), record.get("created_at"), record.get("updated_at"),
    )  # fmt: skip


PUT = "insert or replace into notes values(?,?,?,?,?,?,?,?)"
ENQUEUE = "insert into queue values(?,?,?,?)"


def queued(n: int, record: dict[str, Any]) -> tuple[Any, ...]:
    """A record as the bare queue has it."""
    return n, record["id"], "pending", json.dumps(record)
