"""One lease per store covers push, pull and purge, across threads; local edits never wait for it."""

from __future__ import annotations

import threading

import pytest

from tests.engine.fakes import Bench, ScriptedTransport
from tidesync.contracts.transport import Page
from tidesync.errors import LeaseLost, SyncBusy
from tidesync.lease import POLL, Holder, acquire, release


def lease_row(bench: Bench) -> dict[str, object]:
    (row,) = [row for row in bench.rows("__meta") if row["id"] == "lease"]
    assert isinstance(row["value"], dict)
    return row["value"]


def holder(name: str, *, patience: float = 0.0, dead: tuple[str, ...] = ()) -> Holder:
    return Holder(name, 30.0, patience, lambda other: other in dead)


@pytest.mark.parametrize("activity", ["push", "pull", "purge"])
def test_the_lease_is_let_go_at_the_end(activity: str) -> None:
    """Held from the first transaction to the last, free afterwards."""
    bench = Bench(ScriptedTransport())
    bench.write("items", "A", {"text": "new"})
    holders: list[object] = []
    transport = bench.transport
    assert isinstance(transport, ScriptedTransport)
    transport.during_push = lambda: holders.append(lease_row(bench)["holder"])
    _ = {"push": bench.push, "pull": lambda: bench.pull(push="context"), "purge": bench.purge}[activity]()
    assert (["d"], None) == (holders, lease_row(bench)["holder"])


def test_a_second_caller_waits_and_then_gives_up() -> None:
    """`SyncBusy` after its patience, which is counted by its own waiting. [R-I35]"""
    bench = Bench(ScriptedTransport(), patience=4 * POLL)
    _ = bench.run(acquire(holder("other")))
    with pytest.raises(SyncBusy):
        _ = bench.push()
    assert [POLL] * 4 == bench.slept
    assert "other" == lease_row(bench)["holder"]


def test_a_second_caller_goes_on_when_the_first_one_ends() -> None:
    """It waits no longer than needed. [R-I35]"""
    bench = Bench(ScriptedTransport())
    lease = bench.run(acquire(holder("other")))

    def let_go(seconds: float) -> None:
        bench.slept.append(seconds)
        if len(bench.slept) == 2:
            bench.run(release(lease))

    bench.ports = type(bench.ports)(
        store=bench.store,
        transport=bench.ports.transport,
        emit=bench.ports.emit,
        clock=bench.ports.clock,
        sleep=let_go,
    )
    assert bench.push().ok
    assert 2 == len(bench.slept)


def test_a_lease_is_taken_over_when_its_time_is_over_or_its_holder_is_gone() -> None:
    """A dead holder is replaced at once, any other when its life is over; tokens only grow."""
    bench = Bench(ScriptedTransport())
    first = bench.run(acquire(holder("first")))
    second = bench.run(acquire(holder("second", dead=("first",))))
    bench.now += 29.0
    with pytest.raises(SyncBusy):
        _ = bench.run(acquire(holder("third")))
    bench.now += 2.0
    third = bench.run(acquire(holder("third")))
    assert first.token < second.token < third.token


def test_a_clock_that_was_set_back_does_not_lock_the_store_for_ever() -> None:
    """A lease that reaches far into the future is nobody's."""
    bench = Bench(ScriptedTransport())
    bench.now = 1_000_000.0
    _ = bench.run(acquire(holder("first")))
    bench.now = 0.0
    assert "second" == bench.run(acquire(holder("second"))).holder.name


def test_one_that_was_paused_too_long_finds_its_lease_lost_and_writes_nothing() -> None:
    """Fencing: the token is checked inside every transaction; what is at the remote is sent again, identical."""
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new"})

    def sleep_through() -> None:
        bench.now += 100.0
        _ = bench.run(acquire(holder("other")))

    transport.during_push = sleep_through
    with pytest.raises(LeaseLost):
        _ = bench.push()
    assert [("insert", "A", "attempted")] == bench.queued()
    assert "other" == lease_row(bench)["holder"]


def test_a_pull_that_lost_its_lease_stores_no_page() -> None:
    """Neither records nor cursor."""

    class Slow(ScriptedTransport):
        def pull(self, request: object, /) -> Page:
            bench.now += 100.0
            _ = bench.run(acquire(holder("other")))
            return Page(records=[{"id": "A", "version": "v"}], cursor=1)

    bench = Bench(Slow())
    with pytest.raises(LeaseLost):
        _ = bench.pull(name="all")
    assert ([], []) == (bench.rows("items"), bench.rows("__cursors"))


def test_every_check_renews_the_lease() -> None:
    """A long push of short exchanges never loses it."""
    transport = ScriptedTransport(max_changes=1)
    bench = Bench(transport)
    for number in range(10):
        bench.write("items", f"i{number}", {"text": "new"})

    def wait() -> None:
        bench.now += 20.0

    transport.during_push = wait
    assert bench.push().ok
    assert 200.0 == bench.now


def test_two_threads_never_sync_at_the_same_time() -> None:
    """Exchanges of one store do not overlap, and nothing is sent twice. [E08] [R-E33] [B24]"""
    inside, overlaps = threading.Lock(), []

    def alone() -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(threading.current_thread().name)
            return
        entered.set()
        bench_one.write("items", f"edit{len(bench_one.operations())}", {"text": "local edits never wait"})
        inside.release()

    entered = threading.Event()
    transport = ScriptedTransport(max_changes=1)
    transport.during_push = alone
    bench_one = Bench(transport, nonce="one", patience=1e9)
    bench_two = Bench(transport, store=bench_one.store, nonce="two", patience=1e9)
    for number in range(20):
        bench_one.write("items", f"i{number}", {"text": "new"})
    threads = [threading.Thread(target=bench.push) for bench in (bench_one, bench_two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transport.during_push = lambda: None
    _ = bench_one.push()
    assert ([], []) == (overlaps, bench_one.queued())
    assert len(transport.sent) == len(set(transport.sent))
    assert entered.is_set()
