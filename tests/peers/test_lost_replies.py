"""The server acted and the device never heard of it: exactly one effect, and no false conflict."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.peers.remote import Remote
from tests.peers.sent import Kind
from tests.peers.wire_faults import (
    Answer,
    CutReply,
    Duplicate,
    Fault,
    Forward,
    Hold,
    LoseReply,
    LoseRequest,
    Seen,
)
from tidesync import PushFailed, SyncContext, SyncTable

FAULTS: dict[str, Fault] = {
    "the connection closes": LoseReply(),
    "the reply breaks off": CutReply(),
    "silence": LoseReply(silent=True),
    "500 after the commit": Answer(500, after=True),
    "a page of HTML after the commit": Answer(200, b"<html>hello</html>", after=True),
}


@attrs.frozen
class Case:
    """An operation, the change that is on its way, and the row that it leaves: live or not, so often written."""

    edit: Callable[[SyncTable[dict[str, Any]]], object]
    kind: Kind
    id: str
    text: str | None
    edits: int


CASES = {
    "insert": Case(lambda items: items.insert({"id": "new", "text": "new"}), "insert", "new", "new", 1),
    "update": Case(lambda items: items.update("old", text="newer"), "update", "old", "newer", 2),
    "delete": Case(lambda items: items.delete("old"), "delete", "old", None, 2),
    "undelete": Case(
        lambda items: items.insert({"id": "gone", "text": "back"}), "undelete", "gone", "back", 4
    ),
    "update after undelete": Case(
        lambda items: items.insert({"id": "gone", "text": "back"}), "update", "gone", "back", 4
    ),
}


def case_of(remote: Remote, kind: str) -> Case:
    """The case as it is on this way: in a batch, an insert over a tombstone is one change, and one write."""
    case = CASES[kind]
    batched = remote.way.batched and case.id == "gone"
    return attrs.evolve(case, kind="insert", edits=3) if batched else case


def started(remote: Remote, **transport: Any) -> SyncContext:
    """A device that has pulled a live row of version 1 and a deleted one of version 2."""
    remote.insert(remote.items, "old", text="old", priority=1)
    remote.insert(remote.items, "gone", text="gone")
    remote.remove(remote.items, "gone")
    device = remote.device(concurrency=1, **transport)
    device[remote.items].pull()
    remote.wire.clear()
    return device


def assert_once(remote: Remote, device: SyncContext, case: Case) -> None:
    """The operation has had its one effect, and the device knows it."""
    row = remote.row(remote.items, case.id)
    assert case.edits == remote.edits(remote.items)[case.id]
    assert (case.text is None) == row["deleted"]
    here = device[remote.items].get(case.id)
    if case.text is None:
        assert None is here
    else:
        assert case.text == row["text"]
        assert here is not None
        assert (case.text, row["version"]) == (here["text"], here["version"])
    assert ([], 0) == (device.conflicts(), device.pending_operations)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", CASES)
def test_one_lost_acknowledgement(remote: Remote, kind: str, fault: str) -> None:
    """The same push sends it again, recognises its own success, and reports nothing but that."""
    case = case_of(remote, kind)
    device = started(remote, timeout=0.4 if fault == "silence" else 20.0)
    case.edit(device[remote.items])
    remote.plan(FAULTS[fault], kind=case.kind, id=case.id)

    report = device.push()

    assert (1, "complete", ()) == (len(report.pushed), report.status, report.errors)
    assert_once(remote, device, case)


@pytest.mark.soaked
@pytest.mark.parametrize("kind", CASES)
def test_nothing_is_heard_until_a_later_push(remote: Remote, kind: str) -> None:
    """Three tries leave it in doubt; the next push, from the file alone, settles it."""
    case = case_of(remote, kind)
    device = started(remote, path=remote.folder / "kept.db", retries=0)
    case.edit(device[remote.items])
    lost: list[Seen] = []
    remote.plan(LoseReply(), kind=case.kind, id=case.id, when=lambda seen: lost.append(seen) is None)
    # What is asked next gets no answer either, whatever it is.
    remote.wire.plan(Answer(503), when=lambda seen: bool(lost), times=None)

    with pytest.raises(PushFailed) as caught:
        device.push()

    assert ["unknown"] == [error.status for error in caught.value.errors]
    assert ["attempted"] == [operation.state for operation in device.operations()]
    device.close()
    remote.wire.clear()
    again = remote.device(path=remote.folder / "kept.db")
    assert 1 == len(again.push().pushed)
    assert_once(remote, again, case)


@pytest.mark.soaked
@pytest.mark.parametrize("kind", CASES)
def test_a_request_that_arrives_after_its_resend(remote: Remote, kind: str) -> None:
    """It timed out and lay somewhere: when it is delivered at last, nothing happens."""
    case = case_of(remote, kind)
    device = started(remote, timeout=0.4)
    case.edit(device[remote.items])
    remote.plan(Hold(silent=True), kind=case.kind, id=case.id)
    device.push()

    late = remote.wire.deliver()

    assert 1 == len(late)
    # On tidesync's own protocol it is the same operation, which is told again that it took effect.
    assert remote.way.batched == (late[0].status == 200)
    assert remote.way.batched or 400 <= (late[0].status or 0) < 500
    assert_once(remote, device, case)


@pytest.mark.soaked
@pytest.mark.parametrize("kind", CASES)
def test_a_request_that_arrives_after_the_device_gave_up(remote: Remote, kind: str) -> None:
    """The push ended in doubt, then the request arrived: the next push finds that all is done."""
    case = case_of(remote, kind)
    device = started(remote)
    case.edit(device[remote.items])
    remote.plan(Hold(), LoseRequest(), LoseRequest(), kind=case.kind, id=case.id)
    with pytest.raises(PushFailed):
        device.push()

    assert 1 == len(remote.wire.deliver())
    device.push()

    assert_once(remote, device, case)


def test_a_late_request_after_further_edits(remote: Remote) -> None:
    """The device has gone on: what arrives late does not take it back."""
    device = started(remote, timeout=0.4)
    items = device[remote.items]
    items.update("old", text="second")
    remote.plan(Hold(silent=True), kind="update")
    device.push()
    items.update("old", text="third", note="more")
    device.push()

    remote.wire.deliver()

    row, edits = remote.row(remote.items, "old"), remote.edits(remote.items)["old"]
    assert (3, "third", "more") == (edits, row["text"], row["note"])
    device.pull(remote.items)
    assert "third" == (items.get("old") or {})["text"]


@pytest.mark.soaked
@pytest.mark.parametrize("kind", CASES)
def test_a_request_that_arrives_twice(remote: Remote, kind: str) -> None:
    """The wire repeated it: the second one changes nothing."""
    case = case_of(remote, kind)
    device = started(remote)
    case.edit(device[remote.items])
    remote.plan(Duplicate(), kind=case.kind, id=case.id)
    device.push()

    remote.wire.deliver()

    assert_once(remote, device, case)


def test_edits_made_while_in_doubt_follow(remote: Remote) -> None:
    """An operation that may be at the server is not changed: what the user does next queues behind it."""
    device = started(remote)
    items = device[remote.items]
    items.insert({"id": "new", "text": "one"})
    remote.plan(LoseReply(), LoseRequest(), LoseRequest(), kind="insert")
    with pytest.raises(PushFailed):
        device.push()

    items.update("new", text="two")
    assert ["attempted", "pending"] == [operation.state for operation in device.operations()]
    device.push()

    assert {"new": "two"}.items() <= remote.alive(remote.items, "text").items()
    assert 2 == remote.edits(remote.items)["new"]


def test_what_was_in_doubt_and_then_changed_by_others_is_merged(remote: Remote) -> None:
    """An insert under an id made here had arrived, whatever it looks like now: their edit counts, ours only once."""
    device = started(remote)
    device[remote.items].insert({"text": "mine", "priority": 1})
    id = device.operations()[0].record_id
    remote.plan(LoseReply(), LoseRequest(), LoseRequest(), kind="insert")
    with pytest.raises(PushFailed):
        device.push()
    remote.change(remote.items, id, priority=9)

    device.push()

    if (
        remote.way.batched
    ):  # it knows the operation: it took effect, and what is there by now is news of a pull
        device.pull(remote.items)
    row = remote.row(remote.items, id)
    assert ("mine", 9, 2) == (row["text"], row["priority"], remote.edits(remote.items)[id])
    assert 9 == (device[remote.items].get(id) or {})["priority"]
    assert [] == device.conflicts()


@pytest.mark.parametrize("edited", [False, True])
def test_what_was_in_doubt_and_then_deleted_by_others(remote: Remote, edited: bool) -> None:
    """It had arrived and was deleted since: news like any other, and a conflict only with edits made later."""
    device = started(remote)
    device[remote.items].insert({"text": "mine"})
    id = device.operations()[0].record_id
    remote.plan(LoseReply(), LoseRequest(), LoseRequest(), kind="insert")
    with pytest.raises(PushFailed):
        device.push()
    remote.remove(remote.items, id)

    if edited:
        device[remote.items].update(id, text="mine, later")
        with pytest.raises(PushFailed) as caught:
            device.push()
        assert ["conflict"] == [error.status for error in caught.value.errors]
        assert [id] == [conflict.record_id for conflict in device.conflicts()]
    else:
        device.push()
        if remote.way.batched:  # as above
            device.pull(remote.items)
        assert None is device[remote.items].get(id)
    assert True is remote.row(remote.items, id)["deleted"]


def test_an_echo_in_a_pull_is_no_news(remote: Remote) -> None:
    """The reply was lost, and the pull brings our own write: no conflict, and nothing is sent twice."""
    device = started(remote)
    device[remote.items].update("old", text="newer")
    remote.plan(LoseReply(), LoseRequest(), LoseRequest(), kind="update")
    with pytest.raises(PushFailed):
        device.push()

    device.pull(remote.items, name="all", push="none")
    assert [] == device.conflicts()
    remote.plan(Forward(), kind="update")
    device.push()

    assert_once(remote, device, CASES["update"])
