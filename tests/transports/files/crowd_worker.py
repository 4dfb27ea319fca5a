"""One of many writers of a folder: `python -m tests.transports.files.crowd_worker folder journal number count`.

It makes so many changes, in batches, and notes in its journal each one that was acknowledged. Begun again after it was
killed, it sends again what is not in the journal. In the end it prints a digest of all that the remote holds.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tidesync.contracts.transport import Absent, Anything, Applied, Change, NotSent, PullRequest
from tidesync.query import Query
from tidesync.records import Json
from tidesync.schema import TableSchema
from tidesync.transports.files.transport import FileTransport

NOTES = TableSchema("notes")
BATCH = 40


def changes(number: int, count: int) -> Iterator[list[Change]]:
    """The changes of one writer in batches: three inserts, and then an update of the first of them, and so on."""
    batch: list[Change] = []
    later: list[Change] = []
    for place in range(count):
        operation = f"{number}-{place}"
        if place % 4 < 3:
            id, kind = operation, "insert"
        else:
            id, kind = f"{number}-{place - 3}", "update"
        change = Change(
            id=f"op-{operation}", table="notes", record_id=id, kind="insert" if kind == "insert" else "update",
            record={"id": id, "text": f"{kind} {operation}"}, fields=("text",),
            expected=Absent() if kind == "insert" else Anything(),
        )  # fmt: skip
        # Changes of one record never travel together.
        (batch if kind == "insert" else later).append(change)
        if len(batch) + len(later) >= BATCH:
            yield batch
            yield later
            batch, later = [], []
    yield batch
    yield later


def send(transport: FileTransport, batch: Sequence[Change]) -> list[Change]:
    """What was acknowledged of a batch; anything but that and a plea to come again is a fault."""
    done: list[Change] = []
    for change, outcome in zip(batch, transport.push(batch), strict=True):
        if isinstance(outcome, Applied):
            done.append(change)
        elif not isinstance(outcome, NotSent):
            raise AssertionError(f"{change.id}: {outcome}")
    return done


def all_there_is(transport: FileTransport) -> str:
    """A digest of all records, as a pull from the beginning tells them."""
    digest = hashlib.sha256()
    cursor: Json = None
    more = True
    while more:
        page = transport.pull(PullRequest(query=Query("notes"), cursor=cursor))
        for record in page.records:
            digest.update(json.dumps(record, sort_keys=True).encode())
        cursor, more = page.cursor, page.more
    return digest.hexdigest()


def main(folder: str, journal: Path, number: int, count: int) -> None:
    """Send what is not acknowledged yet, and wait for a line; then say what is there."""
    transport = FileTransport(folder)
    _ = transport.open([NOTES])
    known = set(journal.read_text().split()) if journal.exists() else set[str]()
    with journal.open("a") as notes:
        for batch in changes(number, count):
            left = [change for change in batch if change.id not in known]
            while left:
                done = {change.id for change in send(transport, left)}
                notes.writelines(f"{id}\n" for id in sorted(done))
                notes.flush()
                left = [change for change in left if change.id not in done]
    print("done", flush=True)
    _ = sys.stdin.readline()
    print(all_there_is(transport), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
