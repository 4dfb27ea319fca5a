"""Several authorities on one SQLite file, in threads and in processes: they are one remote."""

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.transports.authority.support import Follower, Time, applied, authority_on, insert, live, update
from tidesync.contracts.transport import Applied
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority

PUSHES = 40


def opened(path: Path) -> Authority:
    return authority_on(SQLiteStore(path, synchronous="normal"), Time())


def write(path: Path, name: str) -> None:
    """Push records of its own, and changes of one that all writers share."""
    with opened(path) as authority:
        for n in range(PUSHES):
            _ = applied(authority, insert(f"{name}{n:02}", size=n), update("shared", text=f"{name}{n}"))


def in_thread(target: Callable[[Path, str], None], path: Path, name: str) -> threading.Thread:
    return threading.Thread(target=target, args=(path, name))


def in_process(
    target: Callable[[Path, str], None], path: Path, name: str
) -> multiprocessing.process.BaseProcess:
    return multiprocessing.get_context("spawn").Process(target=target, args=(path, name))


@pytest.mark.parametrize("start", [in_thread, in_process], ids=["threads", "processes"])
def test_a_follower_skips_nothing_that_others_commit(
    tmp_path: Path, start: Callable[..., threading.Thread]
) -> None:
    """Pages read while two writers commit bring every record: no cursor passes a commit."""
    path = tmp_path / "remote.db"
    with opened(path) as authority:
        _ = applied(authority, insert("shared"))
        writers = [start(write, path, name) for name in "ab"]
        for writer in writers:
            writer.start()
        follower = Follower(authority, limit=3)
        told: list[str] = []
        while any(writer.is_alive() for writer in writers):
            before = set(follower.held)
            _ = follower.step()
            told += sorted(set(follower.held) - before)
        for writer in writers:
            writer.join()
        assert [0, 0] == [getattr(writer, "exitcode", 0) for writer in writers]
        before = set(follower.held)
        assert live(authority) == follower.catch_up()
        told += sorted(set(follower.held) - before)
        expected = sorted(["shared", *(f"{name}{n:02}" for name in "ab" for n in range(PUSHES))])
        assert expected == sorted(told)
        numbers = [int(str(record["version"]).split(".")[0]) for record in authority.records("item")]
        assert len(numbers) == len(set(numbers))


def test_an_operation_sent_to_two_authorities_takes_effect_once(tmp_path: Path) -> None:
    """Ten operations that reach both authorities of a store at the same time have ten effects."""
    path = tmp_path / "remote.db"
    changes = [insert(f"i{n}", size=n) for n in range(10)]
    outcomes: dict[str, list[Applied]] = {}
    gate = threading.Barrier(2)

    def send(name: str) -> None:
        with opened(path) as authority:
            _ = gate.wait()
            outcomes[name] = [applied(authority, change)[0] for change in changes]

    threads = [threading.Thread(target=send, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [first.version for first in outcomes["a"]] == [second.version for second in outcomes["b"]]
    firsts = [one.copy or other.copy for one, other in zip(outcomes["a"], outcomes["b"], strict=True)]
    assert 10 == sum(outcome.copy is not None for name in "ab" for outcome in outcomes[name])
    with opened(path) as authority:
        assert firsts == authority.records("item")
