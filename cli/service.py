"""The demo's own remote as a service in a process of its own: `python -m tidesync.cli.service`, started by the demo.

It serves one file until its standard input ends or it is stopped, and says on its standard output where.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tidesync.cli.world import EXCHANGE, RULES, TABLES
from tidesync.errors import ConfigurationError, TidesyncError
from tidesync.stores.sqlite import SQLiteStore

FILE: Final = "remote.db"
LOG: Final = "remote.log"
_PATIENCE: Final = 10.0
"""Seconds for a stop in good order; then the process is killed."""


class RemoteFailed(TidesyncError):
    """The service did not start; the message is what it said."""


class Remote:
    """The service over a file in a folder: started, stopped and started again, always at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, 0
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    @property
    def told(self) -> str:
        """What it is called in print."""
        number = "" if self._process is None else f", process {self._process.pid}"
        return f"{FILE}, served at {self.url}{number}; its log is {LOG}"

    def start(self) -> None:
        """Start it, and wait until it answers. Raises `RemoteFailed`."""
        command = [sys.executable, "-m", "tidesync.cli.service", "--folder", str(self._folder)]
        command += ["--port", str(self._port)]
        pipe, log = subprocess.PIPE, self._folder / LOG
        with log.open("a", encoding="utf-8") as stream:
            # In a session of its own, Ctrl-C reaches the demo alone, which then ends its remote in good order.
            self._process = subprocess.Popen(  # noqa: S603  # our own
                command, stdin=pipe, stdout=pipe, stderr=stream, text=True, start_new_session=True
            )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            said = log.read_text(encoding="utf-8").splitlines()
            raise RemoteFailed(f"the service did not start: {said[-1] if said else self._process.wait()}")
        self._port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        """Stop it for good, whatever it is doing; idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.terminate()
            _ = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            _ = process.communicate()


@contextmanager
def served(folder: Path) -> Generator[Remote]:
    """The service over a new file in this folder. Raises `ConfigurationError` if the extra is missing."""
    for package in ("starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(
                f"{package} is not installed: pip install 'tidesync[service]', or run `tidesync demo --loopback`"
            )
    remote = Remote(folder)
    try:
        remote.start()
        yield remote
    finally:
        remote.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, until stopped."""
    parser = argparse.ArgumentParser(prog="python -m tidesync.cli.service", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args(arguments)
    try:
        serve(given.folder, given.port)
    except (TidesyncError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def serve(folder: Path, port: int) -> None:
    """Serve the demo's tables from a file in the folder, under the demo's rules."""
    from tidesync.transports.service import Limits, create_app
    from tidesync.transports.service.server import run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    store = SQLiteStore(folder / FILE)
    app = create_app(store, TABLES, before_write=RULES, foreign_keys=True, limits=Limits(batch=EXCHANGE))
    threading.Thread(target=_end_with_the_demo, daemon=True).start()
    run(app, port=port, ready=_say)


def _say(url: str) -> None:
    print(url, flush=True)


def _end_with_the_demo() -> None:
    """So that no process is left behind, also if the demo is killed."""
    _ = sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
