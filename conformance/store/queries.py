"""Rules about what a query selects: its order, which part of it, and how large it may be."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tidesync.conformance import oracle
from tidesync.conformance.expect import equal, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.asking import ANYWHERE, Rows, shown, told
from tidesync.conformance.store.bench import StoreBench, held, put, refill
from tidesync.conformance.store.tables import THING
from tidesync.contracts.store import Store
from tidesync.errors import InvalidQuery
from tidesync.query import (
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    Field,
    In,
    Not,
    Or,
    Order,
    Query,
    Value,
    equals,
)
from tidesync.records import Json, Record
from tidesync.values import ColumnType

ANY: Final = Field("any")
NUMBER: Final = Field("number", ColumnType.INTEGER)
TEXT: Final = Field("text", ColumnType.STRING)
_AT_ONCE: Final = 4
"""Queries that a property asks of the same records."""


def filled(bench: StoreBench, field: str, values: Sequence[Json]) -> tuple[Store, Rows]:
    """A store whose records hold these values in the field, those that are legal, and the records."""
    legal = bench.domain.legal_values(field, values)
    rows: Rows = [{"id": id, field: value} for id, value in zip(bench.ids(len(legal)), legal, strict=True)]
    return bench.filled(*rows), rows


def by(*keys: Expr, descending: bool = False) -> tuple[Order, ...]:
    """An order by these keys."""
    return tuple(Order(key, descending) for key in keys)


class Queries:
    """Rules about what a query selects."""

    @rule("STORE-110", "ties by id")
    def test_no_order_is_by_id(self, bench: StoreBench) -> None:
        """Without an order, records come by id, in the order of its code points, however they were put.

        Why: pages are cut from it; records that change places between two pages are missed.
        Look at: the order of insertion, of a hash, or of a locale; ids compared in units of UTF-16.
        """
        ids = [
            "b",
            "a",
            "B",
            "10",
            "9",
            "é",
            "e\u0301",
            "z",
            "\U00010000",
            "\uffff",
            "a\0",
            "a b",
            "ab",
            "Z",
            "_",
            "~",
        ]
        store = bench.open()
        legal = bench.domain.legal_ids([*ids, *bench.ids(3)[::-1]])
        for id in legal:
            put(store, {"id": id})
        rows: Rows = [{"id": id} for id in sorted(legal)]
        put(store, *rows[::2])
        equal(rows, held(store), "everything")
        equal(rows[2:5], held(store, Query(THING.name, skip=2, take=3)), "skip 2, take 3")

    @rule("STORE-111", "Sorted are nulls, booleans, numbers, texts, structures")
    def test_kinds_sort_apart(self, bench: StoreBench) -> None:
        """Sorted by a field come nulls, false and true, numbers, texts, lists and objects, in a column of any type.

        Why: two devices that show a list must show it in one order, whatever is in it.
        Look at: nulls last; booleans among numbers; columns whose type sorts differently; an index in another order.
        """
        values: list[Json] = [
            "b", True, 2**53 + 1, None, [2], "", 1.5, False, -1, {"a": 1}, "\U00010000", 2.0**53, "\uffff", 10, "a\0",
            9, "a", "B", -0.5, 5e-324, 0, [], "10",
        ]  # fmt: skip
        sorted_: list[Json] = [
            None, False, True, -1, -0.5, 0, 5e-324, 1.5, 9, 10, 2.0**53, 2**53 + 1, "", "10", "B", "a", "a\0", "b",
            "\uffff", "\U00010000", [2], {"a": 1}, [],
        ]  # fmt: skip
        for field in (*ANYWHERE, Field("flag", ColumnType.BOOLEAN), Field("ratio", ColumnType.FLOAT)):
            store, _ = filled(bench, field.name, values)
            refill(store, filled(bench, field.name, values)[1])
            found = [row[field.name] for row in held(store, Query(THING.name, order=by(field)))]
            equal(bench.domain.legal_values(field.name, sorted_), found, f"by {shown(field)}")
            bench.close()

    @rule("STORE-112", "Sorted are nulls, booleans, numbers, texts, structures, and ties by id")
    def test_descending_turns_all_round(self, bench: StoreBench) -> None:
        """Descending, all of the order is turned round, nulls come last; ties still go by id, ascending.

        Why: "newest first" is the order of most lists.
        Look at: nulls that stay first; ties that are turned round with the rest.
        """
        values: list[Json] = [None, 1, "a", True, 1.0, None, "b", 0, [1], False, "a"]
        store, rows = filled(bench, "any", values)
        kinds = (list, str, float, int, bool, type(None))
        expected: Rows = []
        for kind in kinds:
            if kind is not float:
                expected += sorted(
                    (
                        row
                        for row in rows
                        if type(row["any"]) is kind or (kind is int and type(row["any"]) is float)
                    ),
                    key=lambda row: _downwards(row["any"]),
                )
        equal(expected, held(store, Query(THING.name, order=by(ANY, descending=True))), "by any, descending")

    @rule("STORE-113", "ties by id")
    def test_ties_go_by_id(self, bench: StoreBench) -> None:
        """Records whose keys are equal come by id: 1 and 1.0, null and missing, two lists, the same text.

        Why: a second page must go on where the first ended.
        Look at: the order of insertion; keys that are equal to a query, and not to the index.
        """
        ids = bench.ids(12)
        contents: list[Record] = [
            {"any": 1.0}, {}, {"any": [2]}, {"any": 1}, {"any": None}, {"any": {"a": 1}}, {"any": 0.0}, {"any": "x"},
            {"any": -0.0}, {"any": [1]}, {"any": "x"}, {"any": 0},
        ]  # fmt: skip
        rows: Rows = [{"id": id, **content} for id, content in zip(ids, contents, strict=True)]
        if not all(map(bench.domain.legal, rows)):
            return
        store = bench.open()
        put(store, *rows[::-1])
        places = (1, 4, 6, 8, 11, 0, 3, 7, 10, 2, 5, 9)
        equal([rows[place] for place in places], held(store, Query(THING.name, order=by(ANY))), "by any")
        paged = [row for skip in range(12) for row in held(store, Query(THING.name, None, by(ANY), skip, 1))]
        equal([rows[place] for place in places], paged, "by any, one at a time")
        equal(
            rows,
            held(store, Query(THING.name, order=by(Value(1), Field("nowhere")))),
            "by what is equal in all",
        )

    @rule("STORE-114", "A query means what `tidesync.predicate` says")
    def test_orders_have_several_keys(self, bench: StoreBench) -> None:
        """The second key sorts what the first leaves equal, each key ascending or descending, fields or computed.

        Why: by list, then the newest first.
        Look at: all keys in one direction; keys in the wrong turn; an index used for the half of the order.
        """
        rows: Rows = [
            {"id": id, "text": "ab"[n % 2], "number": n % 3, "ratio": float(n)}
            for n, id in enumerate(bench.ids(12))
        ]
        store = bench.filled(*rows)
        length, third = Call("length", (TEXT,)), Arithmetic("mod", Field("ratio"), Value(4))
        for order in (
            by(TEXT, NUMBER), by(NUMBER, TEXT), by(TEXT, NUMBER, descending=True),
            (Order(TEXT), Order(NUMBER, descending=True)), (Order(TEXT, descending=True), Order(NUMBER)),
            (Order(TEXT, descending=True), Order(Field("id"), descending=True)), by(length, third),
            by(TEXT, TEXT, NUMBER), (Order(third, descending=True), Order(TEXT)),
            by(Compare("eq", NUMBER, Value(1)), TEXT), by(Field("id"), TEXT),
        ):  # fmt: skip
            query = Query(THING.name, order=order)
            equal(oracle.select(query, rows), held(store, query), told(query))

    @rule("STORE-115", "The records of the query, in its order")
    def test_skip_and_take(self, bench: StoreBench) -> None:
        """Skip and take cut the sorted records: take 0 gives none, skip beyond the end none, take beyond it the rest.

        Why: every list that is longer than a screen is read so.
        Look at: take 0 taken for no take; take before skip; a limit that is applied before the order or the condition.
        """
        rows: Rows = [{"id": id, "number": -n} for n, id in enumerate(bench.ids(6))]
        store = bench.filled(*rows)
        few = Compare("le", NUMBER, Value(-2))
        for where, order in itertools.product((None, few), ((), by(NUMBER), by(Field("extra"), NUMBER))):
            matching = rows if where is None else rows[2:]
            in_order = matching[::-1] if order else matching
            for skip, take in itertools.product((0, 1, 4, 6, 7, 2**40), (None, 0, 1, 3, 6, 2**40, 2**63 - 1)):
                query = Query(THING.name, where, order, skip, take)
                equal(in_order[skip:][:take], held(store, query), told(query))

    @rule("STORE-116", "The records of the query, in its order")
    def test_fields_come_with_the_id(self, bench: StoreBench) -> None:
        """A query for some fields gives these and the id, and leaves out what a record has not.

        Why: lists show two columns of twenty; an update of such a record must not take nulls for what it never saw.
        Look at: null for what is missing; the id left out; the order or the condition cut to the fields, too.
        """
        one, two = bench.ids(2)
        rows: Rows = [
            {"id": one, "text": "a", "flag": None, "extra": [1], "tree": {"a": 1}, "a.b": 1, "version": "v"},
            {"id": two, "number": 2, "any": -0.0},
        ]
        rows = [bench.domain.trimmed(row) for row in rows]
        store = bench.filled(*rows)
        for fields in (
            (), ("id",), ("flag", "number", "id"), ("extra", "tree", "nowhere"), ("a.b", "a"), ("any", "any"),
            ("version",), ("TEXT", "Text"), ("text",), ("__rest",), ("",),
            ("a.b", "extra", "text", "tree", "flag", "version", "number", "any"),
        ):  # fmt: skip
            expected: Rows = [{key: row[key] for key in row if key in ("id", *fields)} for row in rows]
            for where, order in itertools.product((None, Not(equals("number", 7))), ((), by(Field("extra")))):
                query = Query(THING.name, where, order, fields=fields)
                equal(oracle.select(query, rows) if order else expected, held(store, query), told(query))

    @rule("STORE-117", "A field may have any such text as its name")
    def test_undeclared_fields_are_queried(self, bench: StoreBench) -> None:
        """A field that nobody declared is compared, sorted and given like any other, whatever its name is.

        Why: applications find records by what a remote added to them.
        Look at: names that are pasted into SQL or a JSON path ("a.b", "$"); names that differ in case from a column's.
        """
        names = (
            "extra", "a.b", "$.a", "$", "[0]", '"', "'", "`", "]", "", " ", "Text", "TEXT", "é", "e\u0301", "\0",
            "order", "rowid", "__rest", "a\\", "?", ":a", "\U00010000", "x" * 300, "created_at",
        )  # fmt: skip
        one, two, three, four = bench.ids(4)
        store = bench.open()
        for name in names:
            if len(bench.domain.legal_values(name, (1, 2))) < 2:
                continue
            refill(
                store,
                [
                    {"id": one, name: 2},
                    {"id": two, name: 1},
                    {"id": three},
                    {"id": four, "a": {"b": 1}, "text": "1"},
                ],
            )
            field = Field(name)
            for query, expected in (
                (Query(THING.name, Compare("eq", field, Value(1))), [two]),
                (Query(THING.name, Compare("gt", field, Value(0)), by(field)), [two, one]),
                (Query(THING.name, Compare("eq", field, Value(None))), [three, four]),
                (Query(THING.name, In(field, (2, "1"))), [one]),
                (Query(THING.name, order=by(field, descending=True), take=1), [one]),
            ):
                equal(expected, [row["id"] for row in held(store, query)], told(query))

    @rule("STORE-118", "A condition may have any number of constants and parts")
    def test_in_takes_any_number_of_constants(self, bench: StoreBench) -> None:
        """`in` takes 40,000 constants of mixed kinds, in columns of any type, in an undeclared field, and in the id.

        Why: records are asked for by lists of ids that the user's program made.
        Look at: limits of parameters (999 or 32,766 in SQLite), of the length of a statement, of its depth.
        """
        ids = bench.ids(40)
        rows: Rows = [
            {"id": id, "number": n, "text": f"{n}", "extra": n, "flag": n % 2 == 0, "price": f"{n}"}
            for n, id in enumerate(ids)
        ]
        rows = [bench.domain.trimmed(row) for row in rows]
        store = bench.filled(*rows)
        for size in (0, 1, 998, 1_000, 32_767, 40_000):
            # Some of those that are there come first and some last, whichever end of a long list is cut.
            some = (*range(25, 10 + size), *range(10, min(25, 10 + size)))
            wanted = rows[10 : 10 + size]
            asked: tuple[tuple[str, tuple[Json, ...]], ...] = (
                ("number", (*some, True, "20", None)), ("text", (*map(str, some), 20, None)),
                ("extra", (*some, True, "20")),
                ("id", (*ids[25 : 10 + size], *(f"none-{n}" for n in some), *ids[10 : min(25, 10 + size)])),
            )  # fmt: skip
            for name, constants in asked:
                query = Query(THING.name, In(Field(name), constants))
                equal(wanted, held(store, query), f"in {len(constants)} constants, for {name}")
        no = Query(THING.name, Not(In(NUMBER, tuple(range(10, 40_010)))))
        equal(rows[:10], held(store, no), "not in 40,000 constants")
        flags, prices = (*range(40_000), True), tuple(f"{n}.0" for n in (*range(20, 40_000), 5))
        price = Field("price", ColumnType.DECIMAL)
        priced = [row for n, row in enumerate(rows) if "price" in row and (n == 5 or n >= 20)]
        for where, wanted in (
            (In(Field("flag"), flags), [row for row in rows if row.get("flag") is True]),
            (In(price, prices), priced),
        ):
            equal(wanted, held(store, Query(THING.name, where)), f"{shown(where)}, 40,000 of them")

    @rule("STORE-119", "A condition may have any number of constants and parts")
    def test_conditions_may_be_wide(self, bench: StoreBench) -> None:
        """`and` and `or` take 5,000 parts, and several levels of them.

        Why: filters are put together by programs.
        Look at: limits of the depth of an expression (1,000 in SQLite), which a chain of ANDs reaches; of parameters.
        """
        rows: Rows = [{"id": id, "number": n, "extra": n} for n, id in enumerate(bench.ids(8))]
        store = bench.filled(*rows)
        for field, size in ((NUMBER, 5_000), (Field("extra"), 1_100)):
            parts = tuple(Compare("eq", field, Value(n)) for n in (*range(6, 5 + size), 5))
            for where, expected in (
                (Or(parts), rows[5:]),
                (And(tuple(Not(part) for part in parts)), rows[:5]),
                (Not(Or((And(parts[:500]), *parts[1:]))), [*rows[:5], rows[6]]),
            ):
                found = held(store, Query(THING.name, where))
                equal(expected, found, f"{type(where).__name__} of {size} parts, for {field.name}")

    @rule("STORE-120", "one that is nested too deeply for the store is `InvalidQuery`")
    def test_conditions_may_be_deep(self, bench: StoreBench) -> None:
        """A condition 50 levels deep works; one 5,000 deep does, or is `InvalidQuery`, and the next query works.

        Why: recursion without a limit ends the process, and an error of the driver is caught by nobody.
        Look at: `RecursionError`, and limits of the parser; a transaction that is over after such an error.
        """
        (id,) = bench.ids(1)
        rows: Rows = [{"id": id}]
        store = bench.filled(*rows)

        def deep(levels: int) -> Query:
            where: Expr = Not(equals("text", "a"))
            for level in range(levels):
                where = (Not(where), And((where, Value(True))), Or((Value(False), where)))[level % 3]
            return Query(THING.name, where)

        for levels in (10, 50):
            query = deep(levels)
            with store.transaction(write=True) as transaction, works(f"a condition {levels} deep"):
                equal(
                    oracle.select(query, rows), list(transaction.select(query)), f"a condition {levels} deep"
                )
        where: Expr = Not(equals("text", "a"))
        for _ in range(5_000):
            where = Not(where)
        query = Query(THING.name, And((where, Value(False))))
        with store.transaction(write=True) as transaction:
            with works("select of a condition 5,000 deep"), suppress(InvalidQuery):
                equal([], list(transaction.select(query)), "select of a condition 5,000 deep")
            with works("count of a condition 5,000 deep"), suppress(InvalidQuery):
                equal(0, transaction.count(query), "count of a condition 5,000 deep")
            with works("delete_where of a condition 5,000 deep"), suppress(InvalidQuery):
                equal(0, transaction.delete_where(query), "delete_where of a condition 5,000 deep")
            with works("count after conditions that were too deep"):
                equal(1, transaction.count(Query(THING.name)), "count after conditions that were too deep")


def _downwards(value: Json) -> float:
    """A key that sorts values of one kind from the last to the first."""
    if isinstance(value, str):
        return -ord(value)
    return -float(value) if isinstance(value, int | float) else 0.0
