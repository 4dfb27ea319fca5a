"""The operation queue on one store transaction: local writes, collapse, order, and who waits for whom.

A local write changes the record and the queue together. `Queue.finish` is the one way in which a head whose
operations changed comes to rest: collapse again, let go of what changes nothing, show the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from tidesync.events import Event, OperationCollapsed, OperationQueued, RecordsChanged, Source
from tidesync.ledger import Ledger
from tidesync.operations import Operation
from tidesync.query import Field, In, Order, Query, equals
from tidesync.records import Record, alive, with_system
from tidesync.rows import OPERATIONS
from tidesync.rules.chain import Entry, Head, before, current, kind_between, kind_of
from tidesync.rules.collapse import adopt_news, may_collapse, place, vanishes
from tidesync.rules.order import begins_or_ends
from tidesync.values import ColumnType

Note: TypeAlias = Callable[[str, tuple[str, ...], int], None]
"""Is told of a table, the ids that changed (none: any of them), and the table's count of changes with this one."""
_SEQUENCE = Order(Field("sequence", ColumnType.INTEGER))


class Queue:
    """The queue inside one write transaction; `close` once at its end writes everything.

    `note` is told then, inside the transaction, what this changes if it is committed.
    """

    def __init__(self, ledger: Ledger, note: Note | None = None) -> None:
        self.ledger, self._note = ledger, note
        self.events: list[Event] = []
        self.unblocked: list[str] = []
        self.blockers: dict[str, str] = {}
        self._released: dict[str, None] = {}
        self._newest: Entry | None = None

    # ---- local writes

    def write(self, table: str, record_id: str, content: Record | None, *, generated: bool = False) -> None:
        """Queue the step from the record as it is to this content (None: deleted), and show it."""
        ledger = self.ledger
        head = ledger.head(table, record_id)
        if head is None:
            head = Head(table, record_id, ledger.local(table, record_id))
        sequence = ledger.new_sequence()
        entry = Entry(
            f"{sequence:016x}",
            sequence,
            ledger.new_id(),
            table,
            record_id,
            content,
            generated,
            created=ledger.now,
        )
        kind = kind_between(current(head), content)
        self._newest = entry  # nothing can wait for it yet
        head.entries.append(entry)
        ledger.touch(head)
        folded = False
        # What two made of one may collapse with the one before them, which neither of the two could.
        while len(head.entries) > 1 and self._fold(head, head.entries[-2], head.entries[-1]):
            folded = True
        if folded:
            left = kind_of(head, head.entries[-1]) if head.entries else None
            self.events.append(OperationCollapsed(table, record_id, left))
        elif kind is not None:
            self.events.append(OperationQueued(table, record_id, kind))
        if head.entries:
            last = head.entries[-1]
            if last.state != "attempted":
                last.blocker = self.blocker(head, last)
        self._show(head)

    def _fold(self, head: Head, old: Entry, new: Entry) -> bool:
        """Collapse two neighbours of one record into the older; False if they must both stay."""
        if not may_collapse(old.state):
            return False
        new_depends = self._depends(head, new, old.sequence, new.sequence)
        old_depends = new_depends and self._depends(head, old, old.sequence, new.sequence)
        where = place(old.state, new.content, old_depends=old_depends, new_depends=new_depends)
        if where == "both":
            return False
        start = before(head, old)
        if start is None and new.content is None and head.entries[0] is old and alive(head.remote):
            adopt_news(head)
        elif vanishes(start, new.content):
            self._remove(head, old)
            self._remove(head, new)
            return True
        old.content = new.content
        old.generated = old.generated or new.generated
        old.renew(self.ledger.new_id())
        self._remove(head, new)
        if where == "new":
            old.sequence = new.sequence
        return True

    def _remove(self, head: Head, entry: Entry) -> None:
        head.entries.remove(entry)
        self.ledger.remove(entry)
        if entry is not self._newest:
            self.release(entry)

    # ---- order

    def _depends(self, head: Head, entry: Entry, after: int, until: int) -> bool:
        """Whether the operation depends on one of another record in this open range of sequences."""
        if until - after <= 1:
            return False
        return self._named_step(head, entry, after, until) is not None or (
            begins_or_ends(kind_between(before(head, entry), entry.content))
            and self.ledger.is_named(head, after, until)
        )

    def _named_step(self, head: Head, entry: Entry, after: int, until: int) -> Entry | None:
        """The last operation in the range that inserts or deletes a record which this one names."""
        keys = self.ledger.names_of_entry(head, entry)
        self.ledger.load(keys)
        found: Entry | None = None
        for key in keys:
            other = self.ledger.head_at(key)
            for step in other.entries if other is not None else ():
                inside = after < step.sequence < until and (found is None or found.sequence < step.sequence)
                if inside and other is not None and begins_or_ends(kind_of(other, step)):
                    found = step
        return found

    def blocker(self, head: Head, entry: Entry) -> str | None:
        """One operation that must leave the queue before this one may be sent, if there is any."""
        index = head.entries.index(entry)
        if index:
            return head.entries[index - 1].key
        step = self._named_step(head, entry, 0, entry.sequence)
        if step is not None:
            return step.key
        return self.ledger.namer(head, entry.sequence) if _may_be_named(head, entry) else None

    def prefetch(self, pairs: Iterable[tuple[Head, Entry]]) -> None:
        """Read, all at once, what `blocker` will ask about these operations."""
        looked_at = list(pairs)
        keys = [key for head, entry in looked_at for key in self.ledger.names_of_entry(head, entry)]
        self.ledger.load(keys)
        self.ledger.load_namers(head for head, entry in looked_at if _may_be_named(head, entry))

    def expect(self, table: str, inserts: Iterable[tuple[Record, bool]]) -> None:
        """These records are about to be inserted (with whether their ids are new): read what that will need."""
        heads = [
            (
                Head(table, str(content["id"]), None),
                Entry("", 0, "", table, str(content["id"]), content, made),
            )
            for content, made in inserts
        ]
        for head, entry in heads:
            head.entries.append(entry)
        self.prefetch(heads)

    def release(self, entry: Entry) -> None:
        """The operation leaves (or changed): those that wait for it are looked at again at the end."""
        self._released[entry.key] = None

    def relook(self) -> None:
        """Look again at what waited for operations that left: each is ready now, or waits for another."""
        while self._released:
            self.ledger.flush()
            left, self._released = self._released, {}
            waiting = Query(OPERATIONS, In(Field("blocker", ColumnType.STRING), tuple(left)), (_SEQUENCE,))
            for head in self.ledger.heads(waiting):
                for entry in head.entries:
                    if entry.blocker in left:
                        self._reblock(head, entry)
                        self.ledger.save(head)
        self.ledger.flush()

    def _reblock(self, head: Head, entry: Entry) -> None:
        was, entry.blocker = entry.blocker, self.blocker(head, entry)
        if was is not None and entry.blocker is None:
            self.unblocked.append(entry.key)
        elif entry.blocker is not None:
            self.blockers[entry.key] = entry.blocker

    # ---- coming to rest

    def finish(self, head: Head) -> None:
        """The record's operations or its base changed: collapse again, drop what changes nothing, show it."""
        again = True
        while again:
            pairs = zip(head.entries, head.entries[1:], strict=False)
            again = any(self._fold(head, old, new) for old, new in pairs)
        for entry in list(head.entries):
            if entry.state != "attempted" and vanishes(before(head, entry), entry.content):
                self._remove(head, entry)
        self.ledger.touch(head)
        for entry in head.entries:
            if entry.state != "attempted":
                self._reblock(head, entry)
        self._show(head)

    def discard(self, head: Head) -> None:
        """All operations of the record leave without being applied."""
        for entry in list(head.entries):
            self._remove(head, entry)
        self.finish(head)

    def _show(self, head: Head) -> None:
        """The local record is what the newest operation says; with none left, the news, else the base."""
        self.ledger.save(head)
        for entry in head.entries:
            if self.ledger.moved(head, entry):
                self.release(entry)
        if not head.entries:
            copy = head.remote if head.remote is not None else head.base
            self.ledger.store_copy(head.table, head.record_id, copy)
            return
        content = current(head)
        shown = None if content is None else with_system(content, head.base)
        self.ledger.set_local(head.table, head.record_id, shown)

    def close(self, source: Source) -> list[Event]:
        """Write everything; returns what to tell after the commit."""
        self.relook()
        ledger = self.ledger
        changes = [
            RecordsChanged(table, tuple(ids), source) for table, ids in ledger.changed_ids.items() if ids
        ]
        wholly = [RecordsChanged(table, (), source) for table in ledger.changed_wholly]
        if self._note is not None:
            for each in (*changes, *wholly):
                self._note(each.table, each.ids, ledger.counters.changes[each.table])
        return [*changes, *self.events, *wholly]


def _may_be_named(head: Head, entry: Entry) -> bool:
    """Whether others naming the record matters; nobody can have named an id made for this very insert."""
    fresh = entry.generated and head.base is None
    return not fresh and begins_or_ends(kind_of(head, entry))


def describe(head: Head, entry: Entry) -> Operation:
    """A queued operation as users see it."""
    return Operation(
        key=entry.key, sequence=entry.sequence, id=entry.id, table=entry.table, record_id=entry.record_id,
        kind=kind_of(head, entry), content=entry.content, state=entry.state, attempts=entry.attempts,
        error=entry.error, fields=entry.fields, expected=entry.expected, generated=entry.generated,
        blocker=entry.blocker, in_conflict=head.in_conflict and head.entries[0] is entry, created=entry.created,
        last_attempt=entry.last_attempt,
    )  # fmt: skip


def listed(ledger: Ledger, table: str | None = None) -> list[Operation]:
    """The queue in order, of one table or of all."""
    where = None if table is None else equals("table", table, ColumnType.STRING)
    heads = ledger.heads(Query(OPERATIONS, where, (_SEQUENCE,)))
    found = [describe(head, entry) for head in heads for entry in head.entries]
    return sorted(found, key=lambda operation: operation.sequence)
