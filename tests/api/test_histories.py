"""Any history of edits, losses, refusals and restarts on one device: what the user wrote is what there is."""

import contextlib
import tempfile
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.api.support import LISTS, NOTES, TABLES, Remote, TodoList, Wire, plain
from tidesync import PushFailed, SyncContext
from tidesync.contracts.store import Store
from tidesync.contracts.transport import NotSent, Rejected, Unknown
from tidesync.errors import RecordExists, RecordNotFound
from tidesync.records import content_of
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority

IDS = st.sampled_from("abc")
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "a", "b", 0.5, -0.0, [1], {"n": None}])
)
FIELDS = st.dictionaries(st.sampled_from(["x", "y", "names"]), VALUES, max_size=3)


class Rollback(Exception):
    """Ends a batch without its effects."""


class Device(RuleBasedStateMachine):
    """One device and a remote that only it writes; `notes` is what the user believes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: dict[str, dict[str, Any]] = {}
        self.remote = Remote(Authority(MemoryStore(), [each.schema for each in TABLES], identity="r").open())
        self.wire = Wire(self.remote.authority)
        self.wire.limits["max_changes"] = 2
        self.store = self.make_store()
        self.ctx = self.context()

    def make_store(self) -> Store:
        return MemoryStore()

    def context(self) -> SyncContext:
        return SyncContext(self.store, self.wire, TABLES).open()

    def teardown(self) -> None:
        self.ctx.close()

    @rule(id=IDS, fields=FIELDS)
    def insert(self, id: str, fields: dict[str, Any]) -> None:
        try:
            self.ctx[NOTES].insert({"id": id, **fields})
        except RecordExists:
            assert id in self.notes
        else:
            assert id not in self.notes
            self.notes[id] = {"id": id, **fields}

    @rule(id=IDS, fields=FIELDS)
    def update(self, id: str, fields: dict[str, Any]) -> None:
        try:
            self.ctx[NOTES].update(id, **fields)
        except RecordNotFound:
            assert id not in self.notes
        else:
            self.notes[id] |= fields

    @rule(id=IDS)
    def delete(self, id: str) -> None:
        try:
            self.ctx[NOTES].delete(id)
        except RecordNotFound:
            assert id not in self.notes
        else:
            del self.notes[id]

    @rule(ids=st.lists(IDS, max_size=4), fields=FIELDS, keep=st.booleans())
    def batch(self, ids: list[str], fields: dict[str, Any], keep: bool) -> None:
        before = dict(self.notes)
        with contextlib.suppress(Rollback), self.ctx.batch():
            for id in ids:
                if id in self.notes:
                    self.ctx[NOTES].delete(id)
                    del self.notes[id]
                else:
                    self.ctx[NOTES].insert({"id": id, **fields})
                    self.notes[id] = {"id": id, **fields}
            if not keep:
                self.notes = before
                raise Rollback

    @rule(
        id=IDS, fields=FIELDS, edit=st.sampled_from(["update", "delete", "nothing"]), trouble=st.integers(0, 4)
    )  # fmt: skip
    def push_with_trouble(self, id: str, fields: dict[str, Any], edit: str, trouble: int) -> None:
        """A write, and its push: replies get lost, the network goes, content is refused, the user edits meanwhile."""
        self.update(id, fields) if id in self.notes else self.insert(id, fields)
        answers: list[Any] = [
            self.wire.lose_reply, Unknown("500"), NotSent("no network"), Rejected("no", "not today"), None,
        ]  # fmt: skip
        if answers[trouble] is not None:
            self.wire.say(id, answers[trouble])

        def meanwhile(changes: Any) -> None:
            self.wire.on_push = lambda changes: None
            if edit == "update":
                self.update(id, {"x": len(changes)})
            elif edit == "delete":
                self.delete(id)

        self.wire.on_push = meanwhile
        with contextlib.suppress(PushFailed):
            self.ctx.push()
        self.wire.on_push = lambda changes: None
        self.wire.scripts.clear()

    @rule(name=st.sampled_from([None, "all"]), push=st.sampled_from(["context", "none"]))
    def pull(self, name: str | None, push: Any) -> None:
        self.ctx[NOTES].pull(name=name, push=push)

    @rule()
    def push_all(self) -> None:
        """After pushes without trouble both sides are equal, and the queue is empty."""
        for _ in range(3):
            with contextlib.suppress(PushFailed):
                self.ctx.push(retry_failed=True)
        assert 0 == self.ctx.pending_operations
        there = {str(record["id"]): plain(record) for record in self.remote.authority.records("note")}
        assert self.notes == {id: present(record, self.notes.get(id, {})) for id, record in there.items()}

    @rule()
    def reopen(self) -> None:
        self.ctx.close()
        self.ctx = self.context()

    @precondition(lambda self: not self.notes)
    @rule()
    def other_table(self) -> None:
        self.ctx[LISTS].upsert(TodoList("a", "b"))

    @invariant()
    def what_was_written_is_there(self) -> None:
        here = {str(record["id"]): content_of(record) for record in self.ctx[NOTES].all()}
        assert self.notes == {id: present(record, self.notes.get(id, {})) for id, record in here.items()}

    @invariant()
    def the_queue_is_sound(self) -> None:
        operations = self.ctx.operations()
        places = [each.sequence for each in operations]
        assert (len(operations), sorted(set(places))) == (self.ctx.pending_operations, places)
        assert [] == self.ctx.conflicts()
        first: set[tuple[str, str]] = set()
        for each in operations:
            key = (each.table, each.record_id)
            assert each.state != "attempted" or key not in first
            first.add(key)


def present(record: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """A re-created record may hold nulls for what it had before it was deleted: the remote has no way to forget."""
    return {name: value for name, value in record.items() if value is not None or name in wanted}


class DeviceInAFile(Device):
    """The same on SQLite."""

    def make_store(self) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        return SQLiteStore(f"{self.folder.name}/device.db", synchronous="normal")

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestDevice = Device.TestCase
TestDevice.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestDeviceInAFile = DeviceInAFile.TestCase
TestDeviceInAFile.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
