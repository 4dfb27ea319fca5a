"""Plans driven by hand with next, send and throw: no store, no network, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.engine.hands import REMOTE, Hand, Shelf, session, shelf_with
from tidesync.conflicts import keep_local
from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    NotSent,
    Page,
    Rejected,
    TransportCapabilities,
    Unknown,
)
from tidesync.effects import (
    Ask,
    Effect,
    Handle,
    OpenRemote,
    Plan,
    PullPage,
    PushChanges,
    Transact,
    Wait,
)
from tidesync.errors import (
    LeaseLost,
    NotReachable,
    ProtocolError,
    RemoteChanged,
    RequestRefused,
    StoreBusy,
    StoreFull,
    SyncBusy,
    Unauthorized,
)
from tidesync.lease import POLL
from tidesync.plans.pull import Pull, pull
from tidesync.plans.purge import purge
from tidesync.plans.push import push
from tidesync.query import Query
from tidesync.reports import PushFailed, PushReport
from tidesync.session import DefaultHandler


def applied(effect: Effect[Any] | None) -> list[Applied]:
    """Everything was put into effect."""
    assert isinstance(effect, PushChanges)
    return [Applied("v1", {**(change.record or {}), "version": "v1"}) for change in effect.changes]


def pulling() -> Plan[Any]:
    return pull(session(), Pull(query=Query("items"), name="all"))


# ---- order of effects


def test_a_push_takes_the_lease_first_and_lets_it_go_last() -> None:
    """Lease, begin, open, recognise, mark, exchange, settle, report, release: nothing else, in this order."""
    hand = Hand(push(session()), shelf_with("A"))
    assert isinstance(hand.start(), OpenRemote)
    effect = hand.send(REMOTE)
    assert "me" == hand.shelf.lease["holder"]
    assert None is hand.send(applied(effect))
    assert [
        "Transact", "Transact", "Emit", "OpenRemote", "Transact", "Transact", "PushChanges", "Transact", "Emit",
        "Transact", "Emit", "Transact",
    ] == hand.trace  # fmt: skip
    assert (True, None) == (hand.result.ok, hand.shelf.lease["holder"])


def test_the_remote_is_opened_once_in_a_session() -> None:
    """A second push knows it already."""
    here, shelf = session(), shelf_with("A")
    hand = Hand(push(here), shelf)
    _ = hand.start()
    _ = hand.send(applied(hand.send(REMOTE)))
    queue = here.queue(shelf, 0.0)
    queue.write("items", "B", {"id": "B", "text": "new"})
    _ = queue.close("local")
    assert isinstance(Hand(push(here), shelf).start(), PushChanges)


def test_what_is_sent_was_marked_before() -> None:
    """The mark is durable before the exchange is asked for."""
    hand = Hand(push(session()), shelf_with("A"))
    _ = hand.start()
    effect = hand.send(REMOTE)
    assert isinstance(effect, PushChanges)
    assert ["attempted"] == [row["state"] for row in hand.shelf.tables["__operations"].values()]


def test_a_pull_opens_reads_and_stores_page_by_page() -> None:
    """Each page is one transaction; the cursor of one is asked with the next."""
    hand = Hand(pulling(), Shelf())
    _ = hand.start()
    first = hand.send(REMOTE)
    assert isinstance(first, PullPage)
    second = hand.send(Page(records=[{"id": "A", "version": "v"}], cursor=7, more=True))
    assert isinstance(second, PullPage)
    assert (7, ["A"]) == (second.request.cursor, list(hand.shelf.tables["items"]))
    assert None is hand.send(Page(cursor=8))
    assert (2, None) == (hand.result.pages, hand.shelf.lease["holder"])


def test_a_purge_of_a_quiet_table_is_three_transactions_and_an_event() -> None:
    """Lease, look, remove, tell, release; no exchange at all."""
    hand = Hand(purge(session(), Query("items")), Shelf())
    assert None is hand.start()
    assert ["Transact", "Transact", "Transact", "Emit", "Transact"] == hand.trace


def test_a_conflict_is_asked_outside_transactions_and_then_applied() -> None:
    """Exchange, settle, read, ask, apply, mark, exchange."""
    hand = Hand(push(session(policy=keep_local)), shelf_with("A"))
    _ = hand.start()
    _ = hand.send(REMOTE)
    effect = hand.send([Conflicted({"id": "A", "text": "theirs", "version": "v9"})])
    assert isinstance(effect, Ask)
    again = hand.send(effect.policy(effect.conflict))
    assert isinstance(again, PushChanges)
    assert None is hand.send(applied(again))
    assert hand.result.ok


# ---- exceptions


@pytest.mark.parametrize("start", [lambda: push(session()), pulling], ids=["push", "pull"])
@pytest.mark.parametrize("error", [RequestRefused("no", code="x"), ZeroDivisionError("a bug")])
def test_the_lease_is_let_go_when_the_remote_cannot_be_opened(
    start: Callable[[], Plan[Any]], error: Exception
) -> None:
    """Whatever is thrown into a plan comes out of it, after the lease was released."""
    shelf = shelf_with("A")
    hand = Hand(start(), shelf)
    _ = hand.start()
    with pytest.raises(type(error)):
        _ = hand.throw(error)
    assert None is shelf.lease["holder"]


def test_a_wrong_number_of_outcomes_leaves_all_in_doubt() -> None:
    """The transport broke its contract: what was marked stays marked."""
    hand = Hand(push(session()), shelf_with("A", "B"))
    _ = hand.start()
    _ = hand.send(REMOTE)
    with pytest.raises(ProtocolError):
        _ = hand.send([Applied("v1")])
    assert {"attempted"} == {row["state"] for row in hand.shelf.tables["__operations"].values()}
    assert None is hand.shelf.lease["holder"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotReachable("x", retry_after=4.0), "network"),
        (Unauthorized("x"), "authentication"),
        (ProtocolError("x"), "network"),
    ],
)
def test_a_remote_that_cannot_be_reached_stops_the_push(error: Exception, status: str) -> None:
    """The report says by what; nothing was marked. [F01] [F02]"""
    hand = Hand(push(session()), shelf_with("A"))
    _ = hand.start()
    with pytest.raises(PushFailed) as caught:
        _ = hand.throw(error)
    assert (status, 1) == (caught.value.report.status, caught.value.report.pending)
    assert ["pending"] == [row["state"] for row in hand.shelf.tables["__operations"].values()]


def test_a_store_that_fails_is_a_push_stopped_by_the_store() -> None:
    """What was pushed by then is in the report, the store's error is the cause. [F04]"""
    hand = Hand(push(session()), shelf_with("A"))
    _ = hand.start()
    effect = hand.step(lambda: hand.plan.send(REMOTE))
    assert isinstance(effect, Transact)
    with pytest.raises(PushFailed) as caught:
        _ = hand.throw(StoreFull("the disk is full"))
    assert ("store", "the disk is full") == (caught.value.report.status, caught.value.report.reason)
    assert isinstance(caught.value.__cause__, StoreFull)


def test_a_store_that_fails_while_the_lease_is_let_go_does_not_hide_the_first_error() -> None:
    """Releasing is tried; the error that is raised has the first one as its context."""
    hand = Hand(push(session()), shelf_with("A"))
    _ = hand.start()
    effect = hand.step(lambda: hand.plan.throw(RequestRefused("no", code="x")))
    assert isinstance(effect, Transact)
    with pytest.raises((RequestRefused, StoreBusy)) as caught:
        _ = hand.plan.throw(StoreBusy("busy"))
    errors = {type(caught.value), type(caught.value.__context__)}
    assert RequestRefused in errors


def test_another_remote_is_refused_before_anything_is_sent() -> None:
    """The lease is let go, operations are as they were."""
    shelf = shelf_with("A")
    shelf.put("__meta", [{"id": "remote", "value": "the old one"}])
    hand = Hand(push(session()), shelf)
    _ = hand.start()
    with pytest.raises(RemoteChanged):
        _ = hand.send(REMOTE)
    assert (None, "PushChanges" in hand.trace) == (shelf.lease["holder"], False)


def test_a_busy_store_is_waited_for_and_then_given_up() -> None:
    """Wait effects up to the patience, then `SyncBusy`; the other's lease stays."""
    shelf = shelf_with("A")
    shelf.put("__meta", [{"id": "lease", "value": {"token": 4, "holder": "other", "until": 25.0}}])
    hand = Hand(push(session()), shelf)
    effect = hand.start()
    waits = [effect, hand.send(None)]
    assert [POLL, POLL] == [wait.seconds for wait in waits if isinstance(wait, Wait)]
    with pytest.raises(SyncBusy):
        _ = hand.send(None)
    assert ("other", 4) == (shelf.lease["holder"], shelf.lease["token"])


def test_a_lost_lease_stops_the_plan_and_is_not_taken_from_its_new_holder() -> None:
    """The settle transaction finds another token."""
    hand = Hand(push(session()), shelf_with("A"))
    _ = hand.start()
    effect = hand.send(REMOTE)
    hand.shelf.put("__meta", [{"id": "lease", "value": {"token": 99, "holder": "other", "until": 25.0}}])
    with pytest.raises(LeaseLost):
        _ = hand.send(applied(effect))
    assert "other" == hand.shelf.lease["holder"]
    assert ["attempted"] == [row["state"] for row in hand.shelf.tables["__operations"].values()]


# ---- closing


def moments(
    start: Callable[[], Plan[Any]], shelf: Callable[[], Shelf], answers: Callable[[Effect[Any]], Any]
) -> Iterator[Plan[Any]]:
    """The plan, stopped at each of its effects in turn."""
    for moment in range(60):
        plan, here = start(), shelf()
        effect: Effect[Any] = next(plan)
        try:
            for _ in range(moment):
                effect = plan.send(
                    effect.step(here, 0.0) if isinstance(effect, Transact) else answers(effect)
                )
        except StopIteration:
            return
        yield plan
    raise AssertionError("the plan does not end")


def answer(effect: Effect[Any]) -> Any:
    if isinstance(effect, OpenRemote):
        return REMOTE
    if isinstance(effect, PushChanges):
        return applied(effect)
    return Page() if isinstance(effect, PullPage) else None


@pytest.mark.parametrize(
    "start",
    [lambda: push(session()), pulling, lambda: purge(session(), Query("items"))],
    ids=["push", "pull", "purge"],
)
def test_nothing_is_asked_for_after_close(start: Callable[[], Plan[Any]]) -> None:
    """On cancellation a driver closes the plan: it ends at once, at every effect, without another one."""
    stopped = 0
    for plan in moments(start, lambda: shelf_with("A"), answer):
        plan.close()  # a plan that yielded once more would be a RuntimeError here
        assert None is plan.gi_frame  # type: ignore[attr-defined]  # a generator has one
        stopped += 1
    assert stopped > 4


# ---- stopping


def test_a_stop_by_the_caller_ends_the_push_after_the_exchange_under_way() -> None:
    """What is in flight is settled; nothing more is marked. [F06]"""
    here = session()
    hand = Hand(push(here), shelf_with("A", "B"))
    _ = hand.start()
    here.stopping = True
    effect = hand.send(TransportCapabilities(identity="remote", max_changes=1))
    with pytest.raises(PushFailed) as caught:
        _ = hand.send(applied(effect))
    report = caught.value.report
    assert ("caller", ["A"], 1) == (report.status, [done.record_id for done in report.pushed], report.pending)
    assert ["pending"] == [row["state"] for row in hand.shelf.tables["__operations"].values()]


def test_a_stop_by_the_caller_ends_the_pull_after_the_page_under_way() -> None:
    """The page and its cursor are stored, so the next pull resumes there."""
    here = session()
    hand = Hand(pull(here, Pull(query=Query("items"), name="all")), Shelf())
    _ = hand.start()
    _ = hand.send(REMOTE)
    here.stopping = True
    assert None is hand.send(Page(records=[{"id": "A", "version": "v"}], cursor=7, more=True))
    bookmark: Any = hand.shelf.tables["__cursors"]["items/all"]["bookmark"]
    assert (7, False) == (bookmark["cursor"], bookmark["complete"])


class Seeing(DefaultHandler):
    """Notes what it is shown."""

    def __init__(self) -> None:
        self.reports: list[PushReport] = []

    def on_push_complete(self, report: PushReport) -> None:
        self.reports.append(report)


@pytest.mark.parametrize("outcome", [Rejected("bad", "no"), NotSent("down"), Unknown("lost")])
def test_the_handler_sees_the_report_before_the_caller(outcome: Any) -> None:
    """`on_push_complete` is a Handle effect of its own, after everything was settled. [G05]"""
    handler = Seeing()
    hand = Hand(push(session(handler)), shelf_with("A"))
    _ = hand.start()

    def perform(exchange: Any) -> Any:
        assert isinstance(exchange, PushChanges)
        changes: Sequence[Change] = exchange.changes
        return [outcome for _ in changes]

    def carry_on(effect: Effect[Any] | None) -> None:
        while isinstance(effect, Handle):
            effect = hand.send(effect.call(perform))

    effect = hand.send(REMOTE)
    with pytest.raises(PushFailed) as caught:
        carry_on(effect)
    (seen,) = handler.reports
    assert (seen.status, [e.status for e in seen.errors]) == (
        caught.value.report.status,
        [e.status for e in caught.value.errors],
    )
