"""What a pull counts, in its events and in its report."""

import attrs

from tidesync import SyncContext, defer, keep_remote, table
from tidesync.contracts.transport import CursorGuarantee, Page, PullRequest, TransportCapabilities
from tidesync.events import Event, Progress
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport


@attrs.define
class Task:
    id: str
    text: str


TASKS = table(Task)
RECORDS = tuple({"id": f"t{number}", "text": "t", "version": "1"} for number in range(4))


class Rewinding:
    """A remote of four records in pages of two, whose every pull starts again from the first."""

    def open(self, tables):
        return TransportCapabilities(identity="r", cursor=CursorGuarantee.KEYSET, total=True, overlap=10.0)

    def pull(self, request: PullRequest) -> Page:
        start = request.cursor if isinstance(request.cursor, int) and not request.overlap else 0
        end = start + 2
        return Page(records=RECORDS[start:end], cursor=end, more=end < len(RECORDS), total=len(RECORDS))

    def close(self) -> None:
        pass


def test_a_pull_counts_what_it_reads_up_to_the_total_known_records_included() -> None:
    """`done` reaches `total`, also where all that came within the overlap was known."""
    told: list[Event] = []
    with SyncContext(MemoryStore(), Rewinding(), [TASKS]) as device:  # type: ignore[arg-type]  # no push, no get
        first = device.pull(TASKS, name="all")
        device.subscribe(told.append)
        second = device.pull(TASKS, name="all")

    assert (4, 0) == (first.records, second.records)
    assert [(2, 4), (4, 4)] == [(each.done, each.total) for each in told if isinstance(each, Progress)]


def test_what_reconciling_fetches_is_in_the_report() -> None:
    """`records` counts what was stored here, by pages or by id."""
    with Authority(MemoryStore(), [TASKS.schema]) as remote:
        store = MemoryStore()
        with SyncContext(store, LoopbackTransport(remote), [TASKS]) as device:
            device[TASKS].insert_many([Task(f"t{number}", "t") for number in range(3)])
            device.push()
            device.pull(TASKS, name="all")
            with store.transaction(write=True) as transaction:
                transaction.delete(TASKS.name, ["t1", "t2"])  # as a restored backup would have lost them
            report = device.pull(TASKS, name="all", reconcile=True)

            assert (2, 3) == (report.records, device[TASKS].count())


def test_a_pull_counts_the_records_that_it_brought_into_conflict() -> None:
    """`conflicts` counts news of records with other content queued, under every policy."""
    for policy, left in ((defer, 1), (keep_remote, 0)):
        with Authority(MemoryStore(), [TASKS.schema]) as remote:
            mine, other = (
                SyncContext(MemoryStore(), LoopbackTransport(remote), [TASKS], policy=policy)
                for _ in range(2)
            )
            with mine, other:
                other[TASKS].insert_many([Task("a", "t"), Task("b", "t")])
                other.push()
                mine.pull(TASKS, name="all")
                other[TASKS].update("a", text="theirs")
                other[TASKS].update("b", text="theirs")
                other.push()
                mine[TASKS].update("a", text="ours")
                report = mine[TASKS].pull(name="all", push="none")

                assert (1, left) == (report.conflicts, len(mine.conflicts()))


def test_parameters_of_a_pull_reach_the_remote_from_either_door() -> None:
    """`ctx.pull` and `SyncTable.pull` take the same arguments."""
    asked: list[dict[str, str]] = []

    class Noting(LoopbackTransport):
        def pull(self, request: PullRequest, /) -> Page:
            asked.append(dict(request.parameters))
            return super().pull(request)

    with (
        Authority(MemoryStore(), [TASKS.schema]) as remote,
        SyncContext(MemoryStore(), Noting(remote), [TASKS]) as device,
    ):
        device.pull(TASKS, parameters={"scope": "mine"})
        device[TASKS].pull(parameters={"scope": "ours"})

    assert [{"scope": "mine"}, {"scope": "ours"}] == asked
