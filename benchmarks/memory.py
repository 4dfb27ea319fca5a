"""How much memory a pull takes: the growth of the process while so many records arrive."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, sys
from pathlib import Path
from benchmarks.world import Acknowledge, device

def status(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])

size = int(sys.argv[1])
with device(Acknowledge(total=2000), declared=True) as (context, notes):
    context.pull(notes, name="warm")
with device(Acknowledge(total=size), declared=True) as (context, notes):
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = status("VmRSS")
    context.pull(notes, name="all")
    assert size == context[notes].count()
    print(status("VmHWM") - before)
"""


def growth(size: int) -> float:
    """Megabytes by which the peak of a fresh process grows while it pulls so many records (on Linux)."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(size)], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / 1024
