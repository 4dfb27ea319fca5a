"""A folder as a remote: commits, cold starts, and how much memory the log takes."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Result, compared, timed
from benchmarks.world import note
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Absent, Anything, Applied, Change, PullRequest
from tidesync.query import Query
from tidesync.records import Json
from tidesync.schema import TableSchema
from tidesync.transports.files.transport import FileTransport

NOTES = TableSchema("notes")
BATCHES = (1, 10, 100, 1000)
RECORDS = 1_000


def results() -> Iterator[Result]:
    for batch in BATCHES:
        yield commits(batch)
    yield cold_start(2_000)


def commits(batch: int) -> Result:
    """Changes are pushed, so many a commit; the floor writes, syncs and links the same bytes, and syncs the folder."""
    rounds = max(1, min(200, 2_000 // batch))
    count = rounds * batch
    with folder() as place:
        transport = FileTransport(place, snapshot_every=0)
        _ = transport.open([NOTES])
        turn = iter(range(1_000))

        def work() -> float:
            life = next(turn)
            batches = [changes(life * count + start, batch) for start in range(0, count, batch)]
            return timed(lambda: [pushed(transport, each) for each in batches])

        def floor() -> float:
            with folder() as bare:
                texts = [
                    "".join(f"{json.dumps(change.record)}\n" for change in changes(start, batch)).encode()
                    for start in range(0, count, batch)
                ]
                return timed(
                    lambda: [linked(bare, f"{number:020}", text) for number, text in enumerate(texts)]
                )

        return compared(f"folder: changes pushed, {batch:,} a commit", batch, count, work, floor, rounds=3)


def cold_start(count: int) -> Result:
    """A new device reads all from the newest snapshot and a short tail; the floor: from the log, commit by commit."""
    with folder() as snapshot, folder() as log:
        built(snapshot, count, snapshot_every=count - 100)
        built(log, count, snapshot_every=0)
        return compared(
            f"folder: start after {count:,} commits (floor: no snapshot)",
            count,
            count,
            lambda: timed(lambda: read(snapshot)),
            lambda: timed(lambda: read(log)),
            rounds=3,
        )


MEMORY = """
import gc, sys
from pathlib import Path
from benchmarks.files import read

def status(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])

folder, warm, index = sys.argv[1:]
from tidesync.stores import SQLiteStore
def store():
    return SQLiteStore(index + "/" + str(len(list(Path(index).iterdir()))) + ".db") if index else None
read(warm, store())
gc.collect()
Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
before = status("VmRSS")
read(folder, store())
print(status("VmHWM") - before)
"""


def memory(count: int, *, file: bool) -> float:
    """Megabytes by which a fresh process grows that reads a remote of 1,000 records in so many commits (on Linux)."""
    with folder() as place, folder() as warm, folder() as index:
        built(place, count, snapshot_every=500)
        built(warm, 2, snapshot_every=0)
        command = [sys.executable, "-c", MEMORY, str(place), str(warm), str(index) if file else ""]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return int(done.stdout) / 1024


# ---- parts


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def changes(start: int, count: int) -> list[Change]:
    """Inserts of the first so many records, and then updates of them, again and again."""
    found: list[Change] = []
    for n in range(start, start + count):
        record = note(n % RECORDS)
        found.append(
            Change(
                id=f"{secrets.token_hex(9)}-{n}", table="notes", record_id=str(record["id"]),
                kind="insert" if n < RECORDS else "update", record=record,
                fields=tuple(name for name in record if name != "id"),
                expected=Absent() if n < RECORDS else Anything(),
            )
        )  # fmt: skip
    return found


def pushed(transport: FileTransport, batch: list[Change]) -> None:
    outcomes = transport.push(batch)
    assert all(isinstance(outcome, Applied) for outcome in outcomes), outcomes[:1]


def built(place: Path, count: int, *, snapshot_every: int) -> None:
    """A remote of 1,000 records in so many commits; it need not outlast a power failure."""
    program = (
        "import os, sys\n"
        "os.fsync = lambda descriptor: None\n"
        "from benchmarks.files import build\n"
        "build(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", program, str(place), str(count), str(snapshot_every)]
    _ = subprocess.run(command, check=True)


def build(place: str, count: int, snapshot_every: int) -> None:
    """What the process does that `built` begins."""
    transport = FileTransport(place, snapshot_every=snapshot_every)
    _ = transport.open([NOTES])
    size = max(RECORDS // count, 1)
    for start in range(0, count * size, size):
        pushed(transport, changes(start, size))
    transport.close()


def read(place: Path | str, index: Store | None = None) -> int:
    """How many records a device without an index of its own reads."""
    transport = FileTransport(place, index=index)
    _ = transport.open([NOTES])
    cursor: Json = None
    count, more = 0, True
    while more:
        page = transport.pull(PullRequest(query=Query("notes"), cursor=cursor))
        count += len(page.records)
        cursor, more = page.cursor, page.more
    transport.close()
    return count


def linked(place: Path, name: str, content: bytes) -> None:
    """What a durable commit costs at the least."""
    temporary = place / f".tmp-{name}"
    with temporary.open("xb") as file:
        _ = file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.link(temporary, place / name)
    temporary.unlink()
    descriptor = os.open(place, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
