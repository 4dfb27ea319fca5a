"""Who may write what in a scenario's world, and of which fields it is therefore known what they must hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from tidesync.conformance.simulation.calls import Key
from tidesync.conformance.simulation.scenario import Scenario
from tidesync.records import Json, Record


class Known(Protocol):
    """What a world knows of a record."""

    asked: dict[Key, bool]
    intended: dict[Key, Record | None]

    def single_writer(self, key: Key) -> bool:
        """Whether one device alone ever wrote it."""
        ...


class Owners:
    """Every other record belongs to one device; in the rest each device has columns, and writes others' rarely."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.schemas = scenario, scenario.schemas
        self.keys: list[Key] = [
            (name, f"{name}-{number}") for number in range(scenario.records) for name in self.schemas
        ]
        self.ended: set[Key] = set()
        self.last: dict[Key, Record] = {}
        self.writers: dict[tuple[Key, str], set[int]] = {}

    def number(self, key: Key) -> int:
        """Which of its table's records it is."""
        return int(key[1].rpartition("-")[2])

    def owner(self, key: Key) -> int | None:
        """The device that it belongs to; None if it is everybody's."""
        number = self.number(key)
        return (number // 2) % self.scenario.devices if number % 2 else None

    def creator(self, key: Key) -> int:
        """The device that makes it first."""
        owner = self.owner(key)
        return self.number(key) // 2 % self.scenario.devices if owner is None else owner

    def may_write(self, key: Key, device: int) -> bool:
        """Whether the device may write it."""
        return self.owner(key) in (None, device)

    def may_end(self, key: Key) -> bool:
        """Whether users delete it: some of everybody's stay, so that more can be known of them."""
        return self.number(key) % 4 != 0

    def columns(self, key: Key, device: int, *, anything: bool) -> Sequence[str]:
        """The columns that the device writes now."""
        names = [column.name for column in self.schemas[key[0]].columns]
        if anything or self.owner(key) is not None:
            return names
        return names[device :: self.scenario.devices]

    def named(self, key: Key, view: Mapping[Key, Record]) -> bool:
        """Whether another record names it."""
        return any(
            row.get(field) == key[1]
            for other, row in view.items()
            if other != key
            for field, target in (self.schemas[other[0]].references or {}).items()
            if target == key[0]
        )

    def wrote(self, key: Key, fields: Record, device: int) -> None:
        """The device wrote these fields; what the first one wrote into a new record counts for nobody."""
        made = key in self.last
        self.last.setdefault(key, {}).update(fields)
        if made:
            for field in fields:
                self.writers.setdefault((key, field), set()).add(device)

    def certain(self, world: Known, key: Key) -> Iterator[tuple[str, Json]]:
        """The fields whose values are known in the end, whatever was decided in conflicts."""
        computed = {
            name.partition(".")[2] for name in self.scenario.computed if name.startswith(f"{key[0]}.")
        }
        if world.single_writer(key):
            content = world.intended[key] or {}
            yield from ((field, value) for field, value in content.items() if field not in computed)
        elif key not in self.ended and self.undecided(world, key):
            for field, value in self.last[key].items():
                if field != "id" and field not in computed and len(self.writers.get((key, field), ())) <= 1:
                    yield field, value

    def undecided(self, world: Known, key: Key) -> bool:
        """Whether nobody could decide against a field that only one side changed."""
        if self.schemas[key[0]].concurrency == "last-write-wins":
            return False
        if self.scenario.keeps_both:
            return not world.asked.get(key, False)
        return key not in world.asked
