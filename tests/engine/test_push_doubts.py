"""What a push does when it does not know, may not go on, or is stopped by its handler."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine.fakes import Bench, ScriptedTransport, there
from tidesync.conflicts import (
    Conflict,
    Resolution,
    defer,
)
from tidesync.contracts.transport import (
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
from tidesync.records import Tombstone
from tidesync.session import Attempt, DefaultHandler

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


def test_a_refusal_ends_the_doubt_about_a_tombstone_that_waited() -> None:
    """News that came while an insert was in doubt is looked at when it is refused: nobody is asked about two deaths."""
    asked: list[Conflict] = []

    def policy(conflict: Conflict) -> Resolution:
        asked.append(conflict)
        return defer(conflict)

    refused: list[Outcome] = [Unknown("500")] * 3 + [Rejected("bad", "no")]
    transport = ScriptedTransport(
        {"A": refused, "B": refused}, pages=[Page(tombstones={id: Tombstone("v1") for id in "AB"})]
    )
    bench = Bench(transport, policy=policy)
    bench.remotely("items", {**there(), "id": "B"})
    bench.write("items", "A", {"text": "new"})
    bench.write("items", "B", None)
    _ = bench.push()
    _ = bench.pull()
    report = bench.push()
    assert [] == asked
    assert [("insert", "A", "failed")] == bench.queued()
    assert ["A"] == [error.record_id for error in report.errors]
    assert Tombstone("v1") == (head.base if (head := bench.head("items", "A")) else None)
