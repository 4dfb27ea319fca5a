"""Frozen events, told after commit to whoever subscribed, on the calling thread."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from tidesync.operations import Kind

Source: TypeAlias = Literal["local", "push", "pull", "purge", "resolution", "elsewhere"]
Activity: TypeAlias = Literal["push", "pull"]
CycleReason: TypeAlias = Literal["start", "every", "change", "trigger", "retry"]
"""Why a cycle of autosync began: the first one, by time, after local changes, by `trigger()`, or once more."""
WaitReason: TypeAlias = Literal[
    "every", "change", "trigger", "failure", "retry_after", "refused", "busy", "offline"
]
"""What autosync waits for, before its next cycle.

* "every", "change": nothing is wrong; the next cycle comes by time, or soon, since something changed meanwhile
* "trigger": a cycle was asked for, and comes at once
* "failure": the network, the remote or the store failed; it is tried again, later each time
* "retry_after": the remote named the time before which it wants no request
* "refused": credentials, or all requests, are refused: it is tried again, seldom
* "busy": another push, pull or purge of the store is under way
* "offline": the `online` predicate said no, and is asked again then
"""
StopReason: TypeAlias = Literal["stop", "close", "exit", "cancelled", "error"]
"""Why autosync ended: `stop()`, the context was closed, the program ends, its task was cancelled, or an error."""


@attrs.frozen
class RecordsChanged:
    """These records of the table changed in the local store; an empty tuple of ids means: any of them.

    `source` is "elsewhere" where another process, or another context, changed them.
    """

    table: str
    ids: tuple[str, ...]
    source: Source


@attrs.frozen
class OperationQueued:
    """A local write was queued as an operation of its own."""

    table: str
    record_id: str
    kind: Kind


@attrs.frozen
class OperationCollapsed:
    """A local write was merged into a queued operation; `kind` is the result's, None if nothing is left to send."""

    table: str
    record_id: str
    kind: Kind | None


@attrs.frozen
class Progress:
    """`done` of `total` operations (push), or of records read, known ones included (pull); `total` None: unknown."""

    activity: Activity
    done: int
    total: int | None
    table: str | None = None


@attrs.frozen
class PushStarted:
    """A push began with this many operations queued."""

    operations: int


@attrs.frozen
class OperationPushed:
    """The remote has this operation."""

    table: str
    record_id: str
    kind: Kind


@attrs.frozen
class OperationFailed:
    """The remote refused this operation; it is kept, with its dependants behind it."""

    table: str
    record_id: str
    kind: Kind
    code: str
    message: str


@attrs.frozen
class PushFinished:
    """A push ended; `status` as in `PushReport`."""

    status: str
    pushed: int


@attrs.frozen
class PullStarted:
    """A pull of the table began, `name` None: not incremental."""

    table: str
    name: str | None


@attrs.frozen
class PageStored:
    """One page was stored with its cursor."""

    table: str
    records: int
    deleted: int


@attrs.frozen
class PullFinished:
    """A pull of the table ended well."""

    table: str
    name: str | None
    records: int
    deleted: int


@attrs.frozen
class Purged:
    """Records were removed from the local store only."""

    table: str
    records: int


@attrs.frozen
class ConflictFound:
    """A record changed on both sides; the policy is asked next."""

    table: str
    record_id: str


@attrs.frozen
class ConflictSettled:
    """A conflict ended; `how` names the resolution."""

    table: str
    record_id: str
    how: str


@attrs.frozen
class EventsMissed:
    """So many events are not in this stream: whoever reads it was too slow. Only `ctx.events()` tells this."""

    count: int


@attrs.frozen
class CycleStarted:
    """Autosync began a cycle: it pushes, and then pulls what it was told to."""

    why: CycleReason


@attrs.frozen
class CycleFinished:
    """A cycle of autosync ended: `ok` if it went to its end, and nothing of it has to be tried again.

    `pushed` counts operations; `records` what the pulls stored that went to their end, `deleted` what they removed.
    `error` is the first thing that went wrong; where `ok`, it is a `PushFailed` with the operations that were refused
    or are in conflict. None where not `ok`: the cycle was stopped.
    """

    ok: bool
    pushed: int
    records: int
    deleted: int
    error: Exception | None


@attrs.frozen
class AutosyncWaiting:
    """Autosync waits this many seconds for its next cycle, unless a local change or `trigger()` hurries it."""

    seconds: float
    why: WaitReason


@attrs.frozen
class AutosyncStopped:
    """Autosync has ended; `error` where it could not go on by itself."""

    why: StopReason
    error: BaseException | None


Event: TypeAlias = (
    RecordsChanged
    | OperationQueued
    | OperationCollapsed
    | Progress
    | PushStarted
    | OperationPushed
    | OperationFailed
    | PushFinished
    | PullStarted
    | PageStored
    | PullFinished
    | Purged
    | ConflictFound
    | ConflictSettled
    | EventsMissed
    | CycleStarted
    | CycleFinished
    | AutosyncWaiting
    | AutosyncStopped
)
