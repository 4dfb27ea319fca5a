"""Driving a plan by hand: a shelf for its transactions, and the test for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.engine.fakes import ITEMS, LISTS, NoResolver, fits
from tidesync.conflicts import defer
from tidesync.contracts.transport import (
    CursorGuarantee,
    TransportCapabilities,
)
from tidesync.effects import (
    Effect,
    Emit,
    Plan,
    Transact,
)
from tidesync.lease import Holder
from tidesync.predicate import matcher, ordered
from tidesync.query import Query
from tidesync.records import Record
from tidesync.session import Session, SyncHandler

REMOTE = TransportCapabilities(identity="remote", max_changes=10, cursor=CursorGuarantee.COMMIT_ORDERED)


class Shelf:
    """As much of a transaction as a step needs: dicts of rows."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Record]] = {}

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        rows = self.tables.get(table, {})
        return [dict(rows[id]) if id in rows else None for id in ids]

    def select(self, query: Query) -> Iterator[Record]:
        matches = matcher(query.where)
        found = [dict(row) for row in self.tables.get(query.table, {}).values() if matches(row)]
        found = ordered(found, query.order)
        return iter(found[: query.take] if query.take is not None else found)

    def count(self, query: Query) -> int:
        return len(list(self.select(query)))

    def put(self, table: str, records: Sequence[Record]) -> None:
        self.tables.setdefault(table, {}).update((str(record["id"]), dict(record)) for record in records)

    def delete(self, table: str, ids: Sequence[str]) -> int:
        return sum(self.tables.get(table, {}).pop(id, None) is not None for id in ids)

    def delete_where(self, query: Query) -> int:
        return self.delete(query.table, [str(row["id"]) for row in self.select(query)])

    @property
    def lease(self) -> Any:
        """The row of the lease."""
        return self.tables["__meta"]["lease"]["value"]


def session(handler: SyncHandler | None = None, policy: Any = defer, patience: float = 0.1) -> Session:
    holder = Holder("me", 30.0, patience, lambda name: False)
    return Session(
        tables={"lists": LISTS, "items": ITEMS}, nonce="n", holder=lambda: holder, resolver=NoResolver(), policy=policy,
        policies={}, fits={"lists": fits, "items": fits}, to_record=lambda table, given, under: given, handler=handler,
    )  # fmt: skip


def shelf_with(*ids: str) -> Shelf:
    """Inserts of these items are queued."""
    shelf = Shelf()
    for id in ids:
        queue = session().queue(shelf, 0.0)
        queue.write("items", id, {"id": id, "text": "new"})
        _ = queue.close("local")
    return shelf


class Hand:
    """Performs transactions on the shelf, and leaves every other effect to the test."""

    def __init__(self, plan: Plan[Any], shelf: Shelf) -> None:
        self.plan, self.shelf, self.now = plan, shelf, 0.0
        self.trace: list[str] = []
        self.result: Any = None
        self.ended = False

    def step(self, action: Callable[[], Effect[Any]]) -> Effect[Any] | None:
        try:
            effect = action()
        except StopIteration as stop:
            self.result, self.ended = stop.value, True
            return None
        self.trace.append(type(effect).__name__)
        return effect

    def on(self, action: Callable[[], Effect[Any]]) -> Effect[Any] | None:
        """Go on until something other than a transaction or an event is asked for."""
        effect = self.step(action)
        while isinstance(effect, Transact | Emit):
            effect = self.step(self._answer_to(effect))
        return effect

    def _answer_to(self, effect: Transact[Any] | Emit) -> Callable[[], Effect[Any]]:
        if isinstance(effect, Emit):
            return lambda: self.plan.send(None)
        try:
            answer = effect.step(self.shelf, self.now)
        except Exception as error:
            thrown = error
            return lambda: self.plan.throw(thrown)
        return lambda: self.plan.send(answer)

    def start(self) -> Effect[Any] | None:
        return self.on(lambda: next(self.plan))

    def send(self, answer: Any) -> Effect[Any] | None:
        return self.on(lambda: self.plan.send(answer))

    def throw(self, error: Exception) -> Effect[Any] | None:
        return self.on(lambda: self.plan.throw(error))
