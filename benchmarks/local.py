"""Local writes and queries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count

from benchmarks.measure import Result, compared, timed
from benchmarks.world import ENQUEUE, PUT, Acknowledge, bare, device, note, queued, row

SINGLES = 500


def single_writes(pending: int, *, declared: bool, synchronous: str) -> Iterator[Result]:
    """One insert, then one update of it, each in a transaction of its own, with so many operations queued."""
    with (
        bare(synchronous=synchronous) as connection,
        device(Acknowledge(), declared=declared, synchronous=synchronous) as (context, notes),
    ):
        mine = context[notes]
        _ = mine.insert_many(note(n) for n in range(pending))
        with connection:
            connection.executemany(PUT, (row(note(n)) for n in range(pending)))
            connection.executemany(ENQUEUE, (queued(n, note(n)) for n in range(pending)))
        numbers, floor_numbers = count(pending), count(pending)
        said = "declared" if declared else "nothing said"

        def insert() -> float:
            batch = [note(next(numbers)) for _ in range(SINGLES)]
            return timed(lambda: [mine.insert(record) for record in batch])

        def floor_insert() -> float:
            batch = [note(next(floor_numbers)) for _ in range(SINGLES)]

            def work() -> None:
                for record in batch:
                    connection.execute("begin immediate")
                    connection.execute(PUT, row(record))
                    connection.execute(ENQUEUE, queued(record["n"], record))
                    connection.execute("commit")

            return timed(work)

        yield compared(f"insert, {synchronous}, references {said}", pending, SINGLES, insert, floor_insert)
        rounds = count()

        def update() -> float:
            turn = next(rounds)
            return timed(lambda: [mine.update(note(n)["id"], title=f"again {turn}") for n in range(SINGLES)])

        floor_rounds = count()

        def floor_update() -> float:
            turn = next(floor_rounds)

            def work() -> None:
                for n in range(SINGLES):
                    id = note(n)["id"]
                    connection.execute("begin immediate")
                    kept = next(connection.execute("select * from notes where id = ?", (id,)))
                    connection.execute("update notes set title = ? where id = ?", (f"again {turn}", id))
                    connection.execute(
                        "update queue set item = ? where sequence = ?", (json.dumps([turn, kept]), n)
                    )
                    connection.execute("commit")

            return timed(work)

        yield compared(
            f"update that collapses, {synchronous}, {said}", pending, SINGLES, update, floor_update
        )


def bulk_writes(size: int, *, declared: bool) -> Result:
    """So many inserts in one transaction, into an empty store."""
    said = "declared" if declared else "nothing said"

    def work() -> float:
        with device(Acknowledge(), declared=declared) as (context, notes):
            batch = [note(n) for n in range(size)]
            return timed(lambda: context[notes].insert_many(batch))

    def floor() -> float:
        with bare() as connection:
            batch = [note(n) for n in range(size)]

            def insert() -> None:
                with connection:
                    connection.executemany(PUT, map(row, batch))
                    connection.executemany(ENQUEUE, (queued(n, record) for n, record in enumerate(batch)))

            return timed(insert)

    return compared(f"insert_many, references {said}", size, size, work, floor, rounds=3)


def queries(size: int) -> Iterator[Result]:
    """A page by an index, and a scan with text search, out of so many records."""
    with bare() as connection, device(Acknowledge(), declared=True) as (context, notes):
        mine = context[notes]
        _ = mine.insert_many(note(n) for n in range(size))
        with connection:
            connection.executemany(PUT, (row(note(n)) for n in range(size)))
        names = ("id", "title", "body", "done", "n", "version", "created_at", "updated_at")
        page = mine.where(notes.c.n >= size // 2).order_by("n").take(100)

        def by_index() -> float:
            return timed(lambda: [page.all() for _ in range(50)])

        def floor_index() -> float:
            sql = "select * from notes where n >= ? order by n limit 100"
            return timed(
                lambda: [
                    [dict(zip(names, found, strict=True)) for found in connection.execute(sql, (size // 2,))]
                    for _ in range(50)
                ]
            )

        yield compared("query by index, per record of 100", size, 5000, by_index, floor_index)
        search = mine.where(notes.c.title.contains("99"))

        def scan() -> float:
            return timed(search.count)

        def floor_scan() -> float:
            sql = "select count(*) from notes where instr(title, '99') > 0"
            return timed(lambda: list(connection.execute(sql)))

        yield compared("count by text search, per record", size, size, scan, floor_scan)
