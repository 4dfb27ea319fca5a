"""Holders of the lease that are stopped, killed, not buried, or live in a world with another clock."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.attacks.support import BOOKS, CARDS, SHELVES, TABLES, Hostile, Shelf, device, faults
from tidesync import SyncContext
from tidesync.contracts.transport import Change, Outcome
from tidesync.errors import LeaseLost, SyncBusy, TidesyncError
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore

HOLD = """
import sys, time
from tests.attacks.support import *
from tidesync.errors import LeaseLost
from tidesync.stores.sqlite import SQLiteStore
hostile = Hostile()
ctx = device(hostile, SQLiteStore(sys.argv[1]))
def hold(changes):
    print("holding", flush=True)
    _ = sys.stdin.readline()
    return hostile.inner.push(changes)
hostile.on_push = hold
try:
    ctx.push()
except LeaseLost:
    print("lost", flush=True)
else:
    print("kept", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    ctx = device(Hostile(), SQLiteStore(tmp_path / "d.db"))
    ctx[SHELVES].insert(Shelf("s", "one"))
    ctx.close()
    return tmp_path / "d.db"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, in the middle of an exchange of its push."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "holding\n" == process.stdout.readline()
        yield process
        process.kill()


def expire(path: Path) -> None:
    """Let the holder's time be over."""
    store = SQLiteStore(path)
    store.open([])
    ctx = SyncContext(store, None, TABLES).open()
    with store.transaction(write=True) as transaction:
        (row,) = transaction.get("__meta", ["lease"])
        assert row is not None
        assert isinstance(row["value"], dict)
        transaction.put("__meta", [{"id": "lease", "value": {**row["value"], "until": time.time() - 1}}])
    ctx.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_holder_that_was_stopped_writes_nothing_after_it_lost_the_lease(
    path: Path, holder: "subprocess.Popen[str]"
) -> None:
    """A process that is paused past its time finds its token outdated: `LeaseLost`, and nothing was written."""
    holder.send_signal(signal.SIGSTOP)
    hostile, store = Hostile(), SQLiteStore(path)
    ctx = device(hostile, store, patience=0.2)
    with pytest.raises(SyncBusy):
        ctx.push()
    expire(path)
    assert ctx.push().ok
    ctx[SHELVES].update("s", name="two")
    before = (list(ctx[SHELVES]), ctx.operations())
    holder.send_signal(signal.SIGCONT)
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert "lost\n" == holder.stdout.readline()
    assert (before, []) == ((list(ctx[SHELVES]), ctx.operations()), faults(store))
    ctx.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_holder_that_was_killed_and_not_buried_is_replaced_at_once(
    path: Path, holder: "subprocess.Popen[str]"
) -> None:
    """A killed child of this process stays in the table of processes until it is waited for: it is dead."""
    os.kill(holder.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while ") Z " not in Path(f"/proc/{holder.pid}/stat").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    ctx = device(Hostile(), SQLiteStore(path), patience=0.2)
    assert ctx.push().ok
    ctx.close()


def test_a_long_lease_is_not_taken_for_a_clock_that_jumped() -> None:
    """Who does not know the remote yet leaves a lease alone that lives longer than its own would."""
    store, hostile = MemoryStore(), Hostile()
    hostile.on_open = lambda found: attrs.evolve(found, exchange_timeout=7_200.0)
    first, second = device(hostile, store), device(Hostile(hostile.authority), store, patience=0.1)
    _ = first.remote(SHELVES).all()
    first[SHELVES].insert(Shelf("s"))
    seen: list[type[Exception]] = []

    def push(changes: Sequence[Change]) -> Sequence[Outcome]:
        def other() -> None:
            try:
                _ = second.push()
            except TidesyncError as error:
                seen.append(type(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return hostile.inner.push(changes)

    hostile.on_push = push
    assert first.push().ok
    assert [SyncBusy] == seen


def test_a_lease_outlasts_the_longest_exchange_from_the_first_push_on() -> None:
    """How long an exchange may take is known when the remote answers, which is after the lease was taken."""
    store, hostile = MemoryStore(), Hostile()
    hostile.on_open = lambda found: attrs.evolve(found, exchange_timeout=7_200.0)
    ctx = device(hostile, store)
    ctx[SHELVES].insert(Shelf("s"))
    until: list[float] = []

    def push(changes: Sequence[Change]) -> Sequence[Outcome]:
        until.append(store.tables["__meta"]["lease"]["value"]["until"])  # type: ignore[call-overload, index]
        return hostile.inner.push(changes)

    hostile.on_push = push
    assert ctx.push().ok
    assert until[0] > time.time() + 7_200


@pytest.mark.parametrize("jump", [-1e9, -3_600.0, 3_600.0, 1e9])
def test_a_clock_that_jumps(monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    """Operations keep their order, and the next push is not kept waiting by a lease of another time."""
    store, hostile = MemoryStore(), Hostile()
    ctx = device(hostile, store, patience=0.2)
    ctx[SHELVES].insert(Shelf("a"))

    def interrupt(changes: Sequence[Change]) -> Any:
        raise KeyboardInterrupt

    hostile.on_push = interrupt
    with pytest.raises(KeyboardInterrupt):
        ctx.push()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump)
    ctx.close()
    hostile.on_push = None
    ctx = device(hostile, store, patience=0.2)
    ctx[SHELVES].insert(Shelf("b"))
    assert ["a", "b"] == [each.record_id for each in ctx.operations()]
    assert ["a", "b"] == [each.record_id for each in ctx.push().pushed]
    _ = ctx.pull(SHELVES, name="all")
    assert [] == faults(store)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_a_child_that_forked_in_the_middle_of_everything(path: Path) -> None:
    """It uses the same context with connections of its own, while the parent's push goes on."""
    hostile, store = Hostile(), SQLiteStore(path)
    ctx = device(hostile, store, patience=0.1)
    results: list[int] = []

    def push(changes: Sequence[Change]) -> Sequence[Outcome]:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ctx[CARDS].insert({"id": "child", "text": "x"})
                try:
                    ctx.push()
                except SyncBusy:
                    code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        results.append(os.waitstatus_to_exitcode(status))
        return hostile.inner.push(changes)

    hostile.on_push = push
    assert ctx.push().ok
    assert [0] == results
    hostile.on_push = None
    assert "child" in ctx[CARDS]
    assert ctx.push().ok
    assert ([], 0) == (faults(store), ctx.pending_operations)
    ctx.close()


def test_closing_while_another_thread_is_inside(path: Path) -> None:
    """Its calls end with typed errors; the file is whole, and can be opened again."""
    hostile, store = Hostile(), SQLiteStore(path, synchronous="normal")
    ctx = device(hostile, store)
    strange: list[BaseException] = []
    stop = threading.Event()

    def work(number: int) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            try:
                ctx[CARDS].insert({"id": f"{number}-{count}", "text": "x"})
                _ = ctx.pending_operations
                if number == 0:
                    ctx.push()
                    ctx.pull(CARDS, name="all")
                    ctx.purge(BOOKS)
            except TidesyncError:
                pass
            except BaseException as error:  # that is what is looked for
                strange.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(15):
        time.sleep(0.03)
        hostile.calls = 0
        ctx.close()
        ctx.open()
    stop.set()
    for thread in threads:
        thread.join()
    assert [] == strange
    assert [] == faults(store)
    hostile.calls = 0
    assert ctx.push().ok
    here = {each["id"] for each in ctx[CARDS]}
    assert here == {each["id"] for each in hostile.authority.records("card")}
    ctx.close()


def test_lost_is_told_when_the_lease_goes_in_the_middle() -> None:
    """The base of all of the above, in one process: a token that grew ends the push before it writes."""
    store, hostile = MemoryStore(), Hostile()
    ctx = device(hostile, store)
    ctx[SHELVES].insert(Shelf("s"))

    def take(changes: Sequence[Change]) -> Sequence[Outcome]:
        with store.transaction(write=True) as transaction:
            (row,) = transaction.get("__meta", ["lease"])
            assert row is not None
            assert isinstance(row["value"], dict)
            taken = {**row["value"], "token": 99, "holder": "another"}
            transaction.put("__meta", [{"id": "lease", "value": taken}])
        return hostile.inner.push(changes)

    hostile.on_push = take
    before = ctx[SHELVES].get("s")
    with pytest.raises(LeaseLost):
        ctx.push()
    assert (before, ["attempted"]) == (ctx[SHELVES].get("s"), [each.state for each in ctx.operations()])
