"""Azure Mobile Apps 2.0: what is sent, and what the replies mean; pure.

The server is described by what it does, not by what it promises: its `Link` header cannot be followed, a
404 hides tombstones (a list with `__includeDeleted` shows them), and an update with nothing to set is an
error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tidesync.contracts.transport import Change
from tidesync.records import Copy, Json, Record
from tidesync.transports.http.odata import text_literal
from tidesync.transports.http.values import Dialect, Form
from tidesync.transports.http.wire import (
    NOTHING,
    Reply,
    Request,
    Wanted,
    delete_request,
    extra_parameters,
    from_json,
    insert_request,
    list_request,
    read_one,
    refusal,
    rows_of,
    table_path,
)

_COUNT: Final = ("$inlinecount", "allpages")
_DELETED: Final = ("__includeDeleted", "true")  # matched with case, and any value counts


class Wire2:
    """The 2.0 face of `Wire`."""

    dialect: Dialect = "2.0"
    headers: Mapping[str, str] = {"ZUMO-API-VERSION": "2.0.0"}  # nobody writes to it
    page_limit = 1000
    whole_updates = False

    def list(self, form: Form, wanted: Wanted) -> Request:
        return list_request(form, wanted, count=_COUNT, deleted=_DELETED)

    def fetch(self, form: Form, id: str, extra: Mapping[str, str]) -> Request:
        # GET of one record says 404 of a tombstone too: a list tells it from nothing, with its version.
        return self.list(
            form, Wanted(filter=f"id eq {text_literal(id)}", top=2, deleted=True, parameters=extra)
        )

    def fetched(self, form: Form, id: str, reply: Reply, sent: Record | None = None) -> Copy:
        if not reply.ok:
            raise refusal(reply, f"{form.schema.name}/{id}")
        for row in rows_of(from_json(reply.body, form))[0]:
            if isinstance(row, dict) and row.get("id") == id:
                form.note(row)
                return read_one(form, row, sent)
        return None

    def insert(self, form: Form, change: Change) -> Request:
        return insert_request(form, change)

    def update(self, form: Form, change: Change, body: Mapping[str, Json], version: str | None) -> Request:
        return Request(
            method="PATCH",
            path=table_path(form.schema.name, change.record_id),
            parameters=extra_parameters(change.parameters),
            body=body,
            etag=version,
        )

    def delete(self, form: Form, change: Change, version: str | None) -> Request:
        return delete_request(form, change, version)

    def undelete(
        self,
        form: Form,
        change: Change,
        version: str | None,
        row: Mapping[str, Json],  # noqa: ARG002  # another protocol needs it
    ) -> Sequence[Request]:
        return (
            Request(
                method="POST",
                path=table_path(form.schema.name, change.record_id),
                parameters=extra_parameters(change.parameters),
                body=NOTHING,
                etag=version,
            ),
        )
