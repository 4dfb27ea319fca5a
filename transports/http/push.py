"""One change on its way to a plain REST remote: requests, replies, one outcome.

The flows follow what is proved: a refusal is only `Rejected` or `Conflicted` where the reply shows that
nothing was changed, and a success is only `Applied` where its body is the record. Everything else is
`Unknown`.
"""

from __future__ import annotations

from typing import Protocol

from tidesync.contracts.transport import (
    Anything,
    Applied,
    Change,
    Conflicted,
    Denied,
    NotSent,
    Outcome,
    Rejected,
    Undeleted,
    Unknown,
    Version,
)
from tidesync.errors import (
    InvalidQuery,
    NotReachable,
    ProtocolError,
    RequestRefused,
    TransportError,
    Unauthorized,
)
from tidesync.records import Copy, Json, Record, Tombstone, alive, version_of
from tidesync.transports.http.dialect import Wire
from tidesync.transports.http.flow import Flow
from tidesync.transports.http.values import Form, Unsendable
from tidesync.transports.http.wire import (
    Reply,
    Request,
    Wanted,
    message_of,
    note_columns,
    object_of,
    sendable_id,
    sendable_version,
)

_TRIES = 3


class Call(Protocol):
    """What a change needs of the network. Both raise `TransportError`; see `client.Budgeted`."""

    def write(self, request: Request) -> Flow[Reply]: ...
    def read(self, request: Request) -> Flow[Reply]: ...


def perform(change: Change, form: Form, wire: Wire, call: Call) -> Flow[Outcome]:
    """Send one change and say what became of it; never raises for the wire."""
    try:
        return (yield from _Sending(change, form, wire, call).run())
    except Unsendable as error:
        return Rejected(error.code, error.message)
    except InvalidQuery as error:
        return Rejected("parameter", str(error))
    except NotReachable as error:
        return NotSent(str(error), error.retry_after)
    except Unauthorized as error:
        return Denied(str(error))
    except RequestRefused as error:
        return Rejected(error.code, str(error))
    except TransportError as error:
        return Unknown(str(error))


class _Sending:
    def __init__(self, change: Change, form: Form, wire: Wire, call: Call) -> None:
        self.change, self.form, self.wire, self.call = change, form, wire, call
        self.id = change.record_id
        self.where = f"{change.table}/{change.record_id}"

    def run(self) -> Flow[Outcome]:
        if not sendable_id(self.id):
            raise Unsendable("id", f"{self.where}: this id cannot stand in an address: use another one")
        version = _version_of_expected(self.change)
        if version is not None and not sendable_version(version):
            raise Unsendable("version", f"{self.where}: its version cannot stand in a header: pull it again")
        match self.change.kind:
            case "insert" if isinstance(self.change.expected, Tombstone):
                return (yield from self.revive(version, alone=True))
            case "insert":
                return (yield from self.insert())
            case "update":
                return (yield from self.update(version))
            case "delete":
                return (yield from self.delete(version))
            case "undelete":
                return (yield from self.revive(version, alone=False))

    # ------------------------------------------------------------ the four kinds

    def insert(self) -> Flow[Outcome]:
        reply = yield from self.call.write(self.wire.insert(self.form, self.change))
        if reply.ok:
            return self.applied(reply)
        if reply.status in (409, 412):
            # The body may be what was just sent: only reading the record tells what is there.
            copy = yield from self.fetch()
            return Conflicted(Tombstone(None) if copy is None else copy)
        return self.refused(reply)

    def update(self, version: str | None) -> Flow[Outcome]:
        expected = self.change.expected
        if isinstance(expected, Tombstone):
            raise Unsendable("expected", f"{self.where}: a tombstone cannot be updated: insert it")
        if self.wire.whole_updates and version is None:
            return (yield from self.overwrite())
        body = yield from self.body()
        if not body and not (self.wire.whole_updates and self.change.fields):
            return (yield from self.unchanged(version))
        reply = yield from self.call.write(self.wire.update(self.form, self.change, body, version))
        return (yield from self.updated(reply, version))

    def updated(self, reply: Reply, version: str | None) -> Flow[Outcome]:
        if reply.ok:
            return self.applied(reply)
        if reply.status in (404, 410):
            # Missing, deleted, or no such table: the difference decides whether a record is lost.
            copy = yield from self.fetch()
            if alive(copy):
                return Unknown(f"{self.where}: {reply.status} for an update of what a read still shows")
            return Conflicted(copy)
        if reply.status in (409, 412):
            return (yield from self.conflicted(reply, version))
        return self.refused(reply)

    def body(self) -> Flow[dict[str, Json]]:
        """What an update sets, without nulls for columns that the 2.0 server has not yet: they fail there."""
        change, record = self.change, self.change.record or {}
        if self.wire.whole_updates:
            return (
                self.form.encode(record, (field for field in record if field != "id"))
                if change.fields
                else {}
            )
        # A field that is gone from the record is null at the remote: its columns do not come and go.
        changed: Record = {field: record.get(field) for field in change.fields if field != "id"}
        body = self.form.encode(changed, changed)
        if any(value is None and name not in self.form.known for name, value in body.items()):
            yield from self.learn()
            body = {
                name: value for name, value in body.items() if value is not None or name in self.form.known
            }
        return body

    def learn(self) -> Flow[None]:
        """Look at one row of the table, for its columns."""
        reply = yield from self.call.read(self.wire.list(self.form, Wanted(top=1, deleted=True)))
        note_columns(reply, self.form)

    def unchanged(self, version: str | None) -> Flow[Outcome]:
        """Nothing to set: only the expectation is checked, by reading."""
        copy = yield from self.look()
        if alive(copy) and (version is None or version_of(copy) == version):
            return Applied(version_of(copy), copy)
        return Conflicted(copy)

    def overwrite(self) -> Flow[Outcome]:
        """Update whatever is there, on a remote that takes whole records only: read, change, write."""
        outcome: Outcome = Unknown(f"{self.where}: it changes too often to be overwritten")
        for _ in range(_TRIES):
            copy = yield from self.look()
            if not alive(copy):
                return Conflicted(copy)
            record = self.change.record or {}
            fields = [field for field in self.change.fields if field != "id"]
            merged: Record = {**copy, **{field: record.get(field) for field in fields}}
            own = (field for field in merged if field not in ("id", "version", "created_at", "updated_at"))
            version = version_of(copy)
            if not fields:
                return Applied(version, copy)
            body = self.form.encode(merged, own)
            reply = yield from self.call.write(self.wire.update(self.form, self.change, body, version))
            outcome = yield from self.updated(reply, version)
            if not (isinstance(outcome, Conflicted) and alive(outcome.copy)):
                return outcome
        return outcome

    def delete(self, version: str | None) -> Flow[Outcome]:
        reply = yield from self.call.write(self.wire.delete(self.form, self.change, version))
        if reply.ok:
            return self.deleted(reply)
        if reply.status == 410:
            return Applied(None, Tombstone(None))
        if reply.status == 404:
            said = object_of(reply.body)
            if said is not None and said.get("code") != "unknown_table" and not self.wire.whole_updates:
                return Applied(None, Tombstone(None))
            # No word of the table's own: perhaps there is no such table, and nothing was deleted.
            copy = yield from self.fetch()
            if alive(copy):
                return Unknown(f"{self.where}: 404 for a delete of what a read still shows")
            return Applied(version_of(copy), copy or Tombstone(None))
        if reply.status in (409, 412):
            return (yield from self.conflicted(reply, version))
        return self.refused(reply)

    def deleted(self, reply: Reply) -> Outcome:
        if not reply.body.strip():
            return Applied(None, Tombstone(None))
        row = object_of(reply.body, self.form)
        if row is None or row.get("id") != self.id:
            return Unknown(f"{self.where}: {reply.status}, but the reply is not the record")
        version = row.get("version")
        if row.get("deleted") is True and isinstance(version, str):
            return Applied(version, Tombstone(version))
        return Applied(None, Tombstone(None))

    def revive(self, version: str | None, *, alone: bool) -> Flow[Outcome]:
        """Undelete. `alone`: the insert's own content is for a later exchange."""
        row: dict[str, Json] = {}
        unconditional = isinstance(self.change.expected, Anything)
        if self.wire.whole_updates or (version is None and not unconditional):
            reply = yield from self.call.read(self.wire.fetch(self.form, self.id, self.change.parameters))
            copy = self.wire.fetched(self.form, self.id, reply)
            if not isinstance(copy, Tombstone) or (
                version is not None and copy.version not in (None, version)
            ):
                return Conflicted(copy)
            version = version or copy.version
            row = object_of(reply.body) or {}
        reply = Reply(404)
        for request in self.wire.undelete(self.form, self.change, version, row):
            reply = yield from self.call.write(request)
            if reply.status not in (404, 405, 410):
                break
        if reply.ok:
            outcome = self.applied(reply)
            if alone and isinstance(outcome, Applied) and alive(outcome.copy):
                return Undeleted(outcome.copy)
            return outcome if not alone else Unknown(f"{self.where}: undeleted, yet not shown as alive")
        if reply.status in (404, 410):
            return Conflicted((yield from self.fetch()))
        if reply.status in (409, 412):
            return (yield from self.conflicted(reply, version))
        return self.refused(reply)

    # ------------------------------------------------------------ what replies mean

    def applied(self, reply: Reply) -> Outcome:
        row = object_of(reply.body, self.form)
        if row is None or row.get("id") != self.id:
            return Unknown(f"{self.where}: {reply.status}, but the reply is not the record")
        try:
            _, copy = self.form.read(row, self.change.record)
        except ValueError as error:
            return Unknown(
                f"{self.where}: {reply.status}, but the record in the reply cannot be read: {error}"
            )
        self.form.note(row)
        return Applied(version_of(copy), copy)

    def conflicted(self, reply: Reply, version: str | None) -> Flow[Outcome]:
        copy: Copy = None
        row = object_of(reply.body, self.form) if reply.status == 412 else None
        if row is not None and row.get("id") == self.id and isinstance(row.get("version"), str):
            try:
                copy = self.form.read(row, self.change.record)[1]
            except ValueError:
                copy = None
        if copy is None:
            copy = yield from self.fetch()
        if alive(copy) and version is not None and version_of(copy) == version:
            # The version is right, so it is about something else: a constraint, a proxy with its own rules.
            return Rejected(str(reply.status), message_of(reply))
        return Conflicted(copy)

    def look(self) -> Flow[Copy]:
        """What the remote holds now. Raises `TransportError`."""
        reply = yield from self.call.read(self.wire.fetch(self.form, self.id, self.change.parameters))
        return self.wire.fetched(self.form, self.id, reply, self.change.record)

    def fetch(self) -> Flow[Copy]:
        """What the remote holds after a refusal; a failure leaves the outcome unknown, no such table is a refusal."""
        try:
            return (yield from self.look())
        except RequestRefused:
            raise
        except TransportError as error:
            raise ProtocolError(
                f"{self.where}: refused, and what is there could not be read: {error}"
            ) from error

    def refused(self, reply: Reply) -> Outcome:
        said = message_of(reply)
        if 300 <= reply.status < 400:
            target = reply.headers.get("location", "elsewhere")[:200]
            text = f"{self.where}: the remote redirects this request to {target}; writes are not redirected"
            # Only 307 and 308 say that the request is still to be made.
            return Rejected(str(reply.status), text) if reply.status in (307, 308) else Unknown(text)
        if 400 <= reply.status < 500:
            return Rejected(str(reply.status), said)
        return Unknown(f"{self.where}: {reply.status}: {said}")


def _version_of_expected(change: Change) -> str | None:
    """The version to send along."""
    expected = change.expected
    return expected.version if isinstance(expected, Version | Tombstone) else None
