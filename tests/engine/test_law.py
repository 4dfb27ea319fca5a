"""The law of the queue: collapsed or not, a remote with foreign keys accepts the same and ends equal."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from tests.engine.law import Broken, Explorer
from tests.engine.law_world import (
    ITEMS_OF_ONE_LIST,
    ONE_ITEM_OF_LISTS,
    Contents,
    Device,
    Key,
    Remote,
    new_record,
)
from tidesync import queue as queue_module
from tidesync.contracts.transport import Applied, Outcome

LAYOUTS = {"two items of one list": ITEMS_OF_ONE_LIST, "one item of two lists": ONE_ITEM_OF_LISTS}
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
A, B, LIST = ("items", "A"), ("items", "B"), ("lists", "L")

# Layout, references declared, remote remembers operation ids, edits. A soak takes five edits everywhere.
RUNS = [
    pytest.param("two items of one list", True, True, 4, marks=pytest.mark.slow),
    pytest.param("two items of one list", False, True, 4, marks=pytest.mark.slow),
    ("one item of two lists", True, True, 3),
    ("one item of two lists", False, True, 3),
    ("two items of one list", True, False, 3),
    ("two items of one list", False, False, 3),
    ("one item of two lists", True, False, 3),
    ("one item of two lists", False, False, 3),
]
CASES = {
    ("two items of one list", 5): 1_843_013,
    ("two items of one list", 3): 22_830,
    ("two items of one list", 4): 212_953,
    ("one item of two lists", 3): 17_900,
    ("one item of two lists", 4): 160_851,
    ("one item of two lists", 5): 1_346_059,
}


@pytest.fixture(autouse=True, scope="module")
def no_collections() -> Iterator[None]:
    """An exploration leaves no cycles behind, and what it keeps would be walked over and over."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(("layout", "declared", "remembers", "edits"), RUNS)
def test_every_history_is_accepted_collapsed_where_it_is_accepted_uncollapsed(
    layout: str, declared: bool, remembers: bool, edits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever acknowledgement is lost: accepted whole, ends equal, and no more traffic than the classic table. [R-D24]

    Traffic is compared where the remote would have accepted the classic queue at all.
    """
    edits = 5 if SOAK else edits
    counts = Explorer(LAYOUTS[layout], declared=declared, remembers=remembers).explore(edits)
    with capsys.disabled():
        told = "declared" if declared else "nothing said"
        print(f"\n{layout}, {told}, {'remembers' if remembers else 'forgets'}, {edits} edits: {counts}")
    assert CASES.get((layout, edits), counts.cases) == counts.cases
    assert counts.states < counts.cases
    assert counts.classic_refused > 0


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "nothing said"])
@pytest.mark.parametrize("where", ["old", "new"])
def test_the_law_fails_for_a_table_that_does_not_ask_where_the_result_may_stand(
    where: str, declared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The law can fail: it does for one fixed place, the classic old one or the new one."""
    monkeypatch.setattr(queue_module, "place", lambda *given, **depends: where)
    with pytest.raises(Broken):
        Explorer(ITEMS_OF_ONE_LIST, declared=declared, remembers=True).explore(4)


def test_the_law_fails_for_collapsing_into_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempted operations are frozen: collapsing into what may be at the remote loses writes. [D12] [D13]"""
    monkeypatch.setattr(queue_module, "may_collapse", lambda state: True)
    with pytest.raises(Broken):
        Explorer(ITEMS_OF_ONE_LIST, declared=True, remembers=True).explore(3)


# ---- the known flaw, and others of its kind, by name


def pushed(device: Device, remote: Remote) -> tuple[Remote, list[tuple[str, str]]]:
    """Push everything; every change must be accepted. Returns what was sent, in order."""
    sent: list[tuple[str, str]] = []
    run = device.begin(max_changes=1)
    while batch := device.mark(run):
        outcomes: list[Outcome] = []
        for each in batch:
            remote, outcome = remote.take(each.change)
            assert isinstance(outcome, Applied), f"{each.change} met {outcome}"
            sent.append((each.change.kind, each.change.record_id))
            outcomes.append(outcome)
        device.settle(batch, outcomes, run)
    return remote, sent


def both(*keys: Key) -> Contents:
    return {key: new_record(key, None) for key in keys}


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "nothing said"])
def test_insert_a_insert_b_update_a_to_point_at_b(declared: bool) -> None:
    """The known flaw of the systems we learn from: the one insert of A waits for B. [R-D24]"""
    device = Device(declared=declared)
    device.write(A, new_record(A, None))
    device.write(LIST, new_record(LIST, None))
    device.write(A, new_record(A, "L"))
    remote, sent = pushed(device, Remote({}, True))
    assert [("insert", "L"), ("insert", "A")] == sent
    assert {A: new_record(A, "L"), LIST: new_record(LIST, None)} == remote.contents


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "nothing said"])
def test_a_delete_of_a_parent_waits_for_its_children(declared: bool) -> None:
    """Update B, delete A of L, delete B of L, delete L: the list goes last, each record in one operation."""
    held = {A: new_record(A, "L"), B: new_record(B, "L"), LIST: new_record(LIST, None)}
    device, remote = Device(declared=declared), Remote({}, True)
    for key in (LIST, A, B):
        device.write(key, held[key])
    remote, _ = pushed(device, remote)
    device.write(B, {**held[B], "text": "t1"})
    device.write(A, None)
    device.write(B, None)
    device.write(LIST, None)
    remote, sent = pushed(device, remote)
    assert [("delete", "B"), ("delete", "A"), ("delete", "L")] == sent
    assert {} == remote.contents


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "nothing said"])
def test_where_neither_place_is_free_both_operations_stay(declared: bool) -> None:
    """A leaves L, L is deleted, M is inserted, A joins M: two updates of A, and all is accepted."""
    lists = ("lists", "M")
    device, remote = Device(declared=declared), Remote({}, True)
    for key, name in ((LIST, None), (A, "L")):
        device.write(key, new_record(key, name))
    remote, _ = pushed(device, remote)
    device.write(A, new_record(A, None))
    device.write(LIST, None)
    device.write(lists, new_record(lists, None))
    device.write(A, new_record(A, "M"))
    remote, sent = pushed(device, remote)
    assert [("update", "A"), ("delete", "L"), ("insert", "M"), ("update", "A")] == sent
    assert {A: new_record(A, "M"), lists: new_record(lists, None)} == remote.contents


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "nothing said"])
def test_what_two_made_of_one_collapses_with_the_one_before_them(declared: bool) -> None:
    """Two updates of A had to stay; the delete that the second one becomes takes the first one with it."""
    other = ("lists", "M")
    device, remote = Device(declared=declared), Remote({}, True)
    for key, name in ((other, None), (A, "M")):
        device.write(key, new_record(key, name))
    remote, _ = pushed(device, remote)
    device.write(A, new_record(A, None))
    device.write(LIST, new_record(LIST, None))
    device.write(other, None)
    device.write(A, new_record(A, "L"))
    device.write(A, None)
    remote, sent = pushed(device, remote)
    assert [("delete", "A"), ("insert", "L"), ("delete", "M")] == sent
    assert {LIST: new_record(LIST, None)} == remote.contents


def test_the_smallest_histories_are_all_there() -> None:
    """By hand: nine beginnings have 53 legal edits; each is pushed whole, or is lost, or loses its answer."""
    counts = Explorer(ITEMS_OF_ONE_LIST, declared=True, remembers=True).explore(1)
    assert 9 + 53 * 3 == counts.cases
