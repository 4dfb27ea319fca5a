"""What a type checker infers is part of the promise."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
def test_mypy_infers_what_tables_are() -> None:
    """mypy --strict knows the class of a table's objects, and refuses others."""
    pytest.importorskip("mypy", reason="the type checkers are installed for development only")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--no-incremental",
        "tables.py",
    ]
    checked = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert ("", "", 0) == (checked.stdout, checked.stderr, checked.returncode)


@pytest.mark.slow
def test_pyright_infers_what_tables_are() -> None:
    """Pyright agrees, if it is installed."""
    pyright = Path(sys.executable).with_name("pyright")
    if not pyright.exists() or shutil.which("node") is None:
        pytest.skip("pyright needs Node.js, and is installed for development only")
    command = [str(pyright), "--pythonpath", sys.executable, "tables.py"]
    checked = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert (0, True) == (checked.returncode, "0 errors" in checked.stdout), checked.stdout
