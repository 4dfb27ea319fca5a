"""The command `tidesync` as a process of its own, away from any terminal."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SECONDS = 120.0
"""Far more than it takes, so that only a hang ends in an error."""


def tidesync(
    *arguments: str, folder: Path | None = None, before: str = "", encoding: str = "utf-8"
) -> subprocess.CompletedProcess[str]:
    """Run it to its end. `folder` is where it makes temporary files; `before` is code that runs first."""
    code = f"import sys\n{before}\nfrom tidesync.cli import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        encoding=encoding,
        env=environment(folder, encoding),
        timeout=SECONDS,
        check=False,
    )


def environment(folder: Path | None, encoding: str = "utf-8") -> dict[str, str]:
    """What the process is told: nothing of this terminal, and where temporary files go."""
    told = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": encoding, "TERM": "xterm-256color"}
    return told if folder is None else {**told, "TMPDIR": str(folder)}


def headings(printed: str) -> Sequence[str]:
    """The titles of the steps, in order."""
    lines = printed.splitlines()
    return [line.partition(". ")[2] for line in lines if line[:1].isdigit() and line[1:3] == ". "]
