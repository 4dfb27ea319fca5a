"""The published JavaScript client and a tidesync device on one table: each sees what the other did.

It speaks 2.0 only, online and from its own offline store; the device speaks each protocol in turn.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.peers.installation import CLIENT, install
from tests.peers.js_client import JsClient, JsError, Record
from tests.peers.remote import Remote, texts
from tests.peers.sent import reads_page
from tests.peers.wire_faults import Seen
from tidesync import PushFailed, SyncContext, keep_local, keep_remote, merge_fields

pytestmark = pytest.mark.peer
COLUMNS = {
    "text": "string", "note": "string", "priority": "integer", "score": "real", "complete": "boolean", "due": "date",
}  # fmt: skip
NOON = datetime(2026, 3, 1, 12, 0, 0, 5000, tzinfo=UTC)
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


@pytest.fixture(scope="session")
def process(peer_packages: Path) -> Iterator[JsClient]:
    """One process for all tests: each opens a client of its own in it."""
    with JsClient(install(CLIENT)) as running:
        yield running


class Js:
    """A client with an empty store, on one table."""

    def __init__(self, process: JsClient, remote: Remote) -> None:
        self._process, self._table = process, remote.typed.name
        self._process("open", url=remote.wire.url, path=":memory:")
        self("define", columns=COLUMNS)

    def __call__(self, command: str, **arguments: Any) -> Any:
        return self._process(command, self._table, **arguments)

    def local(self) -> dict[str, Record]:
        """What its store holds, by id."""
        return {record["id"]: record for record in self("local.read")}

    def read(self, **query: Any) -> list[str]:
        """The ids that an online query finds."""
        return [record["id"] for record in self("remote.read", query=query)["records"]]


@pytest.fixture
def js(process: JsClient, remote: Remote) -> Js:
    return Js(process, remote)


@pytest.fixture
def device(remote: Remote) -> SyncContext:
    return remote.device(remote.typed)


def held(device: SyncContext, remote: Remote) -> dict[str, tuple[object, ...]]:
    """What a device holds, without what the server keeps."""
    return {
        row["id"]: tuple(row.get(name) for name in (*COLUMNS, "version"))
        for row in device[remote.typed].all()
    }


def assert_equal(remote: Remote, js: Js, device: SyncContext) -> None:
    """After a pull on both sides, both hold the same, of the same versions."""
    js("pull", name="all")
    device.pull(remote.typed, name="all")
    theirs = {id: tuple(row.get(name) for name in (*COLUMNS, "version")) for id, row in js.local().items()}
    assert theirs == held(device, remote)
    assert ([], 0) == (device.conflicts(), device.pending_operations)
    assert [] == js("pending")


def record(id: str, **changed: object) -> Record:
    """A record with a value in each column."""
    return {
        "id": id, "text": id, "note": None, "priority": 7, "score": 0.1, "complete": False, "due": NOON, **changed,
    }  # fmt: skip


def test_what_one_makes_the_other_has(remote: Remote, js: Js, device: SyncContext) -> None:
    """Inserts from its store, from its online table and from a device; updates and deletes of one another's."""
    js("local.insert", record=record("stored", score=1e300, priority=-(2**53)))
    online = js("remote.insert", record=record("online", complete=True, due=None))
    named = js("remote.insert", record={"text": "the server names it"})
    assert [] == js("push")
    device[remote.typed].insert(record("device", due=NOON + timedelta(days=1), score=-2.5))
    device.push()
    assert_equal(remote, js, device)
    assert {"stored", "online", "device", named["id"]} == set(held(device, remote))
    assert online == js("remote.lookup", id="online") == js.local()["online"]

    js("local.update", record={"id": "device", "text": "by it"})
    js("local.delete", record={"id": "online"})
    js("push")
    device.pull(remote.typed, name="all")
    device[remote.typed].update("stored", text="by the device", due=None)
    device[remote.typed].delete(named["id"])
    device.push()
    assert_equal(remote, js, device)
    assert {"device": "by it", "stored": "by the device"} == texts(device[remote.typed].all())
    assert True is remote.row(remote.typed, "online")["deleted"]


def test_a_pull_brings_only_what_changed(remote: Remote, js: Js, device: SyncContext) -> None:
    """The cursor is its own, of milliseconds: the last moment's records come again, and nothing is missed."""
    device[remote.typed].insert_many([record(f"r{number}") for number in range(20)])
    device.push()
    js("pull", name="all")
    device[remote.typed].update("r3", text="changed")
    device[remote.typed].delete("r4")
    device[remote.typed].insert(record("new"))
    device.push()
    last = remote.row(remote.typed, "r19")["updatedAt"]
    remote.wire.clear()

    js("pull", name="all")

    told = [row for seen in page_requests(remote) for row in seen.replies[-1].json]
    assert {"r3", "r4", "new"} <= {row["id"] for row in told}
    assert all(row["updatedAt"] >= last for row in told)
    assert_equal(remote, js, device)


def page_requests(remote: Remote) -> list[Seen]:
    return [seen for seen in remote.wire.requests if reads_page(seen)]


@pytest.mark.parametrize("tied", [False, True])
def test_more_than_a_page_comes_whole(remote: Remote, js: Js, device: SyncContext, tied: bool) -> None:
    """By moments, and where all records share one; also to the device, from what it pushed."""
    for number in range(30):
        js("local.insert", record={"id": f"j{number:02}", "text": "t", "priority": number})
    js("push")
    device[remote.typed].insert_many([record(f"d{number:02}") for number in range(95)])
    device.push()
    if tied:
        ids = sorted(remote.rows(remote.typed))
        remote.door.tie(remote.typed.name, ids, "2030-01-01T00:00:00.000Z")
        js("purge", force=True)

    js("pull", name="all", size=20)

    assert 125 == len(js.local())
    assert_equal(remote, js, device)
    assert len(page_requests(remote)) > 7


# ---- conflicts


def edited_twice(remote: Remote, js: Js, device: SyncContext) -> None:
    """One record, changed on both sides; the device's edit arrived first."""
    device[remote.typed].insert(record("a", text="base"))
    device.push()
    js("pull", name="all")
    js("local.update", record={"id": "a", "text": "js"})
    device[remote.typed].update("a", text="device", note="device")
    device.push()


@pytest.mark.parametrize(
    ("choice", "end"),
    [("server", ("device", "device")), ("client", ("js", None)), ("cancel", ("device", "device"))],
)
def test_its_conflict_with_a_device(
    remote: Remote, js: Js, device: SyncContext, choice: str, end: tuple[str, str | None]
) -> None:
    """Its push is told the server's record, and settles it in each of its ways."""
    edited_twice(remote, js, device)
    (conflict,) = js("push")
    assert ("update", 412) == (conflict["action"], conflict["status"])
    assert ("js", "device") == (conflict["client"]["text"], conflict["server"]["text"])

    assert [] == js("push", choose=choice)

    assert_equal(remote, js, device)
    assert end == held(device, remote)["a"][:2]


def test_its_insert_of_a_taken_id(remote: Remote, js: Js, device: SyncContext) -> None:
    """409: it reads what is there, and writes over it."""
    js("local.insert", record=record("a", text="js"))
    device[remote.typed].insert(record("a", text="device"))
    device.push()
    assert [409] == [conflict["status"] for conflict in js("push")]

    assert [] == js("push", choose="client")

    assert_equal(remote, js, device)
    assert "js" == held(device, remote)["a"][0]


@pytest.mark.parametrize(("choice", "alive"), [("server", True), ("client", False)])
def test_its_delete_of_what_a_device_changed(
    remote: Remote, js: Js, device: SyncContext, choice: str, alive: bool
) -> None:
    """412 with the changed record, which stays until it says otherwise."""
    device[remote.typed].insert(record("a"))
    device.push()
    js("pull", name="all")
    js("local.delete", record={"id": "a"})
    device[remote.typed].update("a", text="device")
    device.push()
    (conflict,) = js("push")
    assert ("delete", 412, "device") == (conflict["action"], conflict["status"], conflict["server"]["text"])

    assert [] == js("push", choose=choice)

    assert_equal(remote, js, device)
    assert alive == ("a" in held(device, remote))


@pytest.mark.parametrize(
    ("policy", "end"),
    [
        (keep_local, ("device", "base")),
        (keep_remote, ("base", "js")),
        (merge_fields(), ("device", "js")),
    ],
)
def test_a_devices_conflict_with_it(remote: Remote, js: Js, policy: Any, end: tuple[str, str]) -> None:
    """Each policy settles it, and it has the end with its next pull."""
    device = remote.device(remote.typed, policy=policy)
    js("local.insert", record=record("a", text="base", note="base"))
    js("push")
    device.pull(remote.typed, name="all")
    device[remote.typed].update("a", text="device")
    js("local.update", record={"id": "a", "note": "js"})
    js("push")

    device.push()

    assert_equal(remote, js, device)
    assert end == held(device, remote)["a"][:2]


def test_a_devices_edit_of_what_it_deleted(remote: Remote, js: Js, device: SyncContext) -> None:
    """A conflict with a tombstone; kept, the record lives again on both sides."""
    js("remote.insert", record=record("a"))
    device.pull(remote.typed, name="all")
    js("pull", name="all")
    js("local.delete", record={"id": "a"})
    js("push")
    device[remote.typed].update("a", text="device")
    with pytest.raises(PushFailed):
        device.push()
    (conflict,) = device.conflicts()

    device.resolve(conflict, keep_local(conflict))
    device.push()

    assert_equal(remote, js, device)
    assert "device" == js.local()["a"]["text"]


# ---- deleted


def test_undelete(remote: Remote, js: Js, device: SyncContext) -> None:
    """What a device deleted comes back as it was; a deleted id taken again by a device is alive for it."""
    device[remote.typed].insert_many([record("a"), record("b")])
    device.push()
    js("pull", name="all")
    device[remote.typed].delete("a")
    device.push()
    js("pull", name="all")
    assert {"b"} == set(js.local())
    with pytest.raises(JsError) as caught:
        js("remote.lookup", id="a")
    assert 400 <= (caught.value.status or 0) < 500

    revived = js("remote.undelete", record={"id": "a", "version": remote.row(remote.typed, "a")["version"]})
    assert ("a", NOON, False) == (revived["text"], revived["due"], revived["deleted"])
    assert_equal(remote, js, device)
    assert {"a", "b"} == set(js.local())

    js("local.delete", record={"id": "b"})
    js("push")
    device.pull(remote.typed, name="all")
    device[remote.typed].insert(record("b", text="again"))
    device.push()
    assert_equal(remote, js, device)
    assert "again" == js.local()["b"]["text"]


def test_a_deletion_of_what_is_gone_is_an_error_to_it(remote: Remote, js: Js, device: SyncContext) -> None:
    """As with the real server: its push stops there, and goes on when the operation is gone."""
    device[remote.typed].insert(record("a"))
    device.push()
    js("pull", name="all")
    device[remote.typed].delete("a")
    device.push()
    js("local.delete", record={"id": "a"})
    with pytest.raises(JsError) as caught:
        js("push")
    assert caught.value.status in (404, 410)

    js("purge", force=True)
    assert_equal(remote, js, device)


def test_a_purge_and_all_again(remote: Remote, js: Js, device: SyncContext) -> None:
    """Its store forgets, and the server does not."""
    device[remote.typed].insert_many([record(f"r{number}") for number in range(5)])
    device.push()
    js("pull", name="all")
    js("purge", query={"filter": "id ne ?", "values": ["r3"]})
    assert {"r3"} == set(js.local())

    assert_equal(remote, js, device)
    assert 5 == len(js.local())


# ---- contents


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
