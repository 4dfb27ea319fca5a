"""A remote that says what a test tells it to, and a device around the plans of the engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from tidesync.conflicts import Policy, defer
from tidesync.contracts.store import Store
from tidesync.contracts.transport import (
    Applied,
    Change,
    CursorGuarantee,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
)
from tidesync.drive import Ports, run
from tidesync.effects import Plan
from tidesync.events import Event
from tidesync.lease import Holder
from tidesync.operations import Operation
from tidesync.plans.pull import Pull, pull
from tidesync.plans.purge import PurgeReport, purge
from tidesync.plans.push import push
from tidesync.query import Expr, Query
from tidesync.queue import listed
from tidesync.records import Copy, Record, Tombstone
from tidesync.reports import PullReport, PushFailed, PushReport
from tidesync.rows import SYSTEM_TABLES
from tidesync.rules.chain import Head
from tidesync.schema import Column, TableSchema
from tidesync.session import Session, SyncHandler
from tidesync.stores.memory import MemoryStore

Answer: TypeAlias = Outcome | Callable[[Change], Outcome]

LISTS = TableSchema("lists", (Column("text"),), references={})
ITEMS = TableSchema("items", (Column("text"), Column("note"), Column("list")), references={"list": "lists"})
NOTES = TableSchema("notes", (Column("text"), Column("item")))
"""Nothing is said about what its columns name."""


class ScriptedTransport:
    """Answers each change of a record with the next answer kept for it; without one, the change is applied.

    `answers` are by record id. `pages` are given one after another, an exception among them is raised; then
    empty ones. `pushes` and `pulls` are what was asked.
    """

    def __init__(
        self,
        answers: Mapping[str, Sequence[Answer]] | None = None,
        *,
        pages: Sequence[Page | Exception] = (),
        **offers: Any,
    ) -> None:
        self.answers = {id: list(given) for id, given in (answers or {}).items()}
        self.pages = list(pages)
        self.capabilities = TransportCapabilities(**{"identity": "remote", "max_changes": 10, **offers})
        self.pushes: list[list[Change]] = []
        self.pulls: list[PullRequest] = []
        self.opened = 0
        self.during_push: Callable[[], None] = lambda: None
        self.failing: Exception | None = None
        self.version = 0

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Kind and record of every change that was sent, in order."""
        return [(change.kind, change.record_id) for batch in self.pushes for change in batch]

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        self.opened += 1
        if self.failing is not None:
            raise self.failing
        return self.capabilities

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        self.pushes.append(list(changes))
        self.during_push()
        return [self._answer(change) for change in changes]

    def _answer(self, change: Change) -> Outcome:
        answers = self.answers.get(change.record_id)
        if not answers:
            return self.applied(change)
        answer = answers.pop(0)
        return answer(change) if callable(answer) else answer

    def applied(self, change: Change) -> Applied:
        """The change is in effect, and nothing else is there."""
        self.version += 1
        version = f"v{self.version}"
        if change.record is None:
            return Applied(version, Tombstone(version))
        return Applied(version, {**change.record, "version": version})

    def pull(self, request: PullRequest, /) -> Page:
        self.pulls.append(request)
        if not self.pages:
            return Page(cursor=request.cursor)
        page = self.pages.pop(0)
        if isinstance(page, Exception):
            raise page
        return page

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        raise AssertionError("plans never read one record")

    def close(self) -> None:
        """Nothing to release."""


def there(version: str = "v0", **fields: object) -> Record:
    """A copy at the remote."""
    return {"id": "A", "text": "old", "note": None, "version": version, **fields}  # type: ignore[dict-item]


def fits(record: Record) -> str | None:
    """Text must be text."""
    return None if isinstance(record.get("text", ""), str) else "text is not text"


class Bench:
    """A device: a store, a session on it, and the plans driven on this thread."""

    def __init__(
        self,
        transport: Transport,
        *,
        store: Store | None = None,
        policy: Policy = defer,
        handler: SyncHandler | None = None,
        tables: Sequence[TableSchema] = (LISTS, ITEMS, NOTES),
        nonce: str = "d",
        patience: float = 1.0,
        gone: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self.transport = transport
        self.store = MemoryStore() if store is None else store
        self.store.open([*SYSTEM_TABLES, *tables])
        self.events: list[Event] = []
        self.now = 0.0
        self.slept: list[float] = []
        holder = Holder(nonce, 30.0, patience, gone)
        self.session = Session(
            tables={table.name: table for table in tables},
            nonce=nonce,
            holder=lambda: holder,
            resolver=NoResolver(),
            policy=policy,
            policies={},
            fits={table.name: fits for table in tables},
            to_record=lambda table, given, under: given,
            handler=handler,
        )
        self.ports = Ports(
            store=self.store, transport=lambda: self.transport, emit=self.events.append,
            clock=lambda: self.now, sleep=self.slept.append,
        )  # fmt: skip

    # ---- local

    def write(self, table: str, id: str, content: Record | None, *, generated: bool = False) -> None:
        """One local edit; None deletes."""
        with self.store.transaction(write=True) as transaction:
            queue = self.session.queue(transaction, self.now)
            queue.write(table, id, None if content is None else {"id": id, **content}, generated=generated)
            self.events.extend(queue.close("local"))

    def remotely(self, table: str, *records: Record) -> None:
        """These records are here as if a pull had brought them."""
        with self.store.transaction(write=True) as transaction:
            transaction.put(table, records)

    def operations(self) -> list[Operation]:
        """The queue, in order."""
        with self.store.transaction(write=True) as transaction:
            return listed(self.session.queue(transaction, self.now).ledger)

    def queued(self) -> list[tuple[str, str, str]]:
        """Kind, record and state of what is queued, in order."""
        return [(operation.kind, operation.record_id, operation.state) for operation in self.operations()]

    def head(self, table: str, id: str) -> Head | None:
        """The head of a record."""
        with self.store.transaction(write=True) as transaction:
            return self.session.queue(transaction, self.now).ledger.head(table, id)

    def remote_of(self, table: str, id: str) -> Copy:
        """The news that a record's head keeps."""
        head = self.head(table, id)
        return None if head is None else head.remote

    def record(self, table: str, id: str) -> Record | None:
        """A local record."""
        with self.store.transaction(write=False) as transaction:
            return transaction.get(table, [id])[0]

    def rows(self, table: str, where: Expr | None = None) -> list[Record]:
        """All rows of a table, the engine's own included."""
        with self.store.transaction(write=False) as transaction:
            return list(transaction.select(Query(table, where)))

    # ---- plans

    def run(self, plan: Plan[Any]) -> Any:
        """Drive any plan to its end."""
        return run(plan, self.ports)

    def push(self, tables: Collection[str] | None = None, *, retry_failed: bool = False) -> PushReport:
        """Push; the report, whether or not it failed."""
        try:
            report: PushReport = run(push(self.session, tables, retry_failed=retry_failed), self.ports)
        except PushFailed as error:
            return error.report
        return report

    def pull(self, table: str = "items", where: Expr | None = None, **wanted: Any) -> PullReport:
        """Pull a table or a query of it."""
        query = Query(table, where)
        report: PullReport = run(
            pull(self.session, Pull(query=query, **{"push": "none", **wanted})), self.ports
        )
        return report

    def purge(
        self, table: str = "items", where: Expr | None = None, *, name: str | None = None, force: bool = False
    ) -> PurgeReport:
        """Purge a table or a query of it."""
        report: PurgeReport = run(
            purge(self.session, Query(table, where), name=name, force=force), self.ports
        )
        return report


class NoResolver:
    """Errors are not settled in these tests."""

    def resolve_error(self, error: Any, how: str, record: Any = None) -> None:
        raise AssertionError(f"{how} was not asked for")


WEAK = {"cursor": CursorGuarantee.KEYSET, "overlap": 10.0}
STRONG = {"cursor": CursorGuarantee.COMMIT_ORDERED}
