"""Every error tidesync raises on purpose; whose fault it is, is the first split.

TidesyncError
├── UsageError                the caller can mend it
│   ├── ConfigurationError    (ValueError) a table, store, transport or option is declared wrongly
│   │   └── MissingExtra      (ImportError) an optional dependency is not installed
│   ├── InvalidId             (ValueError) an id that no remote could hold
│   ├── InvalidRecord         (ValueError) a value that is not JSON, or does not fit its column
│   ├── InvalidQuery          (ValueError) a query that has no meaning, or none in this place
│   ├── UnknownTable          (LookupError) a table that the context was not given
│   ├── UnknownColumn         (AttributeError) a column that the table does not declare
│   ├── RecordExists          insert of an id that is already there
│   ├── RecordNotFound        (LookupError) update or delete of an id that is not there
│   ├── StaleRecord           the object given is older than what came from the remote since
│   ├── StaleResolution       a resolution made from an error that no longer describes the queue
│   ├── QueryNameReused       one name, two queries
│   ├── ContextClosed         used before open, or after close
│   ├── BatchActive           push, pull, purge or a remote table inside ctx.batch()
│   └── Unsupported           this store, transport or remote does not offer what was asked
├── StoreError                the local store
│   ├── StoreBusy, StoreClosed, StoreReadOnly, StoreFull, StoreCorrupt, StoreUnavailable
│   ├── StoreTimeout          a read took longer than the store was told to allow
│   ├── StoreTooNew           written by a newer tidesync
│   ├── WrongKey              an encrypted store's file does not open with this key
│   └── SchemaMismatch        a changed column type that would lose values
├── TransportError            the wire, or the remote behind it
│   ├── NotReachable          nothing was sent: refused connection, no such host, rate limit
│   ├── RemoteUnavailable     timeout or 5xx, after the transport's own retries
│   ├── Unauthorized          credentials refused, also after one refresh
│   ├── RequestRefused        the remote understood, and refused (4xx)
│   ├── RemoteConflict        the remote's record is not as expected (remote tables only)
│   ├── ProtocolError         the reply is not what the protocol promises
│   │   └── RemoteDamaged     files of a folder or bucket are torn, missing or foreign
│   ├── ResyncRequired        the remote no longer honours the cursor
│   └── RemoteChanged         another remote answers under the same address
└── SyncError                 push, pull and purge
    ├── PushFailed            (in reports.py) carries .report and .errors
    ├── AbortPush             (in session.py) a handler stopped the push
    ├── SyncBusy              another push, pull or purge holds the lease
    │   └── LeaseLost         it was taken over while this one waited
    ├── PurgeBlocked          operations remain
    └── MassDeparture         more than half of the records would vanish
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidesync.records import Copy, Record


class TidesyncError(Exception):
    """Root of everything tidesync raises on purpose. It can be pickled, whatever its class is made with."""

    def __reduce__(self) -> tuple[object, ...]:
        return _remade, (type(self), self.args, vars(self))


def _remade(cls: type[TidesyncError], args: tuple[object, ...], state: dict[str, object]) -> TidesyncError:
    """An error as it was, without calling its `__init__`: that takes other arguments than the text."""
    error = cls.__new__(cls, *args)
    error.args = args
    vars(error).update(state)
    return error


class UsageError(TidesyncError):
    """The call was wrong; nothing has changed."""


class ConfigurationError(UsageError, ValueError):
    """A table, store, transport or option is declared in a way that cannot work."""


class MissingExtra(ConfigurationError, ImportError):
    """An optional dependency is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{package} is not installed: pip install 'tidesync[{extra}]'")


class InvalidId(UsageError, ValueError):
    """An id must be 1 to 255 characters of text without control characters or lone surrogates."""

    def __init__(self, table: str, id: object, reason: str) -> None:
        self.table, self.id, self.reason = table, id, reason
        super().__init__(f"{table}: {id!r:.80} cannot be an id: {reason}")


class InvalidRecord(UsageError, ValueError):
    """A record holds a value that is not JSON, or one that its column cannot hold."""

    def __init__(self, table: str, field: str, value_type: str, reason: str) -> None:
        self.table, self.field, self.value_type, self.reason = table, field, value_type, reason
        where = f"{table}.{field}" if field else table
        super().__init__(f"{where}: a value of type {value_type} cannot be stored: {reason}")


class InvalidQuery(UsageError, ValueError):
    """A query that has no meaning, or none where it was used; the message says which part."""


class UnknownTable(UsageError, LookupError):
    """The context was not given this table."""

    def __init__(self, table: str, known: Sequence[str] = (), hint: str = "") -> None:
        self.table, self.known = table, tuple(known)
        super().__init__(f"no table {table!r} here; declared: {', '.join(known) or 'none'}{hint}")


class UnknownColumn(UsageError, AttributeError):
    """The table does not declare this column."""

    def __init__(self, table: str, column: str, suggestion: str | None = None) -> None:
        self.table, self.column, self.suggestion = table, column, suggestion
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"{table} has no column {column!r}{hint}")


class RecordExists(UsageError):
    """An insert met a record that is already in the local store; use update or upsert."""

    def __init__(self, table: str, id: str) -> None:
        self.table, self.id = table, id
        super().__init__(f"{table}/{id} exists already: use update() or upsert()")


class RecordNotFound(UsageError, LookupError):
    """An update or delete met nothing in the local store."""

    def __init__(self, table: str, id: str) -> None:
        self.table, self.id = table, id
        super().__init__(f"{table}/{id} is not in the local store: insert() it, or pull() first")


class StaleRecord(UsageError):
    """The object came from an older copy than the one foreign news has brought since.

    `given` is what was passed, `current` what the store holds. Read again, apply the change, write.
    """

    def __init__(self, table: str, id: str, given: Record, current: Record) -> None:
        self.table, self.id, self.given, self.current = table, id, given, current
        super().__init__(
            f"{table}/{id} changed at the remote since it was read: read it again and apply the change to that"
        )


class StaleResolution(UsageError):
    """The operation changed after the error was made; look at ctx.operations() and decide again."""

    def __init__(self, table: str, id: str) -> None:
        self.table, self.id = table, id
        super().__init__(
            f"{table}/{id}: the queued operation changed since this error was reported; nothing was done"
        )


class QueryNameReused(UsageError):
    """A pull name belongs to one query; purge it or choose another name."""

    def __init__(self, table: str, name: str) -> None:
        self.table, self.name = table, name
        super().__init__(
            f"{table}: the name {name!r} belongs to another query: use a new name, or purge(name={name!r}) first"
        )


class ContextClosed(UsageError):
    """The context is not open: use `with SyncContext(...) as ctx`, or call open()."""


class BatchActive(UsageError):
    """Push, pull, purge, remote tables and another batch are refused inside ctx.batch()."""


class Unsupported(UsageError):
    """What was asked needs a capability that this store, transport or remote does not declare."""


class StoreError(TidesyncError):
    """The local store could not do its part; the driver's exception is chained."""


class StoreBusy(StoreError):
    """Another thread or process held the write lock for longer than the busy timeout."""


class StoreTimeout(StoreError):
    """A reading transaction took longer than the store was told to allow."""


class StoreClosed(StoreError):
    """The store, its transaction, or an iterator of it was used after its end."""


class StoreReadOnly(StoreError):
    """The store's file or folder cannot be written."""


class StoreFull(StoreError):
    """The disk is full; nothing of the transaction was kept."""


class StoreCorrupt(StoreError):
    """The file is not a database of this kind, or is damaged; it was not touched."""


class StoreUnavailable(StoreError):
    """The store's path cannot be opened: a directory, a missing folder, no permission."""


class StoreTooNew(StoreError):
    """The store was written by a newer tidesync; upgrade the library. The file was not touched."""

    def __init__(self, message: str, found: int, supported: int) -> None:
        self.found, self.supported = found, supported
        super().__init__(message)


class WrongKey(StoreError):
    """The key does not open the file, the file is not encrypted, or its first page is damaged; it was not touched."""


class SchemaMismatch(StoreError):
    """A column changed to a type that would lose values; nothing was touched."""

    def __init__(self, table: str, column: str, stored: str, declared: str) -> None:
        self.table, self.column, self.stored, self.declared = table, column, stored, declared
        super().__init__(
            f"{table}.{column} is stored as {stored} and declared as {declared}: keep the old type, or add a new column"
        )


class TransportError(TidesyncError):
    """The wire or the remote failed; `retry_after` is in seconds where the remote named it."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class NotReachable(TransportError):
    """Nothing was sent, or the remote said so: refused connection, unknown host, rate limit."""


class RemoteUnavailable(TransportError):
    """The remote timed out or failed (5xx), also after the transport's own retries."""


class Unauthorized(TransportError):
    """The remote refused the credentials, also after they were refreshed once."""


class RequestRefused(TransportError):
    """The remote understood the request and refused it."""

    def __init__(self, message: str, *, code: str) -> None:
        self.code = code
        super().__init__(message)


class RemoteConflict(TransportError):
    """A remote table's write met another record than expected; `copy` is what the remote holds."""

    def __init__(self, message: str, *, copy: Copy) -> None:
        self.copy = copy
        super().__init__(message)


class ProtocolError(TransportError):
    """The reply breaks the protocol: not JSON, a wrong shape, too large."""


class RemoteDamaged(ProtocolError):
    """The remote's files are not as they were written: torn, missing, foreign, out of order, or fewer than before.

    `file` names the first that is wrong, `reason` says what is. Nothing was changed, here or there.
    """

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file}: {reason}")


class ResyncRequired(TransportError):
    """The remote no longer honours the cursor: pull(resync=True) starts again and reconciles."""


class RemoteChanged(TransportError):
    """Another remote answers than the one this store was synced with; nothing was sent or stored."""

    def __init__(self, stored: str, found: str) -> None:
        self.stored, self.found = stored, found
        super().__init__(
            f"this store belongs to remote {stored!r}, and {found!r} answers: "
            "use another store file, or the old address and protocol"
        )


class SyncError(TidesyncError):
    """A push, pull or purge could not go through."""


class SyncBusy(SyncError):
    """Another push, pull or purge of this store is under way, and did not end in time."""


class LeaseLost(SyncBusy):
    """This push, pull or purge was paused for so long that another one took the lease."""


class PurgeBlocked(SyncError):
    """Operations remain in what should be purged; nothing changed. `pending` counts them."""

    def __init__(self, table: str, pending: int) -> None:
        self.table, self.pending = table, pending
        super().__init__(
            f"{table}: {pending} operation(s) could not be pushed: mend them, or purge(force=True) to lose them"
        )


class MassDeparture(SyncError):
    """More than half of more than 100 records would be dropped; nothing was. `going` of `held`."""

    def __init__(self, table: str, going: int, held: int) -> None:
        self.table, self.going, self.held = table, going, held
        super().__init__(
            f"{table}: {going} of {held} records would be dropped: if that is right, purge() and pull() again"
        )
