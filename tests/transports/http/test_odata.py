"""Which part of a condition is sent: always a superset, and what is left out is left out by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.http.odata_server import Filter, NoColumn, database, sqlite
from tests.transports.http.support import COLUMNS, TODO
from tidesync.predicate import matcher
from tidesync.query import And, Arithmetic, Call, Compare, Expr, Field, In, Negate, Not, Or, Order, Value
from tidesync.records import Json
from tidesync.schema import Column, TableSchema
from tidesync.transports.http.odata import any_of, both, ordering, split
from tidesync.transports.http.values import Dialect, Form
from tidesync.values import ColumnType

T = ColumnType
TYPES = {column.name: column.type for column in TODO.columns} | {
    "id": T.STRING,
    "updated_at": T.DATETIME,
    "loose": T.ANY,
}
EVERY = frozenset((*COLUMNS, "id", "createdAt", "updatedAt", "version", "deleted"))
TEXTS = st.sampled_from(["", "a", "A", "b", "Milk", "milk", "it's", "é", "É", "%", "_", "🙂"])
NUMBERS = st.sampled_from([0, 1, -1, 2, 5, 2**53, 2**53 + 1, -(2**53) - 1, 0.5, -2.5, 1e-7, 1e300])
MOMENTS = st.sampled_from(
    [
        f"2026-11-20T03:45:0{second}.{micro}Z"
        for second in (4, 5)
        for micro in ("000000", "507000", "507500", "508000")
    ]
)
CONSTANTS = st.none() | st.booleans() | NUMBERS | TEXTS | MOMENTS
FIELDS = st.sampled_from(sorted(TYPES)).map(lambda name: Field(name, TYPES[name]))
LEAVES = st.one_of(
    st.builds(Compare, st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]), FIELDS, CONSTANTS.map(Value)),
    st.builds(Compare, st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]), CONSTANTS.map(Value), FIELDS),
    st.builds(In, FIELDS, st.lists(CONSTANTS, max_size=3).map(tuple)),
    st.just(Field("complete", T.BOOLEAN)),
    st.booleans().map(Value),
    st.builds(
        lambda name, field, text: Call(name, (field, Value(text))),
        st.sampled_from(["contains", "startswith", "endswith"]), FIELDS, TEXTS,
    ),
    st.builds(lambda field: Compare("eq", Call("lower", (field,)), Value("milk")), FIELDS),
    st.builds(lambda field: Compare("gt", Arithmetic("mod", field, Value(2)), Value(0)), FIELDS),
    st.builds(lambda field: Compare("lt", Negate(field), Value(0)), FIELDS),
    st.builds(lambda field: Compare("eq", Call("year", (field,)), Value(2026)), FIELDS),
)  # fmt: skip
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: And(tuple(items))),
        st.lists(inner, max_size=3).map(lambda items: Or(tuple(items))),
        inner.map(Not),
    ),
    max_leaves=6,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text("abc", min_size=1, max_size=2),
            "updatedAt": MOMENTS.map(lambda text: text[:23] + "Z"),
            "text": st.none() | TEXTS,
            "complete": st.none() | st.booleans(),
            "priority": st.none() | NUMBERS.map(float),
            "count": st.none() | st.integers(-3, 3),
            "due": st.none() | MOMENTS.map(lambda text: text[:23] + "Z"),
            "price": st.none() | st.sampled_from(["1.50", "2"]),
            "createdOn": st.none() | TEXTS,
        }
    ),
    max_size=6,
)  # fmt: skip


def check(where: Expr, rows: list[dict[str, Any]], form: Form, columns: frozenset[str], compare: Any) -> None:
    """Every record that the condition lets through is let through by what is sent; if exact, no other one."""
    sent = split(where, form)
    local = matcher(where)
    present = [{key: value for key, value in row.items() if key in columns} for row in rows]
    wanted = [row for row in present if local(_record(form, row))]
    if sent.text is None:
        assert not sent.exact or wanted == present
        return
    condition = Filter(sent.text, columns, compare)
    try:
        found = [row for row in present if condition.holds(row) is True]
    except NoColumn:
        found = []
    assert [row for row in wanted if row not in found] == []
    assert not sent.exact or found == wanted


def _record(form: Form, row: dict[str, Any]) -> dict[str, Json]:
    copy = form.read(row)[1]
    assert isinstance(copy, dict)
    return copy


@pytest.mark.parametrize("dialect", ["2.0", "3.0"])
@pytest.mark.parametrize("op", ["eq", "ne", "lt", "le", "gt", "ge"])
@pytest.mark.parametrize("micro", ["506999", "507000", "507500", "507999", "508000"])
def test_moments_between_milliseconds_lose_nothing(dialect: Dialect, op: Any, micro: str) -> None:
    """A remote that keeps whole milliseconds, or more decimals than it shows, still gives all that is meant. [N24]"""
    where = C(op, Field("updated_at", T.DATETIME), Value(f"2026-11-20T03:45:05.{micro}Z"))
    rows = [{"id": str(milli), "updatedAt": f"2026-11-20T03:45:05.{milli}Z"} for milli in range(505, 510)]
    compare = sqlite if dialect == "2.0" else database(ignore_case=False, null_differs=False)
    check(where, rows, Form(TODO, dialect), EVERY, compare)


@given(CONDITIONS, ROWS)
def test_what_is_sent_to_2_is_a_superset(where: Expr, rows: list[dict[str, Any]]) -> None:
    """On the real server's semantics nothing that matches is ever left out. [N16] [N18]"""
    form = Form(TODO, "2.0")
    form.known |= EVERY
    check(where, rows, form, EVERY, sqlite)


@given(CONDITIONS, ROWS, st.sets(st.sampled_from(COLUMNS)))
def test_also_where_the_remote_lacks_columns(
    where: Expr, rows: list[dict[str, Any]], missing: set[str]
) -> None:
    """An unknown column empties the whole answer of a 2.0 server: no condition may hang on one."""
    columns = EVERY - missing
    form = Form(TODO, "2.0")
    check(where, rows, form, columns, sqlite)
    form.known |= columns
    check(where, rows, form, columns, sqlite)


@given(CONDITIONS, ROWS, st.booleans(), st.booleans())
def test_what_is_sent_to_3_is_a_superset(
    where: Expr, rows: list[dict[str, Any]], ignore_case: bool, null_differs: bool
) -> None:
    """On databases with either collation and either idea of null nothing that matches is left out."""
    check(where, rows, Form(TODO, "3.0"), EVERY, database(ignore_case=ignore_case, null_differs=null_differs))


C = Compare
TEXT, DONE, RANK, COUNT = (Field(name, TYPES[name]) for name in ("text", "complete", "priority", "count"))


@pytest.mark.parametrize(
    ("where", "two", "three"),
    [
        (C("eq", TEXT, Value("it's")), ("text eq 'it''s'", True), ("text eq 'it''s'", False)),
        (C("gt", TEXT, Value("b")), ("text gt 'b'", True), (None, False)),
        (DONE, ("complete ne false and complete ne null", True), ("complete eq true", True)),
        (Not(DONE), (None, False), ("complete ne true or complete eq null", True)),
        (C("le", RANK, Value(-2.5)), ("priority le -2.5", True), ("priority le -2.5", True)),
        (C("lt", Value(3), COUNT), ("count gt 3", True), ("count gt 3", True)),
        (C("ne", COUNT, Value(3)), (None, False), ("count ne 3 or count eq null", True)),
        (C("eq", COUNT, Value(None)), (None, False), ("count eq null", True)),
        (C("eq", COUNT, Value(2**53 + 1)), (None, False), (None, False)),
        (In(COUNT, (1, 2)), ("(count eq 1) or (count eq 2)", True), ("(count eq 1) or (count eq 2)", True)),
        (Call("contains", (TEXT, Value("a%"))), (None, False), ("contains(text,'a%')", False)),
        (C("eq", Field("price", T.DECIMAL), Value("1.5", T.DECIMAL)), (None, False), (None, False)),
        (C("eq", Field("nobody"), Value(1)), (None, False), (None, False)),
        (C("eq", Field("version", T.STRING), Value("AAA=")), (None, False), (None, False)),
        (C("eq", Field("created_on"), Value("x")), ("createdOn eq 'x'", True), ("createdOn eq 'x'", False)),
        (And((DONE, C("ne", TEXT, Value("a")))),
         ("complete ne false and complete ne null", False), ("complete eq true", False)),
        (Or((DONE, C("ne", TEXT, Value("a")))), (None, False), (None, False)),
        (And(()), (None, True), (None, True)),
        (Or(()), ("id eq ''", True), ("id eq ''", True)),
        (C("ge", Field("updated_at"), Value("2026-11-20T03:45:05.507000Z")),
         ("updatedAt ge datetimeoffset'2026-11-20T03:45:05.507Z'", True),
         ("updatedAt ge cast(2026-11-20T03:45:05.507Z,Edm.DateTimeOffset)", True)),
    ],
)  # fmt: skip
def test_the_text_of_a_filter(
    where: Expr, two: tuple[str | None, bool], three: tuple[str | None, bool]
) -> None:
    """Literals and names are the protocol's own; the rest is missing. [N18] [N22] [R-N25] [R-N27]"""
    found = {dialect: split(where, Form(TODO, dialect)) for dialect in ("2.0", "3.0")}
    assert (two, three) == tuple((sent.text, sent.exact) for sent in found.values())


def test_an_or_waits_until_its_columns_are_known() -> None:
    """An `or` over several columns is not sent until the remote is seen to have them, and names them."""
    where = Or((DONE, C("eq", COUNT, Value(1))))
    form = Form(TODO, "2.0")
    assert (None, {"complete", "count"}) == (split(where, form).text, set(split(where, form).wants))
    form.note({"complete": None, "count": 2})
    assert "(complete ne false and complete ne null) or (count eq 1)" == split(where, form).text


def test_a_condition_that_does_not_fit_an_address_is_not_sent() -> None:
    """It is looked at here instead."""
    where = Or(tuple(C("eq", TEXT, Value("🙂" * 30 + str(number))) for number in range(40)))
    assert (None, False) == (split(where, Form(TODO, "2.0")).text, split(where, Form(TODO, "2.0")).exact)


def test_a_column_may_be_called_like_a_word_of_the_language() -> None:
    """A column named datetime is a column. [R-N26]"""
    table = TableSchema("t", (Column("datetime", T.STRING),))
    assert (
        "datetime eq 'x'" == split(C("eq", Field("datetime", T.STRING), Value("x")), Form(table, "3.0")).text
    )


@pytest.mark.parametrize("dialect", ["2.0", "3.0"])
def test_only_plain_columns_are_ordered_by(dialect: Dialect) -> None:
    """The remote does not order by expressions, decimals kept as text, JSON and undeclared fields. [N21]"""
    form = Form(TODO, dialect)
    assert [("text", True), ("createdOn", False), ("updatedAt", False)] == ordering(
        (Order(TEXT, True), Order(Field("created_on")), Order(Field("updated_at"))), form
    )
    for by in (Call("lower", (TEXT,)), Field("price", T.DECIMAL), Field("extra", T.JSON), Field("nobody")):
        assert ordering((Order(by),), form) is None


def test_filters_are_joined_with_parentheses() -> None:
    """`or` inside never meets `and` outside."""
    assert "(a or b) and (c)" == both("a or b", None, "c")
    assert ("c", None) == (both(None, "c"), both(None))
    assert "id eq 'a''b' or id eq 'c'" == any_of(["a'b", "c"])
