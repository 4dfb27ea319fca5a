"""SIGKILL for the server, and for the device, in the middle of a push: every operation has one effect."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.remote import Remote
from tests.peers.sent import changes
from tests.peers.wire_faults import Forward, LoseReply, Seen
from tidesync import PushFailed, SyncContext

ROOT = Path(__file__).parents[2]
DEVICE = """
import sys
from tidesync import SyncContext, table
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.http import HttpTransport

path, url, name, protocol, concurrency = sys.argv[1:]
items = table(name, {"text": str, "priority": int}, references={})
transport = HttpTransport(url, protocol=protocol, concurrency=int(concurrency))
with SyncContext(SQLiteStore(path), transport, [items]) as device:
    device[items].pull(name="all")
    with device.batch():
        for number in range(20):
            device[items].update(f"u{number}", text="updated")
            device[items].delete(f"d{number}")
            device[items].insert({"id": f"i{number}", "text": "inserted"})
    print("queued", flush=True)
    device.push()
"""


def seeded(remote: Remote) -> None:
    """20 rows to update, 20 to delete."""
    ids = [f"{kind}{number}" for kind in "ud" for number in range(20)]
    rows = [{"id": id, "text": "seeded"} for id in ids]
    remote.door.seed(remote.items.name, rows, ["2026-01-01T00:00:00.000Z"] * len(rows))


def started(remote: Remote, path: Path, concurrency: int) -> subprocess.Popen[bytes]:
    """A device in a process of its own, which queues 60 operations and pushes them."""
    arguments = [str(path), remote.wire.url, remote.items.name, remote.way.protocol, str(concurrency)]
    command = [sys.executable, "-c", DEVICE, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ), cwd=ROOT)


def acted_on(remote: Remote) -> list[Seen]:
    """The requests that the server has acted on, and whose replies were lost."""
    return [seen for seen in remote.wire.requests if isinstance(seen.fault, LoseReply) and seen.replies]


def assert_each_once(remote: Remote, device: SyncContext) -> None:
    """20 inserts, 20 updates and 20 deletes, each in effect once."""
    rows, edits = remote.rows(remote.items), remote.edits(remote.items)
    assert 60 == len(rows)
    for id, row in rows.items():
        expected = {"i": ("inserted", False, 1), "u": ("updated", False, 2), "d": ("seeded", True, 2)}[id[0]]
        assert expected == (row["text"], row["deleted"], edits[id]), id
    assert ([], 0) == (device.conflicts(), device.pending_operations)
    device.pull(remote.items, name="all")
    assert remote.alive(remote.items, "text") == {
        row["id"]: row["text"] for row in device[remote.items].all()
    }


@pytest.mark.soaked
@pytest.mark.parametrize(("concurrency", "done"), [(1, 0), (1, 25), (4, 40)])
def test_the_device_is_killed_in_the_middle_of_a_push(remote: Remote, concurrency: int, done: int) -> None:
    """It waits for a reply that the server has given; brought back from its file, it finishes the work."""
    seeded(remote)
    path = remote.folder / "killed.db"
    if remote.way.batched:  # all 60 changes are one request
        concurrency, done = 1, 0
    remote.plan(LoseReply(silent=True), skip=done, times=None)
    with started(remote, path, concurrency) as process:
        try:
            assert process.stdout is not None
            assert b"queued\n" == process.stdout.readline()
            while len(acted_on(remote)) < concurrency:
                assert None is process.poll()
        finally:
            process.kill()
    lost = acted_on(remote)
    remote.wire.clear()

    device = remote.device(path=path)
    in_doubt = [operation for operation in device.operations() if operation.state == "attempted"]
    assert sum(len(changes(seen)) for seen in lost) == len(in_doubt)
    device.push()

    assert_each_once(remote, device)


@pytest.mark.soaked
@pytest.mark.parametrize("moment", ["before it sees the request", "before it answers"])
def test_the_server_is_killed_in_the_middle_of_a_push(own_remote: Remote, moment: str) -> None:
    """It comes back with its file; what it had done is recognised, the rest is sent."""
    remote = own_remote
    seeded(remote)
    device = remote.device(concurrency=2)
    items = device[remote.items]
    items.pull(name="all")
    with device.batch():
        for number in range(20):
            items.update(f"u{number}", text="updated")
            items.delete(f"d{number}")
            items.insert({"id": f"i{number}", "text": "inserted"})
    met = iter(range(10_000))

    def kill(seen: Seen) -> bool:
        if next(met) == killing:
            remote.door.kill()
        return False

    # All changes are one request where they are batched: then the kill comes before the first, or between two.
    killing = 31 if not remote.way.batched else 0 if moment == "before it sees the request" else 1
    if moment == "before it answers":  # the reply of the one before is lost as well
        remote.plan(LoseReply(), skip=killing - 1)
    remote.plan(Forward(), when=kill, times=None)
    with pytest.raises(PushFailed) as caught:
        device.push()
    assert "network" == caught.value.report.status
    assert remote.way.batched == (0 == len(caught.value.report.pushed))
    assert len(caught.value.report.pushed) < 60

    remote.door.start()
    device.push()

    assert_each_once(remote, device)


@pytest.mark.soaked
def test_the_server_is_killed_and_the_device_too(own_remote: Remote) -> None:
    """Both are gone; what is left is two files, and they are enough."""
    remote = own_remote
    seeded(remote)
    path = remote.folder / "killed.db"
    remote.plan(LoseReply(silent=True), skip=0 if remote.way.batched else 10)
    with started(remote, path, 1) as process:
        try:
            while not acted_on(remote):
                assert None is process.poll()
            remote.door.kill()
        finally:
            process.kill()
    remote.wire.clear()

    remote.door.start()
    device = remote.device(path=path)
    device.push()

    assert_each_once(remote, device)
