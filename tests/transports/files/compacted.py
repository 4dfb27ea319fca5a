"""A log that can be compacted, and what is left of it."""

import attrs

from tests.transports.authority.support import insert
from tests.transports.files.dying import Memory
from tests.transports.files.lives import (
    Files,
    Written,
    applied,
    cold,
    device,
    held,
    records,
)
from tidesync.stores.memory import MemoryStore
from tidesync.transports.files.compaction import Compaction, compact
from tidesync.transports.files.parts import Known, Row
from tidesync.transports.files.verify import verify


def log(commits: int = 6) -> Written:
    """Commits a second apart: three records, one of which is deleted in commit 3 and one in the last."""
    found = Written(meta=attrs.evolve(Written().meta, remembers=2))
    for number in range(1, commits + 1):
        found.put(number, f"r{number % 3}", f"text {number}", deleted=number in (3, commits))
    return found


def numbers(files: Files, folder: str) -> list[int]:
    return [int(name[-26:-6]) for name in sorted(files) if name.startswith(folder) and name.count("/") == 1]


def squeezed(files: Files, keep: float = 0) -> Compaction:
    return compact(Memory(files), MemoryStore(), keep=keep)


def state(files: Files) -> tuple[list[Row], list[Known]]:
    """Live records, and known operations, as somebody gets them who comes for the first time."""
    found = held(cold(files))
    return [each for each in found if isinstance(each, Row) and not each.deleted], [
        each for each in found if isinstance(each, Known)
    ]


def check_all(files: Files, before: tuple[list[Row], list[Known]]) -> None:
    """What must be true of a remote after a compaction was killed, or ran beside others."""
    assert () == verify(Memory(files), MemoryStore()).damages
    assert before == state(files)
    reader, writer = device(files), device(files)
    assert [each.id for each in before[0]] == sorted(records(reader))
    _ = applied(writer, insert("later"))
    after = state(files)
    assert max(numbers(files, "log/")) == squeezed(files).fence
    assert after == state(files)
    assert () == verify(Memory(files), MemoryStore()).leftovers
    assert "later" in records(reader)
    assert records(reader) == records(writer) == records(device(files))
