"""The Azure Mobile Apps client for JavaScript, under Node.js: a client that nobody here wrote."""

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tests.peers.installation import CLIENT
from tests.peers.remote import Remote
from tidesync import SyncContext

ANSWER_SECONDS = 30.0
Record = dict[str, Any]
COLUMNS = {
    "text": "string", "note": "string", "priority": "integer", "score": "real", "complete": "boolean", "due": "date",
}  # fmt: skip
NOON = datetime(2026, 3, 1, 12, 0, 0, 5000, tzinfo=UTC)


class JsError(Exception):
    """The client said no: `status` is the reply's (0: there was none; None: it was not asked)."""

    def __init__(self, message: str, status: int | None, server: Record | None) -> None:
        super().__init__(message)
        self.status, self.server = status, server


class JsClient:
    """A process that drives one client at a time, killed at the end of the `with` block.

    The command "open" begins a new client; `client/driver.js` tells of the others. Dates are `datetime`s, and a
    query is a dict. A command that takes too long is `TimeoutError`, and the end of the process.
    """

    def __init__(self, packages: Path) -> None:
        self._packages = packages
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        # A file, since nobody reads along: a full pipe would stop it.
        self._printed = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            ["node", str(CLIENT / "driver.js")],
            env={"PATH": os.environ["PATH"], "NODE_PATH": str(self._packages / "node_modules")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, name="js-client")
        self._reader.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for file in (self._process.stdin, self._process.stdout, self._printed):
            if file is not None:
                with contextlib.suppress(BrokenPipeError):
                    file.close()

    def __call__(self, command: str, table: str | None = None, **arguments: Any) -> Any:
        """What the client answers to one command; raises `JsError`."""
        line = json.dumps({"do": command, "table": table, **arguments}, default=_written)
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        try:
            text = self._answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            self._process.kill()
            raise TimeoutError(f"{command} took longer than {ANSWER_SECONDS:g} seconds") from None
        if not text:
            self._printed.seek(0)
            raise RuntimeError(f"the client ended at {command}:\n{self._printed.read()}")
        answer = json.loads(text, object_hook=_read)
        if "error" in answer:
            error = answer["error"]
            raise JsError(error["message"], error.get("status"), error.get("server"))
        return answer["result"]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")


def _written(value: object) -> object:
    if isinstance(value, datetime):
        return {"$date": value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    raise TypeError(f"{type(value).__name__} is not for the client")


def _read(found: Record) -> object:
    return datetime.fromisoformat(found["$date"]) if "$date" in found else found


class Js:
    """A client with an empty store, on one table."""

    def __init__(self, process: JsClient, remote: Remote) -> None:
        self._process, self._table = process, remote.typed.name
        self._process("open", url=remote.wire.url, path=":memory:")
        self("define", columns=COLUMNS)

    def __call__(self, command: str, **arguments: Any) -> Any:
        return self._process(command, self._table, **arguments)

    def local(self) -> dict[str, Record]:
        """What its store holds, by id."""
        return {record["id"]: record for record in self("local.read")}

    def read(self, **query: Any) -> list[str]:
        """The ids that an online query finds."""
        return [record["id"] for record in self("remote.read", query=query)["records"]]


def held(device: SyncContext, remote: Remote) -> dict[str, tuple[object, ...]]:
    """What a device holds, without what the server keeps."""
    return {
        row["id"]: tuple(row.get(name) for name in (*COLUMNS, "version"))
        for row in device[remote.typed].all()
    }


def assert_equal(remote: Remote, js: Js, device: SyncContext) -> None:
    """After a pull on both sides, both hold the same, of the same versions."""
    js("pull", name="all")
    device.pull(remote.typed, name="all")
    theirs = {id: tuple(row.get(name) for name in (*COLUMNS, "version")) for id, row in js.local().items()}
    assert theirs == held(device, remote)
    assert ([], 0) == (device.conflicts(), device.pending_operations)
    assert [] == js("pending")


def record(id: str, **changed: object) -> Record:
    """A record with a value in each column."""
    return {
        "id": id, "text": id, "note": None, "priority": 7, "score": 0.1, "complete": False, "due": NOON, **changed,
    }  # fmt: skip
