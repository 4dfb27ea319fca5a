"""Datasync 3.0: the same meanings, other words."""

import json
from typing import Any
from urllib.parse import parse_qsl

import attrs
import httpx
import pytest

from tests.transports.http.fake_server import FakeServer, reply, version
from tests.transports.http.odata_server import database
from tests.transports.http.support import (
    COLUMNS,
    Way,
    change,
    delete,
    insert,
    pages,
    pulled,
    push_one,
    transport,
    update,
)
from tidesync.contracts.transport import (
    Anything,
    Applied,
    Conflicted,
    Outcome,
    PullRequest,
    Rejected,
    Undeleted,
)
from tidesync.query import Call, Compare, Field, Not, Order, Query, Value
from tidesync.records import Tombstone, alive
from tidesync.values import ColumnType

pytestmark = pytest.mark.usefixtures("driver")


class FakeServer3(FakeServer):
    """A 3.0 server. `patches`: undelete is a PATCH (the older servers), else a PUT with `__includedeleted`."""

    def __init__(self, *, patches: bool = False) -> None:
        compare = database(ignore_case=True, null_differs=True)
        super().__init__({"todoitem": COLUMNS}, compare=compare, cap=7)
        self.patches = patches

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert "3.0.0" == request.headers["zumo-api-version"]
        name, _, id = request.url.path.removeprefix("/app/tables/").partition("/")
        assert "todoitem" == name
        wanted = dict(parse_qsl(request.url.query.decode()))
        if not id:
            return self._list3(request, wanted) if request.method == "GET" else self._create(request)
        row = self.rows[name].get(id)
        deleted = wanted.get("__includedeleted") == "true"
        if row is None:
            return reply(404)
        undelete = self.patches and request.method == "PATCH"
        if row["deleted"] and not (undelete or (deleted and (request.method == "GET" or not self.patches))):
            return reply(410)
        if request.method == "GET":
            return self._one(200, name, row)
        refused = self._refused(name, row, request)
        if refused is not None:
            return refused
        if request.method == "DELETE":
            _ = self.put(name, id, deleted=True)
            return reply(204)
        item: dict[str, Any] = json.loads(request.content)
        if request.method == "PUT":
            assert id == item.pop("id")
            blank = dict.fromkeys(self.columns[name])
            return self._one(200, name, self.put(name, id, **{**blank, **item}))
        return self._one(200, name, self.put(name, id, **item)) if undelete else reply(405)

    def _create(self, request: httpx.Request) -> httpx.Response:
        item = json.loads(request.content)
        old = self.rows["todoitem"].get(item["id"])
        if old is not None:
            return self._one(409, "todoitem", old)
        return self._one(201, "todoitem", self.put("todoitem", item.pop("id"), **item))

    def _list3(self, request: httpx.Request, wanted: dict[str, str]) -> httpx.Response:
        counted = wanted.pop("$count", None) == "true"
        if wanted.pop("__includedeleted", None) == "true":
            wanted["__includeDeleted"] = "true"
        wanted["$inlinecount"] = "allpages"
        answer = self._get("todoitem", None, httpx.Request("GET", "http://x/", params=wanted))
        if answer.status_code != 200:
            return answer
        found = json.loads(answer.content)
        body = {"items": found["results"], "nextLink": "https://elsewhere.example/?$skip=7"}
        return reply(200, body | ({"count": found["count"]} if counted else {}))


@pytest.fixture(params=[False, True])
def server(request: pytest.FixtureRequest) -> FakeServer3:
    return FakeServer3(patches=request.param)


@pytest.fixture
def way(server: FakeServer3) -> Way:
    return transport(server, protocol="3.0")


def copy_of(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Applied | Conflicted)
    assert alive(outcome.copy)
    return outcome.copy


def test_an_update_puts_the_whole_record(server: FakeServer3, way: Way) -> None:
    """Every server of the family takes a PUT; what did not change goes along under the version. [E28]"""
    server.put("todoitem", "a", text="Bread", priority=1.0)
    whole = change(
        "update",
        "a",
        {"id": "a", "text": "Rye", "priority": 1.0},
        ("text",),
        update("a", version(1)).expected,
    )
    copy = copy_of(push_one(way, whole))
    assert ("Rye", 1.0, version(2)) == (copy["text"], copy["priority"], copy["version"])
    (request,) = server.requests
    assert ("PUT", f'"{version(1)}"') == (request.method, request.headers["if-match"])
    assert {"id": "a", "text": "Rye", "priority": 1.0} == json.loads(request.content)


def test_an_unconditional_update_keeps_what_it_does_not_name(server: FakeServer3, way: Way) -> None:
    """Without a version the record is read, changed and written under the version that was read."""
    server.put("todoitem", "a", text="Bread", priority=1.0)
    blind = change("update", "a", {"id": "a", "text": "Rye"}, ("text",), Anything())
    copy = copy_of(push_one(way, blind))
    assert ("Rye", 1.0) == (copy["text"], copy["priority"])
    assert ["GET", "PUT"] == [request.method for request in server.requests]
    assert Conflicted(None) == push_one(way, attrs.evolve(blind, record_id="b"))


def test_inserts_and_deletes(server: FakeServer3, way: Way) -> None:
    """POST answers the record, DELETE nothing; 410 and an empty 404 are gone. [E05] [E04] [F10]"""
    assert "x" == copy_of(push_one(way, insert("a", text="x", extra={"k": [1]})))["text"]
    assert {"k": [1]} == server.rows["todoitem"]["a"]["extra"]
    assert isinstance(push_one(way, delete("a", version(9))), Conflicted)
    for _ in range(2):
        assert Applied(None, Tombstone(None)) == push_one(way, delete("a", version(1)))
    assert Applied(None, Tombstone(None)) == push_one(way, delete("nobody", version(1)))


def test_conflicts_are_read(server: FakeServer3, way: Way) -> None:
    """409, 412, 404 and 410 each say what is there. [F18] [F21]"""
    server.put("todoitem", "a", text="Theirs")
    assert "Theirs" == copy_of(push_one(way, insert("a", text="Mine")))["text"]
    assert "Theirs" == copy_of(push_one(way, update("a", version(9), text="Mine")))["text"]
    assert Conflicted(None) == push_one(way, update("b", version(1), text="Mine"))
    server.put("todoitem", "a", deleted=True)
    assert Conflicted(Tombstone(version(2))) == push_one(way, update("a", version(1), text="Mine"))
    assert Conflicted(Tombstone(version(2))) == push_one(way, insert("a", text="Mine"))


def test_a_tombstone_is_revived_as_either_server_wants_it(server: FakeServer3, way: Way) -> None:
    """A PUT with deleted records included, or a PATCH of `deleted`: the old content comes back with it. [O14]"""
    server.put("todoitem", "a", text="Old", priority=2.0)
    server.put("todoitem", "a", deleted=True)
    outcome = push_one(way, insert("a", text="New", expected=Tombstone(version(2))))
    assert isinstance(outcome, Undeleted)
    assert ("Old", 2.0, version(3)) == tuple(outcome.record[key] for key in ("text", "priority", "version"))
    assert isinstance(push_one(way, insert("a", text="New", expected=Tombstone(version(2)))), Conflicted)
    assert Conflicted(None) == push_one(way, insert("b", text="New", expected=Tombstone(None)))


def test_get_tells_records_tombstones_and_nothing(server: FakeServer3, way: Way) -> None:
    """410 hides the version, so deleted records are asked for."""
    server.put("todoitem", "a", text="x")
    server.put("todoitem", "b", text="x")
    server.put("todoitem", "b", deleted=True)
    found = way.get("todoitem", "a")
    assert alive(found)
    assert ("x", Tombstone(version(2)), None) == (
        found["text"],
        way.get("todoitem", "b"),
        way.get("todoitem", "c"),
    )
    hidden = transport(lambda request: reply(410), protocol="3.0")
    assert Tombstone(None) == hidden.get("todoitem", "a")


def test_pages_come_without_following_links(server: FakeServer3, way: Way) -> None:
    """The server's own limit is smaller than asked; its nextLink goes elsewhere, and nobody follows. [I30]"""
    for number in range(30):
        server.put("todoitem", f"{number:02}", text="x")
    server.put("todoitem", "00", deleted=True)
    found = pages(way, Query("todoitem"), total=True)
    records, tombstones = pulled(found)
    assert (29, {"00"}, 30) == (len(records), set(tombstones), found[0].total)
    first = server.requests[0].url.params
    assert ("true", "true", "updatedAt,id") == (first["$count"], first["__includedeleted"], first["$orderby"])
    assert "cast(2026-11-20T03:45:05." in server.requests[1].url.params["$filter"]


def test_queries_of_every_kind_answer_as_meant(server: FakeServer3, way: Way) -> None:
    """A database that ignores case finds too much: what is not meant is dropped here. [N14]"""
    for id, text in enumerate(["Milk", "milk", "MILK", None, "bread"]):
        server.put("todoitem", str(id), text=text)
    text = Field("text", ColumnType.STRING)
    for where, ids in (
        (Compare("eq", text, Value("milk")), ["1"]),
        (Call("contains", (text, Value("ilk"))), ["0", "1"]),
        (Compare("ne", text, Value("milk")), ["0", "2", "3", "4"]),
        (Not(Compare("eq", text, Value(None))), ["0", "1", "2", "4"]),
    ):
        query = Query("todoitem", where=where, order=(Order(Field("id")),))
        found = pages(way, query, incremental=False, deleted=False, limit=2)
        assert ids == [record["id"] for page in found for record in page.records]
        found = pages(way, attrs.evolve(query, skip=1, take=1), incremental=False, deleted=False)
        assert ids[1:2] == [record["id"] for page in found for record in page.records]


def test_a_refusal_in_problem_form_is_understood() -> None:
    """RFC 9457 bodies: the detail is the message."""
    way = transport(
        lambda request: reply(400, {"title": "Bad Request", "detail": "text is required"}), protocol="3.0"
    )
    assert Rejected("400", "text is required") == push_one(way, insert("a"))


def test_an_order_by_something_else_reads_to_the_end(server: FakeServer3, way: Way) -> None:
    """Ordered pages are counted, not walked. [N06]"""
    for number in range(20):
        server.put("todoitem", f"{number:02}", priority=float(number % 3))
    query = Query("todoitem", order=(Order(Field("priority", ColumnType.FLOAT), True),), take=15, skip=2)
    found = pages(way, query, incremental=False, deleted=False)
    ranks = [record["priority"] for page in found for record in page.records]
    assert (15, sorted(ranks, reverse=True)) == (len(ranks), ranks)
    assert 20 == way.pull(PullRequest(query=query, incremental=False, deleted=False, total=True)).total


def test_removing_the_last_field_is_sent() -> None:
    """An update that leaves no field replaces the record all the same: 3.0 takes whole records."""
    server = FakeServer3()
    http = transport(server, protocol="3.0")
    assert isinstance(push_one(http, insert("a", text="x")), Applied)
    removed = change("update", "a", {"id": "a"}, ("text",), Anything())
    assert isinstance(push_one(http, removed), Applied)
    found = http.get("todoitem", "a")
    assert alive(found)
    assert found.get("text") is None
