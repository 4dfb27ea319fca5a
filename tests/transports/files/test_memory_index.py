"""The index in memory answers as the memory store does, whatever was written and in which order."""

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from tidesync.contracts.store import StoreTransaction
from tidesync.query import And, Compare, Field, Order, Query, Value, equals
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.stores import MemoryStore
from tidesync.transports.files.memory import MemoryIndex
from tidesync.values import ColumnType

TABLE = TableSchema(
    "item", (Column("_sequence", ColumnType.INTEGER), Column("_deleted", ColumnType.BOOLEAN)), {}
)
SEQUENCE = Field("_sequence", ColumnType.INTEGER)

ids = st.sampled_from("abcdef")
rows = st.builds(
    lambda id, sequence, deleted: {"id": id, "_sequence": sequence, "_deleted": deleted},
    ids,
    st.integers(1, 30),
    st.booleans(),
)
steps = st.lists(st.tuples(st.lists(rows, max_size=3), st.lists(ids, max_size=1), st.booleans()), max_size=8)


def _queries() -> list[Query]:
    live = equals("_deleted", False, ColumnType.BOOLEAN)
    orders = [(Order(SEQUENCE),), (Order(SEQUENCE, descending=True),), ()]
    afters = [Compare("gt", SEQUENCE, Value(number, ColumnType.INTEGER)) for number in (0, 7, 20)]
    wheres = [None, live, *afters, *(And((live, after)) for after in afters)]
    return [
        Query("item", where, order, skip, take)
        for where in wheres
        for order in orders
        for skip, take in ((0, None), (0, 2), (1, 2), (0, 0))
    ]


QUERIES = _queries()


def _answers(transaction: StoreTransaction) -> list[list[Record]]:
    return [list(transaction.select(query)) for query in QUERIES]


@given(steps)
@settings(max_examples=20)
def test_it_answers_as_the_memory_store_does(history: list[tuple[list[Record], list[str], bool]]) -> None:
    """Rows that grow in sequence and others, written again, deleted, and rolled back; also inside the transaction."""
    plain, quick = MemoryStore(), MemoryIndex()
    for store in (plain, quick):
        store.open([TABLE])
    for written, gone, fails in history:
        found = []
        for store in (plain, quick):
            try:
                with store.transaction(write=True) as transaction:
                    transaction.put("item", written)
                    _ = transaction.delete("item", gone)
                    found.append(_answers(transaction))
                    if fails:
                        raise LookupError
            except LookupError:
                pass
            with store.transaction(write=False) as transaction:
                found.append(_answers(transaction))
        assert found[:2] == found[2:]


def test_a_reader_sees_what_it_began_with() -> None:
    """Whatever is written meanwhile by others, and also where the order is made anew."""
    store = MemoryIndex()
    store.open([TABLE])

    def write(*rows: tuple[str, int]) -> None:
        with store.transaction(write=True) as transaction:
            transaction.put(
                "item", [{"id": id, "_sequence": number, "_deleted": False} for id, number in rows]
            )

    write(("a", 1), ("b", 2), ("c", 3))
    query = Query("item", Compare("gt", SEQUENCE, Value(0, ColumnType.INTEGER)), (Order(SEQUENCE),))
    with store.transaction(write=False) as reading:
        before = list(reading.select(query))
        for changes in ([("a", 4)], [("d", 5)], [("b", 0), ("e", 1)], [("f", 6)]):
            writer = threading.Thread(target=write, args=changes)
            writer.start()
            writer.join()
            assert before == list(reading.select(query))
    with store.transaction(write=False) as reading:
        assert ["e", "c", "a", "d", "f"] == [row["id"] for row in reading.select(query)]


def test_the_order_does_not_grow_with_the_writes() -> None:
    """Sequences that are no row's any more go, once there are more of them than rows."""
    store = MemoryIndex()
    store.open([TABLE])
    for number in range(1, 3000):
        with store.transaction(write=True) as transaction:
            transaction.put("item", [{"id": "a", "_sequence": number, "_deleted": False}])

    assert len(store.places["item"]) < 1100
