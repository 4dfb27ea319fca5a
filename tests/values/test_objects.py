"""Objects become records and come back, and nothing that a class does not name is lost on the way."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.values.strategies import JSON, Case, Mood, cases, objects, records
from tidesync.declare import table
from tidesync.errors import InvalidId, InvalidRecord, UnknownColumn
from tidesync.records import Json, Record, same


@attrs.define
class Place:
    """A nested class."""

    street: str
    number: int = 0


@attrs.define
class TodoItem:
    """The class of most tests."""

    id: str
    text: str
    complete: bool = False
    rating: float | None = None
    due: datetime | None = None
    place: Place | None = None
    stops: list[Place] = attrs.field(factory=list)
    version: str | None = None
    updated_at: datetime | None = None


@dataclass
class Trimmed:
    """A class that changes what it is given."""

    id: str
    text: str
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text = self.text.strip()
        if self.text == "refuse":
            raise RuntimeError("not that")


TODOS = table(TodoItem)
DICTS = table("todoitem", {"text": str, "due": datetime, "price": Decimal})
DUE = datetime(2026, 11, 20, 3, 45, tzinfo=UTC)
DUE_TEXT = "2026-11-20T03:45:00.000000Z"


def test_an_object_becomes_a_record() -> None:
    """Each column has its canonical form; system fields come along where they are known. [E25]"""
    item = TodoItem("1", "x", due=DUE, place=Place("Elm"), version="v1", updated_at=DUE)
    expected: Record = {
        "id": "1", "text": "x", "complete": False, "rating": None, "due": DUE_TEXT,
        "place": {"street": "Elm", "number": 0}, "stops": [], "version": "v1", "updated_at": DUE_TEXT,
    }  # fmt: skip
    assert expected == TODOS.to_record(item)
    assert item == TODOS.from_record(expected)


def test_dicts_are_records_with_python_values() -> None:
    """A table of dicts takes columns as Python values or canonical JSON, and other fields as JSON."""
    expected: Record = {"id": "1", "due": DUE_TEXT, "price": "1.50", "extra": [1, {"a": None}]}
    given_: dict[str, Any] = {"id": "1", "due": DUE, "price": Decimal("1.50"), "extra": [1, {"a": None}]}
    assert expected == DICTS.to_record(given_)
    assert expected == DICTS.to_record(expected)
    assert given_ == DICTS.from_record(expected)


def test_a_dict_may_be_part_of_a_record() -> None:
    """A dict may name some fields of a class only; a null that a default replaces is taken as it is."""
    assert {"id": "1", "complete": None, "extra": 1} == TODOS.to_record(
        {"id": "1", "complete": None, "extra": 1}
    )


def test_a_record_shares_nothing_with_the_object() -> None:
    """Changing the object later does not change the record made of it."""
    extra: dict[str, Any] = {"id": "1", "extra": [1]}
    record = DICTS.to_record(extra)
    extra["extra"].append(2)
    assert [1] == record["extra"]


@pytest.mark.parametrize("id", ["", None])
def test_an_empty_id_is_left_out(id: Any) -> None:
    """An insert may leave the id to tidesync. [B01]"""
    assert "id" not in TODOS.to_record(TodoItem(id, "x"))
    assert "id" not in DICTS.to_record({"id": id})


def test_an_illegal_id_is_refused() -> None:
    """An object with an id that no remote could hold becomes no record. [B21]"""
    with pytest.raises(InvalidId, match="control"):
        _ = TODOS.to_record(TodoItem("a\n", "x"))
    with pytest.raises(InvalidId, match="int"):
        _ = DICTS.to_record({"id": 5})


@pytest.mark.parametrize(
    ("obj", "field", "type"),
    [
        (TodoItem("1", 5), "text", "int"),  # type: ignore[arg-type]
        (TodoItem("1", None), "text", "null"),  # type: ignore[arg-type]
        (TodoItem("1", "x", due=datetime(2026, 1, 1)), "due", "datetime"),  # noqa: DTZ001  # naive on purpose
        (TodoItem("1", "x", place={"street": "Elm"}), "place", "dict"),  # type: ignore[arg-type]
        (TodoItem("1", "x", place=Place(5)), "place", "Place"),  # type: ignore[arg-type]
        (TodoItem("1", "x", stops="abc"), "stops", "str"),  # type: ignore[arg-type]
        (TodoItem("1", "x", version=5), "version", "int"),  # type: ignore[arg-type]
        (Place("Elm"), "", "Place"),
        (None, "", "null"),
        ({"id": "1", "text": 5}, "text", "int"),
        ({"id": "1", "text": "x", "due": "tomorrow"}, "due", "str"),
        ({"id": "1", "text": "x", "extra": {1}}, "extra", "set"),
        ({"id": "1", "text": "x", 5: 1}, "5", "int"),
    ],
)
def test_what_does_not_fit_is_refused(obj: Any, field: str, type: str) -> None:
    """A value of the wrong type is refused, naming table, field and type. [B08]"""
    with pytest.raises(InvalidRecord) as caught:
        _ = TODOS.to_record(obj)
    assert ("todoitem", field, type) == (caught.value.table, caught.value.field, caught.value.value_type)


def test_the_wire_name_of_a_column_is_no_field() -> None:
    """The wire's name for a column is refused in a dict, with the right one, before two fields are one."""
    renamed = table("t", {"created_on": str}, rename="camel")
    with pytest.raises(InvalidRecord, match="'created_on'"):
        _ = renamed.to_record({"id": "1", "createdOn": "x"})


def test_reading_fills_in_what_is_absent() -> None:
    """Unknown fields are dropped; absent fields, and null where it does not fit, take the default. [M16]"""
    expected = TodoItem("1", "x", rating=None)
    assert expected == TODOS.from_record({"id": "1", "text": "x", "complete": None, "unheard": 5})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"id": "1"}, "text: a value of type absent"),
        ({"id": "1", "text": None}, "text: a value of type null"),
        ({"id": "1", "text": "x", "due": "tomorrow"}, "due: a value of type str"),
        ({"id": "1", "text": "x", "updated_at": "tomorrow"}, "updated_at"),
        ({"id": "1", "text": "x", "place": {"number": 1}}, "street is missing"),
        ({"id": "1", "text": "x", "stops": [{"street": "a"}, {"street": 5}]}, r"\[1\].street"),
        ({"id": "1", "text": "x", "stops": [[]]}, "list found where a dict"),
    ],
)
def test_what_cannot_be_read_is_refused(record: Record, reason: str) -> None:
    """A record that the class cannot hold is a typed error that names the field."""
    with pytest.raises(InvalidRecord, match=reason):
        _ = TODOS.from_record(record)


def test_a_refusal_of_the_class_is_chained() -> None:
    """What a constructor raises is the cause of a typed error."""
    with pytest.raises(InvalidRecord, match="not that") as caught:
        _ = table(Trimmed).from_record({"id": "1", "text": "refuse"})
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_dict_keeps_what_cannot_be_read() -> None:
    """A dict has the field as it is stored, and a single field reads the same."""
    record: Record = {"id": "1", "due": "tomorrow", "text": 5, "version": "v", "updated_at": DUE_TEXT}
    assert {**record, "updated_at": DUE} == DICTS.from_record(record)
    assert ["tomorrow", DUE, 5] == [
        DICTS.decode_field("due", "tomorrow"),
        TODOS.decode_field("due", DUE_TEXT),
        TODOS.decode_field("unheard", 5),
    ]


def test_changes() -> None:
    """Changes are canonical; columns that do not exist are refused with what was meant. [N21]"""
    assert {"complete": True, "due": DUE_TEXT, "rating": None} == TODOS.changes(
        complete=True, due=DUE, rating=None
    )
    assert {"anything": 1} == DICTS.changes(anything=1)
    with pytest.raises(UnknownColumn, match="did you mean 'complete'") as caught:
        _ = TODOS.changes(completed=True)
    assert ("todoitem", "completed", "complete") == (
        caught.value.table,
        caught.value.column,
        caught.value.suggestion,
    )
    for name in ("id", "version", "updated_at"):
        with pytest.raises(InvalidRecord, match="not a field that can be changed"):
            _ = TODOS.changes(**{name: "x"})


# -- writing over what is stored


@given(st.data(), cases())
def test_objects_come_back(data: st.DataObject, case: Case) -> None:
    """An object of any class is equal to the object read from its record, and its record fits. [M06]"""
    obj = data.draw(objects(case))
    record = case.table.to_record(obj)
    assert obj == case.table.from_record(record)
    assert case.table.fits(record) is None


@given(st.data(), cases())
def test_reading_and_writing_back_changes_nothing(data: st.DataObject, case: Case) -> None:
    """A record read as an object and written back unchanged is the stored record, to the last bit."""
    stored = data.draw(records(case))
    obj = case.table.from_record(stored)
    assert same(stored, case.table.overlay(obj, stored))


@given(st.data(), cases())
def test_an_edit_changes_what_it_names(data: st.DataObject, case: Case) -> None:
    """After an edit the object reads as it was written, and every other field is as it was."""
    stored, edited = data.draw(records(case)), data.draw(objects(case))
    result = case.table.overlay(edited, stored)
    written = case.table.from_record(result)
    for name in case.values:
        assert same(*(case.table.to_record(each)[name] for each in (edited, written)))
    others = {name: value for name, value in stored.items() if name not in case.values}
    assert same(others, {name: value for name, value in result.items() if name not in case.values})


@given(st.dictionaries(st.sampled_from(["text", "due", "price", "x", "y"]), JSON), JSON)
def test_dicts_written_back_change_nothing(fields: dict[str, Json], value: Json) -> None:
    """The same for dicts, whatever is stored; a field given anew is the only change. [M20]"""
    stored: Record = {"id": "1", "version": "v", **fields}
    assert same(
        stored, DICTS.overlay({**DICTS.from_record(stored), **fields}, stored) if _fits(stored) else stored
    )
    assert same({**stored, "z": value}, DICTS.overlay({"z": value}, stored))


def _fits(record: Record) -> bool:
    return DICTS.fits(record) is None


def test_unknown_fields_survive_at_any_depth() -> None:
    """An edit inside a nested object keeps what the class does not name there, in lists too."""
    stored: Record = {
        "id": "1", "text": "x", "rating": 5, "extra": 1, "version": "v",
        "place": {"street": "Elm", "floor": 3},
        "stops": [{"street": "a", "floor": 1}, {"street": "b", "floor": 2}, {"street": "c", "floor": 3}],
    }  # fmt: skip
    item = TODOS.from_record(stored)
    assert item.place is not None
    item.place.street = "Oak"
    item.stops = [item.stops[1], Place("new"), item.stops[2]]
    item.stops[2].number = 9
    expected: Record = {
        "id": "1", "text": "x", "rating": 5, "extra": 1, "version": "v",
        "place": {"street": "Oak", "floor": 3},
        "stops": [
            {"street": "b", "floor": 2}, {"street": "new", "number": 0},
            {"street": "c", "floor": 3, "number": 9},
        ],
    }  # fmt: skip
    assert same(expected, TODOS.overlay(item, stored))


def test_system_fields_of_the_object_are_not_written() -> None:
    """Version and times are the remote's: those of the stored record stay. [B18]"""
    stored: Record = {"id": "1", "text": "x", "version": "v2"}
    item = TodoItem("other", "y", version="v1", updated_at=DUE)
    assert {**stored, "text": "y"} == TODOS.overlay(item, stored)
    assert {**stored, "text": "y"} == TODOS.overlay({"id": "1", "text": "y", "version": "v1"}, stored)


def test_absent_is_not_null() -> None:
    """A default that was never stored stays absent; a null given by name is stored."""
    stored: Record = {"id": "1", "text": "x"}
    assert stored == TODOS.overlay(TodoItem("1", "x"), stored)
    assert {**stored, "rating": None} == TODOS.overlay({"rating": None}, stored)
    assert {**stored, "rating": 0.0} == TODOS.overlay(TodoItem("1", "x", rating=0.0), stored)


def test_a_class_that_changes_values_changes_nothing_by_itself() -> None:
    """What the constructor makes of a value is no edit."""
    trimmed = table(Trimmed)
    stored: Record = {"id": "1", "text": " x "}
    item = trimmed.from_record(stored)
    assert stored == trimmed.overlay(item, stored)
    item.tags.append("a")
    assert {**stored, "tags": ["a"]} == trimmed.overlay(item, stored)


def test_writing_over_what_cannot_be_read() -> None:
    """An object may replace a field that does not fit; unknown fields survive that too."""
    stored: Record = {"id": "1", "text": 5, "due": DUE_TEXT, "extra": 1}
    expected: Record = {"id": "1", "text": "x", "due": DUE_TEXT, "extra": 1}
    result = TODOS.overlay(TodoItem("1", "x", due=DUE), stored)
    assert expected == {name: result[name] for name in expected}


# -- what is pulled


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"complete": None, "due": DUE_TEXT, "rating": 5, "unheard": {}}, None),
        ({"text": None}, "todoitem.text: a value of type null does not fit a column of type string"),
        ({"text": 5}, "todoitem.text: a value of type int does not fit a column of type string"),
        ({"complete": 1}, "todoitem.complete: a value of type int"),
        ({"rating": "5"}, "todoitem.rating: a value of type str"),
        ({"due": "2026-11-20T03:45:00Z"}, "todoitem.due: a value of type str does not fit: .* canonical"),
        ({"due": "2026-02-31T03:45:00.000000Z"}, "todoitem.due"),
        ({"due": "2026-11-20T24:00:00.000000Z"}, "todoitem.due"),
        ({"place": {"number": 1}}, "todoitem.place: .* street is missing"),
        ({"stops": {}}, "todoitem.stops: a value of type dict"),
    ],
)
def test_what_fits(fields: Record, reason: str | None) -> None:
    """A pulled record fits its columns, or the reason names field and type."""
    found = TODOS.fits({"id": "1", "text": "x", **fields})
    if reason is None:
        assert found is None
    else:
        assert found is not None
        with pytest.raises(ValueError, match=reason):
            raise ValueError(found)


def test_a_missing_field_does_not_fit() -> None:
    """A column without a default must be there."""
    assert "todoitem.text is missing, and TodoItem has no default for it" == TODOS.fits({"id": "1"})


def test_an_unknown_member_does_not_fit() -> None:
    """An enum value of a newer application is named."""
    moods = table("t", {"mood": Mood})
    assert moods.fits({"id": "1", "mood": "good"}) is None
    assert "t.mood: a value of type str does not fit: 'ugly' is no value of Mood" == moods.fits(
        {"id": "1", "mood": "ugly"}
    )


@given(st.data(), cases())
def test_what_fits_can_be_read(data: st.DataObject, case: Case) -> None:
    """A record that fits becomes an object, whatever it holds."""
    record: Record = {
        "id": "1",
        **data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(case.values, JSON))),
    }
    if case.table.fits(record) is None:
        assert "1" == case.table.from_record(record).id


def test_canonical_records() -> None:
    """Other spellings in declared columns become canonical; the rest stays as it is."""
    record: Record = {"id": "1", "due": "2026-11-20T03:45:00Z", "price": 1.5, "x": "2026-11-20T03:45:00Z"}
    assert {**record, "due": DUE_TEXT, "price": "1.5"} == DICTS.canonical(record)
