"""Looking at a store from outside, and settling what waits in it: only what is still as it was looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from tidesync import PushFailed, SyncContext, table
from tidesync.contracts.transport import Change, Outcome, Rejected
from tidesync.errors import StaleResolution, StoreCorrupt, UsageError
from tidesync.overview import Queued, detail, discard, overview, queued, retry
from tidesync.queue import Queue
from tidesync.resolutions import discard as discard_one
from tidesync.rows import CURSORS
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport

LISTS = table("lists", {"title": str}, references={})
TASKS = table("tasks", {"list_id": str, "parent": str}, references={"list_id": LISTS, "parent": "tasks"})


class Refusing(LoopbackTransport):
    """Takes no list."""

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return [
            Rejected("no_lists", "no lists")
            if each.table == "lists"
            else super(Refusing, self).push([each])[0]
            for each in changes
        ]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def ctx(store: MemoryStore) -> Iterator[SyncContext]:
    """A list that was refused, a task in it, a task under that one, and one that depends on nothing."""
    remote = Refusing(Authority(MemoryStore(), [LISTS, TASKS]))
    with SyncContext(store, remote, [LISTS, TASKS]) as ctx:
        _ = ctx[LISTS].insert({"id": "list", "title": "x"})
        _ = ctx[TASKS].insert({"id": "task", "list_id": "list"})
        _ = ctx[TASKS].insert({"id": "part", "parent": "task"})
        with pytest.raises(PushFailed):
            _ = ctx.push()
        _ = ctx[TASKS].insert({"id": "free"})
        yield ctx


def look(store: MemoryStore) -> dict[str, Queued]:
    with store.transaction(write=False) as transaction:
        return {each.record_id: each for each in queued(transaction)}


def test_parked_is_all_that_waits_in_the_end_for_a_refused_one(ctx: SyncContext, store: MemoryStore) -> None:
    """Also through others; each says behind which it waits."""
    found = look(store)

    assert {"list": "failed", "task": "parked", "part": "parked", "free": "pending"} == {
        id: each.standing for id, each in found.items()
    }
    assert (found["list"].number, found["task"].number) == (found["task"].behind, found["part"].behind)


def test_what_waits_for_one_that_will_go_is_not_parked(store: MemoryStore) -> None:
    """The next push sends both."""
    with SyncContext(store, None, [LISTS, TASKS]) as ctx:
        _ = ctx[LISTS].insert({"id": "list", "title": "x"})
        _ = ctx[TASKS].insert({"id": "task", "list_id": "list"})
        found = look(store)

    assert ("pending", found["list"].number) == (found["task"].standing, found["task"].behind)


def test_the_overview_is_what_the_context_says(ctx: SyncContext, store: MemoryStore) -> None:
    """The same operations, with the same times, attempts and reasons; tables without being declared."""
    with store.transaction(write=False) as transaction:
        found = overview(transaction, time.time())
    said = [
        (each.key, each.sequence, each.id, each.kind, each.attempts, each.created, each.last_attempt)
        for each in ctx.operations()
    ]

    assert {"lists": 1, "tasks": 3} == found.tables
    assert said == [
        (each.key, each.number, each.id, each.kind, each.attempts, each.created, each.last_attempt)
        for each in found.operations
    ]
    assert ("no_lists", "no lists") == (found.operations[0].code, found.operations[0].message)


def test_a_detail_is_the_operation_and_both_copies(ctx: SyncContext, store: MemoryStore) -> None:
    """What left the queue meanwhile has none."""
    each = look(store)["free"]
    with store.transaction(write=False) as transaction:
        kept = detail(transaction, each)
    assert ({"id": "free"}, None, None) == (kept.operation.content, kept.base, kept.remote)
    ctx[TASKS].delete("free")
    with store.transaction(write=False) as transaction, pytest.raises(StaleResolution):
        _ = detail(transaction, each)


def test_what_changed_since_it_was_looked_at_is_left_as_it_is(ctx: SyncContext, store: MemoryStore) -> None:
    """Neither sent again nor dropped: whoever decided did not see this."""
    seen = look(store)
    _ = ctx[LISTS].update("list", title="y")
    _ = ctx[TASKS].update("free", list_id="list")
    now = ctx.operations()

    assert [seen["list"].key] == [*retry(store, [seen["list"]])]
    assert [seen["free"].key] == [*discard(store, [seen["free"]], force=True)]
    assert now == ctx.operations()


def test_retry_and_discard_are_one_transaction(ctx: SyncContext, store: MemoryStore) -> None:
    """What is refused among others is left alone, and they go."""
    seen = look(store)
    left = discard(store, [seen["list"], seen["list"], seen["free"]])

    assert {} == left
    assert {"task": "pending", "part": "pending"} == {id: each.standing for id, each in look(store).items()}
    assert ctx[LISTS].get("list") is None
    assert [seen["task"].key, seen["part"].key] == [*retry(store, [seen["task"], seen["part"]])]


def test_a_context_discards_by_the_same_rule(ctx: SyncContext) -> None:
    """An operation that may be at the remote needs force; a refusal changes nothing."""
    [listed, *_] = ctx.operations()

    def attempted(queue: Queue) -> None:
        head = queue.ledger.head("lists", "list")
        assert head is not None
        head.entries[0].state = "attempted"
        with pytest.raises(UsageError, match="may be at the remote already"):
            discard_one(queue, listed)
        assert 1 == len(head.entries)
        discard_one(queue, listed, force=True)

    ctx.write(attempted, "resolution")

    assert [] == [each for each in ctx.operations() if each.table == "lists"]


def test_a_cursor_that_cannot_be_read_is_told(ctx: SyncContext, store: MemoryStore) -> None:
    """As a damaged store, not as a fault of the program."""
    with store.transaction(write=True) as transaction:
        row = {"id": "lists/x", "table": "lists", "name": "x", "query": "", "bookmark": 7}
        transaction.put(CURSORS, [row])  # type: ignore[list-item]
    with store.transaction(write=False) as transaction, pytest.raises(StoreCorrupt, match="lists/x"):
        _ = overview(transaction, time.time())
