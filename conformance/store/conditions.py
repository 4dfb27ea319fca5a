"""Rules about what conditions hold."""

from __future__ import annotations

from tidesync.conformance.expect import equal
from tidesync.conformance.rules import rule
from tidesync.conformance.store.asking import ANYWHERE, Case, among, asked, gives, has, is_, no, shown
from tidesync.conformance.store.bench import StoreBench, refill
from tidesync.conformance.store.tables import THING
from tidesync.query import And, Compare, CompareOp, Field, Not, Or, Query, Value
from tidesync.records import INT_MAX, INT_MIN, Json
from tidesync.values import ColumnType


class Conditions:
    """Rules about what conditions hold."""

    @rule("STORE-87", "Kinds of values stay apart: neither equal, nor less, nor greater")
    def test_kinds_stay_apart(self, bench: StoreBench) -> None:
        """A boolean, a number and a text are never equal, nor less nor greater, whatever they look like.

        Why: `where(done=True)` must not find the number 1, nor `where(code=7)` the text "7".
        Look at: booleans kept as 1 and 0; columns that convert; databases that compare text with numbers.
        """
        values: list[Json] = [
            None,
            False,
            True,
            0,
            1,
            1.0,
            7,
            "",
            "0",
            "1",
            "7",
            "true",
            "null",
            [1],
            {"a": 1},
        ]
        cases: list[Case] = [
            (is_("eq", True), [True]), (is_("eq", False), [False]), (is_("eq", 1), [1, 1.0]), (is_("eq", 0), [0]),
            (is_("eq", "1"), ["1"]), (is_("eq", "true"), ["true"]), (is_("eq", "null"), ["null"]), (is_("eq", 7), [7]),
            (is_("ne", 1), [value for value in values if value is True or value not in (1, 1.0)]),
            (is_("lt", True), [False]), (is_("ge", False), [False, True]), (is_("lt", 7), [0, 1, 1.0]),
            (is_("gt", 0), [1, 1.0, 7]), (is_("ge", ""), ["", "0", "1", "7", "true", "null"]),
            (is_("lt", "1"), ["", "0"]),
        ]  # fmt: skip
        asked(bench, values, cases)

    @rule("STORE-88", "Null equals null")
    def test_null_equals_null(self, bench: StoreBench) -> None:
        """`eq null` holds for null and `ne null` for all else; `ne 5` holds for null, too.

        Why: in SQL none of these is so, and records without a date fall out of every list.
        Look at: `=` where the database needs `IS`; `<>` that leaves nulls out.
        """
        values: list[Json] = [None, 5, 6, "", False, 0]
        cases: list[Case] = [
            (is_("eq", None), [None]), (is_("ne", None), [5, 6, "", False, 0]), (is_("ne", 5), [None, 6, "", False, 0]),
            (no(is_("eq", None)), [5, 6, "", False, 0]), (no(is_("ne", 5)), [5]),
            (lambda field: Compare("eq", field, field), values), (lambda field: Compare("ne", field, field), []),
        ]  # fmt: skip
        asked(bench, values, cases)

    @rule("STORE-89", "a field that is missing is null")
    def test_missing_is_null(self, bench: StoreBench) -> None:
        """To a query, a field that a record has not is null.

        Why: records that an older version wrote lack the newest fields, and should be found by what they lack.
        Look at: JSON functions that tell missing from null; an index that has no entry for what is missing.
        """
        store = bench.open()
        one, two, three = bench.ids(3)
        for field in (*ANYWHERE, Field("nowhere"), Field("version")):
            if not bench.domain.legal_values(field.name, [1]) or not bench.domain.legal_values(
                field.name, [None]
            ):
                continue
            refill(store, [{"id": one}, {"id": two, field.name: None}, {"id": three, field.name: 1}])
            with store.transaction(write=False) as transaction:
                for condition, expected in (
                    (is_("eq", None), [one, two]),
                    (is_("ne", None), [three]),
                    (is_("ne", 1), [one, two]),
                    (among(None, "a"), [one, two]),
                    (no(is_("lt", 5)), [one, two]),
                ):
                    where = condition(field)
                    found = [record["id"] for record in transaction.select(Query(THING.name, where))]
                    equal(expected, found, f"where {shown(where)}")

    @rule("STORE-90", "nothing is less or greater than null")
    def test_nothing_is_less_than_null(self, bench: StoreBench) -> None:
        """No ordering comparison holds where one side is null, `le` and `ge` of two nulls included.

        Why: a task without a due date is not overdue.
        Look at: nulls that sort first, and are then taken to be less; `le` made of `not gt`.
        """
        values: list[Json] = [None, -1, 0, 1, "", "a", False, True]
        ordering: tuple[CompareOp, ...] = ("lt", "le", "gt", "ge")
        cases: list[Case] = [(is_(op, None), []) for op in ordering]
        nothing: list[Case] = [
            (lambda field: Compare("le", Value(None), field), []),
            (lambda field: Compare("ge", field, field), values[1:]),
        ]  # fmt: skip
        cases += [
            *nothing, (is_("le", 0), [-1, 0]), (is_("lt", "a"), [""]),
            (is_("le", True), [False, True]), (is_("ge", -1), [-1, 0, 1]),
        ]  # fmt: skip
        asked(bench, values, cases)

    @rule("STORE-91", "Conditions are true or false, nothing between")
    def test_conditions_are_two_valued(self, bench: StoreBench) -> None:
        """`not` of a comparison holds exactly where the comparison does not, for nulls and other kinds, too.

        Why: "not overdue" and "overdue" together should be all tasks.
        Look at: three-valued logic of SQL, in which `NOT (x < 5)` is null where x is null; `not lt` made into `ge`.
        """
        values: list[Json] = [None, 1, 5, 9, "a", True]
        cases: list[Case] = [
            (no(is_("lt", 5)), [None, 5, 9, "a", True]), (no(is_("ge", 5)), [None, 1, "a", True]),
            (no(no(is_("lt", 5))), [1]), (no(among(1, None)), [5, 9, "a", True]),
            (lambda field: And((Not(is_("lt", 5)(field)), Not(is_("gt", 5)(field)))), [None, 5, "a", True]),
            (lambda field: Or((is_("lt", 5)(field), Not(is_("lt", 5)(field)))), values),
            (no(has("contains", "a")), [None, 1, 5, 9, True]),
        ]  # fmt: skip
        asked(bench, values, cases)

    @rule("STORE-92", "Conditions are true or false, nothing between")
    def test_only_true_holds(self, bench: StoreBench) -> None:
        """A field by itself is a condition that holds where it is true: not where it is 1, or a text.

        Why: `where(c.lent)` would find everything that is not empty.
        Look at: truth as the database or the language has it; a number in place of a condition.
        """
        values: list[Json] = [None, True, False, 1, 0, 1.0, "true", "a", "", [1], {"a": 1}]
        cases: list[Case] = [
            (lambda field: field, [True]), (Not, [value for value in values if value is not True]),
            (lambda field: And((field, Value(True))), [True]), (lambda field: Or((field, Value(1))), [True]),
            (lambda _: Value(True), values), (lambda _: Value(1), []), (lambda _: Value(None), []),
        ]  # fmt: skip
        asked(bench, values, cases)

    @rule("STORE-93", "Conditions are true or false, nothing between")
    def test_empty_conditions(self, bench: StoreBench) -> None:
        """`and` of nothing holds for all records, `or` of nothing and `in` nothing for none.

        Why: filters that a program puts together may be empty, and `() or ()` is no SQL.
        Look at: text of a statement that is joined with AND or OR; `IN ()`.
        """
        values: list[Json] = [None, 1, "a"]
        cases: list[Case] = [
            (lambda _: And(()), values), (lambda _: Or(()), []), (lambda _: Not(And(())), []),
            (lambda _: Not(Or(())), values), (among(), []), (no(among()), values),
            (lambda field: And((And(()), is_("eq", 1)(field))), [1]),
            (lambda field: Or((Or(()), is_("eq", 1)(field))), [1]),
        ]  # fmt: skip
        asked(bench, values, cases)

    @rule("STORE-94", "Numbers compare exactly")
    def test_numbers_compare_exactly(self, bench: StoreBench) -> None:
        """Integers and floats compare by what they are: 2**53 + 1 is not 2.0**53, 1 equals 1.0, -0.0 equals 0.

        Why: ids of other systems and times in nanoseconds are integers that no float holds.
        Look at: integers that are made floats to be compared, in the store or in its index.
        """
        big = 2**53
        values: list[Json] = [
            -0.0, 0, 0.0, 5e-324, 0.1, 1, 1.0, big, float(big), big + 1, INT_MAX, 2.0**63, INT_MIN, -(2.0**63),
            0.1 + 0.2,
        ]  # fmt: skip
        cases: list[Case] = [
            (is_("eq", 0), [-0.0, 0, 0.0]), (is_("eq", -0.0), [-0.0, 0, 0.0]), (is_("eq", 1.0), [1, 1.0]),
            (is_("eq", big + 1), [big + 1]), (is_("eq", float(big)), [big, float(big)]),
            (is_("gt", float(big)), [big + 1, INT_MAX, 2.0**63]), (is_("lt", big + 1), [
                -0.0, 0, 0.0, 5e-324, 0.1, 1, 1.0, big, float(big), INT_MIN, -(2.0**63), 0.1 + 0.2]),
            (is_("lt", 0), [INT_MIN, -(2.0**63)]), (is_("eq", -(2.0**63)), [INT_MIN, -(2.0**63)]),
            (is_("ge", 2.0**63), [2.0**63]), (is_("eq", INT_MAX), [INT_MAX]), (is_("eq", 0.3), []),
            (is_("gt", 0.3), [1, 1.0, big, float(big), big + 1, INT_MAX, 2.0**63, 0.1 + 0.2]),
            (among(float(big), 1), [1, 1.0, big, float(big)]), (among(big + 1), [big + 1]),
        ]  # fmt: skip
        asked(bench, values, cases)

    @rule("STORE-95", "Text compares by code point, and every character means itself")
    def test_texts_are_equal_by_character(self, bench: StoreBench) -> None:
        """Texts are equal if every character is: case, composition, trailing spaces and what follows a NUL count.

        Why: who looks for "Anna" should not find "anna", and keys that differ in one character are two keys.
        Look at: collations (NOCASE, RTRIM, locales), normalization, texts that end at a NUL.
        """
        texts: list[Json] = [
            "", " ", "a", "A", "a ", " a", "a\0", "a\0b", "a\0c", "é", "e\u0301", "É", "ß", "ss", "SS", "ﬁ", "fi",
            "\u0131", "i",
            "\u212a", "K", "k", "'", "''", '"', "\\", "%", "_", "?", "*", "\U00010000", "\uffff", "&", "+", "/", ";",
            "--", ":a", "@a", "$a", "#", "a b", "\t", "\n",
        ]  # fmt: skip
        cases: list[Case] = [(is_("eq", text), [text]) for text in texts]
        cases += [(among(text, None), [text]) for text in texts]
        asked(bench, texts, cases, ANYWHERE[1:4])

    @rule("STORE-96", "Text compares by code point, and every character means itself")
    def test_texts_compare_by_code_point(self, bench: StoreBench) -> None:
        """A text is less than another by the code points of their characters, first that differs first.

        Why: pages are read in this order on every device; two orders would leave records out.
        Look at: locales and collations; languages that compare units of UTF-16, where U+10000 is less than U+FFFF.
        """
        texts: list[Json] = [
            "", "\0", "\0\0", "\0a", "A", "Z", "a", "a\0", "a b", "ab", "b", "É", "é", "\ud7ff", "\ue000", "\uffff",
            "\U00010000", "\U00010000a", "\U0010ffff",
        ]  # fmt: skip
        cases: list[Case] = []
        for place, text in enumerate(texts):
            cases += [(is_("lt", text), texts[:place]), (is_("ge", text), texts[place:])]
        cases += [(is_("le", "b"), texts[:11]), (is_("gt", "\uffff"), texts[16:])]
        asked(bench, texts, cases, ANYWHERE[1:4])

    @rule("STORE-97", "every character means itself")
    def test_wildcards_mean_themselves(self, bench: StoreBench) -> None:
        """`contains`, `startswith` and `endswith` look for their text as it is: `%`, `_` and `*` are characters.

        Why: who searches for "50%" should not find "500".
        Look at: LIKE and GLOB with text that is not escaped, or escaped with a character that is not.
        """
        texts: list[Json] = [
            "50% off",
            "500 off",
            "a_b",
            "axb",
            "%",
            "_",
            "*",
            "?",
            "a*b",
            "[a]",
            "\\",
            "a\\%b",
            "",
            "'",
            "a\0b",
            "^",
        ]
        parts = (
            "%",
            "_",
            "*",
            "?",
            "[",
            "[a]",
            "\\",
            "\\%",
            "0%",
            "a_",
            "a*",
            "",
            "'",
            "\0",
            "a\0",
            "\0b",
            "^",
            ".",
            "off",
        )
        cases: list[Case] = []
        for part in parts:
            cases += [
                (has("contains", part), [text for text in texts if part in str(text)]),
                (has("startswith", part), [text for text in texts if str(text).startswith(part)]),
                (has("endswith", part), [text for text in texts if str(text).endswith(part)]),
            ]
        asked(bench, texts, cases, (Field("text", ColumnType.STRING), Field("extra")))

    @rule("STORE-98", "Functions and arithmetic give null for what they cannot take")
    def test_only_text_contains_text(self, bench: StoreBench) -> None:
        """`contains` and its like count case, and hold for no number, list or null, whatever those look like.

        Why: a search for "5" finds notes, not amounts; `not contains` is then true of them.
        Look at: LIKE, which ignores the case of ASCII letters; values that the database turns into text.
        """
        values: list[Json] = [None, 5, 5.5, True, "5", "x5", "Milk", "milk", "É", "é", ["5"], {"5": 5}]
        cases: list[Case] = [
            (has("contains", "5"), ["5", "x5"]), (has("startswith", "5"), ["5"]), (has("endswith", "5"), ["5", "x5"]),
            (has("contains", "milk"), ["milk"]), (has("startswith", "M"), ["Milk"]), (has("endswith", "ILK"), []),
            (has("contains", "é"), ["é"]), (has("contains", ""), ["5", "x5", "Milk", "milk", "É", "é"]),
            (has("contains", 5), []), (has("contains", None), []), (no(has("contains", 5)), values),
            (gives(has("contains", 5), False), values), (gives(has("startswith", "5"), True), ["5"]),
        ]  # fmt: skip
        asked(bench, values, cases)

    @rule("STORE-99", "A structure equals nothing")
    def test_structures_equal_nothing(self, bench: StoreBench) -> None:
        """A list or an object equals nothing, itself included, and is neither less nor greater.

        Why: the same object may be written in two ways, and no two stores would agree.
        Look at: JSON text that is compared as text; a text that looks like JSON, and is none.
        """
        values: list[Json] = [[], [1], {}, {"a": 1}, "[1]", "{}", None]
        every: tuple[CompareOp, ...] = ("eq", "lt", "le", "gt", "ge")
        same: Case = (lambda field: Compare("eq", field, field), ["[1]", "{}", None])
        cases: list[Case] = [(is_(op, value), []) for op in every for value in ([1], {}, {"a": 1})]
        cases += [
            (is_("ne", [1]), values), (among([1], {}, "[1]"), ["[1]"]), (is_("eq", "[1]"), ["[1]"]),
            same, (is_("ge", ""), ["[1]", "{}"]),
        ]  # fmt: skip
        asked(bench, values, cases)

    @rule("STORE-100", "Kinds of values stay apart")
    def test_in_is_equality(self, bench: StoreBench) -> None:
        """`in` holds where one of its values is equal: null among them finds null, true does not find 1.

        Why: it is how several records are asked for at once, ids or states or both.
        Look at: `IN (NULL)` of SQL; a set of Python, in which 1 and True are one; constants bound by one type.
        """
        values: list[Json] = [None, True, False, 1, 1.0, 0, "1", "a", "A", "", [1], 2**53 + 1]
        cases: list[Case] = [
            (among(None), [None]), (among(True), [True]), (among(1), [1, 1.0]), (among("1"), ["1"]),
            (among(True, 0), [True, 0]), (among(1, False), [False, 1, 1.0]),
            (among(1, True, False, 0), values[1:6]), (among("a", None, 5), [None, "a"]),
            (among(float(2**53)), []), (among(2**53 + 1, ""), ["", 2**53 + 1]), (among([1], {}), []),
            (no(among(None, 1, "a")), [True, False, 0, "1", "A", "", [1], 2**53 + 1]), (among("a", "a", "a"), ["a"]),
        ]  # fmt: skip
        asked(bench, values, cases)
