"""Several processes on one SQLite file, and processes that are killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.api.support import NOTES
from tests.api.worker import device
from tidesync.errors import SyncBusy

ROOT = Path(__file__).parents[2]


def start(command: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.api.worker", command, *map(str, arguments)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ended(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate("go on\n", timeout=120)
    assert (0, "") == (process.returncode, errors)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "device.db"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return tmp_path / "remote.db"


def test_processes_write_and_sync_one_file(store: Path, remote: Path) -> None:
    """Three processes edit, push and pull through one file: every edit arrives once. [R-M24] [P09]"""
    processes = [start("write", store, remote, name, 20) for name in "abc"]
    for process in processes:
        ended(process)
    ctx, wire = device(str(store), str(remote))
    with ctx:
        ctx.push()
        ids = sorted(f"{name}-{index}" for name in "abc" for index in range(20))
        assert (ids, 0) == (ctx[NOTES].values("id"), ctx.pending_operations)
        found = {record["id"]: record["stars"] for record in wire.inner.authority.records("note")}
        assert {id: int(id[2:]) for id in ids} == found


def test_a_second_process_waits_for_the_lease(store: Path, remote: Path) -> None:
    """While another process pushes, this one is told `SyncBusy`, or waits; local work goes on. [P10]"""
    ctx, _ = device(str(store), str(remote))
    with ctx:
        ctx[NOTES].insert({"id": "a"})
        other = start("hold", store, remote)
        assert "pushing" == said(other)
        ctx._patience = 0.0
        with pytest.raises(SyncBusy):
            ctx.push()
        ctx[NOTES].insert({"id": "b"})
        assert 2 == ctx[NOTES].count()
        ended(other)
        assert ["b"] == [each.record_id for each in ctx.push().pushed]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_holder_is_replaced_at_once(store: Path, remote: Path, moment: str) -> None:
    """Killed in the middle of a push: nobody waits for the dead, and every operation has one effect. [R-E36]"""
    ctx, wire = device(str(store), str(remote))
    with ctx:
        ctx[NOTES].insert_many([{"id": "a"}, {"id": "b", "text": "x"}, {"id": "c"}])
        ctx[NOTES].update("c", stars=1)
        before = ctx.operations()
        killed = start("die", store, remote, moment)
        assert -9 == killed.wait(60)
        killed.communicate()
        left = ctx.operations()
        assert [("b", "attempted", 1), ("c", "pending", 0)] == [
            (each.record_id, each.state, each.attempts) for each in left
        ]
        assert before[1].id == left[0].id
        ctx._patience = 0.0
        begun = time.monotonic()
        report = ctx.push()
        assert time.monotonic() - begun < 10
        assert (["b", "c"], 0) == ([each.record_id for each in report.pushed], report.pending)
        assert ["a", "b", "c"] == [record["id"] for record in wire.inner.authority.records("note")]
        assert [2] == [change.attempts for change in wire.changes if change.record_id == "b"]


def test_what_was_acknowledged_survives_a_kill(store: Path, remote: Path) -> None:
    """Killed at any moment while writing: record and queue agree, and nothing that was told is missing. [B17]"""
    told = 0
    for _ in range(3):
        process = start("scribble", store, remote)
        for _ in range(15):
            told = int(said(process))
        process.kill()
        process.communicate()
        ctx, _ = device(str(store), str(remote))
        with ctx:
            ids, queued = ctx[NOTES].values("id"), [each.record_id for each in ctx.operations()]
            assert ids == queued == [f"{index:06}" for index in range(len(ids))]
            assert len(ids) > told
            assert len(ids) == ctx.pending_operations
