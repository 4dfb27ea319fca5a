"""Closed schemas: declared columns only, with values that fit, as a client with the same declaration wants them."""

import datetime
import decimal
import enum
import uuid
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.authority.support import applied, change, kinds
from tidesync import table
from tidesync.contracts.transport import Applied, Rejected
from tidesync.errors import ConfigurationError
from tidesync.records import Json, Record, alive
from tidesync.schema import Column, TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.commits import Write
from tidesync.values import ColumnType


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


@attrs.define
class Point:
    x: int


@attrs.define
class All:
    id: str
    text: str
    size: int
    ratio: float
    done: bool
    at: datetime.datetime
    day: datetime.date
    price: decimal.Decimal
    token: uuid.UUID
    raw: bytes
    colour: Colour
    level: Literal["low", "high"]
    point: Point
    tags: list[str]
    free: Any
    either: int | str
    time: datetime.time | None
    note: str | None
    given: str = "default"


EVERYTHING = table(All, name="all", rename={"text": "wireText"})
GOOD: Record = {
    "text": "x",
    "size": 1,
    "ratio": 1.5,
    "done": True,
    "at": "2026-11-20T03:45:05.507000Z",
    "day": "2026-11-20",
    "price": "1.50",
    "token": "0190a6f2-7c1e-7a3b-8f00-1234567890ab",
    "raw": "eA==",
    "colour": "red",
    "level": "low",
    "point": {"x": 1},
    "tags": ["x"],
    "free": {"deep": [1]},
    "either": 1,
    "time": "03:45:05.507000",
    "note": None,
}
VALUES: list[Json] = [
    *[None, True, 0, 1, 2**53, 1.5, "", "x", "red", "low", "1.50", "1.5e3", "nan", "2026-11-20", "eA=="],
    *["2026-11-20T03:45:05.507000Z", "2026-11-20T03:45:05Z", "2026-02-31", "03:45:05.507000", "03:45"],
    *["0190a6f2-7c1e-7a3b-8f00-1234567890ab", "0190A6F2-7c1e-7a3b-8f00-1234567890ab"],
    *[[], ["x"], [1], {}, {"x": 1}, {"x": "1"}, {"y": 1}],
]


def closed(given: Any) -> Authority:
    return Authority(MemoryStore(), [given], schema="closed").open()


def wire(record: Record) -> Record:
    return EVERYTHING.schema.to_wire(record)


@given(st.dictionaries(st.sampled_from([*GOOD, "given"]), st.sampled_from(VALUES), max_size=3), st.data())
def test_what_is_taken_fits_a_client_and_the_other_way_round(odd: Record, data: st.DataObject) -> None:
    """A record is taken exactly where a client with the same declaration would not set it aside."""
    missing = data.draw(st.sets(st.sampled_from([*GOOD]), max_size=1))
    record = {name: value for name, value in {**GOOD, **odd}.items() if name not in missing}
    with closed(EVERYTHING) as authority:
        [outcome] = authority.push([change("insert", "a", table="all", **wire(record))])
        assert (EVERYTHING.fits({"id": "a", **record}) is None) == isinstance(outcome, Applied)
        assert isinstance(outcome, Applied | Rejected)


@pytest.mark.parametrize("field", [*GOOD])
def test_an_update_is_looked_at_field_by_field(field: str) -> None:
    """What an update writes must fit, what it takes away must be allowed to be missing; the rest is as it was."""
    with Authority(MemoryStore(), [EVERYTHING]) as before:
        _ = applied(before, change("insert", "a", table="all", size="old", odd=1))
        authority = Authority(before.store, [EVERYTHING], schema="closed").open()
        for value in VALUES:
            sent = wire({field: value})
            [outcome] = authority.push([change("update", "a", table="all", **sent)])
            fits = EVERYTHING.fits({"id": "a", **GOOD, field: value}) is None
            assert fits == isinstance(outcome, Applied)
        name = EVERYTHING.schema.wire_name(field)
        [outcome] = authority.push([change("update", "a", table="all", fields=(name,))])
        whole = {key: value for key, value in GOOD.items() if key != field}
        assert (EVERYTHING.fits({"id": "a", **whole}) is None) == isinstance(outcome, Applied)
        copy = authority.get("all", "a")
        assert alive(copy)
        assert 1 == copy["odd"]


def test_what_does_not_fit_is_named() -> None:
    """The field, the value's type and what is wanted are in the message; a local name is unknown on the wire."""
    with closed(EVERYTHING) as authority:
        good = wire(GOOD)
        without = {name: value for name, value in good.items() if name != "size"}
        told = authority.push(
            [
                change("insert", "a", table="all", **{**good, "size": "1"}),
                change("insert", "a", table="all", **{**good, "at": "yesterday"}),
                change("insert", "a", table="all", **without),
                change("insert", "a", table="all", **good, extra=[1]),
                change("insert", "a", table="all", **without, text="x"),
            ]
        )
        messages = [(o.code, o.message) for o in told if isinstance(o, Rejected)]
        assert [
            ("invalid_value", "all.size: a value of type str does not fit a column of type integer"),
            (
                "invalid_value",
                "all.at: a value of type str does not fit a column of type datetime: "
                "it is not the canonical text of a datetime",
            ),
            ("invalid_value", "all.size is missing: a column of type integer needs a value"),
        ] == messages[:3]
        assert ["unknown_field", "unknown_field"] == [code for code, _ in messages[3:]]
        assert messages[3][1].startswith("all.extra is not declared")
        assert messages[4][1].startswith("all.text is not declared")


def test_a_schema_alone_has_types_too() -> None:
    """Without the class an ENUM takes text and integers, a JSON column lists and objects, ANY everything."""
    schema = TableSchema(
        "t",
        tuple(Column(kind.value, kind, nullable=kind is not ColumnType.INTEGER) for kind in ColumnType),
    )
    taken: dict[str, list[Json]] = {
        "string": ["x", None],
        "integer": [1],
        "enum": ["x", 1, None],
        "json": [[], {}, None],
        "any": [True, 1, "x", [], None],
        "float": [1, 1.5],
        "uuid": ["0190a6f2-7c1e-7a3b-8f00-1234567890ab"],
    }
    refused: dict[str, list[Json]] = {
        "string": [1, True],
        "integer": [True, 1.0, None],
        "enum": [True, 1.5],
        "json": ["x", 1],
        "uuid": ["x"],
        "boolean": [1],
    }
    with closed(schema) as authority:
        _ = applied(authority, change("insert", "a", table="t", integer=1))
        for cases, expected in ((taken, "Applied"), (refused, "Rejected")):
            for name, values in cases.items():
                sent = [change("update", "a", table="t", **{name: value}) for value in values]
                assert [expected] * len(values) == kinds(authority.push(sent))
        assert ["Rejected"] == kinds(authority.push([change("insert", "b", table="t")]))


def test_a_whole_update_is_looked_at_as_an_insert() -> None:
    """What a replacement leaves out must be allowed to be missing."""
    schema = TableSchema("t", (Column("size", ColumnType.INTEGER, nullable=False), Column("text")))
    with closed(schema) as authority:
        _ = applied(authority, change("insert", "a", table="t", size=1))
        sent = [change("update", "a", table="t", text="x")]
        assert ["Rejected"] == kinds(authority.commit([Write(sent[0], whole=True, remember=False)]))
        assert ["Applied"] == kinds(authority.push(sent))


def test_tables_without_columns_are_open() -> None:
    """Where nothing is declared, everything is taken; and 'open' is the default."""
    with closed(TableSchema("free")) as authority:
        _ = applied(authority, change("insert", "a", table="free", anything=[1]))
    with Authority(MemoryStore(), [EVERYTHING]) as authority:
        _ = applied(authority, change("insert", "a", table="all", anything=[1]))
    bad: Any = "ajar"
    with pytest.raises(ConfigurationError, match="ajar"):
        _ = Authority(MemoryStore(), [EVERYTHING], schema=bad)


COLUMNS = (Column("text", ColumnType.STRING), Column("size", ColumnType.INTEGER, nullable=False))
NARROW = TableSchema("t", COLUMNS)


@pytest.fixture
def narrowed() -> Authority:
    """A table that was open, and holds what its columns do not let in."""
    store = MemoryStore()
    with Authority(store, [TableSchema("t")]) as before:
        _ = applied(before, change("insert", "a", table="t", text=5, old=1))
    return Authority(store, [NARROW], schema="closed").open()


def whole(**content: Json) -> Write:
    return Write(change("update", "a", table="t", **content), whole=True, remember=False)


def test_what_is_sent_back_as_it_is_held_need_not_fit(narrowed: Authority) -> None:
    """Clients that send whole records can still change a record that was there before its table was closed."""
    told = narrowed.commit([whole(text=5, old=1, extra=1), whole(text=6, old=1), whole(text=5, old=2)])
    assert ["Rejected"] * 3 == kinds(told)
    assert ["Applied"] == kinds(narrowed.commit([whole(text="x", old=1)]))
    assert ["Applied"] == kinds(narrowed.push([change("update", "a", table="t", size=2, old=1)]))
    assert ["Rejected"] == kinds(narrowed.commit([whole(text="x", old=1)]))  # the size would be missing
    assert ["Applied"] == kinds(narrowed.commit([whole(text="x", size=2)]))
    assert ["Rejected"] == kinds(narrowed.commit([whole(text="x", size=2, old=1)]))


def test_what_is_deleted_or_not_there_lends_nothing_to_what_is_sent(narrowed: Authority) -> None:
    """An insert must fit, also over a tombstone that held the same; junk is refused wherever it goes."""
    sent = [change("delete", "a", table="t"), change("insert", "a", table="t", text=5, old=1, size=1)]
    assert ["Applied", "Rejected"] == kinds(narrowed.push(sent))
    assert ["Rejected"] == kinds(narrowed.commit([whole(text=5, old=1)]))
    assert ["Rejected"] == kinds(narrowed.push([change("update", "b", table="t", old=1)]))
    assert ["Applied"] == kinds(narrowed.push([change("undelete", "a", table="t")]))


def test_an_operation_that_was_applied_stays_so_when_its_table_is_closed() -> None:
    """Sent again, because its answer was lost, it is known, and not refused for columns that came later."""
    store, sent = MemoryStore(), change("insert", "a", table="t", old=1)
    with Authority(store, [TableSchema("t")]) as before:
        _ = applied(before, sent)
    with Authority(store, [NARROW], schema="closed") as authority:
        assert ["Applied"] == kinds(authority.push([sent]))
