"""Group commit: who shares a transaction, who gets which answer, and that none comes too early."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.transports.service.conftest import Serve
from tests.transports.service.endpoints import TODO, WatchedStore, insert, routed
from tidesync.contracts.transport import Applied, Outcome, Rejected
from tidesync.errors import StoreBusy, StoreFull
from tidesync.stores import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.commits import Write
from tidesync.transports.service import Limits, Problem
from tidesync.transports.service.served import Service
from tidesync.transports.service.writing import Writer


class Desk:
    """A commit that notes what it is asked together, and can be held or made to fail."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.begun, self.free = threading.Event(), threading.Event()
        self.free.set()
        self.fails: Callable[[Sequence[str]], Exception | None] = lambda ids: None

    def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """Decide."""
        ids = [write.change.record_id for write in writes]
        self.asked.append(ids)
        self.begun.set()
        assert self.free.wait(30)
        error = self.fails(ids)
        if error is not None:
            raise error
        return [Rejected("no", id) if id.startswith("no") else Applied(id) for id in ids]


def writes(*ids: str) -> list[Write]:
    return [Write(insert(id)) for id in ids]


async def gathered(writer: Writer, desk: Desk, *groups: Sequence[str]) -> list[list[Outcome] | BaseException]:
    """What each caller is told, when all of them come while a first one is being written."""
    desk.free.clear()
    first = asyncio.create_task(writer.commit(writes("first")))
    _ = await asyncio.to_thread(desk.begun.wait)
    others = [asyncio.create_task(writer.commit(writes(*ids))) for ids in groups]
    await asyncio.sleep(0.02)
    desk.free.set()
    told = await asyncio.gather(first, *others, return_exceptions=True)
    writer.close()
    return told[1:]


def versions(told: list[Outcome] | BaseException) -> list[str | None]:
    assert isinstance(told, list)
    return [each.version if isinstance(each, Applied) else None for each in told]


def test_callers_that_wait_share_a_transaction_in_order_of_arrival() -> None:
    """Each is told about its own writes."""
    desk = Desk()
    told = asyncio.run(gathered(Writer(desk.commit), desk, ["a", "no"], ["b"], [], ["c", "d"]))

    assert [["first"], ["a", "no", "b", "c", "d"]] == desk.asked
    assert [["a", None], ["b"], [], ["c", "d"]] == [versions(each) for each in told]


def test_a_transaction_has_an_end() -> None:
    """A caller's writes are never parted, and many callers never make one transaction that lasts for ever."""
    desk = Desk()
    asyncio.run(gathered(Writer(desk.commit, together=3), desk, ["a", "b"], ["c"], ["d"], [*"efghi"], ["j"]))

    assert [["first"], ["a", "b", "c"], ["d"], [*"efghi"], ["j"]] == desk.asked


def test_one_caller_s_failure_is_not_the_others() -> None:
    """They are parted into halves, in order, until it is alone; whoever was with it is written after all."""
    desk = Desk()
    desk.fails = lambda ids: ValueError("poison") if "poison" in ids else None
    told = asyncio.run(gathered(Writer(desk.commit), desk, ["a"], ["b"], ["poison", "c"], ["d"]))

    assert ["a", "b", "d"] == [
        version for each in told if isinstance(each, list) for version in versions(each)
    ]
    assert ["poison"] == [str(each) for each in told if isinstance(each, BaseException)]
    assert [["a", "b"], ["poison", "c", "d"], ["poison", "c"], ["d"]] == desk.asked[2:]


def test_when_every_caller_fails_each_has_its_own_failure() -> None:
    """In fewer than twice as many transactions."""
    desk = Desk()
    desk.fails = lambda ids: StoreFull(f"disk full for {ids}") if "first" not in ids else None
    told = asyncio.run(gathered(Writer(desk.commit), desk, *[[str(each)] for each in range(8)]))

    assert [f"disk full for ['{each}']" for each in range(8)] == [str(each) for each in told]
    assert 1 + 15 == len(desk.asked)


@pytest.mark.parametrize("error", [StopIteration(), SystemExit(1), KeyboardInterrupt()])
def test_whatever_user_code_raises_somebody_is_told(error: BaseException) -> None:
    """Some exceptions no event loop passes on: the caller would wait for ever, or the service end."""

    def fail(given: Sequence[Write]) -> list[Outcome]:
        raise error

    writer = Writer(fail)
    with pytest.raises(RuntimeError, match=type(error).__name__):
        asyncio.run(writer.commit(writes("a")))
    with pytest.raises(RuntimeError, match=type(error).__name__):
        asyncio.run(writer.commit(writes("b")))
    writer.close()


def test_a_busy_store_is_nobody_s_fault_and_is_not_asked_again() -> None:
    """Each attempt waits as long as the store does for the lock: together once, not each."""
    desk = Desk()
    desk.fails = lambda ids: StoreBusy("locked") if "first" not in ids else None
    told = asyncio.run(gathered(Writer(desk.commit), desk, *[[str(each)] for each in range(8)]))

    assert ([StoreBusy] * 8, 2) == ([type(each) for each in told], len(desk.asked))


def test_more_writes_than_may_wait_are_503() -> None:
    """At once, and nothing of them is written; one caller may always wait."""
    desk = Desk()
    told = asyncio.run(gathered(Writer(desk.commit, waiting=3), desk, [*"abcd"], ["e"], ["f"]))

    assert [[*"abcd"]] == [versions(each) for each in told if isinstance(each, list)]
    refused = [each for each in told if isinstance(each, Problem)]
    assert [(503, "1")] * 2 == [(each.status, each.headers["Retry-After"]) for each in refused]
    assert [["first"], [*"abcd"]] == desk.asked


def test_what_was_accepted_is_written_also_if_its_caller_is_gone() -> None:
    """A client that leaves does not take back what the others' transaction holds."""
    desk = Desk()

    async def leave() -> list[Outcome]:
        desk.free.clear()
        first = asyncio.create_task(writer.commit(writes("first")))
        _ = await asyncio.to_thread(desk.begun.wait)
        gone = asyncio.create_task(writer.commit(writes("gone")))
        stays = asyncio.create_task(writer.commit(writes("stays")))
        await asyncio.sleep(0.02)
        gone.cancel()
        desk.free.set()
        await first
        return await stays

    writer = Writer(desk.commit)
    told = asyncio.run(leave())
    writer.close()

    assert (["stays"], [["first"], ["gone", "stays"]]) == (versions(told), desk.asked)


def test_close_finishes_what_was_accepted_and_takes_no_more() -> None:
    """Whoever waits is told; whoever comes later is 503."""
    desk = Desk()

    async def stop() -> list[list[Outcome]]:
        desk.free.clear()
        accepted = [asyncio.create_task(writer.commit(writes(each))) for each in "abc"]
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(asyncio.to_thread(writer.close))
        await asyncio.sleep(0.02)
        with pytest.raises(Problem, match="stops"):
            await writer.commit(writes("late"))
        desk.free.set()
        await closing
        return await asyncio.gather(*accepted)

    writer = Writer(desk.commit)
    told = asyncio.run(stop())
    writer.close()

    assert [["a"], ["b"], ["c"]] == [versions(each) for each in told]
    assert ["a", "b", "c"] == [id for ids in desk.asked for id in ids]


def test_callers_on_several_event_loops_are_each_told_on_theirs() -> None:
    """As an application has them that is mounted into a suite of tests, or served by several threads."""
    desk = Desk()
    writer = Writer(desk.commit)

    def alone(id: str) -> list[str | None]:
        return versions(asyncio.run(writer.commit(writes(id))))

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(alone, map(str, range(40))))
    writer.close()

    assert [[str(each)] for each in range(40)] == told


def test_a_loop_that_is_closed_keeps_nobody_from_being_told() -> None:
    """Its callers are gone."""
    desk = Desk()
    writer = Writer(desk.commit)

    async def abandon() -> None:
        desk.free.clear()
        task = asyncio.create_task(writer.commit(writes("abandoned")))
        await asyncio.sleep(0.02)
        task.cancel()

    asyncio.run(abandon())
    desk.free.set()

    assert ["next"] == versions(asyncio.run(writer.commit(writes("next"))))
    writer.close()


# ---- on a store


def test_fifty_writes_at_once_take_a_few_transactions(tmp_path: Path) -> None:
    """The first goes alone, and all that come meanwhile together."""
    store = SQLiteStore(tmp_path / "todo.db")
    service = Service(Authority(store, [TODO]), Limits())
    service.open()
    begun: list[bool] = []
    original = store.transaction

    def counted(*, write: bool) -> object:
        begun.append(write)
        return original(write=write)

    store.transaction = counted  # type: ignore[method-assign, assignment]

    async def all_at_once() -> list[list[Outcome]]:
        return await asyncio.gather(*[service.commit(writes(str(each))) for each in range(50)])

    told = asyncio.run(all_at_once())
    service.close()

    assert [Applied] * 50 == [type(outcome) for each in told for outcome in each]
    assert (True, True) == (all(begun), len(begun) <= 5)


def test_no_reply_comes_before_the_commit(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held back just before its end, a transaction holds back everyone who is in it, and it alone is there."""
    routed(monkeypatch)
    store = WatchedStore()
    served = serve(store, [TODO])
    reached, free = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert free.wait(30)

    store.before = hold
    with ThreadPoolExecutor(8) as threads:
        sent = [
            threads.submit(served.http.post, "/tables/todoitem", json={"id": str(each)}) for each in range(8)
        ]
        assert reached.wait(30)
        time.sleep(0.1)
        early = [each for each in sent if each.done()]
        there = served.http.get("/tables/todoitem").json()
        free.set()
        answers = [each.result().status_code for each in sent]

    assert ([], [], [201] * 8) == (early, there, answers)
    assert 8 == len(served.http.get("/tables/todoitem").json())


def test_stopping_under_load_finishes_what_was_accepted(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Everything that was acknowledged is there, and everything that was begun is acknowledged."""
    routed(monkeypatch)
    served = serve(SQLiteStore(tmp_path / "todo.db"), [TODO])
    acknowledged: set[str] = set()
    some = threading.Event()

    def write(name: str) -> None:
        with httpx.Client(base_url=served.url, trust_env=False) as http:
            for at in range(100_000):
                try:
                    answer = http.post("/tables/todoitem", json={"id": f"{name}-{at}"})
                except httpx.TransportError:
                    return
                if answer.status_code == 503:
                    return
                answer.raise_for_status()
                acknowledged.add(f"{name}-{at}")
                if len(acknowledged) > 50:
                    some.set()

    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(write, name) for name in "abcd"]
        assert some.wait(30)
        served.stop()
        for each in done:
            each.result()
    with Authority(SQLiteStore(tmp_path / "todo.db"), [TODO]) as authority:
        there = {str(record["id"]) for record in authority.records("todoitem")}

    assert set() == acknowledged - there
