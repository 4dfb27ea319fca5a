"""A world of a user's own parts: what their users do in it, and what can be known of the end without knowing more."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from tidesync.conflicts import Conflict, Policy, Resolution
from tidesync.conformance.simulation.calls import Key, Link, Remote
from tidesync.conformance.simulation.clients import SIMULATED, Client, ClientLink, Observed
from tidesync.conformance.simulation.device import Device, heads_in_conflict
from tidesync.conformance.simulation.generated import values_of
from tidesync.conformance.simulation.owners import Owners
from tidesync.conformance.simulation.profiles import Profile
from tidesync.conformance.simulation.scenario import Scenario
from tidesync.conformance.simulation.setting import SYSTEM
from tidesync.conformance.simulation.tapes import Draw, Tapes
from tidesync.conformance.simulation.users import Users
from tidesync.conformance.simulation.world import World
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Transport
from tidesync.objects import Table
from tidesync.records import Json, Record, alive, encode_copy, same
from tidesync.rows import OPERATIONS
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport

ROUNDS = 12
"""Pushes and pulls of every device after which all must agree; from the fourth on, what stays refused is given up."""


class OwnWorld(World):
    """One run of a scenario."""

    def __init__(
        self, scenario: Scenario, tapes: Tapes, *, story: list[str] | None = None, checking: bool = False
    ) -> None:
        self.scenario, self.owners = scenario, Owners(scenario)
        self.folders, self.links, self.stores = ExitStack(), dict[int, Link](), dict[int, Store]()
        self.folder: Path | None = None
        self.asked: dict[Key, bool] = {}
        self.given_up: set[Key] = set()
        self.judged = self.retired = False
        super().__init__(profile_of(scenario), tapes, story=story, checking=checking)
        self.rounds_allowed, self.retries = ROUNDS, True
        self.keys = self.owners.keys
        self.fits = {
            each.name: each.fits if isinstance(each, Table) else _anything for each in scenario.tables
        }

    # ---- its parts

    def declared(self) -> Mapping[str, TableSchema]:
        """The scenario's tables."""
        return self.scenario.schemas

    def open_store(self, number: int) -> Store:
        """A store of the scenario, in the device's folder."""
        make = self.scenario.make_store
        if make is None:
            return super().open_store(number)
        if self.folder is None:
            self.folder = Path(self.folders.enter_context(tempfile.TemporaryDirectory(prefix="tidesync-")))
        mine = self.folder / f"device-{number}"
        mine.mkdir(exist_ok=True)
        self.stores[number] = make(mine)
        return self.stores[number]

    def open_remote(self) -> tuple[Remote, Link]:
        """The scenario's remote, and a client of it for each device."""
        client = self.clients()
        observed = self.observed = Observed(client, self.tables, self.scenario.computed)
        self.folders.callback(observed.transport.close)
        for number in range(self.scenario.devices):
            transport = client()
            self.folders.callback(transport.close)
            self.links[number] = ClientLink(Client(transport, observed, self))
        found = observed.capabilities
        self.profile = attrs.evolve(
            self.profile,
            once=found.remembers != 0 or (self.scenario.keeps_both and not self.scenario.deletes),
            graves=found.tombstones >= self.tables.keys(),
            reconciles=not found.tombstones >= self.tables.keys(),
        )
        # One that does not know operation ids would take the second arrival for somebody else's.
        self.hears_second = self.remembers = found.remembers != 0
        return observed, self.links[0]

    def clients(self) -> Callable[[], Transport]:
        """What makes one more client of the remote."""
        scenario = self.scenario
        if scenario.make_remote is None:
            authority = Authority(
                MemoryStore(), list(scenario.tables), foreign_keys=scenario.foreign_keys, identity="authority",
                max_changes=scenario.batch, clock=lambda: 1_750_000_000.0 + self.now,
                before_write=scenario.before_write,
            )  # fmt: skip
            return partial(LoopbackTransport, authority)
        made = scenario.make_remote()
        return partial(LoopbackTransport, made) if isinstance(made, Authority) else made

    def age(self, key: Key, version: Json) -> int:
        """By the order in which versions were seen at the remote: what is in them is its own."""
        return self.observed.age(key, version)

    def link_of(self, device: Device) -> Link:
        """Each device has a client of its own."""
        return self.links[device.number]

    def meet_users(self) -> Users:
        """Users that fill any table."""
        return OwnUsers(self)

    def policy_for(self, device: Device) -> Policy:
        """The scenario's policy, watched."""
        del device
        return self.ask

    def ask(self, conflict: Conflict) -> Resolution:
        """Ask the policy, which may look at the conflict and not touch it."""
        dead = not (alive(conflict.base) and alive(conflict.remote) and conflict.local is not None)
        self.asked[conflict.key] = self.asked.get(conflict.key, False) or dead
        shown = copy.deepcopy(conflict)
        answer = self.scenario.settles(conflict)
        if not _equal(shown, conflict):
            self.problem("the policy changed the conflict it was shown", f"{conflict.key[1]}")
        return answer

    def to_record(self, table: str, given: Any, under: Record | None) -> Record:
        """What the policy merged, as the context would take it."""
        known = next(each for each in self.scenario.tables if each.name == table)
        if not isinstance(known, Table):
            return super().to_record(table, given, under)
        record = known.to_record(given)
        if under is None:
            return record
        return {**known.overlay(given, under), "id": record.get("id", under["id"])}

    def any_table(self, draw: Draw) -> str:
        """Any of the tables."""
        return draw.one(list(self.tables))

    def died(self, device: Device) -> None:
        """A durable store is closed, and opened again; another one is as good as the memory it is in."""
        alone = len(device.contexts) == 1
        if self.scenario.make_store is not None and device.store.capabilities.durable and alone:
            before = device.everything()
            device.store.close()
            device.reopen()
            if before != device.everything():
                self.problem("not durable", f"device {device.number} lost what it had committed")

    def close(self) -> None:
        """Let go of the stores, the clients and the folder."""
        for store in self.stores.values():
            self.folders.callback(store.close)
        self.folders.close()

    # ---- the end

    def single_writer(self, key: Key) -> bool:
        """Whether only one device ever wrote the record, and nothing of it was given up."""
        return len(self.writers.get(key, ())) <= 1 and key not in self.given_up

    def waiting(self, device: Device) -> set[Key]:
        """The records whose operations may wait: conflicts that nobody decided, and what waits for those."""
        conflicts = set(heads_in_conflict(device.rows))
        if not conflicts:
            return conflicts
        rows: Mapping[str, Any] = device.rows(OPERATIONS)
        found = set(conflicts)
        for row in sorted(rows.values(), key=lambda row: row["sequence"]):
            blocker = rows.get(row["blocker"]) if row["blocker"] is not None else None
            if blocker is not None and (blocker["table"], blocker["record_id"]) in found:
                found.add((row["table"], row["record_id"]))
        return found

    def unsettled(self, device: Device) -> set[Key]:
        """The records with operations that wait for nothing that may be waited for."""
        return queued(device) - self.waiting(device)

    def agreed(self) -> bool:
        """Whether all hold what the remote holds, but for conflicts that nobody decided."""
        there = self.wanted()
        return all(not self.unsettled(device) and not self.unlike(device, there) for device in self.devices)

    def unlike(self, device: Device, there: Mapping[Key, Record]) -> list[Key]:
        """The records that the device holds otherwise than the remote."""
        here = {key: _seen(row) for key, row in device.locals().items()}
        left = (here.keys() | there.keys()) - self.waiting(device)
        return sorted(key for key in left if not _alike(here.get(key), there.get(key)))

    def wanted(self) -> dict[Key, Record]:
        """All that the remote holds."""
        return {key: _seen(row) for key, row in self.remote.alive().items()}

    def retires(self) -> bool:
        """Whether it can be seen that nothing comes back: the remote knows its dead, and what it was sent."""
        return self.scenario.deletes and self.profile.graves and self.remembers

    def retire(self, devices: Sequence[Device]) -> None:
        """The first device deletes what it may, all agree, and then what was late arrives: nothing comes back."""
        self.judge_records()
        self.retired = True
        self.say("-- everything is deleted")
        owner, view = devices[0], devices[0].locals()
        while free := [key for key in sorted(view) if not self.owners.named(key, view)]:
            for key in free:
                owner.write([self.users.edited(owner, key, None, view)])
        owner.contexts[0].push()
        owner.contexts[0].run()
        gone = self.remote.known() - self.remote.alive().keys()
        self.say("-- what was late arrives")
        self.all_arrive()
        for device in devices:
            self.pull(device)
        here = [device.locals().keys() - queued(device) for device in devices]
        left = sorted(gone & set[Key]().union(self.remote.alive(), *here))
        if left:
            self.problem("came back", f"{left}")

    def judge(self) -> None:
        """What must be true in the end, whatever the policy chose."""
        there = self.wanted()
        for device in self.devices:
            device.check()
            if self.retired:  # they agreed before that; an edit of what was deleted then may wait
                continue
            if stuck := sorted(self.unsettled(device)):
                self.problem(
                    "stuck", f"device {device.number}: {stuck} still wait after {self.rounds} rounds"
                )
            elif unlike := self.unlike(device, there):
                here = device.locals().get(unlike[0])
                self.problem(
                    "diverged",
                    f"{unlike[0]}: device {device.number} holds {here}, the remote {there.get(unlike[0])}",
                )
        self.judge_records()

    def judge_records(self) -> None:
        """What must be true of the records that all agree on; once, before the last deletes."""
        if self.problems or self.judged:
            return
        self.judged, there = True, self.wanted()
        self.judge_contents(there)
        if not self.problems and self.scenario.holds is not None:
            records = {
                name: [row for (table, _), row in there.items() if table == name] for name in self.tables
            }
            wrong = self.scenario.holds(records)
            if wrong is not None:
                self.problem("does not hold", wrong)

    def judge_contents(self, there: Mapping[Key, Record]) -> None:
        """What one device alone wrote, and nobody decided against, is there."""
        waiting = set[Key]().union(*(self.waiting(device) for device in self.devices))
        for key in self.keys:
            if key in self.given_up or key in waiting or key not in self.writers:
                continue
            found = there.get(key)
            for field, value in self.owners.certain(self, key):
                actual = _MISSING if found is None else found.get(field)
                if not same(value, actual):
                    shown = "no record" if found is None else f"{found}"
                    self.problem("lost write", f"{key[1]}.{field} should be {value!r}: {shown}")
            if self.single_writer(key) and self.intended[key] is None and found is not None:
                self.problem("lost write", f"{key[1]} should be deleted, and is {found}")


_MISSING = "no record"


class OwnUsers(Users):
    """Users who fill the columns of any table."""

    def __init__(self, world: OwnWorld) -> None:
        super().__init__(world)
        self.own, self.owners = world, world.owners
        self.values = values_of(world.scenario)

    def edit_one(self, device: Device, draw: Draw, view: dict[Key, Record], edits: list[Any]) -> None:
        """One edit on what the user sees."""
        key = draw.one(self.owners.keys)
        have, number, deletes = view.get(key), device.number, self.own.scenario.deletes
        if draw.below(100) < 4:
            device.fail(key, None if have is not None else self.whole(key, view, draw))
        if not self.owners.may_write(key, number):
            return
        if have is None:
            fresh = key not in self.own.created
            content = self.whole(key, view, draw)
            if content is None or (number != self.owners.creator(key) if fresh else not deletes):
                return
            self.own.created.add(key)
            self.owners.wrote(key, content, number)
            edits.append(self.edited(device, key, content, view, generated=fresh))
        elif deletes and draw.below(100) < 25:
            if self.owners.may_end(key) and not self.owners.named(key, view):
                self.owners.ended.add(key)
                edits.append(self.edited(device, key, None, view))
        else:
            columns = self.owners.columns(key, number, anything=draw.below(4) == 0)
            if not columns:
                return
            old = {name: value for name, value in have.items() if name not in SYSTEM}
            field = draw.one(columns)
            drawn = self.value_of(key, field, view, draw)
            if drawn and not same(old.get(field), drawn[0]):
                self.owners.wrote(key, {field: drawn[0]}, number)
                edits.append(self.edited(device, key, {**old, field: drawn[0]}, view))

    def whole(self, key: Key, view: Mapping[Key, Record], draw: Draw) -> Record | None:
        """A new record; None if it must name another, and there is none."""
        content: Record = {"id": key[1]}
        for column in self.own.tables[key[0]].columns:
            drawn = self.value_of(key, column.name, view, draw)
            if not drawn:
                return None
            content[column.name] = drawn[0]
        return content

    def value_of(self, key: Key, field: str, view: Mapping[Key, Record], draw: Draw) -> Sequence[Any]:
        """A value for the column, in a list of one; empty if there is none."""
        target = (self.own.tables[key[0]].references or {}).get(field)
        if target is None:
            return [draw.one(self.values[key[0], field])]
        there = [id for table, id in view if table == target and (table, id) != key]
        nullable = self.own.tables[key[0]].by_name[field].nullable
        choices = [*([None] if nullable else []), *there]
        return [draw.one(choices)] if choices else []

    def mend(self, device: Device) -> None:
        """What the remote refuses again and again is given up."""
        if self.own.rounds > 3:
            for row in list(device.rows(OPERATIONS).values()):
                if row["state"] == "failed" and not _simulated(row["error"]):
                    key = (str(row["table"]), str(row["record_id"]))
                    self.own.given_up.add(key)
                    device.discard(*key)


def profile_of(scenario: Scenario) -> Profile:
    """The kind of world that the scenario is."""
    return Profile(
        name=scenario.name, devices=scenario.devices, records=scenario.records, batch=scenario.batch,
        page=scenario.page, steps=scenario.steps, bad=0, doubles=4, truth="none", policies=("own",),
        deletes="anybody" if scenario.deletes else "nobody", contexts=scenario.contexts, lease=6.0,
    )  # fmt: skip


def queued(device: Device) -> set[Key]:
    """The records of the device with operations that wait."""
    return {(str(row["table"]), str(row["record_id"])) for row in device.rows(OPERATIONS).values()}


def _anything(_: Record) -> str | None:
    return None


def _seen(row: Record) -> Record:
    return {name: value for name, value in row.items() if name not in SYSTEM[1:]}


def _simulated(error: Json) -> bool:
    """Whether the simulation refused it, which it does not do to what is sent anew."""
    return isinstance(error, dict) and error.get("code") == SIMULATED


def _alike(here: Record | None, there: Record | None) -> bool:
    return here is there or (here is not None and there is not None and same(here, there))


def _equal(one: Conflict, other: Conflict) -> bool:
    return all(same(a, b) for a, b in zip(_parts(one), _parts(other), strict=True))


def _parts(conflict: Conflict) -> list[Json]:
    return [encode_copy(conflict.base), conflict.local, encode_copy(conflict.remote)]
