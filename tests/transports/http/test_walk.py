"""Queries, counts, fields and junk: pages that are not about what changed since."""

import json
from typing import Any

import attrs
import httpx
import pytest

from tests.transports.http.fake_server import FakeServer, reply
from tests.transports.http.support import COLUMNS, TODO, insert, pages, pulled, push_one, transport
from tidesync.contracts.transport import Page, PullRequest
from tidesync.errors import ProtocolError, RemoteUnavailable, RequestRefused, Unsupported
from tidesync.predicate import select
from tidesync.query import And, Call, Compare, Field, Not, Or, Order, Query, Value
from tidesync.values import ColumnType

pytestmark = pytest.mark.usefixtures("driver")

T = ColumnType
ALL = Query("todoitem")
DONE, RANK, TEXT = Field("complete", T.BOOLEAN), Field("priority", T.FLOAT), Field("text", T.STRING)


def server_of(count: int, *, tick: float = 0.001, cap: int = 1000) -> FakeServer:
    server = FakeServer({"todoitem": COLUMNS}, tick=tick, cap=cap)
    for number in range(count):
        server.put(
            "todoitem",
            f"{number:04}",
            text=f"t{number}",
            complete=number % 2 == 0,
            priority=float(number % 7),
        )
    return server


def parameters(request: httpx.Request) -> dict[str, str]:
    return dict(request.url.params)


def test_the_total_is_asked_for_once_and_only_on_demand() -> None:
    """The count of the whole pull, without skip and take. [B28] [N06]"""
    server = server_of(20)
    way = transport(server)
    assert [20] == [way.pull(PullRequest(query=ALL, limit=3, total=True)).total]
    assert way.pull(PullRequest(query=ALL, limit=3)).total is None
    few = Query("todoitem", where=DONE, skip=2, take=3)
    page = way.pull(PullRequest(query=few, incremental=False, total=True, deleted=False))
    assert (10, 3) == (page.total, len(page.records))


NOT_SENT = Call("startswith", (TEXT, Value("t1")))


@pytest.mark.parametrize("skip", [0, 1, 5, 100])
@pytest.mark.parametrize("take", [None, 0, 1, 4, 100])
@pytest.mark.parametrize(
    "where",
    [None, DONE, NOT_SENT, Not(DONE), And((DONE, NOT_SENT)), Or((NOT_SENT, Compare("eq", RANK, Value(3.0))))],
)
@pytest.mark.parametrize("order", [(), (Order(RANK, True), Order(TEXT))])
def test_skip_take_order_and_filters_of_any_kind(
    skip: int, take: int | None, where: Any, order: tuple[Order, ...]
) -> None:
    """What cannot be trusted is filtered, skipped and counted here: the answer is the query's. [N06] [N14]"""
    server = server_of(25)
    server.put("todoitem", "0003", deleted=True)
    query = Query("todoitem", where=where, skip=skip, take=take, order=order)
    found = pages(transport(server), query, limit=4, incremental=False, deleted=False)
    assert all(page.exact for page in found)
    shown = (server.shown("todoitem", row) for row in server.rows["todoitem"].values() if not row["deleted"])
    local = [
        {"id": row["id"], "text": row["text"], "complete": row["complete"], "priority": row["priority"]}
        for row in shown
    ]
    assert [record["id"] for record in select(query, local)] == [
        record["id"] for page in found for record in page.records
    ]


def test_tombstones_do_not_count_as_records_taken() -> None:
    """skip and take count records: where they are asked for, deleted ones stay away."""
    server = server_of(6)
    server.put("todoitem", "0000", deleted=True)
    found = pages(transport(server), Query("todoitem", skip=1, take=2), incremental=False)
    assert (["0002", "0003"], {}) == (
        [record["id"] for page in found for record in page.records],
        pulled(found)[1],
    )


def test_an_incremental_page_says_when_its_filter_is_not_exact() -> None:
    """Then the engine filters; the superset has everything that matches."""
    way = transport(server_of(20))
    page = way.pull(PullRequest(query=attrs.evolve(ALL, where=And((DONE, NOT_SENT)))))
    assert (False, 10) == (page.exact, len(page.records))
    assert way.pull(PullRequest(query=attrs.evolve(ALL, where=DONE))).exact


@pytest.mark.parametrize(
    "query", [attrs.evolve(ALL, order=(Order(TEXT),)), attrs.evolve(ALL, skip=1), attrs.evolve(ALL, take=1)]
)
def test_an_incremental_pull_has_no_order_skip_or_take(query: Query) -> None:
    """They have no meaning for what changed since. [H02]"""
    with pytest.raises(Unsupported):
        _ = transport(server_of(1)).pull(PullRequest(query=query))


def test_an_order_that_the_remote_cannot_give_is_refused() -> None:
    """Refused with a clear text, rather than pages in another order. [H04]"""
    query = attrs.evolve(ALL, order=(Order(Call("lower", (TEXT,))),))
    with pytest.raises(Unsupported, match="order"):
        _ = transport(server_of(1)).pull(PullRequest(query=query, incremental=False))


def test_a_column_that_the_remote_has_not_got_is_null_everywhere() -> None:
    """Naming one would make the 2.0 answer empty: ordering and conditions do without it."""
    server = FakeServer({"todoitem": ("text",)})
    for id in "abc":
        server.put("todoitem", id, text=id)
    way = transport(server)
    for query in (
        attrs.evolve(ALL, order=(Order(RANK), Order(TEXT, True))),
        attrs.evolve(ALL, where=Or((DONE, Compare("gt", TEXT, Value(""))))),
        attrs.evolve(ALL, fields=("priority", "text")),
    ):
        found = pages(way, query, incremental=False, deleted=False)
        assert 3 == sum(len(page.records) for page in found)


def test_only_the_fields_that_were_asked_for() -> None:
    """id and version always come; columns are named only where the remote has them. [N06]"""
    server = server_of(3)
    way = transport(server)
    first = way.pull(PullRequest(query=ALL, fields=("text",), incremental=False))
    assert {"id", "version", "text"} == set(first.records[0])
    assert "$select" not in parameters(server.requests[0])
    again = way.pull(PullRequest(query=ALL, fields=("text",), incremental=False))
    assert first.records == again.records
    assert "id,version,updatedAt,deleted,text" == parameters(server.requests[-1])["$select"]
    conditional = attrs.evolve(ALL, where=Not(DONE), fields=("text",))
    assert ["t1"] == [
        record["text"] for record in way.pull(PullRequest(query=conditional, incremental=False)).records
    ]


def test_records_by_id() -> None:
    """Some records by name, in as many requests as their names need; what is missing is missing."""
    server = server_of(50)
    server.put("todoitem", "0002", deleted=True)
    way = transport(server)
    ids = (*(f"{number:04}" for number in range(45)), "nobody", "it's")
    found = pages(way, ALL, ids=ids, total=True)
    records, tombstones = pulled(found)
    assert (44, {"0002"}, 47, 2) == (len(records), set(tombstones), found[0].total, len(found))
    assert Page(total=0) == way.pull(PullRequest(query=ALL, ids=(), total=True))


def test_a_server_that_allows_fewer_records_is_asked_for_fewer() -> None:
    """The limit is in the refusal's own words."""
    server = server_of(9)

    def handler(request: httpx.Request) -> httpx.Response:
        if int(parameters(request)["$top"]) > 4:
            return reply(400, {"error": "You cannot request more than 4 records"})
        return server(request)

    assert 9 == len(pulled(pages(transport(handler), ALL))[0])


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b"null", b'"x"', b'{"results":{}}', b"[" * 100_000, b'{"error":"x"}', b"\xff"],
)
@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_junk_instead_of_a_list_is_a_typed_error(body: bytes, status: int) -> None:
    """Not JSON, wrong shapes, lying content types: a typed error, and the next call works. [I30]"""
    server, bad = server_of(1), [True]

    def handler(request: httpx.Request) -> httpx.Response:
        if bad[0]:
            return httpx.Response(status, content=body, headers={"content-type": "image/png"})
        return server(request)

    way = transport(handler, retries=0)
    expected = {200: ProtocolError, 500: RemoteUnavailable}.get(status, RequestRefused)
    with pytest.raises(expected):
        _ = way.pull(PullRequest(query=ALL))
    with pytest.raises(expected):
        _ = way.get("todoitem", "a")
    bad[0] = False
    assert 1 == len(way.pull(PullRequest(query=ALL)).records)


def test_junk_among_records_is_set_aside_with_its_reason() -> None:
    """What is no record is reported raw, and the pull goes on behind it. [J10] [R-J22]"""
    rows = (
        b'[5,null,"x",[],{},{"id":7},{"id":"","x":1},{"id":"nan","x":NaN},{"id":"big","x":123456789012345678901},'
        b'{"id":"lone","x":"\\ud800"},{"id":"twice","id":"twice"},{"id":"deep","x":'
        + b"[" * 80
        + b"]" * 80
        + b"},"
        b'{"id":"good","updatedAt":"2026-11-20T03:45:05.000Z","text":"kept"}]'
    )
    answers = [rows, b"[]"]
    way = transport(lambda request: httpx.Response(200, content=answers.pop(0)))
    (page, last) = pages(way, ALL, incremental=False)
    assert (["good"], 12, []) == ([record["id"] for record in page.records], len(page.junk), list(last.junk))
    assert all(junk.raw and junk.reason for junk in page.junk)


@pytest.mark.parametrize("incremental", [True, False])
def test_an_id_that_no_address_can_carry_does_not_stop_the_pull(incremental: bool) -> None:
    """A lone surrogate as the last id of a page is junk, and the next page is asked for without it."""
    rows = [
        {"id": "a", "updatedAt": "2026-11-20T03:45:05.000Z"},
        {"id": "\ud800", "updatedAt": "2026-11-20T03:45:06.000Z"},
    ]
    page = json.dumps(rows).encode()
    answers = [page, b"[]"]
    way = transport(lambda request: httpx.Response(200, content=answers.pop(0)))
    first, _ = pages(way, ALL, incremental=incremental)
    assert (["a"], 1) == ([record["id"] for record in first.records], len(first.junk))


def test_a_page_of_junk_alone_does_not_loop() -> None:
    """Where no row has an id there is no way on: an error says so."""
    way = transport(lambda request: reply(200, [{"x": 1}] * 3))
    for incremental in (True, False):
        with pytest.raises(ProtocolError, match="id"):
            _ = pages(way, ALL, incremental=incremental)


def test_an_unknown_table_and_a_bad_request_are_refused() -> None:
    """The server's words come along, without markup."""
    way = transport(FakeServer({}))
    with pytest.raises(RequestRefused, match="Cannot GET") as caught:
        _ = way.pull(PullRequest(query=ALL))
    assert ("404", True) == (caught.value.code, "<" not in str(caught.value))


def test_a_record_is_pushed_and_pulled_under_its_wire_names() -> None:
    """`created_on` travels as createdOn, and a field that the class does not name survives. [I29]"""
    server = FakeServer({"todoitem": COLUMNS})
    way = transport(server)
    _ = push_one(way, insert("a", created_on="x", extra={"k": [1]}, stranger=True))
    assert ("x", '{"k":[1]}', True) == tuple(
        server.rows["todoitem"]["a"][key] for key in ("createdOn", "extra", "stranger")
    )
    (record,) = way.pull(PullRequest(query=Query(TODO.name))).records
    assert ("x", {"k": [1]}, True) == (record["created_on"], record["extra"], record["stranger"])
