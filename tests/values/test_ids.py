"""Ids, what JSON is, and when two values are the same."""

import time
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidesync.errors import InvalidId, InvalidRecord
from tidesync.records import (
    DEPTH_LIMIT,
    ID_LIMIT,
    INT_MAX,
    INT_MIN,
    check_id,
    check_json,
    check_record,
    claim_minted,
    new_id,
    same,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(INT_MIN, INT_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcé", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("id", ["a", "x" * ID_LIMIT, "é/ ?#&=%_'\"", "\U0001f600", " ", "0"])
def test_legal_ids(id: str) -> None:
    """Any text of 1 to 255 characters without control characters is an id, and stays as it is. [M14]"""
    assert id == check_id("t", id)


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("", "empty"),
        ("x" * (ID_LIMIT + 1), "256 characters"),
        ("a\x00b", "U\\+0000"),
        ("a\nb", "U\\+000A"),
        ("\x7f", "U\\+007F"),
        ("\x9f", "U\\+009F"),
        ("\ud800", "surrogate"),
        (None, "NoneType"),
        (5, "int"),
        (b"a", "bytes"),
    ],
)
def test_illegal_ids(id: object, reason: str) -> None:
    """An id that some remote could not hold is refused, saying why. [B21]"""
    with pytest.raises(InvalidId, match=reason) as caught:
        _ = check_id("t", id)
    assert ("t", id) == (caught.value.table, caught.value.id)


def test_new_ids_are_uuids_of_version_7() -> None:
    """A new id is a legal UUID of version 7 (RFC 9562) that carries the time in milliseconds. [B05]"""
    before = time.time_ns() // 1_000_000
    made = [UUID(new_id()) for _ in range(100)]
    after = time.time_ns() // 1_000_000
    assert {(7, "specified in RFC 4122")} == {(id.version, id.variant) for id in made}
    assert all(before <= id.int >> 80 <= after for id in made)


def test_new_ids_are_unique_and_ordered_by_millisecond() -> None:
    """Ids never repeat, and sort by the millisecond they were made in."""
    made = [new_id() for _ in range(10_000)]
    assert len(made) == len(set(made))
    stamps = [id[:13] for id in made]
    assert sorted(stamps) == stamps


def test_a_minted_id_is_claimed_once() -> None:
    """Only the first insert under a new id may take the remote's copy for its own."""
    id = new_id()
    assert [True, False] == [claim_minted(id), claim_minted(id)]
    assert not claim_minted("never made")


@given(JSON)
def test_json_is_legal(value: Any) -> None:
    """Every JSON value within the limits may be stored. [M20]"""
    check_json("t", "f", value)


def _nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


@pytest.mark.parametrize(
    "value", [_nested(DEPTH_LIMIT), INT_MIN, INT_MAX, 5e-324, -0.0, "\x00", "\U0010ffff"]
)
def test_json_at_its_limits(value: object) -> None:
    """The limits themselves are legal."""
    check_json("t", "f", value)


@pytest.mark.parametrize(
    ("value", "field", "type", "reason"),
    [
        (_nested(DEPTH_LIMIT + 1), None, "dict", "64 levels"),
        (INT_MAX + 1, "f", "int", "64 bits"),
        (INT_MIN - 1, "f", "int", "64 bits"),
        (float("nan"), "f", "float", "nan"),
        ([1, {"a": float("-inf")}], "f[1].a", "float", "inf"),
        ("a\udc00", "f", "str", "surrogate"),
        ({"\ud800": 1}, "f", "str", "surrogate"),
        ({"a": {1: 2}}, "f.a", "dict", "key 1"),
        ((1, 2), "f", "tuple", "not JSON"),
        ([{1}], "f[0]", "set", "not JSON"),
        (b"", "f", "bytes", "not JSON"),
    ],
)
def test_what_is_not_json(value: object, field: str | None, type: str, reason: str) -> None:
    """What a store or a remote could not carry is refused, with its place and type named."""
    with pytest.raises(InvalidRecord, match=reason) as caught:
        check_json("t", "f", value)
    assert "t" == caught.value.table
    assert type == caught.value.value_type
    assert field is None or field == caught.value.field


def test_a_list_inside_itself_is_refused() -> None:
    """Something endless ends at the depth limit."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidRecord, match="levels"):
        check_json("t", "f", endless)


@pytest.mark.parametrize(
    ("record", "field"), [({"id": "1", 5: 1}, "5"), ({"id": "1", "\ud800": 1}, "'\\ud800'")]
)
def test_field_names_are_text(record: dict[Any, object], field: str) -> None:
    """The name of a field is text that can be encoded."""
    with pytest.raises(InvalidRecord) as caught:
        _ = check_record("t", record)
    assert field == caught.value.field


def test_a_checked_record_gives_its_id() -> None:
    """A legal record is answered with its id, one without a usable id is `InvalidId`."""
    assert "1" == check_record("t", {"id": "1", "x": [None]})
    with pytest.raises(InvalidId):
        _ = check_record("t", {"x": 1})


@given(JSON, JSON)
def test_sameness_is_by_json_type(a: Any, b: Any) -> None:
    """Two values are the same if and only if their JSON is written alike, whatever the order of keys."""
    assert (_written(a) == _written(b)) is same(a, b)
    assert same(a, a)


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{_written(value[key])}" for key in sorted(value)) + "}"
    return "[" + ",".join(map(_written, value)) + "]" if isinstance(value, list) else repr(value)


@pytest.mark.parametrize(
    ("a", "b"), [(True, 1), (1, 1.0), (0.0, -0.0), (None, False), ("1", 1), ([], {}), ([1], [True])]
)
def test_alike_is_not_the_same(a: Any, b: Any) -> None:
    """True is not 1, 1 is not 1.0, and zero has a sign."""
    assert not same(a, b)
    assert not same({"k": a}, {"k": b})
