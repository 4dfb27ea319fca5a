"""One remote that speaks Azure Mobile Apps 2.0 or Datasync 3.0: a request for each change, lists for pulls."""

from __future__ import annotations

from collections.abc import Sequence
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
from tidesync.transports.http.flow import Flow, Together
from tidesync.transports.http.pull import Reader
from tidesync.transports.http.push import perform
from tidesync.transports.http.values import Form
from tidesync.transports.http.wire import sendable_id

STOPS: Final = (Unknown, NotSent, Denied)


class Rest:
    """A face of a transport. `concurrency`: changes under way at once; `overlap` is in seconds."""

    def __init__(
        self, caller: Caller, wire: Wire, *, concurrency: int, overlap: float, page_limit: int
    ) -> None:
        self._caller, self._wire = caller, wire
        self._concurrency, self._overlap = concurrency, overlap
        self._page_limit = min(page_limit, wire.page_limit)
        self._forms: dict[str, Form] = {}

    def open(self, tables: Sequence[TableSchema]) -> Flow[TransportCapabilities]:
        """Take the tables, without a request. Raises `ConfigurationError` for names that cannot travel."""
        yield from ()
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

    def push(self, changes: Sequence[Change]) -> Flow[Sequence[Outcome]]:
        """Send each change with a request of its own, up to `concurrency` at once.

        A 2.0 server that adds columns by itself forgets some when several requests bring new ones at once:
        there, a change goes alone as long as the remote was not seen to have all the columns that it sets.
        """
        forms = [self._form(change.table) for change in changes]
        stopped: list[Outcome] = []

        def one(place: int) -> Flow[Outcome]:
            if stopped:
                return Untried()
            outcome = yield from perform(changes[place], forms[place], self._wire, self._caller.budget())
            if isinstance(outcome, STOPS):
                stopped.append(outcome)
            return outcome

        outcomes: dict[int, Outcome] = {}
        together: list[int] = []
        for place, (change, form) in enumerate(zip(changes, forms, strict=True)):
            if self._goes_alone(change, form, len(changes)):
                outcomes[place] = yield from one(place)
            else:
                together.append(place)
        if together:
            found = yield from Together([one(place) for place in together])
            outcomes.update(zip(together, found, strict=True))
        return [outcomes[place] for place in range(len(changes))]

    def pull(self, request: PullRequest) -> Flow[Page]:
        """Read one page; see `pull.Reader` and `paging` for how."""
        form = self._form(request.query.table)
        return (yield from Reader(form, self._wire, self._caller.budget(), self._page_limit).page(request))

    def get(self, table: str, id: str) -> Flow[Copy]:
        """Read one record as it is now; a tombstone where the remote keeps one."""
        form = self._form(table)
        if not sendable_id(id):
            raise InvalidId(table, id, "it cannot stand in an address")
        reply = yield from self._caller.budget().read(self._wire.fetch(form, id, {}))
        return self._wire.fetched(form, id, reply)

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
