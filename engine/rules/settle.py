"""What an outcome, a pulled copy or a resolution does to a record's head and operations.

These functions change only the `Head` they are given. Afterwards the queue collapses the record's operations
again and lets go of those that no longer change anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from tidesync.conflicts import Defer, Drop, KeepLocal, KeepRemote, Merge, MergeFields, Resolution, Side
from tidesync.records import Copy, Record, Tombstone, alive, content_of, same, version_of
from tidesync.rules.chain import Entry, Head, current
from tidesync.rules.merge import echoes, merge_contents

NewId: TypeAlias = Callable[[], str]
Verdict: TypeAlias = Literal["applied", "again", "conflict"]


def applied(head: Head, entry: Entry, version: str | None, copy: Record | Tombstone | None) -> None:
    """The operation is in effect: it goes, and what the remote now holds becomes the base.

    `copy` is the remote's as it is now, so it outdates any news that waited. A remote that only remembers tells
    the version alone: news of that version is then the copy, and news of another one is newer, and waits to be settled.
    Edits made meanwhile are rebased onto the copy.
    """
    news = head.remote
    if copy is None and news is not None and version is not None and version_of(news) == version:
        copy = news  # it was pulled meanwhile: the remote may have made something else of what was sent
    stands = copy if copy is not None else _as_sent(head, entry, version)
    head.entries.remove(entry)
    head.base, head.remote = stands, None
    rebased = content_of(stands)
    if entry.content is not None and rebased is not None:
        for later in head.entries:
            if later.content is not None:
                later.content = merge_contents(entry.content, later.content, rebased)
    if news is not None and copy is None and version_of(news) != version:
        _ = arrives(head, news)


def _as_sent(head: Head, entry: Entry, version: str | None) -> Record | Tombstone:
    if entry.content is None:
        return Tombstone(version)
    sent = {field: entry.content.get(field) for field in entry.fields or ()}
    return {"id": entry.record_id, **(head.base if alive(head.base) else {}), **sent, "version": version}


def conflicted(head: Head, entry: Entry, found: Copy, new_id: NewId) -> Verdict:
    """The remote holds something else than expected: our own earlier success, a way to go on, or a conflict.

    An echo is possible only for an operation that may have been sent before. "again" means that it can be sent
    anew, from the base that was found; "conflict" leaves `found` as the head's `remote`.
    """
    doubt = entry.attempts > 1
    if entry.content is None:
        if not alive(found):
            applied(head, entry, version_of(found), _gone(found))
            return "applied"
    elif alive(found):
        ours = doubt and echoes(entry.content, entry.fields or (), found)
        if ours or (doubt and entry.sent_kind == "insert" and entry.generated):
            applied(head, entry, version_of(found), found)
            return "applied"
        if doubt and entry.sent_kind == "insert" and isinstance(entry.expected, Tombstone):
            return _again(head, entry, found, new_id)
    elif entry.sent_kind == "insert":
        if found is None and isinstance(entry.expected, Tombstone):
            # Not even a tombstone is there to be revived: a plain insert is what is left.
            return _again(head, entry, None, new_id)
        if not (doubt and entry.generated):
            return _again(head, entry, _gone(found), new_id)
        # It had arrived, and was deleted since: what was sent is the base of that news.
        head.base = {**entry.content, "version": None}
    head.remote = found if alive(found) else _gone(found)
    entry.renew(new_id())
    return "conflict"


def _gone(found: Copy) -> Tombstone:
    return found if isinstance(found, Tombstone) else Tombstone()


def _again(head: Head, entry: Entry, base: Copy, new_id: NewId) -> Verdict:
    entry.renew(new_id())
    head.base, head.remote = base, None
    return "again"


def undeleted(head: Head, entry: Entry, record: Record, new_id: NewId) -> None:
    """The record is back at the remote as it was: the insert goes on as an update of it."""
    _ = _again(head, entry, record, new_id)


def is_news(head: Head, copy: Record | Tombstone) -> bool:
    """Whether a pulled copy is newer than the base: one of the base's version is not."""
    base = head.base
    if base is None or alive(base) != alive(copy):
        return True
    if version_of(base) is None and version_of(copy) is None:
        return not same(content_of(base), content_of(copy))
    return version_of(base) != version_of(copy)


def arrives(head: Head, copy: Record | Tombstone) -> bool:
    """News meets queued operations: True if the record is in conflict now, and a policy may be asked.

    While the first operation may be at the remote the news is only kept: the resend decides.
    """
    if head.entries and head.entries[0].state == "attempted":
        head.remote = copy
        return False
    deleted_here = len(head.entries) == 1 and head.entries[0].content is None
    if not alive(copy) and (deleted_here or not alive(head.base)):
        # Nobody has anything to decide: both sides say that there is no record.
        head.base, head.remote = copy, None
        return False
    head.remote = copy
    return True


def resolve(head: Head, answer: Resolution, new_id: NewId) -> bool:
    """Apply a policy's answer to a record in conflict; False if it stays in conflict.

    The remote's copy becomes the base; the record's operations are rewritten from it.
    """
    news = head.remote
    if news is None or isinstance(answer, Defer):
        return False
    here, there = current(head), content_of(news)
    if isinstance(answer, MergeFields) and (here is None) != (there is None):
        answer = KeepLocal() if answer.prefer == "local" else KeepRemote()
    if isinstance(answer, KeepRemote | Drop) or (here is None and there is None):
        head.entries.clear()
        return True
    if isinstance(answer, MergeFields | Merge) and there is not None:
        _merge_entries(head, there, answer.prefer if isinstance(answer, MergeFields) else "local")
    if isinstance(answer, Merge):
        head.entries[-1].content = _complete(answer.record, head, there)
    for entry in head.entries:
        entry.renew(new_id())
    head.base, head.remote = news, None
    return True


def _merge_entries(head: Head, there: Record, prefer: Side) -> None:
    base = content_of(head.base)
    for entry in head.entries:
        if entry.content is not None:
            entry.content = merge_contents(base, entry.content, there, prefer)


def _complete(record: Record, head: Head, there: Record | None) -> Record:
    """A merged record says nothing of a field by leaving it out: that field becomes null at the remote."""
    whole = content_of(record) or {}
    return {**dict.fromkeys(there or {}), **whole, "id": head.record_id}
