"""Pushing and pulling, against a remote that costs next to nothing."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path

from benchmarks.measure import Result, compared, timed
from benchmarks.world import BODY, ENQUEUE, PUT, STAMP, Acknowledge, bare, device, note, queued, row
from tidesync import PushFailed, SyncContext, table
from tidesync.stores.sqlite import SQLiteStore

PAGE = 1000


def push_drain(size: int, *, declared: bool) -> Result:
    """So many queued inserts are pushed, 1000 an exchange."""
    said = "declared" if declared else "nothing said"

    def work() -> float:
        with device(Acknowledge(), declared=declared) as (context, notes):
            _ = context[notes].insert_many(note(n) for n in range(size))
            return timed(context.push)

    return compared(f"push, references {said}", size, size, work, lambda: _floor_drain(size), rounds=3)


def _floor_drain(size: int) -> float:
    """Read a batch, mark it, encode it, then take it off and note the versions: two transactions a batch."""
    with bare() as connection:
        with connection:
            connection.executemany(PUT, (row(note(n)) for n in range(size)))
            connection.executemany(ENQUEUE, (queued(n, note(n)) for n in range(size)))

        def drain() -> None:
            while True:
                with connection:
                    batch = list(
                        connection.execute(
                            "select sequence, id, item from queue order by sequence limit 1000"
                        )
                    )
                    connection.executemany(
                        "update queue set state = 'attempted' where sequence = ?", [(n,) for n, _, _ in batch]
                    )
                if not batch:
                    return
                sent = [json.loads(item) for _, _, item in batch]
                with connection:
                    connection.executemany(
                        "update notes set version = ? where id = ?", [("v", record["id"]) for record in sent]
                    )
                    connection.executemany(
                        "delete from queue where sequence = ?", [(n,) for n, _, _ in batch]
                    )

        return timed(drain)


def push_behind_parked(size: int, parked: int) -> Result:
    """So many inserts are pushed, with parked operations at the head of the queue; the floor has none parked."""

    def drain(waiting: int) -> float:
        lists = table("lists", {"name": str}, references={})
        notes = table(
            "notes", {"list_id": str, "title": str, "body": str, "n": int}, references={"list_id": lists}
        )
        with tempfile.TemporaryDirectory() as folder:
            store = SQLiteStore(Path(folder) / "bench.db", synchronous="normal")
            remote = Acknowledge(refuse=frozenset({"poison"}))
            with SyncContext(store, remote, [lists, notes]) as context:
                _ = context[lists].insert({"id": "poison", "name": "refused"})
                _ = context[notes].insert_many(
                    {"id": f"p{n}", "list_id": "poison", "title": f"{n}", "body": BODY, "n": n}
                    for n in range(waiting)
                )
                with suppress(PushFailed):
                    _ = context.push()
                assert len(context.operations()) == waiting + 1
                _ = context[notes].insert_many(
                    {"id": f"r{n}", "list_id": None, "title": f"{n}", "body": BODY, "n": n}
                    for n in range(size)
                )
                taken = timed(context.push)
                assert waiting + 1 == context.pending_operations
                return taken

    return compared(
        f"push behind {parked:,} parked (floor: none parked)",
        size,
        size,
        lambda: drain(parked),
        lambda: drain(0),
        rounds=3,
    )


def page_apply(size: int, *, declared: bool) -> Result:
    """So many records are pulled under a name into an empty store, 1000 a page."""
    said = "declared" if declared else "nothing said"

    def work() -> float:
        with device(Acknowledge(total=size), declared=declared) as (context, notes):
            return timed(lambda: context.pull(notes, name="all"))

    def floor() -> float:
        with bare() as connection:

            def apply() -> None:
                for start in range(0, size, PAGE):
                    batch = [
                        {**note(n), "version": f"v{n}", "created_at": STAMP, "updated_at": STAMP}
                        for n in range(start, min(start + PAGE, size))
                    ]
                    with connection:
                        connection.executemany(PUT, map(row, batch))

            return timed(apply)

    return compared(f"pull, references {said}", size, size, work, floor, rounds=3)
