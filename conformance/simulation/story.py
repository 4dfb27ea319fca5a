"""What happened in a run, in lines that a person can follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    Page,
    TransportCapabilities,
    Undeleted,
    Untried,
)
from tidesync.records import Copy, Record, Tombstone
from tidesync.rules.chain import Head

_HIDDEN = ("id", "created_at", "updated_at", "version", "_sequence", "_deleted", "deleted")


def short(copy: Copy) -> str:
    """A copy without what is empty."""
    if copy is None:
        return "nothing"
    if isinstance(copy, Tombstone):
        return f"tombstone@{copy.version}"
    shown = " ".join(
        f"{name}={value}" for name, value in copy.items() if name not in _HIDDEN and value not in (0, None)
    )
    version = f" @{copy['version']}" if "version" in copy else ""
    return "{" + shown + "}" + version


def queue_of(head: Head | None) -> str:
    """A record's queued operations."""
    if head is None:
        return "no queue"
    entries = ", ".join(
        f"#{entry.sequence}:{short(entry.content) if entry.content is not None else 'delete'} {entry.state}"
        for entry in head.entries
    )
    news = f", news {short(head.remote)}" if head.remote is not None else ""
    return f"base {short(head.base)}{news}: [{entries}]"


def changes_of(changes: Sequence[Change]) -> str:
    """What is sent."""
    return "; ".join(
        f"{change.id} {change.kind} {change.record_id} "
        f"{content_sent(change.record, change.fields)} expecting {change.expected}"
        + (f" (attempt {change.attempts})" if change.attempts > 1 else "")
        for change in changes
    )


def content_sent(record: Record | None, fields: Sequence[str]) -> str:
    """The fields that count."""
    return "" if record is None else "{" + " ".join(f"{field}={record.get(field)}" for field in fields) + "}"


def told(value: object) -> str:
    """An answer of the remote."""
    match value:
        case list():
            return ", ".join(told(item) for item in cast("list[object]", value))
        case dict():
            return short(cast("Record", value))
        case Applied(version, copy):
            return f"Applied({version + ' ' if version else ''}{short(copy)})"
        case Conflicted(copy):
            return f"Conflicted({short(copy)})"
        case Undeleted(record):
            return f"Undeleted({short(record)})"
        case Page():
            rows = [f"{record['id']}={short(record)}" for record in value.records]
            dead = [f"{id}={short(copy)}" for id, copy in value.tombstones.items()]
            return f"page [{', '.join(rows + dead)}]{' more' if value.more else ''}"
        case Untried() | TransportCapabilities():
            return type(value).__name__
        case _:
            return f"{value}"
