"""Rules about conditions: what matches comes, and where the page says so, nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from hypothesis import strategies as st

from tidesync.conformance import aimed, oracle, strategies
from tidesync.conformance.expect import equal, true
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.following import Author
from tidesync.conformance.transport.tables import THING
from tidesync.contracts.transport import Transport
from tidesync.errors import RequestRefused, Unsupported
from tidesync.query import (
    And,
    Arithmetic,
    ArithmeticOp,
    Call,
    Compare,
    CompareOp,
    Expr,
    Field,
    Function,
    In,
    Negate,
    Not,
    Or,
    Query,
    Value,
)
from tidesync.records import Json, Record
from tidesync.values import ColumnType

_EXACT: Final = (
    "`exact` False: the remote could not be trusted with the filter, the engine must filter `records` itself."
)
_COMPARISONS: Final[tuple[CompareOp, ...]] = ("eq", "ne", "lt", "le", "gt", "ge")
_NUMBER: Final = Field("number", ColumnType.INTEGER)
_RATIO: Final = Field("ratio", ColumnType.FLOAT)
_TEXT: Final = Field("text", ColumnType.STRING)
_FLAG: Final = Field("flag", ColumnType.BOOLEAN)
_AT: Final = Field("at", ColumnType.DATETIME)
_TEXTS: Final = (
    "it's", "''", '"', "a%b", "axb", "a_b", "100%", "naïve", "NAÏVE", "日本", "😀", "", " a ", "a", "A", "a+b", "a&b=c",
    "a/b?", "a\\b", "(a)", "null", "a\nb",
)  # fmt: skip


class Conditions:
    """Rules about conditions: what matches comes, and where the page says so, nothing else."""

    @rule("TRANSPORT-111", _EXACT)
    def test_comparisons_mean_what_they_say(self, bench: TransportBench) -> None:
        """Comparisons, membership, and, or and not bring what matches; a page that is `exact`, nothing else.

        Why: what is left out here is nowhere on the device, and nobody knows that there is more.
        Look at: each operator's counterpart; a condition that cannot be translated must be left out, and `exact` False.
        """
        filled = _Filled(bench, _SAMPLES)
        for op in _COMPARISONS:
            filled.check(_compare(op, _NUMBER, 2), _compare(op, _RATIO, 0.5), _compare(op, _TEXT, "b"))
        low, high = _compare("ge", _NUMBER, 2), _compare("lt", _NUMBER, 4)
        flagged = _compare("eq", _FLAG, True)
        filled.check(
            flagged, _compare("ne", _FLAG, True), In(_NUMBER, (1, 3, 99)), In(_TEXT, ("a", "c")), In(_NUMBER, ()),
            And((low, high)), Or((flagged, high)), Not(flagged), Not(And((low, flagged))), And(()), Or(()),
            And((Or((low, flagged)), Not(high))),
        )  # fmt: skip

    @rule("TRANSPORT-112", _EXACT)
    def test_conditions_on_what_is_not_there(self, bench: TransportBench) -> None:
        """Null equals null, is less and greater than nothing, and what is not true of it, its negation is.

        Why: "not done" must list what nobody has marked yet.
        Look at: SQL, where a comparison with null is neither true nor false, and its negation neither.
        """
        filled = _Filled(bench, _SAMPLES)
        for field in (_NUMBER, _TEXT, _FLAG):
            filled.check(*(_compare(op, field, None) for op in ("eq", "ne", "lt", "ge")), In(field, (None,)))
        filled.check(
            Not(_compare("gt", _NUMBER, 2)), Not(_compare("eq", _TEXT, "a")), Not(In(_NUMBER, (1, 2))),
            _compare("ne", _NUMBER, 2), In(_NUMBER, (1, None)), Not(In(_TEXT, ("a", None))),
        )  # fmt: skip

    @rule("TRANSPORT-113", _EXACT)
    def test_conditions_on_any_text(self, bench: TransportBench) -> None:
        """Text in a condition is compared as it is: quotes, wildcards, case, accents, signs that the wire reads.

        Why: somebody is called O'Brien, and a search for 100% must not find everything.
        Look at: quoting in addresses and in SQL, LIKE, a collation that folds case or accents.
        """
        texts = bench.domain.legal_values("text", _TEXTS)
        filled = _Filled(bench, [{"text": text} for text in texts])
        filled.check(*(_compare("eq", _TEXT, text) for text in texts))
        parts: tuple[tuple[Function, str], ...] = (
            ("contains", "%"), ("contains", "_"), ("contains", "'"), ("contains", ""), ("contains", "\\"),
            ("startswith", "a"), ("startswith", "A"), ("startswith", "%"), ("endswith", "b"), ("endswith", "Ï"),
        )  # fmt: skip
        for function, part in parts:
            filled.check(Call(function, (_TEXT, Value(part, ColumnType.STRING))))

    @rule("TRANSPORT-114", _EXACT)
    def test_functions_and_arithmetic_in_conditions(self, bench: TransportBench) -> None:
        """Functions of text, numbers and dates, and arithmetic, mean at the remote what they mean on the device.

        Why: the same query is asked of both.
        Look at: division of integers, the sign of a remainder, rounding of halves, months from 0, local time; what
        differs must be left out, and `exact` False.
        """
        filled = _Filled(bench, _SAMPLES)
        dates: tuple[tuple[Function, int], ...] = (
            ("year", 2026), ("month", 2), ("day", 28), ("hour", 23), ("minute", 59), ("second", 0)
        )  # fmt: skip
        filled.check(*(_compare("eq", Call(name, (_AT,)), number) for name, number in dates))
        filled.check(*(_compare(op, _AT, "2026-02-28T23:59:00.500000Z") for op in _COMPARISONS))
        rounded: tuple[tuple[Function, float], ...] = (("round", 3.0), ("floor", -3.0), ("ceiling", -2.0))
        filled.check(*(_compare("eq", Call(name, (_RATIO,)), number) for name, number in rounded))
        sums: tuple[tuple[ArithmeticOp, int, float], ...] = (
            ("add", 2, 4), ("sub", 2, 0), ("mul", 3, 9), ("div", 2, 1.5), ("mod", 2, -1), ("div", 0, 0)
        )  # fmt: skip
        for op, by, result in sums:
            filled.check(_compare("eq", Arithmetic(op, _NUMBER, Value(by, ColumnType.INTEGER)), result))
        filled.check(_compare("gt", Negate(_NUMBER), -2))
        words: tuple[tuple[Function, Json], ...] = (
            ("lower", "b"),
            ("upper", "B"),
            ("trim", "c"),
            ("length", 1),
        )
        filled.check(*(_compare("eq", Call(name, (_TEXT,)), value) for name, value in words))
        filled.check(_compare("eq", Call("concat", (_TEXT, Value("!", ColumnType.STRING))), "a!"))

    @rule("TRANSPORT-115", _EXACT)
    def test_any_condition(self, bench: TransportBench) -> None:
        """Whatever the condition is, what matches comes; on a page that is `exact`, nothing else.

        Why: users' queries are made of everything that a query can be made of.
        Look at: precedence when conditions are written as text, and parts that were left out below a `not`.
        """
        filled = _Filled(bench, _SAMPLES)
        aims = st.integers(0, 2**32).map(
            lambda seed: aimed.condition(THING, filled.records, bench.domain, seed)
        )
        conditions = strategies.conditions(THING, bench.domain) | aims | aims
        bench.each(filled.check_any, examples=max(1, bench.profile.examples // 2), where=conditions)

    @rule("TRANSPORT-116", "whether conditions are evaluated there, at least in part", shows="filters")
    def test_a_condition_narrows(self, bench: TransportBench) -> None:
        """A plain condition keeps what does not match away from the wire.

        Why: a device that follows its own ten records must not read a million.
        Look at: whether the condition is sent at all.
        """
        filled = _Filled(bench, [{"number": number} for number in range(4)])
        drained = bench.drain(
            filled.client, Query(THING.name, _compare("eq", _NUMBER, 2)), incremental=False, deleted=False
        )
        equal([2], [record.get("number") for record in drained.records.values()], "numbers that equal 2")


class _Filled:
    """A remote that holds these records, and a client that asks for some of them."""

    def __init__(self, bench: TransportBench, contents: Iterable[Record]) -> None:
        one, self.client = bench.pair()
        self.bench = bench
        contents = [bench.domain.trimmed({"id": "", **content}) for content in contents]
        plain = [{name: value for name, value in content.items() if name != "id"} for content in contents]
        author = Author(bench, one)
        ids = author.insert_many(plain)
        # As committed: conditions may name the version, too.
        self.records: list[Record] = [author.committed[id] or {} for id in ids]

    client: Transport

    def check_any(self, where: Expr) -> None:
        """The same for one condition, which a remote may find too strange."""
        with suppress(RequestRefused):
            self.check(where)

    def check(self, *conditions: Expr) -> None:
        """Raise `RuleBroken` unless each condition brings what it means. `Unsupported` is as good."""
        for condition in conditions:
            query = Query(THING.name, condition)
            expected = {str(record["id"]) for record in oracle.select(query, self.records)}
            try:
                drained = self.bench.drain(self.client, query, incremental=False, deleted=False)
            except Unsupported:
                continue
            missed = expected - drained.records.keys()
            true(not missed, f"{self._named(missed)} matches {condition!a:.600}, and does not come")
            if all(page.exact for page in drained.pages):
                strange = drained.records.keys() - expected
                told = f"{self._named(strange)} does not match {condition!a:.600}, and comes on a page that is exact"
                true(not strange, told)

    def _named(self, ids: Iterable[str]) -> str:
        wanted = set(ids)
        return ascii([record for record in self.records if record["id"] in wanted][:1])


def _compare(op: CompareOp, left: Expr, value: Json) -> Compare:
    type = left.type if isinstance(left, Field) else ColumnType.ANY
    return Compare(op, left, Value(value, type))


_SAMPLES: Final[tuple[Record, ...]] = (
    {"text": "a", "number": 1, "ratio": 0.25, "flag": True, "at": "2026-02-28T23:59:00.500000Z"},
    {"text": "b", "number": 2, "ratio": 0.5, "flag": False, "at": "2026-02-28T23:58:59.999999Z"},
    {"text": "B", "number": 3, "ratio": 2.5, "flag": True, "at": "2026-03-01T00:00:00.000000Z"},
    {"text": " c ", "number": -3, "ratio": -2.5, "flag": False, "at": "1999-12-31T23:59:59.000000Z"},
    {"text": "c", "number": 4, "ratio": 3.0, "flag": None},
    {"number": 0, "ratio": -0.5},
    {"text": "", "flag": True},
    {"text": "abc", "number": 2**53 - 1, "ratio": 1e300},
)
