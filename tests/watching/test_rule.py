"""Whether a change can touch a result is decided without running the query, and never wrongly."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidesync import table
from tidesync.changes import ANY
from tidesync.conformance import strategies
from tidesync.conformance.store.tables import THING
from tidesync.contracts.store import StoreTransaction
from tidesync.live import Result, View
from tidesync.predicate import count, select
from tidesync.query import Compare, Field, Order, Query, Value
from tidesync.records import Record, same
from tidesync.selection import Rows
from tidesync.stores import MemoryStore
from tidesync.values import ColumnType

ITEMS = table("item", {"n": int, "text": str})
N, TEXT = Field("n", ColumnType.INTEGER), Field("text", ColumnType.STRING)
IDS = "abcdefgh"
Change = tuple[str, Record | None]
Step = Sequence[Change]


class Shelf:
    """A table in a memory store, a view of it, and what a naive watcher has of both."""

    def __init__(self, query: Query, view: View[Any], columns: Any) -> None:
        self.store = MemoryStore()
        self.store.open([columns])
        self.view, self.query = view, query
        self.rows: dict[str, Record] = {}
        self.last: Result | None = None
        self.naive: tuple[list[Record], int | None] | None = None

    def commit(self, step: Step) -> None:
        """One transaction."""
        with self.store.transaction(write=True) as transaction:
            for id, record in step:
                if record is None:
                    _ = transaction.delete(self.query.table, [id])
                    _ = self.rows.pop(id, None)
                else:
                    transaction.put(self.query.table, [record])
                    self.rows[id] = record

    def look(
        self, ids: Sequence[str], wrap: Callable[[StoreTransaction], Any] = lambda it: it
    ) -> Rows[Any] | None:
        """What the watch yields, if it does."""
        with self.store.transaction(write=False) as transaction:
            found = self.view.look(self.last, ids)(wrap(transaction))
        if found is None:
            return None
        self.last, rows = found
        return rows

    def look_naively(self) -> list[Record] | None:
        """What a watcher yields that runs the query each time, and drops what is the same."""
        found = list(select(self.query, self.rows.values()))
        total = count(self.query, self.rows.values()) if self.query.total else None
        if self.naive is not None and same(self.naive[0], found) and self.naive[1] == total:
            return None
        self.naive = found, total
        return found


def check(shelf: Shelf, steps: Sequence[tuple[Step, bool]]) -> Iterator[bool]:
    """After each transaction (or some of them together) both yield the same, or nothing: whether they did."""
    assert shelf.look(ANY) is not None
    assert shelf.look_naively() is not None
    ids: dict[str, None] = {}
    for step, busy in steps:
        shelf.commit(step)
        ids.update((id, None) for id, _ in step)
        if busy or not ids:
            continue
        found, expected = shelf.look(list(ids)), shelf.look_naively()
        ids = {}
        assert (expected is None) == (found is None)
        if expected is not None:
            assert shelf.last is not None
            assert same(expected, shelf.last.records)
            assert shelf.naive is not None
            assert shelf.naive[1] == shelf.last.total == (None if found is None else found.total_count)
        yield expected is not None


def _life(chance: Random) -> tuple[Query, Step, list[tuple[Step, bool]]]:
    """A query of items, what there is at first, and transactions, after some of which nobody looks."""

    def item(id: str) -> Record:
        return {"id": id, "n": chance.choice((None, 0, 1, 2, 3)), "text": chance.choice(("", "a", "b"))}

    def change() -> Change:
        id = chance.choice(IDS)
        return id, chance.choice((item(id), item(id), None))

    op, bound = chance.choice(("eq", "ne", "gt", "le")), chance.choice((None, 0, 1, 2, 3))
    query = Query(
        "item",
        where=chance.choice((None, Compare(op, N, Value(bound, ColumnType.INTEGER)))),
        order=tuple(
            Order(chance.choice((N, TEXT)), chance.random() < 0.5) for _ in range(chance.randrange(3))
        ),
        skip=chance.choice((0, 0, 0, 0, 1, 2)),
        take=chance.choice((None, 0, 1, 2, 3, 2, 3)),
        total=chance.random() < 0.3,
    )
    first = [(id, item(id)) for id in IDS if chance.random() < 0.7]
    steps = [([change() for _ in range(chance.choice((1, 1, 2)))], chance.random() < 0.2) for _ in range(15)]
    return query, first, steps


def test_a_watch_yields_what_a_naive_one_does() -> None:
    """Skip, take, order, total and coalescing included: the same results, in the same order, and no more."""
    yielded: Counter[bool] = Counter()
    for seed in range(400):
        query, first, steps = _life(Random(seed))
        shelf = Shelf(query, View(ITEMS, query), ITEMS.schema)
        shelf.commit(first)
        yielded.update(check(shelf, steps))
    assert 2000 < min(yielded[True], yielded[False])


@st.composite
def _lives(draw: st.DrawFn) -> tuple[Query, list[tuple[Step, bool]]]:
    query = attrs.evolve(draw(strategies.queries(THING)), fields=None, total=draw(st.booleans()))
    rows = draw(st.lists(strategies.records(THING), max_size=6))
    steps: list[tuple[Step, bool]] = [([(str(row["id"]), row)], draw(st.booleans())) for row in rows]
    again = draw(st.lists(st.sampled_from(rows), max_size=4)) if rows else []
    fields = {name: draw(strategies.json_values()) for name in ("number", "text")}
    for row in again:
        gone = draw(st.booleans())
        steps.append(([(str(row["id"]), None if gone else {**row, **fields})], False))
    return query, steps


@given(_lives())
def test_whatever_the_query_and_the_records_are(life: Any) -> None:
    """The suite's queries over the suite's records: any condition, any order, values that fit no column."""
    query, steps = life
    things = table("thing", {"x": str})
    view: View[Any] = View(things, query)
    view._rows = _bare  # type: ignore[method-assign]  # the records of the suite fit no class
    for _ in check(Shelf(query, view, THING), steps):
        pass


def _bare(result: Result) -> Rows[Any]:
    rows: Rows[Any] = Rows(result.records)
    rows.total_count = result.total
    return rows


class Asked:
    """A transaction that says what it was asked."""

    def __init__(self, inner: StoreTransaction, calls: list[str]) -> None:
        self._inner, self._calls = inner, calls

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        self._calls.append(f"get {' '.join(ids)}")
        return self._inner.get(table, ids)

    def __getattr__(self, name: str) -> Any:
        self._calls.append(name)
        return getattr(self._inner, name)


def _item(id: str, n: int) -> Record:
    return {"id": id, "n": n, "text": ""}


BIG = Compare("ge", N, Value(5, ColumnType.INTEGER))
BY_N = (Order(N),)
RUN: Mapping[str, tuple[Query, Change, bool]] = {
    "one of the result goes": (Query("item", BIG), ("c", None), True),
    "one of the result is edited": (Query("item", BIG), ("c", _item("c", 6)), True),
    "one of the result is as it was": (Query("item", BIG), ("c", _item("c", 5)), False),
    "another that does not match": (Query("item", BIG), ("b", _item("b", 4)), False),
    "another that does not match, with a total": (Query("item", BIG, total=True), ("b", _item("b", 4)), False),
    "another that matches now": (Query("item", BIG), ("b", _item("b", 5)), True),
    "behind a full take": (Query("item", None, BY_N, take=2), ("d", _item("d", 9)), False),
    "before the end of a full take": (Query("item", None, BY_N, take=2), ("d", _item("d", 1)), True),
    "a tie with the end of a full take, behind it by its id": (
        Query("item", None, BY_N, take=2), ("d", _item("d", 3)), False,
    ),
    "into a take that is not full": (Query("item", None, BY_N, take=9), ("e", _item("e", 9)), True),
    "behind a full take whose total counts": (
        Query("item", None, BY_N, take=2, total=True), ("d", _item("d", 9)), True,
    ),
    "anything else where some are skipped": (Query("item", BIG, skip=1), ("a", None), True),
    "anything where nothing is taken": (Query("item", take=0), ("c", None), False),
}  # fmt: skip


@pytest.mark.parametrize("case", RUN)
def test_when_the_query_runs_again(case: str) -> None:
    """One get of what changed decides; the query runs only where the change can touch the result."""
    query, change, runs = RUN[case]
    shelf = Shelf(query, View(ITEMS, query), ITEMS.schema)
    shelf.commit([(id, _item(id, n)) for id, n in (("a", 1), ("b", 3), ("c", 5), ("d", 7))])
    assert shelf.look(ANY) is not None
    shelf.commit([change])
    calls: list[str] = []
    _ = shelf.look([change[0]], lambda inner: Asked(inner, calls))
    assert [f"get {change[0]}", *(["select", "count"] if query.total else ["select"]) * runs] == calls


def test_what_is_not_known_by_id_runs_the_query() -> None:
    """Where nobody knows which records changed, the query runs at once, and what is the same is not told."""
    query = Query("item", BIG)
    shelf = Shelf(query, View(ITEMS, query), ITEMS.schema)
    assert [] == shelf.look(ANY)
    calls: list[str] = []
    assert (None, ["select"]) == (shelf.look(ANY, lambda inner: Asked(inner, calls)), calls)


def test_what_is_yielded_is_nobody_elses() -> None:
    """Who changes a result in place changes nothing of what the next one is compared with."""
    query = Query("item")
    shelf = Shelf(query, View(ITEMS, query), ITEMS.schema)
    shelf.commit([("a", {"id": "a", "more": [1]})])
    rows = shelf.look(ANY)
    assert rows is not None
    rows[0]["more"].append(2)
    assert (None, None) == (shelf.look(["a"]), shelf.look(ANY))


@pytest.mark.parametrize("value", [True, 1.0, "1", [1], None])
def test_what_differs_only_in_its_kind_is_another_result(value: Any) -> None:
    """True is not 1, and 1.0 is not either: the change is told, both by its id and where nobody knows it."""
    for ids in (["a"], ANY):
        query = Query("item")
        shelf = Shelf(query, View(ITEMS, query), ITEMS.schema)
        shelf.commit([("a", {"id": "a", "x": 1})])
        _ = shelf.look(ANY)
        shelf.commit([("a", {"id": "a", "x": value})])
        assert [{"id": "a", "x": value}] == shelf.look(ids)
