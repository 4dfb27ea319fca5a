"""How SQLite carries queries out: through indexes, with parameters, in bounded memory."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidesync.query import (
    And,
    Call,
    Compare,
    CompareOp,
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
from tidesync.schema import Column, TableSchema
from tidesync.stores.sql.compile import compile_query
from tidesync.stores.sql.ddl import layout_of
from tidesync.stores.sql.functions import sort_key
from tidesync.stores.sqlite import SQLiteStore, Synchronous
from tidesync.stores.sqlite_transaction import chunks
from tidesync.values import ColumnType as T

TABLE = TableSchema(
    "__operations",
    (
        Column("lane", T.STRING),
        Column("sequence", T.INTEGER),
        Column("blocker", T.STRING),
        Column("ready", T.BOOLEAN),
        Column("created", T.FLOAT),
        Column("content", T.JSON),
        Column("price", T.DECIMAL),
    ),
    indexes=(("lane", "sequence"), ("blocker",), ("ready", "created"), ("sequence",)),
)
LAYOUT = layout_of(TABLE, None, [])
ROWS: list[Record] = [
    {
        "id": f"{n:05}",
        "lane": f"lane {n % 7}",
        "sequence": n,
        "blocker": None if n % 3 else f"{n}",
        "ready": n % 2 == 0,
        "created": n / 7,
        "content": {"text": "x" * 100},
        "price": "1.50",
    }
    for n in range(5000)
]


def compare(op: CompareOp, field: str, value: Json) -> Compare:
    return Compare(op, Field(field), Value(value))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SQLiteStore]:
    """A store with 5,000 tidy records."""
    store = SQLiteStore(tmp_path_factory.mktemp("plans") / "x.db", synchronous="normal")
    store.open([TABLE])
    with store.transaction(write=True) as transaction:
        transaction.put(TABLE.name, ROWS)
    yield store
    store.close()


def plan(store: SQLiteStore, query: Query) -> str:
    """What SQLite says it will do."""
    compiled = compile_query(query, LAYOUT, frozenset)
    connection = store.borrow()
    sql = f'EXPLAIN QUERY PLAN SELECT * FROM "{TABLE.name}"{compiled.tail}'
    steps = [row[3] for row in connection.execute(sql, compiled.parameters)]
    store.give_back(connection)
    return "; ".join(steps)


INDEX = "USING INDEX __operations:"
PRIMARY = "USING INDEX sqlite_autoindex___operations_1"


@pytest.mark.parametrize(
    ("where", "order", "expected"),
    [
        (None, (), f"SCAN __operations {PRIMARY}"),
        (equals("id", "00001"), (), f"SEARCH __operations {PRIMARY} (id=?)"),
        (compare("gt", "id", "00001"), (), f"SEARCH __operations {PRIMARY} (id>? AND id<?)"),
        (In(Field("id"), ("1", "2", "3")), (), f"SEARCH __operations {PRIMARY} (id=?)"),
        (equals("lane", "a"), ("sequence",), f"SEARCH __operations {INDEX}lane,sequence,id (lane=?)"),
        (
            And((equals("lane", "a"), compare("gt", "sequence", 5))),
            ("sequence",),
            f"SEARCH __operations {INDEX}lane,sequence,id (lane=? AND sequence>? AND sequence<?)",
        ),
        (
            And((compare("le", "sequence", 5), equals("lane", None))),
            ("lane", "sequence"),
            f"SEARCH __operations {INDEX}lane,sequence,id (lane=? AND sequence<?)",
        ),
        (equals("blocker", None), (), f"SEARCH __operations {INDEX}blocker,id (blocker=?)"),
        (equals("blocker", "7"), (), f"SEARCH __operations {INDEX}blocker,id (blocker=?)"),
        (
            And((equals("ready", True), compare("lt", "created", 0.5))),
            ("created",),
            f"SEARCH __operations {INDEX}ready,created,id (ready=? AND created<?)",
        ),
        (Field("ready", T.BOOLEAN), ("created",), f"SEARCH __operations {INDEX}ready,created,id (ready=?)"),
        (None, ("lane", "sequence"), f"SCAN __operations {INDEX}lane,sequence,id"),
        (None, ("sequence",), f"SCAN __operations {INDEX}sequence,id"),
        (
            compare("ge", "sequence", 9),
            ("sequence",),
            f"SEARCH __operations {INDEX}sequence,id (sequence>? AND sequence<?)",
        ),
        (
            Call("startswith", (Field("blocker"), Value("12"))),
            ("blocker",),
            f"SEARCH __operations {INDEX}blocker,id (blocker>? AND blocker<?)",
        ),
    ],
)  # fmt: skip
def test_queries_on_an_index_use_it(
    store: SQLiteStore, where: Expr | None, order: tuple[str, ...], expected: str
) -> None:
    """Equalities on a prefix, one range, ordered by the index: the index does it all, nothing is sorted."""
    query = Query(TABLE.name, where, tuple(Order(Field(name)) for name in order), take=20)
    assert expected == plan(store, query)


def test_descending_order_sorts_only_ties(store: SQLiteStore) -> None:
    """The index also gives the order turned round; only ties are sorted, by id."""
    query = Query(TABLE.name, equals("lane", "a"), (Order(Field("sequence"), descending=True),), take=20)
    found = plan(store, query)
    assert f"{INDEX}lane,sequence,id (lane=?)" in found
    assert "LAST TERM" in found


NAME = Field("lane", T.STRING)
PRICE = Field("price", T.DECIMAL)


@pytest.mark.parametrize(
    ("where", "sql", "parameters"),
    [
        (equals("lane", "x'; DROP"), '"lane" = ?', ("x'; DROP",)),
        (equals("lane", None), '"lane" IS NULL', ()),
        (compare("ne", "lane", None), '"lane" IS NOT NULL', ()),
        (compare("ne", "lane", "a"), '"lane" IS NOT ?', ("a",)),
        (compare("lt", "lane", "a"), "(\"lane\" >= '' AND \"lane\" < ?)", ("a",)),
        (compare("ge", "lane", "a"), "(\"lane\" >= ? AND \"lane\" < x'')", ("a",)),
        (compare("gt", "sequence", 5), "(\"sequence\" > ? AND \"sequence\" < '')", (5,)),
        (compare("le", "sequence", 5), '"sequence" <= ?', (5,)),
        (Compare("lt", Value(5), Field("sequence")), "(\"sequence\" > ? AND \"sequence\" < '')", (5,)),
        (
            And((compare("ge", "sequence", 5), compare("lt", "sequence", 9))),
            "((\"sequence\" >= ? AND +\"sequence\" < '') AND \"sequence\" < ?)",
            (5, 9),
        ),
        (equals("ready", True), '"ready" = ?', (1,)),
        (Field("ready", T.BOOLEAN), '"ready" = 1', ()),
        (Not(Field("ready", T.BOOLEAN)), '(("ready" = 1) IS NOT TRUE)', ()),
        (equals("lane", True), "\"lane\" IN (x'74727565')", ()),
        (equals("lane", [1]), "0", ()),
        (compare("lt", "lane", None), "0", ()),
        (In(NAME, ("a", None, "b", "c")), '("lane" IN (?, ?, ?, ?) OR "lane" IS NULL)', ("a", "b", "c", "c")),
        (In(NAME, ()), "0", ()),
        (And(()), "1", ()),
        (Or((equals("lane", "a"), equals("sequence", 1))), '("lane" = ? OR "sequence" = ?)', ("a", 1)),
        (Compare("eq", Call("lower", (NAME,)), Value("a")), 'tide_eq(tide_lower("lane"), ?)', ("a",)),
        (Compare("lt", PRICE, Value("2", T.DECIMAL)), 'tide_lt(tide_decimal("price"), ?)', (b"d2",)),
        (equals("unknown", 1), 'tide_eq(tide_more("__rest", ?), ?)', ("unknown", 1)),
    ],
)  # fmt: skip
def test_queries_become_sql_with_parameters(where: Expr, sql: str, parameters: tuple[object, ...]) -> None:
    """Each operator has its SQL; values are parameters only. [N09]"""
    compiled = compile_query(Query(TABLE.name, where), LAYOUT, frozenset)
    assert (f" WHERE {sql}", parameters) == (compiled.where, compiled.where_parameters)


def test_an_enum_is_found_by_its_text(store: SQLiteStore) -> None:
    """An enum is stored and queried as its value. [N12]"""
    table = TableSchema("paint", (Column("colour", T.ENUM),), indexes=(("colour",),))
    store.open([table])
    with store.transaction(write=True) as transaction:
        transaction.put("paint", [{"id": "1", "colour": "red"}, {"id": "2", "colour": 5}])
        query = Query("paint", Compare("eq", Field("colour", T.ENUM), Value("red", T.ENUM)))
        assert [{"id": "1", "colour": "red"}] == list(transaction.select(query))


def test_one_odd_value_does_not_cost_the_others_their_order(tmp_path: Path) -> None:
    """A value that SQLite would sort otherwise is sorted right, and when it is gone the index serves again."""
    store = SQLiteStore(tmp_path / "x.db", synchronous="normal")
    store.open([TABLE])
    query = Query(TABLE.name, order=(Order(Field("lane")),), fields=())
    with store.transaction(write=True) as transaction:
        transaction.put(
            TABLE.name, [{"id": "1", "lane": "a"}, {"id": "2", "lane": 5}, {"id": "3", "lane": "A"}]
        )
        assert ["2", "3", "1"] == [row["id"] for row in transaction.select(query)]
        transaction.put(
            TABLE.name, [{"id": "0", "lane": True}, {"id": "4", "lane": [1]}, {"id": "00", "lane": {}}]
        )
        assert ["0", "2", "3", "1", "00", "4"] == [row["id"] for row in transaction.select(query)]
    with store.transaction(write=False) as transaction:
        assert ["0", "2", "3", "1", "00", "4"] == [row["id"] for row in transaction.select(query)]
    with store.transaction(write=True) as transaction:
        assert 3 == transaction.delete(TABLE.name, ["0", "4", "00"])
        assert ["2", "3", "1"] == [row["id"] for row in transaction.select(query)]
    store.close()


def test_numbers_sort_exactly() -> None:
    """Integers, floats and decimals sort as one line of exact numbers."""
    texts = [
        "-1e999999999999",
        "-1e400",
        "-9223372036854775808",
        "-1.5",
        "-1.25",
        "-1",
        "-0.5",
        "-5e-324",
        "0",
        "5e-324",
        "0.1",
        "0.11",
    ]
    texts += ["1", "1.0000000001", "2", "10", "11", "100", "9007199254740993", "1e400", "1e999999999999"]
    keys = [sort_key(f"d{text}".encode()) for text in texts]
    assert sorted(keys) == keys
    assert sort_key(1) == sort_key(1.0) == sort_key(b"d1.00")
    assert sort_key(2**53) < sort_key(2**53 + 1)
    assert sort_key(0) == sort_key(-0.0) == sort_key(b"d-0E+5")


def test_select_streams(store: SQLiteStore) -> None:
    """Memory does not grow with the number of rows that are read."""
    big = TableSchema("big", (Column("text", T.STRING), Column("number", T.INTEGER)))
    store.open([big])
    with store.transaction(write=True) as transaction:
        transaction.put("big", [{"id": f"{n}", "text": "x" * 500, "number": -n} for n in range(20_000)])
    for query in (Query("big"), Query("big", compare("le", "number", 0), (Order(Field("number")),))):
        with store.transaction(write=False) as transaction:
            tracemalloc.start()
            count = sum(1 for _ in transaction.select(query))
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert 20_000 == count
        assert peak < 2_000_000


def test_id_lists_are_cut_into_few_sizes() -> None:
    """Lists of ids of any length are asked for in statements of four sizes, so that they stay prepared. [M22]"""
    for count in (0, 1, 2, 8, 9, 64, 65, 512, 513, 1024, 1025, 40_000):
        cut = list(chunks(count))
        assert {size for _, size in cut} <= {1, 8, 64, 512}
        covered = [n for first, size in cut for n in range(first, min(first + size, count))]
        assert list(range(count)) == covered


@pytest.mark.parametrize(("synchronous", "level"), [("full", 2), ("normal", 1)])
def test_commits_are_as_durable_as_asked(tmp_path: Path, synchronous: Synchronous, level: int) -> None:
    """Every connection writes ahead (WAL) and syncs as asked: full survives power loss."""
    store = SQLiteStore(tmp_path / "x.db", synchronous=synchronous)
    store.open([TABLE])
    connections = [store.borrow() for _ in range(3)]
    for connection in connections:
        assert level == connection.pragma("synchronous")
        assert "wal" == connection.pragma("journal_mode")
        store.give_back(connection)
    store.close()
