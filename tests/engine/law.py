"""Every history of edits, pushed collapsed and uncollapsed to a remote that enforces foreign keys.

The engine's own queue runs on a memory store. Histories that lead to the same state of device and remote, up to
the names of values, versions and places, have the same future, so each such state is explored once and counted as
often as histories lead to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

import attrs

from tidesync.contracts.transport import (
    Absent,
    Applied,
    Change,
    Conflicted,
    Expected,
    Outcome,
    Rejected,
    Version,
)
from tidesync.ledger import EDGES, HEADS, META, OPERATIONS, SYSTEM_TABLES, Ledger
from tidesync.query import Query
from tidesync.queue import Queue
from tidesync.records import Copy, Record, Tombstone, alive, content_of, version_of
from tidesync.schema import Column, TableSchema
from tidesync.sending import Run, Sent, mark, settle_all
from tidesync.stores.memory import MemoryStore

Key: TypeAlias = tuple[str, str]
Contents: TypeAlias = dict[Key, Record]
"""What is alive, by table and id, without system fields."""
ITEMS_OF_ONE_LIST: tuple[Key, ...] = (("items", "A"), ("items", "B"), ("lists", "L"))
ONE_ITEM_OF_LISTS: tuple[Key, ...] = (("items", "A"), ("lists", "L"), ("lists", "M"))


def schemas(*, declared: bool) -> dict[str, TableSchema]:
    """Items that name lists, with the reference declared or nothing said."""
    items = (Column("text"), Column("list"))
    return {
        "lists": TableSchema("lists", (Column("text"),), references={} if declared else None),
        "items": TableSchema("items", items, references={"list": "lists"} if declared else None),
    }


def refuses(held: Contents, key: Key, new: Record | None) -> bool:
    """Whether foreign keys forbid that this becomes the content of the record."""
    if new is None:
        return key[0] == "lists" and any(record.get("list") == key[1] for record in held.values())
    named = new.get("list")
    return named is not None and ("lists", named) not in held


# ---- the remote


@attrs.frozen
class Remote:
    """A remote with foreign keys, versions and tombstones; `seen` are the operation ids it has put into effect."""

    rows: Mapping[Key, Copy]
    remembers: bool
    seen: Mapping[str, str] = attrs.field(factory=dict)
    clock: int = 0

    @property
    def contents(self) -> Contents:
        """What is alive."""
        return {key: content for key, copy in self.rows.items() if (content := content_of(copy)) is not None}

    def take(self, change: Change) -> tuple[Remote, Outcome]:
        """Decide one change."""
        key = (change.table, change.record_id)
        now = self.rows.get(key)
        if self.remembers and change.id in self.seen:
            return self, Applied(self.seen[change.id])
        if change.kind == "delete" and not alive(now):
            return self, Applied(version_of(now), now if isinstance(now, Tombstone) else Tombstone())
        if not _holds(change.expected, now):
            return self, Conflicted(now)
        version = str(self.clock + 1)
        new: Record | None = None
        if change.record is not None:
            new = {"id": key[1], **(content_of(now) or {}), **{field: change.record[field] for field in change.fields}}
        if refuses(self.contents, key, new):
            return self, Rejected("foreign_key", f"{change.kind} of {key} breaks a reference")
        copy: Copy = Tombstone(version) if new is None else {**new, "version": version}
        after = Remote({**self.rows, key: copy}, self.remembers, {**self.seen, change.id: version}, self.clock + 1)
        return after, Applied(version, copy)


def _holds(expected: Expected, now: Copy) -> bool:
    match expected:
        case Version(version):
            return alive(now) and version_of(now) == version
        case Absent():
            return now is None
        case Tombstone(version):
            return isinstance(now, Tombstone) and version in (None, now.version)
        case _:
            return True


# ---- the device


class Device:
    """The real queue on a memory store whose state can be taken down and put back."""

    def __init__(self, *, declared: bool) -> None:
        self.schemas = schemas(declared=declared)
        self.store = MemoryStore()
        self.store.open([*SYSTEM_TABLES, *self.schemas.values()])

    def taken_down(self) -> dict[str, dict[str, Record]]:
        """The state; rows are replaced whole by the store, never changed."""
        return {name: dict(rows) for name, rows in self.store.tables.items()}

    def put_back(self, state: Mapping[str, dict[str, Record]]) -> None:
        """Return to a state."""
        self.store.tables = {name: dict(rows) for name, rows in state.items()}

    def write(self, key: Key, content: Record | None) -> None:
        """One local edit, in one transaction."""
        with self.store.transaction(write=True) as transaction:
            queue = Queue(Ledger(transaction, self.schemas, nonce="n", now=0.0))
            queue.write(*key, content)
            _ = queue.close("local")

    def begin(self, max_changes: int) -> Run:
        """What a push keeps in mind."""
        with self.store.transaction(write=False) as transaction:
            row = transaction.get(META, ["counters"])[0]
        sequence = row["value"][0] if row is not None else 0  # type: ignore[index]  # a list
        return Run(snapshot=sequence, max_changes=max_changes)  # type: ignore[arg-type]  # a number

    def mark(self, run: Run) -> list[Sent]:
        """Mark the next operations that may travel together."""
        with self.store.transaction(write=True) as transaction:
            queue = Queue(Ledger(transaction, self.schemas, nonce="n", now=0.0))
            batch = mark(queue, run)
            _ = queue.close("push")
        return batch

    def settle(self, batch: Sequence[Sent], outcomes: Sequence[Outcome], run: Run) -> None:
        """Settle what came of it."""
        with self.store.transaction(write=True) as transaction:
            queue = Queue(Ledger(transaction, self.schemas, nonce="n", now=0.0))
            settle_all(queue, batch, outcomes, run)
            _ = queue.close("push")

    def contents(self) -> Contents:
        """What the user sees."""
        found: Contents = {}
        with self.store.transaction(write=False) as transaction:
            for table in self.schemas:
                for row in transaction.select(Query(table)):
                    found[table, str(row["id"])] = content_of(row) or {}
        return found


# ---- the classic table, which the law is compared with


@attrs.frozen
class Step:
    """One operation of the classic queue: it stands where the record's first edit stood."""

    key: Key
    old: Record | None
    new: Record | None
    frozen: bool = False


def classic(steps: tuple[Step, ...], key: Key, old: Record | None, new: Record | None) -> tuple[Step, ...]:
    """The classic queue after one more edit: insert + delete is nothing, all else is one operation at the old place."""
    for index, step in enumerate(steps):
        if step.key == key and not step.frozen:
            gone = step.old is None and new is None
            kept = () if gone else (attrs.evolve(step, new=new),)
            return (*steps[:index], *kept, *steps[index + 1 :])
    return (*steps, Step(key, old, new))


def classic_sent(steps: tuple[Step, ...], sent: Sent, *, acknowledged: bool) -> tuple[Step, ...] | None:
    """The classic queue after the same operation went; None where it holds no such operation."""
    change = sent.change
    for index, step in enumerate(steps):
        if step.key == (change.table, change.record_id) and step.new == change.record:
            left = () if acknowledged else (attrs.evolve(step, frozen=True),)
            return (*steps[:index], *left, *steps[index + 1 :])
    return None


def classic_accepted(steps: tuple[Step, ...], held: Contents) -> bool:
    """Whether foreign keys take the classic queue whole, in its order."""
    held = dict(held)
    for step in steps:
        if refuses(held, step.key, step.new):
            return False
        if step.new is None:
            _ = held.pop(step.key, None)
        else:
            held[step.key] = step.new
    return True


# ---- the exploration


@attrs.define
class Counts:
    """Cases that were checked, and what the classic table would have made of them."""

    cases: int = 0
    classic_refused: int = 0
    sent: int = 0
    states: int = 0

    def add(self, other: Counts) -> None:
        """Add what was counted elsewhere; states are counted where they are met."""
        self.cases += other.cases
        self.classic_refused += other.classic_refused
        self.sent += other.sent


class Broken(AssertionError):
    """A history that breaks the law."""


class Explorer:
    """Explores every history of a layout on one kind of remote."""

    def __init__(self, keys: Sequence[Key], *, declared: bool, remembers: bool) -> None:
        self.keys, self.remembers = tuple(keys), remembers
        self.device = Device(declared=declared)
        self.empty = self.device.taken_down()
        self.known: dict[tuple[Any, ...], Counts] = {}
        self.path: list[str] = []
        self.states = 0
        self.texts = 0

    def beginnings(self) -> Iterator[Contents]:
        """Every state that foreign keys allow, each once for records that can change places."""
        seen: set[tuple[Any, ...]] = set()
        lists = [key for key in self.keys if key[0] == "lists"]
        options = [[None, *([None] if key[0] == "lists" else [None, *(name for _, name in lists)])] for key in self.keys]
        for there, named in product(product((False, True), repeat=len(self.keys)), product(*options)):
            held: Contents = {}
            for key, here, name in zip(self.keys, there, named, strict=True):
                if here:
                    held[key] = new_record(key, name)
            if any(refuses(held, key, record) for key, record in held.items()):
                continue
            alike = _alike(held, lists)
            if alike not in seen:
                seen.add(alike)
                yield held

    def explore(self, held: Contents, edits: int) -> Counts:
        """All histories of up to so many edits that begin with this state on device and remote."""
        rows: dict[Key, Copy] = {key: {**record, "version": str(n)} for n, (key, record) in enumerate(held.items(), 1)}
        self.device.put_back(self.empty)
        with self.device.store.transaction(write=True) as transaction:
            for (table, _), copy in rows.items():
                assert alive(copy)
                transaction.put(table, [copy])
        remote = Remote(rows, self.remembers, {}, len(rows))
        self.path = [f"begin {held}"]
        return self._unpushed(self.device.taken_down(), remote, held, (), edits)

    def _unpushed(
        self, state: dict[str, dict[str, Record]], remote: Remote, held: Contents, steps: tuple[Step, ...], edits: int
    ) -> Counts:
        """Nothing was pushed yet: push whole, or lose an acknowledgement, or edit on."""
        key = (0, edits, canonical(state, remote, steps))
        if (found := self.known.get(key)) is not None:
            return found
        self.states += 1
        counts = Counts()
        self._push_whole(state, remote, held, steps, counts)
        for after, further, left, story in self._cuts(state, remote, steps):
            self.path.append(story)
            counts.add(self._pushed(after, further, held, left, edits))
            _ = self.path.pop()
        if edits:
            for after, further, queue in self._edits(state, held, steps):
                assert queue is not None
                counts.add(self._unpushed(after, remote, further, queue, edits - 1))
        self.known[key] = counts
        return counts

    def _pushed(
        self,
        state: dict[str, dict[str, Record]],
        remote: Remote,
        held: Contents,
        steps: tuple[Step, ...] | None,
        edits: int,
    ) -> Counts:
        """An acknowledgement was lost: push whole, or edit on."""
        key = (1, edits, canonical(state, remote, steps))
        if (found := self.known.get(key)) is not None:
            return found
        self.states += 1
        counts = Counts()
        self._push_whole(state, remote, held, steps, counts)
        if edits:
            for after, further, queue in self._edits(state, held, steps):
                counts.add(self._pushed(after, remote, further, queue, edits - 1))
        self.known[key] = counts
        return counts

    def _edits(
        self, state: dict[str, dict[str, Record]], held: Contents, steps: tuple[Step, ...] | None
    ) -> Iterator[tuple[dict[str, dict[str, Record]], Contents, tuple[Step, ...] | None]]:
        """Every edit that a remote would take, had it taken the whole history uncollapsed."""
        for key in self.keys:
            for new in self._steps_of(key, held):
                if refuses(held, key, new):
                    continue
                self.path.append(f"{'/'.join(key)} := {new}")
                self.device.put_back(state)
                self.device.write(key, new)
                further = {other: record for other, record in held.items() if other != key}
                if new is not None:
                    further[key] = new
                self._equal("the device shows its edits", further, self.device.contents())
                queue = None if steps is None else classic(steps, key, held.get(key), new)
                yield self.device.taken_down(), further, queue
                _ = self.path.pop()

    def _steps_of(self, key: Key, held: Contents) -> Iterator[Record | None]:
        lists = [name for table, name in self.keys if table == "lists"] if key[0] == "items" else []
        now = held.get(key)
        if now is None:
            yield from (new_record(key, name) for name in (None, *lists))
            return
        self.texts += 1
        yield {**now, "text": f"t{self.texts}"}
        for name in (None, *lists) if key[0] == "items" else ():
            if now.get("list") != name:
                yield {**now, "list": name}
        yield None

    def _cuts(
        self, state: dict[str, dict[str, Record]], remote: Remote, steps: tuple[Step, ...]
    ) -> Iterator[tuple[dict[str, dict[str, Record]], Remote, tuple[Step, ...] | None, str]]:
        """A first push, one operation at a time, cut after each: the last one arrived, or did not."""
        self.device.put_back(state)
        run = self.device.begin(max_changes=1)
        left: tuple[Step, ...] | None = steps
        number = 0
        while batch := self.device.mark(run):
            number += 1
            (sent,) = batch
            marked = self.device.taken_down()
            frozen = None if left is None else classic_sent(left, sent, acknowledged=False)
            yield marked, remote, frozen, f"send {number}: lost {sent.change}"
            remote, outcome = remote.take(sent.change)
            if self._took_effect(sent.change, outcome):
                yield marked, remote, frozen, f"send {number}: arrived, answer lost {sent.change}"
                left = None if left is None else classic_sent(left, sent, acknowledged=True)
            self.device.put_back(marked)
            self.device.settle(batch, [outcome], run)

    def _push_whole(
        self,
        state: dict[str, dict[str, Record]],
        remote: Remote,
        held: Contents,
        steps: tuple[Step, ...] | None,
        counts: Counts,
    ) -> None:
        """The law itself: the collapsed queue is accepted whole, in any order within a batch, and all end equal."""
        self.device.put_back(state)
        begun = remote.contents
        run = self.device.begin(max_changes=5)
        sent = 0
        while batch := self.device.mark(run):
            outcomes: list[Outcome] = []
            for each in reversed(batch):
                remote, outcome = remote.take(each.change)
                sent += self._took_effect(each.change, outcome)
                outcomes.append(outcome)
            self.device.settle(batch, outcomes[::-1], run)
        tables = self.device.store.tables
        self._equal("the queue is empty", {}, {**tables[OPERATIONS], **tables[HEADS], **tables[EDGES]})
        self._equal("the remote ends as after the uncollapsed history", held, remote.contents)
        self._equal("the device ends equal", held, self.device.contents())
        counts.cases += 1
        counts.sent += sent
        if steps is not None and classic_accepted(steps, begun):
            if sent > len(steps):
                raise Broken(f"{sent} operations were sent, the classic table sends {len(steps)}: {self.path}")
        else:
            counts.classic_refused += 1

    def _took_effect(self, change: Change, outcome: Outcome) -> bool:
        """True where the change is in effect now. It may also meet a grave that the device had forgotten, and go on."""
        grave = change.kind == "insert" and change.expected == Absent() and isinstance(outcome, Conflicted)
        if grave and isinstance(outcome.copy, Tombstone):  # type: ignore[union-attr]  # grave says so
            return False
        echo = not self.remembers and change.attempts > 1 and isinstance(outcome, Conflicted)
        if not isinstance(outcome, Applied) and not echo:
            raise Broken(f"{change} met {outcome}: {self.path}")
        return True

    def _equal(self, what: str, expected: object, actual: object) -> None:
        if expected != actual:
            raise Broken(f"{what}: {expected} is not {actual}: {self.path}")


def new_record(key: Key, name: str | None) -> Record:
    """What an insert writes."""
    return {"id": key[1], "text": "t0", **({"list": name} if key[0] == "items" else {})}


def _alike(held: Contents, lists: Sequence[Key]) -> tuple[Any, ...]:
    """The same for states that differ only in which of two like records is which."""
    items = sorted(str(record["list"]) for (table, _), record in held.items() if table == "items")
    if len(lists) == 1:
        return (lists[0] in held, tuple(items))
    named = {record["list"] for (table, _), record in held.items() if table == "items"}
    return (len(items), sorted((key in held, key[1] in named) for key in lists).__repr__())


def canonical(state: Mapping[str, dict[str, Record]], remote: Remote, steps: tuple[Step, ...] | None) -> tuple[Any, ...]:
    """What the future depends on: names of values, versions and places are given anew in order of appearance."""
    names: dict[object, int] = {}

    def name(value: object) -> object:
        return value if value is None else names.setdefault(value, len(names))

    def shown(copy: Record | None) -> object:
        if copy is None:
            return None
        return (name(("t", copy["text"])), copy.get("list"), name(("v", copy.get("version"))))

    def seen(copy: Any) -> object:
        if copy is None:
            return None
        return shown(copy["record"]) if "record" in copy else ("gone", name(("v", copy["tombstone"])))

    rows = sorted(state[OPERATIONS].values(), key=lambda row: row["sequence"])  # type: ignore[arg-type, return-value]
    place = {row["id"]: index for index, row in enumerate(rows)}
    number = {row["sequence"]: index for index, row in enumerate(rows)}
    operations = tuple(
        (
            row["table"], row["record_id"], row["kind"], shown(row["content"]), row["state"], row["attempts"],  # type: ignore[arg-type]
            str(row["fields"]), name(("e", str(row["expected"]))) if row["expected"] else None, row["sent_kind"],
            None if row["blocker"] is None else place.get(row["blocker"], "left"), row["operation"] in remote.seen,
            str(row["names"]),
        )
        for row in rows
    )  # fmt: skip
    heads = tuple(
        (key, seen(row["base"]), seen(row["remote"]), tuple(place[each] for each in row["entries"]))  # type: ignore[union-attr]
        for key, row in sorted(state[HEADS].items())
    )
    edges = tuple(sorted((row["target"], number.get(row["sequence"], -1)) for row in state[EDGES].values()))  # type: ignore[type-var]
    shown_here = tuple(
        (table, id, shown(row)) for table in ("items", "lists") for id, row in sorted(state[table].items())
    )
    there = tuple(
        (key, shown(copy) if alive(copy) else ("gone", name(("v", version_of(copy)))))
        for key, copy in sorted(remote.rows.items())
    )
    old = None if steps is None else tuple((step.key, shown(step.old), shown(step.new), step.frozen) for step in steps)
    counters = state[META].get("counters")
    pending = counters["value"][2] if counters is not None else 0  # type: ignore[index]
    return operations, heads, edges, shown_here, there, old, pending
