"""No plain text in any file, at any moment: database, log, shared memory, journals and temporary files."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.stores.sqlcipher.support import KEY, SOAK, start
from tidesync import SyncContext, table
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlcipher import SQLCipherStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports import Authority, LoopbackTransport

NEEDLE = "needle-in-a-haystack"
SECONDS = 60.0 if SOAK else 3.0

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="only Linux lists a process's files"
)


def files_of(folder: Path, process: subprocess.Popen[str] | None) -> list[Path]:
    """All files of a folder, and those that a process has open, also if they have no name any more."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    if process is not None:
        found += [link for link in Path(f"/proc/{process.pid}/fd").iterdir() if _is_of(link, folder)]
    return found


def _is_of(link: Path, folder: Path) -> bool:
    try:
        target = str(link.readlink())
    except OSError:
        return False  # closed since
    return target.startswith(str(folder)) or target.endswith("(deleted)")


def revealing(folder: Path, process: subprocess.Popen[str] | None = None) -> set[str]:
    """The files that hold the needle in any usual form."""
    forms = [NEEDLE.encode(), NEEDLE.encode("utf-16-le"), b"todo", b"_tidesync", NEEDLE[:12].encode()]
    telling: set[str] = set()
    for path in files_of(folder, process):
        try:
            content = path.read_bytes()
        except OSError:
            continue  # gone since
        if any(form in content for form in forms):
            telling.add(path.name if path.parent == folder else str(path))
    return telling


def watched(folder: Path, kind: str, seconds: float) -> tuple[set[str], int]:
    """What was revealed while a process worked, and after it was killed; and how often that was looked for."""
    temporary = folder / "temporary"
    temporary.mkdir()
    places = dict.fromkeys(("SQLITE_TMPDIR", "TMPDIR"), str(temporary))
    process = start("write", folder / "x.db", kind, NEEDLE, environment=places)
    assert process.stdout is not None
    assert "began\n" == process.stdout.readline()
    end = time.monotonic() + seconds
    telling: set[str] = set()
    looks = 0
    while time.monotonic() < end:
        telling |= revealing(folder, process)
        looks += 1
    process.kill()
    lines = process.stdout.readlines()
    assert "" == process.communicate()[1]
    assert lines
    return telling | revealing(folder), looks


def test_nothing_is_in_plain_text_while_a_process_works_and_after_it_is_killed(tmp_path: Path) -> None:
    """Ids, values, names of fields and tables: not one of them, through large transactions, sorting, rollbacks."""
    telling, looks = watched(tmp_path, "encrypted", SECONDS)
    assert set() == telling
    assert looks > 5
    assert {"x.db", "x.db-wal", "x.db-shm", "temporary"} >= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "x.db").stat().st_size > 1_000_000


def test_the_search_finds_what_the_plain_store_writes(tmp_path: Path) -> None:
    """The same search of the same work finds the needle in the plain store's file and log."""
    assert {"x.db", "x.db-wal"} <= watched(tmp_path, "plain", 1.5)[0]


@pytest.mark.parametrize("encrypted", [True, False])
def test_neither_queue_nor_cursors_are_in_plain_text(tmp_path: Path, encrypted: bool) -> None:
    """What waits to be sent, conflicts' bases, names of pulls and their cursors are records like any other."""
    notes = table("todo", {"text": str})
    remote = Authority(MemoryStore(), [notes])
    path = tmp_path / "x.db"
    store = SQLCipherStore(path, key=KEY) if encrypted else SQLiteStore(path)
    with SyncContext(store, LoopbackTransport(remote), [notes]) as context:
        mine = context[notes]
        mine.insert({"id": f"{NEEDLE} 1", "text": NEEDLE})
        context.push()
        mine.pull(mine.where(notes.c.text.contains(NEEDLE)), name=NEEDLE)
        mine.update(f"{NEEDLE} 1", text=f"{NEEDLE} again")
        telling = revealing(tmp_path)
    telling |= revealing(tmp_path)
    assert (set() if encrypted else {"x.db", "x.db-wal"}) == telling


def test_sorting_and_spilling_make_no_temporary_file(tmp_path: Path) -> None:
    """SQLite's temporary files are not encrypted: they are kept in memory, on every connection."""
    for mode in ("rwc", "rw", "ro"):
        store = SQLCipherStore(tmp_path / "x.db", key=KEY, mode=mode)  # type: ignore[arg-type]
        store.open([])
        connection = store.borrow()
        assert 2 == connection.pragma("temp_store")
        store.give_back(connection)
        store.close()
