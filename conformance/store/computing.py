"""Rules about what is computed in a query: decimals, dates, arithmetic, rounding, and functions of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidesync.conformance.expect import equal
from tidesync.conformance.rules import rule
from tidesync.conformance.store.asking import Case, among, asked, gives, has, is_, no, of, to
from tidesync.conformance.store.bench import StoreBench, refill
from tidesync.conformance.store.tables import THING
from tidesync.query import Arithmetic, Call, Compare, Field, Function, Negate, Order, Query, Value
from tidesync.records import INT_MAX, INT_MIN, Json
from tidesync.values import ColumnType

PRICE: Final = (Field("price", ColumnType.DECIMAL), Field("extra", ColumnType.DECIMAL))
"""A column that is declared to hold decimals, and a field that a query takes for one."""
NUMBERS: Final = (
    Field("number", ColumnType.INTEGER), Field("ratio", ColumnType.FLOAT), Field("any"), Field("extra"),
)  # fmt: skip
TEXT: Final = (Field("text", ColumnType.STRING), Field("any"), Field("extra"))


def table_of(function: Function, answers: Sequence[tuple[Json, Json]]) -> list[Case]:
    """A case for each answer that a function gives: it is given for these of the values, and for no others."""
    cases: list[Case] = []
    for _, answer in answers:
        wanted = [value for value, each in answers if type(each) is type(answer) and each == answer]
        cases.append((gives(of(function), answer), wanted))
    return cases


class Computing:
    """Rules about what is computed in a query."""

    @rule("STORE-101", "the text of a DECIMAL is a number")
    def test_decimals_compare_by_number(self, bench: StoreBench) -> None:
        """A decimal is compared and sorted as the number that its text is, digit for digit: 1.50 equals 1.5.

        Why: prices are kept as text so that no cent is lost, and they are prices all the same.
        Look at: decimals compared as text, or made floats; text that is no number, which counts as null.
        """
        values: list[Json] = [
            None, "x", "NaN", "Infinity", "-2", "-0", "0.10", "1.5", "1.50", "1.500000000000000000000000000001", "9",
            "10", "1E+1", "9007199254740993", "123456789012345678901234567890.1", 10, 1.5, "", True,
        ]  # fmt: skip
        tenths = Value("0.3", ColumnType.DECIMAL)
        one_and_a_half: list[Json] = ["1.5", "1.50", 1.5]
        rounded: list[Json] = ["1.5", "1.50", values[9], 1.5]
        ten: list[Json] = ["10", "1E+1", 10]
        above: list[Json] = ["9007199254740993", "123456789012345678901234567890.1"]
        cases: list[Case] = [
            (is_("eq", "1.5"), one_and_a_half), (is_("eq", 1.5, ColumnType.ANY), one_and_a_half),
            (is_("eq", "10.0"), ten),
            (is_("gt", "9"), [*ten[:2], *above, 10]), (is_("lt", "0"), ["-2"]), (is_("eq", "0"), ["-0"]),
            (is_("lt", "1.5"), ["-2", "-0", "0.10"]), (is_("eq", "0.1"), ["0.10"]), (among("10", "1.500"), [
                "1.5", "1.50", "10", "1E+1", 10, 1.5]),
            (is_("eq", None), [None, "x", "NaN", "Infinity", "", True]), (is_("gt", 2.0**53, ColumnType.ANY), above),
            (is_("ge", "123456789012345678901234567890.2"), []),
            (no(is_("ge", "-2")), [None, "x", "NaN", "Infinity", "", True]),
            (lambda field: Compare("eq", Arithmetic("add", field, Value("0.2", field.type)), tenths), ["0.10"]),
            (lambda field: Compare("eq", Negate(field), Value(-10)), ten),
            (lambda field: Compare("eq", Call("round", (field,)), Value(2)), rounded),
            (lambda field: Compare("eq", Call("floor", (Negate(field),)), Value(-2)), rounded),
        ]  # fmt: skip
        asked(bench, values, cases, PRICE)
        as_text: list[Case] = [
            (is_("eq", "1.5"), ["1.5"]),
            (is_("gt", "9"), ["x", "NaN", "Infinity", above[0]]),
        ]
        asked(bench, values, as_text, (Field("any"), Field("text", ColumnType.STRING)))

    @rule("STORE-102", "the text of a DECIMAL is a number")
    def test_decimals_sort_by_number(self, bench: StoreBench) -> None:
        """Sorted by a decimal, 9 comes before 10, and text that is no number comes first, with the nulls.

        Why: a list by price is read by price.
        Look at: decimals that are sorted as text, or by an index on their text.
        """
        texts: list[Json] = ["10", "9.99", "-1", "9", "1E+3", "0.1", "nothing", None]
        store = bench.open()
        for field in PRICE:
            legal = bench.domain.legal_values(field.name, texts)
            refill(
                store,
                [{"id": id, field.name: text} for id, text in zip(bench.ids(len(legal)), legal, strict=True)],
            )
            with store.transaction(write=False) as transaction:
                query = Query(THING.name, order=(Order(field),))
                found = [record[field.name] for record in transaction.select(query)]
            expected = bench.domain.legal_values(
                field.name, ["nothing", None, "-1", "0.1", "9", "9.99", "10", "1E+3"]
            )
            equal(expected, found, f"sorted by decimal({field.name})")

    @rule("STORE-103", "A query means what `tidesync.predicate` says")
    def test_datetimes_compare(self, bench: StoreBench) -> None:
        """Datetimes are earlier and later by their text, before 1970 and before 1000, too.

        Why: "what is due before tomorrow" is the commonest of queries.
        Look at: times that are made numbers of seconds, and lose microseconds or what was before 1970.
        """
        texts: list[Json] = [
            "0001-01-01T00:00:00.000000Z", "0999-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.000000Z",
            "2026-11-20T03:45:05.507000Z", "2026-11-20T03:45:05.507001Z", "9999-12-31T23:59:59.999999Z",
        ]  # fmt: skip
        cases: list[Case] = []
        for place, text in enumerate(texts):
            cases += [
                (is_("lt", text), texts[:place]),
                (is_("eq", text), [text]),
                (is_("gt", text), texts[place + 1 :]),
            ]
        asked(bench, texts, cases, (Field("at", ColumnType.DATETIME), Field("any"), Field("extra")))

    @rule("STORE-104", "Functions and arithmetic give null for what they cannot take")
    def test_parts_of_dates(self, bench: StoreBench) -> None:
        """`year` to `second` give the digits of dates, times and datetimes, and null for what has no such part.

        Why: reports are made by month, in UTC, on every device alike.
        Look at: time zones of the machine; dates before 1970; functions of the database that guess at any text.
        """
        moment, day, clock, old = (
            "2026-11-20T03:45:05.507000Z",
            "2024-02-29",
            "23:59:58.000001",
            "0001-01-01T00:00:00.000000Z",
        )
        others: list[Json] = [
            None,
            "",
            "2026",
            "20:17",
            "2026-11-20 03:45:05",
            "11/20/2026",
            "yesterday",
            2026,
            1.5,
            True,
            [day],
        ]
        values: list[Json] = [moment, day, clock, old, *others]
        parts: dict[Function, tuple[int | None, ...]] = {
            "year": (2026, 2024, None, 1), "month": (11, 2, None, 1), "day": (20, 29, None, 1),
            "hour": (3, None, 23, 0), "minute": (45, None, 59, 0), "second": (5, None, 58, 0),
        }  # fmt: skip
        cases: list[Case] = []
        for part, numbers in parts.items():
            for value, number in zip(values, numbers, strict=False):
                if number is not None:
                    alike = [each for each, other in zip(values, numbers, strict=False) if other == number]
                    cases.append((gives(of(part), number), alike))
                    equal(True, value in alike)
            without = [value for value, number in zip(values, numbers, strict=False) if number is None]
            cases.append((gives(of(part), None), [*without, *others]))
        asked(bench, values, cases, (Field("at", ColumnType.DATETIME), Field("any"), Field("extra")))

    @rule("STORE-105", "Functions and arithmetic give null for what they cannot take")
    def test_arithmetic(self, bench: StoreBench) -> None:
        """Numbers are added, subtracted, multiplied and divided; `div` of integers is no integer division.

        Why: `pages / 100 > 1.5` finds books of 160 pages.
        Look at: integer division; integers beyond 64 bits, which are floats; booleans and text, which are null.
        """
        values: list[Json] = [None, True, "7", [1], 7, -7, 7.5, 0, 0.1, INT_MAX, INT_MIN]
        no_number = [None, True, "7", [1]]
        cases: list[Case] = [
            (gives(to("add", 1), 8), [7]), (gives(to("sub", 1), -8), [-7]), (gives(to("mul", 2), 15), [7.5]),
            (gives(to("div", 2), 3.5), [7]), (gives(to("div", 2), -3.5), [-7]), (gives(to("mul", 0), 0), values[4:]),
            (gives(to("add", 0.2), 0.1 + 0.2), [0.1]), (gives(to("add", 1), 2.0**63), [INT_MAX]),
            (gives(to("sub", 1), -(2.0**63)), [INT_MIN]), (gives(to("mul", 4), 2.0**65), [INT_MAX]),
            (gives(to("add", 1), None), no_number), (gives(to("mul", None), None), values),
            (gives(to("add", "1"), None), values), (gives(to("sub", True), None), values),
            (gives(Negate, -7), [7]), (gives(Negate, None), no_number),
            (gives(Negate, 2.0**63), [INT_MIN]),
            (lambda field: Compare("gt", Arithmetic("add", field, Value(1)), Value(7.5)), [7, 7.5, INT_MAX]),
        ]  # fmt: skip
        asked(bench, values, cases, NUMBERS)

    @rule("STORE-106", "Functions and arithmetic give null for what they cannot take")
    def test_division_by_zero_is_null(self, bench: StoreBench) -> None:
        """A division or a remainder by zero is null, and so is what is no finite number: no error.

        Why: one record with nothing in it must not make every search fail.
        Look at: databases that raise an error, or have infinities; `x / 0` that holds as if it were true.
        """
        values: list[Json] = [None, 0, 0.0, -0.0, 5, 1e308, "0"]
        cases: list[Case] = [(gives(to("div", zero), None), values) for zero in (0, 0.0, -0.0)]
        cases += [(gives(to("mod", zero), None), values) for zero in (0, 0.0, -0.0)]
        by_field: list[Case] = [
            (
                lambda field: Compare("eq", Arithmetic("div", Value(10), field), Value(None)),
                [None, 0, 0.0, -0.0, "0"],
            ),
            (lambda field: Compare("gt", Arithmetic("div", Value(10), field), Value(0)), [5, 1e308]),
        ]
        cases += [
            *by_field,
            (gives(to("mul", 1e10), None), [None, 1e308, "0"]), (gives(to("add", 1e308), None), [None, 1e308, "0"]),
        ]  # fmt: skip
        asked(bench, values, cases, NUMBERS)

    @rule("STORE-107", "Functions and arithmetic give null for what they cannot take")
    def test_remainders_have_the_sign_of_the_left(self, bench: StoreBench) -> None:
        """`mod` has the sign of its left side, for integers and floats: -7 mod 3 is -1.

        Why: an application in another language computes it so, and so do remotes.
        Look at: Python's `%`, whose remainder has the sign of the right side; integers that pass through floats.
        """
        values: list[Json] = [7, -7, 7.5, -7.5, 6, INT_MAX, INT_MIN]
        cases: list[Case] = [
            (gives(to("mod", 3), 1), [7, INT_MAX]), (gives(to("mod", 3), -1), [-7]),
            (gives(to("mod", -3), 1), [7, INT_MAX]),
            (gives(to("mod", -3), -1), [-7]), (gives(to("mod", 2), 1.5), [7.5]), (gives(to("mod", 2), -1.5), [-7.5]),
            (gives(to("mod", 3), 0), [6]), (gives(to("mod", 10), 7), [7, INT_MAX]),
            (gives(to("mod", 10), -8), [INT_MIN]),
            (gives(to("mod", -1), 0), [7, -7, 6, INT_MAX, INT_MIN]), (gives(to("mod", 2.5), 1), [6]),
        ]  # fmt: skip
        asked(bench, values, cases, NUMBERS)

    @rule("STORE-108", "Functions and arithmetic give null for what they cannot take")
    def test_rounding(self, bench: StoreBench) -> None:
        """`round` rounds halves away from zero, `floor` goes down and `ceiling` up, below zero, too.

        Why: three languages round halves in three ways, and a total would differ by one.
        Look at: Python's `round`, which goes to the even neighbour; `int()`, which cuts; adding 0.5.
        """
        values: list[Json] = [
            1.5,
            2.5,
            -1.5,
            -2.5,
            0.49999999999999994,
            -0.09,
            -1.09,
            1.09,
            7,
            1e300,
            INT_MAX,
            None,
            "1.5",
            True,
        ]
        rounded: list[Json] = [2, 3, -2, -3, 0, 0, -1, 1, 7, 1e300, INT_MAX, None, None, None]
        floors: list[Json] = [1, 2, -2, -3, 0, -1, -2, 1, 7, 1e300, INT_MAX, None, None, None]
        ceilings: list[Json] = [2, 3, -1, -2, 1, 0, -1, 2, 7, 1e300, INT_MAX, None, None, None]
        cases: list[Case] = []
        answers: dict[Function, list[Json]] = {"round": rounded, "floor": floors, "ceiling": ceilings}
        for function, found in answers.items():
            cases += table_of(function, list(zip(values, found, strict=True)))
        asked(bench, values, cases, NUMBERS)

    @rule("STORE-109", "A query means what `tidesync.predicate` says")
    def test_functions_of_text(self, bench: StoreBench) -> None:
        """`lower` and `upper` know all letters, `length` counts code points, `trim` takes all white space.

        Why: names are not written in ASCII.
        Look at: functions of the database that know ASCII only; lengths in bytes or in units of UTF-16; texts with NUL.
        """
        values: list[Json] = [
            "ÀÉ",
            "straße",
            " a b\t\n",
            "\u3000x\u3000",
            "\U0001f600e\u0301",
            "\0a\0",
            "",
            None,
            5,
            True,
            ["a"],
            "İ",
        ]
        no_text: list[Json] = [None, 5, True, ["a"]]
        cases: list[Case] = [
            (gives(of("lower"), "àé"), ["ÀÉ"]), (gives(of("upper"), "STRASSE"), ["straße"]),
            (gives(of("lower"), "i\u0307"), ["İ"]),
            (gives(of("trim"), "a b"), [" a b\t\n"]), (gives(of("trim"), "x"), ["\u3000x\u3000"]),
            (gives(of("trim"), "\0a\0"), ["\0a\0"]),
            (gives(of("length"), 3), ["\u3000x\u3000", "\U0001f600e\u0301", "\0a\0"]),
            (gives(of("length"), 0), [""]), (gives(of("length"), 1), ["İ"]), (gives(of("length"), 2), ["ÀÉ"]),
            *((gives(of(each), None), no_text) for each in ("lower", "upper", "length", "trim")),
            (gives(has("concat", "!"), "ÀÉ!"), ["ÀÉ"]), (gives(has("concat", "\0"), "\0"), [""]),
            (gives(has("concat", "!"), None), no_text), (gives(has("concat", None), None), values),
            (lambda field: Call("startswith", (Call("lower", (field,)), Value("str"))), ["straße"]),
        ]  # fmt: skip
        asked(bench, values, cases, TEXT)
