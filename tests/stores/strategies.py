"""Records and queries of every kind, for comparing stores with what predicate.py says."""

from hypothesis import strategies as st

from tidesync.query import (
    ARITY,
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    Field,
    In,
    Negate,
    Not,
    Or,
    Order,
    Query,
    Value,
)
from tidesync.records import INT_MAX, INT_MIN, Json, Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

TABLE = TableSchema(
    "thing",
    (
        Column("text", ColumnType.STRING),
        Column("number", ColumnType.INTEGER),
        Column("ratio", ColumnType.FLOAT),
        Column("flag", ColumnType.BOOLEAN),
        Column("price", ColumnType.DECIMAL),
        Column("at", ColumnType.DATETIME),
        Column("tree", ColumnType.JSON),
        Column("any"),
    ),
    indexes=(("text", "number"), ("flag", "at"), ("number",)),
)
TYPES = {column.name: column.type for column in TABLE.columns}
FIELDS = ("id", *TYPES, "version", "extra", "é")

TEXTS = (
    "", "a", "A", "b", "ab", "a\0b", "\0", "é", "e\u0301", "É", "ß", "ẞ", "İ", "\u0131", "%", "_", "a%",
    "1", "1.5", "true", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "\U0010ffff\U0010ffff",
    "🎣", " a ", "'", "x'5b'", "2026-11-20T03:45:05.507000Z", "1969-12-31T23:59:59.000000Z", "2026-11-20",
    "03:45:05.507000", "1.50", "-0", "1e3",
)  # fmt: skip
INTEGERS = (0, 1, -1, 2, 3, 10, 2**53, 2**53 + 1, INT_MAX, INT_MAX - 1, INT_MIN, INT_MIN + 1)
FLOATS = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, -0.09, 5e-324, -5e-324, 2.2250738585072014e-308,
    1.7976931348623157e308, 2.0**53, 9.223372036854776e18, -9.223372036854776e18, 0.1,
)  # fmt: skip

texts = st.sampled_from(TEXTS) | st.text(max_size=4)
numbers = (
    st.sampled_from(INTEGERS)
    | st.integers(INT_MIN, INT_MAX)
    | st.sampled_from(FLOATS)
    | st.floats(allow_nan=False, allow_infinity=False)
)
scalars: st.SearchStrategy[Json] = st.none() | st.booleans() | numbers | texts
json_values: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
_FITTING = {
    "text": texts,
    "number": st.sampled_from(INTEGERS),
    "ratio": st.sampled_from(FLOATS),
    "flag": st.booleans(),
    "price": st.sampled_from(TEXTS[-3:]),
    "at": st.sampled_from(TEXTS[-7:-5]),
    "any": scalars,
    "tree": st.lists(scalars, max_size=2) | st.dictionaries(texts, scalars, max_size=2),
}
ids = st.sampled_from(("a", "A", "b", "é", "e\u0301", "🎣", "1", "a\0b", "\U00010000", "\uffff")) | st.text(
    min_size=1, max_size=4
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record; its fields may be missing, of any type, or unknown to the table."""
    record: Record = {"id": draw(ids)}
    tidy = draw(st.booleans())
    for name in (*TYPES, "version", "extra", "é", "__rest"):
        if tidy and name in TYPES:
            record[name] = draw(st.none() | _FITTING[name])
        elif not tidy and draw(st.booleans()):
            record[name] = draw(json_values)
    return record


tables = st.lists(records(), max_size=12, unique_by=lambda record: record["id"])

fields = st.sampled_from(FIELDS).flatmap(
    lambda name: st.sampled_from((TYPES.get(name, ColumnType.ANY), ColumnType.ANY, ColumnType.DECIMAL)).map(
        lambda kind: Field(name, kind)
    )
)
constants = json_values.flatmap(
    lambda value: st.sampled_from((ColumnType.ANY, ColumnType.ANY, ColumnType.DECIMAL)).map(
        lambda kind: Value(value, kind)
    )
)
_OPS = st.sampled_from(("eq", "ne", "lt", "le", "gt", "ge"))


def _calls(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    return st.sampled_from(sorted(ARITY)).flatmap(
        lambda name: st.tuples(*[inner] * ARITY[name]).map(lambda arguments: Call(name, arguments))
    )


def _nested(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    several = st.lists(inner, max_size=3).map(tuple)
    return (
        st.builds(Compare, _OPS, inner, inner)
        | st.builds(In, inner, st.lists(scalars, max_size=4).map(tuple))
        | st.builds(And, several)
        | st.builds(Or, several)
        | st.builds(Not, inner)
        | st.builds(Arithmetic, st.sampled_from(("add", "sub", "mul", "div", "mod")), inner, inner)
        | st.builds(Negate, inner)
        | _calls(inner)
    )


simple = (
    st.builds(Compare, _OPS, fields, constants)
    | st.builds(Compare, _OPS, constants, fields)
    | st.builds(In, fields, st.lists(json_values, max_size=5).map(tuple))
    | st.builds(
        lambda name, field, value: Call(name, (field, value)),
        st.sampled_from(("contains", "startswith", "endswith")),
        fields,
        constants,
    )
)
expressions: st.SearchStrategy[Expr] = simple | st.recursive(
    fields | constants | simple, _nested, max_leaves=8
)
conditions = (
    st.none() | expressions | st.lists(simple, min_size=2, max_size=3).map(lambda items: And(tuple(items)))
)
_queries = st.builds(
    Query,
    st.just(TABLE.name),
    where=conditions,
    order=st.lists(st.builds(Order, fields | expressions, st.booleans()), max_size=3).map(tuple),
    skip=st.integers(0, 3),
    take=st.none() | st.integers(0, 4),
    fields=st.none() | st.lists(st.sampled_from((*FIELDS, "nowhere")), max_size=4).map(tuple),
)


@st.composite
def any_query(draw: st.DrawFn) -> Query:
    """A query of any kind (composite, because the strategies it is made of have a long repr)."""
    return draw(_queries)


queries = any_query()
