"""Answers of clients are of the contract's types: else each rule would trip over them in a way of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast, get_args

from tidesync.conformance.expect import fail, shown, true
from tidesync.contracts.transport import Change, Outcome, Page, PullRequest, Transport, TransportCapabilities
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema

_OUTCOMES: Final[tuple[type, ...]] = get_args(Outcome)


class Shaped:
    """A client whose answers break the rule that asked, if they are none."""

    def __init__(self, client: Transport) -> None:
        self._client = client

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        found: Any = self._client.open(tables)
        true(
            isinstance(found, TransportCapabilities),
            f"open() should give TransportCapabilities, {_and(found)}",
        )
        return cast("TransportCapabilities", found)

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        found: Any = self._client.push(changes)
        if not isinstance(found, Sequence):
            fail(f"push() should give a sequence of outcomes, {_and(found)}")
        outcomes = cast("Sequence[Outcome]", found)
        if len(outcomes) != len(changes):
            wanted, given = _counted(len(changes), "change"), _counted(len(changes), "outcome")
            fail(f"push() of {wanted} should give {given}, and gives {len(outcomes)}: {shown(outcomes)}")
        for outcome in outcomes:
            true(isinstance(outcome, _OUTCOMES), f"push() should give outcomes, {_and(outcome)}")
        return outcomes

    def pull(self, request: PullRequest, /) -> Page:
        found: Any = self._client.pull(request)
        if not isinstance(found, Page):
            fail(f"pull() should give a Page, {_and(found)}")
        records: Sequence[Any] = found.records
        for record in records:
            true(
                _has_id(record),
                f"the records of a page should be objects with an id, and one is {shown(record)}",
            )
        tombstones: Any = found.tombstones
        true(isinstance(tombstones, Mapping), f"the tombstones of a page should be by id, {_and(tombstones)}")
        return found

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        found: Any = self._client.get(table, id)
        what = f"get() should give a record, a Tombstone or None, {_and(found)}"
        true(found is None or isinstance(found, dict | Tombstone), what)
        return cast("Record | Tombstone | None", found)

    def close(self) -> None:
        self._client.close()


def _has_id(record: object) -> bool:
    return isinstance(record, dict) and isinstance(cast("Record", record).get("id"), str)


def _and(found: object) -> str:
    return f"and gives {shown(found)}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
