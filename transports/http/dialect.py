"""What the two protocols have in common, as the rest of the transport sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tidesync.contracts.transport import Change
from tidesync.records import Copy, Json, Record
from tidesync.transports.http.values import Dialect, Form
from tidesync.transports.http.wire import Reply, Request, Wanted


class Wire(Protocol):
    """A protocol's requests and replies. `whole_updates`: an update replaces the record."""

    @property
    def dialect(self) -> Dialect: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def page_limit(self) -> int: ...
    @property
    def whole_updates(self) -> bool: ...

    def list(self, form: Form, wanted: Wanted) -> Request:
        """The request for a list of records."""
        ...

    def fetch(self, form: Form, id: str, extra: Mapping[str, str]) -> Request:
        """The request for one record, or its tombstone."""
        ...

    def fetched(self, form: Form, id: str, reply: Reply, sent: Record | None = None) -> Copy:
        """What the reply to `fetch` says is there. Raises `RequestRefused` and `ProtocolError`."""
        ...

    def insert(self, form: Form, change: Change) -> Request:
        """The request for an insert. Raises `Unsendable`."""
        ...

    def update(self, form: Form, change: Change, body: Mapping[str, Json], version: str | None) -> Request:
        """The request for an update that sets `body`."""
        ...

    def delete(self, form: Form, change: Change, version: str | None) -> Request:
        """The request for a delete."""
        ...

    def undelete(
        self, form: Form, change: Change, version: str | None, row: Mapping[str, Json]
    ) -> Sequence[Request]:
        """The requests for reviving a tombstone: the next one where a server does not know the one before."""
        ...
