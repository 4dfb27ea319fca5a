"""Each column type has one canonical JSON form, which keeps order where the table of values.py says so."""

import enum
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidesync.errors import InvalidRecord
from tidesync.records import same
from tidesync.values import ColumnType, canonical, decode, encode, is_canonical

INSTANTS = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001
    max_value=datetime(9998, 12, 31),  # noqa: DTZ001  # Hypothesis wants them so
    timezones=st.timezones() | st.just(UTC),
)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    ColumnType.STRING: TEXTS,
    ColumnType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    ColumnType.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    ColumnType.BOOLEAN: st.booleans(),
    ColumnType.DATETIME: INSTANTS,
    ColumnType.DATE: st.dates(),
    ColumnType.TIME: st.times(),
    ColumnType.DECIMAL: DECIMALS,
    ColumnType.UUID: st.uuids(),
    ColumnType.BYTES: st.binary(),
}
ORDERED = tuple(type for type in VALUES if type not in (ColumnType.DECIMAL, ColumnType.BYTES))
ANY_VALUE = st.sampled_from(list(VALUES)).flatmap(lambda type: st.tuples(st.just(type), VALUES[type]))


class Mood(enum.Enum):
    """Text values."""

    GOOD = "good"
    BAD = "bad"


class Code(enum.IntEnum):
    """Integer values."""

    ONE = 1


@given(ANY_VALUE)
def test_a_value_comes_back_as_it_was(case: tuple[ColumnType, Any]) -> None:
    """Decoding what was encoded gives an equal value, also after a trip through JSON text. [E25]"""
    type, value = case
    found = decode(type, json.loads(json.dumps(encode(type, value))))
    assert value == found
    if type is ColumnType.DECIMAL:
        assert str(value) == str(found)


@given(ANY_VALUE)
def test_what_is_encoded_is_canonical(case: tuple[ColumnType, Any]) -> None:
    """The canonical form is a fixed point."""
    type, value = case
    found = encode(type, value)
    assert is_canonical(type, found)
    assert same(found, canonical(type, found))


@pytest.mark.parametrize("type", ORDERED, ids=lambda type: type.value)
@given(data=st.data())
def test_canonical_forms_keep_order(type: ColumnType, data: st.DataObject) -> None:
    """Sorting canonical forms is sorting values, for every type that is ordered as stored."""
    values = data.draw(st.lists(VALUES[type], max_size=8))
    encoded: list[Any] = [encode(type, value) for value in values]
    assert [encode(type, value) for value in sorted(values)] == sorted(encoded)


@given(INSTANTS)
def test_an_instant_has_27_characters_in_utc(value: datetime) -> None:
    """A fixed width is what makes text order time order."""
    text = encode(ColumnType.DATETIME, value)
    assert isinstance(text, str)
    assert (27, "Z") == (len(text), text[-1])
    assert decode(ColumnType.DATETIME, text) == value.astimezone(UTC)


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        (ColumnType.DATETIME, datetime(2026, 11, 20, 3, 45, 5, 507000, UTC), "2026-11-20T03:45:05.507000Z"),
        (ColumnType.DATETIME, datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
        (
            ColumnType.DATETIME,
            datetime(1969, 12, 31, 23, 0, tzinfo=timezone(timedelta(hours=-2))),
            "1970-01-01T01:00:00.000000Z",
        ),
        (ColumnType.DATE, date(2026, 1, 2), "2026-01-02"),
        (ColumnType.TIME, time(3, 4), "03:04:00.000000"),
        (ColumnType.DECIMAL, Decimal("1.50"), "1.50"),
        (ColumnType.DECIMAL, Decimal("1E+30"), "1E+30"),
        (ColumnType.DECIMAL, 7, "7"),
        (
            ColumnType.UUID,
            UUID("0190A6F2-7C1E-7A3B-8F00-1234567890AB"),
            "0190a6f2-7c1e-7a3b-8f00-1234567890ab",
        ),
        (ColumnType.ENUM, Mood.GOOD, "good"),
        (ColumnType.ENUM, Code.ONE, 1),
        (ColumnType.BYTES, b"\x00\xff", "AP8="),
        (ColumnType.FLOAT, 5, 5.0),
        (ColumnType.STRING, None, None),
    ],
)
def test_the_canonical_form(type: ColumnType, value: object, expected: object) -> None:
    """One form per type, as the table of values.py says. [N18]"""
    assert expected == encode(type, value)


@pytest.mark.parametrize(
    ("type", "value", "reason"),
    [
        (ColumnType.DATETIME, datetime(2026, 1, 1), "no time zone"),  # noqa: DTZ001  # naive on purpose
        (ColumnType.DATETIME, datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), "years 1 to 9999"),
        (ColumnType.DATETIME, date(2026, 1, 1), "aware datetime"),
        (ColumnType.DATETIME, "2026-01-01T00:00:00.000000Z", "aware datetime"),
        (ColumnType.DATE, datetime(2026, 1, 1, tzinfo=UTC), "give a date"),
        (ColumnType.TIME, time(1, tzinfo=UTC), "time zone"),
        (ColumnType.DECIMAL, 1.5, "Decimal"),
        (ColumnType.DECIMAL, Decimal("NaN"), "None"),
        (ColumnType.DECIMAL, True, "Decimal"),
        (ColumnType.INTEGER, True, "int"),
        (ColumnType.INTEGER, 1.0, "int"),
        (ColumnType.INTEGER, 2**63, "64 bits"),
        (ColumnType.FLOAT, float("nan"), "JSON"),
        (ColumnType.FLOAT, float("inf"), "JSON"),
        (ColumnType.FLOAT, 2**53 + 1, "exactly"),
        (ColumnType.FLOAT, "1.5", "float"),
        (ColumnType.BOOLEAN, 1, "True or False"),
        (ColumnType.STRING, 1, "str"),
        (ColumnType.STRING, "\ud800", "surrogate"),
        (ColumnType.UUID, "0190a6f2-7c1e-7a3b-8f00-1234567890ab", "UUID"),
        (ColumnType.BYTES, "AP8=", "bytes"),
        (ColumnType.ENUM, 1.5, "int"),
        (ColumnType.JSON, {1, 2}, "JSON"),
        (ColumnType.ANY, (1, 2), "JSON"),
    ],
)
def test_what_a_column_cannot_hold(type: ColumnType, value: object, reason: str) -> None:
    """A value of the wrong kind is refused, naming table, field, type and what to do."""
    with pytest.raises(InvalidRecord, match=reason) as caught:
        _ = encode(type, value, table="todoitem", field="due")
    name = value.__class__.__name__
    assert ("todoitem", "due", name) == (caught.value.table, caught.value.field, caught.value.value_type)


@pytest.mark.parametrize(
    ("type", "spelling", "expected"),
    [
        (ColumnType.DATETIME, "2026-11-20T03:45:05Z", "2026-11-20T03:45:05.000000Z"),
        (ColumnType.DATETIME, "2026-11-20T03:45:05.5Z", "2026-11-20T03:45:05.500000Z"),
        (ColumnType.DATETIME, "2026-11-20T03:45:05.1234567+01:00", "2026-11-20T02:45:05.123456Z"),
        (ColumnType.DATETIME, "2026-11-20T03:45:05", "2026-11-20T03:45:05"),
        (ColumnType.DATETIME, "2026-02-31T03:45:05Z", "2026-02-31T03:45:05Z"),
        (ColumnType.DATETIME, "0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00+05:00"),
        (ColumnType.TIME, "03:45", "03:45:00.000000"),
        (ColumnType.TIME, "03:45:05.1234567", "03:45:05.123456"),
        (ColumnType.TIME, "25:00", "25:00"),
        (ColumnType.DATE, "2026-W01-1", "2026-W01-1"),
        (ColumnType.DECIMAL, 1.5, "1.5"),
        (ColumnType.DECIMAL, "1,5", "1,5"),
        (ColumnType.UUID, "0190A6F2-7C1E-7A3B-8F00-1234567890AB", "0190a6f2-7c1e-7a3b-8f00-1234567890ab"),
        (ColumnType.UUID, "{0190a6f27c1e7a3b8f001234567890ab}", "{0190a6f27c1e7a3b8f001234567890ab}"),
        (ColumnType.FLOAT, 5, 5.0),
        pytest.param(ColumnType.FLOAT, 10**309, 10**309, id="too-large-a-float"),
        (ColumnType.BYTES, "AP8", "AP8"),
        (ColumnType.INTEGER, 5.0, 5.0),
    ],
)
def test_other_spellings_become_canonical(type: ColumnType, spelling: Any, expected: object) -> None:
    """Another spelling of a value becomes the canonical one; what is no value of the type stays as it is."""
    assert expected == canonical(type, spelling)


def test_decimals_ignore_the_context_of_the_thread() -> None:
    """A DECIMAL is exact, however few digits the thread computes with. [R-N25]"""
    with localcontext() as context:
        context.prec = 3
        text = encode(ColumnType.DECIMAL, Decimal("1234.56789"))
        assert "1234.56789" == text
        assert Decimal("1234.56789") == decode(ColumnType.DECIMAL, text)
