"""Rules about tables that are opened again, with other columns."""

from __future__ import annotations

from typing import Final

from tidesync.conformance.expect import equal, raises, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put
from tidesync.contracts.store import Store
from tidesync.errors import SchemaMismatch, UnknownTable
from tidesync.query import Compare, Field, Order, Query, Value, equals
from tidesync.records import Json, Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType as T

VALUES: Final[tuple[Json, ...]] = (
    "x", "", 1, 0, -5, 1.0, -0.0, 0.5, True, False, None, [1, {"a": None}], [], {}, {"b": [0.0]}, "1", "true", "null",
    "2026-11-20", "2026-11-20T03:45:05.507000Z", "1.50", "AAH/", 2**63 - 1, "[1]",
)  # fmt: skip
"""Values of every kind: most do not fit most types."""
LOSING: Final[tuple[tuple[T, T, Json], ...]] = (
    (T.STRING, T.INTEGER, "x"), (T.STRING, T.DATETIME, "yesterday"), (T.STRING, T.BOOLEAN, "true"),
    (T.INTEGER, T.BOOLEAN, 1), (T.INTEGER, T.STRING, 1), (T.BOOLEAN, T.INTEGER, True), (T.JSON, T.STRING, [1]),
    (T.FLOAT, T.INTEGER, 1.5), (T.ANY, T.UUID, "x"), (T.ANY, T.STRING, False), (T.STRING, T.FLOAT, "0.5"),
)  # fmt: skip
KEEPING: Final[tuple[tuple[T, T, tuple[Json, ...]], ...]] = (
    (T.STRING, T.INTEGER, (None,)), (T.INTEGER, T.FLOAT, (1, 0, 2**53 + 1, None)),
    (T.STRING, T.DATE, ("2026-11-20", None)), (T.STRING, T.ENUM, ("red", "")), (T.STRING, T.ANY, ("a", "1", None)),
    (T.BOOLEAN, T.ANY, (True, False, None)), (T.ANY, T.BOOLEAN, (True, False, None)), (T.INTEGER, T.ANY, (1, 0)),
    (T.ANY, T.JSON, (True, 1, "a", [1], {}, None, 0.5)), (T.JSON, T.ANY, (True, 1, "a", [1], {}, None)),
    (T.BOOLEAN, T.JSON, (True, None)), (T.ANY, T.INTEGER, (5, -1, None)), (T.DATETIME, T.STRING, ("2026",)),
)  # fmt: skip


def table(name: str, *indexes: tuple[str, ...], **columns: T) -> TableSchema:
    """A table with these columns."""
    return TableSchema(name, tuple(Column(each, kind) for each, kind in columns.items()), indexes=indexes)


def _indexed(name: str, kind: T, **others: T) -> TableSchema:
    """A table with an index on its column `a`, where its type can have one."""
    return table(name, *([] if kind is T.JSON else [("a",)]), a=kind, **others)


def _absent(count: int) -> list[Record]:
    return [{"id": f"z{n:04}"} for n in range(count)]


def _answers(store: Store, name: str) -> list[list[Record]]:
    """What queries on the columns `a` and `b` find."""
    a, b = Field("a"), Field("b")
    queries = [
        Query(name, order=(Order(a), Order(b))), Query(name, order=(Order(b, descending=True),)),
        Query(name, equals("a", 1), (Order(b),)), Query(name, equals("a", None)), Query(name, equals("b", "x")),
        Query(name, Compare("gt", a, Value(1)), (Order(a),)), Query(name, order=(Order(a),), skip=3, take=4),
    ]  # fmt: skip
    return [held(store, query) for query in queries]


class Schemas:
    """What becomes of records when tables are declared otherwise."""

    @rule("STORE-45", "Create or upgrade the tables; idempotent")
    def test_opening_again_changes_nothing(self, bench: StoreBench) -> None:
        """Opening an open store with the same tables keeps every record, also values that never fitted their column.

        Why: parts of an application open the tables that they need, without knowing of each other.
        Look at: a CREATE without IF NOT EXISTS, a table that is made anew, and values that are checked against the
        type of a column that has not changed.
        """
        values = bench.domain.legal_values("a", VALUES)
        rows: list[Record] = [{"id": f"{n:02}", "a": value, "b": n} for n, value in enumerate(values)]
        tables = [_indexed(f"todo_{kind.value}", kind) for kind in T]
        store = bench.open(*tables)
        for each in tables:
            put(store, *rows, table=each.name)
        for _ in range(2):
            with works("another open with the same tables"):
                store.open(tables)
            for each in tables:
                equal(rows, held(store, Query(each.name)), f"the records of {each.name} after another open")

    @rule("STORE-46", "may be called again with more tables")
    def test_more_tables_are_added(self, bench: StoreBench) -> None:
        """Opening with more, with fewer, with other or with no tables adds the new ones, and keeps the records of all.

        Why: an update of an application brings a table, another one drops it, and a third brings it back.
        Look at: tables that are dropped when they are not declared.
        """
        one, two = table("one", ("a",), a=T.STRING), table("two", ("b",), b=T.STRING)
        store = bench.open(one)
        put(store, {"id": "1", "a": "x"}, table="one")
        with store.transaction(write=True) as transaction, raises(UnknownTable, naming="two"):
            transaction.put("two", [{"id": "2"}])
        with works("open with one table more"):
            store.open([one, two])
        put(store, {"id": "2", "b": "y"}, table="two")
        for tables in ([one], [], [two], [two, one]):
            store.open(tables)
        equal([{"id": "1", "a": "x"}], held(store, Query("one", equals("a", "x"))), "the first table")
        equal(
            [{"id": "2", "b": "y"}], held(store, Query("two", equals("b", "y"))), "the table that came later"
        )

    @rule("STORE-47", "A new column is added, and takes over the values that were kept as unknown fields")
    def test_a_new_column_takes_over_what_was_unknown(self, bench: StoreBench) -> None:
        """A new column of any type has the values that were kept under its name, fitting or not; absent stays absent.

        Why: the remote had the field first; what came with it must be there when the application learns of it.
        Look at: values that are converted to the type, or dropped where they do not fit it; null for what is absent;
        a copy that stays among the unknown fields and comes back later; names that ignore case.
        """
        values = bench.domain.legal_values("a", VALUES)
        rows: list[Record] = [{"id": f"{n:02}", "a": value, "b": n, "A": n} for n, value in enumerate(values)]
        rows += _absent(600)
        store = bench.open(*(table(f"todo_{kind.value}", old=T.STRING) for kind in T))
        for kind in T:
            put(store, *rows, table=f"todo_{kind.value}")
        store.open([_indexed(f"todo_{kind.value}", kind, old=T.STRING) for kind in T])
        for kind in T:
            name = f"todo_{kind.value}"
            equal(rows, held(store, Query(name)), f"records with a new column of type {kind.value}")
            without: list[Record] = [{"id": row["id"], "b": 1} for row in rows[:3]]
            put(store, *without, table=name)
            equal(without, held(store, Query(name, take=3)), f"replaced records, {kind.value}")

    @rule("STORE-48", "takes over the values that were kept as unknown fields under its name")
    def test_a_new_column_is_found_by(self, bench: StoreBench) -> None:
        """Queries, and an index that comes with a new column, find and order the records that were there before it.

        Why: a record that is there, and is not found, is taken for missing.
        Look at: an index that is filled from the column only, before the values have been moved into it.
        """
        rows: list[Record] = [
            {"id": f"{n:03}", "a": (n * 7) % 11 if n % 5 else None, "b": "xyz"[n % 3]} for n in range(200)
        ]
        rows.extend([{"id": f"9{n:02}", "b": "x"} for n in range(30)])
        store = bench.open(table("todo"))
        put(store, *rows, table="todo")
        before = _answers(store, "todo")
        ones = sorted(
            (row for row in rows if row.get("a") == 1), key=lambda row: (str(row["b"]), str(row["id"]))
        )
        equal(ones, before[2], "found by an unknown field")
        store.open([table("todo", ("a", "b"), ("b",), a=T.INTEGER, b=T.STRING)])
        equal(before, _answers(store, "todo"), "found by columns that came later")

    @rule("STORE-49", "a removed one is kept as an unknown field")
    def test_a_removed_column_is_kept(self, bench: StoreBench) -> None:
        """A column that is no longer declared is an unknown field: kept, found, written, and a column again later.

        Why: an older release of the application beside a newer one must not delete what it does not know.
        Look at: a column that is dropped, or left out of what is read; null for what was absent.
        """
        values = bench.domain.legal_values("gone", VALUES)
        rows: list[Record] = [{"id": f"{n:02}", "gone": value, "kept": n} for n, value in enumerate(values)]
        rows += _absent(5)
        store = bench.open(table("todo", ("gone",), gone=T.STRING, kept=T.INTEGER))
        put(store, *rows, table="todo")
        store.open([table("todo", kept=T.INTEGER)])
        equal(rows, held(store, Query("todo")), "records after a column was removed")
        found = [row for row in rows if row.get("gone") == "x"]
        equal(found, held(store, Query("todo", equals("gone", "x"))), "found by a removed column")
        rows[1] = {"id": "01", "gone": [1]}
        rows[2] = {"id": "02", "kept": 5}
        put(store, rows[1], rows[2], table="todo")
        equal(rows, held(store, Query("todo")), "records that were put without the column")
        store.open([table("todo", ("gone",), gone=T.STRING, kept=T.INTEGER)])
        equal(rows, held(store, Query("todo")), "records after the column came back")

    @rule("STORE-50", "a changed type that would lose values")
    def test_a_type_that_loses_values_is_refused(self, bench: StoreBench) -> None:
        """A column whose new type does not fit a value that is stored is SchemaMismatch, and names table and column.

        Why: the application reads values by the type that it declares, and would fail at each such record.
        Look at: a type that is taken over unchecked, or checked for the first records only.
        """
        store = bench.make()
        for number, (before, after, value) in enumerate(LOSING):
            for many in (0, 600):
                name = f"todo_{number}_{many}"
                store.open([table(name, a=before)])
                rows: list[Record] = [{"id": f"{n:04}", "a": None} for n in range(many)]
                put(store, *rows, {"id": "a", "a": value}, {"id": "b"}, table=name)
                what = f"{before.value} to {after.value} with {value!r}"
                with raises(SchemaMismatch, naming=name, what=what) as caught:
                    store.open([table(name, a=after)])
                if caught.error is not None:
                    equal("a", caught.error.column, f"the column of SchemaMismatch, {what}")

    @rule("STORE-51", "is `SchemaMismatch` and nothing is touched")
    def test_a_refused_open_touches_nothing(self, bench: StoreBench) -> None:
        """An open that is refused changes no table at all: none is added, none upgraded, and the old ones work on.

        Why: the user goes back to the release before, which must find everything as it was.
        Look at: tables that are upgraded one by one, each with a commit of its own, and declarations that are kept in
        memory although the open has failed.
        """
        store = bench.open(table("first", a=T.STRING), table("todo", ("a",), a=T.STRING))
        rows: list[Record] = [{"id": "1", "a": None, "b": [1]}, {"id": "2", "a": "x"}, {"id": "3"}]
        for name in ("first", "todo"):
            put(store, *rows, table=name)
        new = table("a_new", a=T.STRING)
        upgraded = table("first", ("b",), a=T.ANY, b=T.ANY)
        for tables in (
            [new, upgraded, table("todo", ("b",), a=T.INTEGER, b=T.ANY)],
            [table("todo", a=T.INTEGER), upgraded, new],
        ):
            with raises(SchemaMismatch, naming="todo", what="text to integer"):
                store.open(tables)
            with (
                store.transaction(write=True) as transaction,
                raises(UnknownTable, naming="a_new", what="put in a table of an open that was refused"),
            ):
                transaction.put("a_new", [{"id": "1"}])
            for name in ("first", "todo"):
                equal(rows, held(store, Query(name)), f"the records of {name} after an open that was refused")
                equal(rows[1:2], held(store, Query(name, equals("a", "x"))), f"what is found in {name}")
        put(store, {"id": "4", "a": "y"}, table="todo")
        store.open([table("first", a=T.STRING), table("todo", ("a",), a=T.STRING)])
        equal([*rows, {"id": "4", "a": "y"}], held(store, Query("todo")), "after another open that is right")

    @rule("STORE-52", "a changed type that would lose values")
    def test_a_type_that_loses_nothing_is_taken(self, bench: StoreBench) -> None:
        """A column whose new type fits all that is stored changes, and queries find every value as before.

        Why: a whole number that becomes a fraction, or a text that becomes a date, is an everyday change.
        Look at: any change that is refused; values that stay encoded in the way of the old type (1 for true).
        """
        store = bench.make()
        for number, (before, after, kept) in enumerate(KEEPING):
            name, what = f"todo_{number}", f"{before.value} to {after.value}"
            values = bench.domain.legal_values("a", kept)
            store.open([_indexed(name, before)])
            rows: list[Record] = [{"id": f"{n}", "a": value} for n, value in enumerate(values)]
            rows.append({"id": "none"})
            put(store, *rows, table=name)
            queries = [Query(name, Compare("eq", Field("a"), Value(value))) for value in values]
            queries.append(Query(name, order=(Order(Field("a")),)))
            expected = [held(store, query) for query in queries]
            with works(f"open with another type, {what}"):
                store.open([_indexed(name, after)])
            equal(rows, held(store, Query(name)), f"records, {what}")
            equal(expected, [held(store, query) for query in queries], f"what queries find, {what}")

    @rule("STORE-53", "Indexes come and go as declared")
    def test_indexes_change_no_answer(self, bench: StoreBench) -> None:
        """Whatever indexes are added, removed or changed, queries give the same records in the same order.

        Why: an index is declared for speed; with it, the application must show what it showed without.
        Look at: an index that is filled from now on only, that leaves out null or values that do not fit, or that is
        unique.
        """
        numbers: tuple[Json, ...] = (1, 2, None, 1.0, 3, True, "x", 1, 0.5, "1", -1, 2)
        values = bench.domain.legal_values("a", numbers)
        rows: list[Record] = [
            {"id": f"{n:02}", "a": values[n % len(values)], "b": "xyx"[n % 3]} for n in range(3 * len(values))
        ]
        rows.extend([{"id": "a"}, {"id": "b", "a": 1}, {"id": "c", "b": "x"}])
        store = bench.open(table("todo", a=T.INTEGER, b=T.STRING))
        put(store, *rows, table="todo")
        before = _answers(store, "todo")
        ways: tuple[tuple[tuple[str, ...], ...], ...] = (
            (("a",),), (("a", "b"), ("b", "a")), (("b",), ("a",)), (), (("a", "b"), ("version", "a")), (("b", "a"),),
        )  # fmt: skip
        for indexes in ways:
            with works(f"open with the indexes {indexes}"):
                store.open([table("todo", *indexes, a=T.INTEGER, b=T.STRING)])
            equal(before, _answers(store, "todo"), f"answers with the indexes {indexes}")
            put(store, *rows, table="todo")
            equal(before, _answers(store, "todo"), f"answers after another put, with the indexes {indexes}")

    @rule("STORE-54", "Create or upgrade the tables")
    def test_columns_may_change_places(self, bench: StoreBench) -> None:
        """Columns that are declared in another order keep their values, also with new ones between them.

        Why: a class is tidied up, and its fields are sorted.
        Look at: values that are found by the place of their column, not by its name.
        """
        store = bench.open(table("todo", a=T.STRING, b=T.STRING, c=T.INTEGER))
        rows: list[Record] = [
            {"id": "1", "a": "a", "b": "b", "c": 1},
            {"id": "2", "b": "b"},
            {"id": "3", "c": 3},
        ]
        put(store, *rows, table="todo")
        orders: tuple[dict[str, T], ...] = (
            {"c": T.INTEGER, "b": T.STRING, "a": T.STRING},
            {"b": T.STRING, "new": T.BOOLEAN, "a": T.STRING, "d": T.STRING, "c": T.INTEGER},
            {"a": T.STRING, "c": T.INTEGER}, {"c": T.INTEGER, "b": T.STRING},
        )  # fmt: skip
        for number, columns in enumerate(orders):
            store.open([table("todo", **columns)])
            equal(rows, held(store, Query("todo")), f"records with the columns {list(columns)}")
            rows.append({"id": f"4{number}", "a": "x", "b": "y", "c": number, "new": True, "d": "z"})
            put(store, rows[-1], table="todo")
            equal(rows, held(store, Query("todo")), f"records put with the columns {list(columns)}")

    @rule("STORE-55", "Every name that `TableSchema` takes is a name; two that differ in case are two")
    def test_any_name_of_a_column_is_a_name(self, bench: StoreBench) -> None:
        """Columns may have any legal name: words of SQL, names that differ in case alone, 63 characters.

        Why: `order`, `group` and `index` are among the commonest names of columns.
        Look at: names that are not quoted, that ignore case (`ID` is not `id`), or that the store has for itself.
        """
        names = (
            "order", "Order", "group", "select", "ID", "Id", "rowid", "oid", "_rowid_", "limit", "null", "true", "key",
            "value", "data", "json", "record", "a", "A", "a_b", "aXb", "_", "_id", "sqlite_x", "table", "datetime",
            "x" * 63,
        )  # fmt: skip
        columns = dict.fromkeys(names, T.STRING)
        todo = table("todo", ("order", "ID"), ("Id",), ("a", "A"), **columns)
        with works(f"open, twice, with columns that have the names {names}"):
            store = bench.open(todo)
            store.close()
            store.open([todo])
        row: Record = {"id": "1", **{name: f"{name} 1" for name in names}}
        other: Record = {"id": "2", "ID": "1", "A": "a 1"}
        put(store, row, other, table="todo")
        for name in names:
            query = Query("todo", equals(name, f"{name} 1"), (Order(Field(name)),))
            equal([row], held(store, query), f"found by {name}")
            equal(
                [{"id": "1", name: f"{name} 1"}],
                held(store, Query("todo", take=1, fields=(name,))),
                f"the field {name} alone",
            )
        equal([row, other], held(store, Query("todo")), "both records")
