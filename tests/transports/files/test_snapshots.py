"""Snapshots: what they hold, when they are made, and that a reader gets from them what the log says."""

import logging
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transports.authority.support import change, delete, insert, update
from tests.transports.files.dying import Dying, Killed, Memory
from tests.transports.files.lives import (
    Files,
    Written,
    applied,
    cold,
    counters,
    device,
    entry,
    held,
    records,
    trimmed,
)
from tidesync.errors import NotReachable
from tidesync.stores.memory import MemoryStore
from tidesync.transports.files import snapshots
from tidesync.transports.files.compaction import compact
from tidesync.transports.files.index import Head
from tidesync.transports.files.names import commit_name, manifest_name
from tidesync.transports.files.parts import Counts, Known, Manifest, Part, Row, read_manifest
from tidesync.transports.files.verify import verify

REMEMBERS = 60


def histories(actors: int) -> st.SearchStrategy[list[Any]]:
    """Who acts, what they change, and how many seconds after the one before."""
    changes = st.tuples(st.sampled_from("IUD"), st.sampled_from("abc"), st.integers(0, 9))
    step = st.tuples(
        st.integers(0, actors - 1), st.lists(changes, min_size=1, max_size=3), st.integers(0, 40)
    )
    return st.lists(step, min_size=1, max_size=12)


small: Any = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a line or two, and few operations that are known whatever their age."""
    monkeypatch.setattr(snapshots, "PART_SIZE", 300)
    monkeypatch.setattr(snapshots, "KEPT", 3)


def snapshots_in(files: Files) -> list[int]:
    return [
        int(name[10:30]) for name in sorted(files) if name.startswith("snapshots/") and name.count("/") == 1
    ]


def manifest(files: Files, number: int) -> Manifest:
    return read_manifest(files[manifest_name(number)], number, device(dict(files))._current().meta.id)


def lived(history: list[Any], files: Files) -> list[MemoryStore]:
    """The indexes of two writers who went through this, and caught up; who is neither of them compacts."""
    indexes = [MemoryStore(), MemoryStore()]
    writers = [device(files, index, snapshot_every=3, remembers=REMEMBERS) for index in indexes]
    now, kinds = 1_000_000.0, {"I": "insert", "U": "update", "D": "delete"}
    for who, changes, seconds in history:
        now += seconds
        if who == 2:
            _ = compact(Memory(files), MemoryStore(), keep=seconds)
            continue
        writers[who]._current().authority.clock = lambda now=now: now  # type: ignore[misc]
        _ = writers[who].push(
            [
                change(kinds[kind], id, **({} if kind == "D" else {"text": f"{value}", "size": value}))  # type: ignore[arg-type]
                for kind, id, value in changes
            ]
        )
    for writer in writers:
        _ = writer.get("item", "a")
    return indexes


@small
@given(histories(2))
def test_a_snapshot_and_the_tail_are_what_the_log_is(tiny: None, history: list[Any]) -> None:
    """For any history of two writers: cold from the snapshot, replayed from the first commit, and the writer's own."""
    files: Files = {}
    indexes = lived(history, files)
    whole = {name: content for name, content in files.items() if not name.startswith("snapshots/")}
    stores = [*indexes, cold(files), cold(whole)]

    assert [counters(stores[0])] * 4 == [counters(store) for store in stores]
    first, *others = [trimmed(store, REMEMBERS) for store in stores]
    assert [first] * 3 == others


@small
@given(histories(3))
def test_whatever_is_compacted_in_between_all_hold_the_same(tiny: None, history: list[Any]) -> None:
    """For any history with compactions in it: nothing is damaged, and nobody holds anything else than a newcomer."""
    files: Files = {}
    indexes = lived(history, files)
    stores = [*indexes, cold(files)]
    fence = snapshots.last_fence(Memory(files))
    found = [trimmed(store, REMEMBERS, fence) for store in stores]

    assert () == verify(Memory(files), MemoryStore()).damages
    assert [counters(stores[0])] * 3 == [counters(store) for store in stores]
    assert [found[0]] * 3 == found


def test_a_snapshot_is_made_each_so_many_commits_and_read_in_the_place_of_the_log(tiny: None) -> None:
    """Once it is there, a reader asks for no commit before it."""
    files: Files = {}
    writer = device(files, snapshot_every=3)
    for number in range(7):
        _ = applied(writer, insert(f"r{number}", text="x" * number))
    place = Dying(dict(files))
    reader = device(place)

    assert [3, 6] == snapshots_in(files)
    assert records(writer) == records(reader)
    assert {commit_name(number) for number in (6, 7)} == {
        name for word, name in place.calls if word == "read" and name.startswith("log/")
    }


def test_a_manifest_counts_what_is_in_the_parts(tiny: None) -> None:
    """Records and tombstones by table, operations, and all changes since the first commit."""
    files: Files = {}
    writer = device(files, snapshot_every=2)
    _ = applied(writer, insert("a"), insert("b"), change("insert", "l", table="list", name="n"))
    _ = applied(writer, delete("a"), update("b", text="b"))
    found = manifest(files, 2)

    assert {"item": Counts(1, 1), "list": Counts(1, 0)} == found.tables
    assert (5, 5, 8) == (found.changes, found.operations, found.lines)
    assert len(found.parts) > 2
    assert {} == found.fences


def test_two_who_make_the_same_snapshot_make_the_same_files(tiny: None) -> None:
    """A content has one name, whatever way an index came to it."""
    files: Files = {}
    writer = device(files, snapshot_every=0)
    for number in range(4):
        _ = applied(writer, insert(f"r{number}"), update("r0", size=number))
    made: list[Files] = []
    for store in (cold(files), cold(files)):
        copy = dict(files)
        assert snapshots.make(Memory(copy), writer._current().meta, store) is not None
        made.append(copy)

    assert made[0] == made[1]
    assert [4] == snapshots_in(made[0])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_writer_who_is_killed_while_it_makes_a_snapshot_leaves_a_usable_remote(
    tiny: None, after: bool
) -> None:
    """At every call of it; whoever writes next makes the next one."""
    number, ended = 0, False
    while not ended:
        files: Files = {}
        writer = device(files, snapshot_every=0)
        for each in range(3):
            _ = applied(writer, insert(f"r{each}", text="text"))
        expected, meta = records(writer), writer._current().meta
        place = Dying(files, number, after=after)
        with suppress(Killed):
            ended = snapshots.make(place, meta, cold(files)) is not None
        number += 1
        other = device(files)

        assert expected == records(other)
        _ = applied(other, insert("later"))
        _ = snapshots.make(Memory(files), meta, cold(files))
        assert records(other) == records(device(files))
    assert number > 5


@pytest.mark.parametrize("begun", [False, True], ids=["new", "behind"])
def test_a_reader_who_is_killed_while_it_loads_a_snapshot_goes_on_from_what_it_had(
    tiny: None, begun: bool
) -> None:
    """At every call of it: the index holds all of the snapshot, or none of it."""
    files: Files = {}
    writer = device(files, snapshot_every=0)
    _ = applied(writer, insert("r0"), insert("gone"))
    first = dict(files)
    for each in range(1, 4):
        _ = applied(writer, insert(f"r{each}"), *([delete("gone")] if each == 1 else []))
    _ = compact(Memory(files), MemoryStore(), keep=0)
    expected = records(writer)
    number, ended = 0, False
    while not ended:
        store = cold(first) if begun else MemoryStore()
        before = held(store) if begun else []
        place = Dying(files, number)
        with suppress(Killed):
            ended = expected == records(device(place, store))
        if number > 2 and counters(store)[0] != 4:  # by then the index is open
            assert before == held(store)
        assert expected == records(device(files, store))
        number += 1
    assert number > 8


def lines(count: int, changes: int = 0, number: int = 0) -> Manifest:
    part = Part(digest="0" * 64, size=1, lines=count)
    return Manifest(
        remote="r", number=number, commit="0" * 64, sequence=0, clock="", changes=changes, parts=[part]
    )


@pytest.mark.parametrize(
    ("commits", "changes", "newest", "expected"),
    [
        (3, 3, None, True),
        (1000, 1000, lines(1_000_000), False),
        (1000, 1_000_000, lines(1_000_000), True),
        (20_000, 20_000, lines(1_000_000), True),
        (100, 100, lines(0, 100, 100), False),
    ],
)
def test_a_snapshot_has_to_pay(commits: int, changes: int, newest: Manifest | None, expected: bool) -> None:
    """What it costs to write is a constant for each change since the last one; what is not new is not written."""
    head = Head(remote="r", meta="m", hash="h", number=commits, changes=changes)

    assert expected == snapshots.pays(head, newest)


def test_a_snapshot_that_does_not_pay_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it would be its turn: the next one is, once enough has changed."""
    monkeypatch.setattr(snapshots, "COMMIT_WEIGHT", 0)
    files: Files = {}
    writer = device(files, snapshot_every=1)
    _ = applied(writer, *(insert(f"r{number}") for number in range(4)))
    for number in range(12):
        _ = applied(writer, update("r0", size=number))

    assert [1, 9] == snapshots_in(files)


def test_snapshots_cost_a_constant_number_of_lines_for_each_change() -> None:
    """Of a thousand records that are changed one by one, as of one: at most 70 lines for each change."""
    total, newest = 0, None
    for number in range(1, 20_001):
        head = Head(remote="r", meta="m", hash="h", number=number, changes=number)
        if number % 10 == 0 and snapshots.pays(head, newest):
            newest = lines(2 * min(number, 5000), number, number)
            total += newest.lines

    assert newest is not None
    assert total <= 70 * 20_000


def test_a_snapshot_that_cannot_be_written_fails_no_push(caplog: pytest.LogCaptureFixture) -> None:
    """It is told as a warning, and the next one tries again."""
    files: Files = {}

    class Full(Memory):
        full = True

        def create(self, name: str, content: bytes) -> bool:
            if self.full and name.startswith("snapshots/"):
                raise NotReachable("the disk is full")
            return super().create(name, content)

    place = Full(files)
    writer = device(place, snapshot_every=2)
    with caplog.at_level(logging.WARNING, "tidesync"):
        for number in range(2):
            _ = applied(writer, insert(f"a{number}"))
    place.full = False
    for number in range(2):
        _ = applied(writer, insert(f"b{number}"))

    assert ["no snapshot was made after commit 2: the disk is full"] == [
        each.getMessage() for each in caplog.records
    ]
    assert [4] == snapshots_in(files)


def test_operation_ids_are_forgotten_by_the_log_s_clock_but_for_the_newest(tiny: None) -> None:
    """Those older than the remote remembers, where three others are later; texts of one moment stay together."""
    log = Written()
    for number, at in enumerate([0, 0, 500, 1499, 1500, 1500, 2500], 1):
        log.put(at, f"r{number}")
    kept = [each.operation for each in trimmed(cold(log.files), 1000) if isinstance(each, Known)]
    few = [each.operation for each in trimmed(cold(log.files), 1) if isinstance(each, Known)]

    assert ["op5", "op6", "op7"] == kept
    assert ["op5", "op6", "op7"] == few
    assert 7 == len([each for each in trimmed(cold(log.files), 2500) if isinstance(each, Known)])


def test_an_operation_that_a_snapshot_knows_has_its_effect_once(tiny: None) -> None:
    """Sent again to somebody who has never read its commit."""
    files: Files = {}
    writer = device(files, snapshot_every=2)
    sent = insert("a", text="once")
    first = applied(writer, sent)
    _ = applied(writer, update("a", text="later"))
    del files[commit_name(1)]
    again = applied(device(files), sent)

    assert [2] == snapshots_in(files)
    assert first[0].version == again[0].version
    assert "later" == records(writer)["a"]["text"]


def test_an_index_forgets_what_a_snapshot_does_not_hold_also_where_others_write(tiny: None) -> None:
    """So it does not grow with the log."""
    files: Files = {}
    writer, store = device(files, snapshot_every=4, remembers=1), MemoryStore()
    reader = device(files, store)
    for number in range(16):
        writer._current().authority.clock = lambda number=number: 1000.0 * number  # type: ignore[misc]
        _ = applied(writer, update("a", size=number) if number else insert("a"))
        _ = reader.get("item", "a")

    assert 3 == len([each for each in held(store) if isinstance(each, Known)])


def test_snapshots_hold_tables_that_their_writer_has_not_declared() -> None:
    """A table that a device declares later is there."""
    log = Written()
    log.commit(0, [entry("o1", "a", "1")])
    odd = entry("o2", "b", "2")
    log.commit(
        1,
        [
            type(odd)(
                **{**{name: getattr(odd, name) for name in odd.__slots__ if name[0] != "_"}, "table": "other"}
            )
        ],
    )
    meta = log.meta
    manifest = snapshots.make(Memory(log.files), meta, cold(log.files))

    assert manifest is not None
    assert {"item": Counts(1), "other": Counts(1)} == manifest.tables
    assert ["item", "other"] == [each.table for each in held(cold(log.files)) if isinstance(each, Row)]
