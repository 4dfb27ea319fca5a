"""The service as a process of its own, on one SQLite file: started, killed, and started again at the same address."""

from __future__ import annotations

import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tidesync import table
from tidesync.contracts.transport import PullRequest
from tidesync.expressions import Expression
from tidesync.query import Query
from tidesync.records import Record, Tombstone, version_of
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.layout import DELETED
from tidesync.transports.principal import Principal

NOTES = table("note", {"n": int, "text": str})
TABLES = [NOTES]
SERVE = [sys.executable, "-m", "tidesync.cli", "serve"]
SECONDS = 30.0
"""Far more than a start takes, so that only a hang ends in an error."""


def free_port(chance: random.Random) -> int:
    """A port that nobody has, and that the system gives to no connection while the service is down."""
    while True:
        port = chance.randrange(20_000, 30_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Service:
    """`tidesync serve` on a file."""

    def __init__(self, file: Path, port: int) -> None:
        self.file, self.port = file, port
        self.url = f"http://127.0.0.1:{port}"
        self.log = file.with_name(f"{file.name}.{port}.log")
        self._process: subprocess.Popen[str] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start it; `wait` until it says that it is ready."""
        command = [*SERVE, "tests.attacks.service.processes:TABLES"]
        command += ["--db", str(self.file), "--port", str(self.port), "--quiet"]
        with self.log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Return when it says that it is ready."""
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not re.search(rf"http://127\.0\.0\.1:{self.port}\b", line):
            raise AssertionError(f"the service did not start: {line!r}\n{self.log.read_text()}")

    def kill(self) -> None:
        """SIGKILL; it must have been alive."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            raise AssertionError(f"the service ended by itself:\n{self.log.read_text()}")
        process.send_signal(signal.SIGKILL)
        _ = process.communicate()

    def stop(self) -> None:
        """SIGTERM; idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            _ = process.communicate(timeout=SECONDS)


def begin(file: Path) -> None:
    """Make the file, and let it keep all that is replaced, as it does once somebody follows with a view."""
    everything: Expression = NOTES.c.n >= 0
    with Authority(SQLiteStore(file), [NOTES]) as authority:
        _ = authority.pull(PullRequest(query=Query("note")), Principal("all", {"note": everything}))


class Kept:
    """What a file holds: `copies` by id, `history` by id: the versions and numbers in order, `effects` in all."""

    def __init__(self, file: Path) -> None:
        self.copies: dict[str, Record | Tombstone] = {}
        self.history: dict[str, list[tuple[str, int]]] = {}
        store = SQLiteStore(file, mode="ro")
        store.open([])
        try:
            with store.transaction(write=False) as transaction:
                rows = list(transaction.select(Query("note")))
                left = list(transaction.select(Query("__trails")))
                (meta,) = transaction.get("__authority", ["meta"])
                self.remembered = transaction.count(Query("__remembered"))
        finally:
            store.close()
        assert meta is not None
        self.effects = int(str(meta["sequence"]))
        for trail in left:
            row = trail["row"]
            assert isinstance(row, dict)
            self._note(row)
        for row in rows:
            self._note(row)
            version = str(version_of(row))
            live = {name: value for name, value in row.items() if not name.startswith("_")}
            self.copies[str(row["id"])] = Tombstone(version) if row[DELETED] else live
        for told in self.history.values():
            told.sort(key=lambda each: int(each[0].partition(".")[0]))

    def _note(self, row: Record) -> None:
        self.history.setdefault(str(row["id"]), []).append((str(row["version"]), int(str(row["n"]))))

    def faults(self) -> list[str]:
        """What had an effect twice, or left no trace: each write has a number of its own."""
        found: list[str] = []
        for id, told in self.history.items():
            numbers = [n for _, n in told]
            if isinstance(self.copies[id], Tombstone):  # which keeps the last content
                del numbers[-1]
            if numbers != sorted(set(numbers)):
                found.append(f"{id} had an effect twice: {told}")
        count = sum(map(len, self.history.values()))
        if count != self.effects:
            found.append(f"{self.effects} numbers were drawn, and {count} contents are known")
        return found


def wait_until(deadline: float) -> None:
    """Sleep until a moment of the monotonic clock."""
    time.sleep(max(0.0, deadline - time.monotonic()))
