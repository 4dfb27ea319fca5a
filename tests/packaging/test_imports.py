"""`import tidesync` is light: drivers and test tools are loaded when they are first needed."""

import subprocess
import sys

HEAVY = ("apsw", "httpx", "sqlcipher3", "obstore", "starlette", "pytest", "hypothesis")


def test_importing_tidesync_loads_no_driver_and_no_test_tool() -> None:
    script = f"import sys, tidesync; print(*(name for name in {HEAVY!r} if name in sys.modules))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")


def test_the_rooms_load_a_driver_when_it_is_asked_for() -> None:
    """`tidesync.stores` and `tidesync.transports` name what they hold, and load neither apsw nor httpx before."""
    program = (
        "import sys, tidesync.stores, tidesync.transports\n"
        "assert not {'apsw', 'httpx'} & set(sys.modules)\n"
        "from tidesync.stores import MemoryStore, SQLiteStore\n"
        "from tidesync.transports import Authority, HttpTransport, LoopbackTransport\n"
        "assert {'apsw', 'httpx'} <= set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
