"""What a push does with a conflict: settle it, recognise its own earlier success, or report it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine.fakes import Bench, ScriptedTransport, there
from tidesync.conflicts import (
    Conflict,
    Drop,
    KeepLocal,
    Merge,
    Resolution,
    keep_local,
    keep_remote,
    merge_fields,
)
from tidesync.contracts.transport import (
    Absent,
    Applied,
    Conflicted,
    NotSent,
    Outcome,
    Undeleted,
    Unknown,
    Version,
)
from tidesync.records import Record, Tombstone

# ---- Conflicted


def test_an_unsettled_conflict_is_reported_and_nothing_is_lost() -> None:
    """The record stays in conflict, as the user sees it; the error carries both sides. [G12] [G14] [G16] [F18]"""
    bench = Bench(ScriptedTransport({"A": [Conflicted(there("v5", text="theirs"))]}))
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    report = bench.push()
    (error,) = report.errors
    assert ("conflict", {"id": "A", "text": "ours", "note": None}) == (error.status, error.sent)
    assert there("v5", text="theirs") == error.server
    assert [("update", "A", "pending")] == bench.queued()
    assert [True] == [operation.in_conflict for operation in bench.operations()]
    assert "ours" == (bench.record("items", "A") or {})["text"]


def test_the_other_operations_are_pushed_past_a_conflict() -> None:
    """One record in conflict parks what depends on it, and nothing else. [E22]"""
    transport = ScriptedTransport({"A": [Conflicted(there("v5"))]})
    bench = Bench(transport)
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    bench.write("items", "B", {"text": "new"})
    report = bench.push()
    assert (["B"], ["A"]) == (
        [done.record_id for done in report.pushed],
        [error.record_id for error in report.errors],
    )


def test_a_record_in_conflict_is_not_sent_again_before_it_is_settled() -> None:
    """Push first settles the records in conflict, and sends none that stay so; the report lists them. [R-F26]"""
    transport = ScriptedTransport({"A": [Conflicted(there("v5", text="theirs"))]})
    bench = Bench(transport)
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    _ = bench.push()
    report = bench.push()
    assert 1 == len(transport.sent)
    assert (True, ["A"]) == (report.ok, [operation.record_id for operation in report.remaining])


BOTH: Record = {"text": "both", "note": None}


@pytest.mark.parametrize(
    ("policy", "sent", "ends"),
    [
        (keep_local, {"text": "ours", "note": None}, {"text": "ours", "note": None}),
        (merge_fields(), {"text": "ours", "note": "theirs"}, {"text": "ours", "note": "theirs"}),
        (lambda conflict: Merge({"id": "A", **BOTH}), BOTH, BOTH),
        (keep_remote, None, {"text": "old", "note": "theirs"}),
        (lambda conflict: Drop(), None, {"text": "old", "note": "theirs"}),
    ],
    ids=["keep_local", "merge_fields", "merge", "keep_remote", "drop"],
)  # fmt: skip
def test_a_policy_settles_a_conflict_within_the_push(
    policy: Callable[[Conflict], Resolution], sent: Record | None, ends: Record
) -> None:
    """The answer makes the remote's copy the base, and is sent as an edit of it. [G25] [G26] [G29] [R-G33]"""
    transport = ScriptedTransport({"A": [Conflicted(there("v5", note="theirs"))]})
    bench = Bench(transport, policy=policy)
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    report = bench.push()
    assert (True, []) == (report.ok, bench.queued())
    assert ends == {key: value for key, value in (bench.record("items", "A") or {}).items() if key in ends}
    resent = [change for batch in transport.pushes[1:] for change in batch]
    assert ([] if sent is None else [(Version("v5"), {"id": "A", **sent})]) == [
        (c.expected, c.record) for c in resent
    ]


def test_a_policy_sees_base_local_and_remote() -> None:
    """The policy sees the whole record: what the edits began from, what is here, what is there. [G05]"""
    seen: list[Conflict] = []

    def policy(conflict: Conflict) -> Resolution:
        seen.append(conflict)
        return KeepLocal()

    bench = Bench(ScriptedTransport({"A": [Conflicted(Tombstone("v5"))]}), policy=policy)
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    _ = bench.push()
    (conflict,) = seen
    assert (there(), there(text="ours"), Tombstone("v5")) == (conflict.base, conflict.local, conflict.remote)


def test_an_edit_while_the_policy_thinks_makes_it_be_asked_again() -> None:
    """An answer applies only to the state that it was asked about. [G06]"""
    asked: list[object] = []

    def policy(conflict: Conflict) -> Resolution:
        asked.append((conflict.local or {})["text"])
        if len(asked) == 1:
            bench.write("items", "A", {"text": "later", "note": None})
        return KeepLocal()

    transport = ScriptedTransport({"A": [Conflicted(there("v5"))]})
    bench = Bench(transport, policy=policy)
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    _ = bench.push()
    assert ["ours", "later"] == asked
    assert "later" == (bench.record("items", "A") or {})["text"]


def test_a_policy_that_never_helps_is_asked_five_times_in_one_push() -> None:
    """After five rounds for one record it is set aside, still pending, and the report says so. [F14] [R-F26]"""
    conflicts = [Conflicted(there(f"v{n}", text=f"theirs {n}")) for n in range(10, 30)]
    transport = ScriptedTransport({"A": conflicts})
    bench = Bench(transport, policy=keep_local)
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    bench.write("items", "B", {"text": "new"})
    report = bench.push()
    assert 6 == [record_id for _, record_id in transport.sent].count("A")
    assert ([("A", "conflict")], ["B"]) == (
        [(error.record_id, error.status) for error in report.errors],
        [done.record_id for done in report.pushed],
    )
    assert [("update", "A", "pending")] == bench.queued()


def test_a_conflict_that_was_settled_is_not_reported() -> None:
    """Only what did not go through is an error. [G14]"""
    bench = Bench(ScriptedTransport({"A": [Conflicted(there("v5"))]}), policy=keep_local)
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    assert ((), True) == ((report := bench.push()).errors, report.ok)


# ---- echo


def in_doubt(
    kind: str, *, generated: bool = False, base: bool = True, answers: list[Outcome]
) -> tuple[Bench, ScriptedTransport]:
    """An operation on A that was sent once before, with these answers waiting."""
    transport = ScriptedTransport({"A": [Unknown("lost"), *answers]})
    bench = Bench(transport)
    if base:
        bench.remotely("items", there())
    bench.write(
        "items", "A", None if kind == "delete" else {"text": "ours", "note": None}, generated=generated
    )
    return bench, transport


def test_our_own_earlier_update_is_recognised() -> None:
    """The fields that were sent stand in the remote's copy: the refusal is our own earlier success."""
    bench, transport = in_doubt("update", answers=[Conflicted(there("v5", text="ours", note="theirs"))])
    report = bench.push()
    assert (True, 2) == (report.ok, len(transport.sent))
    assert there("v5", text="ours", note="theirs") == bench.record("items", "A")


def test_what_was_never_sent_before_is_no_echo() -> None:
    """Equal content is a conflict on the first send: only a resend can meet itself."""
    bench = Bench(ScriptedTransport({"A": [Conflicted(there("v5", text="ours"))]}))
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    assert ["conflict"] == [error.status for error in bench.push().errors]


def test_an_insert_under_a_generated_id_is_its_own_even_if_it_differs() -> None:
    """Nobody else can have made the id: it is applied, and the difference is the remote's."""
    bench, _ = in_doubt(
        "insert", generated=True, base=False, answers=[Conflicted(there("v5", text="theirs"))]
    )
    assert bench.push().ok
    assert there("v5", text="theirs") == bench.record("items", "A")


def test_an_insert_under_a_chosen_id_that_differs_is_a_conflict() -> None:
    """Somebody else may have inserted the same id. [R-G34]"""
    bench, _ = in_doubt("insert", base=False, answers=[Conflicted(there("v5", text="theirs"))])
    assert ["conflict"] == [error.status for error in bench.push().errors]


def test_an_insert_under_a_generated_id_that_meets_a_tombstone_had_arrived() -> None:
    """It had arrived and was deleted since: with nothing edited on top of it, it is gone here too."""
    bench, transport = in_doubt("insert", generated=True, base=False, answers=[Conflicted(Tombstone("v5"))])
    assert bench.push().ok
    assert ([], None, 2) == (bench.queued(), bench.record("items", "A"), len(transport.sent))


def test_edits_on_top_of_an_arrived_insert_that_was_deleted_since_are_a_conflict() -> None:
    """The base is what was sent, the remote the tombstone: an edit against a deletion."""
    bench, _ = in_doubt(
        "insert", generated=True, base=False, answers=[NotSent("down"), Conflicted(Tombstone("v5"))]
    )
    _ = bench.push()
    bench.write("items", "A", {"text": "edited", "note": None})
    assert ["conflict"] == [error.status for error in bench.push().errors]
    head = bench.head("items", "A")
    assert head is not None
    assert (Tombstone("v5"), "ours") == (head.remote, (head.base or {})["text"])  # type: ignore[index]
    assert [("update", "A", "pending")] == bench.queued()


@pytest.mark.parametrize("found", [Tombstone("v5"), None])
def test_an_insert_that_meets_a_grave_goes_on_from_it(found: Tombstone | None) -> None:
    """An insert that may not have arrived is sent anew, expecting the grave that was found."""
    transport = ScriptedTransport({"A": [Conflicted(found)]})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "ours"})
    assert bench.push().ok
    assert [Absent(), found or Tombstone()] == [
        change.expected for batch in transport.pushes for change in batch
    ]


def test_an_update_that_meets_a_tombstone_is_a_conflict() -> None:
    """An edit against a deletion is the user's to decide; nothing comes back by itself."""
    bench = Bench(ScriptedTransport({"A": [Conflicted(Tombstone("v5"))]}))
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    assert [Tombstone("v5")] == [error.server for error in bench.push().errors]


@pytest.mark.parametrize(
    "outcome",
    [
        Conflicted(None),
        Conflicted(Tombstone("v5")),
        Applied("v5", Tombstone("v5")),
        Applied(None, Tombstone()),
    ],
)
def test_a_delete_of_what_is_gone_is_applied(outcome: Outcome) -> None:
    """404 and 410 to a delete are success. [F09] [F10]"""
    bench = Bench(ScriptedTransport({"A": [outcome]}))
    bench.remotely("items", there())
    bench.write("items", "A", None)
    assert (True, [], None) == (bench.push().ok, bench.queued(), bench.record("items", "A"))


def test_a_delete_of_what_changed_meanwhile_is_a_conflict() -> None:
    """The deleted record is not deleted over news; the server's copy is in the error. [G16] [G30]"""
    bench = Bench(ScriptedTransport({"A": [Conflicted(there("v5", text="theirs"))]}))
    bench.remotely("items", there())
    bench.write("items", "A", None)
    assert [there("v5", text="theirs")] == [error.server for error in bench.push().errors]
    assert None is bench.record("items", "A")


def test_undeleted_goes_on_as_an_update_of_what_came_back() -> None:
    """Reviving is an exchange of its own: the revived record is the base, the insert an update of it."""
    back = there("v6", text="from the grave", note="old note")
    transport = ScriptedTransport({"A": [Conflicted(Tombstone("v5")), Undeleted(back)]})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "ours", "note": None})
    assert bench.push().ok
    change = transport.pushes[-1][0]
    assert ("update", ("text", "note"), Version("v6")) == (change.kind, change.fields, change.expected)
