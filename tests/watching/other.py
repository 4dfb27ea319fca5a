"""Another process on the same store: a line of input is a thing to do, a line of output says that it is done."""

import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.api.support import NOTES
from tests.api.worker import device

ROOT = Path(__file__).parents[2]


class Other:
    """The process, for whoever tests with it."""

    def __init__(self, store: Path, remote: Path) -> None:
        command = [sys.executable, "-m", "tests.watching.other", str(store), str(remote)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ = self._process.communicate(timeout=60)
        if error is None and self._process.returncode != 0:
            raise AssertionError(f"the other process ended with {self._process.returncode}")

    def do(self, line: str) -> float:
        """Have it done; when it was done, by the clock of this machine."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def main(store: str, remote: str) -> None:
    """Do what is asked for until there is no more."""
    ctx, _ = device(store, remote)
    with ctx:
        for line in sys.stdin:
            what, *rest = line.split()
            if what == "insert":
                ctx[NOTES].insert_many({"id": id} for id in rest)
            elif what == "push":
                ctx.push()
            elif what == "pull":
                ctx[NOTES].pull()
            elif what == "purge":
                ctx[NOTES].purge(force=True)
            print(time.time(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
