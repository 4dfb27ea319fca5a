"""Any history is the same on both faces: the records, the queue, the remote, and what was told."""

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aio.words.blocking import Awaited, BlockingContext, Loop, on_a_thread
from tests.api.support import NOTES, TABLES, Remote, Wire, plain
from tidesync import AsyncSyncContext, PushFailed, SyncContext, keep_local, keep_remote, merge_fields
from tidesync.conflicts import Conflict, Resolution
from tidesync.contracts.transport import NotSent, Rejected, Unknown
from tidesync.errors import PurgeBlocked, RecordExists, RecordNotFound
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority

POLICIES = [keep_local, keep_remote, merge_fields("remote")]
REFUSED = RecordExists, RecordNotFound, PushFailed, PurgeBlocked
IDS, FIELDS = (
    st.sampled_from("abc"),
    st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 2), max_size=2),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["insert", "update", "theirs"]), IDS, FIELDS),
        st.tuples(st.sampled_from(["delete", "their delete", "retry"]), IDS),
        st.tuples(st.just("batch"), st.lists(st.tuples(IDS, FIELDS), max_size=3), st.booleans()),
        st.tuples(
            st.just("push"), IDS, st.sampled_from(["lost", "doubt", "away", "refused", "fine", "fine"])
        ),
        st.tuples(st.just("pull"), st.sampled_from([None, "all"]), st.sampled_from(["context", "none"])),
        st.tuples(st.just("purge"), st.booleans()),
        st.tuples(st.just("reopen")),
    ),
    max_size=14,
)


class World:
    """One device and its remote, and all that can be seen of them."""

    def __init__(self, make: Callable[[Any, Any, Any], Any], policy: int) -> None:
        self.remote = Remote(Authority(MemoryStore(), [each.schema for each in TABLES], identity="r").open())
        self.wire = Wire(self.remote.authority, max_changes=2)
        self.told: list[Any] = []
        asked = POLICIES[policy]

        def decide(conflict: Conflict) -> Resolution:
            return asked(conflict)

        self.ctx = make(MemoryStore(), self.wire, decide)
        _ = self.ctx.open()
        _ = self.ctx.subscribe(self.told.append)

    def play(self, step: Any) -> Any:
        """What the step raised, and what there is then."""
        raised = None
        try:
            self.step(*step)
        except REFUSED as error:
            raised = type(error)
        return raised, self.seen()

    def seen(self) -> Any:
        told, self.told[:] = [(type(each), getattr(each, "ids", None)) for each in self.told], []
        here = [plain(record) for record in self.ctx[NOTES].all()]
        queue = [
            (
                each.sequence,
                each.record_id,
                each.kind,
                each.state,
                each.attempts,
                each.content,
                each.in_conflict,
            )
            for each in self.ctx.operations()
        ]
        there = [self.remote.content("note", id) for id in self.remote.ids("note")]
        return here, queue, self.ctx.pending_operations, there, told

    def step(self, kind: str, *given: Any) -> None:
        ctx = self.ctx
        match kind, given:
            case "insert", (id, fields):
                ctx[NOTES].insert({"id": id, **fields})
            case "update", (id, fields):
                ctx[NOTES].update(id, **fields)
            case "theirs", (id, fields):
                _ = self.remote.write("note", id, **fields)
            case "delete", (id,):
                ctx[NOTES].delete(id)
            case "their delete", (id,) if self.remote.content("note", id) is not None:
                _ = self.remote.delete("note", id)
            case "retry", _:
                for operation in ctx.operations():
                    if operation.state == "failed":
                        ctx.retry(operation)
            case "batch", (writes, keep):
                with contextlib.suppress(ZeroDivisionError), ctx.batch():
                    for id, fields in writes:
                        ctx[NOTES].upsert({"id": id, **fields})
                    _ = 1 // keep
            case "push", (id, trouble):
                answers = {
                    "lost": self.wire.lose_reply, "doubt": Unknown("500"), "away": NotSent("no network"),
                    "refused": Rejected("no", "not today"),
                }  # fmt: skip
                self.wire.scripts = {id: [answers[trouble]]} if trouble in answers else {}
                ctx.push()
            case "pull", (name, push):
                ctx[NOTES].pull(name=name, push=push)
            case "purge", (force,):
                ctx[NOTES].purge(force=force)
            case "reopen", _:
                ctx.close()
                ctx.open()
            case _:
                return


def test_any_history_is_the_same_on_both_faces(loop: Loop) -> None:
    """Step by step: what is raised, the records, the queue, the remote, and the events in their order."""

    def threads(store: Any, wire: Wire, policy: Any) -> Any:
        return SyncContext(store, wire, TABLES, policy=policy)

    def tasks(store: Any, wire: Wire, policy: Any) -> Any:
        inner = AsyncSyncContext(store, Awaited(wire), TABLES, policy=on_a_thread(policy))
        return BlockingContext(inner, loop)

    @settings(max_examples=40, deadline=None)
    @given(STEPS, st.integers(0, len(POLICIES) - 1))
    def run(steps: list[Any], policy: int) -> None:
        one, other = World(threads, policy), World(tasks, policy)
        for step in steps:
            assert one.play(step) == other.play(step)
        one.ctx.close()
        other.ctx.close()

    run()
