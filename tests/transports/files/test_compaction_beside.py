"""Compaction beside readers, writers and another compaction."""

from collections.abc import Callable

import attrs
import pytest

from tests.transports.authority.support import delete, insert, update
from tests.transports.files.compacted import check_all, log, squeezed, state
from tests.transports.files.dying import Dying, Memory
from tests.transports.files.lives import (
    Files,
    applied,
    cold,
    counters,
    device,
    records,
)
from tidesync.contracts.transport import Applied, Conflicted, Version
from tidesync.stores.memory import MemoryStore
from tidesync.transports.files import snapshots
from tidesync.transports.files.compaction import Compaction, compact
from tidesync.transports.files.names import META, commit_name
from tidesync.transports.files.verify import verify


def meanwhile(act: Callable[[Files], object], word: str = "") -> int:
    """Run a compaction beside somebody who acts once, before each of its calls in turn; how many there were."""
    number, ended = 0, False
    while not ended:
        files, calls = log(4).files, 0

        def step(called: str, name: str, files: Files = files, number: int = number) -> None:
            nonlocal calls
            if calls == number:
                act(files)
            calls += 1

        before = state(files)
        _ = compact(Dying(files, meanwhile=step), MemoryStore(), keep=1)
        ended = calls <= number
        rows = {each.id for each in before[0]}
        assert rows <= {each.id for each in state(files)[0]}
        assert set(before[1]) <= set(state(files)[1])
        if number % 5:
            assert () == verify(Memory(files), MemoryStore()).damages
        else:
            check_all(files, state(files))
        number += 1
    return number


def test_two_compactions_at_once_do_no_harm() -> None:
    """Another one, of more, of as much, or of less, before any call of the first."""
    for keep in (0, 2):
        assert meanwhile(lambda files, keep=keep: squeezed(files, keep)) > 20  # type: ignore[misc]


def test_whoever_writes_meanwhile_loses_nothing() -> None:
    """A commit, and one after which a snapshot is made, before any call."""
    assert meanwhile(lambda files: applied(device(files), insert("new", text="new"))) > 20

    def with_snapshot(files: Files) -> None:
        writer = device(files)
        _ = applied(writer, insert("new", text="new"))
        _ = snapshots.make(Memory(files), writer._current().meta, cold(files))

    assert meanwhile(with_snapshot) > 20


def test_who_reads_while_it_deletes_goes_on() -> None:
    """Somebody whose index is at any commit catches up, and finds what everybody finds."""
    for at in range(1, 4):
        part = {name: each for name, each in log(4).files.items() if name <= commit_name(at) or name == META}
        stale = cold(part)

        def reads(files: Files, stale: MemoryStore = stale) -> None:
            copy = MemoryStore()
            copy.tables = stale.tables  # rows are not changed in place
            reader = device(files, copy)
            assert records(device(files)) == records(reader)
            assert 4 == counters(copy)[0]

        _ = meanwhile(reads)


@pytest.mark.parametrize("at", [0, 1, 3], ids=["cold", "behind", "behind less"])
def test_a_compaction_in_the_middle_of_reading_sends_the_reader_to_the_new_fence(at: int) -> None:
    """Before any call of a reader, of a remote that had a fence already: it finds what everybody finds."""
    number, ended = 0, False
    while not ended:
        written = log(3)
        stale = cold(
            {name: each for name, each in written.files.items() if name <= commit_name(at) or name == META}
        )
        _ = squeezed(written.files, 1)
        written.put(4, "r4", "more")
        place = Dying(written.files)
        reader = device(place, stale if at else MemoryStore())
        asked = len(place.calls)

        def step(word: str, name: str, place: Dying = place, number: int = asked + number) -> None:
            if len(place.calls) == number + 1:
                place.meanwhile = None
                _ = squeezed(place.files)

        place.meanwhile = step
        found = records(reader)
        ended = place.meanwhile is not None
        number += 1

        assert records(device(written.files)) == found
    assert number > 2


def test_a_writer_who_slept_through_it_does_not_commit_behind_the_fence() -> None:
    """It wins a number that was used, and whose file is gone: and decides again on what came."""
    files: Files = {}
    other, place = device(files), Dying(files)
    _ = applied(other, insert("a"), insert("b"))
    sleeper = device(place)
    _ = records(sleeper)
    slept: list[Compaction] = []

    def others(word: str, name: str) -> None:
        if word == "create" and not slept:
            slept.append(Compaction(fence=0))
            for number in range(3):
                _ = applied(other, update("a", text=f"{number}"))
            slept.append(squeezed(files))

    place.meanwhile = others
    stale = attrs.evolve(delete("a"), expected=update("a").expected)
    outcomes = sleeper.push([insert("c", text="slept"), stale])

    assert 4 == slept[1].fence
    assert [Applied, Applied] == [type(each) for each in outcomes]
    assert ("create", commit_name(2)) in place.calls
    assert ("create", commit_name(5)) in place.calls
    assert {"b", "c"} == records(sleeper).keys() == records(other).keys() == records(device(files)).keys()
    assert [commit_name(2)] == list(verify(Memory(files), MemoryStore()).leftovers)
    check_all(files, state(files))


def test_a_writer_who_slept_through_it_meets_conflicts_where_records_changed() -> None:
    """As any writer who was not first."""
    files: Files = {}
    other, place = device(files), Dying(files)
    [first] = applied(other, insert("a"))
    sleeper = device(place)
    _ = records(sleeper)

    def others(word: str, name: str) -> None:
        if word == "create":
            place.meanwhile = None
            for number in range(3):
                _ = applied(other, update("a", text=f"{number}"))
            _ = squeezed(files)

    place.meanwhile = others
    sent = attrs.evolve(update("a", text="mine"), expected=Version(first.version or ""))
    [outcome] = sleeper.push([sent])

    assert isinstance(outcome, Conflicted)
    assert "2" == records(sleeper)["a"]["text"]
