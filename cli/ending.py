"""The end of the story: a device killed in the middle of a push, a purge, and the comparison."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping

from tidesync import Operation, SyncContext
from tidesync.cli.compare import State, differences, local_state, remote_state
from tidesync.cli.device import ROUND
from tidesync.cli.story import PHOTOS, Story, pull
from tidesync.cli.world import LISTS, TASKS, device
from tidesync.errors import TidesyncError

ARRIVED = 2 * ROUND
"""The device is killed when this many of its operations have reached the remote: the second exchange."""


class DeviceFailed(TidesyncError):
    """The device process ended by itself; the message is what it said."""


def kill(story: Story, phone: SyncContext) -> Mapping[str, str | None]:
    """Run the laptop in a process of its own and kill it; returns the versions that the remote then held."""
    story.show.heading(
        "A device killed in the middle of a push",
        f"The laptop, now a process of its own, edits 9 tasks and pushes them, {ROUND} at a time. When "
        f"{ARRIVED} have arrived there, it is killed (SIGKILL), with the second acknowledgement on its way.",
    )
    place = story.place
    command = [sys.executable, "-m", "tidesync.cli.device", "--folder", str(place.folder), "--run", place.run]
    command += ["--after", str(ARRIVED), "--protocol", place.protocol]
    command += [] if place.url is None else ["--url", place.url]
    command += [] if place.files is None else ["--files", str(place.files)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:  # noqa: S603  # our own
        try:
            assert child.stdout is not None
            arrived = child.stdout.readline().strip()
            ended = child.poll()
        finally:
            child.kill()
        said = "" if child.stderr is None else child.stderr.read().strip()
        status = child.wait()
    if not arrived or ended is not None:
        raise DeviceFailed(f"the device process ended by itself: {said.splitlines()[-1] if said else status}")
    story.show.say(f"Process {child.pid}: {arrived} operations arrived, then killed; exit status {status}.")
    return _versions(story, phone)


def _versions(story: Story, phone: SyncContext) -> dict[str, str | None]:
    ids = [
        story.place.id(name)
        for number in range(1, 4)
        for name in (f"ticket-{number}", f"photo-{number:03}", f"photo-{number + 10:03}")
    ]
    found = {each.id: each.version for each in phone.remote(TASKS).where(TASKS.c.id.is_in(ids))}
    return {id: found.get(id) for id in ids}


def revive(story: Story, phone: SyncContext, after_kill: Mapping[str, str | None]) -> None:
    """Open the same file again, push again, and show that each effect happened once."""
    with device(story.place, "laptop") as laptop:
        survived = {each.record_id: each for each in laptop.operations()}
        story.queue("The laptop's file, opened again: what survived in its queue", survived.values())
        states = [each.state for each in survived.values()]
        wanted = ["attempted"] * ROUND + ["pending"] * ROUND
        story.promise(
            states == wanted, "The first exchange is settled, the second in doubt, the third not sent."
        )
        with story.show.bars(laptop, "laptop"):
            laptop.push()
        at_end = _versions(story, phone)
        found = effects(survived, after_kill, at_end)
        name = story.place.name
        story.show.table(
            "The remote, right after the kill and after the second push",
            ("operation", "record", "queue said", "after the kill", "at the end", "effect"),
            [
                (
                    _kind(id),
                    name(id),
                    _said(survived.get(id)),
                    _short(after_kill[id]),
                    _short(at_end[id]),
                    word,
                )
                for id, word in found.items()
            ],
        )
        story.promise(
            set(found.values()) == {"once"},
            "Each effect once: what had arrived was not done a second time.",
        )
        story.promise(laptop.pending_operations == 0, "The laptop's queue is empty.")


def _kind(id: str) -> str:
    name = id.rpartition("-")
    if name[0].endswith("ticket"):
        return "insert"
    return "update" if int(name[2]) <= 10 else "delete"


def _said(operation: Operation | None) -> str:
    return "acknowledged" if operation is None else operation.state


def effects(
    survived: Mapping[str, Operation], after_kill: Mapping[str, str | None], at_end: Mapping[str, str | None]
) -> dict[str, str]:
    """Per record "once", or what is wrong; every write at the remote gives a record another version."""
    words: dict[str, str] = {}
    for id, version in at_end.items():
        arrived = id not in survived or survived[id].state == "attempted"
        if (version is None) != (_kind(id) == "delete"):
            words[id] = "missing"
        elif arrived:
            words[id] = "once" if version == after_kill[id] else "twice"
        else:
            words[id] = "once" if version != after_kill[id] else "missing"
    return words


def _short(version: str | None) -> str:
    return "no record" if version is None else version[:12]


def purge(story: Story, phone: SyncContext) -> None:
    """Remove completed tasks from the phone only, and pull them back."""
    story.show.heading(
        "A purge", "The phone drops what is done, locally only, to save space. A pull brings it back."
    )
    place, tasks = story.place, phone[TASKS]
    pull(place, phone)  # what the laptop pushed since
    counted = [("before", tasks.count(), _far(story, phone))]
    report = tasks.purge(tasks.where(complete=True), name="demo")
    counted.append(("purged", tasks.count(), _far(story, phone)))
    with story.show.bars(phone, "phone"):
        tasks.pull(place.mine(tasks.where()), name="demo")
    counted.append(("pulled", tasks.count(), _far(story, phone)))
    story.show.table("Tasks", ("when", "phone", "remote"), counted)
    there = counted[0][1]
    wanted = [("before", there, there), ("purged", there - report.records, there), ("pulled", there, there)]
    story.promise(
        counted == wanted and report.records >= PHOTOS // 3 - 3,
        f"{report.records} records left the phone and came back; the remote did not notice.",
    )


def _far(story: Story, phone: SyncContext) -> int:
    return story.place.mine(phone.remote(TASKS).where()).count()


def compare(story: Story, phone: SyncContext, laptop: SyncContext) -> bool:
    """Pull a last time, and compare both devices and the remote by field; returns whether they agree."""
    story.show.heading("The end: do all three agree?")
    for context in (phone, laptop):
        pull(story.place, context)
    states = {
        "phone": local_state(story.place, phone),
        "laptop": local_state(story.place, laptop),
        "remote": remote_state(story.place, phone),
    }
    queues = {"phone": phone.pending_operations, "laptop": laptop.pending_operations, "remote": None}
    rows = [(name, *_counts(state), queues[name], fingerprint(state)) for name, state in states.items()]
    story.show.table("", ("where", "lists", "tasks", "done", "queued", "fingerprint"), rows)
    return verdict(story, states, {name: count for name, count in queues.items() if count})


def verdict(story: Story, states: Mapping[str, State], queued: Mapping[str, int]) -> bool:
    """Print the differences, or the records that the story was about; returns whether all agree."""
    place, found = story.place, differences(states)
    if found:
        rows = [
            (place.name(each.id), each.field, *(_told(each.values.get(name)) for name in states))
            for each in found[:20]
        ]
        story.show.table("Differences", ("record", "field", *states), rows)
        if len(found) > len(rows):
            story.show.bad(f"... and {len(found) - len(rows)} more.")
        story.show.bad(f"{len(found)} differences. A server needs soft delete for both tables.")
    for name, count in queued.items():
        story.show.bad(f"The {name} still has {count} operation(s) queued.")
    if found or queued:
        return False
    named = [(key, record) for key, record in next(iter(states.values())).items() if "-photo-" not in key[1]]
    rows = [(table, place.name(id), story.content(record), "same") for (table, id), record in named]
    story.show.table("The records of the story", ("table", "record", "content", "in all three"), rows)
    story.show.good(f"Phone, laptop and remote agree on all {len(states['phone'])} records.")
    return True


def _counts(state: State) -> tuple[int, int, int]:
    tables = Counter(table for table, _ in state)
    return (
        tables[LISTS.name],
        tables[TASKS.name],
        sum(bool(record.get("complete")) for record in state.values()),
    )


def fingerprint(state: State) -> str:
    """Equal for equal states, versions included."""
    told = sorted((*key, json.dumps(record, sort_keys=True)) for key, record in state.items())
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]


def _told(value: object) -> str:
    return "-" if value is None else str(value)
