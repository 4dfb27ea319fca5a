"""A remote with all that there can be in one, and a look at it."""

from tests.transports.authority.support import change, delete, insert, update
from tests.transports.files.dying import Dying, Memory
from tests.transports.files.lives import Files, applied, device
from tidesync.stores.memory import MemoryStore
from tidesync.transports.files.compaction import compact
from tidesync.transports.files.verify import Verification, verify


def looked(files: Files) -> Verification:
    """What is found; whatever it is, not a file changes."""
    place, before = Dying(files), dict(files)
    found = verify(place, MemoryStore())
    assert before == files
    assert {"read", "names", "folders"} >= {word for word, _ in place.calls}
    return found


def written() -> Files:
    """Commits 3 to 6 behind a fence at 3; snapshots 3 and 5."""
    files: Files = {}
    writer = device(files, snapshot_every=5)
    _ = applied(writer, insert("a", text="a"), insert("b", text="b"))
    _ = applied(writer, delete("a"), change("insert", "l", table="list", name="list"))
    _ = applied(writer, update("b", text="c"))
    _ = compact(Memory(files), MemoryStore(), keep=0)
    for number in range(3):
        _ = applied(writer, update("b", size=number))
    return files
