"""A device in a process of its own: `worker.py command store remote …`; both are SQLite files."""

import os
import signal
import sys
from collections.abc import Sequence

from tests.api.support import NOTES, TABLES, Wire
from tidesync import SyncContext
from tidesync.contracts.transport import Change, Outcome
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority


def device(store: str, remote: str) -> tuple[SyncContext, Wire]:
    authority = Authority(SQLiteStore(remote, synchronous="normal"), [each.schema for each in TABLES])
    wire = Wire(authority.open())
    return SyncContext(SQLiteStore(store, synchronous="normal"), wire, TABLES, patience=60.0), wire


def say(word: str) -> None:
    print(word, flush=True)


def write(store: str, remote: str, name: str, count: str) -> None:
    """Insert so many notes, edit each, and push and pull now and then."""
    ctx, _ = device(store, remote)
    with ctx:
        for index in range(int(count)):
            ctx[NOTES].insert({"id": f"{name}-{index}"})
            ctx[NOTES].update(f"{name}-{index}", stars=index)
            if index % 5 == 4:
                ctx.push()
                ctx[NOTES].pull(name="all")
        say("done")


def hold(store: str, remote: str) -> None:
    """Push, and stop in the middle until a line comes."""
    ctx, wire = device(store, remote)

    def wait(changes: Sequence[Change]) -> None:
        say("pushing")
        _ = sys.stdin.readline()

    wire.on_push = wait
    with ctx:
        ctx.push()
        say("done")


def die(store: str, remote: str, moment: str) -> None:
    """Push, and be killed before or after the remote has taken the change of the note "b"."""
    ctx, wire = device(store, remote)

    def kill(change: Change) -> Outcome:
        if moment == "after":
            _ = wire.forward(change)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    wire.limits["max_changes"] = 1
    wire.say("b", kill)
    with ctx:
        ctx.push()


def scribble(store: str, remote: str) -> None:
    """Insert notes for ever, telling each when it is committed."""
    ctx, _ = device(store, remote)
    with ctx:
        for index in range(ctx[NOTES].count(), 1_000_000):
            ctx[NOTES].insert({"id": f"{index:06}"})
            say(f"{index:06}")


if __name__ == "__main__":
    {"write": write, "hold": hold, "die": die, "scribble": scribble}[sys.argv[1]](*sys.argv[2:])
