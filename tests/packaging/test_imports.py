"""`import tidesync` is light: drivers and test tools are loaded when they are first needed."""

import subprocess
import sys

HEAVY = ("apsw", "httpx", "sqlcipher3", "obstore", "starlette", "pytest", "hypothesis")


def test_importing_tidesync_loads_no_driver_and_no_test_tool() -> None:
    script = f"import sys, tidesync; print(*(name for name in {HEAVY!r} if name in sys.modules))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
