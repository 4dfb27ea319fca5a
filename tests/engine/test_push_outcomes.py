"""Each row of the outcome table: what an answer of the remote does to operation, head, record and report."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine.fakes import Bench, ScriptedTransport
from tidesync.conflicts import (
    Conflict,
    Drop,
    KeepLocal,
    Merge,
    Resolution,
    defer,
    keep_local,
    keep_remote,
    merge_fields,
)
from tidesync.contracts.transport import (
    Absent,
    Applied,
    Change,
    Conflicted,
    Denied,
    NotSent,
    Outcome,
    Page,
    Rejected,
    Undeleted,
    Unknown,
    Untried,
    Version,
)
from tidesync.operations import Refusal
from tidesync.records import Record, Tombstone
from tidesync.session import Attempt, DefaultHandler


def there(version: str = "v0", **fields: object) -> Record:
    """A copy at the remote."""
    return {"id": "A", "text": "old", "note": None, "version": version, **fields}  # type: ignore[dict-item]


def test_applied_with_a_copy_makes_the_copy_the_record() -> None:
    """The operation goes, and the record becomes what the remote holds now. [E05] [E21]"""
    copy: Record = {"id": "A", "text": "new", "stamp": "of the remote", "version": "v7"}
    bench = Bench(ScriptedTransport({"A": [Applied("v7", copy)]}))
    bench.write("items", "A", {"text": "new"})
    report = bench.push()
    assert ("complete", [("insert", "A")]) == (
        report.status,
        [(done.kind, done.record_id) for done in report.pushed],
    )
    assert [] == bench.queued()
    assert copy == bench.record("items", "A")
    assert [] == bench.rows("__heads")


def test_applied_with_a_copy_keeps_newer_local_edits_on_top_of_it() -> None:
    """Edits made meanwhile are rebased onto the copy: fields they did not touch are the remote's. [E12] [R-E35]"""
    transport = ScriptedTransport(
        {"A": [Applied("v7", {"id": "A", "text": "new", "note": "theirs", "version": "v7"})]}
    )
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new", "note": None})
    transport.during_push = lambda: bench.write("items", "A", {"text": "newer", "note": None})
    report = bench.push()
    assert ("complete", 1) == (report.status, report.pending)
    assert {"id": "A", "text": "newer", "note": "theirs", "version": "v7"} == bench.record("items", "A")
    transport.during_push = lambda: None
    assert "complete" == bench.push().status
    (change,) = transport.pushes[1]
    assert ("update", ("text",), Version("v7")) == (change.kind, change.fields, change.expected)


def test_edits_in_flight_become_one_update_of_the_next_push() -> None:
    """Operations queued after the push began wait for the next one, collapsed with each other. [E12] [R-E36]"""
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("items", "A", {"text": "1"})

    def edit() -> None:
        for text in "23":
            bench.write("items", "A", {"text": text})
        bench.write("items", "B", {"text": "new"})

    transport.during_push = edit
    assert 2 == bench.push().pending
    assert [("insert", "A")] == transport.sent
    transport.during_push = lambda: None
    assert 0 == bench.push().pending
    assert [("insert", "A"), ("update", "A"), ("insert", "B")] == transport.sent


def test_a_version_alone_keeps_what_was_sent_as_the_base() -> None:
    """A remote that only remembers tells the version of then: the record is as it was sent, at that version."""
    bench = Bench(ScriptedTransport({"A": [Applied("v9")]}))
    bench.write("items", "A", {"text": "new"})
    assert "complete" == bench.push().status
    assert {"id": "A", "text": "new", "version": "v9"} == bench.record("items", "A")


@pytest.mark.parametrize(
    ("news", "expected"),
    [
        pytest.param(
            there("v9", text="theirs"),
            {"id": "A", "text": "theirs", "note": None, "version": "v9"},
            id="newer",
        ),
        pytest.param(
            there("v5", text="ours"),
            {"id": "A", "text": "ours", "note": None, "version": "v5"},
            id="the same",
        ),
    ],
)
def test_a_version_alone_leaves_waiting_news_to_be_settled(news: Record, expected: Record) -> None:
    """News of another version is newer than what a remembered answer tells, and is settled as if just pulled."""
    transport = ScriptedTransport({"A": [Unknown("lost"), NotSent("gone")]}, pages=[Page(records=[news])])
    bench = Bench(transport)
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    assert "network" == bench.push().status
    _ = bench.pull()
    assert news == bench.remote_of("items", "A")
    assert "ours" == (bench.record("items", "A") or {})["text"]
    transport.answers["A"] = [Applied("v5")]
    assert "complete" == bench.push().status
    assert expected == bench.record("items", "A")
    assert [] == bench.queued()


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


@pytest.mark.parametrize(
    ("policy", "sent", "ends"),
    [
        (keep_local, {"text": "ours", "note": None}, {"text": "ours", "note": None}),
        (merge_fields(), {"text": "ours", "note": "theirs"}, {"text": "ours", "note": "theirs"}),
        (lambda conflict: Merge({"id": "A", "text": "both", "note": None}), {"text": "both", "note": None}, {"text": "both", "note": None}),
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
    bench, transport = in_doubt(
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


# ---- Rejected


def test_a_refused_operation_parks_what_depends_on_it_and_nothing_else() -> None:
    """Failed, error kept, dependants wait, push goes on; the record stays as the user sees it. [F17] [R-E32] [R-F24]"""
    transport = ScriptedTransport({"L": [Rejected("bad", "no such lists")]})
    bench = Bench(transport)
    bench.write("lists", "L", {"text": "refused"})
    bench.write("items", "A", {"text": "child", "list": "L"})
    bench.write("items", "B", {"text": "free"})
    report = bench.push()
    assert [("insert", "L"), ("insert", "B")] == transport.sent
    assert [("insert", "L", "failed"), ("insert", "A", "pending")] == bench.queued()
    assert Refusal("bad", "no such lists") == bench.operations()[0].error
    assert [("L", "rejected", "bad")] == [
        (error.record_id, error.status, error.code) for error in report.errors
    ]
    assert {"id": "L", "text": "refused"} == bench.record("lists", "L")


def test_a_failed_operation_waits_for_someone_to_mend_it() -> None:
    """Later pushes neither send it nor fail by it; it remains in the report. [C18]"""
    transport = ScriptedTransport({"A": [Rejected("bad", "no")]})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "refused"})
    _ = bench.push()
    report = bench.push()
    assert (1, True, ["A"]) == (
        len(transport.sent),
        report.ok,
        [operation.record_id for operation in report.remaining],
    )


def test_retry_failed_sends_refused_operations_again_as_new_ones() -> None:
    """`push(retry_failed=True)`: the same content under a new id, its attempts counted anew."""
    transport = ScriptedTransport({"A": [Rejected("bad", "no")]})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "refused at first"})
    _ = bench.push()
    assert bench.push(retry_failed=True).ok
    first, second = (batch[0] for batch in transport.pushes)
    assert (True, 1, first.record) == (first.id != second.id, second.attempts, second.record)


def test_a_local_edit_mends_a_failed_operation() -> None:
    """The result is pending, its error cleared, its id new; what waited follows it. [D20]"""
    transport = ScriptedTransport({"L": [Rejected("bad", "no")]})
    bench = Bench(transport)
    bench.write("lists", "L", {"text": "refused"})
    bench.write("items", "A", {"text": "child", "list": "L"})
    _ = bench.push()
    bench.write("lists", "L", {"text": "mended"})
    (mended, _) = bench.operations()
    assert ("insert", "pending", 0, None) == (mended.kind, mended.state, mended.attempts, mended.error)
    assert bench.push().ok
    assert [("insert", "L"), ("insert", "L"), ("insert", "A")] == transport.sent


def test_edits_made_while_a_refused_operation_travelled_are_collapsed_into_it() -> None:
    """After a refusal the record's queued operations collapse again; what changed is sent as a new operation."""
    transport = ScriptedTransport({"A": [Rejected("bad", "no")]})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "1"})
    transport.during_push = lambda: (
        bench.write("items", "A", {"text": "2"}) if len(transport.pushes) == 1 else None
    )
    assert bench.push().ok
    first, second = (batch[0] for batch in transport.pushes)
    assert ("insert", {"id": "A", "text": "2"}, 1) == (second.kind, second.record, second.attempts)
    assert first.id != second.id


# ---- Unknown, NotSent, Untried, Denied


def test_an_operation_in_doubt_is_tried_three_times_and_set_aside() -> None:
    """It is left attempted with its dependants; the rest of the queue is pushed. [F13] [F16]"""
    transport = ScriptedTransport({"L": [Unknown("500")] * 9})
    bench = Bench(transport)
    bench.write("lists", "L", {"text": "in doubt"})
    bench.write("items", "A", {"text": "child", "list": "L"})
    bench.write("items", "B", {"text": "free"})
    report = bench.push()
    assert (3, 1, 0) == tuple([id for _, id in transport.sent].count(id) for id in "LBA")
    assert [("insert", "L", "attempted"), ("insert", "A", "pending")] == bench.queued()
    assert [("L", "unknown")] == [(error.record_id, error.status) for error in report.errors]
    assert "complete" == report.status


def test_a_resend_is_identical_under_the_same_id() -> None:
    """What may be at the remote is frozen: same id, kind, fields, expectation and content; only attempts grow. [C26]"""
    transport = ScriptedTransport({"A": [Unknown("lost"), Unknown("lost")]})
    bench = Bench(transport)
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    assert bench.push().ok
    first, second, third = (batch[0] for batch in transport.pushes)
    assert [1, 2, 3] == [first.attempts, second.attempts, third.attempts]
    plain = {(c.id, c.kind, c.fields, c.expected, repr(c.record)) for c in (first, second, third)}
    assert 1 == len(plain)


def test_three_different_operations_in_doubt_in_a_row_mean_that_the_remote_is_down() -> None:
    """The push stops; nothing more is sent. [R-F23]"""
    transport = ScriptedTransport({id: [Unknown("500")] * 9 for id in "ABCDE"}, max_changes=1)
    bench = Bench(transport)
    for id in "ABCDE":
        bench.write("items", id, {"text": id})
    report = bench.push()
    assert ("network", "500") == (report.status, report.reason)
    assert {"A", "B", "C"} >= {id for _, id in transport.sent}
    assert 5 == report.pending


def test_two_operations_in_doubt_by_turns_do_not_mean_that_the_remote_is_down() -> None:
    """Different ones are counted: each of two is tried three times, then both are set aside."""
    transport = ScriptedTransport({id: [Unknown("500")] * 9 for id in "AB"})
    bench = Bench(transport)
    for id in "AB":
        bench.write("items", id, {"text": id})
    report = bench.push()
    assert ("complete", ["A", "B"]) == (report.status, sorted(error.record_id for error in report.errors))
    assert [3, 3] == [[id for _, id in transport.sent].count(id) for id in "AB"]


def test_an_answer_in_between_shows_that_the_remote_is_up() -> None:
    """Doubts count only one after another."""
    answers = {id: [Unknown("500")] * 9 for id in ("A", "C", "E")}
    transport = ScriptedTransport(answers, max_changes=10)
    bench = Bench(transport)
    for id in "ABCDEF":
        bench.write("items", id, {"text": id})
    transport.answers = {**answers, "C": [Unknown("500")], "E": [Unknown("500")]}
    assert {"B", "C", "D", "E", "F"} <= {operation.record_id for operation in bench.push().pushed}


def test_not_sent_returns_to_the_state_it_was_marked_from() -> None:
    """Never in doubt: pending again, as if nothing had been tried; the push stops and tells when to come back. [F01]"""
    transport = ScriptedTransport({"A": [NotSent("refused", 7.5)]})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new"})
    report = bench.push()
    assert ("network", "refused", 7.5, 1) == (
        report.status,
        report.reason,
        report.retry_after,
        report.pending,
    )
    (operation,) = bench.operations()
    assert ("pending", 0, None, None) == (
        operation.state,
        operation.attempts,
        operation.fields,
        operation.expected,
    )
    assert [] == bench.slept
    assert bench.push().ok


def test_not_sent_after_a_doubt_stays_attempted() -> None:
    """One that was ever in doubt may be at the remote, whatever becomes of a later send."""
    transport = ScriptedTransport({"A": [Unknown("lost"), NotSent("refused")]})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new"})
    assert "network" == bench.push().status
    (operation,) = bench.operations()
    assert ("attempted", 1) == (operation.state, operation.attempts)


def test_edits_made_while_nothing_was_sent_collapse_into_the_operation() -> None:
    """Pending again means that a collapse is right again."""
    transport = ScriptedTransport({"A": [NotSent("refused")]})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "1"})
    transport.during_push = lambda: bench.write("items", "A", {"text": "2"})
    _ = bench.push()
    assert [("insert", "A", "pending")] == bench.queued()


def test_untried_does_not_stop_the_push() -> None:
    """Behind a stopped one in the same exchange: back to its state, and sent in the next exchange."""
    transport = ScriptedTransport({"A": [Unknown("500")], "B": [Untried()]})
    bench = Bench(transport)
    for id in "AB":
        bench.write("items", id, {"text": id})
    assert bench.push().ok
    assert [1, 1, 2, 1] == [
        change.attempts for batch in transport.pushes for change in sorted(batch, key=lambda c: c.record_id)
    ]


def test_refused_credentials_stop_the_push() -> None:
    """Status authentication; the operation is kept as it was. [F02]"""
    bench = Bench(ScriptedTransport({"A": [Denied("401")]}))
    bench.write("items", "A", {"text": "new"})
    report = bench.push()
    assert ("authentication", "401") == (report.status, report.reason)
    assert [("insert", "A", "pending")] == bench.queued()
    assert bench.push().ok


# ---- a push ends, whatever the remote says


@pytest.mark.parametrize("outcome", [Conflicted(Tombstone("v5")), Conflicted(None), Undeleted(there("v6"))])
def test_a_remote_that_always_sends_an_insert_back_is_not_asked_for_ever(outcome: Outcome) -> None:
    """Ways to go on count as rounds too: after five the record is set aside, and the report says so. [R-F26] [R-E36]"""
    transport = ScriptedTransport({"A": [outcome] * 100})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new"})
    bench.write("items", "B", {"text": "free"})
    report = bench.push()
    assert ("complete", ["A"], ["B"]) == (
        report.status,
        [error.record_id for error in report.errors],
        [done.record_id for done in report.pushed],
    )
    assert 6 == [id for _, id in transport.sent].count("A")


def test_an_exchange_of_which_nothing_was_tried_stops_the_push() -> None:
    """Nothing stopped it, so asking again would not end; everything is as it was."""
    transport = ScriptedTransport({id: [Untried()] * 100 for id in "AB"})
    bench = Bench(transport)
    for id in "AB":
        bench.write("items", id, {"text": id})
    assert "network" == bench.push().status
    assert (1, [("insert", "A", "pending"), ("insert", "B", "pending")]) == (
        len(transport.pushes),
        bench.queued(),
    )


def test_what_a_handler_raises_reaches_the_caller() -> None:
    """Its own exceptions are not swallowed; what was marked is sent again by the next push."""

    def fail(attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:
        raise ZeroDivisionError

    bench = Bench(ScriptedTransport(), handler=Handler(fail))
    bench.write("items", "A", {"text": "new"})
    with pytest.raises(ZeroDivisionError):
        _ = bench.push()
    bench.session.handler = None
    assert bench.push().ok


# ---- the handler


class Handler(DefaultHandler):
    """Does what a test says."""

    def __init__(self, execute: Callable[[Attempt, Callable[[], Outcome]], Outcome | None]) -> None:
        self._execute = execute

    def execute(self, attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:
        return self._execute(attempt, send)


def test_a_handler_stops_the_push() -> None:
    """`abort_push()` before sending: status handler, the operation pending as before. [F08] [C17]"""

    def stop(attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:
        attempt.abort_push()
        return None

    transport = ScriptedTransport()
    bench = Bench(transport, handler=Handler(stop))
    bench.write("items", "A", {"text": "new"})
    report = bench.push()
    assert ("handler", []) == (report.status, transport.sent)
    assert [("insert", "A", "pending")] == bench.queued()


def test_a_handler_that_stops_after_sending_leaves_the_operation_in_doubt() -> None:
    """What was sent may be at the remote, whatever the handler thinks of it."""

    def stop(attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:
        _ = send()
        attempt.abort_push()
        return None

    bench = Bench(ScriptedTransport(), handler=Handler(stop))
    bench.write("items", "A", {"text": "new"})
    assert "handler" == bench.push().status
    assert [("insert", "A", "attempted")] == bench.queued()


def test_a_handler_may_leave_an_operation_for_later() -> None:
    """None sends nothing; the others go one at a time. [C18] [F06] [E13]"""
    handler = Handler(lambda attempt, send: None if attempt.operation.record_id == "A" else send())
    transport = ScriptedTransport(max_changes=10)
    bench = Bench(transport, handler=handler)
    for id in "ABC":
        bench.write("items", id, {"text": id})
    report = bench.push()
    assert ([("insert", "B"), ("insert", "C")], [1, 1]) == (
        transport.sent,
        [len(batch) for batch in transport.pushes],
    )
    assert ("complete", [("insert", "A", "pending")]) == (report.status, bench.queued())


def test_a_handler_may_send_more_than_once() -> None:
    """Each send counts as an attempt: what was sent twice is in doubt from then on. [F12]"""

    def twice(attempt: Attempt, send: Callable[[], Outcome]) -> Outcome | None:
        _ = send()
        return send()

    transport = ScriptedTransport({"A": [Unknown("lost"), Conflicted(there("v5", text="ours"))]})
    bench = Bench(transport, handler=Handler(twice))
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    assert bench.push().ok


def test_policies_are_asked_outside_transactions() -> None:
    """User code may read and write the store while it is asked."""

    def policy(conflict: Conflict) -> Resolution:
        bench.write("items", "other", {"text": "written by the policy"})
        return defer(conflict)

    bench = Bench(ScriptedTransport({"A": [Conflicted(there("v5"))]}), policy=policy)
    bench.remotely("items", there())
    bench.write("items", "A", {"text": "ours", "note": None})
    _ = bench.push()
    assert ["A", "other"] == [operation.record_id for operation in bench.operations()]


def test_an_answer_never_brings_back_what_was_dropped_meanwhile() -> None:
    """Settling is compare-and-set on the operation id: a dropped operation's record is not recreated. [E16]"""

    def drop() -> None:
        with bench.store.transaction(write=True) as transaction:
            queue = bench.session.queue(transaction, 0.0)
            head = queue.ledger.head("items", "A")
            assert head is not None
            queue.discard(head)
            _ = queue.close("resolution")

    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new"})
    transport.during_push = drop
    report = bench.push()
    assert ((), None, []) == (tuple(report.pushed), bench.record("items", "A"), bench.queued())


def applied_as(text: str) -> Callable[[Change], Outcome]:
    """The remote applies, and holds something else."""
    return lambda change: Applied("v9", {"id": change.record_id, "text": text, "version": "v9"})


def test_a_delete_of_an_insert_in_flight_follows_it() -> None:
    """Deleting what may be at the remote queues a delete behind the insert. [D12] [D04]

    References refuse the local delete (D04 x); here nothing is refused, and nothing comes back.
    """
    transport = ScriptedTransport({"A": [applied_as("as the remote made it")]})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new"})
    transport.during_push = lambda: bench.write("items", "A", None)
    _ = bench.push()
    transport.during_push = lambda: None
    assert [("delete", "A", "pending")] == bench.queued()
    assert bench.push().ok
    assert Version("v9") == transport.pushes[-1][0].expected
    assert None is bench.record("items", "A")
