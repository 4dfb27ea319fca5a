"""What records hold, and what queries find, between the published JavaScript client and a tidesync device."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.peers.js_client import COLUMNS, NOON, Js, assert_equal, held, record
from tests.peers.remote import Remote, texts
from tidesync import SyncContext

pytestmark = [pytest.mark.peer, pytest.mark.soaked]
IDS = (
    "with space", "it's", "''", "100%", "a&b=c", "#frag", ";semi", "..a", "(1)", "*", "~", "$top", "ünï", "日本語",
    "😀", "A",
)  # fmt: skip
"""Those that it takes: its store does not tell "A" from "a"."""
TEXTS = {
    "empty": "", "emoji": "😀👩‍👩‍👧", "combining": "e\u0301 \u00e9", "lines": "a\r\nb\tc\u2028d", "quotes": "'\"`\\",
    "null": "null", "right to left": "שלום \u202e", "last": "\U0010ffff", "json": '{"a": [1, null]}',
    "nearly a date": "2026-03-01",
}  # fmt: skip


@pytest.fixture
def device(remote: Remote) -> SyncContext:
    return remote.device(remote.typed)


def test_awkward_ids_go_both_ways(remote: Remote, js: Js, device: SyncContext) -> None:
    """Made, found, changed and deleted by either."""
    for place, id in enumerate(IDS):
        if place % 2:
            js("local.insert", record={"id": id, "text": id})
        else:
            device[remote.typed].insert({"id": id, "text": id})
    js("push")
    device.push()
    assert_equal(remote, js, device)
    assert {id: id for id in IDS} == texts(device[remote.typed].all())
    for id in IDS:
        assert id == js("remote.lookup", id=id)["id"] == js("remote.refresh", record={"id": id})["text"]
        js("local.update", record={"id": id, "text": "changed"})
    js("push")
    assert_equal(remote, js, device)
    assert dict.fromkeys(IDS, "changed") == texts(device[remote.typed].all())
    for place, id in enumerate(IDS):
        if place % 2:
            device[remote.typed].delete(id)
        else:
            js("local.delete", record={"id": id})
    device.push()
    js("push")
    assert_equal(remote, js, device)
    assert {} == remote.alive(remote.typed, "text")


def test_texts_go_both_ways(remote: Remote, js: Js, device: SyncContext) -> None:
    """Every character; and each is found by its text."""
    for place, (id, text) in enumerate(TEXTS.items()):
        if place % 2:
            js("local.insert", record={"id": id, "text": text})
        else:
            device[remote.typed].insert({"id": id, "text": text})
    js("push")
    device.push()

    assert_equal(remote, js, device)
    assert TEXTS == texts(device[remote.typed].all())
    for id, text in TEXTS.items():
        assert [id] == js.read(filter="text eq ?", values=[text])


def test_numbers_and_moments_go_both_ways(remote: Remote, js: Js, device: SyncContext) -> None:
    """Whole numbers up to what JavaScript keeps, fractions bit for bit, moments of milliseconds."""
    numbers = [0, 1, -1, 2**31, 2**53 - 1, -(2**53 - 1)]
    fractions = [0.1, -2.5, 1e300, 5e-324, 1 / 3, 2.0]
    moments = [
        NOON,
        datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(1900, 2, 28, tzinfo=UTC),
        None,
        datetime(2026, 6, 30, 23, 59, 59, 1000, UTC),
    ]
    made = [
        record(f"r{place}", priority=number, score=fraction, due=due)
        for place, (number, fraction, due) in enumerate(zip(numbers, fractions, moments, strict=True))
    ]
    for each in made[:3]:
        js("local.insert", record=each)
    js("push")
    device[remote.typed].insert_many(made[3:])
    device.push()

    assert_equal(remote, js, device)
    found = [held(device, remote)[each["id"]] for each in made]
    assert [tuple(each[name] for name in COLUMNS) for each in made] == [values[:-1] for values in found]


# ---- queries


def seeded(remote: Remote, device: SyncContext) -> None:
    rows = [
        record(
            f"r{number:02}", text=["milk", "Milk", "buy milk", "it's", None][number % 5], priority=number,
            score=number / 4, complete=[True, False, None][number % 3], due=NOON + timedelta(days=number),
        )
        for number in range(20)
    ]  # fmt: skip
    device[remote.typed].insert_many(rows)
    device[remote.typed].insert(record("gone"))
    device.push()
    device[remote.typed].delete("gone")
    device.push()


def ids(*numbers: int) -> list[str]:
    return [f"r{number:02}" for number in numbers]


QUERIES: dict[str, tuple[str, list[Any], list[str]]] = {
    "equal": ("function(t) { return this.text === t; }", ["it's"], ids(3, 8, 13, 18)),
    "comparisons": (
        "function(l, m) { return this.priority >= l && this.priority < m; }", [3, 6], ids(3, 4, 5),
    ),
    "a boolean alone": ("function() { return this.complete; }", [], ids(0, 3, 6, 9, 12, 15, 18)),
    "not": ("function() { return !(this.priority > 2); }", [], ids(0, 1, 2)),
    "null": ("function() { return this.text === null; }", [], ids(4, 9, 14, 19)),
    "not null": ("function() { return this.text !== null && this.priority < 5; }", [], ids(0, 1, 2, 3)),
    "or": ("function() { return this.priority === 1 || this.priority === 19; }", [], ids(1, 19)),
    "in": ("function(few) { return this.priority in few; }", [[2, 4, 40]], ids(2, 4)),
    "arithmetic": ("function() { return this.priority * 2 + 1 === 7 || this.priority - 19 === 0; }", [], ids(3, 19)),
    "fractions": ("function(s) { return this.score < s; }", [0.5], ids(0, 1)),
    "lower case": (
        "function() { return this.text.toLowerCase() === 'milk' && this.priority < 7; }", [], ids(0, 1, 5, 6),
    ),
    "a moment": ("function(d) { return this.due < d; }", [NOON + timedelta(days=2)], ids(0, 1)),
    "a moment found": ("function(d) { return this.due === d; }", [NOON + timedelta(days=2)], ids(2)),
}  # fmt: skip
BEYOND: dict[str, tuple[str, list[Any], list[str]]] = {
    "remainder": ("function() { return this.priority % 7 === 3; }", [], ids(3, 10, 17)),
    "length": ("function() { return this.text.length === 8; }", [], ids(2, 7, 12, 17)),
    "a part": ("function() { return this.text.indexOf('milk') > -1 && this.priority < 8; }", [], ids(0, 2, 5, 7)),
    "a beginning": ("function() { return this.text.indexOf('buy') === 0; }", [], ids(2, 7, 12, 17)),
    "substring": ("function() { return this.text.substring(0, 3) === 'buy'; }", [], ids(2, 7, 12, 17)),
    "year and day": (
        "function() { return this.due.getFullYear() === 2026 && this.due.getDate() === 5; }", [], ids(4),
    ),
    "month": ("function() { return this.due.getMonth() === 2 && this.priority < 2; }", [], ids(0, 1)),
}  # fmt: skip
"""What the real server gets wrong, or answers with an error."""


@pytest.mark.parametrize("operators", ["common", "beyond"])
def test_its_queries(remote: Remote, js: Js, device: SyncContext, operators: str) -> None:
    """Conditions written as functions of JavaScript, sent by it as OData, find what they say; online and in a pull."""
    if operators == "beyond" and remote.deviations.forgets:
        pytest.skip("the real server answers these wrongly: test_wire_facts_queries.py says how")
    seeded(remote, device)
    for name, (source, values, expected) in (QUERIES if operators == "common" else BEYOND).items():
        query = {"function": source, "values": values}
        assert expected == js.read(**query, orderBy=["id"]), name
        js("purge", force=True)
        js("pull", query=query)
        assert expected == sorted(js.local()), name


def test_its_lists(remote: Remote, js: Js, device: SyncContext) -> None:
    """Order, skip, take, columns and a count, which is of all that matches; deleted records are left out."""
    seeded(remote, device)

    found = js(
        "remote.read",
        query={
            "filter": "priority ge ?", "values": [5], "orderBy": ["text", "-priority"], "skip": 3, "take": 4,
            "select": ["id", "text"], "count": True,
        },
    )  # fmt: skip

    ranked = sorted(range(5, 20), key=lambda n: (_rank(n), -n))
    assert [f"r{number:02}" for number in ranked[3:7]] == [row["id"] for row in found["records"]]
    assert [{"id", "text"}] * 4 == [set(row) for row in found["records"]]
    assert 15 == found["total"]
    assert 20 == len(js.read(take=100))


def _rank(number: int) -> str:
    """The text of a seeded record, null before all."""
    return ["milk", "Milk", "buy milk", "it's", ""][number % 5]


def test_a_list_longer_than_a_page_tells_where_it_goes_on(
    remote: Remote, js: Js, device: SyncContext
) -> None:
    """Its next link is an address that it can follow; the real server's is not."""
    if remote.deviations.forgets:
        pytest.skip("the real server's link names no table: see test_wire_facts_queries.py")
    device[remote.typed].insert_many([record(f"r{number:03}") for number in range(250)])
    device.push()

    page = js("remote.read", query={"orderBy": ["id"]})
    found = page["records"]
    while "next" in page:
        page = js("remote.read", query={"raw": page["next"]})
        found += page["records"]

    assert [f"r{number:03}" for number in range(250)] == [row["id"] for row in found]
