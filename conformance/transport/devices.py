"""A model of a remote and its clients, next to the real one: outcomes are judged by what the remote must hold."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from tidesync.conformance.expect import equal, fail, true
from tidesync.conformance.transport.bench import TransportBench, overlap_of
from tidesync.conformance.transport.following import Follower, shape, updating
from tidesync.conformance.transport.tables import THING
from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    Conflicted,
    Expected,
    Outcome,
    Page,
    Undeleted,
    Version,
)
from tidesync.records import Copy, Record, Tombstone, alive, version_of


@attrs.define(eq=False)
class Device:
    """One client: what it was told of each record, by pages and outcomes, and changes that have no reply yet."""

    number: int
    follower: Follower
    known: dict[str, Record | Tombstone] = attrs.field(factory=dict[str, "Record | Tombstone"])
    doubts: dict[str, Change] = attrs.field(factory=dict[str, Change])
    """By record: one that is in doubt is not written before its outcome is known."""

    def choose(self, which: int, fits: Callable[[Copy], bool]) -> str | None:
        """One of the records that it knows, and has nothing in doubt of."""
        ids = [id for id, copy in self.known.items() if fits(copy) and id not in self.doubts]
        return ids[which % len(ids)] if ids else None

    def learn(self, change: Change, outcome: Outcome) -> None:
        """Take note of an outcome that arrived."""
        _ = self.doubts.pop(change.record_id, None)
        match outcome:
            case Applied(_, copy) | Conflicted(copy) if copy is not None:
                self.known[change.record_id] = copy
            case Applied(version, _) if change.record is None:
                self.known[change.record_id] = Tombstone(version)
            case Applied(version, _) if change.attempts == 1:
                self.known[change.record_id] = {**(change.record or {}), "version": version}
            case Undeleted(record):
                self.known[change.record_id] = record
            case _:
                # A version of then, or nothing at all: what it holds now is told by the next pull.
                _ = self.known.pop(change.record_id, None)


class World:
    """The clients of one remote, and what it must hold: for one run, in which all ids are new."""

    def __init__(self, bench: TransportBench) -> None:
        self.bench, self.began = bench, time.monotonic()
        declared = bench.capabilities
        self.remembers = declared.remembers is None or declared.remembers > 0
        self.keeps_tombstones = THING.name in declared.tombstones
        self.held: dict[str, Copy] = {}
        self.effective: set[str] = set()
        self.sent: list[tuple[Device, Change]] = []
        begin = Follower(bench, bench.clients[0])
        _ = begin.pull()
        self.devices = [
            Device(number, Follower(bench, client, cursor=begin.cursor, held={**begin.held}))
            for number, client in enumerate(bench.clients[:3])
        ]
        # Something that all know, and will disagree about.
        self.insert(0, 2, False)
        for device in self.devices[1:]:
            device.known = {**self.devices[0].known}

    def device(self, number: int) -> Device:
        """One of the devices, of which there may be two only."""
        return self.devices[number % len(self.devices)]

    # ---- steps

    def insert(self, number: int, count: int, lost: bool) -> None:
        """New records, in one push as far as it takes them."""
        device = self.device(number)
        contents: list[Record] = [{"number": each, "text": "new"} for each in range(count)]
        changes = [self.bench.change("insert", self.bench.id(), content) for content in contents]
        size = max(1, self.bench.capabilities.max_changes)
        for start in range(0, count, size):
            self.push(device, changes[start : start + size], lost)

    def update(self, number: int, which: int, value: int, lost: bool) -> None:
        """A new content for a record that the device knows, if the remote still has that version."""
        device = self.device(number)
        id = device.choose(which, alive)
        if id is not None:
            known = device.known[id]
            change = updating(
                self.bench, known if alive(known) else None, number=value, text=self.bench.id("text")
            )
            self.push(device, [change], lost)

    def delete(self, number: int, which: int, lost: bool) -> None:
        """A delete of what the device knows, if the remote still has that version."""
        device = self.device(number)
        id = device.choose(which, alive)
        if id is not None:
            version = version_of(device.known[id])
            self.push(device, [self.bench.change("delete", id, None, Version(str(version)))], lost)

    def insert_again(self, number: int, which: int, value: int, lost: bool) -> None:
        """An insert under the id of a record that the device knows to be deleted."""
        device = self.device(number)
        id = device.choose(which, lambda copy: isinstance(copy, Tombstone))
        if id is not None and self.keeps_tombstones:
            tombstone = Tombstone(version_of(device.known[id]))
            content: Record = {"number": value, "text": self.bench.id("again")}
            self.push(device, [self.bench.change("insert", id, content, tombstone)], lost)

    def send_again(self, which: int, lost: bool) -> None:
        """A change that is in doubt; where operation ids are remembered, any other, as a network that repeats."""
        doubts = [(device, change) for device in self.devices for change in device.doubts.values()]
        choice = doubts + (self.sent if self.remembers else [])
        if choice:
            device, change = choice[which % len(choice)]
            in_doubt = device.doubts.get(change.record_id) == change
            again = attrs.evolve(change, attempts=change.attempts + 1)
            if in_doubt:
                self.push(device, [again], lost)
            else:
                self.judge(again, self.bench.send(device.follower.client, again))

    def page(self, number: int, limit: int) -> None:
        """One page."""
        device = self.device(number)
        self.told(device, device.follower.page(limit))

    def pull(self, number: int) -> None:
        """A pull, or the rest of one."""
        device = self.device(number)
        for page in device.follower.pull():
            self.told(device, page)

    def reopen(self, number: int) -> None:
        """The transport is closed and opened again."""
        device = self.device(number)
        device.follower.client.close()
        _ = self.bench.open(device.number)

    # ---- what the remote must do

    def push(self, device: Device, changes: list[Change], lost: bool) -> None:
        """Send changes, judge their outcomes, and tell the device unless they are lost."""
        outcomes = device.follower.client.push(changes)
        equal(len(changes), len(outcomes), "the number of outcomes")
        for change, outcome in zip(changes, outcomes, strict=True):
            self.judge(change, outcome)
            if change.attempts == 1:
                self.sent.append((device, change))
            if lost:
                device.doubts[change.record_id] = change
            else:
                device.learn(change, outcome)

    def judge(self, change: Change, outcome: Outcome) -> None:
        """Raise `RuleBroken` unless this outcome follows from what the remote holds; then note what it holds now."""
        id, held = change.record_id, self.held.get(change.record_id)
        told = (
            f"{change.kind} of {id}, expecting {change.expected!a}, of which the remote holds {held!a:.300}"
        )
        if change.id in self.effective and self.remembers:
            true(
                isinstance(outcome, Applied),
                f"{told}: sent again, it should be Applied, and is {outcome!a:.300}",
            )
        elif change.kind == "delete" and not alive(held):
            true(isinstance(outcome, Applied | Conflicted), f"{told}: it is {outcome!a:.300}")
        elif isinstance(outcome, Applied | Undeleted):
            true(
                self.may_apply(change.expected, held),
                f"{told}: it should be Conflicted, and is {outcome!a:.300}",
            )
            self.note(change, outcome, told)
        elif isinstance(outcome, Conflicted):
            true(
                not self.must_apply(change.expected, held),
                f"{told}: it should be Applied, and is {outcome!a:.300}",
            )
            if alive(outcome.copy):
                equal(shape(held), shape(outcome.copy), f"{told}: the copy of the conflict")
        else:
            fail(f"{told}: it is {outcome!a:.300}")

    def note(self, change: Change, outcome: Applied | Undeleted, told: str) -> None:
        """What the remote holds once a change is in effect."""
        id, before = change.record_id, self.held.get(change.record_id)
        if isinstance(outcome, Undeleted):
            self.held[id] = outcome.record
            return
        self.effective.add(change.id)
        version = outcome.version or version_of(outcome.copy)
        if change.record is None:
            self.held[id] = Tombstone(version)
            return
        if version is None:
            version = version_of(self.bench.clients[0].get(THING.name, id))
        true(version is not None, f"{told}: it is Applied, and has no version")
        true(version != version_of(before), f"{told}: its content is another, and its version the same")
        kept = shape(before) or {}
        sent = {name: change.record[name] for name in change.fields}
        self.held[id] = {**kept, **sent, "id": id, "version": version}
        if alive(outcome.copy):
            equal(shape(self.held[id]), shape(outcome.copy), f"{told}: the copy of what was applied")

    def may_apply(self, expected: Expected, held: Copy) -> bool:
        """Whether the expectation may hold. A remote that reports no deletes may have forgotten them."""
        forgotten = not self.keeps_tombstones and isinstance(held, Tombstone)
        return self.must_apply(expected, held) or (forgotten and isinstance(expected, Absent))

    def must_apply(self, expected: Expected, held: Copy) -> bool:
        """Whether the expectation holds."""
        match expected:
            case Anything():
                return True
            case Absent():
                return held is None
            case Version(version):
                return alive(held) and held.get("version") == version
            case Tombstone(version):
                return isinstance(held, Tombstone) and (version is None or held.version in (None, version))

    def told(self, device: Device, page: Page) -> None:
        """What a page tells is newer than what the device knows."""
        copies: dict[str, Record | Tombstone] = {str(record["id"]): record for record in page.records}
        for id, copy in (copies | dict(page.tombstones)).items():
            if id in self.held:
                device.known[id] = copy

    # ---- the end

    def rest(self) -> None:
        """Every doubt is settled, everybody pulls, and all hold what the remote must hold."""
        for device in self.devices:
            for change in list(device.doubts.values()):
                self.push(device, [attrs.evolve(change, attempts=change.attempts + 1)], False)
        for id, copy in self.held.items():
            found = self.bench.clients[0].get(THING.name, id)
            equal(shape(copy), shape(found), f"what `get` tells of {id} in the end")
        everything = self.bench.drain(self.bench.clients[0], incremental=False, deleted=False)
        for id, copy in self.held.items():
            equal(
                shape(copy), shape(everything.records.get(id)), f"what a full pull tells of {id} in the end"
            )
        overlap = overlap_of(self.bench.capabilities)
        if overlap == 0 or time.monotonic() - self.began < overlap:
            for device in self.devices:
                device.follower.catch_up()
                for id, copy in self.held.items():
                    found = device.follower.held.get(id)
                    equal(
                        shape(copy),
                        shape(found),
                        f"what client {device.number} was told of {id} by its pulls",
                    )
