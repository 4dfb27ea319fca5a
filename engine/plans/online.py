"""Reading and writing the remote directly: what the tables of `ctx.remote` do. It fails without a network."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tidesync.contracts.transport import (
    Anything,
    Applied,
    Change,
    ChangeKind,
    Conflicted,
    Denied,
    Expected,
    NotSent,
    Outcome,
    PullRequest,
    Rejected,
    Undeleted,
    Unknown,
    Version,
)
from tidesync.effects import GetRecord, Plan, PullPage, PushChanges
from tidesync.errors import (
    NotReachable,
    ProtocolError,
    RemoteConflict,
    RemoteUnavailable,
    RequestRefused,
    Unauthorized,
)
from tidesync.predicate import matcher
from tidesync.query import Query
from tidesync.records import Copy, Json, Record, alive, content_of
from tidesync.reports import about
from tidesync.rules.cursors import Trail


@attrs.frozen(kw_only=True)
class Wish:
    """One write that is to be made at the remote, under an operation id of its own."""

    operation: str
    table: str
    id: str
    kind: ChangeKind
    record: Record | None
    expected: Expected
    parameters: Mapping[str, str]


def read(table: str, id: str) -> Plan[Copy]:
    """One record as it is now."""
    return (yield from GetRecord(table, id))


def write(wish: Wish) -> Plan[Record]:
    """Make the write, and return the remote's record. Raises what `RemoteTable` says."""
    outcome = yield from send(wish)
    copy = outcome.copy if isinstance(outcome, Applied) else outcome.record
    if not alive(copy):
        copy = yield from GetRecord(wish.table, wish.id)
    if not alive(copy):
        raise RemoteConflict(f"{wish.table}/{wish.id} was deleted right after this write", copy=copy)
    return copy


def send(wish: Wish) -> Plan[Applied | Undeleted]:
    """Make the write. Raises what `RemoteTable` says."""
    content = content_of(wish.record)
    fields = tuple(field for field in content or () if field != "id")
    change = Change(
        id=wish.operation, table=wish.table, record_id=wish.id, kind=wish.kind, record=content, fields=fields,
        expected=wish.expected, parameters=wish.parameters,
    )  # fmt: skip
    outcomes = yield from PushChanges([change])
    return _effective(wish.table, wish.id, outcomes[0])


def fetch(query: Query, parameters: Mapping[str, str]) -> Plan[tuple[list[Record], int | None]]:
    """All records of the query, in its order, with their total (None unless it was asked for and is told)."""
    records: list[Record] = []
    total: int | None = None
    cursor: Json = None
    trail = Trail(cursor)
    while True:
        request = PullRequest(
            query=query, cursor=cursor, total=query.total and cursor is None, deleted=False,
            incremental=False, fields=query.fields, parameters=parameters,
        )  # fmt: skip
        page = yield from PullPage(request)
        matches = matcher(None if page.exact else query.where)
        records.extend(record for record in page.records if matches(record))
        # A later page may count only what it has not told yet.
        total = page.total if total is None else total
        if not page.more:
            return records, total
        if trail.returns(page.cursor):
            raise ProtocolError(f"the remote announces more of {query.table} and does not move")
        cursor = page.cursor


def count(query: Query, parameters: Mapping[str, str]) -> Plan[int]:
    """How many records the query has without its skip and take."""
    counted = attrs.evolve(query, order=(), skip=0, take=None, fields=("id",), total=True)
    records, total = yield from fetch(counted, parameters)
    return len(records) if total is None else total


def expected_of(version: Json) -> Expected:
    """What a write expects that carries this version, or none."""
    return Version(version) if isinstance(version, str) else Anything()


def _effective(table: str, id: str, outcome: Outcome) -> Applied | Undeleted:
    what = f"{table}/{id}"
    match outcome:
        case Applied() | Undeleted():
            return outcome
        case Conflicted(copy):
            raise RemoteConflict(
                f"{what} is not at the remote as expected: look at .copy, and decide", copy=copy
            )
        case Rejected(code, message):
            raise RequestRefused(about(table, id, message), code=code)
        case Unknown(reason):
            raise RemoteUnavailable(
                f"{about(table, id, reason)}; the write may be in effect: read it before writing again"
            )
        case NotSent(reason, retry_after):
            raise NotReachable(about(table, id, reason), retry_after=retry_after)
        case Denied(reason):
            raise Unauthorized(about(table, id, reason))
        case _:
            raise RemoteUnavailable(f"{what} was not tried")
