"""Eight processes write to one folder, and are killed and begun again meanwhile."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.transports.files.crowd_worker import NOTES
from tidesync.transports.files.transport import FileTransport

WRITERS, CHANGES, KILLS = 8, 2_000, 8


def begun(folder: Path, journals: Path, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.transports.files.crowd_worker", str(folder)]
    command += [str(journals / f"{number}"), str(number), str(CHANGES)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def acknowledged(journals: Path) -> list[str]:
    """The operations that the writers know to be in effect; a line that a kill cut off was not known."""
    return [line for each in journals.iterdir() for line in each.read_text().rpartition("\n")[0].split()]


def in_the_log(folder: Path) -> Counter[str]:
    """How often each operation is in the log, by json alone."""
    found: Counter[str] = Counter()
    for file in sorted((folder / "log").iterdir()):
        if not file.name.startswith("."):
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            found.update(line["operation"] for line in lines[1:-1])
    return found


def test_eight_writers_some_of_them_killed_leave_each_change_once_and_agree(tmp_path: Path) -> None:
    """Every acknowledged operation is in the log exactly once, and all who read it hold the same in the end."""
    folder, journals = tmp_path / "remote", tmp_path / "journals"
    journals.mkdir()
    with_snapshots = FileTransport(folder, snapshot_every=64)
    _ = with_snapshots.open([NOTES])
    with_snapshots.close()
    chance = random.Random(8)
    writers = {number: begun(folder, journals, number) for number in range(WRITERS)}
    try:
        killed = 0
        while killed < KILLS:
            time.sleep(chance.uniform(0.1, 0.5))
            if len(acknowledged(journals)) > WRITERS * CHANGES * (killed + 1) // (KILLS + 2):
                number = chance.randrange(WRITERS)
                writers[number].send_signal(signal.SIGKILL)
                _ = writers[number].communicate()
                killed += 1
                writers[number] = begun(folder, journals, number)
        for writer in writers.values():
            assert writer.stdout is not None
            assert writer.stdout.readline() == "done\n"
        told = {writer.communicate("go\n", timeout=60)[0] for writer in writers.values()}
    finally:
        for writer in writers.values():
            writer.kill()
            _ = writer.communicate()
    once = in_the_log(folder)
    assert WRITERS * CHANGES == len(once) == once.total()
    assert set(acknowledged(journals)) <= set(once)
    assert 1 == len(told)
    assert all(told)
