"""Queries as text: what was written is read, and what cannot be read is said."""

from typing import Any

import pytest

from tests.api.support import SOME_DAY, TODOS
from tidesync.encoding import decode_query, encode_query
from tidesync.query import Expr, Query

c = TODOS.c
CONDITIONS: list[Any] = [
    c.complete,
    ~c.complete & (c.text == 'it\'s 100% "sure"'),
    (c.text.contains("_") | c.text.startswith("%")) & (c.due >= SOME_DAY),
    c.list_id.is_null() | c.text.is_in(["a", "b"]),
    (c.text.length() * 2 + 1) % 3 == 0,
    c.text.lower().endswith("ü😀"),
    c.due.year() == 2024,
]


def where(condition: Any) -> Expr:
    found = TODOS.where(condition)
    assert found is not None
    return found


@pytest.mark.parametrize("number", range(len(CONDITIONS)))
def test_what_was_written_is_read(number: int) -> None:
    """A condition's text is read back as the same condition, and has one text. [N10]"""
    query = Query("todo", where(CONDITIONS[number]))
    text = encode_query(query)
    assert (query, text) == (decode_query(text), encode_query(decode_query(text)))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('["explode", 1]', "explode"),
        ('["compare", "eq", ["field", "text", "string"], ["oops"]]', "oops"),
        ('["and", ["not", ["what", "ever"]]]', "what"),
        ("5", "5"),
    ],
)
def test_a_broken_text_says_where(text: str, part: str) -> None:
    """What is no condition is an error that shows the part which cannot be read. [N10]"""
    parts = (
        '{"table": "todo", "where": %s, "order": [], "skip": 0, "take": null, "fields": null, "total": false}'
    )
    with pytest.raises(ValueError, match=part):
        _ = decode_query(parts % text)
