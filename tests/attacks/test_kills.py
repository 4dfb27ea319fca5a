"""A device that is killed at any moment, and one that many processes and threads use at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    """Forty lives on one file: every acknowledged write is there, no batch is torn, nothing takes effect twice."""
    command = [sys.executable, "-W", "error", "-m", "tests.attacks.kills", str(tmp_path), "7", "40"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("40 lives, ")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_many_processes_and_threads_on_one_file(tmp_path: Path) -> None:
    """Each reads its own writes at once, no call fails, and in the end device and remote hold all of them."""
    command = [sys.executable, "-W", "error", "-m", "tests.attacks.crowd", str(tmp_path), "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.endswith(" books\n")
