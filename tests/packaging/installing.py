"""Wheels, and empty environments to install them in, as they are away from the checkout."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from tests.packaging.tree import ROOT

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(*command: object, cwd: Path) -> str:
    """Run a command away from the checkout and return what it printed; on failure show it all."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}\n{done.stdout}"
    return done.stdout


def copy(names: Sequence[str], source: Path, to: Path) -> None:
    """Copy these files and folders of a folder, those that there are, without what Python left in them."""
    to.mkdir()
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(
                source / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        elif (source / name).exists():
            shutil.copy(source / name, to / name)


def build(source: Path, folder: Path) -> Path:
    """Build a distribution's wheel, with the tools of this environment, and return where it is."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(folder: Path, *requirements: object) -> Path:
    """Make an environment with these and what they require, and nothing else; return its Python."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = (*PIP, "--python", python, "install", "--quiet", "--constraint", ROOT / "constraints.txt")
    run(*pip, *requirements, cwd=folder)
    return python
