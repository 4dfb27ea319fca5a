"""Autosync on bad wires, and several on one file: everything arrives, once, and nothing is tried without pause."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.api.support import NOTES, TABLES, Remote
from tests.api.worker import device as file_device
from tests.autosync.support import LONG, TINY, Watch, device
from tidesync import SyncContext, merge_fields
from tidesync.conformance.faults.plan import Chance
from tidesync.conformance.faults.transports import FAULTS, FaultyTransport
from tidesync.contracts.transport import Change, Outcome, Page, PullRequest
from tidesync.events import CycleFinished
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport

ROOT = Path(__file__).parents[2]


class Counting(LoopbackTransport):
    """Notices two exchanges at a time."""

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.under_way = self.most = 0

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        self._enter()
        try:
            return super().push(changes)
        finally:
            self.under_way -= 1

    def pull(self, request: PullRequest, /) -> Page:
        self._enter()
        try:
            return super().pull(request)
        finally:
            self.under_way -= 1

    def _enter(self) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        time.sleep(0.0002)


def test_a_wire_that_fails_half_of_the_time(remote: Remote) -> None:
    """A few hundred cycles on two devices that write meanwhile: all is the same everywhere in the end."""
    wires = [FaultyTransport(Counting(remote.authority), Chance(seed, 0.5, FAULTS)) for seed in (1, 2)]
    contexts = [SyncContext(MemoryStore(), wire, TABLES, policy=merge_fields()).open() for wire in wires]
    watches = [Watch(ctx) for ctx in contexts]
    times = {**TINY, "every": 0.002, "backoff": 0.001, "max_backoff": 0.004}
    autos = [ctx.autosync([NOTES], **times) for ctx in contexts]
    number = 0
    while sum(len(watch.of(CycleFinished)) for watch in watches) < 300:
        contexts[number % 2][NOTES].upsert({"id": str(number % 30), "stars": number})
        number += 1
        time.sleep(0.002)
    for wire in wires:
        wire.heal()
    for ctx, watch in zip(contexts, watches, strict=True):
        watch.until(lambda ctx=ctx: ctx.pending_operations == 0 and contents(ctx) == everything(remote))
    for auto in autos:
        auto.stop()
    for ctx in contexts:
        ctx.close()
    assert min(30, number) == len(remote.ids("note"))
    assert [1, 1] == [wire.transport.most for wire in wires if isinstance(wire.transport, Counting)]
    assert sum(not each.ok for watch in watches for each in watch.of(CycleFinished)) > 30


def contents(ctx: SyncContext) -> dict[str, object]:
    return {str(each["id"]): each["stars"] for each in ctx[NOTES].all()}


def everything(remote: Remote) -> dict[str, object]:
    return {str(each["id"]): each["stars"] for each in remote.authority.records("note")}


def test_two_contexts_on_one_file(remote: Remote, tmp_path: Path) -> None:
    """Each has an autosync; they take turns on the file's lease, and each write has one effect."""
    file = tmp_path / "device.db"
    stores = [SQLiteStore(file, synchronous="normal") for _ in range(2)]
    (one, a, _), (two, b, _) = (device(remote.authority, store, patience=LONG) for store in stores)
    with one, two, one.autosync([NOTES], **TINY), two.autosync([NOTES], **TINY):
        for number in range(40):
            (one, two)[number % 2][NOTES].insert({"id": f"{number:02}"})
        deadline = time.monotonic() + LONG
        while one.pending_operations and time.monotonic() < deadline:
            time.sleep(0.005)
    assert [f"{number:02}" for number in range(40)] == remote.ids("note")
    assert 40 == len({change.id for wire in (a, b) for change in wire.changes})


def test_two_processes_on_one_file(tmp_path: Path) -> None:
    """And two on another file: all of them meet at the remote, and here."""
    remote = tmp_path / "remote.db"
    given = [(tmp_path / f"{name[0]}.db", name) for name in ("x1", "x2", "y1", "y2")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.autosync.worker", store, remote, name, "15"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for store, name in given
    ]  # fmt: skip
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (0, "") == (process.returncode, errors)
    wanted = {f"{name}-{index}": index for _, name in given for index in range(15)}
    for file in ("x.db", "y.db"):
        ctx, _ = file_device(str(tmp_path / file), str(remote))
        with ctx:
            ctx.pull(NOTES, name="autosync")
            assert (wanted, 0) == (contents(ctx), ctx.pending_operations)
