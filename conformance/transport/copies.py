"""What the rules about pushes are told with: copies as they compare, many changes at once, and sending again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import attrs

from tidesync.conformance.expect import equal, fail, true
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.tables import THING
from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    Outcome,
    Transport,
    Undeleted,
    Version,
)
from tidesync.records import SYSTEM_FIELDS, Copy, Json, Record, Tombstone, alive, version_of


def content(copy: object) -> object:
    """What users own of a record: no system fields, and no nulls, which are as good as absent; else as it is."""
    if not isinstance(copy, dict):
        return copy
    fields = cast("Record", copy)
    return {name: value for name, value in fields.items() if value is not None and name not in SYSTEM_FIELDS}


def known(copy: object) -> object:
    """All that a copy tells: content and version, or the version of a tombstone. None for nothing, or as good as."""
    if isinstance(copy, Tombstone):
        return None if copy.version is None else copy
    if not isinstance(copy, dict):
        return copy
    record = cast("Record", copy)
    return content(record), record.get("version")


def check_content(expected: Record, copy: object, what: str) -> None:
    """The copy is a record with this content, and no other."""
    equal(content(expected), content(copy), what)


def check_copy(expected: Copy, copy: object, what: str) -> None:
    """The two copies tell the same: content and version."""
    equal(known(expected), known(copy), what)


def check_gone(copy: object, what: str) -> None:
    """The copy is no live record."""
    true(not isinstance(copy, dict), f"{what}: expected nothing or a tombstone, found {copy!a:.300}")


def record_of(client: Transport, id: str, table: str = THING.name) -> Record:
    """The live record as the client reads it."""
    copy = client.get(table, id)
    if not alive(copy):
        fail(f"{table}/{id} should be a live record, and get() gives {copy!a:.300}")
    return copy


def version_at(client: Transport, id: str, table: str = THING.name) -> str:
    """The version of a live record as the client reads it."""
    version = version_of(record_of(client, id, table))
    if version is None:
        fail(f"{table}/{id} has no version: get() gives {client.get(table, id)!a:.300}")
    return version


def conflicted(outcome: Outcome, held: Copy, what: str) -> None:
    """The outcome is `Conflicted` with what the remote holds."""
    if not isinstance(outcome, Conflicted):
        fail(f"{what}: expected Conflicted, found {outcome!a:.300}")
    check_copy(held, outcome.copy, f"{what}: the copy of the Conflicted")


def again(change: Change) -> Change:
    """The same change as it is sent once more: it may have arrived before."""
    return attrs.evolve(change, attempts=change.attempts + 1)


def push(client: Transport, changes: Sequence[Change]) -> list[Outcome]:
    """Push the changes in one call; one outcome for each."""
    outcomes = list(client.push(changes))
    if len(outcomes) != len(changes):
        fail(f"{len(changes)} changes were pushed, and {len(outcomes)} outcomes came back")
    return outcomes


def push_all(bench: TransportBench, client: Transport, changes: Sequence[Change]) -> list[Outcome]:
    """Push any number of changes, as many in one call as the remote takes."""
    size = max(1, bench.capabilities.max_changes)
    parts = [changes[start : start + size] for start in range(0, len(changes), size)]
    return [outcome for part in parts for outcome in push(client, part)]


def insert_all(
    bench: TransportBench, client: Transport, records: Iterable[Record], what: str = "insert"
) -> None:
    """Insert records of different ids; each must be applied."""
    changes = [bench.change("insert", str(record["id"]), record) for record in records]
    for change, outcome in zip(changes, push_all(bench, client, changes), strict=True):
        if not isinstance(outcome, Applied):
            fail(f"{what} of {change.record!a:.300} should be Applied, and is {outcome!a:.300}")


def revive(
    bench: TransportBench, client: Transport, id: str, expected: Tombstone, content: dict[str, Json]
) -> None:
    """Insert over a tombstone. A remote that can only undelete says so, and takes the content as an update then."""
    outcome = bench.send(client, bench.change("insert", id, content, expected))
    if isinstance(outcome, Undeleted):
        version = version_of(outcome.record)
        if version is None:
            fail(f"{id} was undeleted, and its version is not told: {outcome!a:.300}")
        change = bench.change("update", id, content, Version(version))
        outcome = bench.send(client, attrs.evolve(change, fields=_all_of(change, outcome.record)))
    if not isinstance(outcome, Applied):
        fail(f"an insert over the tombstone {expected} of {id} should be Applied, and is {outcome!a:.300}")


def _all_of(change: Change, held: Record) -> tuple[str, ...]:
    """The fields of the change, and those of the held record that it leaves out."""
    names = {**dict.fromkeys(change.fields), **dict.fromkeys(held)}
    return tuple(name for name in names if name not in ("id", *SYSTEM_FIELDS))


def check_settled(outcome: Outcome, change: Change, what: str) -> None:
    """A change that took effect and was sent again is `Applied`, or `Conflicted` with a copy that shows it."""
    if isinstance(outcome, Conflicted):
        if change.record is None:
            fail(f"{what}: what is gone is Applied for a delete, not {outcome!a:.300}")
        if not alive(outcome.copy):
            fail(f"{what}: expected Applied or the record as it was sent, found {outcome!a:.300}")
        sent: Record = {name: change.record.get(name) for name in change.fields}
        found: Record = {name: outcome.copy.get(name) for name in change.fields}
        equal(sent, found, f"{what}: the copy of the Conflicted, in the fields that were sent")
    elif not isinstance(outcome, Applied):
        fail(f"{what}: expected Applied, or Conflicted with what was sent, found {outcome!a:.300}")
