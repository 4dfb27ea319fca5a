"""Rules about single calls: put, get, delete, and what is empty, repeated or large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tidesync.conformance.expect import equal, raises, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put, refill
from tidesync.conformance.store.tables import ALL, OTHER, THING
from tidesync.contracts.store import StoreTransaction
from tidesync.errors import InvalidId, InvalidRecord, StoreError, UnknownTable
from tidesync.query import Compare, Field, In, Order, Query, Value, equals
from tidesync.records import Record
from tidesync.schema import Column, TableSchema

MANY: Final = 40_000
FEW_EDGES: Final = (
    1, 2, 3, 8, 9, 63, 64, 65, 99, 100, 101, 127, 128, 129, 249, 250, 251, 255, 256, 257,
    499, 500, 501, 511, 512, 513, 998, 999, 1000, 1001, 1023, 1024, 1025,
)  # fmt: skip
"""Where stores cut long lists, and their neighbours."""
EDGES: Final = (*FEW_EDGES, 2047, 2049, 4095, 4097, 9999, 10_001, 32_765, 32_766, 32_767, 32_768, MANY)
LARGE_EDGES: Final = (1, 2, 499, 500, 501, 999, 1000, 1001, 1024, 1025, 32_766, 32_767, 32_768, MANY)


def _ids(count: int) -> list[str]:
    return [f"{n:05}" for n in range(count)]


def _at_edges() -> list[Record]:
    """A record at every place at which a list may have been cut."""
    places = sorted({place for edge in EDGES for place in (edge - 2, edge - 1, edge) if 0 <= place < MANY})
    return [{"id": f"{place:05}", "number": place} for place in places]


class Calls:
    """What one call does."""

    @rule("STORE-01", "What a store declares beyond the rules")
    def test_capabilities_are_as_declared(self, bench: StoreBench) -> None:
        """A store has the capabilities that its author declared, before it is open and after.

        Why: an application decides by them whether a crash may lose writes, or a second process may open the file.
        Look at: the `capabilities` property, and the declaration in the test class.
        """
        store = bench.make()
        equal(bench.capabilities, store.capabilities, "before open")
        store.open([THING])
        equal(bench.capabilities, store.capabilities, "after open")

    @rule("STORE-02", "Insert or replace whole records, by id")
    def test_put_replaces_whole_records(self, bench: StoreBench) -> None:
        """Put inserts what is new and replaces what is there, whole: fields of the old record do not stay.

        Why: the engine puts what a record is from now on; a field that stays is one that the user removed.
        Look at: an upsert that updates the named columns only, or that merges JSON.
        """
        store = bench.filled({"id": "1", "text": "a", "number": 1, "extra": 1}, {"id": "2"})
        put(store, {"id": "1", "flag": True})
        expected: list[Record] = [{"id": "1", "flag": True}, {"id": "2"}]
        equal(expected, held(store))

    @rule("STORE-03", "of two with one id the later one stays")
    def test_the_later_of_two_with_one_id_stays(self, bench: StoreBench) -> None:
        """Of several records with one id in one put the last stays, whole, whether the id was there before or not.

        Why: a page of a remote may tell of a record twice; the older state would stay, and never be corrected.
        Look at: a put that is sorted, made unique by its first record, or cut into statements that run in any order.
        """
        store = bench.open()
        for count in (2, 3, 50, 1_200):
            rows: list[Record] = [{"id": str(n % 2), "number": n, f"extra{n % 3}": n} for n in range(count)]
            put(store, *rows)
            equal(
                sorted(rows[-2:], key=lambda row: str(row["id"])), held(store), f"{count} records of two ids"
            )

    @rule("STORE-04", "Any number of ids")
    def test_empty_calls_do_nothing(self, bench: StoreBench) -> None:
        """No records and no ids are no error: such a call answers with nothing, and changes nothing.

        Why: the engine asks for what a page holds, and a page may hold nothing.
        Look at: `IN ()`, `VALUES` without rows, `executemany` or a batch of a driver that refuses to be empty.
        """
        store = bench.open()
        for filled in (False, True):
            rows: list[Record] = [{"id": "1", "number": 1}] if filled else []
            if filled:
                put(store, *rows)
            with works("calls with no records and no ids"), store.transaction(write=True) as transaction:
                transaction.put(THING.name, [])
                equal([], transaction.get(THING.name, []), "get of no ids")
                equal(0, transaction.delete(THING.name, []), "delete of no ids")
                nothing = Query(THING.name, In(Field("id"), ()))
                equal(0, transaction.count(nothing), "count of no ids")
                equal([], list(transaction.select(nothing)), "select of no ids")
                equal(0, transaction.delete_where(nothing), "delete_where of no ids")
                equal(0, transaction.delete_where(Query(THING.name, take=0)), "delete_where that takes none")
            with works("a transaction without any call"), store.transaction(write=True):
                pass
            equal(rows, held(store), "after calls that were empty")

    @rule("STORE-05", "One answer per id, in order; None where there is nothing")
    def test_get_answers_in_order(self, bench: StoreBench) -> None:
        """Get answers each id at its own place: in the order asked, again where it is repeated, None where nothing is.

        Why: the engine pairs the answers with what it asked for; a shifted answer overwrites another record.
        Look at: an `IN` query whose rows are returned as they come, or ids that are made unique first.
        """
        rows: dict[str, Record] = {id: {"id": id, "text": id} for id in ("1", "2", "10", "a")}
        store = bench.filled(*rows.values())
        for ids in (
            ["2", "1"], ["a", "10", "2", "1"], ["0", "1", "3"], ["1", "1"], ["10", "0", "1", "0", "10"],
            ["none"], ("a", "2"), ["2"] * 20 + ["1"] * 20,
        ):  # fmt: skip
            with works(f"get of {ids}"), store.transaction(write=False) as transaction:
                equal([rows.get(id) for id in ids], transaction.get(THING.name, ids), f"get of {ids}")

    @rule("STORE-06", "Any number of ids, repeated ones too")
    def test_get_takes_any_number_of_ids(self, bench: StoreBench) -> None:
        """One get takes any number of ids, and leaves out none at the places where a store may cut the list.

        Why: a first pull asks for all that it brings; what is left out there is inserted again over local changes.
        Look at: the limit of parameters of a statement (999, 32766, 65535), and the last part of a list cut in parts.
        """
        rows = _at_edges()
        store = bench.filled(*rows)
        ids = _ids(MANY)
        there = {str(row["id"]): row for row in rows}
        with works("get of many ids"), store.transaction(write=False) as transaction:
            for count in EDGES:
                found = transaction.get(THING.name, ids[:count])
                equal([there.get(id) for id in ids[:count]], found, f"get of {count} ids")
            found = transaction.get(THING.name, ids[:500] * 80)
            equal([there.get(id) for id in ids[:500]] * 80, found, "get of 500 ids, each 80 times")

    @rule("STORE-07", "Delete by id; missing ids do not matter. Returns how many records went.")
    def test_delete_tells_how_many_went(self, bench: StoreBench) -> None:
        """Delete returns how many records went: an id that is missing, or there for the second time, does not count.

        Why: the number tells whether a record was there at all, which decides between a deletion and nothing to do.
        Look at: `len(ids)` returned, a row count of the last statement only, or an error for a missing id.
        """
        store = bench.open()
        for ids, gone in (
            (["1"], 1), (["0"], 0), (["1", "0", "2"], 2), (["1", "1", "1"], 1), (("3", "2", "1"), 3), (["4", "4"], 0)
        ):  # fmt: skip
            refill(store, [{"id": "1"}, {"id": "2"}, {"id": "3"}])
            with works(f"delete of {ids}"), store.transaction(write=True) as transaction:
                equal(gone, transaction.delete(THING.name, ids), f"delete of {ids}")
            equal(
                [{"id": id} for id in ("1", "2", "3") if id not in ids], held(store), f"after delete of {ids}"
            )

    @rule("STORE-08", "missing ids do not matter")
    def test_delete_takes_any_number_of_ids(self, bench: StoreBench) -> None:
        """One delete takes any number of ids, deletes all of them, and counts all parts of a list that is cut.

        Why: a purge, and a pull after which records vanish, delete in bulk; what stays is there for ever.
        Look at: the limit of parameters of a statement, and a count that is returned for the last part only.
        """
        rows = _at_edges()
        store = bench.open()
        ids = _ids(MANY)
        for count in LARGE_EDGES:
            refill(store, rows)
            rest = [row for row in rows if str(row["id"]) >= f"{count:05}"]
            with works(f"delete of {count} ids"), store.transaction(write=True) as transaction:
                gone = transaction.delete(THING.name, ids[:count])
                equal(len(rows) - len(rest), gone, f"delete of {count} ids")
            equal(rest, held(store), f"after delete of {count} ids")

    @rule("STORE-09", "Insert or replace whole records")
    def test_put_takes_any_number_of_records(self, bench: StoreBench) -> None:
        """One put takes any number of records, and loses none where a store may cut the list.

        Why: pages of a pull, and lists that an application imports, are put at once.
        Look at: the limit of parameters (records times columns), and the last part of a list cut in parts.
        """
        store = bench.open()
        with works("put of many records"), store.transaction(write=True) as transaction:
            for count in (*FEW_EDGES, 4_097, 32_768):
                _ = transaction.delete_where(ALL)
                rows: list[Record] = [{"id": id, "number": n} for n, id in enumerate(_ids(count))]
                transaction.put(THING.name, rows)
                equal(count, transaction.count(ALL), f"count after a put of {count}")
                equal(rows, transaction.get(THING.name, _ids(count)), f"get after a put of {count}")

    @rule("STORE-10", "a table that was not opened is `UnknownTable`")
    def test_a_table_that_was_not_opened_is_unknown(self, bench: StoreBench) -> None:
        """Every call for a table that was not opened is UnknownTable, names it, and the transaction goes on.

        Why: a misspelt table that is made on the spot swallows records that nobody will find.
        Look at: calls that make tables when they are first used, and errors of a driver that come out as they are.
        """
        store = bench.open(THING)
        calls: dict[str, Callable[[StoreTransaction], object]] = {
            "get": lambda transaction: transaction.get("nowhere", ["1"]),
            "select": lambda transaction: list(transaction.select(Query("nowhere"))),
            "count": lambda transaction: transaction.count(Query("nowhere")),
            "put": lambda transaction: transaction.put("nowhere", [{"id": "1"}]),
            "delete": lambda transaction: transaction.delete("nowhere", ["1"]),
            "delete_where": lambda transaction: transaction.delete_where(Query("nowhere")),
        }
        with store.transaction(write=True) as transaction:
            for name, call in calls.items():
                with raises(UnknownTable, naming="nowhere", what=name):
                    _ = call(transaction)
            transaction.put(THING.name, [{"id": "1"}])
        equal([{"id": "1"}], held(store), "after calls that were refused")

    @rule("STORE-11", "Writing in a transaction that only reads is a `StoreError`")
    def test_a_reading_transaction_does_not_write(self, bench: StoreBench) -> None:
        """Put, delete and delete_where in a transaction that was begun with write=False are StoreError, and do nothing.

        Why: such a write took no turn among the writers, and may overwrite what another thread is writing.
        Look at: a flag `write` that only chooses the kind of lock.
        """
        store = bench.filled({"id": "1", "number": 1})
        calls: dict[str, Callable[[StoreTransaction], object]] = {
            "put": lambda transaction: transaction.put(THING.name, [{"id": "1"}, {"id": "2"}]),
            "delete": lambda transaction: transaction.delete(THING.name, ["1"]),
            "delete_where": lambda transaction: transaction.delete_where(ALL),
        }
        for name, call in calls.items():
            with store.transaction(write=False) as transaction:
                with raises(StoreError, what=f"{name} in a reading transaction"):
                    _ = call(transaction)
                equal([{"id": "1", "number": 1}], transaction.get(THING.name, ["1"]), f"get after {name}")
            equal([{"id": "1", "number": 1}], held(store), f"after {name} in a reading transaction")

    @rule("STORE-12", "How many records the query has without its skip and take")
    def test_count_ignores_skip_and_take(self, bench: StoreBench) -> None:
        """Count tells how many records match, whatever part of them the query takes, and in whatever order.

        Why: a list shows "10 of 250" by it; with the part counted it shows "10 of 10".
        Look at: a count over the statement of the select, with its LIMIT.
        """
        rows: list[Record] = [{"id": f"{n:02}", "number": n % 4} for n in range(20)]
        store = bench.filled(*rows)
        some = equals("number", 1)
        with store.transaction(write=False) as transaction:
            for where, expected in ((None, 20), (some, 5), (equals("number", 9), 0)):
                for skip, take in ((0, None), (0, 3), (3, 3), (0, 0), (50, None), (4, 1)):
                    query = Query(THING.name, where, (Order(Field("number")),), skip, take, ("id",))
                    equal(expected, transaction.count(query), f"count with skip {skip} and take {take}")

    @rule("STORE-13", "Delete what the query selects (skip and take included)")
    def test_delete_where_deletes_what_select_gives(self, bench: StoreBench) -> None:
        """Delete_where deletes exactly the records that the query selects, order, skip and take included.

        Why: the oldest hundred of a log are deleted so; without the take, all of it is.
        Look at: a DELETE with the condition only; it must delete by the ids of the select.
        """
        store = bench.open()
        rows: list[Record] = [{"id": f"{n:02}", "number": -(n % 7)} for n in range(20)]
        up, down = (Order(Field("number")),), (Order(Field("number"), descending=True),)
        few = Compare("ge", Field("number"), Value(-2))
        for query in (
            ALL, Query(THING.name, few), Query(THING.name, take=3), Query(THING.name, skip=18),
            Query(THING.name, order=up, take=4), Query(THING.name, few, down, 1, 3),
            Query(THING.name, few, up, take=2, fields=("number",)), Query(THING.name, skip=5, take=0),
            Query(THING.name, skip=30), Query(THING.name, few, up, 4),
        ):  # fmt: skip
            refill(store, rows)
            gone = {str(row["id"]) for row in held(store, query)}
            with store.transaction(write=True) as transaction:
                equal(len(gone), transaction.delete_where(query), f"delete_where of {query}")
            equal(
                [row for row in rows if row["id"] not in gone], held(store), f"after delete_where of {query}"
            )

    @rule("STORE-14", "an id that is not text `InvalidId`")
    def test_ids_that_are_no_text_are_refused(self, bench: StoreBench) -> None:
        """One id that is not text among those of a get or delete is InvalidId, and nothing is deleted.

        Why: an id of another kind finds nothing, or with a driver that converts it the record of somebody else.
        Look at: ids that go to a driver unchecked (1 is found as "1"), and a list that is checked while it is deleted.
        """
        store = bench.filled({"id": "1"}, {"id": "5"}, {"id": "None"})
        wrong: Any
        for wrong in (None, 5, 5.0, True, b"5", ["5"]):
            with store.transaction(write=True) as transaction:
                for ids in ([wrong], ["1", wrong]):
                    with raises(InvalidId, InvalidRecord, what=f"delete of {ids}"):
                        _ = transaction.delete(THING.name, ids)
                    with raises(InvalidId, InvalidRecord, what=f"get of {ids}"):
                        _ = transaction.get(THING.name, ids)
            equal(["1", "5", "None"], [row["id"] for row in held(store)], f"after delete of {wrong!r}")

    @rule("STORE-15", "an id that is not text `InvalidId`")
    def test_a_record_needs_an_id(self, bench: StoreBench) -> None:
        """A record without an id that is text, or that is no record at all, is refused, and nothing of its put happens.

        Why: a record without an id can never be found, changed or deleted again.
        Look at: an id that is made up, or converted to text; checks that run while the records are written.
        """
        store = bench.open()
        wrong: Any
        for wrong in (
            {},
            {"id": None},
            {"id": ""},
            {"id": 5},
            {"id": b"5"},
            {"text": "a"},
            None,
            "id",
            ["id"],
            5,
        ):
            for before in (0, 10, 1_100):
                rows: list[Any] = [*({"id": str(n)} for n in range(before)), wrong]
                with store.transaction(write=True) as transaction:
                    with raises(InvalidId, InvalidRecord, what=f"put of {wrong!r} after {before} records"):
                        transaction.put(THING.name, rows)
                    equal(0, transaction.count(ALL), f"count after the put of {wrong!r}")

    @rule("STORE-16", "The engine's own tables (their names start with `__`) are ordinary tables")
    def test_system_tables_are_ordinary(self, bench: StoreBench) -> None:
        """A table whose name begins with two underscores keeps, finds and deletes records as any other does.

        Why: the queue, the cursors and the lease of the engine live in such tables.
        Look at: names that a store keeps for tables of its own, and columns that it adds to each table.
        """
        own = TableSchema("__own", (Column("version"), Column("key")), indexes=(("key",),))
        store = bench.open(THING, OTHER, own)
        rows: list[Record] = [{"id": "1", "key": "k", "version": None}, {"id": "2", "updated_at": 1}]
        for table in (OTHER.name, own.name):
            put(store, *rows, table=table)
            equal(rows, held(store, Query(table)), f"the records of {table}")
            equal(rows[:1], held(store, Query(table, equals("key", "k"))), f"found in {table}")
        with store.transaction(write=True) as transaction:
            equal(1, transaction.delete(own.name, ["1"]), "delete")
        equal(rows, held(store, Query(OTHER.name)), "the other table")
        equal([], held(store), "the table of the user")

    @rule("STORE-17", "Every name that `TableSchema` takes is a name; two that differ in case are two")
    def test_any_name_of_a_table_is_a_name(self, bench: StoreBench) -> None:
        """Tables may have any legal name: words of SQL, names that differ in case or by `_` alone, 63 characters.

        Why: `order` and `group` are among the commonest names that applications give their tables.
        Look at: names that are not quoted, that ignore case, that a LIKE looks for, or that make up names of files.
        """
        names = (
            "order", "Order", "ORDER", "group", "select", "table", "index", "values", "null", "id", "rowid", "thing",
            "things", "thing_id", "thing__id", "a_b", "aXb", "a", "A", "sqlite_master", "sqlite_x", "main", "temp",
            "con", "__order", "__Order", "__index", "a" * 63, "__" + "a" * 63, "datetime",
        )  # fmt: skip
        tables = [TableSchema(name, (Column("a"),), indexes=(("a",),)) for name in names]
        with works(f"tables with the names {names}, opened twice"):
            store = bench.open(*tables)
            store.close()
            store.open(tables)
        with works(f"tables with the names {names}"), store.transaction(write=True) as transaction:
            for name in names:
                transaction.put(name, [{"id": "1", "a": name}, {"id": name}])
        with store.transaction(write=True) as transaction:
            for name in names:
                equal(
                    [{"id": "1", "a": name}], list(transaction.select(Query(name, equals("a", name)))), name
                )
                equal(2, transaction.count(Query(name)), f"count of {name}")
                equal(1, transaction.delete(name, ["1"]), f"delete in {name}")

    @rule("STORE-18", "A store keeps tables of records")
    def test_many_tables(self, bench: StoreBench) -> None:
        """A store holds 150 tables, opened at once, each with records and indexes of its own.

        Why: the tables of the engine come on top of those of an application, and some applications have many.
        Look at: a fixed number of tables in the options of a driver, and one file or connection per table.
        """
        tables = [TableSchema(f"t{n}", (Column("a"), Column("b")), indexes=(("a",),)) for n in range(150)]
        with works("an open with 150 tables"):
            store = bench.open(*tables)
        with store.transaction(write=True) as transaction:
            for n, table in enumerate(tables):
                transaction.put(table.name, [{"id": "1", "a": n}])
        with store.transaction(write=False) as transaction:
            for n, table in enumerate(tables):
                found = list(transaction.select(Query(table.name, equals("a", n))))
                equal([{"id": "1", "a": n}], found, table.name)
