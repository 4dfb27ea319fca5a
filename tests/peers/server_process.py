"""One running server on loopback, with its own database file: of Azure Mobile Apps, or tidesync's service."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from tests.peers.installation import SERVER

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 10.0
EDITS = "edits of the tests"
"""The table of a service's file that counts how often each row was written."""


class ServerProcess:
    """A server process on loopback; killed at the end of the `with` block, and gone whenever the tests die.

    `db_path` is its SQLite file, which outlives the process; `log_path` is all it printed.
    """

    command: ClassVar[Sequence[str]]

    def __init__(self, folder: Path) -> None:
        self.db_path = folder / "peer.sqlite"
        self.log_path = folder / "peer.log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """All its variables, beside those that every server has."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The address without a slash at the end; the same after a restart."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()  # nobody wants anything of it any more, and a stop takes longer

    def start(self) -> None:
        """Start on the file and port of before, and return when it answers; `RuntimeError` if it does not."""
        if self.running:
            return
        self._reap()
        offset = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            common = {"PATH": os.environ["PATH"], "DBFILE": str(self.db_path), "PORT": str(self.port)}
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=common | self.environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self.port = self._announced_port(offset)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait; does nothing if it does not run."""
        if self._process is not None and self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End it with SIGKILL, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
        self._reap()

    def restart(self) -> None:
        """Stop it if it runs, and start it again on the same port and database."""
        self.stop()
        self.start()

    def _announced_port(self, offset: int) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            printed = self.log_path.read_bytes()[offset:]
            for line in printed.splitlines(keepends=True):
                if line.startswith(b'{"port":') and line.endswith(b"\n"):
                    return int(json.loads(line)["port"])
            if not self.running:
                raise RuntimeError(f"the server did not start:\n{printed.decode(errors='replace')}")
            time.sleep(0.005)
        raise RuntimeError(f"the server did not start in {START_SECONDS:g} seconds; see {self.log_path}")

    def _reap(self) -> None:
        if self._process is None:
            return
        self._process.wait(STOP_SECONDS)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None


class Peer(ServerProcess):
    """The Azure Mobile Apps server for Node.js.

    `tables` adds tables to those of app.js: `{"name": {"columns": {"text": "string"}, "softDelete": True}}`. With
    `dynamic=False` the server refuses columns that it does not know.
    """

    command = ("node", str(SERVER / "app.js"))

    def __init__(
        self,
        packages: Path,
        folder: Path,
        *,
        tables: Mapping[str, object] | None = None,
        dynamic: bool = True,
    ) -> None:
        super().__init__(folder)
        self._packages, self._tables, self._dynamic = packages, dict(tables or {}), dynamic

    def environment(self) -> dict[str, str]:
        # Nothing else is passed on: the server takes settings from many variables.
        return {
            # Modules are found from where app.js lies, and they are elsewhere.
            "NODE_PATH": str(self._packages / "node_modules"),
            "TABLES": json.dumps(self._tables),
            "DYNAMIC": "on" if self._dynamic else "off",
        }


class Service(ServerProcess):
    """tidesync's own service, in a process of its own.

    `tables` says the columns of each table, as texts of `ColumnType`; a table without columns takes any.
    """

    command = (sys.executable, "-m", "tests.peers.serving")

    def __init__(self, folder: Path, *, tables: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__(folder)
        self._tables = {name: dict(columns) for name, columns in tables.items()}

    def environment(self) -> dict[str, str]:
        return {"TABLES": json.dumps(self._tables)}
