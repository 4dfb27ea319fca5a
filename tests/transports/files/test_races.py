"""Several writers of one log: one is first, and the others decide again; what an index does; what calls cost."""

import itertools
from collections.abc import Callable

import pytest

from tests.transports.authority.support import change, insert, kinds, update
from tests.transports.files.clients import TABLES, Files, applied, client, commits, held, pull, send
from tests.transports.files.dying import Dying, Memory
from tidesync.conformance.faults import FaultyStore, StoreFault
from tidesync.contracts.transport import (
    Applied,
    Conflicted,
    NotSent,
    Version,
)
from tidesync.errors import ResyncRequired
from tidesync.records import Json
from tidesync.stores import MemoryStore
from tidesync.transports import FileTransport
from tidesync.transports.files import replica
from tidesync.transports.files.compaction import compact
from tidesync.transports.files.names import commit_name
from tidesync.transports.files.place import Place

Meanwhile = Callable[[], None]


def overtaken(files: Files, number: int, act: Meanwhile) -> FileTransport:
    """A client before whose commit of this number somebody else acts, once."""
    acts = [act]

    def meanwhile(word: str, name: str) -> None:
        if (word, name) == ("create", commit_name(number)) and acts:
            acts.pop()()

    return client(Dying(files, meanwhile=meanwhile))


def test_who_loses_writes_the_next_commit() -> None:
    """Changes of other records do not conflict: both are there, in the order of the commits."""
    files: Files = {}
    other = client(files)
    mine = overtaken(files, 1, lambda: applied(other, insert("theirs")) and None)

    (outcome,) = applied(mine, insert("mine"))

    assert ["theirs", "mine"] == list(held(mine))
    assert held(mine) == held(other) == held(client(files))
    assert outcome.version == held(other)["mine"]["version"]
    assert 2 == len(commits(files))


def test_only_what_truly_changed_conflicts() -> None:
    """Of a batch that is decided again, a change conflicts where its record is another one now, and no other does."""
    files: Files = {}
    other = client(files)
    versions = [outcome.version or "" for outcome in applied(other, insert("a", size=1), insert("b", size=1))]
    mine = overtaken(files, 2, lambda: applied(other, update("a", size=2)) and None)

    outcomes = send(
        mine,
        change("update", "a", Version(versions[0]), size=3),
        change("update", "b", Version(versions[1]), size=3),
        insert("c"),
    )

    assert ["Conflicted", "Applied", "Applied"] == kinds(outcomes)
    assert Conflicted(held(other)["a"]) == outcomes[0]
    assert {"a": 2, "b": 3, "c": None} == {id: row.get("size") for id, row in held(client(files)).items()}


def test_who_loses_and_finds_nothing_left_to_do_writes_nothing() -> None:
    """Where all that was to be written conflicts, there is no commit."""
    files: Files = {}
    other = client(files)
    mine = overtaken(files, 1, lambda: applied(other, insert("a", text="theirs")) and None)

    assert ["Conflicted"] == kinds(send(mine, insert("a", text="mine")))
    assert 1 == len(commits(files))
    assert "theirs" == held(mine)["a"]["text"]


def test_an_operation_that_another_copy_of_the_device_sent_is_known() -> None:
    """Two processes of one device push one queue: the one that loses finds its operation in effect."""
    files: Files = {}
    other = client(files)
    same = insert("a", text="one")
    mine = overtaken(files, 1, lambda: applied(other, same) and None)

    (outcome,) = applied(mine, same)

    assert held(other)["a"]["version"] == outcome.version
    assert 1 == len(commits(files))


def test_who_always_loses_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds nothing was written, and is said to be so; what is refused anyway is told as such."""
    monkeypatch.setattr(replica, "PATIENCE", 0.02)
    files: Files = {}
    other = client(files)

    def meanwhile(word: str, name: str) -> None:
        if word == "create" and name.startswith("log/"):
            _ = applied(other, insert(f"theirs {len(files)}"))

    mine = client(Dying(files, meanwhile=meanwhile))

    outcomes = send(mine, insert("a"), change("insert", "b", table="nowhere"), insert("c"))

    assert ["NotSent", "Rejected", "NotSent"] == kinds(outcomes)
    assert not {"a", "c"} & held(other).keys()
    assert held(mine) == held(other)


# ---- the index


class Later:
    """A store fails at one call, whose number is set when it is known."""

    number = 0

    def at(self, call: int) -> StoreFault | None:
        return "fail" if call == self.number else None


def _asleep(at_once: int) -> tuple[Files, FileTransport, Json]:
    """A reader that slept between its list and its reading, and its cursor from before.

    Meanwhile others wrote, the log was compacted, and a writer woke up, who had decided long ago: its commit came into
    being behind the fence, under the number that the reader is about to read.
    """
    files: Files = {}
    writer = client(files)
    _ = applied(writer, insert("a", text="one"))
    slept = {**files}
    _ = applied(client(slept), insert("void"))

    def meanwhile(word: str, name: str) -> None:
        if (word, name) == ("read", commit_name(2)) and slept:
            _ = applied(writer, insert("b"))
            _ = compact(Memory(files), MemoryStore(), keep=0)
            files[name] = slept[name]
            slept.clear()

    place = Dying(files, meanwhile=meanwhile)
    place.at_once = at_once
    reader = client(place)
    cursor = pull(reader).cursor
    _ = applied(writer, update("a", text="two"))
    return files, reader, cursor


def test_what_lies_behind_a_fence_is_not_read() -> None:
    """Where that is no request, fences are looked for once the commits were read: none of them was void."""
    files, reader, cursor = _asleep(at_once=1)

    with pytest.raises(ResyncRequired, match="compacted"):
        _ = pull(reader, cursor)
    assert held(client(files)) == held(reader)
    assert {"a": "two", "b": None} == {id: row.get("text") for id, row in held(reader).items()}


def test_a_cursor_of_what_lies_behind_a_fence_is_not_honoured() -> None:
    """Though a file lies there still, and has the hash: what was there before would never be told."""
    files, reader, cursor = _asleep(at_once=2)
    cursor = pull(reader, cursor).cursor

    for follower in (client(files), reader):
        with pytest.raises(ResyncRequired, match="compacted"):
            _ = pull(follower, cursor)
    assert held(client(files)) == held(reader)


def test_what_is_in_the_log_is_in_effect_whatever_the_index_does() -> None:
    """Wherever an index fails: not sent if the log has it not, applied if it has; and it is read again later."""
    seen: set[tuple[str, bool]] = set()
    for call in itertools.count(1):
        files: Files = {}
        plan = Later()
        store = FaultyStore(MemoryStore(), plan)
        transport = client(files, index=store)
        _ = applied(transport, insert("a"))
        plan.number = store.calls + call

        (outcome,) = send(transport, insert("b"))

        in_log = 2 == len(commits(files))
        if not store.log:
            break
        seen.add((store.log[0].method, in_log))
        assert isinstance(outcome, Applied if in_log else NotSent)
        assert isinstance(outcome, Applied) or "the index failed" in outcome.reason
        assert held(client(files)) == held(transport)
    assert {("transaction", False), ("put", True), ("commit", True), ("commit", False)} <= seen


# ---- costs


def _calls(place: Dying, act: Callable[[], object]) -> list[str]:
    del place.calls[:]
    _ = act()
    return [f"{word} {name}" for word, name in place.calls]


def test_what_things_cost() -> None:
    """A push is two lists and a create; a pull without news is a list, and each new commit is read once.

    Where a call is no request, the last commit is read once more each time, and fences are looked for after a reading.
    """
    files: Files = {}
    place = Dying(files)
    place.at_once = 2
    transport = client(place)
    _ = applied(transport, insert("a"))
    other = client(files)

    assert ["names log", f"create {commit_name(2)}", "names fences"] == _calls(
        place, lambda: applied(transport, insert("b"))
    )
    assert ["names log"] == _calls(place, lambda: pull(transport))
    assert ["names log"] == _calls(place, lambda: transport.get("item", "a"))
    assert ["names log"] == _calls(place, lambda: send(transport, insert("a")))
    for number in range(3):
        _ = applied(other, insert(f"c{number}"))
    place.at_once = 1
    reads = [f"read {commit_name(number)}" for number in (3, 4, 5)]
    assert ["names log", *reads, "names fences"] == _calls(place, lambda: pull(transport))
    assert ["names log", f"read {commit_name(5)}"] == _calls(place, lambda: pull(transport))


def test_construction_asks_the_place_nothing() -> None:
    """The first call is made by open."""
    place = Dying({})

    transport = FileTransport(place)

    assert isinstance(place, Place)
    assert [] == place.calls
    assert transport.open(TABLES).identity
