"""Restart at any moment: what a push or a pull had done by then survives, and the next one goes on from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.fakes import LISTS, WEAK, Bench, ScriptedTransport
from tidesync.conflicts import defer
from tidesync.contracts.transport import Conflicted, Page, Rejected, Unknown
from tidesync.drive import perform
from tidesync.effects import Effect, Exchange, Plan, Transact
from tidesync.errors import NotReachable
from tidesync.operations import Operation
from tidesync.plans.pull import Pull, pull
from tidesync.plans.push import push
from tidesync.query import Query
from tidesync.records import Record
from tidesync.reports import PushFailed
from tidesync.session import Session


def drive(bench: Bench, plan: Plan[Any], effects: int | None) -> int:
    """Perform so many effects and let go, as a killed process does; returns how many there were."""
    done = 0
    try:
        effect: Effect[Any] = next(plan)
        while effects is None or done < effects:
            try:
                answer = perform(effect, bench.ports)
            except Exception as error:
                effect = plan.throw(error)
            else:
                effect = plan.send(answer)
            done += 1
    except (StopIteration, PushFailed):
        done += 1
    return done


def reopened(bench: Bench, number: int) -> Bench:
    """Another opening of the same store: nothing that the first one had in mind is left."""
    return Bench(bench.transport, store=bench.store, nonce=f"again{number}", gone=lambda name: True)


def queue_of_everything() -> tuple[Bench, ScriptedTransport]:
    """A queue in which one of each kind happens: applied, in conflict, refused, in doubt, parked."""
    theirs: Record = {"id": "C", "text": "theirs", "version": "v9"}
    answers = {
        "C": [Conflicted(theirs)] * 9,
        "R": [Rejected("bad", "no")] * 9,
        "U": [Unknown("lost")] * 9,
    }
    transport = ScriptedTransport(answers, max_changes=2)
    bench = Bench(transport)
    bench.remotely("items", {"id": "C", "text": "old", "version": "v1"})
    bench.write("lists", "R", {"text": "refused"})
    bench.write("items", "K", {"text": "child of the refused", "list": "R"})
    bench.write("items", "C", {"text": "ours"})
    bench.write("items", "U", {"text": "in doubt"})
    bench.write("items", "A", {"text": "applied"})
    bench.write("items", "B", {"text": "applied too"})
    return bench, transport


def outline(operations: list[Operation]) -> list[tuple[Any, ...]]:
    return [
        (o.key, o.sequence, o.id, o.kind, o.content, o.state, o.attempts, o.error, o.fields, o.expected)
        for o in operations
    ]


def count_effects(start: Callable[[Session], Plan[Any]]) -> int:
    bench, _ = queue_of_everything()
    return drive(bench, start(bench.session), None)


EFFECTS = count_effects(push)


@pytest.mark.parametrize("moment", range(EFFECTS + 1))
def test_a_push_killed_at_any_effect_goes_on_after_a_restart(moment: int) -> None:
    """Operations, order, attempts, errors and conflicts survive; nothing is applied twice. [C20] [R-E34] [A22]"""
    bench, transport = queue_of_everything()
    _ = drive(bench, push(bench.session), moment)
    before, records = outline(bench.operations()), [bench.rows(table) for table in ("lists", "items")]
    again = reopened(bench, moment)
    assert before == outline(again.operations())
    assert records == [again.rows(table) for table in ("lists", "items")]
    transport.answers = {id: given for id, given in transport.answers.items() if id != "U"}
    _ = again.push()
    assert [
        ("insert", "R", "failed"),
        ("insert", "K", "pending"),
        ("update", "C", "pending"),
    ] == again.queued()
    assert [False, False, True] == [operation.in_conflict for operation in again.operations()]
    ids = {(change.record_id, change.id) for batch in transport.pushes for change in batch}
    assert {"R", "C", "U", "A", "B"} == {record_id for record_id, _ in ids}
    assert len(ids) == len({record_id for record_id, _ in ids}), "a resend keeps its operation id"


def test_there_are_moments_to_kill_at() -> None:
    """The scenario has one effect for each thing that can happen: it does not shrink unnoticed."""
    assert EFFECTS > 15


@pytest.mark.parametrize("moment", range(0, EFFECTS + 1, 3))
def test_new_sequences_and_ids_go_on_after_a_restart(moment: int) -> None:
    """Numbers are never reused: later operations stand behind earlier ones, under ids of their own. [C20]"""
    bench, _ = queue_of_everything()
    _ = drive(bench, push(bench.session), moment)
    old = bench.operations()
    again = reopened(bench, moment)
    again.write("items", "new", {"text": "after the restart"})
    new = again.operations()[-1]
    assert "new" == new.record_id
    assert new.sequence > 6
    assert new.id not in {operation.id for operation in old}


def pages() -> list[Page | Exception]:
    return [
        Page(
            records=[{"id": f"p{n}", "text": str(n), "version": "v"}],
            cursor=n,
            more=n < 3,
            clock="2026-01-01T00:00:00.000000Z",
        )
        for n in range(1, 4)
    ]


def start_pull(session: Session) -> Plan[Any]:
    return pull(session, Pull(query=Query("items"), name="all", push="none"))


def count_pull() -> int:
    bench = Bench(ScriptedTransport(pages=pages(), **WEAK))
    return drive(bench, start_pull(bench.session), None)


PULL_EFFECTS = count_pull()


@pytest.mark.parametrize("moment", range(PULL_EFFECTS + 1))
def test_a_pull_killed_at_any_effect_resumes_at_its_last_stored_page(moment: int) -> None:
    """Page and cursor are one transaction: the records that are here are those up to the cursor. [I10]"""
    bench = Bench(ScriptedTransport(pages=pages(), **WEAK))
    _ = drive(bench, start_pull(bench.session), moment)
    held = len(bench.rows("items"))
    rows = bench.rows("__cursors")
    assert held == (rows[0]["bookmark"]["cursor"] if rows and rows[0]["bookmark"]["cursor"] else 0)  # type: ignore[index, call-overload]
    complete = bool(rows) and rows[0]["bookmark"]["complete"]  # type: ignore[index, call-overload]
    again = reopened(bench, moment)
    transport = ScriptedTransport(pages=[] if complete else pages()[held:], **WEAK)
    again.transport = transport
    _ = again.run(start_pull(again.session))
    assert ["p1", "p2", "p3"] == [row["id"] for row in again.rows("items")]
    assert (held or None) == transport.pulls[0].cursor


def test_conflicts_survive_a_restart() -> None:
    """A conflict is in the head, with both sides: another opening sees and settles it."""
    theirs: Record = {"id": "A", "text": "theirs", "version": "v9"}
    bench = Bench(ScriptedTransport({"A": [Conflicted(theirs)]}), policy=defer)
    bench.write("items", "A", {"text": "ours"})
    _ = bench.push()
    again = reopened(bench, 1)
    (operation,) = again.operations()
    assert (True, theirs) == (operation.in_conflict, again.remote_of("items", "A"))


def test_a_lost_acknowledgement_survives_a_restart() -> None:
    """What was marked may be at the remote: it is sent again, identical, as a second attempt."""
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new"})
    plan = push(bench.session)
    effect: Effect[Any] = next(plan)
    while not (isinstance(effect, Exchange) and transport.opened):
        effect = plan.send(perform(effect, bench.ports))
    _ = perform(effect, bench.ports)
    plan.close()
    assert [("insert", "A", "attempted")] == bench.queued()
    again = reopened(bench, 1)
    assert again.push().ok
    first, second = (batch[0] for batch in transport.pushes)
    assert (first.id, 1, 2, first.record) == (second.id, first.attempts, second.attempts, second.record)


def test_operations_of_a_table_no_longer_declared_are_kept_and_not_sent() -> None:
    """An operation of an unknown table waits for its table; the rest goes. [E30]"""
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("items", "A", {"text": "kept"})
    bench.write("lists", "L", {"text": "sent"})
    again = Bench(transport, store=bench.store, tables=[LISTS], nonce="again", gone=lambda name: True)
    report = again.push()
    assert (["L"], 1) == ([done.record_id for done in report.pushed], report.pending)
    assert [("insert", "A", "pending")] == again.queued()
    assert ["A"] == [row["record_id"] for row in again.rows("__operations")]


def test_effects_of_the_scenario_are_transactions_and_exchanges() -> None:
    """No exchange happens inside a transaction: the two are effects of their own."""
    bench, _ = queue_of_everything()
    plan, kinds = push(bench.session), []
    effect: Effect[Any] = next(plan)
    try:
        while True:
            kinds.append(isinstance(effect, Transact))
            effect = plan.send(perform(effect, bench.ports))
    except PushFailed:
        pass
    assert {True, False} == set(kinds)


def test_a_network_that_fails_at_once_changes_nothing() -> None:
    """A push that cannot open the remote stops by network, and every operation is as it was. [F01] [R-F25]"""
    bench, transport = queue_of_everything()
    before = outline(bench.operations())
    transport.failing = NotReachable("no route", retry_after=3.0)
    report = bench.push()
    assert ("network", 3.0, 6) == (report.status, report.retry_after, report.pending)
    assert before == outline(bench.operations())
