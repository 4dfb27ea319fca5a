"""A device: one store, its user, and the contexts that are open on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from tidesync import resolutions
from tidesync.conflicts import (
    Conflict,
    Defer,
    Drop,
    KeepLocal,
    KeepRemote,
    MergeFields,
    Policy,
    Resolution,
    defer,
)
from tidesync.conformance.simulation.calls import Key
from tidesync.conformance.simulation.context import Context
from tidesync.conformance.simulation.invariants import Rows, broken
from tidesync.conformance.simulation.story import queue_of, told
from tidesync.conformance.simulation.tapes import Draw
from tidesync.conformance.simulation.watched import deferring, policy_of
from tidesync.contracts.store import Store
from tidesync.errors import StaleResolution, UsageError
from tidesync.query import Query
from tidesync.queue import Queue
from tidesync.records import Record
from tidesync.reports import OperationError
from tidesync.rows import HEADS, OPERATIONS, SYSTEM_TABLES
from tidesync.stores.memory import MemoryStore

if TYPE_CHECKING:
    from tidesync.conformance.simulation.world import World


class Edit(NamedTuple):
    """What a user does to one record: its content from now on, None if it is deleted."""

    number: int
    key: Key
    content: Record | None
    generated: bool = False


class _Raised(Exception):
    """What an application raises."""


class Device:
    """One store with its contexts."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        profile = world.profile
        self.reopen()
        self.edits: dict[str, tuple[int, ...]] = {}
        self.living: set[str] = set()
        self.known: set[Key] = set()
        self.newest: dict[Key, int] = {}
        self.errors: list[OperationError] = []
        self.conflicts: list[Conflict] = []
        self.handled = 0
        self.policy_name = profile.policies[number % len(profile.policies)]
        self.contexts = [Context(self, index) for index in range(profile.contexts)]

    def reopen(self) -> None:
        """The store is opened, as at the start of an application."""
        self.store: Store = self.world.open_store(self.number)
        self.store.open([*SYSTEM_TABLES, *self.world.tables.values()])
        self.rows = rows_of(self.store)

    # ---- what there is

    def locals(self) -> dict[Key, Record]:
        """All local records."""
        return {(name, id): row for name in self.world.tables for id, row in self.rows(name).items()}

    @property
    def queued(self) -> int:
        """How many operations wait."""
        return len(self.rows(OPERATIONS))

    def everything(self) -> dict[str, dict[str, Record]]:
        """All tables, as they are committed."""
        names = (*self.world.tables, *(table.name for table in SYSTEM_TABLES))
        return {name: dict(self.rows(name)) for name in names}

    def check(self) -> None:
        """The system tables are sound."""
        for sentence in broken(self.rows, self.world.tables):
            self.world.problem("unsound tables", f"device {self.number}: {sentence}")
        for key, record in self.locals().items():
            age = self.world.age(key, record.get("version"))
            if 0 < age < self.newest.get(key, 0):
                again = f"{key[1]} on device {self.number} is version {record.get('version')} again"
                self.world.problem("went back", again)
            self.newest[key] = max(age, self.newest.get(key, 0))

    # ---- the user

    def write(self, edits: Sequence[Edit]) -> None:
        """Local writes, in one transaction."""
        world, session = self.world, self.contexts[0].session
        with self.store.transaction(write=True) as transaction:
            queue = session.queue(transaction, world.now)
            for edit in edits:
                queue.write(*edit.key, edit.content, generated=edit.generated)
                self.note(queue, *edit.key, edit.number)
                if world.story is not None:
                    what = "deletes" if edit.content is None else "inserts" if edit.generated else "writes"
                    shown = told(edit.content) if edit.content else ""
                    world.say(
                        f"device {self.number} {what} {edit.key[1]} {shown} -> {queue_of(queue.ledger.head(*edit.key))}"
                    )
            _ = queue.close("local")
        if len(edits) > 1:
            world.say(f"   (these {len(edits)} in one transaction)")
        # An undone edit leaves the remote's news, if there is some; a delete is never undone by what is found there.
        for key, content in {edit.key: edit.content for edit in edits}.items():
            if content is None and key[1] in self.rows(key[0]):
                world.problem("still shown", f"{key[1]} on device {self.number}, which deleted it")
        self.committed()

    def fail(self, key: Key, content: Record | None) -> None:
        """The application raises in the middle of a transaction: nothing of it may be there afterwards."""
        before, edits = (self.locals(), dict(self.rows(OPERATIONS))), dict(self.edits)
        with suppress(_Raised), self.store.transaction(write=True) as transaction:
            queue = self.contexts[0].session.queue(transaction, self.world.now)
            if (content is None) == (key in before[0]):
                queue.write(*key, content)
            _ = queue.close("local")
            raise _Raised
        self.edits.clear()
        self.edits.update(edits)
        self.world.say(f"device {self.number} raises in a transaction that writes {key[1]}")
        if before != (self.locals(), dict(self.rows(OPERATIONS))):
            self.world.problem("not rolled back", f"{key[1]} on device {self.number}")
        self.committed()

    def discard(self, table: str, id: str) -> None:
        """All that is queued for a record is dropped, also what is in flight."""
        with self.store.transaction(write=True) as transaction:
            queue = self.contexts[0].session.queue(transaction, self.world.now)
            head = queue.ledger.head(table, id)
            if head is not None:
                queue.discard(head)
            _ = queue.close("resolution")
        self.world.say(f"device {self.number} discards what is queued for {id}")
        self.committed()

    def resolve(self, draw: Draw, edit: int) -> None:
        """The user settles what a push reported, or a conflict that was listed, perhaps too late."""
        world = self.world
        errors, conflicts = self.errors, self.conflicts
        with self.store.transaction(write=True) as transaction:
            queue = self.contexts[0].session.queue(transaction, world.now)
            self.conflicts = resolutions.conflicts(queue.ledger)
            try:
                if errors and draw.below(2):
                    error = errors.pop(draw.below(len(errors)))
                    how = draw.one(("cancel_and_discard", "update_operation", "retry"))
                    content = error.operation.content
                    if how == "update_operation" and content is not None:
                        content = {**content, f"f{self.number}": draw.below(4)}
                    elif how == "update_operation":
                        how = "retry"
                    if world.story is not None:
                        world.say(f"device {self.number} settles {error.record_id}: {how}")
                    resolutions.resolve_error(queue, error, how, content)
                    self.note(queue, error.table, error.record_id, edit)
                elif conflicts:
                    conflict = draw.one(conflicts)
                    answers: tuple[Resolution, ...] = (
                        KeepLocal(), KeepRemote(), Drop(), MergeFields("remote"), Defer()
                    )  # fmt: skip
                    answer = draw.one(answers)
                    world.say(f"device {self.number} settles {conflict.record_id}: {type(answer).__name__}")
                    resolutions.settle(queue, conflict, answer)
            except StaleResolution:
                world.say("   which is too late")
            except UsageError as refused:
                world.say(f"   which is refused: {refused}")
            _ = queue.close("resolution")
        self.committed()

    def note(self, queue: Queue, table: str, id: str, edit: int) -> None:
        """An edit was made: its record's last operation carries it."""
        head = queue.ledger.head(table, id)
        if head is not None and head.entries:
            key = head.entries[-1].key
            self.edits[key] = (*self.edits.get(key, ()), edit)

    def committed(self) -> None:
        """After every transaction."""
        if self.world.checking:
            self.check()

    def resolve_deferred(self, now: bool) -> None:
        """From now on conflicts are settled, or deferred again."""
        if self.policy_name.startswith("defer"):
            chosen = policy_of("merge/" + self.policy_name.partition("/")[2]) if now else self.deferring
            for context in self.contexts:
                context.session.policy = chosen

    @property
    def deferring(self) -> Policy:
        """Half of the devices defer without being asked, half when asked."""
        return defer if self.number % 2 else deferring


def rows_of(store: Store) -> Rows:
    """How to read whole tables of the store: a memory store's as they lie there, of any other by a query."""
    if isinstance(store, MemoryStore):
        memory = store  # whose dict of tables is another one now and then
        return lambda table: memory.tables[table]

    def rows(table: str) -> dict[str, Record]:
        with store.transaction(write=False) as transaction:
            return {str(row["id"]): row for row in transaction.select(Query(table))}

    return rows


def heads_in_conflict(rows: Rows) -> list[Key]:
    """Table and id of every record whose conflict waits."""
    heads: Mapping[str, Any] = rows(HEADS)
    if all(row["remote"] is None for row in heads.values()):
        return []
    operations = rows(OPERATIONS)
    return [
        (row["table"], row["record_id"])
        for row in heads.values()
        if row["remote"] is not None and operations[row["entries"][0]]["state"] != "attempted"
    ]
