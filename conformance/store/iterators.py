"""Rules about iterators: several at once, left half-way, and used when their transaction is over."""

from __future__ import annotations

import gc
from collections.abc import Iterator

from tidesync.conformance.expect import equal, raises, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put
from tidesync.conformance.store.tables import ALL, OTHER, THING
from tidesync.conformance.store.threads import apart
from tidesync.conformance.store.transactions import ALL_OTHER, BOTH, end_with, numbered, opened
from tidesync.contracts.store import StoreTransaction
from tidesync.errors import StoreClosed
from tidesync.query import Compare, Field, Order, Query, Value
from tidesync.records import Record


class Iterators:
    """What an iterator gives, and for how long."""

    @rule("STORE-28", "Used after its end, it and its iterators raise `StoreClosed`")
    def test_an_iterator_ends_with_its_transaction(self, bench: StoreBench) -> None:
        """An iterator that is used after its transaction raises StoreClosed, wherever it was: it never just stops.

        Why: a loop that quietly ends early has worked on some of the records, and nobody will know.
        Look at: a generator that finds its statement closed and returns; rows that were fetched ahead and still come.
        """
        store = bench.filled(*numbered(1_200))
        ordered = Query(THING.name, order=(Order(Field("number"), descending=True),))
        for query in (ALL, ordered, Query(THING.name, take=1_150)):
            for taken in (0, 1, 2, 100, 1_149):
                for write, error in ((False, None), (True, None), (True, ZeroDivisionError())):
                    kept: list[Iterator[Record]] = []

                    def begin(
                        transaction: StoreTransaction,
                        query: Query = query,
                        taken: int = taken,
                        kept: list[Iterator[Record]] = kept,
                    ) -> None:
                        kept.append(transaction.select(query))
                        for _ in range(taken):
                            _ = next(kept[0])

                    if error is None:
                        with store.transaction(write=write) as transaction:
                            begin(transaction)
                    else:
                        _ = end_with(store, error, begin)
                    what = f"next after {taken} records, when the transaction was over"
                    with raises(StoreClosed, what=what):
                        _ = next(kept[0], None)

    @rule("STORE-29", "The table is not written while it is iterated")
    def test_other_tables_are_written_while_one_is_iterated(self, bench: StoreBench) -> None:
        """Other tables may be written, and the same one read, while a table is iterated; the iterator misses nothing.

        Why: the engine goes through the queue, and writes the records that it tells of.
        Look at: a cursor that is shared by all calls of a connection, or that a write resets.
        """
        store = bench.open(*BOTH)
        rows = numbered(1_200)
        put(store, *rows)
        for query in (ALL, Query(THING.name, order=(Order(Field("number")),))):
            with store.transaction(write=True) as transaction:
                seen: list[Record] = []
                for row in transaction.select(query):
                    seen.append(row)
                    transaction.put(OTHER.name, [{"id": str(row["id"]), "key": 1}])
                    if len(seen) % 100 == 0:
                        equal([row], transaction.get(THING.name, [str(row["id"])]), "get while iterating")
                        equal(len(seen), transaction.count(ALL_OTHER), "count while iterating")
                        _ = transaction.delete(OTHER.name, [str(row["id"])])
                        transaction.put(OTHER.name, [{"id": str(row["id"])}])
                equal(rows, seen, "what was iterated")
                equal(1_200, transaction.delete_where(ALL_OTHER), "what was written meanwhile")

    @rule("STORE-30", "The records of the query, in its order")
    def test_iterators_do_not_disturb_each_other(self, bench: StoreBench) -> None:
        """Several iterators of one transaction, of one table or of two, each give all their records, taken by turns.

        Why: a merge of two lists, or a query inside the loop over another, reads both at once.
        Look at: one cursor for a whole connection, which the second query begins anew.
        """
        store = bench.open(*BOTH)
        rows = numbered(700)
        put(store, *rows)
        put(store, *rows, table=OTHER.name)
        few = Query(THING.name, Compare("ge", Field("number"), Value(100)), (Order(Field("number")),))
        queries = (
            ALL,
            ALL_OTHER,
            Query(THING.name, order=(Order(Field("number"), descending=True),)),
            few,
            ALL,
        )
        with store.transaction(write=False) as transaction:
            expected = [list(transaction.select(query)) for query in queries]
            iterators = [transaction.select(query) for query in queries]
            seen: list[list[Record]] = [[] for _ in queries]
            for _ in range(701):
                for iterator, found in zip(iterators, seen, strict=True):
                    found += [row for row in (next(iterator, None),) if row is not None]
            equal([700, 700, 700, 600, 700], [len(found) for found in expected], "records of each query")
            equal(expected, seen, "records of iterators taken by turns")

    @rule("STORE-31", "One atomic, isolated unit")
    def test_iterators_may_be_left(self, bench: StoreBench) -> None:
        """An iterator that is left half-way, closed or never begun holds up neither its transaction nor the next ones.

        Why: whoever looks for the first record that fits breaks off the loop.
        Look at: statements that are open at the commit ("cannot commit: statements in progress"), and cursors that
        are only closed when the last record was read.
        """

        def rule() -> None:
            store = opened(bench)
            put(store, *numbered(1_200))
            kept: list[Iterator[Record]] = []
            for turn in range(12):
                with (
                    works("a transaction whose iterators are left half-way"),
                    store.transaction(write=True) as transaction,
                ):
                    kept.append(transaction.select(ALL))
                    kept.append(transaction.select(ALL))
                    _ = next(kept[-1])
                    for _ in transaction.select(ALL):
                        break
                    transaction.put(OTHER.name, [{"id": f"turn {turn}"}])
                with store.transaction(write=False) as transaction:
                    kept.append(transaction.select(ALL_OTHER))
                    _ = next(kept[-1])
            kept.clear()
            _ = gc.collect()
            put(store, {"id": "last"}, table=OTHER.name)
            equal(14, len(held(store, ALL_OTHER)), "records after iterators that were left")

        apart(rule, "transactions whose iterators were left half-way")
