"""What each error means for an autosync, and what of a cycle is tried after it."""

from __future__ import annotations

import math
from typing import cast

import pytest

from tidesync import errors
from tidesync.reports import OperationError, PushFailed, PushReport, Status
from tidesync.rules.pace import Meaning, ends_cycle, meaning, retry_after, worst
from tidesync.session import AbortPush


def failed(status: Status, cause: Exception | None = None, after: float | None = None) -> PushFailed:
    error = PushFailed(PushReport(status=status, reason="x", retry_after=after))
    error.__cause__ = cause
    return error


class _Trouble:
    """As much of an `OperationError` as counts."""

    table, record_id, message = "t", "1", "no"

    def __init__(self, status: str) -> None:
        self.status = status


def refused(*statuses: str) -> PushFailed:
    troubles = [cast(OperationError, _Trouble(status)) for status in statuses]
    return PushFailed(PushReport(errors=troubles))


IN_A_PUSH: list[tuple[Exception, Meaning]] = [
    (refused("rejected", "conflict"), "fine"),
    (refused("rejected", "unknown"), "again"),
    (failed("network"), "again"),
    (failed("authentication"), "slow"),
    (failed("caller"), "cut"),
    (failed("handler"), "cut"),
    (failed("store"), "again"),
    (failed("store", errors.StoreFull("x")), "again"),
    (failed("store", errors.StoreCorrupt("x")), "stop"),
    (errors.SyncBusy("x"), "busy"),
    (errors.LeaseLost("x"), "busy"),
    (errors.RemoteChanged("a", "b"), "stop"),
    (errors.ConfigurationError("x"), "stop"),
    (errors.MissingExtra("x", "y"), "stop"),
    (errors.Unsupported("x"), "stop"),
    (errors.ContextClosed("x"), "stop"),
    (errors.StoreClosed("x"), "stop"),
    (errors.StoreTooNew("x", 2, 1), "stop"),
    (errors.WrongKey("x"), "stop"),
    (errors.SchemaMismatch("a", "b", "c", "d"), "stop"),
    (errors.StoreReadOnly("x"), "slow"),
    (errors.StoreBusy("x"), "again"),
    (errors.StoreUnavailable("x"), "again"),
    (errors.NotReachable("x"), "again"),
    (errors.RemoteUnavailable("x"), "again"),
    (errors.ProtocolError("x"), "again"),
    (errors.RemoteDamaged("x", "y"), "slow"),
    (errors.Unauthorized("x"), "slow"),
    (errors.RequestRefused("x", code="y"), "slow"),
    (errors.ResyncRequired("x"), "slow"),
    (errors.RecordNotFound("a", "b"), "again"),
    (AbortPush("x"), "again"),
    (ValueError("of a policy"), "again"),
]
OTHERWISE_IN_A_PULL: list[tuple[Exception, Meaning]] = [
    (errors.RequestRefused("x", code="y"), "rest"),
    (errors.ResyncRequired("x"), "rest"),
    (errors.MassDeparture("a", 1, 2), "rest"),
    (errors.QueryNameReused("a", "b"), "rest"),
    (errors.Unsupported("x"), "rest"),
    (errors.InvalidQuery("x"), "rest"),
    (errors.UnknownTable("x"), "rest"),
]


def _told(case: tuple[Exception, Meaning]) -> str:
    return f"{type(case[0]).__name__}-{case[1]}"


@pytest.mark.parametrize("case", IN_A_PUSH, ids=_told)
def test_what_an_error_of_a_push_means(case: tuple[Exception, Meaning]) -> None:
    """What time mends is tried again, what somebody else may mend seldom, and what would be wrong not at all."""
    assert case[1] == meaning(case[0], of_pull=False)


@pytest.mark.parametrize("case", OTHERWISE_IN_A_PULL, ids=_told)
def test_what_one_pull_alone_met_makes_it_rest(case: tuple[Exception, Meaning]) -> None:
    """The rest goes on."""
    assert (case[1], False) == (meaning(case[0], of_pull=True), ends_cycle(case[0], of_pull=True))


@pytest.mark.parametrize("case", IN_A_PUSH, ids=_told)
def test_all_other_errors_mean_the_same_in_a_pull(case: tuple[Exception, Meaning]) -> None:
    """Where a pull may meet them."""
    apart = {type(error) for error, _ in OTHERWISE_IN_A_PULL}
    if type(case[0]) not in apart:
        assert case[1] == meaning(case[0], of_pull=True)


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (refused("rejected"), False),
        (refused("unknown"), False),
        (failed("network"), True),
        (failed("handler"), True),
        (errors.NotReachable("x"), True),
        (errors.RemoteUnavailable("x"), False),
        (errors.RemoteUnavailable("x", retry_after=3), True),
        (errors.RequestRefused("x", code="y"), False),
        (errors.Unauthorized("x"), True),
        (errors.RemoteChanged("a", "b"), True),
        (errors.StoreFull("x"), True),
        (errors.SyncBusy("x"), True),
        (ValueError("of a policy"), False),
    ],
)
def test_whether_the_rest_of_a_cycle_is_tried(error: Exception, ends: bool) -> None:
    """Not where the remote as a whole, or the store, cannot be asked."""
    assert ends == ends_cycle(error, of_pull=True)


@pytest.mark.parametrize(
    ("named", "found"),
    [(None, 0.0), (7.5, 7.5), (0.0, 0.0), (-3.0, 0.0), (math.inf, 0.0), (math.nan, 0.0)],
)
def test_the_time_that_a_remote_names(named: float | None, found: float) -> None:
    """As a push's report and as an error tell it; what is no time is none."""
    assert found == retry_after(failed("network", after=named))
    assert found == retry_after(errors.RemoteUnavailable("x", retry_after=named))
    assert 0.0 == retry_after(ValueError())


def test_the_worst_counts() -> None:
    """For the pace of a cycle."""
    assert "fine" == worst([])
    assert ["stop", "again", "busy", "rest"] == [
        worst(each)
        for each in (["fine", "stop", "slow"], ["again", "busy"], ["busy", "rest"], ["rest", "cut"])
    ]
