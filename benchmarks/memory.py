"""How much memory a pull takes: the growth of the process while so many records arrive."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, resource, sys
from benchmarks.world import Acknowledge, device
size = int(sys.argv[1])
with device(Acknowledge(total=2000), declared=True) as (context, notes):
    context.pull(notes, name="warm")
with device(Acknowledge(total=size), declared=True) as (context, notes):
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    context.pull(notes, name="all")
    assert size == context[notes].count()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def growth(size: int) -> float:
    """Megabytes by which the peak of a fresh process grows while it pulls so many records."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(size)], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / 1024
