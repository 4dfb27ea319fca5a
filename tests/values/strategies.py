"""Random classes, objects of them, and records that a remote could have sent for them."""

import enum
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import attrs
from hypothesis import strategies as st

from tidesync.declare import table
from tidesync.objects import Table
from tidesync.records import Json, Record

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)


class Mood(enum.Enum):
    """Text values."""

    GOOD = "good"
    BAD = "bad"


@attrs.frozen
class Point:
    """A nested class."""

    x: int
    label: str = ""
    seen: datetime | None = None


POINTS = st.builds(Point, st.integers(-3, 3), TEXTS, st.none() | st.datetimes(timezones=st.just(UTC)))
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: INTEGERS,
    float: FLOATS,
    bool: st.booleans(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    date: st.dates(),
    time: st.times(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    UUID: st.uuids(),
    bytes: st.binary(max_size=4),
    Mood: st.sampled_from(Mood),
    Literal["a", 1]: st.sampled_from(["a", 1]),
    Point: POINTS,
    list[Point]: st.lists(POINTS, max_size=3),
    dict[str, float]: st.dictionaries(TEXTS, FLOATS, max_size=2),
    tuple[Decimal, ...]: st.lists(st.decimals(allow_nan=False, allow_infinity=False), max_size=2).map(tuple),
    int | str: INTEGERS | TEXTS,
    Any: JSON,
}
"""What a column may be declared as, with values of it."""

UNKNOWN = st.dictionaries(st.sampled_from(["x", "y", "createdOn", "~x"]), JSON, max_size=3)


@attrs.frozen
class Case:
    """A table of a random class, and the values of its columns by name."""

    table: Table[Any]
    values: dict[str, st.SearchStrategy[Any]]
    defaults: frozenset[str]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A class of up to four columns, some optional, some with defaults, some renamed on the wire."""
    fields: dict[str, Any] = {"id": attrs.field(type=str)}
    values: dict[str, st.SearchStrategy[Any]] = {}
    defaults: set[str] = set()
    for name in draw(st.lists(st.sampled_from(["a", "b_c", "d", "_e"]), unique=True)):
        annotation = draw(st.sampled_from(list(VALUES)))
        values[name] = VALUES[annotation]
        if draw(st.booleans()):
            annotation, values[name] = annotation | None, values[name] | st.none()
        default: Any = attrs.NOTHING
        if draw(st.booleans()):
            defaults.add(name)
            default = draw(values[name])
        fields[name] = attrs.field(type=annotation, default=default, kw_only=True)
    if draw(st.booleans()):
        fields["version"] = attrs.field(type=str | None, default=None, kw_only=True)
    made = attrs.make_class("Made", fields)
    rename: Any = draw(st.sampled_from([None, "camel"]))
    return Case(table(made, rename=rename), values, frozenset(defaults))


def objects(case: Case) -> st.SearchStrategy[Any]:
    """Objects of the class."""
    aliases = {name: name.lstrip("_") for name in case.values}
    return st.builds(
        case.table.cls, id=st.just("1"), **{alias: case.values[name] for name, alias in aliases.items()}
    )


def _respelt(value: Json) -> list[Json]:
    """The value as remotes may spell it: unknown fields in points, integers for floats."""
    if isinstance(value, dict):
        return [value, {**value, "unheard": [1]}] if {"x", "label", "seen"} <= value.keys() else [value]
    if isinstance(value, list):
        return [value, [_respelt(item)[-1] for item in value]]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return [value, int(value)]
    if isinstance(value, str) and value.endswith(".000000Z"):
        return [value, value.replace(".000000Z", "Z")]
    return [value]


@st.composite
def records(draw: st.DrawFn, case: Case) -> Record:
    """A record as it may be stored: fields absent or null where that is allowed, unknown ones."""
    record = case.table.to_record(draw(objects(case)))
    typed = {column.name: column.type.value for column in case.table.schema.columns}
    for name in case.values:
        if typed[name] != "any" and name in record:
            record[name] = draw(st.sampled_from(_respelt(record[name])))
        if name in case.defaults and draw(st.booleans()):
            if draw(st.booleans()):
                del record[name]
            else:
                record[name] = None
    wires = case.table.schema.by_wire
    unknown = {name: value for name, value in draw(UNKNOWN).items() if name not in wires}
    version: Record = {"version": "v1"} if draw(st.booleans()) else {}
    return {**unknown, **record, **version}
