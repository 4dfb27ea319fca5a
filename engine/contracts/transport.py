"""The transport contract: all that a transport author reads. It speaks meaning; the wire's shape is its own.

The remote behind it has stable ids, a version that changes with content, tombstones where declared, one effect
per operation id within the declared window, and `pull(cursor)` returns a superset of everything committed since.

Records travel as they are: any id, any JSON value by its type, fields that no schema names too. At the top of a
record null and absent are one, since a remote may have columns. A `version` is text; `created_at` and `updated_at`,
where there are such, are canonical datetime text. What is given is not changed, what is returned is the caller's.

`push` never raises for the wire: what happened is one outcome per change, in order. `open`, `pull` and `get`
raise `NotReachable`, `RemoteUnavailable`, `Unauthorized`, `RequestRefused` or `ProtocolError`, and `pull` also
`ResyncRequired`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import attrs

from tidesync.query import Query
from tidesync.records import Copy, Json, Record, Tombstone
from tidesync.schema import TableSchema


class CursorGuarantee(enum.IntEnum):
    """What a cursor can promise about records that are committed late or at the same instant."""

    FULL_SCAN = 0
    """No cursor: every pull reads everything."""
    TIMESTAMP = 1
    """Ties and late commits may be missed without overlap."""
    KEYSET = 2
    """Ties are safe; a commit that becomes visible late may be missed without overlap."""
    HORIZON = 3
    """Nothing visible is missed: the cursor stays behind transactions that are still open.

    From here on, a pull from the last cursor brings nothing once nothing is new.
    """
    COMMIT_ORDERED = 4
    """The cursor is a position in the order of commits."""


@attrs.frozen(kw_only=True)
class TransportCapabilities:
    """What `open` found out about the remote.

    `identity` names the remote: another one later is `RemoteChanged`. `cursor`: what its cursors promise.
    `max_changes` and `max_bytes` bound one push, `page_limit` the records of one page. `ordered`: the changes
    of one push take effect in the order given, and a failed one does not stop the rest. `tombstones` and
    `departures`: names of the tables that report deletes, and records leaving a query. `remembers`: seconds for
    which operation ids are known (None: for ever; 0: not at all). `overlap`: seconds that the remote may commit
    late. `exchange_timeout`: the longest that one exchange can take, in seconds. `total`: whether pulls can be
    counted. `filters`: whether conditions are evaluated there, at least in part.
    """

    identity: str
    cursor: CursorGuarantee = CursorGuarantee.FULL_SCAN
    max_changes: int = 1
    max_bytes: int | None = None
    ordered: bool = False
    total: bool = False
    filters: bool = False
    tombstones: frozenset[str] = frozenset()
    departures: frozenset[str] = frozenset()
    remembers: float | None = 0.0
    overlap: float = 0.0
    page_limit: int = 1000
    exchange_timeout: float = 60.0


@attrs.frozen
class Version:
    """The remote must hold a live record of this version."""

    version: str


@attrs.frozen
class Absent:
    """The remote must hold nothing, not even a tombstone."""


@attrs.frozen
class Anything:
    """Whatever the remote holds: unconditional."""


Expected: TypeAlias = Version | Absent | Tombstone | Anything
"""What the remote must hold for the change to apply; a `Tombstone` without version is a tombstone of any version."""

ChangeKind: TypeAlias = Literal["insert", "update", "delete", "undelete"]


@attrs.frozen(kw_only=True)
class Change:
    """One operation on its way to the remote.

    `record` is the full content without system fields (None for delete and undelete); `fields` names what changed
    (for an insert: all of it). Fields outside `fields` are the remote's; one of `fields` that is not in `record`
    was removed. `attempts` is 1 on the first send: more means it may have arrived before. `undelete` is asked for by
    remote tables only, and brings the record back as it was.

    An insert expects `Absent` or a `Tombstone`, an update and a delete a `Version` or `Anything`, an undelete a
    `Tombstone`. Whatever it expects, an update of what is not there is `Conflicted`: it creates nothing; a delete of
    what is gone is `Applied`. An effect is remembered for `id`, a refusal is not: sent again it is judged anew.
    """

    id: str
    table: str
    record_id: str
    kind: ChangeKind
    record: Record | None
    fields: tuple[str, ...] = ()
    expected: Expected = Anything()
    attempts: int = 1
    parameters: Mapping[str, str] = attrs.field(factory=dict[str, str])


@attrs.frozen
class Applied:
    """The change is in effect.

    `copy` is the remote's record or tombstone *as it is now*, None where only `version` is known: a reply
    remembered for an operation id carries the version of then, never its record.
    """

    version: str | None
    copy: Record | Tombstone | None = None


@attrs.frozen
class Conflicted:
    """The expectation did not hold, nothing was changed; `copy` is what the remote holds."""

    copy: Copy


@attrs.frozen
class Rejected:
    """The remote proved that it changed nothing, and will not take this content: too large, say, or unfit."""

    code: str
    message: str


@attrs.frozen
class Undeleted:
    """A tombstone was revived as `record`; the insert's content was not written yet."""

    record: Record


@attrs.frozen
class Unknown:
    """Timeout, 5xx or an unreadable reply: it may be in effect, or may yet come into effect."""

    reason: str


@attrs.frozen
class NotSent:
    """It certainly did not arrive: refused connection, unknown host, rate limit. The push stops."""

    reason: str
    retry_after: float | None = None


@attrs.frozen
class Untried:
    """Not sent, because an earlier change of the same exchange stopped it."""


@attrs.frozen
class Denied:
    """Credentials were refused, also after one refresh. The push stops."""

    reason: str


Outcome: TypeAlias = Applied | Conflicted | Rejected | Undeleted | Unknown | NotSent | Untried | Denied


@attrs.frozen(kw_only=True)
class PullRequest:
    """One page is wanted.

    `cursor` is what the last page returned, None at the start: any client of the remote may go on from it, and may do
    so again. One that the remote did not give, or no longer honours, is `ResyncRequired`, or harmless: never is
    anything left out because of it. `limit` bounds the records of the page, and is 1 or more. `overlap` > 0 (first
    page of a pull only): rewind the cursor by that many seconds, counted back from the remote's clock when the pull
    that made it *began*. `fields` narrows records to these (and id, version); `ids` to these records, and none for no
    ids. `departures`: report ids that changed since the cursor and no longer match. `deleted`: report tombstones.
    `incremental` False: everything that matches, each record once, whatever changed since; then the query may have an
    order, skip and take. What the remote cannot order is `Unsupported`, never another order.
    """

    query: Query
    cursor: Json = None
    limit: int = 1000
    overlap: float = 0.0
    fields: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None
    total: bool = False
    deleted: bool = True
    departures: bool = False
    incremental: bool = True
    parameters: Mapping[str, str] = attrs.field(factory=dict[str, str])


@attrs.frozen
class Junk:
    """Something in a page that is no record (or has no usable id): `raw` as far as it can be kept, and why."""

    raw: str
    reason: str


@attrs.frozen(kw_only=True)
class Page:
    """One page of a pull.

    `cursor` is opaque JSON, good for the next page and (where the guarantee is not FULL_SCAN) for the next pull.
    `more`: the pull goes on from it, and it is another one than before. No id is both in `records` and in `tombstones`.
    `exact` False: the remote could not be trusted with the filter, the engine must filter `records` itself.
    `clock`: the remote's own time as canonical datetime text, where it tells. `total` counts the whole pull.
    `junk` is what was no record; what was stored as a record comes as one.
    """

    records: Sequence[Record] = ()
    tombstones: Mapping[str, Tombstone] = attrs.field(factory=dict[str, Tombstone])
    departed: Sequence[str] = ()
    cursor: Json = None
    more: bool = False
    total: int | None = None
    exact: bool = True
    clock: str | None = None
    junk: Sequence[Junk] = ()


class Transport(Protocol):
    """A way to one remote. Construction does no I/O; `open` may be called again after `close`.

    The engine makes its calls one after another; remote tables may call from another thread meanwhile.
    """

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        """Find out who the remote is and what it can do. Every client of it is told one identity, at every call."""
        ...

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        """Send changes of different records, none dependent on another; one outcome per change, in order."""
        ...

    def pull(self, request: PullRequest, /) -> Page:
        """Read one page. A table that the remote has not got is an error, never an empty page."""
        ...

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        """Read one record as it is now: None for nothing, a tombstone where the table reports deletes."""
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...


class AsyncTransport(Protocol):
    """A way to one remote for an event loop: `Transport` with `async def`, word for word the same promises.

    A call that is cancelled is in doubt, as one whose reply was lost.
    """

    async def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        """Find out who the remote is and what it can do. Every client of it is told one identity, at every call."""
        ...

    async def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        """Send changes of different records, none dependent on another; one outcome per change, in order."""
        ...

    async def pull(self, request: PullRequest, /) -> Page:
        """Read one page. A table that the remote has not got is an error, never an empty page."""
        ...

    async def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        """Read one record as it is now: None for nothing, a tombstone where the table reports deletes."""
        ...

    async def close(self) -> None:
        """Release everything; idempotent."""
        ...
