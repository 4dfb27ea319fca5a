"""Since when an operation waits: when it was made, and when it was last marked for sending."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from tidesync import Operation, PushFailed, SyncContext, table
from tidesync.contracts.transport import Change, NotSent, Outcome, Rejected
from tidesync.query import Query
from tidesync.records import Record
from tidesync.rows import OPERATIONS, SYSTEM_TABLES
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport

NOTES = table("note", {"text": str})


class Answering(LoopbackTransport):
    """Answers every change with the same outcome, and never asks the authority."""

    outcome: Outcome = Rejected("odd", "it is odd")

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return [self.outcome for _ in changes]


def _remote() -> Answering:
    return Answering(Authority(MemoryStore(), [NOTES.schema]))


def _only(ctx: SyncContext) -> Operation:
    [found] = ctx.operations()
    return found


@pytest.mark.parametrize("outcome", [Rejected("odd", "it is odd"), NotSent("no network")])
def test_an_operation_tells_when_it_was_made_and_last_tried(outcome: Outcome) -> None:
    """A push notes the moment, whatever the remote then says."""
    remote = _remote()
    remote.outcome = outcome
    with SyncContext(MemoryStore(), remote, [NOTES]) as ctx:
        before = time.time()
        _ = ctx[NOTES].insert({"id": "a", "text": "x"})
        assert _only(ctx).last_attempt is None
        with pytest.raises(PushFailed):
            _ = ctx.push()
        found = _only(ctx)

    assert found.last_attempt is not None
    assert before <= found.created <= found.last_attempt <= time.time()


def test_what_is_tried_again_tells_when_it_was_tried_before() -> None:
    """retry() makes another operation of it, with no attempts; when the edit was last tried is still known."""
    with SyncContext(MemoryStore(), _remote(), [NOTES]) as ctx:
        _ = ctx[NOTES].insert({"id": "a", "text": "x"})
        with pytest.raises(PushFailed):
            _ = ctx.push()
        failed = _only(ctx)
        ctx.retry(failed)
        assert (0, failed.last_attempt) == (_only(ctx).attempts, _only(ctx).last_attempt)


def _older() -> list[TableSchema]:
    """The engine's tables as they were before operations told when they were last tried."""
    return [
        attrs.evolve(each, columns=tuple(c for c in each.columns if c.name != "last_attempt"))
        for each in SYSTEM_TABLES
    ]


def _rows(store: SQLiteStore) -> list[Record]:
    with store.transaction(write=False) as transaction:
        return [row for row in transaction.get(OPERATIONS, ["0000000000000001"]) if row is not None]


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A file with one queued insert, as a tidesync without `last_attempt` left it."""
    made = SQLiteStore(tmp_path / "made.db")
    with SyncContext(made, None, [NOTES]) as ctx:
        _ = ctx[NOTES].insert({"id": "a", "text": "x"})
        with made.transaction(write=False) as transaction:
            rows = {each.name: list(transaction.select(Query(each.name))) for each in SYSTEM_TABLES}
    old = SQLiteStore(tmp_path / "old.db")
    old.open([*_older(), NOTES.schema])
    with old.transaction(write=True) as transaction:
        for name, kept in rows.items():
            transaction.put(name, [{k: v for k, v in row.items() if k != "last_attempt"} for row in kept])
        transaction.put("note", [{"id": "a", "text": "x"}])
    old.close()
    return tmp_path / "old.db"


def test_a_file_of_before_is_taken_over_with_what_it_holds(old_file: Path) -> None:
    """The column is added when the file is opened; what was queued is there, was never tried, and is then."""
    with SyncContext(SQLiteStore(old_file), _remote(), [NOTES]) as ctx:
        assert ("a", None) == (_only(ctx).record_id, _only(ctx).last_attempt)
        with pytest.raises(PushFailed):
            _ = ctx.push()
        assert _only(ctx).last_attempt is not None


def test_a_tidesync_of_before_still_reads_and_writes_the_file(old_file: Path) -> None:
    """To it the new column is a field that it does not know, and keeps: the format of the file is the same."""
    with SyncContext(SQLiteStore(old_file), _remote(), [NOTES]) as ctx, pytest.raises(PushFailed):
        _ = ctx.push()
    older = SQLiteStore(old_file)
    older.open([*_older(), NOTES.schema])
    [row] = _rows(older)
    assert isinstance(row["last_attempt"], float)
    with older.transaction(write=True) as transaction:
        transaction.put(OPERATIONS, [{k: v for k, v in row.items() if k != "last_attempt"}])
    older.close()

    with SyncContext(SQLiteStore(old_file), None, [NOTES]) as ctx:
        assert ("failed", None) == (_only(ctx).state, _only(ctx).last_attempt)
