"""A device that is killed at random moments, over and over: `python -m tests.attacks.kills folder seed rounds`.

Each round forks a child that writes, pushes, pulls and purges on one file until it is killed. It tells what it is
about to write, and that it was written. The parent then opens the file, and compares.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, TypeAlias

from tests.attacks.support import CARDS, TABLES, Book, Shelf, faults
from tidesync import SyncContext
from tidesync.query import Query
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport

Truth: TypeAlias = dict[str, dict[str, Any]]
"""By record key: the fields that were written last."""
Write: TypeAlias = tuple[str, str, dict[str, Any] | None]


def opened(folder: Path) -> tuple[SyncContext, SQLiteStore, Authority, SQLiteStore]:
    kept = SQLiteStore(folder / "remote.db", synchronous="normal")
    authority = Authority(kept, [each.schema for each in TABLES], identity="remote", foreign_keys=True).open()
    store = SQLiteStore(folder / "device.db", synchronous="normal")
    ctx = SyncContext(store, LoopbackTransport(authority), TABLES, page_size=7)
    return ctx.open(), store, authority, kept


def apply(truth: Truth, writes: list[Write]) -> Truth:
    result = dict(truth)
    for table, id, fields in writes:
        if fields is None:
            del result[f"{table}/{id}"]
        else:
            result[f"{table}/{id}"] = {**result.get(f"{table}/{id}", {}), **fields}
    return result


def planned(chance: random.Random, truth: Truth, count: int) -> list[Write]:
    """Writes that are legal one after another, and that a remote with foreign keys would take."""
    writes: list[Write] = []
    state = dict(truth)
    for _ in range(count):
        books = [key.partition("/")[2] for key in state if key.startswith("book/")]
        shelves = [key.partition("/")[2] for key in state if key.startswith("shelf/")]
        named = {fields.get("shelf_id") for key, fields in state.items() if key.startswith("book/")}
        free = [id for id in shelves if id not in named]
        number, die = chance.randrange(10**9), chance.random()
        if die < 0.15 or not shelves:
            write: Write = ("shelf", f"s{number}", {"name": f"n{number}"})
        elif die < 0.45:
            write = (
                "book",
                f"b{number}",
                {"title": f"t{number}", "pages": 0, "shelf_id": chance.choice(shelves)},
            )
        elif die < 0.75 and books:
            write = ("book", chance.choice(books), {"pages": number, "shelf_id": chance.choice(shelves)})
        elif die < 0.85 and books:
            write = ("book", chance.choice(books), None)
        elif die < 0.9 and free:
            write = ("shelf", chance.choice(free), None)
        else:
            write = ("card", f"c{number}", {"text": f"x{number}"})
        writes.append(write)
        state = apply(state, [write])
    return writes


def perform(ctx: SyncContext, truth: Truth, writes: list[Write]) -> None:
    for table, id, fields in writes:
        if table == "card":
            ctx[CARDS].insert({"id": id, **(fields or {})})
        elif fields is None:
            ctx.table(table).delete(id)
        elif f"{table}/{id}" in truth:
            ctx.table(table).update(id, **fields)
        else:
            ctx.table(table).insert(Shelf(id, **fields) if table == "shelf" else Book(id, **fields))
        truth = apply(truth, [(table, id, fields)])


def live(folder: Path, truth: Truth, seed: int, out: int) -> None:
    """What a child does until it is killed."""
    chance = random.Random(seed)
    ctx, _, _, _ = opened(folder)
    while True:
        die = chance.random()
        if die < 0.6:
            writes = planned(chance, truth, 1 if die < 0.4 else chance.randrange(2, 12))
            os.write(out, json.dumps(writes).encode() + b"\n")
            if len(writes) == 1:
                perform(ctx, truth, writes)
            else:
                with ctx.batch():
                    perform(ctx, truth, writes)
            truth = apply(truth, writes)
            os.write(out, b"ok\n")
        elif die < 0.8:
            ctx.push()
        elif die < 0.92:
            ctx.pull(chance.choice(TABLES), name=chance.choice(("one", "two")), departures="remove")
        else:
            ctx.purge(CARDS)


def killed(folder: Path, truth: Truth, seed: int) -> tuple[Truth, list[Write]]:
    """One life: what was acknowledged, and what may have been written besides."""
    chance = random.Random(-seed)
    inside, outside = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(inside)
            live(folder, truth, seed, outside)
        except BaseException:  # a child that failed must be seen
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(3)
    os.close(outside)
    heard = os.read(inside, 1)
    deadline = time.monotonic() + chance.uniform(0.0, 0.15)
    while (left := deadline - time.monotonic()) > 0:
        if select.select([inside], [], [], left)[0]:
            heard += os.read(inside, 65536)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert signal.SIGKILL == os.WTERMSIG(status), "the child ended by itself"
    while part := os.read(inside, 65536):
        heard += part
    os.close(inside)
    maybe: list[Write] = []
    for line in heard.split(b"\n")[:-1]:
        if line == b"ok":
            truth, maybe = apply(truth, maybe), []
        else:
            maybe = [tuple(each) for each in json.loads(line)]
    return truth, maybe


def here(store: SQLiteStore, *, cards: bool) -> Truth:
    found: Truth = {}
    with store.transaction(write=False) as transaction:
        for name, fields in (
            ("shelf", ("name",)),
            ("book", ("title", "pages", "shelf_id")),
            ("card", ("text",)),
        ):
            if cards or name != "card":
                for row in transaction.select(Query(name)):
                    if not row.get("__deleted"):
                        found[f"{name}/{row['id']}"] = {field: row.get(field) for field in fields}
    return found


def without_cards(truth: Truth) -> Truth:
    return {key: fields for key, fields in truth.items() if not key.startswith("card/")}


def check(folder: Path, truth: Truth, maybe: list[Write], *, settle: bool) -> Truth:
    """What was acknowledged is there; the rest of it is there whole or not at all. Returns which it is."""
    ctx, store, authority, kept = opened(folder)
    try:
        assert [] == faults(store), faults(store)
        candidates = [truth, apply(truth, maybe)]
        local = here(store, cards=False)
        matching = [each for each in candidates if without_cards(each) == local]
        assert matching, f"{local} is neither {truth} nor {apply(truth, maybe)}"
        if not settle and len(matching) == 1:
            return matching[0]
        report = ctx.push()
        assert (True, 0) == (report.ok, report.pending), report
        for each in TABLES:
            ctx.pull(each, name="one")
        at_remote: Truth = {}
        for each in TABLES:
            for record in authority.records(each.name):
                fields = {"shelf": ("name",), "book": ("title", "pages", "shelf_id"), "card": ("text",)}[
                    each.name
                ]
                at_remote[f"{each.name}/{record['id']}"] = {field: record.get(field) for field in fields}
        assert at_remote in matching, f"{at_remote} is not in {matching}"
        ctx.purge(CARDS)
        ctx.pull(CARDS, name="one")
        assert here(store, cards=True) == at_remote
        assert [] == faults(store), faults(store)
        with kept.transaction(write=False) as transaction:
            (meta,) = transaction.get("__authority", ["meta"])
            remembered = transaction.count(Query("__remembered"))
        assert meta is not None
        assert meta["sequence"] == remembered, "an operation took effect twice"
        return at_remote
    finally:
        ctx.close()
        authority.close()
        kept.close()


def main(folder: str, seed: str, rounds: str) -> None:
    truth: Truth = {}
    for number in range(int(rounds)):
        life = int(seed) * 1000 + number
        truth, maybe = killed(Path(folder), truth, life)
        truth = check(Path(folder), truth, maybe, settle=number % 5 == 4 or number == int(rounds) - 1)
    print(f"{rounds} lives, {len(truth)} records")


if __name__ == "__main__":
    main(*sys.argv[1:])
