"""The comparison at the end finds what differs, and the exit status says so."""

from pathlib import Path

import attrs
import pytest

from tidesync import Operation, SyncContext
from tidesync.cli import ending, main
from tidesync.cli.compare import Difference, differences
from tidesync.cli.ending import DeviceFailed, effects
from tidesync.cli.show import Show
from tidesync.cli.story import Story
from tidesync.cli.world import TASKS, Place, TodoTask, device
from tidesync.records import Record
from tidesync.stores.sqlite import SQLiteStore

MILK = ("todotask", "milk")


def milk(**changes: object) -> Record:
    return {"id": "milk", "text": "Buy milk", "complete": False, "version": "1", **changes}  # type: ignore[dict-item]


def test_equal_states_have_no_differences() -> None:
    """All three agree."""
    assert differences({"phone": {MILK: milk()}, "laptop": {MILK: milk()}, "remote": {MILK: milk()}}) == []


def test_a_field_that_differs_in_one_place_is_named_with_all_values() -> None:
    """One difference for each field, the remote's version among them."""
    states = {
        "phone": {MILK: milk()},
        "laptop": {MILK: milk()},
        "remote": {MILK: milk(text="x", version="2")},
    }

    assert differences(states) == [
        Difference(*MILK, "text", {"phone": "Buy milk", "laptop": "Buy milk", "remote": "x"}),
        Difference(*MILK, "version", {"phone": "1", "laptop": "1", "remote": "2"}),
    ]


def test_a_record_that_is_missing_in_one_place_is_named() -> None:
    """A record that came back, or never arrived, is a difference."""
    states = {"phone": {MILK: milk()}, "laptop": {}, "remote": {MILK: milk()}}

    assert differences(states) == [
        Difference(*MILK, "record", {"phone": "present", "laptop": "missing", "remote": "present"})
    ]


def test_true_is_not_one() -> None:
    """Values are compared with their JSON type."""
    states = {"phone": {MILK: milk(complete=1)}, "laptop": {MILK: milk(complete=True)}}

    assert differences(states) == [Difference(*MILK, "complete", {"phone": 1, "laptop": True})]


def tampered(change: Record) -> object:
    """The last step, with one record of the phone changed behind the engine's back."""
    compare = ending.compare

    def step(story: Story, phone: SyncContext, laptop: SyncContext) -> bool:
        store = SQLiteStore(story.place.folder / "phone.db")
        store.open([TASKS.schema])
        with store.transaction(write=True) as transaction:
            [held] = transaction.get(TASKS.name, [story.place.id("milk")])
            assert held is not None
            transaction.put(TASKS.name, [{**held, **change}])
        store.close()
        return compare(story, phone, laptop)

    return step


def test_a_device_that_was_tampered_with_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, with the record, the field and all three values."""
    monkeypatch.setattr(ending, "compare", tampered({"text": "Buy nothing"}))
    status = main(["demo", "--loopback"])
    printed = capsys.readouterr().out
    said = [line.split("  ") for line in printed.splitlines() if line.startswith("milk ")]

    assert status == 1
    assert [[cell.strip() for cell in line if cell] for line in said] == [
        ["milk", "text", "Buy nothing", "Buy oat milk", "Buy oat milk"]
    ]
    assert "agree on all" not in printed


def test_an_operation_left_in_a_queue_is_no_agreement(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Equal records are not enough: nothing may be on its way."""
    verdict = ending.verdict
    monkeypatch.setattr(ending, "verdict", lambda story, states, queued: verdict(story, states, {"phone": 2}))
    status = main(["demo", "--loopback"])

    assert status == 1
    assert "The phone still has 2 operation(s) queued." in capsys.readouterr().out


def test_a_promise_that_does_not_hold_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the story says is checked as it is told."""
    monkeypatch.setattr(ending, "effects", lambda *_: {"demo-1-ticket-1": "once", "demo-1-ticket-2": "twice"})
    monkeypatch.setattr(ending, "_short", str)
    monkeypatch.setattr(ending, "_versions", lambda *_: {"demo-1-ticket-1": "1", "demo-1-ticket-2": "2"})
    status = main(["demo", "--loopback"])

    assert status == 1
    assert (
        "Not true: Each effect once: what had arrived was not done a second time." in capsys.readouterr().out
    )


def operation(id: str, state: str) -> Operation:
    return Operation("k", 1, "o", "todotask", id, "insert", {}, state=state)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "after_kill", "at_end", "word"),
    [
        ("attempted", "1", "1", "once"),
        ("attempted", "1", "2", "twice"),
        ("attempted", "1", None, "missing"),
        ("pending", None, "1", "once"),
        ("pending", "1", "1", "missing"),
        (None, "1", "1", "once"),
        (None, "1", "2", "twice"),
    ],
)
def test_effects_are_counted_by_versions(
    state: str | None, after_kill: str | None, at_end: str | None, word: str
) -> None:
    """A write that had arrived gives no second version, one that had not gives one."""
    id = "demo-1-ticket-1"
    survived = {} if state is None else {id: operation(id, state)}

    assert effects(survived, {id: after_kill}, {id: at_end}) == {id: word}


def test_a_device_process_that_ends_by_itself_is_an_error(tmp_path: Path) -> None:
    """The demo does not go on as if it had been killed; it says why."""
    place = Place(tmp_path, "demo-1")
    with (
        device(place, "phone") as phone,
        pytest.raises(DeviceFailed, match="photo-001 is not in the local store"),
    ):
        ending.kill(Story(place, Show()), phone)


def test_a_place_sees_the_records_of_its_run_only(tmp_path: Path) -> None:
    """A server may hold the records of others."""
    mine, other = Place(tmp_path, "demo-1"), Place(tmp_path, "demo-11")
    with device(mine, "phone") as phone:
        phone[TASKS].insert_many(TodoTask(place.id("a"), "a") for place in (mine, other))
        phone[TASKS].insert(TodoTask("a", "a"))

        assert [each.id for each in mine.mine(phone[TASKS].where())] == ["demo-1-a"]
        assert attrs.asdict(mine)["run"] == mine.id("").rstrip("-")
