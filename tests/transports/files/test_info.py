"""A remote in figures."""

from pathlib import Path

from tests.transports.files.dying import Memory
from tests.transports.files.lives import Files, device
from tests.transports.files.looks import looked, written
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.files.info import info
from tidesync.transports.files.names import META
from tidesync.transports.files.parts import Counts


def test_info_tells_a_remote_in_figures(tmp_path: Path) -> None:
    """Of the state that a newcomer reads; bytes are those of the files."""
    files = written()
    sizes = {
        folder: sum(len(content) for name, content in files.items() if name.startswith(folder))
        for folder in ("log/", "snapshots/", "fences/")
    }
    found = info(Memory(files), SQLiteStore(tmp_path / "scratch.db"))

    assert found == info(Memory(files), MemoryStore())
    assert (looked(files).remote, 1, 2592000, 5) == (
        found.remote, found.format, found.remembers, found.snapshot_every,
    )  # fmt: skip
    assert (6, 8, 3, (3, 5)) == (found.commits, found.changes, found.fence, found.snapshots)
    assert {"item": Counts(1, 0), "list": Counts(1, 0)} == found.tables
    assert {"": 1, "log": 4, "snapshots": 4, "fences": 1} == found.files
    assert {"": len(files[META]), **{name[:-1]: size for name, size in sizes.items()}} == found.sizes
    assert 8 == found.operations
    assert found.first is not None
    assert found.last is not None
    assert "2020" < found.first <= found.last


def test_info_of_a_new_remote_has_no_commits() -> None:
    """Nothing was ever written to it."""
    files: Files = {}
    _ = device(files)
    found = info(Memory(files), MemoryStore())

    assert (0, 0, None, None, 0, (), {}) == (
        found.commits, found.changes, found.first, found.last, found.fence, found.snapshots, found.tables,
    )  # fmt: skip


def test_info_counts_no_folder_that_does_not_belong_there() -> None:
    """`verify` names it."""
    files = written()
    figures = info(Memory(files), MemoryStore())
    files |= {"snapshots/old/x": b"x", "snapshots/2/x": b"x", "log/old/x": b"x"}

    assert figures == info(Memory(files), MemoryStore())
    assert 3 == len(looked(files).damages)
