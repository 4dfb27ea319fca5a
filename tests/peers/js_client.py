"""The Azure Mobile Apps client for JavaScript, under Node.js: a client that nobody here wrote."""

import contextlib
import json
import os
import queue
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tests.peers.installation import CLIENT

ANSWER_SECONDS = 30.0
Record = dict[str, Any]


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
        self._process = subprocess.Popen(
            ["node", str(CLIENT / "driver.js")],
            env={"PATH": os.environ["PATH"], "NODE_PATH": str(self._packages / "node_modules")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
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
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

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
            assert self._process.stderr is not None
            raise RuntimeError(f"the client ended at {command}:\n{self._process.stderr.read()}")
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
