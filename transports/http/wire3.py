"""Datasync 3.0: what is sent, and what the replies mean; pure.

An update is a PUT of the whole record: every server of the family takes it, while only some take PATCH.
Undelete is where they differ: the newer ones take the whole record with `__includedeleted`, the older ones
a patch of `deleted`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tidesync.contracts.transport import Change
from tidesync.records import Copy, Json, Record, Tombstone
from tidesync.transports.http.values import SYSTEM, Dialect, Form
from tidesync.transports.http.wire import (
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
    table_path,
)

_COUNT: Final = ("$count", "true")
_DELETED: Final = ("__includedeleted", "true")


class Wire3:
    """The 3.0 face of `Wire`."""

    dialect: Dialect = "3.0"
    headers: Mapping[str, str] = {"ZUMO-API-VERSION": "3.0.0"}  # nobody writes to it
    page_limit = 1000
    whole_updates = True

    def list(self, form: Form, wanted: Wanted) -> Request:
        return list_request(form, wanted, count=_COUNT, deleted=_DELETED)

    def fetch(self, form: Form, id: str, extra: Mapping[str, str]) -> Request:
        return Request(
            method="GET",
            path=table_path(form.schema.name, id),
            parameters=[_DELETED, *extra_parameters(extra)],
        )

    def fetched(self, form: Form, id: str, reply: Reply, sent: Record | None = None) -> Copy:
        if reply.status == 404:
            return None
        if reply.status == 410:
            return Tombstone(None)
        if not reply.ok:
            raise refusal(reply, f"{form.schema.name}/{id}")
        return read_one(form, from_json(reply.body, form), sent)

    def insert(self, form: Form, change: Change) -> Request:
        return insert_request(form, change)

    def update(self, form: Form, change: Change, body: Mapping[str, Json], version: str | None) -> Request:
        return Request(
            method="PUT",
            path=table_path(form.schema.name, change.record_id),
            parameters=extra_parameters(change.parameters),
            body={"id": change.record_id, **body},
            etag=version,
        )

    def delete(self, form: Form, change: Change, version: str | None) -> Request:
        return delete_request(form, change, version)

    def undelete(
        self, form: Form, change: Change, version: str | None, row: Mapping[str, Json]
    ) -> Sequence[Request]:
        path, extra = table_path(form.schema.name, change.record_id), extra_parameters(change.parameters)
        whole = {key: value for key, value in row.items() if key not in SYSTEM}
        return (
            Request(
                method="PUT",
                path=path,
                parameters=[_DELETED, *extra],
                body={**whole, "id": change.record_id, "deleted": False},
                etag=version,
            ),
            Request(method="PATCH", path=path, parameters=extra, body={"deleted": False}, etag=version),
        )
