"""Records between their local form and the wire's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.http.support import TODO
from tidesync.errors import ConfigurationError
from tidesync.records import Json, Record, Tombstone, same
from tidesync.schema import Column, TableSchema
from tidesync.transports.http.values import Form, Unsendable, canonical_moment, shifted, wire_moment
from tidesync.transports.http.wire import from_json, to_json
from tidesync.values import ColumnType

FORM2, FORM3 = Form(TODO, "2.0"), Form(TODO, "3.0")
VALUES = {
    "text": st.none() | st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    "complete": st.none() | st.booleans(),
    "priority": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "count": st.none() | st.integers(-(2**53), 2**53),
    "due": st.none() | st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "Z"),
    "price": st.none() | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "extra": st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text(st.characters(exclude_categories=("Cs",)), max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)
        ),
        max_leaves=4,
    ),
    "created_on": st.none() | st.just("today"),
    "unnamed": st.none() | st.booleans() | st.just("kept"),
}


@given(st.fixed_dictionaries({}, optional=VALUES), st.sampled_from([FORM2, FORM3]))
def test_what_is_sent_reads_back_the_same(fields: Record, form: Form) -> None:
    """Every value of every column type survives the cycle, also in undeclared fields. [E25] [M06]"""
    body = from_json(to_json({"id": "a", **form.encode(fields, fields), "version": "AAA="}), form)
    id, copy = form.read(body)
    assert isinstance(copy, dict)
    assert "a" == id
    assert same({"id": "a", "version": "AAA=", **fields}, copy)


@pytest.mark.parametrize(
    ("wire", "local"),
    [
        ("2026-11-20T03:45:05.507Z", "2026-11-20T03:45:05.507000Z"),
        ("2026-11-20T03:45:05Z", "2026-11-20T03:45:05.000000Z"),
        ("2026-11-20T03:45:05.5076543Z", "2026-11-20T03:45:05.507654Z"),
        ("2026-11-20T05:45:05.507+02:00", "2026-11-20T03:45:05.507000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("2026-11-20T03:45:05.507", "2026-11-20T03:45:05.507"),  # no zone: nobody knows which
        ("0001-01-01T00:00:00+02:00", "0001-01-01T00:00:00+02:00"),  # before the year 1
        ("2026-02-30T03:45:05Z", "2026-02-30T03:45:05Z"),
        ("soon", "soon"),
        (12, 12),
        (None, None),
    ],
)
def test_dates_of_any_form_become_canonical(wire: Json, local: Json) -> None:
    """Any offset and number of decimals is the same moment; what is none stays as it is. [N02]"""
    assert local == canonical_moment(wire)


def test_dates_are_sent_with_as_many_decimals_as_they_need() -> None:
    """Three decimals as on the wire, six where microseconds would be lost."""
    assert "2026-11-20T03:45:05.507Z" == wire_moment("2026-11-20T03:45:05.507000Z")
    assert "2026-11-20T03:45:05.507001Z" == wire_moment("2026-11-20T03:45:05.507001Z")


def test_a_moment_never_leaves_the_calendar() -> None:
    """Rewinding stops at the year 1."""
    assert "0001-01-01T00:00:00.000Z" == shifted("0001-01-01T00:00:05.000Z", -10)
    assert "2026-11-20T03:44:55.507Z" == shifted("2026-11-20T03:45:05.507Z", -10)


def test_json_is_text_on_2_and_itself_on_3() -> None:
    """A structure raw in a text column of the 2.0 server becomes "[object Object]"."""
    assert {"extra": '{"a":[1]}'} == FORM2.encode({"extra": {"a": [1]}}, ["extra"])
    assert {"extra": {"a": [1]}} == FORM3.encode({"extra": {"a": [1]}}, ["extra"])
    assert {"a": [1]} == _read({"extra": '{"a":[1]}'})["extra"]
    assert "not json" == _read({"extra": "not json"})["extra"]


def test_renamed_columns_travel_under_their_wire_names() -> None:
    """`created_on` is `createdOn` on the wire, both ways; a stranger of the same name keeps apart."""
    assert {"createdOn": "x"} == FORM2.encode({"created_on": "x"}, ["created_on"])
    read = _read({"createdOn": "x", "created_on": "y"})
    assert ("x", "y") == (read["created_on"], read["~created_on"])
    assert {"created_on": "y"} == FORM2.encode(read, ["~created_on"])


def test_a_strangers_field_never_poses_as_a_system_field() -> None:
    """A column called created_at is not the remote's own createdAt, and comes back where it was."""
    read = _read({"created_at": "theirs", "__hidden": 1, "createdAt": "2026-11-20T03:45:05.507Z"})
    assert ("theirs", 1) == (read["~created_at"], read["__hidden"])
    assert "2026-11-20T03:45:05.507000Z" == read["created_at"]
    fields = ["~created_at", "__hidden"]
    assert {"created_at": "theirs", "__hidden": 1} == FORM2.encode(read, fields)


def test_deleted_rows_are_tombstones() -> None:
    """`deleted` marks a tombstone, and is no field of a record."""
    assert ("a", Tombstone("AAA=")) == FORM2.read({"id": "a", "version": "AAA=", "deleted": True})
    assert "deleted" not in _read({"deleted": False})


def test_the_form_that_was_sent_is_kept_where_the_server_changes_only_the_form() -> None:
    """5.0 comes back as 5 and microseconds as milliseconds: that is no other value, and no conflict."""
    sent: Record = {"id": "a", "loose": 5.0, "due": "2026-11-20T03:45:05.507123Z", "gone": None, "flag": True}
    row: Json = {"id": "a", "loose": 5, "due": "2026-11-20T03:45:05.507Z", "flag": 1}
    _, copy = FORM2.read(row, sent)
    assert isinstance(copy, dict)
    assert same({**sent, "flag": 1}, copy)
    _, other = FORM2.read({"id": "a", "due": "2026-11-20T03:45:05.508Z"}, sent)
    assert isinstance(other, dict)
    assert "2026-11-20T03:45:05.508000Z" == other["due"]


def test_numbers_become_what_the_column_holds() -> None:
    """JSON does not tell 5 from 5.0; the column does. Decimals keep every digit."""
    read = _read({"priority": 5, "count": 5.0, "price": 1.5})
    assert (float, int, "1.5") == (type(read["priority"]), type(read["count"]), read["price"])
    body = (
        b'[{"id":"a","price":123456789.1234567890123456789,"text":"x","extra":{"price":1.5},"priority":1.5}]'
    )
    (row,) = from_json(body, FORM3)
    expected: Record = {
        "id": "a",
        "price": "123456789.1234567890123456789",
        "text": "x",
        "extra": {"price": 1.5},
    }
    _, copy = FORM3.read(row)
    assert isinstance(copy, dict)
    assert same({**expected, "priority": 1.5}, copy)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "null"), ("x", "text"), ([], "an array"), (1, "a number"), (True, "a boolean"),
        ({}, "id"), ({"id": ""}, "empty"), ({"id": 42}, "int"), ({"id": None}, "None"),
        ({"id": "a\x00"}, "control"),
        ({"id": "a", "version": 7}, "version is a number"),
        ({"id": "a", "x": float("nan")}, "nan"), ({"id": "a", "x": 2**64}, "64 bits"),
        ({"id": "a", "x": "\ud800"}, "surrogate"), ({"id": "a", "\ud800": 1}, "surrogate"),
    ],
)  # fmt: skip
def test_what_is_no_record_says_why(row: Json, reason: str) -> None:
    """Junk from the server is named, never taken for a record and never a crash. [J10] [R-J22]"""
    with pytest.raises(ValueError, match=reason):
        _ = FORM2.read(row)


@pytest.mark.parametrize("wire", ["id", "deleted", "createdAt", "updatedat", "Version"])
def test_reserved_wire_names_cannot_be_declared(wire: str) -> None:
    """A column may not take the place of a system column."""
    with pytest.raises(ConfigurationError, match="reserve"):
        _ = Form(TableSchema("t", (Column("mine", ColumnType.STRING, wire=wire),)), "2.0")


def test_names_that_mean_something_else_are_not_sent() -> None:
    """An undeclared field called like a system column would be another thing at the remote."""
    for field in ("deleted", "Deleted", "createdAt"):
        with pytest.raises(Unsendable):
            _ = FORM2.encode({field: True}, [field])


def _read(fields: dict[str, Json]) -> Record:
    _, copy = FORM2.read({"id": "a", **fields})
    assert isinstance(copy, dict)
    return copy


@pytest.mark.parametrize(
    ("wire", "local"),
    [
        (3, 3.0),
        (2**53 + 1, 2**53 + 1),
        (2**62, 2.0**62),
        (69273960235351660, 6.927396023535166e16),
        (2**63, 2.0**63),
        (123456789012345680000, 1.2345678901234568e20),
    ],
)
def test_a_large_float_comes_without_a_fraction(wire: int, local: Json) -> None:
    """An integer in a FLOAT column is the float that it is exactly, or the nearest where it fits no 64 bits."""
    body = from_json(to_json({"id": "a", "priority": 0, "version": "AAA="}), FORM2)
    _, copy = FORM2.read({**body, "priority": wire})
    assert isinstance(copy, dict)
    assert same(local, copy["priority"])
