"""Which operations a push sends, in what order, how many at a time, and at what cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.engine.fakes import Bench, ScriptedTransport
from tidesync.contracts.store import StoreCapabilities, StoreTransaction
from tidesync.contracts.transport import Conflicted, Rejected, Unknown
from tidesync.events import OperationFailed, OperationPushed, Progress, PushFinished, PushStarted
from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore

MANY = 10_000


def batches(transport: ScriptedTransport) -> list[str]:
    """The ids of each exchange, in order."""
    return ["".join(change.record_id for change in batch) for batch in transport.pushes]


# ---- order


def test_operations_go_in_the_order_of_the_queue() -> None:
    """Inserts, updates and deletes of several tables, first come first sent. [E01] [E06] [E09] [C09]"""
    transport = ScriptedTransport(max_changes=1)
    bench = Bench(transport)
    bench.remotely(
        "items", {"id": "U", "text": "old", "version": "v"}, {"id": "D", "text": "old", "version": "w"}
    )
    bench.write("items", "I", {"text": "new"})
    bench.write("items", "U", {"text": "newer"})
    bench.write("lists", "L", {"text": "list"})
    bench.write("items", "D", None)
    assert bench.push().ok
    assert [("insert", "I"), ("update", "U"), ("insert", "L"), ("delete", "D")] == transport.sent
    assert [] == bench.queued()


def test_declared_independent_operations_travel_together_dependent_ones_follow() -> None:
    """A child never shares an exchange with the parent that it waits for."""
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("lists", "L", {"text": "parent"})
    bench.write("items", "A", {"text": "child", "list": "L"})
    bench.write("items", "B", {"text": "free"})
    bench.write("lists", "M", {"text": "free too"})
    assert bench.push().ok
    assert ["LBM", "A"] == batches(transport)


def test_two_operations_of_one_record_are_never_in_one_exchange() -> None:
    """The second one waits for the answer to the first, also when it is met twice on the way."""
    transport = ScriptedTransport({"A": [Unknown("lost")] * 3})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "1"})
    _ = bench.push()
    bench.write("items", "A", {"text": "2"})
    bench.write("items", "B", {"text": "other"})
    transport.pushes.clear()
    assert bench.push().ok
    assert ["AB", "A"] == batches(transport)


def test_undeclared_tables_go_strictly_in_sequence_on_an_unordered_transport() -> None:
    """Where nothing is said about references, one operation travels at a time."""
    transport = ScriptedTransport(ordered=False)
    bench = Bench(transport)
    for id in "ABC":
        bench.write("notes", id, {"text": f"text of {id}"})
    assert bench.push().ok
    assert ["A", "B", "C"] == batches(transport)


def test_undeclared_tables_keep_their_sequence_when_one_of_them_had_waited() -> None:
    """One that was set free by an answer does not overtake those before it."""
    transport = ScriptedTransport(ordered=False)
    bench = Bench(transport)
    bench.write("notes", "A", {"text": "parent"})
    bench.write("notes", "B", {"text": "free"})
    bench.write("notes", "C", {"text": "free"})
    bench.write("notes", "D", {"text": "child", "item": "A"})
    bench.write("notes", "E", {"text": "free"})
    assert bench.push().ok
    assert ["A", "B", "C", "D", "E"] == batches(transport)


def test_an_ordered_transport_takes_undeclared_operations_together() -> None:
    """The changes of one exchange take effect in the order given, so that sequence is kept."""
    transport = ScriptedTransport(ordered=True)
    bench = Bench(transport)
    for id in "ABC":
        bench.write("notes", id, {"text": f"text of {id}"})
    assert bench.push().ok
    assert ["ABC"] == batches(transport)


def test_an_undeclared_text_that_equals_a_queued_id_is_waited_for() -> None:
    """Any text may name a record: the one with that id goes first, whatever its table."""
    transport = ScriptedTransport({"A": [Rejected("bad", "no")]}, ordered=True)
    bench = Bench(transport)
    bench.write("items", "A", {"text": "parent"})
    bench.write("notes", "N", {"text": "child", "item": "A"})
    _ = bench.push()
    assert [("insert", "A")] == transport.sent


# ---- batches


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, ["A", "B", "C", "D", "E"]), (2, ["AB", "CD", "E"]), (9, ["ABCDE"])]
)
def test_a_batch_holds_as_many_changes_as_the_remote_takes(limit: int, expected: list[str]) -> None:
    """The remote says how many changes one exchange may hold."""
    transport = ScriptedTransport(max_changes=limit)
    bench = Bench(transport)
    for id in "ABCDE":
        bench.write("items", id, {"text": id})
    assert bench.push().ok
    assert expected == batches(transport)


def test_a_batch_ends_at_the_remotes_limit_of_bytes() -> None:
    """Bytes are estimated; at least one change goes, however large."""
    transport = ScriptedTransport(max_bytes=2_500)
    bench = Bench(transport)
    for id in "ABCDEF":
        bench.write("items", id, {"text": "x" * 1_000})
    bench.write("items", "G", {"text": "x" * 10_000})
    assert bench.push().ok
    assert 7 == sum(len(batch) for batch in transport.pushes)
    for batch in transport.pushes:
        size = sum(len(str(change.record)) for change in batch)
        assert size <= 2_500 or len(batch) == 1


# ---- scope


def test_a_push_of_some_tables_leaves_the_others() -> None:
    """Only what is asked for is sent. [E02] [E13] [B30]"""
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("lists", "L", {"text": "list"})
    bench.write("items", "A", {"text": "item"})
    report = bench.push(["items"])
    assert ([("insert", "A")], True, 1) == (transport.sent, report.ok, report.pending)
    assert bench.push(["lists"]).ok
    assert 0 == bench.push().pending


def test_a_push_of_no_table_pushes_nothing_and_one_of_all_pushes_all() -> None:
    """None means all; an empty collection means none. [E02]"""
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("items", "A", {"text": "item"})
    assert ([], 1) == (transport.sent, bench.push([]).pending)
    assert 0 == bench.push(None).pending


@pytest.mark.parametrize("after", ["queued", "set free"])
def test_a_push_of_some_tables_sends_what_they_depend_on(after: str) -> None:
    """A parent in another table goes first, and that parent's parent before it."""
    notes = TableSchema("notes", (), references={})
    deep = TableSchema("deep", (), references={})
    del notes, deep
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("lists", "L", {"text": "wanted"})
    bench.write("lists", "M", {"text": "not wanted"})
    bench.write("items", "A", {"text": "child", "list": "L"})
    if after == "set free":
        transport.answers = {"L": [Unknown("lost")]}
    assert bench.push(["items"]).ok
    assert [("insert", "L"), ("insert", "A")] == [*dict.fromkeys(transport.sent)]
    assert [("insert", "M", "pending")] == bench.queued()


def test_a_push_of_some_tables_sends_every_one_of_several_parents() -> None:
    """An operation names one blocker at a time: the others are found when that one leaves."""
    transport = ScriptedTransport(max_changes=1)
    bench = Bench(transport)
    bench.write("lists", "P", {"text": "first parent"})
    bench.write("items", "I", {"text": "second parent", "list": "P"})
    bench.write("lists", "Q", {"text": "third parent"})
    bench.write("notes", "N", {"text": "Q", "item": "I"})
    assert bench.push(["notes"]).ok
    assert {"P", "I", "Q", "N"} == {id for _, id in transport.sent}
    assert ("insert", "N") == transport.sent[-1]


def test_an_error_in_one_table_does_not_fail_a_push_of_another() -> None:
    """Earlier refusals elsewhere are neither met nor errors. [R-F24]"""
    transport = ScriptedTransport({"L": [Rejected("bad", "no")]})
    bench = Bench(transport)
    bench.write("lists", "L", {"text": "refused"})
    _ = bench.push(["lists"])
    bench.write("items", "A", {"text": "fine"})
    assert bench.push(["items"]).ok


def test_an_empty_push_opens_no_connection() -> None:
    """Nothing queued: complete, without touching the network. [E10]"""
    transport = ScriptedTransport()
    report = Bench(transport).push()
    assert (True, 0, [], 0) == (report.ok, report.pending, transport.pushes, transport.opened)


# ---- events


def test_a_push_tells_what_it_does() -> None:
    """Started, each operation, progress with its total, finished. [J17]"""
    bench = Bench(ScriptedTransport({"B": [Rejected("bad", "no")]}, max_changes=1))
    for id in "AB":
        bench.write("items", id, {"text": id})
    bench.events.clear()
    _ = bench.push()
    told = [event for event in bench.events if not type(event).__name__.startswith("Records")]
    assert [
        PushStarted(2),
        OperationPushed("items", "A", "insert"), Progress("push", 1, 2),
        OperationFailed("items", "B", "insert", "bad", "no"), Progress("push", 1, 2),
        PushFinished("complete", 1),
    ] == told  # fmt: skip


# ---- cost


class CountingStore(MemoryStore):
    """Counts what transactions are asked for, and the rows that they return and take."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def transaction(self, *, write: bool) -> Any:
        """As the memory store's, counted."""
        return self._counted(super().transaction(write=write))

    @contextmanager
    def _counted(self, inner: AbstractContextManager[StoreTransaction]) -> Iterator[Counting]:
        self.counts["transactions"] += 1
        with inner as transaction:
            yield Counting(transaction, self.counts)


class Counting:
    """A transaction that counts."""

    def __init__(self, inner: StoreTransaction, counts: Counter[str]) -> None:
        self._inner, self._counts = inner, counts

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        self._counts.update(calls=1, rows=len(ids))
        return self._inner.get(table, ids)

    def select(self, query: Query) -> Iterator[Record]:
        self._counts["calls"] += 1
        for row in self._inner.select(query):
            self._counts["rows"] += 1
            yield row

    def count(self, query: Query) -> int:
        self._counts["calls"] += 1
        return self._inner.count(query)

    def put(self, table: str, records: Sequence[Record]) -> None:
        self._counts.update(calls=1, rows=len(records))
        self._inner.put(table, records)

    def delete(self, table: str, ids: Sequence[str]) -> int:
        self._counts.update(calls=1, rows=len(ids))
        return self._inner.delete(table, ids)

    def delete_where(self, query: Query) -> int:
        self._counts["calls"] += 1
        return self._inner.delete_where(query)

    @property
    def capabilities(self) -> StoreCapabilities:
        return StoreCapabilities()


def fill(bench: Bench, many: int, content: Callable[[int], tuple[str, str, Record]]) -> None:
    """Queue many operations in one transaction."""
    with bench.store.transaction(write=True) as transaction:
        queue = bench.session.queue(transaction, 0.0)
        for number in range(many):
            table, id, record = content(number)
            queue.write(table, id, {"id": id, **record})
        _ = queue.close("local")


def cost_of_pushing(many_parked: int, how: str) -> tuple[int, int]:
    """Calls and rows of a push of ten operations behind so many parked ones."""
    store = CountingStore()
    transport = ScriptedTransport(max_changes=10)
    bench = Bench(transport, store=store)
    if how == "children of a refused parent":
        transport.answers = {"L": [Rejected("bad", "no")]}
        bench.write("lists", "L", {"text": "refused"})
        _ = bench.push()
        fill(bench, many_parked, lambda number: ("items", f"i{number}", {"text": "child", "list": "L"}))
    else:
        refused = how == "refused"
        transport.answers = {
            id: [Rejected("bad", "no") if refused else Conflicted({"id": id, "version": "v"})]
            for id in (f"i{number}" for number in range(many_parked))
        }
        fill(bench, many_parked, lambda number: ("items", f"i{number}", {"text": "parked"}))
        _ = bench.push()
    for number in range(10):
        bench.write("items", f"free{number}", {"text": "free"})
    store.counts.clear()
    report = bench.push()
    assert 10 == len(report.pushed)
    return store.counts["calls"], store.counts["rows"]


@pytest.mark.parametrize("how", ["children of a refused parent", "refused"])
def test_parked_operations_at_the_head_of_the_queue_cost_nothing(how: str) -> None:
    """Calls and rows per pushed operation do not grow with what is parked: a push costs O(ready)."""
    few, many = cost_of_pushing(200, how), cost_of_pushing(2_000, how)
    assert few == many


def test_records_in_conflict_cost_one_row_each_to_list_and_no_call() -> None:
    """A push asks once which records are in conflict, to settle them; it never meets them on its way."""
    (few_calls, few_rows), (calls, rows) = (cost_of_pushing(many, "in conflict") for many in (200, 1_200))
    assert (few_calls, few_rows + 1_000) == (calls, rows)


def cost_of_pushing_one_table(many_parked: int) -> tuple[int, int]:
    store = CountingStore()
    bench = Bench(ScriptedTransport({"L": [Rejected("bad", "no")]}), store=store)
    bench.write("lists", "L", {"text": "refused"})
    _ = bench.push()
    fill(bench, many_parked, lambda number: ("items", f"i{number}", {"text": "child", "list": "L"}))
    bench.write("items", "free", {"text": "free"})
    store.counts.clear()
    assert ["free"] == [done.record_id for done in bench.push(["items"]).pushed]
    return store.counts["calls"], store.counts["rows"]


def test_a_push_of_one_table_reads_one_row_for_each_of_its_operations_that_wait() -> None:
    """It looks once at what they wait for, to bring that into scope; calls do not grow."""
    (few_calls, few_rows), (calls, rows) = (cost_of_pushing_one_table(many) for many in (200, 1_200))
    assert (few_calls, few_rows + 1_000) == (calls, rows)


def cost_of_draining(many: int) -> tuple[float, float]:
    store = CountingStore()
    bench = Bench(ScriptedTransport(max_changes=100), store=store)
    fill(bench, many, lambda number: ("items", f"i{number}", {"text": "pending"}))
    store.counts.clear()
    assert many == len(bench.push().pushed)
    return store.counts["calls"] / many, store.counts["rows"] / many


def test_draining_costs_the_same_for_each_operation_however_many_are_queued() -> None:
    """Calls and rows per pushed operation are those of a tenth of the queue, or fewer."""
    (few_calls, few_rows), (calls, rows) = cost_of_draining(300), cost_of_draining(3_000)
    assert calls <= few_calls
    assert rows <= few_rows


def test_ten_thousand_parked_operations_do_not_wedge_the_queue() -> None:
    """A poison parent with ten thousand children: what is free goes in one exchange."""
    transport = ScriptedTransport({"L": [Rejected("bad", "no")]})
    bench = Bench(transport)
    bench.write("lists", "L", {"text": "refused"})
    fill(bench, MANY, lambda number: ("items", f"i{number}", {"text": "child", "list": "L"}))
    bench.write("items", "free", {"text": "free"})
    report = bench.push()
    assert ([("insert", "L"), ("insert", "free")], MANY + 1) == (transport.sent, report.pending)
