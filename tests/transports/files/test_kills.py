"""A process that is killed at any call of the place or of its index: what it acknowledged is there, once."""

import json
from collections import Counter
from collections.abc import Callable

import attrs

from tests.transports.authority.support import change, insert, update
from tests.transports.files.clients import TABLES, Files, applied, client, held, send
from tests.transports.files.dying import Dying, Killed, Memory
from tidesync.conformance import faults
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Applied, Change
from tidesync.stores import MemoryStore
from tidesync.transports import FileTransport
from tidesync.transports.files.place import Place

EVERY = 2


@attrs.define
class Day:
    """What a device does: it pushes its queue in parts, while another one writes; what was acknowledged it notes."""

    files: Files = attrs.field(factory=dict[str, bytes])
    acknowledged: set[str] = attrs.field(factory=set[str])
    queue: list[list[Change]] = attrs.field(factory=list[list[Change]])
    others: int = 0
    other: FileTransport | None = None

    def __attrs_post_init__(self) -> None:
        self.queue = [
            [insert("a", text="mine"), insert("b", text="mine")],
            [update("a", size=1), change("insert", "l", table="list", name="mine")],
            [update("b", size=2), change("delete", "l", table="list")],
            [insert("c", text="mine")],
        ]

    def other_writes(self) -> None:
        """Somebody else makes a commit, and is never killed."""
        self.others += 1
        self.other = self.other or client(self.files)
        _ = applied(self.other, insert(f"theirs {self.others}", text="theirs"))

    def live(self, place: Place, store: Store) -> None:
        """Open, and push what is not acknowledged; another device writes after each part."""
        transport = FileTransport(place, index=store, snapshot_every=EVERY)
        _ = transport.open(TABLES)
        for part in self.queue:
            waiting = [change for change in part if change.id not in self.acknowledged]
            outcomes = send(transport, *waiting)
            assert [] == [outcome for outcome in outcomes if not isinstance(outcome, Applied)]
            self.acknowledged |= {change.id for change in waiting}
            if waiting:
                self.other_writes()
        transport.close()

    def check(self, store: Store) -> None:
        """Every operation had its effect once, and whoever looks sees the same."""
        told = [
            json.loads(line)["operation"]
            for name, content in sorted(self.files.items())
            if name.startswith("log/")
            for line in content.splitlines()[1:-1]
        ]
        assert [] == [operation for operation, times in Counter(told).items() if times > 1]
        assert {change.id for part in self.queue for change in part} <= set(told)
        mine, fresh = client(self.files, index=store), client(self.files)
        for table in ("item", "list"):
            assert held(fresh, table) == held(mine, table)
        theirs = {f"theirs {number + 1}": None for number in range(self.others)}
        assert {"a": 1, "b": 2, "c": None, **theirs} == {
            id: row.get("size") for id, row in held(mine).items()
        }
        assert {} == held(mine, "list")


def _kill(make: Callable[[Day, Store], tuple[Place, Store]]) -> bool:
    """Live a day in which the process is killed, another one after it, and look; False if nobody was killed."""
    day, store = Day(), MemoryStore()
    killed = False
    try:
        day.live(*make(day, store))
    except (Killed, faults.Killed):
        killed = True
    store.close()
    day.live(Memory(day.files), store)
    day.check(store)
    return killed


def test_killed_at_any_call_of_the_place() -> None:
    """Once the call had its effect, which is before the next one; those that make a snapshot are among them."""
    call = 0
    while _kill(lambda day, store: (Dying(day.files, call, after=True), store)):  # noqa: B023  # used at once
        call += 1
    assert call > 25


def test_killed_at_any_call_of_the_index() -> None:
    """What was not committed is gone, and read again; what was and is not in the log was never acknowledged."""
    call = 1
    while _kill(
        lambda day, store: (
            Memory(day.files),
            faults.FaultyStore(store, faults.Nth({call: "kill after"})),  # noqa: B023  # used at once
        )
    ):
        call += 1
    assert call > 100


def test_a_new_index_after_each_kill() -> None:
    """A process whose index was in memory begins with nothing, and finds what it had acknowledged."""
    call = 0
    killed = True
    while killed:
        day = Day()
        killed = False
        try:
            day.live(Dying(day.files, call, after=True), MemoryStore())
        except Killed:
            killed = True
        store = MemoryStore()
        day.live(Memory(day.files), store)
        day.check(store)
        call += 1
    assert call > 25
