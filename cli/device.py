"""A device in a process of its own, made to be killed: `python -m tidesync.cli.device`, started by the demo.

It edits offline and pushes. When the given number of operations has reached the remote, it says so on its
standard output, and the acknowledgement goes no further: the process waits there for its end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from tidesync import SyncContext
from tidesync.cli.world import TASKS, Place, TodoTask, device
from tidesync.contracts.transport import Change, Outcome, Page, PullRequest, Transport, TransportCapabilities
from tidesync.errors import TidesyncError
from tidesync.records import Copy
from tidesync.schema import TableSchema

ROUND: Final = 3
"""Operations in one exchange: an insert, an update and a delete."""
NOT_KILLED: Final = 3
"""The exit status of a device that nobody killed."""


class Interrupted:
    """A transport that never acknowledges the exchange in which operation number `after` arrives."""

    def __init__(self, inner: Transport, after: int) -> None:
        self._inner, self._after, self._arrived = inner, after, 0

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        """As the inner one, a few operations at a time."""
        return attrs.evolve(self._inner.open(tables), max_changes=ROUND)

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        """Send; then, if it is time, tell the parent and wait for its SIGKILL."""
        outcomes = self._inner.push(changes)
        self._arrived += len(changes)
        if self._arrived >= self._after:
            print(self._arrived, flush=True)
            _ = sys.stdin.read()  # ends with the parent, so that no process is left behind
            raise SystemExit(NOT_KILLED)
        return outcomes

    def pull(self, request: PullRequest, /) -> Page:
        """As the inner one."""
        return self._inner.pull(request)

    def get(self, table: str, id: str, /) -> Copy:
        """As the inner one."""
        return self._inner.get(table, id)

    def close(self) -> None:
        """As the inner one."""
        self._inner.close()


def edit(place: Place, laptop: SyncContext) -> None:
    """Three times an insert, an update and a delete."""
    tasks = laptop[TASKS]
    for number in range(1, 4):
        tasks.insert(TodoTask(place.id(f"ticket-{number}"), f"Ticket {number}", place.id("archive")))
        tasks.update(place.id(f"photo-{number:03}"), text=f"Photo {number:03}, cropped")
        tasks.delete(place.id(f"photo-{number + 10:03}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Edit and push, until killed."""
    parser = argparse.ArgumentParser(prog="python -m tidesync.cli.device", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--url")
    parser.add_argument("--protocol", default="auto")
    parser.add_argument("--files", type=Path)
    parser.add_argument("--after", type=int, required=True)
    given = parser.parse_args(arguments)
    place = Place(given.folder, given.run, given.url, given.protocol, files=given.files)
    try:
        with device(place, "laptop", lambda inner: Interrupted(inner, given.after)) as laptop:
            edit(place, laptop)
            laptop.push()
    except TidesyncError as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        pass  # the parent ends in good order, and says so
    return NOT_KILLED


if __name__ == "__main__":
    sys.exit(main())
