"""Tables, keys and files for the tests of the encrypted store, and processes that use them."""

import os
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.stores.keys import KeySource
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.values import ColumnType

TABLE = TableSchema("todo", (Column("text", ColumnType.STRING),), indexes=(("text",),))
KEY, OTHER_KEY = bytes(range(32)), bytes(range(100, 132))
KEYS = {"first": KEY, "second": OTHER_KEY}
PASSPHRASE = "it's \"quoted\"; PRAGMA key = 'péßwörd 🎣' --\\"
PAGE = 4096
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
LONG: list[Record] = [{"id": f"{n:04} long", "text": f"{'x' * 9_000} {n}"} for n in range(20)]
"""Values whose end has a page of its own, and nothing behind it."""
ROWS: list[Record] = sorted(
    [{"id": f"{n:04}", "text": f"text {n % 7} {n}", "more": [n]} for n in range(200)] + LONG,
    key=lambda row: str(row["id"]),
)


AWKWARD: list[Record] = [
    {"id": "1", "text": 1, "a": 1.0, "b": -0.0, "c": True},
    {"id": "a\0b", "text": "x\0y", "ünnamed": [1, 2.5, None, {"": []}]},
    {"id": "A", "text": 2**63 - 1},
    {"id": "é", "text": None},
]


def made(path: Path, key: KeySource = KEY, rows: list[Record] = ROWS) -> None:
    """Make a store's file with these records, closed."""
    with opened(path, key) as store, store.transaction(write=True) as transaction:
        transaction.put(TABLE.name, rows)


@contextmanager
def opened(path: Path, key: KeySource = KEY, **options: float) -> Iterator[SQLCipherStore]:
    """A store that is open meanwhile."""
    store = SQLCipherStore(path, key=key, synchronous="normal", **options)
    store.open([TABLE])
    try:
        yield store
    finally:
        store.close()


def held(store: SQLCipherStore) -> list[Record]:
    """All records, in the order of their ids."""
    with store.transaction(write=False) as transaction:
        return list(transaction.select(Query(TABLE.name)))


def rows_of(path: Path, key: KeySource = KEY) -> list[Record]:
    """All records of a file."""
    with opened(path, key) as store:
        return held(store)


def contents(folder: Path) -> dict[str, bytes]:
    """What is in the files of a folder that no store has open; without the memory that processes shared."""
    return {each.name: each.read_bytes() for each in folder.iterdir() if not each.name.endswith("-shm")}


def start(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A worker process: worker.py says what it can do."""
    command = [sys.executable, str(Path(__file__).with_name("worker.py")), *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )


def finish(*processes: subprocess.Popen[str]) -> None:
    """Wait until all have ended well."""
    assert [("", "", 0)] * len(processes) == [
        (*process.communicate(timeout=120), process.returncode) for process in processes
    ]


class Child:
    """A forked process that runs a function of worker.py until it is killed: quicker to make than one of its own."""

    def __init__(self, run: Callable[..., None], *arguments: object) -> None:
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process = os.fork()
        if not self.process:
            os.close(reading)
            sys.stdout = os.fdopen(writing, "w")
            try:
                run(*map(str, arguments))
            except BaseException:
                traceback.print_exc(file=sys.stdout)
            finally:
                sys.stdout.flush()
                os._exit(1)
        os.close(writing)
        self.stdout = os.fdopen(reading)

    def kill(self) -> list[str]:
        """Kill it; what it had told in whole lines, and nobody has read."""
        os.kill(self.process, signal.SIGKILL)
        lines = [line.rstrip() for line in self.stdout.readlines() if line.endswith("\n")]
        self.stdout.close()
        assert -signal.SIGKILL == os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1]), lines
        return lines


def plain_rows(path: Path, name: str = "todo") -> list[Record]:
    """All records of a plain file."""
    store = SQLiteStore(path, mode="ro")
    store.open([])
    with store.transaction(write=False) as transaction:
        rows = list(transaction.select(Query(name)))
    store.close()
    return rows
