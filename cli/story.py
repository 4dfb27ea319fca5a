"""The story up to the conflict: offline edits, collapse, order, push and pull, a refusal, a merge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from tidesync import Operation, PushFailed, SyncContext
from tidesync.cli.show import Cell, Show
from tidesync.cli.world import LISTS, TABLES, TASKS, Place, TodoList, TodoTask
from tidesync.conflicts import Conflict, MergeFields
from tidesync.events import Event, OperationCollapsed, OperationPushed, OperationQueued
from tidesync.records import Record, alive

PHOTOS: Final = 300
"""Tasks of the laptop, so many that a pull takes several pages."""


@attrs.define
class Story:
    """What the steps share. `broken` collects the promises that were seen not to hold."""

    place: Place
    show: Show
    broken: list[str] = attrs.Factory(list[str])

    def promise(self, holds: bool, said: str) -> None:
        """Say what was just seen to hold, or remember that it did not."""
        if holds:
            self.show.good(said)
        else:
            self.broken.append(said)
            self.show.bad(f"NOT TRUE: {said}")

    def content(self, record: Record | None) -> str:
        """A record in a line, without its id."""
        if record is None:
            return "-"
        told = {"list": self.place.name(str(record["list_id"])) if record.get("list_id") else None}
        told |= {"done": "yes" if record.get("complete") else None}
        words = [str(record.get("title", record.get("text")))]
        return ", ".join(words + [f"{field} {value}" for field, value in told.items() if value])

    def queue(self, title: str, operations: Iterable[Operation]) -> None:
        """A table of queued operations, in order."""
        name = self.place.name
        rows = [
            (number, each.kind, each.table, name(each.record_id), self.content(each.content), each.state)
            for number, each in enumerate(operations, 1)
        ]
        self.show.table(title, ("#", "operation", "table", "record", "content", "state"), rows)

    def sync(self, name: str, device: SyncContext) -> None:
        """Push, then pull this run's records of both tables, with bars."""
        with self.show.bars(device, name):
            device.push()
            pull(self.place, device)


def pull(place: Place, device: SyncContext) -> None:
    """Pull what is new of this run's records, lists first."""
    for table in TABLES:
        device.pull(table, place.mine(device[table].where()), name="demo")


class Typed:
    """Notes what was typed on a device, and what its queue made of each edit."""

    COLUMNS: Final = ("#", "typed", "what becomes of it", "queued")

    def __init__(self, device: SyncContext) -> None:
        self._device, self._events = device, list[Event]()
        self.rows: list[tuple[int, str, str, int]] = []

    def __call__(self, said: str, edit: Callable[[], object]) -> None:
        """Do one edit."""
        self._events.clear()
        unsubscribe = self._device.subscribe(self._events.append)
        edit()
        unsubscribe()
        made = ", ".join(filter(None, map(_made, self._events)))
        self.rows.append((len(self.rows) + 1, said, made, self._device.pending_operations))


def _made(event: Event) -> str:
    match event:
        case OperationQueued(kind=kind):
            return f"a new {kind}"
        case OperationCollapsed(kind=None):
            return "cancels what was queued"
        case OperationCollapsed(kind=kind):
            return f"part of the queued {kind}"
        case _:
            return ""


def edit_offline(story: Story, phone: SyncContext, laptop: SyncContext) -> None:
    """Edits on both devices, without a network; the phone's queue before and after collapse."""
    story.show.heading("Offline edits", "Phone and laptop are edited. Nothing is sent: they are offline.")
    id = story.place.id
    lists, tasks, typed = phone[LISTS], phone[TASKS], Typed(phone)
    typed("insert list Errands", lambda: lists.insert(TodoList(id("errands"), "Errands")))
    typed("insert task 'Buy mlk'", lambda: tasks.insert(TodoTask(id("milk"), "Buy mlk", id("errands"))))
    typed("update it: 'Buy milk'", lambda: tasks.update(id("milk"), text="Buy milk"))
    typed("insert task 'asdf'", lambda: tasks.insert(TodoTask(id("asdf"), "asdf")))
    typed("insert task 'Call Ada'", lambda: tasks.insert(TodoTask(id("ada"), "Call Ada")))
    typed("delete 'asdf'", lambda: tasks.delete(id("asdf")))
    typed("update 'Call Ada': done", lambda: tasks.update(id("ada"), complete=True))
    story.show.table("Before collapse: typed on the phone", Typed.COLUMNS, typed.rows)
    story.queue("After collapse: queued on the phone", phone.operations())
    with laptop.batch():
        laptop[LISTS].insert(TodoList(id("archive"), "Archive"))
        for number in range(1, PHOTOS + 1):
            name = f"photo-{number:03}"
            done = number % 3 == 0
            laptop[TASKS].insert(TodoTask(id(name), name.replace("photo-", "Photo "), id("archive"), done))
    story.show.say(f"On the laptop, one batch made a list and {PHOTOS} tasks in it.")
    queued = phone.pending_operations, laptop.pending_operations
    said = f"Queued: {queued[0]} operations on the phone, {queued[1]} on the laptop."
    story.promise(queued == (3, PHOTOS + 1), said)


def order_parents(story: Story, phone: SyncContext) -> None:
    """A child that is inserted before its parent, and pointed at it later."""
    story.show.heading(
        "Parents before children",
        "A task is made first, its list after it; then the task is put into the list. Merging the third edit "
        "into the first would send a task whose list the remote does not have yet.",
    )
    id, typed = story.place.id, Typed(phone)
    typed("insert task 'Order a cake'", lambda: phone[TASKS].insert(TodoTask(id("cake"), "Order a cake")))
    typed("insert list Birthday", lambda: phone[LISTS].insert(TodoList(id("birthday"), "Birthday")))
    typed("put the task into the list", lambda: phone[TASKS].update(id("cake"), list_id=id("birthday")))
    story.show.table("Typed on the phone", Typed.COLUMNS, typed.rows)
    pushed: list[OperationPushed] = []

    def note(event: Event) -> None:
        if isinstance(event, OperationPushed):
            pushed.append(event)

    unsubscribe = phone.subscribe(note)
    with story.show.bars(phone, "phone"):
        phone.push()
    unsubscribe()
    story.show.table(
        "The order in which it reached the remote",
        ("#", "operation", "table", "record"),
        [
            (place, each.kind, each.table, story.place.name(each.record_id))
            for place, each in enumerate(pushed, 1)
        ],
    )
    order = [each.record_id for each in pushed]
    parents = (id("errands"), id("milk")), (id("birthday"), id("cake"))
    first = all(order.index(parent) < order.index(child) for parent, child in parents)
    story.promise(first, "Each list was there before the tasks in it.")


def meet(story: Story, phone: SyncContext, laptop: SyncContext) -> None:
    """The laptop pushes its edits, and both pull."""
    story.show.heading("Push and pull", "The laptop pushes, and both devices pull, in pages.")
    story.sync("laptop", laptop)
    story.sync("phone", phone)
    counts = [(device[LISTS].count(), device[TASKS].count()) for device in (phone, laptop)]
    lists, tasks = (story.place.mine(phone.remote(each).where()).count() for each in TABLES)
    far = lists, tasks
    rows = [("phone", *counts[0]), ("laptop", *counts[1]), ("remote", *far)]
    story.show.table("Records", ("where", "lists", "tasks"), rows)
    full = 3, PHOTOS + 3
    story.promise([*counts, far] == [full] * 3, "Both devices hold what the remote holds.")


def refuse(story: Story, phone: SyncContext) -> None:
    """An operation that the remote refuses, what waits for it, and how it is mended."""
    story.show.heading(
        "A refused operation",
        "This remote takes no list without a title. The phone makes one, a task in it, and another task.",
    )
    id = story.place.id
    phone[LISTS].insert(TodoList(id("garden"), ""))
    phone[TASKS].insert(TodoTask(id("roses"), "Cut the roses", id("garden")))
    phone[TASKS].insert(TodoTask(id("dentist"), "See the dentist"))
    refused: Sequence[str] = ()
    try:
        phone.push()
    except PushFailed as failure:
        refused = [f"{error.code}: {error.message}" for error in failure.errors]
    story.show.say(f"The push says: {', '.join(refused) or 'nothing'}.")
    left = phone.operations()
    story.queue("Still queued: the list, and what needs it; the dentist went through", left)
    named = {each.key: story.place.name(each.record_id) for each in left}
    waits = [named.get(each.blocker or "", "-") for each in left]
    phone[LISTS].update(id("garden"), title="Garden")
    story.show.say(f"'roses' waits for '{waits[-1]}'. The list gets a title, and the push is tried again.")
    phone.push()
    story.promise(
        [each.record_id for each in left] == [id("garden"), id("roses")] and phone.pending_operations == 0,
        "Only the dependant waited; after mending, both went through.",
    )


def merge(story: Story, phone: SyncContext, laptop: SyncContext) -> None:
    """One task edited on both devices, and merged field by field."""
    story.show.heading(
        "A conflict, merged field by field", "Phone and laptop edit the same task; the laptop pushes first."
    )
    id = story.place.id
    laptop[TASKS].update(id("milk"), text="Buy oat milk", list_id=id("birthday"))
    laptop.push()
    phone[TASKS].update(id("milk"), complete=True, list_id=id("archive"))
    try:
        phone.push()
    except PushFailed as failure:
        story.show.say(f"The phone's push says: {failure.errors[0].status if failure.errors else failure}.")
    found = phone.conflicts()
    story.promise(
        len(found) == 1, "The remote's copy is not overwritten, and the phone's edits are not lost."
    )
    if not found:
        return
    phone.resolve(found[0], MergeFields(prefer="local"))
    result = phone[TASKS].get(id("milk"))
    merged = None if result is None else TASKS.to_record(result)
    story.show.table(
        "What one side changed wins; what both changed goes to the phone, as asked for",
        ("field", "base", "phone", "remote", "result", "changed by"),
        _fields(story, found[0], merged),
    )
    wanted = ("Buy oat milk", id("archive"), True)
    got = (result.text, result.list_id, result.complete) if result is not None else None
    story.promise(got == wanted, "The result holds the edits of both.")
    story.sync("phone", phone)
    story.sync("laptop", laptop)


def _fields(story: Story, conflict: Conflict, merged: Record | None) -> list[tuple[Cell, ...]]:
    base = conflict.base if alive(conflict.base) else {}
    remote = conflict.remote if alive(conflict.remote) else {}
    local, result = conflict.local or {}, merged or {}
    who = {(False, False): "-", (True, False): "phone", (False, True): "laptop", (True, True): "both"}
    rows: list[tuple[Cell, ...]] = []
    for field in ("text", "complete", "list_id"):
        values = [side.get(field) for side in (base, local, remote, result)]
        cells = [value if isinstance(value, bool) else story.place.name(str(value)) for value in values]
        rows.append((field, *cells, who[values[1] != values[0], values[2] != values[0]]))
    return rows
