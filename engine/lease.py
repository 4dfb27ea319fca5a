"""One lease per store: push, pull and purge run one at a time, across threads and processes.

The lease is a row of `__meta` with a token that only grows. Whoever holds it checks the token inside every
transaction of its work (fencing): one that was paused for too long finds its token outdated, and stops without
having written anything. A holder that is known to have died is replaced at once, any other when its time is over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import attrs

from tidesync.contracts.store import StoreTransaction
from tidesync.effects import Plan, Transact, Wait
from tidesync.errors import LeaseLost, StoreError, SyncBusy
from tidesync.records import Record
from tidesync.rows import META

T = TypeVar("T")
POLL: Final = 0.05
"""Seconds between two looks at a lease that another one holds."""


@attrs.frozen
class Holder:
    """Who asks for the lease: a name for this opening of the store, and what it knows of others.

    `gone(name)` is True only if the holder of that name is known to have ended without letting go; `outer(name)`
    if that holder waits for whoever asks, as a push waits for what it called. The lease lives for `life` seconds,
    and for `exchanges` times the longest exchange at the least.
    """

    name: str
    life: float
    patience: float
    gone: Callable[[str], bool]
    outer: Callable[[str], bool] = lambda name: False  # noqa: ARG005  # it is called by position
    exchanges: float = 0.0


@attrs.define
class Lease:
    """A lease that was taken: its token, and its life in seconds, renewed by every check."""

    holder: Holder
    token: int
    life: float

    def check(self, transaction: StoreTransaction, now: float) -> None:
        """Raise `LeaseLost` if another one took over; else renew."""
        row = _read(transaction)
        if row["token"] != self.token or row["holder"] != self.holder.name:
            raise LeaseLost(
                "this push, pull or purge was held up for so long that another one took over: run it again"
            )
        _write(transaction, self.token, self.holder.name, now, self.life)

    def outlast(self, exchange: float) -> None:
        """Live longer than one exchange can take, as the holder asks."""
        self.life = max(self.life, self.holder.exchanges * exchange)


def acquire(holder: Holder) -> Plan[Lease]:
    """Take the lease, waiting up to `holder.patience` seconds; then `SyncBusy`."""
    waited = 0.0
    while True:
        token = yield from Transact(lambda transaction, now: _take(transaction, now, holder))
        if token is not None:
            return Lease(holder, token, holder.life)
        if waited >= holder.patience:
            raise SyncBusy(
                f"another push, pull or purge of this store did not end within {holder.patience:g} seconds"
            )
        yield from Wait(POLL)
        waited += POLL


def release(lease: Lease) -> Plan[None]:
    """Let go, unless it was lost already.

    If the store fails at that, what the work ended with is still what is told: a lease that stays behind
    ends by itself.
    """

    def step(transaction: StoreTransaction, _: float) -> None:
        row = _read(transaction)
        if row["token"] == lease.token:
            _write(transaction, lease.token, None, 0.0, 0.0)

    with suppress(StoreError):
        yield from Transact(step)


def let_go(transaction: StoreTransaction, run: str) -> None:
    """Let go of a lease that the run of this name still holds, though nothing will come of it any more."""
    row = _read(transaction)
    if row["holder"] == run:
        _write(transaction, row["token"], None, 0.0, 0.0)


def under_lease(holder: Holder, work: Callable[[Lease], Plan[T]]) -> Plan[T]:
    """Do the work under a lease of its own, and let go of it however the work ends.

    A plan that is closed in the middle cannot write any more: its lease is known to be nobody's (see `holder.py`).
    """
    lease = yield from acquire(holder)
    try:
        result = yield from work(lease)
    except Exception:
        yield from release(lease)
        raise
    yield from release(lease)
    return result


def _take(transaction: StoreTransaction, now: float, holder: Holder) -> int | None:
    row = _read(transaction)
    name: str | None = row["holder"]
    until: float = row["until"]
    # A time so far ahead was written before the clock was set back.
    ahead = now + 10 * max(holder.life, row.get("life", 0.0))
    free = name is None or until <= now or until > ahead or holder.gone(name)
    if not free:
        if name is not None and holder.outer(name):
            raise SyncBusy(
                "a push, pull or purge was asked for inside another one, by a policy, handler or subscriber: "
                "it would wait for itself; do it when that one has ended"
            )
        return None
    token: int = row["token"] + 1
    _write(transaction, token, holder.name, now, holder.life)
    return token


def _read(transaction: StoreTransaction) -> dict[str, Any]:
    row = transaction.get(META, ["lease"])[0]
    value = row["value"] if row is not None else None
    return value if isinstance(value, dict) else {"token": 0, "holder": None, "until": 0.0}


def _write(transaction: StoreTransaction, token: int, name: str | None, now: float, life: float) -> None:
    value: Record = {"token": token, "holder": name, "until": now + life, "life": life}
    transaction.put(META, [{"id": "lease", "value": value}])
