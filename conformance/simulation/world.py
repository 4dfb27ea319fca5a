"""The world around some devices: users, a network, a remote, time; and what must be true in the end.

Each device writes only its own fields, so that the truth is known. A run is a function of a profile and two tapes.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tidesync.conflicts import Policy
from tidesync.conformance.simulation.calls import Call, Key, Link, Remote
from tidesync.conformance.simulation.device import Device, heads_in_conflict
from tidesync.conformance.simulation.embedded import EmbeddedLink, WatchedAuthority
from tidesync.conformance.simulation.plain import BLIND, PlainLink, PlainRemote
from tidesync.conformance.simulation.profiles import Profile
from tidesync.conformance.simulation.setting import (
    DECLARED,
    KEYS,
    SELF,
    SMALL,
    SYSTEM,
    Endless,
    blank,
    tables_of,
)
from tidesync.conformance.simulation.store import QuickStore
from tidesync.conformance.simulation.story import told
from tidesync.conformance.simulation.tapes import Draw, Tapes
from tidesync.conformance.simulation.users import Users
from tidesync.conformance.simulation.watched import policy_of
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Absent, Change
from tidesync.predicate import matcher
from tidesync.query import Expr
from tidesync.records import Json, Record
from tidesync.rows import OPERATIONS
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore

Fits: TypeAlias = Callable[[Record], str | None]
ROUNDS = 8
"""Pushes and pulls of every device after which all must agree, once the network works."""
_TABLES: dict[str, Mapping[str, TableSchema]] = {}


class World:
    """One run."""

    def __init__(
        self, profile: Profile, tapes: Tapes, *, story: list[str] | None = None, checking: bool = False
    ) -> None:
        self.profile, self.tapes, self.story, self.checking = profile, tapes, story, checking
        self.problems: dict[str, str] = {}
        self.now, self.faults, self.edit, self.rounds = 1000.0, False, 0, 0
        self.quiet, self.retries, self.rounds_allowed = Endless(), False, ROUNDS
        self.mishaps = self.kills = self.conflicts = 0
        self.hears_second = False
        self.tables = self.declared()
        self.fits: Mapping[str, Fits] = dict.fromkeys(self.tables, _fits)
        self.keys = (SELF if profile.references == "self" else KEYS)[: profile.records]
        self.wish: Expr | None = SMALL if profile.subset else None
        self.late: list[tuple[int, Call[Any]]] = []
        self.last: dict[tuple[Key, str], Json] = {}
        self.intended: dict[Key, Record | None] = {}
        self.writers: dict[Key, set[int]] = {}
        self.created: set[Key] = set()
        self.effects: dict[int, str] = {}
        self.edits_of: dict[str, tuple[int, ...]] = {}
        self.remote, self.link = self.open_remote()
        self.devices = [Device(self, number) for number in range(profile.devices)]
        self.users = self.meet_users()
        self.contexts = [context for device in self.devices for context in device.contexts]

    # ---- what it is made of

    def declared(self) -> Mapping[str, TableSchema]:
        """The tables, by name."""
        profile = self.profile
        if profile.name not in _TABLES:
            _TABLES[profile.name] = tables_of(profile)
        return _TABLES[profile.name]

    def open_store(self, number: int) -> Store:
        """The store of a device, as its application opens it."""
        del number
        return self.new_store()

    def new_store(self) -> MemoryStore:
        """A store of a device, or of the authority."""
        return MemoryStore() if self.checking else QuickStore()

    def meet_users(self) -> Users:
        """Those who edit."""
        return Users(self)

    def policy_for(self, device: Device) -> Policy:
        """Who settles the conflicts of a device."""
        return device.deferring if device.policy_name.startswith("defer") else policy_of(device.policy_name)

    def to_record(self, table: str, given: Any, under: Record | None) -> Record:
        """What a policy merged, as a record."""
        del table
        return {**(under or {}), **given}

    def any_table(self, draw: Draw) -> str:
        """What to pull or purge next."""
        return "item" if draw.below(3) else "list"

    def link_of(self, device: Device) -> Link:
        """The device's way to the remote."""
        del device
        return self.link

    def age(self, key: Key, version: Json) -> int:
        """A later version of a record has a larger one: the number with which versions of either remote begin."""
        del key
        return int(version.lstrip("v").partition(".")[0]) if isinstance(version, str) else 0

    def died(self, device: Device) -> None:
        """The application on the device was killed, and starts again."""

    def open_remote(self) -> tuple[Remote, Link]:
        """The remote, and the way to it."""
        profile, tables = self.profile, list(self.tables.values())
        if profile.foreign_keys and profile.references == "undeclared":  # the remote knows better
            tables = list(tables_of(DECLARED).values())
        if profile.remote == "authority":
            authority = WatchedAuthority(
                self.new_store(), tables, foreign_keys=profile.foreign_keys, batch=profile.batch, watch=self
            )
            return authority, EmbeddedLink(authority)
        plain = PlainRemote(
            tables, foreign_keys=profile.foreign_keys, lag=profile.lag, graves=profile.graves, watch=self
        )
        return plain, PlainLink(plain, profile.batch)

    # ---- what is noticed

    def say(self, text: str) -> None:
        """A line of the story."""
        if self.story is not None and text:
            self.story.append(text)

    def problem(self, kind: str, detail: str = "") -> None:
        """Something that must not be."""
        self.problems.setdefault(kind, detail)
        self.say(f"!! {kind} {detail}")

    def crash(self, error: Exception) -> None:
        """An exception that nobody announced."""
        where = traceback.extract_tb(error.__traceback__)[-1]
        self.problem(f"crash {type(error).__name__}", f"{error} at {where.name}:{where.lineno}")
        if self.story is not None:
            self.story.extend(traceback.format_exception(error))

    def carried(self, device: Device, changes: Sequence[Change]) -> None:
        """Changes leave a device: what edits they are made of is fixed from now on."""
        rows = device.rows(OPERATIONS).values()
        for change in changes:
            if change.id not in self.edits_of:
                key = next((str(row["id"]) for row in rows if row["operation"] == change.id), "")
                self.edits_of[change.id] = device.edits.get(key, ())
                own = {f"f{device.number}", "ref"} if device.number == 0 else {f"f{device.number}"}
                if (
                    self.profile.truth == "fields"
                    and change.kind == "update"
                    and not own.issuperset(change.fields)
                ):
                    self.problem("sent what it did not change", f"{change.id}: {change.fields}")

    def took(self, change: Change) -> None:
        """A change takes effect at the remote: each edit in it may do so once."""
        for edit in self.edits_of.get(change.id, ()):
            if edit in self.effects and self.profile.once:
                self.problem("applied twice", f"edit {edit}, as {self.effects[edit]} and as {change.id}")
            self.effects[edit] = change.id

    def foreign_key(self, what: object) -> None:
        """The remote's foreign keys refused something."""
        if self.profile.law:
            self.problem("foreign key", f"{what}")

    def ended(self, device: Device) -> None:
        """A plan ended: no conflict may be left that is none."""
        for key in heads_in_conflict(device.rows):
            if self.single_writer(key):
                self.problem("false conflict", f"{key[1]} on device {device.number}")

    def single_writer(self, key: Key) -> bool:
        """Whether only one device ever wrote the record, and never took an edit back on the way."""
        return len(self.writers.get(key, ())) <= 1 and not (self.profile.discards or self.profile.resolutions)

    # ---- the run

    def run(self) -> dict[str, str]:
        """All of it; returns what went wrong, by kind."""
        if self.profile.seeded:
            self.seed()
        self.faults = True
        made = 0
        for number in self.tapes.schedule:
            draw = Draw(number)
            context = self.contexts[draw.below(len(self.contexts))]
            if self.profile.slow and context is self.contexts[-1] and draw.below(100) < self.profile.slow:
                context = self.contexts[draw.below(len(self.contexts) - 1)]
            what = draw.below(100)
            self.pass_time()
            if what < self.profile.edits:
                entry = self.tapes.workload[made] if made < len(self.tapes.workload) else None
                made += 1
                if entry is not None:
                    self.users.act(context.device, Draw(entry))
            elif what < self.profile.edits + self.profile.kills:
                context.kill()
            elif what < self.profile.edits + self.profile.kills + 3 and self.late:
                self.arrive_late(draw)
            else:
                context.advance(draw)
            if self.problems:
                return self.problems
        self.settle_down()
        if not self.problems:
            self.judge()
        return self.problems

    def live(self) -> dict[str, str]:
        """All of it, whatever a part of it raises, and then the parts are let go; what went wrong, by kind."""
        try:
            return self.run()
        except Exception as error:
            self.crash(error)
            return self.problems
        finally:
            self.close()

    def close(self) -> None:
        """Let go of what a run holds."""

    def pass_time(self) -> None:
        """Half a second here; a tick at the remote now and then."""
        self.now += 0.5
        if self.now % 25 == 0:
            self.remote.tick()

    def seed(self) -> None:
        """The remote has records already, and the devices pulled them."""
        for key in self.keys:
            content: Record = {"id": key[1], **blank(key[0])}
            change = Change(
                id=f"seed-{key[1]}", table=key[0], record_id=key[1], kind="insert", record=content,
                fields=tuple(blank(key[0])), expected=Absent(),
            )  # fmt: skip
            self.remote.plant(change, self.quiet)
        self.created = set(self.keys)
        for context in self.contexts:
            for table in self.tables:
                context.pull(table)
                context.run()

    def arrive_late(self, draw: Draw) -> None:
        """A request that timed out arrives after all; nobody hears the reply."""
        number, call = self.late.pop(0)
        answer = call.run(draw)
        if self.story is not None:
            self.say(f"a request of device {number} arrives late: {call.name}; nobody hears {told(answer)}")

    # ---- the end

    def settle_down(self) -> None:
        """The network works, what was late arrives, BAD is mended, conflicts are settled; all push and pull."""
        self.say("-- from here on nothing fails")
        self.faults = False
        for context in self.contexts:
            context.kill()
        ending = Draw(self.tapes.ending)
        first, pull_before, held = ending.below(len(self.devices)), ending.below(3), ending.below(3) == 0
        if not (held and self.retires()):
            self.all_arrive()
        devices = self.devices[first:] + self.devices[:first]
        for round_ in range(self.rounds_allowed):
            self.rounds = round_ + 1
            if round_ == 0 and pull_before == 1:
                for device in devices:
                    self.pull(device)
            for device in devices:
                self.users.mend(device)
                device.resolve_deferred(round_ > 0)
                if round_ == 0 and pull_before == 2:
                    self.pull(device)
                if device.queued:
                    device.contexts[0].push(retry_failed=self.retries)
                    device.contexts[0].run()
                self.pull(device)
            if self.problems or self.agreed():
                break
        if not self.problems and self.agreed() and self.late:
            self.retire(devices)

    def all_arrive(self) -> None:
        """What was late is here."""
        while self.late:
            self.arrive_late(self.quiet)

    def retires(self) -> bool:
        """Whether what is late may be kept for after the end of all records."""
        return self.profile.deletes != "nobody" and self.profile.truth == "none" and self.profile.graves

    def retire(self, devices: Sequence[Device]) -> None:
        """The first device deletes everything, all agree, and then what was late arrives: nothing comes back."""
        self.say("-- everything is deleted")
        owner = self.devices[0]
        view = owner.locals()
        for key in sorted(view):
            owner.write([self.users.edited(owner, key, None, view)])
        owner.contexts[0].push()
        owner.contexts[0].run()
        self.say("-- what was late arrives")
        # Reviving what has no known version is unconditional on a plain remote: late, it revives whatever is there.
        self.late = [(number, call) for number, call in self.late if call.name != BLIND]
        # An insert that was discarded in flight, and never arrived, is news to the remote and no return.
        known = self.remote.known()
        self.all_arrive()
        for device in devices:
            self.pull(device)
        alive = [*self.remote.alive(), *(key for device in devices for key in device.locals())]
        left = [key for key in alive if key in known]
        if left:
            self.problem("came back", f"{left}")

    def pull(self, device: Device) -> None:
        """Pull what differs: where nothing does a pull brings nothing, and some runs make sure of that."""
        for table in self.tables:
            if self.checking or self.differs(device, table):
                device.contexts[0].pull(table, reconcile=self.profile.reconciles)
                device.contexts[0].run()

    def differs(self, device: Device, table: str) -> bool:
        """Whether the device's table is not the remote's."""
        there = {id: row for (name, id), row in self.wanted().items() if name == table}
        return there != {id: _seen(row) for id, row in device.rows(table).items()}

    def wanted(self) -> dict[Key, Record]:
        """What each device should hold: the remote's records, or those of the query."""
        wishes = matcher(self.wish)
        return {
            key: _seen(row) for key, row in self.remote.alive().items() if self.wish is None or wishes(row)
        }

    def agreed(self) -> bool:
        """Whether all hold the same, and nothing waits."""
        wanted = self.wanted()
        return all(
            not device.queued and wanted == {key: _seen(row) for key, row in device.locals().items()}
            for device in self.devices
        )

    def judge(self) -> None:
        """What must be true in the end."""
        there: dict[Key, Record] = {key: _seen(row) for key, row in self.remote.alive().items()}
        wanted = self.wanted()
        for device in self.devices:
            device.check()
            here = {key: _seen(row) for key, row in device.locals().items()}
            if device.queued:
                states = sorted({str(row["state"]) for row in device.rows(OPERATIONS).values()})
                self.problem(
                    "stuck", f"device {device.number}: {', '.join(states)} after {self.rounds} rounds"
                )
            elif here != wanted:
                self.problem("diverged", f"device {device.number} holds {here}, the remote {there}")
        if self.profile.truth == "fields":
            for (key, field), value in self.last.items():
                if there.get(key, {}).get(field, "no record") != value:
                    self.problem("lost write", f"{key[1]}.{field} should be {value}: {there.get(key)}")
        elif self.profile.truth == "records":
            for key, content in self.intended.items():
                found = there.get(key)
                if (found and {name: value for name, value in found.items() if name != "version"}) != content:
                    self.problem("lost write", f"{key[1]} should be {content}, and is {found}")


def _fits(_: Record) -> str | None:
    return None


def _seen(row: Record) -> Record:
    """What must be equal everywhere: the content and the version."""
    return {name: value for name, value in row.items() if name not in SYSTEM[1:]}
