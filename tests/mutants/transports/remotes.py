"""Who the remote is, opening, closing and reading one record, gone wrong."""

from __future__ import annotations

import itertools
import time
from typing import Any
from urllib.parse import unquote

import attrs

from tests.mutants.transports.bases import Loopback, broken
from tidesync.contracts.transport import CursorGuarantee, Page, PullRequest, TransportCapabilities
from tidesync.errors import ProtocolError, RequestRefused
from tidesync.records import Copy, Record, Tombstone, alive

_numbers = itertools.count()


@broken("test_the_remote_has_one_identity")
class IdentityOfASession(Loopback):
    """The identity is that of the session, and another one at each open."""

    def open(self, tables, /) -> TransportCapabilities:
        return attrs.evolve(super().open(tables), identity=f"session-{next(_numbers)}")


@broken("test_the_remote_has_one_identity")
class IdentityOfTheClient(Loopback):
    """The identity is drawn by the client when it is made."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.identity = f"client-{next(_numbers)}"

    def open(self, tables, /) -> TransportCapabilities:
        return attrs.evolve(super().open(tables), identity=self.identity)


@broken("test_the_remote_has_one_identity")
class NoIdentity(Loopback):
    """There is no name for the remote, so the identity is empty."""

    def open(self, tables, /) -> TransportCapabilities:
        return attrs.evolve(super().open(tables), identity="")


@broken("test_capabilities_are_as_declared")
class OtherPagesThanDeclared(Loopback):
    """The remote is configured with another page size than the adapter declares."""

    def open(self, tables, /) -> TransportCapabilities:
        return attrs.evolve(super().open(tables), page_limit=100)


@broken("test_capabilities_are_as_declared")
class LessThanDeclared(Loopback):
    """At a second look the cursors promise less than they are declared to."""

    def open(self, tables, /) -> TransportCapabilities:
        return attrs.evolve(super().open(tables), cursor=CursorGuarantee.TIMESTAMP)


@broken("test_a_client_opens_again_after_close")
class DeadAfterClose(Loopback):
    """The connection pool is made with the client, and `close` shuts it for good."""

    closed = False

    def close(self) -> None:
        self.closed = True

    def get(self, table: str, id: str, /) -> Copy:
        if self.closed:
            raise ProtocolError("the pool is closed")
        return super().get(table, id)


@broken("test_close_is_idempotent")
class ClosesOnce(Loopback):
    """`close` gives its connection back, and has none the second time."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.connections: list[object] = []

    def open(self, tables, /) -> TransportCapabilities:
        self.connections = [object()]
        return super().open(tables)

    def close(self) -> None:
        _ = self.connections.pop()


@broken("test_get_of_nothing_is_none")
class NothingIsAnError(Loopback):
    """A 404 for one record is raised."""

    def get(self, table: str, id: str, /) -> Copy:
        copy = super().get(table, id)
        if copy is None:
            raise RequestRefused("there is no such record", code="404")
        return copy


@broken("test_get_of_nothing_is_none")
class NothingIsDeleted(Loopback):
    """A 404 for one record is taken for a deleted one."""

    def get(self, table: str, id: str, /) -> Copy:
        copy = super().get(table, id)
        return Tombstone(None) if copy is None else copy


@broken("test_get_of_what_was_deleted_is_a_tombstone")
class DeletedIsNothing(Loopback):
    """`get` does not see deleted rows."""

    def get(self, table: str, id: str, /) -> Copy:
        copy = super().get(table, id)
        return copy if alive(copy) else None


@broken("test_what_was_deleted_reads_as_a_tombstone")
class DeletedIsARecord(Loopback):
    """`get` gives a deleted row as a record with a field `deleted`."""

    def get(self, table: str, id: str, /) -> Copy:
        copy = super().get(table, id)
        return {"id": id, "version": copy.version, "deleted": True} if isinstance(copy, Tombstone) else copy


@broken("test_get_is_never_of_before")
class CachedRecords(Loopback):
    """A client keeps what it got, and gives it again."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.cache: dict[tuple[str, str], Copy] = {}

    def get(self, table: str, id: str, /) -> Copy:
        if self.cache.get((table, id)) is None:
            self.cache[table, id] = super().get(table, id)
        return self.cache[table, id]


@broken("test_a_table_that_is_not_there_is_an_error")
class NoTableIsAnEmptyTable(Loopback):
    """A 404 for a table is taken for an empty one."""

    def pull(self, request: PullRequest, /) -> Page:
        try:
            return super().pull(request)
        except RequestRefused:
            return Page()


@broken("test_a_client_serves_two_threads")
class OneBuffer(Loopback):
    """All replies of a client are read into one buffer."""

    buffer: Copy = None

    def push(self, changes, /):
        self.buffer = None
        return super().push(changes)

    def get(self, table: str, id: str, /) -> Copy:
        self.buffer = super().get(table, id)
        time.sleep(0.002)
        return self.buffer


@broken("test_system_fields_are_canonical")
class Milliseconds(Loopback):
    """`updated_at` is handed on as the server prints it, with three decimals."""

    def get(self, table: str, id: str, /) -> Copy:
        copy = super().get(table, id)
        return {**copy, "updated_at": f"{str(copy['updated_at'])[:23]}Z"} if alive(copy) else copy


@broken("test_system_fields_are_canonical")
class VersionsAreNumbers(Loopback):
    """Records in a page have the number of their version, where it should be text."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        records: list[Record] = [
            {**each, "version": int(str(each["version"]).partition(".")[0])} for each in page.records
        ]
        return attrs.evolve(page, records=records)


# ---- ids


@broken("test_ids_travel_as_they_are")
class LowerCaseIds(Loopback):
    """The key column compares without regard to case."""

    def sent(self, change):
        id = change.record_id.lower()
        record = None if change.record is None else {**change.record, "id": id}
        return attrs.evolve(change, record_id=id, record=record)

    def get(self, table: str, id: str, /) -> Copy:
        copy = super().get(table, id.lower())
        return {**copy, "id": id} if alive(copy) else copy


@broken("test_ids_travel_as_they_are")
class IdsInPaths(Loopback):
    """An id is part of the address as it is: what follows a question mark is lost, and %20 is a space."""

    def get(self, table: str, id: str, /) -> Copy:
        return super().get(table, unquote(id.partition("?")[0]))
