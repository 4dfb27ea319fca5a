"""Processes and threads on one file at once: `python -m tests.attacks.crowd folder seconds`.

Every thread owns its books, and remembers what it wrote last. All of them push, pull and purge, through contexts
of their own and shared ones. In the end device and remote hold what the threads remember.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.attacks.kills import opened
from tests.attacks.support import BOOKS, CARDS, SHELVES, TABLES, Book, Shelf, faults
from tidesync import SyncContext
from tidesync.errors import PurgeBlocked, SyncBusy


def work(ctx: SyncContext, name: str, until: float, truth: dict[str, Any], wrong: list[str]) -> None:
    chance = random.Random(name)
    count = 0
    try:
        while time.monotonic() < until:
            count += 1
            die = chance.random()
            mine = list(truth)
            try:
                if die < 0.35 or not mine:
                    book = ctx[BOOKS].insert(Book(f"{name}-{count}", f"t{count}", 0, "shelf"))
                    truth[book.id] = 0
                elif die < 0.6:
                    id = chance.choice(mine)
                    _ = ctx[BOOKS].update(id, pages=count)
                    truth[id] = count
                elif die < 0.68:
                    id = chance.choice(mine)
                    ctx[BOOKS].delete(id)
                    del truth[id]
                elif die < 0.75:
                    with ctx.batch():
                        for number in range(5):
                            _ = ctx[CARDS].insert({"id": f"{name}-{count}-{number}", "text": "x"})
                elif die < 0.85:
                    _ = ctx.push()
                elif die < 0.95:
                    _ = ctx.pull(chance.choice(TABLES), name=chance.choice("ab"), departures="remove")
                else:
                    _ = ctx.purge(CARDS)
                seen = {each.id: each.pages for each in ctx[BOOKS] if each.id.startswith(f"{name}-")}
                if seen != truth:
                    wrong.append(f"{name} sees {seen} and wrote {truth}")
                    return
            except (SyncBusy, PurgeBlocked):  # others write meanwhile
                pass
    except BaseException as error:  # whatever it is, it is told
        wrong.append(f"{name}: {type(error).__name__}: {error}")


def run(folder: Path, process: int, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Three threads: two share a context, one has its own."""
    shared, store, authority, kept = opened(folder)
    own, other, *_ = opened(folder)
    until = time.monotonic() + seconds
    truths: list[dict[str, Any]] = [{}, {}, {}]
    wrong: list[str] = []
    threads = [
        threading.Thread(target=work, args=(ctx, f"p{process}t{number}", until, truths[number], wrong))
        for number, ctx in enumerate((shared, shared, own))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong += faults(store)
    for each in (shared, own, store, other, authority, kept):
        each.close()
    return {id: pages for truth in truths for id, pages in truth.items()}, wrong


def main(folder: str, seconds: str) -> None:
    place = Path(folder)
    ctx, *_ = opened(place)
    ctx[SHELVES].insert(Shelf("shelf"))
    ctx.push()
    ctx.close()
    children: list[int] = []
    for process in range(2):
        pid = os.fork()
        if pid == 0:
            try:
                truth, wrong = run(place, process, float(seconds))
                (place / f"{process}.json").write_text(json.dumps([truth, wrong]))
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        _ = os.waitpid(pid, 0)
    told = [json.loads((place / f"{process}.json").read_text()) for process in range(2)]
    assert [] == [each for _, wrong in told for each in wrong]
    truth = {id: pages for each, _ in told for id, pages in each.items()}
    ctx, store, authority, _ = opened(place)
    assert [] == faults(store)
    assert ctx.push().ok
    for each in TABLES:
        ctx.pull(each, name="a")
    assert truth == {each.id: each.pages for each in ctx[BOOKS]}
    assert truth == {str(each["id"]): each["pages"] for each in authority.records("book")}
    ctx.purge(CARDS)
    ctx.pull(CARDS, name="a")
    assert {each["id"] for each in ctx[CARDS]} == {each["id"] for each in authority.records("card")}
    assert [] == faults(store)
    print(f"{len(truth)} books")


if __name__ == "__main__":
    main(*sys.argv[1:])
