"""Who holds a lease, by name, and whether the holder of a name has ended without letting go of it.

A name says machine, boot, process and run. Only what can be known for certain counts as gone: a run of this
process that is over, or a process of this machine that no longer exists. For everything else the lease's time decides.
"""

from __future__ import annotations

import itertools
import os
import platform
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_runs = itertools.count(1)
_alive: dict[str, object] = {}
_run: ContextVar[str] = ContextVar("run")
_lock = threading.Lock()


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _machine() -> str:
    """This machine since it was started, as far as process numbers go: containers have their own."""
    boot = _read("/proc/sys/kernel/random/boot_id") or platform.node()
    try:
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return boot


def _started(pid: int) -> str:
    """When the process was started, in the kernel's own unit; empty where that cannot be told.

    "dead" for one that has ended, and that its parent has not waited for yet.
    """
    status = _read(f"/proc/{pid}/stat")
    fields = status.rpartition(")")[2].split() if status else []
    if fields and fields[0] in "ZX":
        return "dead"
    return fields[19] if fields else ""


@contextmanager
def running(owner: object) -> Generator[str]:
    """One run of a push, pull or purge by a thread or task; it counts as alive inside the block. Gives its name."""
    pid = os.getpid()
    name = "|".join((_machine(), str(pid), _started(pid), str(next(_runs))))
    with _lock:
        _alive[name] = owner
    token = _run.set(name)
    try:
        yield name
    finally:
        _run.reset(token)
        with _lock:
            _ = _alive.pop(name, None)


def run_and_outer() -> tuple[str, Callable[[str], bool]]:
    """The name of the run under way here, and whether the run of a name is this owner's too, further out."""
    name = _run.get()
    with _lock:
        owner = _alive[name]

    def outer(other: str) -> bool:
        with _lock:
            return _alive.get(other) == owner

    return name, outer


def process_of(name: str) -> int | None:
    """The number of the process whose run has this name; None if it is of another machine."""
    machine, _, rest = name.partition("|")
    number = rest.partition("|")[0]
    return int(number) if machine == _machine() and number.isdigit() else None


def gone(name: str) -> bool:
    """True only if the run of this name is known to be over."""
    machine, _, rest = name.partition("|")
    pid_text, _, rest = rest.partition("|")
    started = rest.partition("|")[0]
    if machine != _machine() or not pid_text.isdigit():
        return False
    pid = int(pid_text)
    if pid == os.getpid():
        with _lock:
            return name not in _alive
    if sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return bool(started) and _started(pid) not in ("", started)
