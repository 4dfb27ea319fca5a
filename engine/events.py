"""Frozen events, told after commit to whoever subscribed, on the calling thread."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from tidesync.operations import Kind

Source: TypeAlias = Literal["local", "push", "pull", "purge", "resolution"]
Activity: TypeAlias = Literal["push", "pull"]


@attrs.frozen
class RecordsChanged:
    """These records of the table changed in the local store; an empty tuple of ids means: any of them."""

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
)
