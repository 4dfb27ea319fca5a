"""Rules about what indexes promise: in steps where a store counts them, else in seconds, with wide bounds.

Each compares what a call costs on a table with what it costs on one that is 64 times as large. What is promised
grows with the logarithm, by half again; a scan grows 64-fold. So the bounds need not be narrow to be sharp.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tidesync.conformance.expect import equal, true
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.query import And, Compare, CompareOp, Field, Order, Query, Value, equals
from tidesync.records import Json, Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

TIMES: Final = 64
"""How much larger the larger table is."""
COUNTED: Final = 64
TIMED: Final = 256
"""Records of the smaller table: seconds tell a scan from its surroundings only where there is more to scan."""
AHEAD: Final = 1_000
"""Records that an iterator may read ahead."""
_STEPS: Final = (3.0, 100.0)
_SECONDS: Final = (4.0, 0.0002)
"""The larger cost is at most the smaller one times the first number, and the second more."""
_REPEATS: Final = 5
_PATIENCE: Final = 3.0
"""Seconds in which a call that was slow may still be as quick as it should: the machine has other work, too."""
_PAUSE: Final = 0.02
_TEN: Final = 10

Call = Callable[[StoreTransaction], int]

COLUMNS: Final = (
    Column("lane", ColumnType.STRING),
    Column("rank", ColumnType.INTEGER),
    Column("ready", ColumnType.BOOLEAN),
    Column("at", ColumnType.DATETIME),
    Column("text", ColumnType.STRING),
)
INDEXES: Final = (("lane", "rank"), ("rank",), ("ready", "at"))
BIG: Final = TableSchema("big", COLUMNS, indexes=INDEXES)
PLAIN: Final = TableSchema("big", COLUMNS)


def _row(n: int) -> Record:
    """Every fourth record is of lane 0; the first ten have none. Ranks and times are their own."""
    at = f"2026-{n // 3600 % 12 + 1:02}-01T00:{n // 60 % 60:02}:{n % 60:02}.000000Z"
    return {
        "id": f"{n:06}",
        "lane": None if n < _TEN else f"lane {n % 4}",
        "rank": n,
        "ready": n % 2 == 0,
        "at": at,
        "text": "x" * 20,
    }


def _fill(store: Store, first: int, last: int) -> None:
    with store.transaction(write=True) as transaction:
        transaction.put(BIG.name, [_row(n) for n in range(first, last)])


def _compare(op: CompareOp, field: str, value: Json) -> Compare:
    return Compare(op, Field(field), Value(value))


def _by(*names: str) -> tuple[Order, ...]:
    return tuple(Order(Field(name)) for name in names)


def _searches() -> list[Query]:
    """Queries that the indexes carry out; each gives ten records of either table."""
    lane, ready = equals("lane", "lane 0"), equals("ready", True)
    name = BIG.name
    return [
        Query(name, lane, _by("rank"), take=_TEN),
        Query(name, And((lane, _compare("ge", "rank", 16))), _by("rank"), take=_TEN),
        Query(name, And((_compare("lt", "rank", 50), lane)), _by("lane", "rank"), take=_TEN),
        Query(name, equals("lane", None), _by("rank")),
        Query(name, _compare("lt", "rank", _TEN), _by("rank")),
        Query(name, And((_compare("ge", "rank", 20), _compare("lt", "rank", 30))), _by("rank")),
        Query(name, And((ready, _compare("gt", "at", "2026-01-01T00:00:10.000000Z"))), _by("at"), take=_TEN),
        Query(name, order=_by("rank"), take=_TEN),
        Query(name, order=_by("lane", "rank"), take=_TEN),
    ]


def _selects(queries: list[Query]) -> dict[str, Call]:
    return {
        f"select of {query}": lambda transaction, query=query: len(list(transaction.select(query)))  # type: ignore[misc]  # mypy infers no lambda with a default
        for query in queries
    }


def _cost(bench: StoreBench, store: Store, call: Call, *, write: bool) -> float:
    """Steps of a transaction that makes the call, or the seconds of the quickest of several."""

    def work() -> None:
        with store.transaction(write=write) as transaction:
            equal(_TEN, call(transaction), "how many records were concerned")

    if bench.count_steps is not None:
        before = bench.count_steps()
        work()
        return float(bench.count_steps() - before)
    best = float("inf")
    for _ in range(_REPEATS):
        before_work = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - before_work)
    return best


def _compare_costs(
    bench: StoreBench, store: Store, calls: dict[str, Call], *, few: int = 0, write: bool = False
) -> None:
    """Fill the table, and fill it further: no call may cost much more then."""
    counted = bench.count_steps is not None
    small = few or (COUNTED if counted else TIMED)
    factor, extra = _STEPS if counted else _SECONDS
    _fill(store, 0, small)
    before: dict[str, float] = {}
    for name, call in calls.items():
        _ = _cost(bench, store, call, write=write)  # what is made once is not counted
        before[name] = _cost(bench, store, call, write=write)
    _fill(store, small, TIMES * small if not few else 16 * small)
    for name, call in calls.items():
        _ = _cost(bench, store, call, write=write)
        after = _cost(bench, store, call, write=write)
        until = time.monotonic() + _PATIENCE
        while not counted and after > factor * before[name] + extra and time.monotonic() < until:
            time.sleep(_PAUSE)
            after = _cost(bench, store, call, write=write)
        unit = "steps" if counted else "seconds"
        true(
            after <= factor * before[name] + extra,
            f"{name}: {before[name]:.6g} {unit} where the table had {small} records, and {after:.6g} in a table "
            f"{16 if few else TIMES} times as large",
        )


class Costs:
    """What must not cost more in a larger table."""

    @rule("STORE-59", "costs O(log n + rows returned)", requires=("indexed",))
    def test_an_index_finds_and_orders(self, bench: StoreBench) -> None:
        """Equalities on a prefix of an index, one range, and its order: ten records cost the same in any table.

        Why: the engine looks into its queue at every write, and an application at its lists at every touch.
        Look at: the plan of each query (a scan, a sort, an index on the first column only), null among the
        equalities, and conditions that are written so that the index does not fit them.
        """
        _compare_costs(bench, bench.open(BIG), _selects(_searches()))

    @rule("STORE-60", "costs O(log n + rows returned)", requires=("indexed",))
    def test_an_index_counts_and_deletes(self, bench: StoreBench) -> None:
        """Count and delete_where of ten records that an index finds cost the same in any table.

        Why: the engine counts what waits for one record, and forgets what was sent, at every turn.
        Look at: a count that goes through all, and a deletion that reads the table to find its ids.
        """
        few = And((_compare("ge", "rank", 20), _compare("lt", "rank", 30)))
        lane = And((equals("lane", "lane 0"), _compare("lt", "rank", 50)))
        store = bench.open(BIG)

        def delete(transaction: StoreTransaction) -> int:
            gone = transaction.delete_where(Query(BIG.name, few, _by("rank")))
            transaction.put(BIG.name, [_row(n) for n in range(20, 30)])
            return gone

        calls: dict[str, Call] = {
            "count of a range": lambda transaction: transaction.count(Query(BIG.name, few)),
            "count of an equality and a range": lambda transaction: transaction.count(Query(BIG.name, lane)),
            "count of null": lambda transaction: transaction.count(Query(BIG.name, equals("lane", None))),
            "delete_where of a range, and put": delete,
        }
        _compare_costs(bench, store, calls, write=True)

    @rule("STORE-61", "and so does `get`", requires=("indexed",))
    def test_ids_are_found_at_once(self, bench: StoreBench) -> None:
        """Get and delete of ten ids, and a query for ids, cost the same in any table.

        Why: every page of a pull asks for the records that it brings.
        Look at: a table without a key on the id, or one whose key the query does not use.
        """
        store = bench.open(BIG)
        ids = [f"{n:06}" for n in range(0, 50, 5)]

        def delete(transaction: StoreTransaction) -> int:
            gone = transaction.delete(BIG.name, ids)
            transaction.put(BIG.name, [_row(n) for n in range(0, 50, 5)])
            return gone

        calls: dict[str, Call] = {
            "get": lambda transaction: sum(row is not None for row in transaction.get(BIG.name, ids)),
            "get of what is not there": lambda transaction: _TEN + len(list(filter(None, transaction.get(
                BIG.name, ["none", "zzz"])))),
            "delete and put": delete,
        }  # fmt: skip
        _compare_costs(bench, store, calls, write=True)

    @rule("STORE-62", "Indexes come and go as declared", requires=("indexed",))
    def test_an_index_that_comes_later_serves_too(self, bench: StoreBench) -> None:
        """An index that is declared when the table has records serves as one that was there from the start.

        Why: an application declares the index when its lists have become slow.
        Look at: indexes that are only made with their table.
        """
        store = bench.open(PLAIN)
        _fill(store, 0, 32)
        store.open([BIG])
        _compare_costs(bench, store, _selects([query for query in _searches() if query.where is not None]))

    @rule("STORE-63", "An iterator reads as it is asked, not much ahead", requires=("indexed",))
    def test_an_iterator_reads_as_it_is_asked(self, bench: StoreBench) -> None:
        """The first ten records of an iterator cost the same in any table, with and without a condition or an order.

        Why: the first screen of a long list must not wait for all of it, nor fill the memory with it.
        Look at: `fetchall`, a list that is made of all records, and a sort where the index has the order.
        """

        def first(query: Query) -> Call:
            def call(transaction: StoreTransaction) -> int:
                rows = transaction.select(query)
                return sum(1 for _ in zip(range(_TEN), rows, strict=False))

            return call

        queries = {
            "of all": Query(BIG.name),
            "in the order of an index": Query(BIG.name, order=_by("rank")),
            "with a condition": Query(BIG.name, _compare("ne", "text", "y")),
            "of a range": Query(BIG.name, _compare("ge", "rank", 5), _by("rank")),
        }
        calls = {f"the first ten {name}": first(query) for name, query in queries.items()}
        _compare_costs(bench, bench.open(BIG), calls, few=AHEAD)
