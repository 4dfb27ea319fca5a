"""The public fault wrappers fail where the plan says, the same way each time; the engine stays right behind them."""

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from tidesync import SyncContext, table
from tidesync.conformance.faults import (
    Chance,
    Fault,
    FaultyStore,
    FaultyTransport,
    Killed,
    Nth,
    StoreFault,
    TransportFault,
)
from tidesync.conformance.faults.transports import FAULTS
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Change, Denied, NotSent, PullRequest, Unknown
from tidesync.errors import (
    ConfigurationError,
    NotReachable,
    ProtocolError,
    RemoteUnavailable,
    StoreClosed,
    StoreUnavailable,
    TidesyncError,
    Unauthorized,
)
from tidesync.query import Query
from tidesync.schema import Column, TableSchema
from tidesync.stores import MemoryStore, SQLiteStore
from tidesync.transports import Authority, LoopbackTransport

THING = TableSchema("thing", (Column("n"),))


@attrs.define
class Thing:
    """What devices write."""

    id: str
    n: int = 0


things = table(Thing)


def records(store: Store) -> list[str]:
    """The ids of what is there."""
    with store.transaction(write=False) as transaction:
        return [str(row["id"]) for row in transaction.select(Query("thing"))]


def two_writes(store: Store) -> None:
    """A little work: one record in each of two transactions."""
    for id in ("a", "b"):
        with store.transaction(write=True) as transaction:
            transaction.put("thing", [{"id": id}])


@pytest.mark.parametrize(
    ("call", "kind", "left"),
    [(1, "fail", []), (3, "fail", []), (4, "fail", []), (6, "fail", ["a"]), (4, "kill", []), (4, "kill after", ["a"]),
     (6, "kill", ["a"]), (7, "kill", ["a"]), (7, "kill after", ["a", "b"])],
)  # fmt: skip
def test_a_store_fails_at_the_nth_call(call: int, kind: StoreFault, left: list[str]) -> None:
    """Calls are open, begin, put, commit, begin, put, commit; the n-th fails, and what was not committed is gone."""
    inside = MemoryStore()
    inside.open([THING])
    store = FaultyStore(inside, Nth({call: kind}))

    def work() -> None:
        store.open([THING])
        two_writes(store)

    with pytest.raises(StoreUnavailable if kind == "fail" else Killed):
        work()
    assert left == records(inside)
    assert [(call, kind)] == [(fault.call, fault.kind) for fault in store.log]
    if kind == "fail":
        two_writes(store)
        assert ["a", "b"] == records(store)
    else:
        with pytest.raises(StoreClosed, match="killed"):
            two_writes(store)
        store.close()


def _child(path: Path, call: int, kind: StoreFault) -> None:
    store = FaultyStore(SQLiteStore(path), Nth({call: kind}))
    store.open([THING])
    two_writes(store)


@pytest.mark.parametrize(("kind", "left"), [("sigkill", ["a"]), ("sigkill after", ["a", "b"])])
def test_a_process_is_really_killed(tmp_path: Path, kind: StoreFault, left: list[str]) -> None:
    """SIGKILL before or after the second commit leaves one record or two."""
    child = multiprocessing.get_context("spawn").Process(target=_child, args=(tmp_path / "x.db", 7, kind))
    child.start()
    child.join(60)
    assert -9 == child.exitcode
    store = SQLiteStore(tmp_path / "x.db")
    store.open([THING])
    assert left == records(store)
    store.close()


def test_chance_is_the_seeds() -> None:
    """The same seed fails at the same calls in the same ways, whatever happened; another one elsewhere."""
    first, again, other = (Chance(seed, 0.3, FAULTS) for seed in (1, 1, 2))
    drawn = [first.at(call) for call in range(1, 500)]
    assert drawn == [again.at(call) for call in range(1, 500)]
    assert drawn != [other.at(call) for call in range(1, 500)]
    assert set(FAULTS) | {None} == set(drawn)
    assert 100 < len([kind for kind in drawn if kind]) < 200
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        _ = Chance(1, 3, FAULTS)
    with pytest.raises(ConfigurationError, match="at least one"):
        _ = Chance[TransportFault](1, 0.1, ())


def insert(id: str) -> Change:
    """A change."""
    return Change(
        id=f"op-{id}", table="thing", record_id=id, kind="insert", record={"id": id}, fields=("id",)
    )


def wire(kind: TransportFault, call: int = 2) -> tuple[FaultyTransport, Callable[[], set[str]]]:
    """A transport that fails at a call (the first is open), and what its remote holds."""
    authority = Authority(MemoryStore(), [THING])
    transport = FaultyTransport(LoopbackTransport(authority), Nth({call: kind}))
    _ = transport.open([THING])
    return transport, lambda: {
        str(row["id"]) for row in authority.pull(PullRequest(query=Query("thing"))).records
    }


@pytest.mark.parametrize(
    ("kind", "outcome", "there"),
    [
        ("refuse", NotSent, 0), ("deny", Denied, 0), ("lose", Unknown, 0), ("lose reply", Unknown, 2),
        ("delay", Unknown, 0),
    ],
)  # fmt: skip
def test_a_push_fails_as_a_whole(kind: TransportFault, outcome: type, there: int) -> None:
    """Each fault has the outcome that the contract names for it, and the effect that it says."""
    transport, held = wire(kind)
    assert [outcome, outcome] == [type(each) for each in transport.push([insert("a"), insert("b")])]
    assert there == len(held())
    assert [Fault(2, "push", kind)] == list(transport.log)


def test_a_push_breaks_off_or_arrives_twice() -> None:
    """What was cut off is in doubt or untried; a repeated request has one effect on a remote that knows ids."""
    transport, held = wire("truncate")
    outcomes = transport.push([insert(id) for id in "abcd"])
    assert ["Applied", "Applied", "Unknown", "Untried"] == [type(each).__name__ for each in outcomes]
    assert {"a", "b", "c"} == held()
    transport, held = wire("repeat")
    assert ["Applied"] == [type(each).__name__ for each in transport.push([insert("a")])]
    assert {"a"} == held()


def test_late_requests_arrive() -> None:
    """A delayed push arrives before the next call but one, a reordered one after the next push, all when healed."""
    transport, held = wire("delay")
    _ = transport.push([insert("a")])
    _ = transport.get("thing", "a")
    assert set() == held()
    _ = transport.get("thing", "a")
    assert {"a"} == held()
    transport, held = wire("reorder")
    _ = transport.push([insert("a")])
    assert set() == held()
    _ = transport.push([insert("b")])
    assert {"a", "b"} == held()
    transport, held = wire("reorder")
    _ = transport.push([insert("a")])
    transport.heal()
    assert {"a"} == held()


@pytest.mark.parametrize(
    ("kind", "error"),
    [("refuse", NotReachable), ("lose", RemoteUnavailable), ("truncate", ProtocolError), ("deny", Unauthorized)],
)  # fmt: skip
def test_reading_fails_with_the_contracts_errors(kind: TransportFault, error: type[Exception]) -> None:
    """Pull and get raise what the contract names; the next call works."""
    transport, _ = wire(kind)
    with pytest.raises(error):
        _ = transport.pull(PullRequest(query=Query("thing")))
    assert transport.get("thing", "a") is None


def edited(store: Store, transport: FaultyTransport | LoopbackTransport, device: str) -> None:
    """A little life: two inserts, an update, a delete, a push and a pull."""
    with SyncContext(store, transport, [things]) as context:
        mine = context[things]
        for n in range(2):
            _ = mine.upsert(Thing(f"{device}{n}", n))
        _ = mine.update(f"{device}0", n=7)
        mine.delete(f"{device}1")
        _ = context.push()
        _ = mine.pull(name="all")


def test_the_engine_survives_a_store_that_dies_at_any_call() -> None:
    """Killed before or after any call of its store, a device loses nothing that was stored, and agrees in the end."""
    counting = FaultyStore(MemoryStore())
    edited(counting, LoopbackTransport(Authority(MemoryStore(), [things])), "d")
    assert 30 < counting.calls < 400
    for call in range(1, counting.calls + 1):
        for kind in ("fail", "kill", "kill after"):
            authority = Authority(MemoryStore(), [things])
            inside = MemoryStore()
            faulty = FaultyStore(inside, Nth({call: kind}))
            with suppress(TidesyncError, Killed):
                edited(faulty, LoopbackTransport(authority), "d")
            assert [call] == [fault.call for fault in faulty.log]
            inside.close()
            edited(inside, LoopbackTransport(authority), "d")
            held = {row["id"]: row["n"] for row in authority.pull(PullRequest(query=Query("thing"))).records}
            assert {"d0": 7} == held, (call, kind)


@pytest.mark.parametrize("seed", range(40))
def test_devices_agree_behind_any_wire(seed: int) -> None:
    """Whatever the wire does, two devices and the remote hold the same once it is healed."""
    authority = Authority(MemoryStore(), [things])
    devices = {
        name: (MemoryStore(), FaultyTransport(LoopbackTransport(authority), Chance(seed, 0.4, FAULTS)))
        for name in ("p", "q")
    }
    for _ in range(3):
        for name, (store, transport) in devices.items():
            try:
                edited(store, transport, name)
            except TidesyncError:
                continue
    for _, transport in devices.values():
        transport.heal()
    found: list[dict[str, int]] = []
    for _ in range(2):
        found.clear()
        for store, transport in devices.values():
            with SyncContext(store, transport, [things]) as context:
                _ = context.push(retry_failed=True)
                _ = context[things].pull(reconcile=True)
                assert 0 == context.pending_operations
                found.append({each.id: each.n for each in context[things].all()})
    assert found[0] == found[1] == {"p0": 7, "q0": 7}
