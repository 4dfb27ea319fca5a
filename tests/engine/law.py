"""Every history of edits, pushed collapsed and uncollapsed to a remote that enforces foreign keys.

The engine's own queue runs on a memory store. Histories that lead to the same state of device and remote, up to
the names of values, versions and places, have the same future, so each such state is explored once and counted as
often as histories lead to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from operator import itemgetter
from typing import Any

import attrs

from tests.engine.law_world import Contents, Device, Key, Remote, State, new_record, refuses
from tidesync.contracts.transport import Absent, Applied, Change, Conflicted, Outcome
from tidesync.records import Copy, Record, Tombstone, alive
from tidesync.rows import EDGES, HEADS, META, OPERATIONS
from tidesync.sending import Sent

KEYS: tuple[Key, ...] = (("items", "A"), ("items", "B"), ("lists", "L"), ("lists", "M"))
"""Every record of every layout, in order."""

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
    """What was explored: cases (histories with their points of loss), the states they lead to, operations sent."""

    cases: int = 0
    states: int = 0
    sent: int = 0
    classic_refused: int = 0


class Broken(AssertionError):
    """A history that breaks the law."""


@attrs.frozen(eq=False)
class Point:
    """Where a history has led to. `classic` None: the classic queue has gone another way."""

    state: State
    remote: Remote
    held: Contents
    classic: tuple[Step, ...] | None
    pushed: bool
    story: tuple[object, ...]

    def cut(self, story: str, state: State, remote: Remote, classic: tuple[Step, ...] | None) -> Point:
        """A push has begun, and is cut here."""
        return Point(state, remote, self.held, classic, True, (*self.story, story))


@attrs.define(eq=False)
class Node:
    """All points with one future. `point` is kept until the node was expanded."""

    point: Point | None
    sent: int
    classic_refused: bool
    cuts: list[Node] | None = None
    edits: list[Node] | None = None


class Explorer:
    """Explores every history of a layout on one kind of remote."""

    def __init__(self, keys: Sequence[Key], *, declared: bool, remembers: bool) -> None:
        self.keys, self.remembers = tuple(keys), remembers
        self.device = Device(declared=declared)
        self.empty = self.device.taken_down()
        self.nodes: dict[tuple[Any, ...], Node] = {}
        self.texts = 0

    def explore(self, edits: int) -> Counts:
        """All histories of up to so many edits, from every beginning."""
        counts = Counts()
        layer: dict[Node, int] = {}
        for held in self.beginnings():
            node = self._node(self._begin(held))
            layer[node] = layer.get(node, 0) + 1
        for level in range(edits + 1):
            for node, times in list(layer.items()):
                for cut in self._cuts_of(node):
                    layer[cut] = layer.get(cut, 0) + times
            following: dict[Node, int] = {}
            for node, times in layer.items():
                counts.cases += times
                counts.sent += times * node.sent
                counts.classic_refused += times * node.classic_refused
                for further in self._edits_of(node) if level < edits else ():
                    following[further] = following.get(further, 0) + times
                if level == edits:
                    node.point = None
            layer = following
        counts.states = len(self.nodes)
        return counts

    def beginnings(self) -> Iterator[Contents]:
        """Every state that foreign keys allow, each once for records that can change places."""
        seen: set[str] = set()
        lists = [key for key in self.keys if key[0] == "lists"]
        options = [[None, *(name for _, name in lists)] if key[0] == "items" else [None] for key in self.keys]
        for there, named in product(product((False, True), repeat=len(self.keys)), product(*options)):
            records = zip(self.keys, there, named, strict=True)
            held: Contents = {key: new_record(key, name) for key, here, name in records if here}
            alike = _alike(held, lists)
            if alike not in seen and not any(refuses(held, key, record) for key, record in held.items()):
                seen.add(alike)
                yield held

    def _begin(self, held: Contents) -> Point:
        rows: dict[Key, Copy] = {
            key: {**record, "version": str(n)} for n, (key, record) in enumerate(held.items(), 1)
        }
        self.device.put_back(self.empty)
        for (table, _), copy in rows.items():
            assert alive(copy)
            self.device.tables.put(table, [copy])
        remote = Remote(rows, self.remembers, {}, len(rows))
        return Point(self.device.taken_down(), remote, held, (), False, (f"begin {held}",))

    def _node(self, point: Point) -> Node:
        key = canonical(point)
        node = self.nodes.get(key)
        if node is None:
            node = self.nodes[key] = self._push_whole(point)
        return node

    def _cuts_of(self, node: Node) -> list[Node]:
        if node.cuts is None:
            assert node.point is not None
            node.cuts = [self._node(point) for point in self._cut(node.point)]
        return node.cuts

    def _edits_of(self, node: Node) -> list[Node]:
        if node.edits is None:
            assert node.point is not None
            node.edits = [self._node(point) for point in self._edit(node.point)]
            node.point = None
        return node.edits

    def _edit(self, point: Point) -> Iterator[Point]:
        """Every edit that a remote would take, had it taken the whole history uncollapsed."""
        for key in self.keys:
            for new in self._steps_of(key, point.held):
                if refuses(point.held, key, new):
                    continue
                self.device.put_back(point.state)
                self.device.write(key, new)
                held = {other: record for other, record in point.held.items() if other != key}
                if new is not None:
                    held[key] = new
                queue = (
                    None if point.classic is None else classic(point.classic, key, point.held.get(key), new)
                )
                story = (*point.story, (key, new))
                after = Point(self.device.taken_down(), point.remote, held, queue, point.pushed, story)
                self._equal(after, "the device shows its edits", held, self.device.contents())
                yield after

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

    def _cut(self, point: Point) -> Iterator[Point]:
        """A first push, one operation at a time, cut after each: the last one arrived, or did not."""
        self.device.put_back(point.state)
        run = self.device.begin(max_changes=1)
        left, remote = point.classic, point.remote
        while batch := self.device.mark(run):
            (sent,) = batch
            told = f"{sent.change.kind} {sent.change.table}/{sent.change.record_id}"
            marked = self.device.taken_down()
            frozen = None if left is None else classic_sent(left, sent, acknowledged=False)
            yield point.cut(f"{told} is lost", marked, remote, frozen)
            remote, outcome = remote.take(sent.change)
            if self._took_effect(point, sent.change, outcome):
                yield point.cut(f"{told} arrives, its answer is lost", marked, remote, frozen)
                left = None if left is None else classic_sent(left, sent, acknowledged=True)
            self.device.put_back(marked)
            self.device.settle(batch, [outcome], run)

    def _push_whole(self, point: Point) -> Node:
        """The law itself: the collapsed queue is accepted whole, in any order within a batch, and all end equal."""
        self.device.put_back(point.state)
        remote, sent = point.remote, 0
        run = self.device.begin(max_changes=5)
        tables = self.device.tables
        while tables.state[OPERATIONS] and (batch := self.device.mark(run)):
            outcomes: list[Outcome] = []
            for each in reversed(batch):
                remote, outcome = remote.take(each.change)
                sent += self._took_effect(point, each.change, outcome)
                outcomes.append(outcome)
            self.device.settle(batch, outcomes[::-1], run)
        state = tables.state
        self._equal(point, "the queue is empty", {}, {**state[OPERATIONS], **state[HEADS], **state[EDGES]})
        self._equal(point, "the remote ends as after the uncollapsed history", point.held, remote.contents)
        self._equal(point, "the device ends equal", point.held, self.device.contents())
        accepted = point.classic is not None and classic_accepted(point.classic, point.remote.contents)
        if accepted and point.classic is not None and sent > len(point.classic):
            raise Broken(
                f"{sent} operations were sent, the classic table sends {len(point.classic)}: {point.story}"
            )
        refused = point.classic is not None and not accepted
        return Node(point, sent, refused, cuts=[] if point.pushed else None)

    def _took_effect(self, point: Point, change: Change, outcome: Outcome) -> bool:
        """True where the change is in effect now. It may also meet a grave that the device had forgotten, and go on."""
        grave = change.kind == "insert" and change.expected == Absent() and isinstance(outcome, Conflicted)
        if grave and isinstance(outcome.copy, Tombstone):  # type: ignore[union-attr]  # grave says so
            return False
        echo = not self.remembers and change.attempts > 1 and isinstance(outcome, Conflicted)
        if not isinstance(outcome, Applied) and not echo:
            raise Broken(f"{change} met {outcome}: {point.story}")
        return True

    def _equal(self, point: Point, what: str, expected: object, actual: object) -> None:
        if expected != actual:
            raise Broken(f"{what}: {expected} is not {actual}: {point.story}")


def _alike(held: Contents, lists: Sequence[Key]) -> str:
    """The same for states that differ only in which of two like records is which."""
    items = sorted(str(record["list"]) for (table, _), record in held.items() if table == "items")
    if len(lists) == 1:
        return f"{lists[0] in held} {items}"
    named = {record["list"] for (table, _), record in held.items() if table == "items"}
    return f"{len(items)} {sorted((key in held, key[1] in named) for key in lists)}"


class _Names(dict[object, int | None]):
    """Numbers for texts and versions in the order in which they appear; None stays None."""

    def __init__(self) -> None:
        super().__init__({None: None})

    def __missing__(self, value: object) -> int:
        self[value] = number = len(self)
        return number


def canonical(point: Point) -> tuple[Any, ...]:
    """What the future depends on: values, versions, places and like records are named anew in order of appearance."""
    state, remote = point.state, point.remote
    rows: list[Any] = sorted(state[OPERATIONS].values(), key=itemgetter("sequence"))
    names, alias = _Names(), _aliases(point, rows)

    def shown(copy: Any) -> object:
        if copy is None:
            return None
        return names[copy["text"]], alias.get(copy.get("list")), names[copy.get("version")]

    def seen(copy: Any) -> object:
        if copy is None:
            return None
        return shown(copy["record"]) if "record" in copy else ("gone", names[copy["tombstone"]])

    def target(text: str) -> object:
        table, _, id = text.partition("/")
        return names[id] if id[0] == "t" else (table, alias[id])

    place = {row["id"]: index for index, row in enumerate(rows)}
    number = {row["sequence"]: index for index, row in enumerate(rows)}
    operations = tuple(
        (
            alias[row["record_id"]], row["kind"], shown(row["content"]), row["state"], row["attempts"],
            None if row["fields"] is None else tuple(row["fields"]),
            names[row["expected"] and str(row["expected"])], row["sent_kind"],
            None if row["blocker"] is None else place.get(row["blocker"], "left"), row["operation"] in remote.seen,
            len(row["names"]),
        )
        for row in rows
    )  # fmt: skip
    order = sorted(KEYS, key=lambda key: alias[key[1]])
    heads = tuple(
        None if (row := state[HEADS].get(f"{table}/{id}")) is None
        else (seen(row["base"]), seen(row["remote"]), tuple(place[each] for each in row["entries"]))  # type: ignore[union-attr]
        for table, id in order
    )  # fmt: skip
    here = tuple(shown(state[table].get(id)) for table, id in order)
    there = tuple(
        ("gone", names[copy.version]) if isinstance(copy, Tombstone) else shown(copy)
        for copy in map(remote.rows.get, order)
    )
    old = None
    if point.classic is not None:
        old = tuple(
            (alias[step.key[1]], shown(step.old), shown(step.new), step.frozen) for step in point.classic
        )
    edges = sorted(
        (number.get(row["sequence"], -1), str(target(str(row["target"])))) for row in state[EDGES].values()
    )  # type: ignore[call-overload]
    counters = state[META].get("counters")
    pending = counters["value"][2] if counters is not None else 0  # type: ignore[index]
    return operations, heads, tuple(edges), here, there, old, pending, point.pushed


def _aliases(point: Point, rows: Sequence[Any]) -> dict[object, str]:
    """Names for the records, the same for two states that differ only in which of two like records is which."""
    far = len(rows)
    touched: dict[str, int] = {}
    named: dict[str, int] = {}
    for index, row in enumerate(rows):
        _ = touched.setdefault(row["record_id"], index)
        if row["content"]:
            _ = named.setdefault(row["content"].get("list"), index)
    kept = {copy.get("list") for copy in point.remote.rows.values() if alive(copy)}

    def rank(key: Key) -> tuple[Any, ...]:
        table, id = key
        there, local = point.remote.rows.get(key), point.state[table].get(id)
        name = "" if local is None or local.get("list") is None else "named"
        return (
            table, touched.get(id, far), named.get(id, far), local is None, there is None, alive(there), id in kept,
            name,
        )  # fmt: skip

    return {id: f"{table}{index}" for index, (table, id) in enumerate(sorted(KEYS, key=rank))}
