"""The rules that several clients agree in the end, whatever was lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from hypothesis.stateful import rule as step

from tidesync.conformance.expect import equal, fail, true
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.devices import World
from tidesync.conformance.transport.following import Author, Follower, shape, updating
from tidesync.conformance.transport.tables import THING
from tidesync.contracts.transport import Applied, Conflicted, Transport
from tidesync.records import alive

_ROUNDS: Final = 4


class Machine:
    """The rules that several clients agree in the end, whatever was lost on the way."""

    @rule("TRANSPORT-129", "one effect per operation id within the declared window, and `pull(cursor)`")
    def test_clients_agree_in_the_end(self, bench: TransportBench) -> None:
        """What clients do in any order is in effect once, and in the end all hold the same.

        They insert, update, delete and pull, lose replies, send again and reopen.

        Why: this is all that sync is.
        Look at: the steps that the failure lists, the last one first: each names what the remote held before it.
        """
        for number in range(len(bench.clients)):
            _ = bench.open(number)
        bench.machine(lambda: _Clients(bench))

    @rule("TRANSPORT-130", "The remote must hold a live record of this version.")
    def test_clients_that_write_at_once_agree(self, bench: TransportBench) -> None:
        """Of several clients that count up one record at once, each by the version that it read, no count is lost.

        Why: of two devices that write at the same moment, one must be told that it came second.
        Look at: reading the version and writing the record in two steps that somebody can come between.
        """
        author = Author(bench, bench.open())
        id = author.insert(number=0)
        clients = [bench.open(number) for number in range(len(bench.clients))]
        together = Barrier(len(clients), timeout=60)

        def count_up(client: Transport) -> list[str]:
            return [version for _ in range(_ROUNDS) for version in _increment(bench, client, id, together)]

        with ThreadPoolExecutor(len(clients)) as threads:
            counted = [version for each in threads.map(count_up, clients) for version in each]
        author.look(id)
        found = author.committed[id]
        number = None if found is None else found.get("number")
        equal(len(counted), number, f"the count, after {len(counted)} increments were acknowledged")
        equal(len(counted), len(set(counted)), "how many versions the increments were acknowledged with")
        true(
            len(counted) >= _ROUNDS,
            f"of {_ROUNDS} rounds {len(counted)} increments were taken: one must be, each",
        )
        for client in clients:
            follower = Follower(bench, client)
            follower.catch_up()
            equal(shape(found), shape(follower.held.get(id)), "the record, as a pull tells it")


def _increment(bench: TransportBench, client: Transport, id: str, together: Barrier) -> list[str]:
    """All read, then all write what they read plus one: the version that this was acknowledged with, if it was."""
    try:
        found = client.get(THING.name, id)
        _ = together.wait()
        number = found.get("number") if alive(found) else None
        if not alive(found) or type(number) is not int:
            fail(f"the record that is counted up reads as {found!a:.200}")
        outcome = bench.send(client, updating(bench, found, number=number + 1))
        _ = together.wait()
    except BrokenBarrierError:
        return []  # somebody else tells why
    except BaseException:
        together.abort()
        raise
    if isinstance(outcome, Applied):
        return [outcome.version or f"increment {number + 1}"]
    if not isinstance(outcome, Conflicted):
        fail(f"an update should be Applied or Conflicted, and is {outcome!a:.200}")
    return []


_device: Final = st.integers(0, 2)
_which: Final = st.integers(0, 5)
_number: Final = st.integers(0, 9)
_lost: Final = st.sampled_from((False, False, True))


class _Clients(RuleBasedStateMachine):
    """What clients do, one after another. A reply that is lost is thrown away: the change is in effect."""

    def __init__(self, bench: TransportBench) -> None:
        super().__init__()
        bench.program.mark()
        self.world, self.sound = World(bench), True

    def _do(self, work: Callable[..., object], *given: Any) -> None:
        self.sound = False
        _ = work(*given)
        self.sound = True

    @step(device=_device, count=st.integers(1, 3), lost=_lost)
    def insert(self, device: int, count: int, lost: bool) -> None:
        """One client inserts records, in one push where it may."""
        self._do(self.world.insert, device, count, lost)

    @step(device=_device, which=_which, number=_number, lost=_lost)
    def update(self, device: int, which: int, number: int, lost: bool) -> None:
        """One client updates a record that it knows."""
        self._do(self.world.update, device, which, number, lost)

    @step(device=_device, which=_which, lost=_lost)
    def delete(self, device: int, which: int, lost: bool) -> None:
        """One client deletes a record that it knows."""
        self._do(self.world.delete, device, which, lost)

    @step(device=_device, which=_which, number=_number, lost=_lost)
    def insert_again(self, device: int, which: int, number: int, lost: bool) -> None:
        """One client inserts under the id of a record that it knows to be deleted."""
        self._do(self.world.insert_again, device, which, number, lost)

    @step(which=_which, lost=_lost)
    def send_again(self, which: int, lost: bool) -> None:
        """A change is sent again, whose reply was lost; or, where operation ids are remembered, any change."""
        self._do(self.world.send_again, which, lost)

    @step(device=_device, limit=st.integers(1, 3))
    def page(self, device: int, limit: int) -> None:
        """One client reads one page."""
        self._do(self.world.page, device, limit)

    @step(device=_device)
    def pull(self, device: int) -> None:
        """One client pulls to the end."""
        self._do(self.world.pull, device)

    @step(device=_device)
    def reopen(self, device: int) -> None:
        """One client is closed, and opened again."""
        self._do(self.world.reopen, device)

    def teardown(self) -> None:
        """Everybody comes to rest, and holds the same."""
        if self.sound:
            self.world.rest()
