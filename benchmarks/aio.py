"""The asyncio face against the synchronous one, and how long the event loop is held up."""

from __future__ import annotations

import asyncio
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import attrs

from benchmarks.measure import Result, compared, timed
from benchmarks.service import SERVE, running
from benchmarks.world import Acknowledge, device, note, notes
from tidesync import AsyncSyncContext, AsyncSyncTable
from tidesync.contracts.transport import Absent, Change, Outcome, Page, PullRequest, TransportCapabilities
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.http import AsyncHttpTransport, HttpTransport

SINGLES, TASKS, BULK = 500, 50, 20_000
PULLED, PUSHED, RUNS = 50_000, 5_000, 5
TABLE = notes(declared=True)


class AwaitedAcknowledge:
    """The remote that takes everything, for a loop."""

    def __init__(self, total: int = 0) -> None:
        self.inner = Acknowledge(total)

    async def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        return self.inner.open(tables)

    async def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return self.inner.push(changes)

    async def pull(self, request: PullRequest, /) -> Page:
        return self.inner.pull(request)

    async def get(self, table: str, id: str, /) -> Record | None:
        return self.inner.get(table, id)

    async def close(self) -> None:
        self.inner.close()


@asynccontextmanager
async def async_device(remote: Any) -> AsyncIterator[AsyncSyncContext]:
    """A context on a new SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "bench.db", synchronous="normal")
        async with AsyncSyncContext(store, remote, [TABLE]) as context:
            yield context


async def awaited(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds that the work took, without the collector's pauses."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        _ = await work()
        return time.perf_counter() - start
    finally:
        gc.enable()


# ---- against the synchronous face, which is the floor


def results() -> Iterator[Result]:
    """Push, pull, single writes and reads: the floor is the same with `SyncContext`."""
    yield compared("asyncio: pull", BULK, BULK, _async_pull, _pull, rounds=3)
    yield compared("asyncio: push", BULK, BULK, _async_push, _push, rounds=3)
    yield compared("asyncio: insert, one after another", SINGLES, SINGLES, _async_inserts, _inserts)
    yield compared(f"asyncio: insert, {TASKS} tasks", SINGLES, SINGLES, _async_inserts_at_once, _inserts)
    yield compared("asyncio: get, one after another", SINGLES, SINGLES, _async_gets, _gets)
    yield compared("asyncio: query of 1,000", 1000, 1000, _async_query, _query)


def _pull() -> float:
    with device(Acknowledge(total=BULK), declared=True) as (context, table):
        return timed(lambda: context.pull(table, name="all"))


def _async_pull() -> float:
    async def main() -> float:
        async with async_device(AwaitedAcknowledge(total=BULK)) as context:
            return await awaited(lambda: context.pull(TABLE, name="all"))

    return asyncio.run(main())


def _push() -> float:
    with device(Acknowledge(), declared=True) as (context, table):
        _ = context[table].insert_many(note(n) for n in range(BULK))
        return timed(context.push)


def _async_push() -> float:
    async def main() -> float:
        async with async_device(AwaitedAcknowledge()) as context:
            _ = await context[TABLE].insert_many(note(n) for n in range(BULK))
            return await awaited(context.push)

    return asyncio.run(main())


def _inserts() -> float:
    records = [note(n) for n in range(SINGLES)]
    with device(Acknowledge(), declared=True) as (context, table):
        return timed(lambda: [context[table].insert(record) for record in records])


def _on_a_device(work: Callable[[AsyncSyncTable[Any]], Awaitable[object]], filled: int = 0) -> float:
    async def main() -> float:
        async with async_device(AwaitedAcknowledge()) as context:
            _ = await context[TABLE].insert_many(note(n) for n in range(filled))
            return await awaited(lambda: work(context[TABLE]))

    return asyncio.run(main())


def _async_inserts() -> float:
    records = [note(n) for n in range(SINGLES)]

    async def work(table: AsyncSyncTable[Any]) -> None:
        for record in records:
            _ = await table.insert(record)

    return _on_a_device(work)


def _async_inserts_at_once() -> float:
    async def work(table: AsyncSyncTable[Any]) -> None:
        left = iter([note(n) for n in range(SINGLES)])

        async def some() -> None:
            for record in left:
                _ = await table.insert(record)

        async with asyncio.TaskGroup() as group:
            for _ in range(TASKS):
                _ = group.create_task(some())

    return _on_a_device(work)


def _gets() -> float:
    ids = [note(n)["id"] for n in range(SINGLES)]
    with device(Acknowledge(), declared=True) as (context, table):
        _ = context[table].insert_many(note(n) for n in range(SINGLES))
        return timed(lambda: [context[table].get(id) for id in ids])


def _async_gets() -> float:
    ids = [note(n)["id"] for n in range(SINGLES)]

    async def work(table: AsyncSyncTable[Any]) -> None:
        for id in ids:
            _ = await table.get(id)

    return _on_a_device(work, SINGLES)


def _query() -> float:
    with device(Acknowledge(), declared=True) as (context, table):
        _ = context[table].insert_many(note(n) for n in range(1000))
        return timed(context[table].all)


def _async_query() -> float:
    return _on_a_device(lambda table: table.all(), 1000)


# ---- how long the loop is held up


@attrs.frozen
class Delays:
    """Milliseconds by which a task that sleeps for one was late at the most; `collector`: its longest pause."""

    idle: float
    pull: float
    push: float
    collector: float


def heartbeat(*, frozen: bool, runs: int = RUNS) -> Delays:
    """The median of some runs, each in a process of its own, against the service in another.

    `frozen`: the process called gc.freeze() when it had imported everything, as one that cares about delays does:
    else a full collection, which stops every thread, looks at all modules again.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        running([*SERVE, "--db", str(Path(folder) / "service.db")]) as service,
    ):
        _fill(service.url)
        told = []
        for run in range(runs):
            command = [sys.executable, "-m", "benchmarks.aio", service.url, str(run), *["frozen"] * frozen]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            told.append([float(word) for word in done.stdout.split()])
    return Delays(*(statistics.median(column) for column in zip(*told, strict=True)))


def _fill(url: str) -> None:
    transport = HttpTransport(url)
    _ = transport.open([TABLE.schema])
    for start in range(0, PULLED, 1000):
        changes = [
            Change(
                id=f"fill-{n}", table="notes", record_id=note(n)["id"], kind="insert", record=note(n),
                fields=("title", "done", "n", "body"), expected=Absent(),
            )
            for n in range(start, start + 1000)
        ]  # fmt: skip
        _ = transport.push(changes)
    transport.close()


async def _late(work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds by which the heartbeat was late at the most while this was done."""
    over, worst = asyncio.Event(), 0.0

    async def beat() -> None:
        nonlocal worst
        while not over.is_set():
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - start - 0.001)

    task = asyncio.create_task(beat())
    await asyncio.sleep(0)
    _ = await work()
    over.set()
    await task
    return worst * 1000


class _Collector:
    """How long the collector's pauses are, in milliseconds."""

    def __init__(self) -> None:
        self.worst, self._began = 0.0, 0.0
        gc.callbacks.append(self._called)

    def _called(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.worst = max(self.worst, (time.perf_counter() - self._began) * 1000)


async def _one_run(url: str, run: int) -> None:
    pauses, numbers = _Collector(), count(1_000_000 * (run + 1))
    async with async_device(AsyncHttpTransport(url)) as context:
        # Where the machine itself is late, nothing else can be in time.
        idle = await _late(lambda: asyncio.sleep(1))
        filled = context[TABLE].where(TABLE.c.n < PULLED)
        pull = await _late(lambda: context.pull(TABLE, filled, name="filled"))
        for _ in range(PUSHED // 500):
            _ = await context[TABLE].insert_many([note(next(numbers)) for _ in range(500)])
        push = await _late(context.push)
        assert await context.pending_operations == 0
        assert await context[TABLE].count() == PULLED + PUSHED
    print(idle, pull, push, pauses.worst)


if __name__ == "__main__":
    if "frozen" in sys.argv:
        _ = gc.collect()
        gc.freeze()
    asyncio.run(_one_run(sys.argv[1], int(sys.argv[2])))
