"""Whether devices and remote agree, and if not, where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import attrs

from tidesync import SyncContext
from tidesync.cli.world import TABLES, Place
from tidesync.records import Json, Record, same

State: TypeAlias = Mapping[tuple[str, str], Record]
"""Records by table and id."""


@attrs.frozen
class Difference:
    """One field that is not the same everywhere; a field named "record" is there in some places only."""

    table: str
    id: str
    field: str
    values: Mapping[str, Json]


def local_state(place: Place, device: SyncContext) -> State:
    """This run's records in a device's store."""
    return {
        (table.name, item.id): table.to_record(item)
        for table in TABLES
        for item in place.mine(device[table].where())
    }


def remote_state(place: Place, device: SyncContext) -> State:
    """This run's records at the remote, through the connection of a device."""
    return {
        (table.name, item.id): table.to_record(item)
        for table in TABLES
        for item in place.mine(device.remote(table).where())
    }


def differences(states: Mapping[str, State]) -> Sequence[Difference]:
    """What is not equal in all places, down to the remote's version of each record; nothing if they agree."""
    found: list[Difference] = []
    for table, id in sorted({key for state in states.values() for key in state}):
        records = {place: state.get((table, id)) for place, state in states.items()}
        there = {place: record for place, record in records.items() if record is not None}
        if len(there) < len(records):
            presence: dict[str, Json] = {
                place: "missing" if record is None else "present" for place, record in records.items()
            }
            found.append(Difference(table, id, "record", presence))
        for field in sorted({field for record in there.values() for field in record}):
            values = {place: record.get(field) for place, record in there.items()}
            first, *others = values.values()
            if not all(same(first, other) for other in others):
                found.append(Difference(table, id, field, values))
    return found
