"""The text of a query: one for each query, and back again."""

from hypothesis import given

from tidesync.conformance.strategies import queries
from tidesync.encoding import decode_query, encode_query
from tidesync.query import And, Compare, Expr, Field, Not, Query, Value
from tidesync.values import ColumnType


@given(queries())
def test_a_query_comes_back(query: Query) -> None:
    """Decoding the text of a query gives it again, of every type and value. [N17]"""
    found = decode_query(encode_query(query))
    assert query == found
    assert repr(query) == repr(found)


@given(queries(), queries())
def test_texts_tell_queries_apart(one: Query, other: Query) -> None:
    """Two queries have one text if and only if they are one query, by JSON type too."""
    assert (repr(one) == repr(other)) is (encode_query(one) == encode_query(other))


def test_the_text_is_stable() -> None:
    """The text is stored beside cursors: it may not change between releases."""
    where = And((Not(Field("a", ColumnType.BOOLEAN)), Compare("eq", Field("b"), Value(1.0))))
    expected = (
        '{"table":"t","where":["and",["not",["field","a","boolean"]],["compare","eq",["field","b","any"],'
        '["value",1.0,"any"]]],"order":[],"skip":0,"take":null,"fields":null,"total":false}'
    )
    assert expected == encode_query(Query("t", where))


def test_a_deep_query_has_a_text() -> None:
    """The text has no limit of depth as stored JSON has."""
    where: Expr = Field("a")
    for _ in range(100):
        where = Not(where)
    assert Query("t", where) == decode_query(encode_query(Query("t", where)))
