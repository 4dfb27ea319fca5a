"""One remote that speaks Azure Mobile Apps 2.0 or Datasync 3.0: a request for each change, lists for pulls."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tidesync.contracts.transport import (
    Change,
    CursorGuarantee,
    Denied,
    NotSent,
    Outcome,
    Page,
    PullRequest,
    TransportCapabilities,
    Unknown,
    Untried,
)
from tidesync.errors import InvalidId, UnknownTable
from tidesync.records import Copy
from tidesync.schema import TableSchema
from tidesync.transports.http.client import Caller
from tidesync.transports.http.dialect import Wire
from tidesync.transports.http.pull import Reader
from tidesync.transports.http.push import perform
from tidesync.transports.http.values import Form
from tidesync.transports.http.wire import sendable_id

STOPS: Final = (Unknown, NotSent, Denied)


class Rest:
    """A face of `HttpTransport`. `concurrency`: changes under way at once; `overlap` is in seconds."""

    def __init__(
        self, caller: Caller, wire: Wire, *, concurrency: int, overlap: float, page_limit: int
    ) -> None:
        self._caller, self._wire = caller, wire
        self._concurrency, self._overlap = concurrency, overlap
        self._page_limit = min(page_limit, wire.page_limit)
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._forms: dict[str, Form] = {}

    def open(self, tables: Sequence[TableSchema]) -> TransportCapabilities:
        """Take the tables, without a request. Raises `ConfigurationError` for names that cannot travel."""
        forms = {schema.name: self._kept(schema) for schema in tables}
        self._caller.dialect, self._caller.dialect_headers = self._wire.dialect, self._wire.headers
        self._forms = {**self._forms, **forms}
        return TransportCapabilities(
            identity=self._caller.identity,
            cursor=CursorGuarantee.KEYSET,
            max_changes=self._concurrency,
            ordered=False,
            total=True,
            filters=True,
            tombstones=frozenset(schema.name for schema in tables),
            remembers=0.0,
            overlap=self._overlap,
            page_limit=self._page_limit,
            exchange_timeout=self._caller.longest,
        )

    def push(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Send each change with a request of its own, up to `concurrency` at once.

        A 2.0 server that adds columns by itself forgets some when several requests bring new ones at once:
        there, a change goes alone as long as the remote was not seen to have all the columns that it sets.
        """
        forms = [self._form(change.table) for change in changes]
        stopped = threading.Event()

        def one(change: Change, form: Form) -> Outcome:
            if stopped.is_set():
                return Untried()
            outcome = perform(change, form, self._wire, self._caller.budget())
            if isinstance(outcome, STOPS):
                stopped.set()
            return outcome

        def at(place: int) -> Outcome:
            return one(changes[place], forms[place])

        outcomes: list[Outcome | None] = [None] * len(changes)
        together: list[int] = []
        for place, (change, form) in enumerate(zip(changes, forms, strict=True)):
            if self._goes_alone(change, form, len(changes)):
                outcomes[place] = one(change, form)
            else:
                together.append(place)
        answers = self._workers().map(at, together) if together else ()
        for place, outcome in zip(together, answers, strict=True):
            outcomes[place] = outcome
        return [Untried() if outcome is None else outcome for outcome in outcomes]

    def pull(self, request: PullRequest) -> Page:
        """Read one page; see `pull.Reader` and `paging` for how."""
        form = self._form(request.query.table)
        return Reader(form, self._wire, self._caller.budget(), self._page_limit).page(request)

    def get(self, table: str, id: str) -> Copy:
        """Read one record as it is now; a tombstone where the remote keeps one."""
        form = self._form(table)
        if not sendable_id(id):
            raise InvalidId(table, id, "it cannot stand in an address")
        return self._wire.fetched(form, id, self._caller.budget().read(self._wire.fetch(form, id, {})))

    def close(self) -> None:
        """Let go of the threads."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def _goes_alone(self, change: Change, form: Form, count: int) -> bool:
        if count == 1 or self._concurrency == 1:
            return True
        return form.dialect == "2.0" and form.introduces(change.record or {}, change.fields)

    def _kept(self, schema: TableSchema) -> Form:
        """The form of a table, with what was learnt of the remote's columns since the last open."""
        form = self._forms.get(schema.name)
        return form if form and form.schema == schema else Form(schema, self._wire.dialect)

    def _form(self, table: str) -> Form:
        form = self._forms.get(table)
        if form is None:
            raise UnknownTable(table, sorted(self._forms))
        return form

    def _workers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="tidesync-http")
            return self._pool
