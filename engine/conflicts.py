"""Conflicts, the answers to them, and ready-made policies.

A policy is any callable `Conflict -> Resolution`. It is asked outside transactions, and its answer applies
only if the record has not changed meanwhile; else it is asked again. It sees whole records.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeAlias, TypeVar

import attrs

from tidesync.errors import ConfigurationError
from tidesync.records import Copy, Record, alive, content_of

T = TypeVar("T")
Side: TypeAlias = Literal["local", "remote"]


@attrs.frozen
class Conflict:
    """One record that changed on both sides.

    `base` is the remote's copy that the local edits began from, `local` the record as it is here now (None if it
    was deleted here), `remote` what the remote holds (a record, a `Tombstone`, or None). `revision` says which
    state of the queue this describes.
    """

    table: str
    record_id: str
    base: Copy
    local: Record | None
    remote: Copy
    revision: int

    @property
    def key(self) -> tuple[str, str]:
        """Table and record id."""
        return self.table, self.record_id

    def as_objects(self, decode: Callable[[Record], T]) -> tuple[T | None, T | None, T | None]:
        """Base, local and remote as objects, None where not alive: `c.as_objects(todos.from_record)`."""
        base, remote = self.base, self.remote
        return (
            decode(base) if alive(base) else None,
            None if self.local is None else decode(self.local),
            decode(remote) if alive(remote) else None,
        )


@attrs.frozen
class KeepLocal:
    """The local record wins whole: it is sent again, over what the remote holds."""


@attrs.frozen
class KeepRemote:
    """The remote's copy wins whole: the local edits are dropped."""


@attrs.frozen
class Merge:
    """This record is the result; it is sent as an edit of the remote's copy. A dict, or an object of the table."""

    record: Any


@attrs.frozen
class MergeFields:
    """Field by field: what one side alone changed wins; what both changed goes by `prefer`."""

    prefer: Side = "local"

    def __attrs_post_init__(self) -> None:
        if self.prefer not in ("local", "remote"):
            raise ConfigurationError(f"prefer is 'local' or 'remote', not {self.prefer!r:.60}")


@attrs.frozen
class Defer:
    """Nothing is decided: the record stays in conflict, listed by `ctx.conflicts()`. Nothing is lost."""

    reason: str = ""


@attrs.frozen
class Drop:
    """The local edits are discarded, as `ctx.operations()` would list them; the record becomes the remote's."""


Resolution: TypeAlias = KeepLocal | KeepRemote | Merge | MergeFields | Defer | Drop
Policy: TypeAlias = Callable[[Conflict], Resolution]
AsyncPolicy: TypeAlias = Callable[[Conflict], Awaitable[Resolution]]
"""For an `AsyncSyncContext`, which takes both."""


def defer(_: Conflict, /) -> Resolution:
    """The default: decide nothing, lose nothing."""
    return Defer()


def keep_local(_: Conflict, /) -> Resolution:
    """The local record wins."""
    return KeepLocal()


def keep_remote(_: Conflict, /) -> Resolution:
    """The remote's copy wins."""
    return KeepRemote()


def merge_fields(prefer: Side = "local") -> Policy:
    """Three-way by field: an edit beats no edit; both edited, a delete against an edit, or no base: `prefer` wins."""
    answer = MergeFields(prefer)
    return lambda _: answer


def conflicting_fields(conflict: Conflict) -> Mapping[str, tuple[Any, Any]]:
    """The fields on which local and remote differ, as (local, remote); empty if one side is deleted."""
    local, remote = conflict.local, content_of(conflict.remote)
    if local is None or remote is None or not alive(conflict.remote):
        return {}
    here = content_of(local) or {}
    return {
        key: (here.get(key), remote.get(key))
        for key in sorted(here.keys() | remote.keys())
        if here.get(key) != remote.get(key)
    }
