"""Hypothesis strategies for whoever tests a store, a transport, or an application: ids, values, records, queries.

```python
from hypothesis import given
from tidesync.conformance import strategies
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

NOTES = TableSchema("notes", (Column("text", ColumnType.STRING), Column("due", ColumnType.DATE)))

@given(records=strategies.rows(NOTES), query=strategies.queries(NOTES))
def test_search(records, query): ...
```

Values come from small pools of awkward ones (NUL, characters beyond 16 bits, -0.0, 2**53 + 1) as often as from anywhere
else, and constants of queries from the same pools, so that queries find something. Every function takes a `Domain`:
what it says is not legal is not drawn. `histories` and `edits` are in `tidesync.conformance.histories`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, TypeVar, get_args

from hypothesis import strategies as st

from tidesync.conformance.domain import Domain
from tidesync.conformance.store.tables import THING
from tidesync.errors import ConfigurationError
from tidesync.query import (
    ARITY,
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
    Order,
    Query,
    Value,
)
from tidesync.records import INT_MAX, INT_MIN, SYSTEM_FIELDS, Json, Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

T = TypeVar("T")


def named(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """The same strategy without its repr, which Hypothesis writes out: that of queries has 30,000 characters."""

    @st.composite
    def drawn(draw: st.DrawFn) -> T:
        return draw(strategy)

    return drawn()


EVERYTHING: Final = Domain()
"""All that the contract takes."""

TEXTS: Final = (
    "", "a", "A", "b", "ab", "a\0b", "\0", "é", "e\u0301", "É", "ß", "ẞ", "İ", "\u0131", "\u017f", "\u212a", "%", "_",
    "a%", "1", "1.5", "true", "null", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "\U0010ffff\U0010ffff",
    "🎣", " a ", "'", '"', "\\", "x'5b'", "[1]", "-0", "1e3", "NaN", "2026-11-20T03:45:05.507000Z", "2026-11-20",
    "03:45:05.507000", "1.50",
)  # fmt: skip
"""Texts with which stores have gone wrong."""
INTEGERS: Final = (
    0, 1, -1, 2, 3, 10, 2**31, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, INT_MAX, INT_MAX - 1, INT_MIN, INT_MIN + 1,
)  # fmt: skip
"""Integers at the edges of what languages hold."""
FLOATS: Final = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, -0.09, 0.1, 0.30000000000000004, 5e-324, -5e-324,
    2.2250738585072014e-308, 1.7976931348623157e308, 2.0**53, 9.223372036854776e18, -9.223372036854776e18, 1e23,
)  # fmt: skip
"""Floats whose bits get lost."""
IDS: Final = (
    "a", "A", "b", "1", "01", "1.0", "é", "e\u0301", "É", "🎣", "\U00010000", "\uffff", "a\0b", "a b", " a", "a ", "%",
    "_", "'", '"', "a/b", "../a", "0190a6f2-7c1e-7a3b-8f00-1234567890ab", "0190A6F2-7C1E-7A3B-8F00-1234567890AB",
    "5f2d6c1e-93a4-4a7b-8d21-6b0c9e4f7a10", "x" * 255,
)  # fmt: skip
"""Ids that stores have taken for one another."""
NAMES: Final = ("extra", "é", "__rest", "Text", "a.b", 'a"b', "", "a b", "$", "\U00010000")
"""Names of fields that no schema names."""
COLUMNS: Final = (
    "a", "A", "name", "Name", "_x", "order", "select", "rowid", "index", "group", "data", "rest", "value", "x" * 63,
)  # fmt: skip
"""Names of columns: some are words of SQL, some differ in case only."""

_FITTING: Final[dict[ColumnType, tuple[Json, ...]]] = {
    ColumnType.STRING: TEXTS,
    ColumnType.INTEGER: INTEGERS,
    ColumnType.FLOAT: FLOATS,
    ColumnType.BOOLEAN: (True, False),
    ColumnType.DATETIME: (
        "2026-11-20T03:45:05.507000Z", "2026-11-20T03:45:05.507001Z", "1969-12-31T23:59:59.000000Z",
        "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z",
    ),
    ColumnType.DATE: ("2026-11-20", "2024-02-29", "1969-12-31", "0001-01-01", "9999-12-31"),
    ColumnType.TIME: ("03:45:05.507000", "00:00:00.000000", "23:59:59.999999"),
    ColumnType.DECIMAL: (
        "0", "-0", "1", "1.0", "1.50", "1.5", "-1.5", "10", "9.99", "0.1", "9007199254740993", "1E+3", "1E-30",
        "123456789012345678901234567890.123456789",
    ),
    ColumnType.UUID: ("0190a6f2-7c1e-7a3b-8f00-1234567890ab", "ffffffff-ffff-4fff-bfff-ffffffffffff"),
    ColumnType.ENUM: ("red", "Red", "", 1, 0, -1),
    ColumnType.BYTES: ("", "AAH/", "AA==", "aa=="),
    ColumnType.JSON: ([], {}, [1], [1.0, True, None, "a"], {"a": {"b": [1]}}, {"": 0, "A": 1, "a": 2}),
    ColumnType.ANY: (None, True, False, 0, 1, 1.0, -0.0, "", "a", "1", [], {"a": 1}),
}  # fmt: skip

_TEXTS: Final = st.sampled_from(TEXTS) | st.text(max_size=4)
_NUMBERS: Final = (
    st.sampled_from(INTEGERS)
    | st.sampled_from(FLOATS)
    | st.integers(INT_MIN, INT_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
)
_SCALARS: Final[st.SearchStrategy[Any]] = st.sampled_from((None, True, False)) | _NUMBERS | _TEXTS
_SHALLOW: Final[st.SearchStrategy[Any]] = st.lists(_SCALARS, max_size=3) | st.dictionaries(
    _TEXTS, _SCALARS, max_size=3
)
_DEEP: Final[st.SearchStrategy[Any]] = st.lists(_SHALLOW | _SCALARS, max_size=3) | st.dictionaries(
    _TEXTS, _SHALLOW | _SCALARS, max_size=3
)
_JSON: Final[st.SearchStrategy[Any]] = named(_SCALARS | _SCALARS | _SHALLOW | _DEEP)


WIDE: Final = TableSchema(
    "thing",
    tuple(Column(name, type) for name, type in zip(COLUMNS, (*ColumnType, ColumnType.ANY), strict=True)),
)
"""A table with all the columns that `schemas` takes some of: records and queries of it suit each of those."""


def ids(domain: Domain = EVERYTHING) -> st.SearchStrategy[str]:
    """Ids of records, few enough to meet again; any text that is not empty, control characters included.

    A domain that is narrow leaves some of `IDS`. Raises `ConfigurationError` if it leaves none.
    """
    some = domain.legal_ids(IDS)
    if not some:
        raise ConfigurationError(f"the domain takes none of the ids of the suite, such as {IDS[-2]}")
    return (
        st.sampled_from(some) if domain.is_narrow else st.sampled_from(some) | st.text(min_size=1, max_size=4)
    )


def json_values(domain: Domain = EVERYTHING, field: str = "any") -> st.SearchStrategy[Json]:
    """Any value of JSON that may be in the field: scalars, lists and objects, up to three levels deep."""
    return _JSON.filter(lambda value: domain.values(field, value)) if domain.is_narrow else _JSON


def fitting(type: ColumnType, domain: Domain = EVERYTHING, field: str = "any") -> st.SearchStrategy[Json]:
    """Values in the canonical form that a column of the type holds; never null, but for ANY."""
    wider: dict[ColumnType, st.SearchStrategy[Any]] = {
        ColumnType.STRING: _TEXTS,
        ColumnType.INTEGER: st.integers(INT_MIN, INT_MAX),
        ColumnType.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
        ColumnType.DECIMAL: st.integers(-(10**6), 10**6).map(lambda number: f"{number / 100:.2f}"),
        ColumnType.JSON: _DEEP,
        ColumnType.ANY: _JSON,
    }
    some: st.SearchStrategy[Any] = st.sampled_from(_FITTING[type])
    found = some | wider[type] if type in wider else some
    return found.filter(lambda value: domain.values(field, value)) if domain.is_narrow else found


@st.composite
def schemas(draw: st.DrawFn, name: str = "thing") -> TableSchema:
    """A table with up to six columns of any types, and up to three indexes on them and on system fields."""
    names = draw(st.lists(st.sampled_from(COLUMNS), max_size=6, unique=True))
    columns = tuple(Column(each, draw(st.sampled_from(ColumnType))) for each in names)
    able = [each.name for each in columns if each.type is not ColumnType.JSON]
    index = st.lists(st.sampled_from((*able, *SYSTEM_FIELDS)), min_size=1, max_size=3, unique=True).map(tuple)
    return TableSchema(name, columns, indexes=tuple(draw(st.lists(index, max_size=3, unique=True))))


def records(table: TableSchema = THING, domain: Domain = EVERYTHING) -> st.SearchStrategy[Record]:
    """Records of a table. Half of them fit its columns; the others have anything anywhere, and fields of no schema."""
    return _records(TableSchema(table.name, table.columns), domain)


@lru_cache(maxsize=64)
def _records(table: TableSchema, domain: Domain) -> st.SearchStrategy[Record]:
    # Kept, as those of queries are: a composite asks for them in each example, and to make them costs most of it.
    id, value = ids(domain), json_values()
    tidy = st.fixed_dictionaries(
        {"id": id},
        optional={each.name: st.none() | fitting(each.type) for each in table.columns},
    )
    any_field = st.sampled_from((*table.by_name, *table.by_name, *SYSTEM_FIELDS, *NAMES))
    wild = st.tuples(id, st.dictionaries(any_field, value, max_size=6)).map(
        lambda pair: {"id": pair[0], **pair[1]}
    )
    found: st.SearchStrategy[Record] = tidy | wild
    return named(found.map(domain.trimmed) if domain.is_narrow else found)


def rows(
    table: TableSchema = THING, domain: Domain = EVERYTHING, *, max_size: int = 8
) -> st.SearchStrategy[list[Record]]:
    """What a table may hold: up to `max_size` records, no two with one id."""
    return st.lists(records(table, domain), max_size=max_size, unique_by=lambda record: str(record["id"]))


# -- queries --------------------------------------------------------------------------------------------

_OPS: Final[tuple[CompareOp, ...]] = get_args(CompareOp)
_ARITHMETIC: Final[tuple[ArithmeticOp, ...]] = get_args(ArithmeticOp)
_OF_TWO: Final[tuple[Function, ...]] = tuple(name for name, arity in ARITY.items() if arity == 2)
_OF_ONE: Final[tuple[Function, ...]] = tuple(name for name, arity in ARITY.items() if arity == 1)


def conditions(table: TableSchema = THING, domain: Domain = EVERYTHING) -> st.SearchStrategy[Expr]:
    """Conditions on the fields of a table: comparisons most of all, and whatever can be made of them and computed."""
    simple = _simple(table, domain)
    several = st.lists(simple, max_size=3).map(tuple)
    return named(
        simple | simple | st.builds(And, several) | st.builds(Or, several) | expressions(table, domain)
    )


def expressions(table: TableSchema = THING, domain: Domain = EVERYTHING) -> st.SearchStrategy[Expr]:
    """Any expressions, also such as mean nothing useful: the length of a sum, a comparison of comparisons."""
    field, constant, simple = _field(table), _constant(table, domain), _simple(table, domain)
    inner: st.SearchStrategy[Expr] = field | constant | simple
    for _ in range(2):
        inner = field | _around(inner, constant)
    return named(inner)


def _around(inner: st.SearchStrategy[Expr], constant: st.SearchStrategy[Value]) -> st.SearchStrategy[Expr]:
    several = st.lists(inner, max_size=3).map(tuple)
    member = st.lists(constant.map(lambda each: each.value), max_size=4).map(tuple)
    return (
        st.builds(Compare, st.sampled_from(_OPS), inner, constant | inner)
        | st.builds(Arithmetic, st.sampled_from(_ARITHMETIC), inner, constant | inner)
        | st.builds(Call, st.sampled_from(_OF_ONE), st.tuples(inner))
        | st.builds(Call, st.sampled_from(_OF_TWO), st.tuples(inner, constant | inner))
        | st.builds(In, inner, member)
        | st.builds(And, several)
        | st.builds(Or, several)
        | st.builds(Not, inner)
        | st.builds(Negate, inner)
    )


def _simple(table: TableSchema, domain: Domain) -> st.SearchStrategy[Expr]:
    """A field compared with a constant such as it may hold."""
    ready = {each: _compared(each, domain) for each in _fields(table)}
    return st.sampled_from(list(ready)).flatmap(ready.__getitem__)


@lru_cache(maxsize=512)
def _compared(field: Field, domain: Domain) -> st.SearchStrategy[Expr]:
    values = fitting(field.type) | _SCALARS
    constant = _legal(values, (field.name,), domain).map(lambda value: Value(value, field.type))
    alone = st.just(field)
    return (
        st.builds(Compare, st.sampled_from(_OPS), alone, constant)
        | st.builds(Compare, st.sampled_from(_OPS), constant, alone)
        | st.builds(In, alone, st.lists(constant.map(lambda each: each.value), max_size=4).map(tuple))
        | st.builds(Call, st.sampled_from(_OF_TWO[1:]), st.tuples(alone, constant))
    )


def _fields(table: TableSchema) -> list[Field]:
    declared = [Field(each.name, each.type) for each in table.columns]
    numbers = [Field(each.name, ColumnType.DECIMAL) for each in table.columns if each.type is ColumnType.ANY]
    return [*declared, *numbers, *(Field(name) for name in ("id", "version", *NAMES))]


def _field(table: TableSchema) -> st.SearchStrategy[Expr]:
    return st.sampled_from(_fields(table))


def _constant(table: TableSchema, domain: Domain) -> st.SearchStrategy[Value]:
    types = (ColumnType.ANY, ColumnType.ANY, ColumnType.DECIMAL)
    return st.builds(Value, _legal(_SCALARS, (*table.by_name, *NAMES), domain), st.sampled_from(types))


def _legal(values: st.SearchStrategy[Any], names: Iterable[str], domain: Domain) -> st.SearchStrategy[Any]:
    """Constants that one of the fields could hold: a store may know no others."""
    if not domain.is_narrow:
        return values
    return values.filter(lambda value: any(domain.values(name, value) for name in names))


def queries(table: TableSchema = THING, domain: Domain = EVERYTHING) -> st.SearchStrategy[Query]:
    """Queries of a table: a condition, an order, skip and take, and some fields, each of them or none."""
    return _queries(TableSchema(table.name, table.columns), domain)


@lru_cache(maxsize=64)
def _queries(table: TableSchema, domain: Domain) -> st.SearchStrategy[Query]:
    condition = conditions(table, domain)
    by: st.SearchStrategy[Expr] = _field(table) | _field(table) | expressions(table, domain)
    order = st.lists(st.builds(Order, by, st.booleans()), max_size=3).map(tuple)
    known = (*table.by_name, *SYSTEM_FIELDS, *NAMES, "id")
    return named(
        st.builds(
            Query,
            st.just(table.name),
            where=st.none() | condition | condition | condition,
            order=st.just(()) | order,
            skip=st.sampled_from((0, 0, 0, 1, 2)),
            take=st.sampled_from((None, None, None, 0, 1, 2, 3)),
            fields=st.none() | st.none() | st.lists(st.sampled_from(known), max_size=4).map(tuple),
        )
    )
