"""One SQLite file used by several threads and processes, through kills and forks."""

import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.stores import worker
from tidesync.errors import StoreBusy, StoreClosed, StoreError
from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.sqlite import SQLiteStore
from tidesync.stores.sqlite_file import check_file

TABLE = worker.TABLE
WORKER = str(Path(worker.__file__))


def start(*arguments: object) -> subprocess.Popen[str]:
    """A worker process."""
    command = [sys.executable, WORKER, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*processes: subprocess.Popen[str]) -> None:
    """Wait until all have ended well."""
    assert [("", "", 0)] * len(processes) == [
        (*process.communicate(timeout=120), process.returncode) for process in processes
    ]


def rows_of(path: Path, table: TableSchema = TABLE) -> list[Record]:
    store = SQLiteStore(path)
    store.open([table])
    with store.transaction(write=False) as transaction:
        rows = list(transaction.select(Query(table.name)))
    store.close()
    return rows


def test_processes_and_threads_hammer_one_file(tmp_path: Path) -> None:
    """Processes and threads that write, read and open one file lose no write and never see a lock. [R-M24]"""
    path = tmp_path / "x.db"
    processes = [start(path, 40) for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        _ = list(pool.map(worker.add, [str(path)] * 4, ["20"] * 4))
    finish(*processes)
    assert [{"id": "sum", "number": 3 * 40 + 4 * 20}] == rows_of(path)


def test_threads_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Threads with a store each may create one file at the same time."""
    path = tmp_path / "x.db"
    with ThreadPoolExecutor(6) as pool:
        _ = list(pool.map(worker.first, [str(path)] * 6, map(str, range(6))))
    assert [{"id": str(n), f"column_{n}": str(n)} for n in range(6)] == rows_of(path)


def test_another_process_that_writes_for_too_long_is_store_busy(tmp_path: Path) -> None:
    """While another connection holds the file for too long, a writer gets StoreBusy and a reader goes on."""
    path = tmp_path / "x.db"
    store, other = SQLiteStore(path, busy_timeout=0.1), SQLiteStore(path)
    store.open([TABLE])
    other.open([TABLE])
    blocker = other.borrow()
    _ = blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="another process") as caught, store.transaction(write=True):
        pass
    assert "BusyError" == type(caught.value.__cause__).__name__
    with store.transaction(write=False) as transaction:
        assert 0 == transaction.count(Query(TABLE.name))
    _ = blocker.execute("ROLLBACK")
    other.give_back(blocker)
    with store.transaction(write=True) as transaction:
        transaction.put(TABLE.name, [{"id": "1"}])
    store.close()
    other.close()


def test_writers_of_one_process_are_served_in_turn(tmp_path: Path) -> None:
    """A thread that writes all the time does not starve another one, also with a store of its own."""
    path = tmp_path / "x.db"
    greedy, modest = SQLiteStore(path, synchronous="normal"), SQLiteStore(path, synchronous="normal")
    greedy.open([TABLE])
    modest.open([TABLE])
    end = threading.Event()

    def write_on() -> int:
        count = 0
        while not end.is_set():
            with greedy.transaction(write=True) as transaction:
                transaction.put(TABLE.name, [{"id": "greedy"}])
                time.sleep(0.001)
            count += 1
        return count

    with ThreadPoolExecutor(1) as pool:
        writes = pool.submit(write_on)
        began = time.monotonic()
        for _ in range(20):
            with modest.transaction(write=True) as transaction:
                transaction.put(TABLE.name, [{"id": "modest"}])
        waited = time.monotonic() - began
        end.set()
        assert writes.result() >= 10
    assert waited < 5
    greedy.close()
    modest.close()


def in_child(step: Callable[[], None]) -> int:
    """Exit status of a forked child that runs the step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            step()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_fork_inside_a_transaction_leaves_it_to_the_parent(tmp_path: Path) -> None:
    """A child forked inside a transaction cannot use it, and its end there commits and unlocks nothing."""
    path = tmp_path / "x.db"
    store = SQLiteStore(path, busy_timeout=5.0)
    store.open([TABLE])

    with store.transaction(write=True) as transaction:
        transaction.put(TABLE.name, [{"id": "1"}])
        rows = transaction.select(Query(TABLE.name))
        _ = next(rows)

        def child() -> None:
            for call in (lambda: transaction.count(Query(TABLE.name)), lambda: next(rows)):
                with pytest.raises(StoreError):
                    _ = call()
            with pytest.raises(StoreClosed):
                transaction.__exit__(None, None, None)

        assert 0 == in_child(child)
        transaction.put(TABLE.name, [{"id": "2"}])
    store.close()
    assert ["1", "2"] == [row["id"] for row in rows_of(path)]


def test_a_process_forked_in_a_transaction_may_not_use_the_file(tmp_path: Path) -> None:
    """A connection that it opened would share the map of the log with the inherited one, and lose others' writes."""
    store = SQLiteStore(tmp_path / "x.db", busy_timeout=5.0)
    store.open([TABLE])

    def child() -> None:
        for each in (store, SQLiteStore(tmp_path / "x.db")):
            with pytest.raises(StoreClosed, match="forked while a transaction"):
                each.open([TABLE])

    with store.transaction(write=False):
        assert 0 == in_child(child)
    assert 0 == in_child(lambda: store.open([TABLE]))
    store.close()


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux lists the locks of a process")
def test_a_second_store_leaves_the_locks_of_the_first(tmp_path: Path) -> None:
    """Opening a file that this process already writes keeps its locks: others still wait their turn."""

    def locks() -> int:
        return sum(
            line.split()[4] == str(os.getpid()) for line in Path("/proc/locks").read_text().splitlines()
        )

    with closing(SQLiteStore(tmp_path / "a.db")) as first, closing(SQLiteStore(tmp_path / "a.db")) as second:
        first.open([])
        with first.transaction(write=True):
            held = locks()
            check_file(second.file)
            assert held > 0
            assert held <= locks()
