"""A long queue goes to a real server: in order, at once where it may, each operation once."""

import random
from typing import Any

import pytest

from tests.peers.remote import Remote
from tests.peers.sent import changes
from tests.peers.wire_faults import LoseReply
from tidesync import PushFailed, SyncContext, Table

Expected = dict[str, tuple[Any, ...]]
MOMENT = "2026-01-01T00:00:00.000Z"


class MixedQueue:
    """500 operations on lists and the tasks in them, and what the server holds when all have arrived."""

    def __init__(self, remote: Remote, lists: Table[Any], tasks: Table[Any], **transport: Any) -> None:
        self.remote, self.lists, self.tasks = remote, lists, tasks
        self.random = random.Random(500)
        remote.door.seed(
            lists.name, [{"id": f"L{n}", "title": f"list {n}"} for n in range(60)], [MOMENT] * 60
        )
        seeds = [
            {"id": f"T{n}", "list_id": f"L{n % 60}", "text": "old", "complete": False} for n in range(180)
        ]
        remote.door.seed(tasks.name, seeds, [MOMENT] * 180)
        self.device = remote.device(lists, tasks, **transport)
        self.device[lists].pull()
        self.device[tasks].pull()
        self.edits: dict[str, int] = {}
        self._edit(self.device)

    def _edit(self, device: SyncContext) -> None:
        lists, tasks, chance = device[self.lists], device[self.tasks], self.random
        work = ["list"] * 80 + ["task"] * 220 + ["move"] * 120 + ["drop"] * 40
        chance.shuffle(work)
        made = [f"L{n}" for n in range(20, 60)]
        moved, dropped = iter(range(60, 180)), iter(range(20, 60))
        for number, kind in enumerate(work):
            match kind:
                case "list":
                    lists.insert({"id": f"new-L{number}", "title": f"new {number}"})
                    made.append(f"new-L{number}")
                case "task":
                    task = {"id": f"new-T{number}", "list_id": chance.choice(made), "text": "new"}
                    tasks.insert({**task, "complete": bool(number % 2)})
                case "move":
                    tasks.update(f"T{next(moved)}", list_id=chance.choice(made), text=f"moved {number}")
                case _:
                    tasks.delete(f"T{next(dropped)}")
        for number in range(20):  # a list goes with the tasks that were in it
            for task in tasks.where(list_id=f"L{number}").values("id"):
                tasks.delete(task)
            lists.delete(f"L{number}")

    @property
    def local(self) -> tuple[Expected, Expected]:
        lists = {row["id"]: (row["title"],) for row in self.device[self.lists].all()}
        tasks = {row["id"]: (row["list_id"], row["text"], row["complete"]) for row in self.device[self.tasks]}
        return lists, tasks

    @property
    def at_remote(self) -> tuple[Expected, Expected]:
        titles = {id: (title,) for id, title in self.remote.alive(self.lists, "title").items()}
        return titles, self.remote.alive(self.tasks, "list_id", "text", "complete")

    def arrived(self) -> dict[str, int]:
        """When the server was first asked for each record's operation: its place among all requests."""
        places: dict[str, int] = {}
        for place, id in enumerate(entry.split(" ", 1)[1] for entry in self.remote.sent()):
            places.setdefault(id, place)
        return places


@pytest.mark.soaked
@pytest.mark.parametrize("said", ["references declared", "nothing said"])
def test_500_mixed_operations_arrive_in_an_order_that_holds(remote: Remote, said: str) -> None:
    """Parents come before children and go after them, with several requests at once or strictly in sequence.

    Where a push is one request, each has its operations in the order of the queue, those aside that wait for others.
    """
    declared = said == "references declared"
    lists, tasks = (remote.lists, remote.tasks) if declared else (remote.plain_lists, remote.plain_tasks)
    queue = MixedQueue(remote, lists, tasks, concurrency=8)
    operations = queue.device.operations()
    assert 500 == len(operations) == queue.device.pending_operations

    report = queue.device.push()

    assert (500, 0, "complete") == (len(report.pushed), report.pending, report.status)
    assert queue.local == queue.at_remote
    assert 500 == len(remote.sent())
    places = queue.arrived()
    for operation in operations:
        parent = (operation.content or {}).get("list_id")
        if isinstance(parent, str) and parent.startswith("new-"):
            assert places[parent] < places[operation.record_id]
    for number in range(20):
        assert places[f"T{number}"] < places[f"L{number}"]
    queued = {operation.record_id: place for place, operation in enumerate(operations)}
    for seen in remote.pushes:
        sent = [queued[change.id] for change in changes(seen)]
        assert sorted(sent) == sent
    if not declared and not remote.way.batched:
        assert [operation.record_id for operation in operations] == sorted(places, key=places.__getitem__)


@pytest.mark.soaked
def test_500_mixed_operations_take_effect_once_when_every_ninth_reply_is_lost(remote: Remote) -> None:
    """Every row's version counts exactly the edits that were made to it."""
    queue = MixedQueue(remote, remote.lists, remote.tasks, concurrency=4)
    before = {**remote.edits(remote.lists), **remote.edits(remote.tasks)}
    met = iter(range(10_000))
    remote.plan(LoseReply(), when=lambda seen: next(met) % 9 == 4, times=None)
    if (
        remote.way.batched
    ):  # the queue is a few requests; one that is in doubt is hundreds of operations in doubt
        remote.plan(LoseReply())
        with pytest.raises(PushFailed):
            queue.device.push()
    report = queue.device.push()

    assert (500, 0, ()) == (len(report.pushed), report.pending, report.errors)
    assert queue.local == queue.at_remote
    assert [] == queue.device.conflicts()
    touched = {operation.record_id for operation in report.pushed}
    expected = {id: before.get(id, 0) + (id in touched) for id in before.keys() | touched}
    assert 540 == len(expected)
    assert expected == {**remote.edits(remote.lists), **remote.edits(remote.tasks)}


def test_a_known_flaw_of_others_is_none_here(remote: Remote) -> None:
    """Insert A, insert B, then let A point at B: B is there before A names it. Nothing was declared."""
    device = remote.device(remote.plain_lists, remote.plain_tasks)
    tasks = device[remote.plain_tasks]
    tasks.insert({"id": "A", "text": "first"})
    device[remote.plain_lists].insert({"id": "B", "title": "second"})
    tasks.update("A", list_id="B")

    device.push()

    order = remote.sent()
    naming = next(place for place, sent in enumerate(remote.changes) if sent.content.get("list_id") == "B")
    assert order.index("insert B") < naming
    assert {"A": ("first", "B")} == remote.alive(remote.plain_tasks, "text", "list_id")


def test_a_push_of_one_table_takes_the_parents_along(remote: Remote) -> None:
    """What the table's operations depend on is sent with them, and nothing else is."""
    device = remote.device(remote.lists, remote.tasks)
    for name in ("wanted", "idle"):
        device[remote.lists].insert({"id": name, "title": name})
    device[remote.tasks].insert({"id": "t", "list_id": "wanted", "text": "t"})

    report = device.push([remote.tasks])

    assert ["wanted", "t"] == [operation.record_id for operation in report.pushed]
    assert ["idle"] == [operation.record_id for operation in device.operations()]
    assert {"wanted": "wanted"} == remote.alive(remote.lists, "title")


def test_every_record_knows_its_version_after_a_push(remote: Remote) -> None:
    """So that the next edit of it is conditional, with no pull in between."""
    device = remote.device()
    items = device[remote.items]
    items.insert({"id": "a", "text": "one"})
    device.push()
    items.update("a", text="two")
    device.push()
    items.delete("a")
    device.push()

    versions = [sent.version for sent in remote.changes]
    assert None is versions[0]
    assert 3 == len(set(versions))
    assert ["insert a", "update a", "delete a"] == remote.sent()
    assert ([], 0) == (device.conflicts(), device.pending_operations)
