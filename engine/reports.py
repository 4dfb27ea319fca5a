"""What push and pull report, and the errors that carry a report."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from tidesync.errors import ContextClosed, SyncError
from tidesync.operations import Operation
from tidesync.records import Copy, Record

Status: TypeAlias = Literal["complete", "network", "authentication", "store", "caller", "handler"]
"""How a push ended: it met everything, or it was stopped by one of these."""
ErrorStatus: TypeAlias = Literal["rejected", "conflict", "unknown"]
"""Why one operation did not go through: it was refused, is in conflict, or in doubt."""


class Resolver(Protocol):
    """What an `OperationError` needs to settle itself; a `SyncContext` and an `AsyncSyncContext` are such."""

    def resolve_error(self, error: OperationError, how: str, record: Any = None) -> Awaitable[None]:
        """Apply a resolution, or raise `StaleResolution`."""
        ...


class Settled:
    """What is done already: awaiting it does nothing."""

    def __await__(self) -> Generator[None]:
        yield from ()


class _Elsewhere:
    """Stands for the context of an `OperationError` that was copied to another process."""

    def resolve_error(self, error: OperationError, how: str, record: Any = None) -> Awaitable[None]:
        del how, record
        raise ContextClosed(
            f"{error.table}/{error.record_id}: this error is a copy, away from its context: "
            "settle it there, or look at ctx.operations() and ctx.conflicts()"
        )


@attrs.frozen(eq=False)
class OperationError:
    """One operation that did not go through: refused, in conflict, or in doubt.

    `operation` is as it stood in the queue, `sent` what the remote got (None if nothing was), `server` what the
    remote holds where that is known. `status` is "rejected", "conflict" or "unknown". A resolution made after the
    operation changed raises `StaleResolution` and does nothing. It is made when the method returns; that of an
    `AsyncSyncContext` is under way then, and made, or refused, when what the method returned has been awaited.
    """

    operation: Operation
    status: ErrorStatus
    code: str
    message: str
    sent: Record | None
    server: Copy
    revision: int
    _resolver: Resolver = attrs.field(repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        told = (self.operation, self.status, self.code, self.message, self.sent, self.server, self.revision)
        return OperationError, (*told, _Elsewhere())

    @property
    def table(self) -> str:
        """The table of the record."""
        return self.operation.table

    @property
    def record_id(self) -> str:
        """The id of the record."""
        return self.operation.record_id

    def cancel_and_update(self, record: Any) -> Awaitable[None]:
        """Drop the operation, and make this the local record, as if it had come from the remote."""
        return self._resolver.resolve_error(self, "cancel_and_update", record)

    def cancel_and_discard(self) -> Awaitable[None]:
        """Drop the operation; the local record becomes the server's copy."""
        return self._resolver.resolve_error(self, "cancel_and_discard")

    def update_operation(self, record: Any) -> Awaitable[None]:
        """Go on with this content instead, as an edit of the server's copy where that is known."""
        return self._resolver.resolve_error(self, "update_operation", record)

    def retry(self) -> Awaitable[None]:
        """Send it again with the next push, as it is."""
        return self._resolver.resolve_error(self, "retry")


@attrs.frozen(kw_only=True)
class PushReport:
    """What a push did.

    `pushed` lists the operations that are in effect at the remote. `errors` are those of this push; `remaining`
    are operations that earlier pushes left failed or in conflict. `pending` counts what is queued now (status "store":
    0, since nobody can tell).
    `retry_after` is in seconds, where the remote named it.
    """

    status: Status = "complete"
    pushed: Sequence[Operation] = ()
    errors: Sequence[OperationError] = ()
    remaining: Sequence[Operation] = ()
    pending: int = 0
    retry_after: float | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything that the push met went through."""
        return self.status == "complete" and not self.errors


def about(table: str, record_id: str, message: str) -> str:
    """The message, saying once which record it is about."""
    what = f"{table}/{record_id}"
    return message if message.startswith(f"{what}: ") else f"{what}: {message}"


class PushFailed(SyncError):
    """A push was stopped, or some of its operations did not go through; `report` says which and why."""

    def __init__(self, report: PushReport) -> None:
        self.report = report
        self.errors = tuple(report.errors)
        first = "".join(f": {about(each.table, each.record_id, each.message)}" for each in self.errors[:1])
        stopped = "" if report.status == "complete" else f" stopped by {report.status} ({report.reason})"
        failed = f" {len(self.errors)} operation(s) did not go through{first}" if self.errors else ""
        left = "" if report.status == "store" else f"; {report.pending} pending"
        super().__init__(f"push{stopped}{' and' if stopped and failed else ''}{failed}{left}")


@attrs.frozen(kw_only=True)
class PullReport:
    """What a pull did: counts of records stored, deleted and departed here, pages read, and what was put aside.

    `conflicts` counts records that news brought into conflict, whether or not a policy settled them since.
    `quarantined` maps record ids (or a made-up key for what has none) to the reason. `push` is the report of the
    push before it, None if there was none; it may hold errors.
    """

    table: str
    name: str | None = None
    records: int = 0
    deleted: int = 0
    departed: int = 0
    pages: int = 0
    conflicts: int = 0
    total: int | None = None
    quarantined: Mapping[str, str] = attrs.field(factory=dict[str, str])
    push: PushReport | None = None
