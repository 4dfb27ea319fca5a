"""Rules about one place that releases of an application open, one after another and side by side."""

from __future__ import annotations

from tidesync.conformance.expect import equal, raises, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put
from tidesync.conformance.store.schemas import table
from tidesync.errors import SchemaMismatch, UnknownTable
from tidesync.query import Query, equals
from tidesync.records import Record
from tidesync.values import ColumnType as T


class Releases:
    """What another release finds in what one has left."""

    @rule("STORE-56", "A new column is added, and takes over the values", requires=("durable",))
    def test_another_release_opens_what_is_there(self, bench: StoreBench) -> None:
        """A store that another object filled, and closed, is opened with other columns, types and indexes.

        Why: this is how every update of an application finds the records of the one before.
        Look at: declarations that are only kept in memory, so that a reopened store takes the new ones for the old.
        """
        store = bench.open(
            table("todo", ("gone",), gone=T.BOOLEAN, a=T.INTEGER, b=T.STRING), table("rest", a=T.ANY)
        )
        rows: list[Record] = [
            {"id": "1", "gone": True, "a": 1, "b": "x", "new": False},
            {"id": "2", "gone": False, "a": None, "new": None},
            {"id": "3", "b": None, "gone": None}, {"id": "4", "new": [True]},
        ]  # fmt: skip
        put(store, *rows, table="todo")
        put(store, *rows, table="rest")
        store.close()
        releases = (
            table("todo", ("new",), ("b", "a"), new=T.BOOLEAN, b=T.STRING, a=T.FLOAT), table("todo"),
            table("todo", ("a",), a=T.ANY, gone=T.JSON, b=T.ANY),
        )  # fmt: skip
        for release in releases:
            names = [column.name for column in release.columns]
            with works(f"open of a release with {names}"):
                again = bench.open(release)
            equal(rows, held(again, Query("todo")), f"records in a release with {names}")
            equal(
                rows[:1], held(again, Query("todo", equals("new", False))), f"found in a release with {names}"
            )
            rows.append({"id": f"5{len(rows)}", "gone": True, "new": True, "a": 5, "b": "x"})
            put(again, rows[-1], table="todo")
            with again.transaction(write=False) as transaction, raises(UnknownTable, naming="rest"):
                _ = transaction.count(Query("rest"))
            again.close()
        equal(
            rows[:4], held(bench.open(table("rest", a=T.ANY)), Query("rest")), "a table that was not opened"
        )

    @rule("STORE-57", "is `SchemaMismatch` and nothing is touched", requires=("durable",))
    def test_a_refused_release_leaves_all_to_the_old_one(self, bench: StoreBench) -> None:
        """A store that was closed refuses a losing type as an open one does, and the old declaration finds all there.

        Why: the user goes back to the release before, which must find everything as it was.
        Look at: the types of columns, which must be kept with the records, and an upgrade that is committed in parts.
        """
        old = (table("first", a=T.STRING), table("todo", ("a",), a=T.STRING))
        rows: list[Record] = [{"id": "1", "a": None, "b": 1}, {"id": "2", "a": "x"}, {"id": "3"}]
        store = bench.open(*old)
        for each in old:
            put(store, *rows, table=each.name)
        store.close()
        new = bench.make()
        with raises(SchemaMismatch, naming="todo", what="text to integer, when opened again"):
            new.open([table("a_new"), table("first", ("b",), a=T.ANY, b=T.ANY), table("todo", a=T.INTEGER)])
        new.close()
        again = bench.open(*old)
        for each in old:
            equal(rows, held(again, Query(each.name)), f"the records of {each.name}")
            equal(rows[1:2], held(again, Query(each.name, equals("a", "x"))), f"what is found in {each.name}")

    @rule(
        "STORE-58",
        "stores on the same place that were opened with older declarations go on",
        requires=("multiprocess",),
    )
    def test_an_older_release_beside_a_newer_one(self, bench: StoreBench) -> None:
        """A store that was open before another one added a column, or made it another type, goes on and loses nothing.

        Why: a service runs while a command of a newer release opens the same file.
        Look at: columns that are listed once at open, and statements that were prepared for the old ones.
        """
        old = bench.open(table("todo", ("a",), a=T.INTEGER))
        rows: list[Record] = [{"id": "1", "a": 1, "b": True}, {"id": "2", "b": None}]
        put(old, *rows, table="todo")
        equal(rows, held(old, Query("todo")), "before the newer one")
        new = bench.open(table("todo", ("b",), a=T.ANY, b=T.BOOLEAN))
        for number, store in enumerate((old, new, old)):
            rows.extend([{"id": f"3{number}a", "a": number, "b": False}, {"id": f"3{number}b", "b": True}])
            put(store, *rows[-2:], table="todo")
            for which, reader in (("older", old), ("newer", new)):
                equal(rows, held(reader, Query("todo")), f"what the {which} one reads")
                found = [row for row in rows if row.get("b") is True]
                equal(found, held(reader, Query("todo", equals("b", True))), f"what the {which} one finds")
