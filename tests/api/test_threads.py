"""Several threads, several contexts: who waits, who is told that it cannot, and that nothing is lost."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from tests.api.support import LISTS, NOTES, TODOS, Todo, TodoList, Wire, World
from tidesync import PushFailed, SyncContext
from tidesync.contracts.transport import Change, NotSent, PullRequest, Rejected
from tidesync.errors import ContextClosed, NotReachable, SyncBusy
from tidesync.rows import META


def run_all(*calls: Callable[[], object]) -> list[BaseException]:
    """Call each on a thread of its own; what they raised."""
    raised: list[BaseException] = []

    def guarded(call: Callable[[], object]) -> None:
        try:
            _ = call()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return raised


def test_writers_and_syncers_together(world: World) -> None:
    """Twenty threads write while push and pull run: no error, and both sides agree. [R-M24] [B24] [R-E36] [P09]"""
    ctx = world.device("one", page_size=20)
    for index in range(40):
        world.remote.write("note", f"there{index}", stars=index)
    stop = threading.Event()

    def write(number: int) -> None:
        for index in range(8):
            ctx[TODOS].insert(Todo(f"{number}-{index}"))
            ctx[TODOS].update(f"{number}-{index}", complete=True)
            if index % 3 == 0:
                ctx[TODOS].delete(f"{number}-{index}")

    def sync() -> None:
        while not stop.is_set():
            ctx.push()
            ctx[NOTES].pull(name="all")
            ctx[TODOS].pull(name="all")

    syncers = [threading.Thread(target=sync) for _ in range(2)]
    failures: list[object] = []
    hook, threading.excepthook = threading.excepthook, lambda args: failures.append(args.exc_value)
    try:
        for thread in syncers:
            thread.start()
        raised = run_all(*(lambda number=number: write(number) for number in range(20)))  # type: ignore[misc]
        stop.set()
        for thread in syncers:
            thread.join(60)
    finally:
        threading.excepthook = hook
    assert ([], []) == (raised, failures)
    ctx.push()
    ctx[TODOS].pull(name="all")
    kept = sorted(f"{number}-{index}" for number in range(20) for index in range(8) if index % 3)
    assert kept == ctx[TODOS].values("id") == world.remote.ids("todo")
    assert (40, 0) == (ctx[NOTES].count(), ctx.pending_operations)
    assert {True} == {record["complete"] for record in world.remote.authority.records("todo")}


def test_two_pulls_of_one_table(world: World) -> None:
    """Pulls at the same time wait for each other, and both succeed. [R-I35] [P09]"""
    for index in range(50):
        world.remote.write("note", f"n{index}", stars=index)
    ctx = world.device("one", page_size=10)
    pulls = [lambda: ctx[NOTES].pull(name="all"), lambda: ctx[NOTES].pull(name="all"), ctx[NOTES].pull]
    assert [] == run_all(*pulls)
    assert (50, 0) == (ctx[NOTES].count(), ctx[NOTES].pull(name="all").records)


def test_two_contexts_on_one_store(world: World) -> None:
    """Contexts of one file or store share its records, its queue and its lease. [B22] [P10]"""
    first, second = world.device("one"), world.device("one")
    first[TODOS].insert(Todo("a"))
    second[TODOS].update("a", text="x")
    assert [("insert", "a")] == [(each.kind, each.record_id) for each in first.operations()]
    assert [] == run_all(first.push, second.push)
    assert (0, 0, ["a"]) == (first.pending_operations, second.pending_operations, world.remote.ids("todo"))


def holding(wire: Wire) -> tuple[threading.Event, threading.Event]:
    """The next push stops in the middle: events that say it has begun, and let it go on."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(changes: Sequence[Change]) -> None:
        wire.on_push = lambda changes: None
        begun.set()
        assert go_on.wait(30)

    wire.on_push = hold
    return begun, go_on


def test_a_second_caller_waits_and_then_gives_up(world: World, wire: Wire) -> None:
    """While a push runs, others wait for as long as `patience` says, then raise `SyncBusy`. [P09] [P10]"""
    ctx = world.device("one", wire, patience=0.0)
    ctx[NOTES].insert({"id": "a"})
    begun, go_on = holding(wire)
    pusher = threading.Thread(target=ctx.push)
    pusher.start()
    assert begun.wait(30)
    for call in (ctx.push, ctx[NOTES].pull, ctx[NOTES].purge):
        with pytest.raises(SyncBusy, match="did not end within 0 seconds"):
            _ = call()
    ctx[NOTES].insert({"id": "b"})
    assert 2 == ctx[NOTES].count()
    go_on.set()
    pusher.join()
    assert ["b"] == [each.record_id for each in ctx.push().pushed]


def test_a_patient_caller_gets_its_turn(world: World, wire: Wire) -> None:
    """The second push waits for the first, and sends what came meanwhile. [R-E36]"""
    ctx = world.device("one", wire, patience=30.0)
    ctx[NOTES].insert({"id": "a"})
    begun, go_on = holding(wire)
    first = threading.Thread(target=ctx.push)
    first.start()
    assert begun.wait(30)
    ctx[NOTES].insert({"id": "b"})
    second = threading.Thread(target=ctx.push)
    second.start()
    time.sleep(0.1)
    go_on.set()
    first.join()
    second.join()
    assert (["a", "b"], 0) == (world.remote.ids("note"), ctx.pending_operations)


def test_edits_during_a_slow_push_are_kept(world: World, wire: Wire) -> None:
    """What is edited while its record is on the way stays, and becomes one update of the next push. [R-E35] [E12]"""
    ctx = world.device("one", wire)
    ctx[NOTES].insert({"id": "a", "text": "x"})
    begun, go_on = holding(wire)
    pusher = threading.Thread(target=ctx.push)
    pusher.start()
    assert begun.wait(30)
    ctx[NOTES].update("a", text="y")
    ctx[NOTES].update("a", stars=1)
    go_on.set()
    pusher.join()
    assert {"id": "a", "text": "x"} == world.remote.content("note", "a")
    assert ["update"] == [each.kind for each in ctx.operations()]
    assert ("y", 1) == ((record := ctx[NOTES].get("a") or {})["text"], record["stars"])
    ctx.push()
    assert {"id": "a", "text": "y", "stars": 1} == world.remote.content("note", "a")


def test_local_work_never_waits_for_sync(world: World, wire: Wire) -> None:
    """Reads and writes go on while a push is held up. [R-M24]"""
    ctx = world.device("one", wire)
    ctx[NOTES].insert({"id": "a"})
    begun, go_on = holding(wire)
    pusher = threading.Thread(target=ctx.push)
    pusher.start()
    assert begun.wait(30)
    started = time.monotonic()
    with ctx.batch():
        ctx[LISTS].insert(TodoList("l"))
        ctx[TODOS].insert(Todo("t"))
    assert (1, 3) == (ctx[TODOS].count(), ctx.pending_operations)
    assert time.monotonic() - started < 5
    go_on.set()
    pusher.join()


def lease_of(ctx: SyncContext) -> object:
    row = ctx.read(lambda transaction: transaction.get(META, ["lease"]))[0]
    assert row is not None
    value = row["value"]
    assert isinstance(value, dict)
    return value["holder"]


def test_the_lease_is_let_go_after_every_end(world: World, wire: Wire) -> None:
    """Success, refusal, no network, an exception of user code: nobody holds the lease afterwards. [P09] [P10]"""
    ctx = world.device("one", wire, patience=0.0)
    ctx[NOTES].insert({"id": "a"})
    wire.say("a", NotSent("no network"), Rejected("no", "not today"))
    for _ in range(2):
        with pytest.raises(PushFailed):
            ctx.push()
        assert None is lease_of(ctx)

    def fail(request: PullRequest) -> None:
        raise NotReachable("gone")

    wire.on_pull = fail
    with pytest.raises(NotReachable):
        ctx[NOTES].pull()
    assert None is lease_of(ctx)

    def interrupt(changes: Sequence[Change]) -> None:
        wire.on_push = lambda changes: None
        raise KeyboardInterrupt

    wire.on_push = interrupt
    with pytest.raises(KeyboardInterrupt):
        ctx.push(retry_failed=True)
    ctx.push()
    assert (None, ["a"]) == (lease_of(ctx), world.remote.ids("note"))


def test_closing_during_a_push(world: World, wire: Wire) -> None:
    """A context that is closed in the middle of a push stops cleanly; what is queued is sent after reopening."""
    ctx = world.device("one", wire)
    ctx[NOTES].insert_many([{"id": "a"}, {"id": "b"}])
    wire.on_push = lambda changes: ctx.close()
    with pytest.raises(PushFailed, match="stopped by store"):
        ctx.push()
    with pytest.raises(ContextClosed):
        ctx.push()
    again = world.device("one", patience=0.0)
    again.push()
    assert (["a", "b"], 0) == (world.remote.ids("note"), again.pending_operations)


def test_a_push_does_not_outlive_its_opening(world: World, wire: Wire) -> None:
    """Closed and opened again in the middle of a push, a context goes on with the next push, and not with that one."""
    ctx = world.device("one", wire)
    ctx[NOTES].insert_many([{"id": "a"}, {"id": "b"}])
    wire.limits = {"max_changes": 1}
    wire.on_push = lambda changes: (ctx.close(), ctx.open())
    with pytest.raises(PushFailed, match=r"stopped by caller .*; 1 pending"):
        ctx.push()
    wire.on_push = lambda changes: None
    ctx.push()
    assert (["a", "b"], 0) == (world.remote.ids("note"), ctx.pending_operations)


def test_a_push_that_is_stopped_while_it_waits_sends_nothing(world: World, wire: Wire) -> None:
    """`stop()` ends the push that has the lease after its exchange, and the one that waits for it before any."""
    ctx = world.device("one", wire, patience=30.0)
    ctx[NOTES].insert({"id": "a"})
    begun, go_on = holding(wire)
    raised: list[BaseException] = []
    first = threading.Thread(target=lambda: raised.extend(run_all(ctx.push)))
    first.start()
    assert begun.wait(30)
    ctx[NOTES].insert({"id": "b"})
    second = threading.Thread(target=lambda: raised.extend(run_all(ctx.push)))
    second.start()
    time.sleep(0.1)
    ctx.stop()
    go_on.set()
    first.join()
    second.join()
    assert ["caller", "caller"] == [error.report.status for error in raised if isinstance(error, PushFailed)]
    assert (["a"], 1) == (world.remote.ids("note"), ctx.pending_operations)


def test_a_transport_may_close_the_context_that_closes_it(world: World, wire: Wire) -> None:
    """The context is closed once, and can be opened again."""
    ctx = world.device("one", wire)
    wire.close = ctx.close  # type: ignore[method-assign]  # a transport with an opinion
    assert [] == run_all(ctx.close)
    assert 0 == ctx.open()[NOTES].count()


def test_a_push_that_the_store_ends_does_not_say_what_is_pending(world: World, wire: Wire) -> None:
    """Nobody can tell then."""
    ctx = world.device("one", wire)
    ctx[NOTES].insert({"id": "a"})
    wire.on_push = lambda changes: ctx.close()
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    assert "pending" not in str(caught.value)
