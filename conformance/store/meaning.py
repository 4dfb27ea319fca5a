"""Rules that any query means what the oracle says, for any records: properties."""

from __future__ import annotations

import itertools

import attrs

from tidesync.conformance import aimed, oracle, strategies
from tidesync.conformance.aimed import Asked
from tidesync.conformance.expect import equal
from tidesync.conformance.rules import rule
from tidesync.conformance.store.asking import told
from tidesync.conformance.store.bench import StoreBench, refill
from tidesync.conformance.store.tables import THING
from tidesync.query import Query
from tidesync.schema import TableSchema


class Meaning:
    """Rules that any query means what the oracle says."""

    @rule("STORE-121", "A query means what `tidesync.predicate` says")
    def test_any_query_selects_what_it_means(self, bench: StoreBench) -> None:
        """Any query of any records selects what the oracle of the suite selects, in its order.

        Why: whatever the other rules about queries do not think of.
        Look at: the smallest records and query that Hypothesis found, and `tidesync.conformance.oracle`.
        """
        store = bench.open()

        def selects(asked: Asked) -> None:
            records, queries = asked
            refill(store, records)
            with store.transaction(write=False) as transaction:
                for query in queries:
                    equal(oracle.select(query, records), list(transaction.select(query)), told(query))

        bench.each(selects, asked=aimed.asked(THING, bench.domain))

    @rule("STORE-122", "How many records the query has without its skip and take")
    def test_any_query_is_counted(self, bench: StoreBench) -> None:
        """Any query is counted as the oracle of the suite counts it, whatever its order, skip, take and fields are.

        Why: a count that is another query is wrong in other cases.
        Look at: a second compiler of conditions for counts.
        """
        store = bench.open()

        def counts(asked: Asked) -> None:
            records, queries = asked
            refill(store, records)
            with store.transaction(write=False) as transaction:
                for query in queries:
                    equal(oracle.count(query, records), transaction.count(query), f"count of {told(query)}")

        bench.each(counts, asked=aimed.asked(THING, bench.domain))

    @rule("STORE-123", "Delete what the query selects (skip and take included)")
    def test_any_query_deletes_what_it_selects(self, bench: StoreBench) -> None:
        """Whatever a query is, `delete_where` deletes what the oracle of the suite selects, and nothing else.

        Why: what is deleted by mistake is gone.
        Look at: a DELETE that is compiled by itself; order, skip and take in it.
        """
        store = bench.open()

        def deletes(asked: Asked) -> None:
            records, queries = asked
            for query in queries:
                refill(store, records)
                with store.transaction(write=True) as transaction:
                    gone = len(oracle.select(query, records))
                    how = f"delete_where of {told(query)}"
                    equal(gone, transaction.delete_where(query), f"how many went: {how}")
                    left = list(transaction.select(Query(THING.name)))
                    equal(oracle.kept(query, records), left, f"what is left: {how}")

        bench.each(deletes, asked=aimed.asked(THING, bench.domain))

    @rule("STORE-124", "A query means what `tidesync.predicate` says")
    def test_the_schema_does_not_change_the_meaning(self, bench: StoreBench) -> None:
        """Queries mean the same in any table, whatever its columns, types and indexes are.

        Why: an index that is added for speed must not change what is found.
        Look at: conditions that are compiled by the type of a column; an order or a range that an index has otherwise.
        """
        names = (f"thing_{number}" for number in itertools.count())
        store = bench.open()

        def selects(table: TableSchema, asked: Asked) -> None:
            records, queries = asked
            table = attrs.evolve(table, name=next(names))
            queries = [attrs.evolve(query, table=table.name) for query in queries]
            store.open([table])
            refill(store, records, table.name)
            with store.transaction(write=False) as transaction:
                for query in queries:
                    equal(oracle.select(query, records), list(transaction.select(query)), told(query))

        bench.each(selects, table=strategies.schemas(), asked=aimed.asked(strategies.WIDE, bench.domain))
