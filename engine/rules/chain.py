"""What the queue holds of one record: its head, and its operations in order.

An operation takes the record from what was *before* it to its *content*. What was before the first one is the
head's `base`; an operation queued behind another has that operation's content before it. So the kind of an
operation is not said but derived, and stays right when the base moves.
"""

from __future__ import annotations

import attrs

from tidesync.contracts.transport import Expected
from tidesync.operations import Kind, Refusal, State
from tidesync.records import Copy, Record, Tombstone, content_of


@attrs.define(eq=False)
class Entry:
    """One queued operation while a transaction works on it."""

    key: str
    sequence: int
    id: str
    table: str
    record_id: str
    content: Record | None
    generated: bool = False
    state: State = "pending"
    attempts: int = 0
    error: Refusal | None = None
    fields: tuple[str, ...] | None = None
    expected: Expected | None = None
    sent_kind: Kind | None = None
    blocker: str | None = None
    created: float = 0.0
    last_attempt: float | None = None
    named: tuple[Record | None, Record | None, frozenset[str]] | None = None
    """The names that these two contents, before and after, were found to hold."""

    def renew(self, id: str) -> None:
        """What is sent from now on is another operation to the remote: new id, nothing sent yet."""
        self.id, self.state, self.attempts, self.error = id, "pending", 0, None
        self.fields = self.expected = self.sent_kind = None


@attrs.define(eq=False)
class Head:
    """One record with queued operations: what they began from, and newer news that is not settled yet.

    `base` None means nothing is known at the remote. `remote` None means no news (news of a deletion is a tombstone).
    """

    table: str
    record_id: str
    base: Copy
    remote: Record | Tombstone | None = None
    revision: int = 0
    entries: list[Entry] = attrs.field(factory=list[Entry])
    key: str = attrs.field(init=False)
    """The name of the record in the engine's own tables."""
    _content: tuple[Copy, Record | None] = (None, None)

    def __attrs_post_init__(self) -> None:
        self.key = record_key(self.table, self.record_id)

    @property
    def base_content(self) -> Record | None:
        """What the user owns of the base; the same object until the base moves."""
        if self._content[0] is not self.base:
            self._content = (self.base, content_of(self.base))
        return self._content[1]

    @property
    def in_conflict(self) -> bool:
        """News waits, and no answer is awaited that could decide it: nothing else marks a conflict."""
        return self.remote is not None and bool(self.entries) and self.entries[0].state != "attempted"


def record_key(table: str, record_id: str) -> str:
    """Table names hold no slash, so this is unambiguous."""
    return f"{table}/{record_id}"


def before(head: Head, entry: Entry) -> Record | None:
    """The content before this operation: that of the one in front of it, or the base's."""
    if head.entries[0] is entry:
        return head.base_content
    return head.entries[head.entries.index(entry) - 1].content


def kind_between(old: Record | None, new: Record | None) -> Kind | None:
    """What leads from one content to the other; None where neither is alive."""
    if new is not None:
        return "insert" if old is None else "update"
    return None if old is None else "delete"


def kind_of(head: Head, entry: Entry) -> Kind:
    """The kind of a queued operation. What was sent keeps the kind it was sent as."""
    if entry.sent_kind is not None:
        return entry.sent_kind
    return kind_between(before(head, entry), entry.content) or "delete"


def current(head: Head) -> Record | None:
    """The record's content as the user sees it."""
    return head.entries[-1].content if head.entries else head.base_content
