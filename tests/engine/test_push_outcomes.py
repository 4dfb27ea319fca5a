"""What a push does with what was applied or refused: operation, head, record and report."""

from __future__ import annotations

import pytest

from tests.engine.fakes import Bench, ScriptedTransport, there
from tidesync.contracts.transport import (
    Applied,
    NotSent,
    Page,
    Rejected,
    Unknown,
    Version,
)
from tidesync.operations import Refusal
from tidesync.records import Record


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
