"""What the client writes the service reads as it was meant, and every reader of the tree agrees on any records."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.http.support import TODO
from tests.transports.http.test_odata import CONDITIONS, EVERY, ROWS
from tidesync.conformance import oracle
from tidesync.contracts.store import Store
from tidesync.predicate import matcher
from tidesync.query import Expr, Order, Query
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.http.odata import any_of, both, ordering, split
from tidesync.transports.http.values import Dialect, Form
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.odata import parse_filter, parse_order
from tidesync.values import ColumnType

LIMITS = Limits()


def records(form: Form, rows: list[dict[str, Any]]) -> list[Record]:
    """Rows of the wire as records."""
    found = [form.read(row)[1] for row in rows]
    return [record for record in found if isinstance(record, dict)]


@given(CONDITIONS, ROWS, st.sampled_from(["2.0", "3.0"]))
def test_what_the_client_sends_is_what_it_meant(
    where: Expr, rows: list[dict[str, Any]], dialect: Dialect
) -> None:
    """The filter that the client writes lets through what its condition does, and no more where it says so. [N10]"""
    form = Form(TODO, dialect)
    form.known |= EVERY
    sent = split(where, form)
    if sent.text is None:
        return
    read = parse_filter(sent.text, TODO, dialect=dialect, closed=True, limits=LIMITS)
    present = records(form, rows)
    wanted, found = list(filter(matcher(where), present)), list(filter(matcher(read), present))
    assert [row for row in wanted if row not in found] == []
    assert not sent.exact or wanted == found


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_any_text_comes_through_a_filter(ids: list[str]) -> None:
    """Ids of any characters are found by the filters of the client's own walk. [N13]"""
    text = both(any_of(ids), "updatedAt ge datetimeoffset'2026-11-20T03:45:05.507Z'")
    read = parse_filter(text or "", TODO, dialect="2.0", closed=True, limits=Limits(filter=100_000))
    rows: list[Record] = [{"id": id, "updated_at": "2026-11-20T03:45:05.507000Z"} for id in {*ids, "another"}]
    assert {*ids} - {"another"} == {row["id"] for row in filter(matcher(read), rows)} - {"another"}


def test_orders_come_through() -> None:
    """The order that the client writes is read as it was. [N14]"""
    order = (Order(TODO_FIELDS["created_on"], True), Order(TODO_FIELDS["count"]))
    keys = ordering(order, Form(TODO, "3.0"))
    text = ",".join(f"{wire} desc" if descending else wire for wire, descending in keys or ())
    assert order == parse_order(text, TODO, closed=True, limits=LIMITS)


TODO_FIELDS = {
    key.by.name: key.by for key in parse_order("createdOn,count", TODO, closed=True, limits=LIMITS)
}  # type: ignore[union-attr]

# -- any filter, on any records

TYPES = [T for T in ColumnType if T is not ColumnType.JSON]
MIXED = TableSchema("mixed", tuple(Column(type.value, type) for type in ColumnType))
CONSTANTS = {
    ColumnType.STRING: ["'a'", "''", "'é'", "'a%'", "null"],
    ColumnType.INTEGER: ["0", "-2", "3L", "1.5", "9007199254740993", "null"],
    ColumnType.FLOAT: ["0.5", "-1.5", "2", "1e30", "null"],
    ColumnType.BOOLEAN: ["true", "false", "null"],
    ColumnType.DATETIME: [
        "datetime'1969-12-31T23:00:00Z'",
        "2026-11-20T03:45:05.507+01:00",
        "2026-11-20",
        "null",
    ],
    ColumnType.DATE: ["2026-11-20", "cast(1969-12-31,Edm.Date)", "null"],
    ColumnType.TIME: ["03:45:05.5", "'00:00:00'", "null"],
    ColumnType.DECIMAL: ["1.50M", "0.1", "2", "'3'", "null"],
    ColumnType.UUID: ["guid'0190A6F2-7c1e-7a3b-8f00-000000000007'", "null"],
    ColumnType.ENUM: ["'a'", "2", "null"],
    ColumnType.BYTES: ["'QUJD'", "null"],
    ColumnType.ANY: ["'a'", "1", "true", "0.5", "null"],
}
VALUES = [
    None, True, False, 0, 1, -2, 3, 0.5, -1.5, 2.0, 1e30, 9007199254740993, "", "a", "ab", "é", "a%", "1.5", "2",
    "QUJD", "2026-11-20T02:45:05.507000Z", "1969-12-31T23:00:00.000000Z", "2026-11-20", "1969-12-31", "03:45:05.500000",
    "0190a6f2-7c1e-7a3b-8f00-000000000007", [], {"a": 1},
]  # fmt: skip
OPS = st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])
NUMERIC = st.sampled_from(["integer", "float", "decimal", "any", "3", "-0.5", "1.5M"])
TERMS = st.one_of(
    st.builds(
        lambda a, op, b: f"({a} {op} {b})", NUMERIC, st.sampled_from(["add", "sub", "mul", "mod"]), NUMERIC
    ),
    st.builds(
        lambda a, b: f"({a} div {b})",
        st.sampled_from(["integer", "float", "any"]),
        st.sampled_from(["2", "0.5"]),
    ),
    st.builds(lambda f, a: f"{f}({a})", st.sampled_from(["round", "floor", "ceiling", "-"]), NUMERIC),
    st.sampled_from(["length(string)", "year(datetime)", "month(date)", "hour(time)", "second(datetime)"]),
)
LEAVES = st.one_of(
    st.sampled_from([type for type in TYPES if type is not ColumnType.BYTES]).flatmap(
        lambda type: st.builds(lambda op, c: f"{type.value} {op} {c}", OPS, st.sampled_from(CONSTANTS[type]))
    ),
    st.sampled_from(TYPES).flatmap(
        lambda type: st.lists(st.sampled_from(CONSTANTS[type]), max_size=3).map(
            lambda items: f"{type.value} in ({','.join(items)})"
        )
    ),
    st.builds(lambda a, op, b: f"{a} {op} {b}", TERMS, OPS, NUMERIC),
    st.sampled_from(
        [
            "boolean", "any", "true", "bytes eq 'QUJD'", "json ne null", "string eq enum", "any le string",
            "uuid ge string", "float gt decimal", "contains(string,'a')", "startswith(any,'a')",
            "endswith(concat(string,any),'a')", "tolower(string) eq 'a'", "substringof(string,any)",
            "indexof(string,'a') ge 0", "indexof(any,string) eq -1", "indexof(string,'b') gt 0", "indexof(any,'') le 0",
            "substring(string,0,1) eq 'a'", "substring(any,1) ne 'b'",
        ]
    ),
)  # fmt: skip
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda a: f"not ({a})"),
        st.builds(lambda a, word, b: f"({a} {word} {b})", inner, st.sampled_from(["and", "or"]), inner),
        inner.map(lambda a: f"({a}) eq true"),
    ),
    max_leaves=5,
)
RECORDS = st.lists(
    st.fixed_dictionaries({}, optional={type.value: st.sampled_from(VALUES) for type in ColumnType}),
    max_size=8,
).map(lambda rows: [{"id": f"r{number}", **row} for number, row in enumerate(rows)])


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    """A store of each kind that all examples share."""
    stores: list[Store] = [
        MemoryStore(),
        SQLiteStore(tmp_path_factory.mktemp("mixed") / "x.db", synchronous="normal"),
    ]
    for store in stores:
        store.open([MIXED])
    yield stores
    for store in stores:
        store.close()


@given(text=FILTERS, rows=RECORDS, dialect=st.sampled_from(["2.0", "3.0"]))
def test_all_readers_of_a_filter_agree(
    stores: list[Store], text: str, rows: list[Record], dialect: Dialect
) -> None:
    """The predicate, the oracle of the suite and both stores select the same of any records. [N05] [N09] [N10]"""
    where = parse_filter(text, MIXED, dialect=dialect, closed=True, limits=LIMITS)
    query = Query("mixed", where)
    wanted = [row["id"] for row in filter(matcher(where), rows)]
    assert wanted == [row["id"] for row in oracle.select(query, rows)]
    for store in stores:
        with store.transaction(write=True) as transaction:
            transaction.delete_where(Query("mixed"))
            transaction.put("mixed", rows)
            assert wanted == [row["id"] for row in transaction.select(query)]
