"""What happened in a run, in lines that a person can follow."""

from __future__ import annotations

from collections.abc import Sequence

from tidesync.contracts.transport import Change
from tidesync.records import Copy, Record, Tombstone, alive
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
    if isinstance(value, list):
        return ", ".join(told(item) for item in value)
    if isinstance(value, dict) and alive(value):
        return short(value)
    name = type(value).__name__
    copy = getattr(value, "copy", getattr(value, "record", None))
    if name in ("Applied", "Conflicted", "Undeleted"):
        version = getattr(value, "version", "")
        return f"{name}({version + ' ' if version else ''}{short(copy)})"
    if name == "Page":
        rows = [f"{record['id']}={short(record)}" for record in getattr(value, "records", ())]
        dead = [f"{id}={short(copy)}" for id, copy in getattr(value, "tombstones", {}).items()]
        return f"page [{', '.join(rows + dead)}]{' more' if getattr(value, 'more', False) else ''}"
    return name if name in ("Untried", "TransportCapabilities") else f"{value}"
