"""Every operator of a query against a real server: what is pulled is what `predicate.py` says, never less or more.

Whether the server evaluates a condition, the transport or the engine is nobody's business here.
"""

import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.peers.remote import Remote
from tidesync import Query, any_of, every_of
from tidesync.predicate import matcher

TEXTS = (
    None, "", "milk", "Milk", "MILK", "buy milk", "50%", "a_b", "axb", "é", "É", "e\u0301", "日本", "😀", "0", "1",
    "00", " padded ", "it's", 'say "hi"', "null", "ß", "back\\slash", "true", "z\u2028z", "{}", "\uffff",
)  # fmt: skip
NUMBERS = (None, 0, 1, -1, 2, 3, 7, -7, 10, 100, 2**53, -(2**53))
SCORES = (None, 0.0, 0.5, 1.5, -0.5, -1.5, 2.0, 2.5, 1e300, 1e-300, 3.25)
DUES = (
    None, "2026-02-28T23:59:59.999Z", "2026-03-01T00:00:00.000Z", "2024-02-29T12:30:45.500Z",
    "1969-12-31T23:59:59.999Z", "2026-12-31T00:00:00.000Z", "0001-01-01T00:00:00.000Z",
)  # fmt: skip
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
LEAP = datetime(2024, 2, 29, 12, 30, 45, 500_000, UTC)
CHANGED = datetime(2026, 5, 1, tzinfo=UTC)


def moment(number: int) -> str:
    return (CHANGED + timedelta(milliseconds=number)).isoformat(timespec="milliseconds")[:-6] + "Z"


def rows() -> list[dict[str, object]]:
    """60 rows in which all values occur, in changing company."""
    chance = random.Random(60)
    columns = [itertools.cycle(values) for values in (TEXTS, NUMBERS, SCORES, DUES)]
    made: list[dict[str, object]] = []
    for number in range(60):
        text, priority, score, due = (next(values) for values in columns)
        made.append(
            {
                "id": f"row{number:02}" if number % 5 else f"Row'{number}", "text": text,
                "note": chance.choice([text, "milk", None]), "priority": priority, "score": score, "due": due,
                "complete": chance.choice([True, False, None]),
            }
        )  # fmt: skip
    return made


Conditions = Callable[[Any], list[Any]]


def comparisons(column: Any, values: tuple[Any, ...]) -> list[Any]:
    found: list[Any] = [
        column.is_null(),
        column.is_not_null(),
        column.is_in(values[1:4]),
        column.between(values[1], values[2]),
    ]
    for value in values:
        found += [column == value, column != value]
        if value is not None:
            found += [column < value, column <= value, column > value, column >= value]
    return found


OPERATORS: dict[str, Conditions] = {
    "text compared": lambda c: comparisons(c.text, TEXTS),
    "text searched": lambda c: [
        *(c.text.contains(text) for text in ("milk", "", "%", "_", "'", "É", "\\", "l")),
        *(c.text.startswith(text) for text in ("m", "", "5", " ", "😀", "0")),
        *(c.text.endswith(text) for text in ("k", "", "%", "\u0301", "0")),
    ],
    "text made": lambda c: [
        c.text.lower() == "milk", c.text.upper() == "É", c.text.lower() == "é", c.text.length() == 4,
        c.text.length() > 3, c.text.trim() == "padded", c.text.concat("!") == "milk!", c.text.lower().contains("il"),
        c.text == c.note, c.text != c.note, c.text.concat(c.note) == "milkmilk",
    ],
    "integers": lambda c: comparisons(c.priority, NUMBERS),
    "floats": lambda c: [*comparisons(c.score, SCORES), c.score > c.priority, c.priority == 2.0, c.priority < 0.5],
    "arithmetic": lambda c: [
        c.priority + 1 == 2, c.priority - 1 < 0, c.priority * 2 >= 6, c.priority / 2 == 0.5, c.priority % 2 == 1,
        -c.priority == 7, 1 - c.priority > 0, c.priority / 0 == 1, c.score * 2 == 1.0, c.priority + c.score > 2,
        c.score.round() == 2, c.score.floor() == 1, c.score.ceiling() == 1, c.score.floor() == -2,
    ],
    "booleans": lambda c: [
        c.complete, ~c.complete, c.complete == True, c.complete == False, c.complete != True,  # noqa: E712
        c.complete != False, c.complete == None, c.complete.is_null(), ~c.complete.is_null(),  # noqa: E711, E712
        c.complete.is_in([True]), c.complete.is_in([]), ~c.complete.is_in([True, False]),
    ],
    "points in time": lambda c: [
        *comparisons(c.due, (None, MARCH, MARCH - timedelta(milliseconds=1), LEAP)),
        c.due < MARCH + timedelta(microseconds=1), c.due.year() == 2026, c.due.month() == 2, c.due.day() == 29,
        c.due.hour() == 23, c.due.minute() == 30, c.due.second() == 45,
    ],
    "what the server keeps": lambda c: [
        *comparisons(c.updated_at, (None, CHANGED, CHANGED + timedelta(milliseconds=30))),
        *comparisons(c.updated_at, (None, CHANGED + timedelta(microseconds=500), CHANGED)),
        c.created_at > CHANGED + timedelta(milliseconds=10), c.version == "MQ==", c.version != "MQ==",
    ],
    "ids": lambda c: comparisons(c.id, (None, "row02", "Row'5", "row59", "ROW02", "")),
}  # fmt: skip


def mixed(c: Any) -> list[Any]:
    """Conjunctions, disjunctions and negations of what may be sent and what may not."""
    chance = random.Random(7)
    atoms = [condition for name in sorted({*OPERATORS} - {"mixed"}) for condition in OPERATORS[name](c)]
    found: list[Any] = []
    for _ in range(60):
        one, two, three = (chance.choice(atoms) for _ in range(3))
        found.append(
            chance.choice(
                [one & two, one | two, ~one & two, ~(one | two), ~(one & two) | three, (one | two) & ~three]
            )
        )
    return [*found, every_of(), any_of()]


OPERATORS["mixed"] = mixed


@pytest.mark.soaked
@pytest.mark.parametrize("operators", OPERATORS)
def test_a_filter_brings_what_the_predicate_says(remote: Remote, operators: str) -> None:
    """By a pull, by a named pull, and by the online table: the same records."""
    made = rows()
    remote.door.seed(remote.items.name, made, [moment(number) for number in range(60)])
    everything, device = remote.device(), remote.device()
    everything.pull(remote.items)
    records = everything.remote(remote.items)
    stored = everything.read(lambda transaction: list(transaction.select(Query(remote.items.name))))
    assert 60 == len(stored)
    items = device[remote.items]
    for place, condition in enumerate(OPERATORS[operators](remote.items.c)):
        wanted = items.where(condition)
        matches = matcher(wanted.query.where)
        expected = sorted(str(record["id"]) for record in stored if matches(record))
        named = f"query {place}" if place % 3 == 0 else None
        items.pull(wanted, name=named)
        assert expected == [row["id"] for row in items], f"pulled: {condition}"
        assert expected == sorted(row["id"] for row in records.where(condition).all()), f"online: {condition}"
        device.purge(remote.items)


def test_filters_over_several_pages(remote: Remote) -> None:
    """What is evaluated here is not counted against the page: all matches come, wherever they are."""
    made = [
        {"id": f"r{number:03}", "text": "Milk" if number % 17 == 0 else "x", "priority": number}
        for number in range(400)
    ]
    remote.door.seed(remote.items.name, made, [moment(number // 50) for number in range(400)])
    device = remote.device(page_size=30)
    items, c = device[remote.items], remote.items.c
    expected = [f"r{number:03}" for number in range(400) if number % 17 == 0 and number > 100]

    items.pull(items.where(c.text.lower() == "milk", c.priority > 100), name="milk")

    assert expected == [row["id"] for row in items]
    online = device.remote(remote.items).where(c.text.lower() == "milk", c.priority > 100)
    assert expected[2:7] == [row["id"] for row in online.skip(2).take(5)]
    assert len(expected) == online.count()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("column", ["text", "priority", "score", "complete", "due", "id", "updated_at"])
def test_the_online_table_orders_as_the_local_one_does(remote: Remote, column: str, descending: bool) -> None:
    """Nulls first, text by code point, ties by id; with skip and take."""
    remote.door.seed(remote.items.name, rows(), [moment(number) for number in range(60)])
    device = remote.device()
    device.pull(remote.items)
    key = remote.items.c[column]
    here = [row["id"] for row in device[remote.items].where().order_by(key, descending=descending)]

    there = device.remote(remote.items).where().order_by(key, descending=descending)

    assert here == [row["id"] for row in there]
    assert here[5:15] == [row["id"] for row in there.skip(5).take(10)]
