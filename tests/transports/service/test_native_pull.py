"""tidesync's own protocol as anybody may speak it: pages and single records."""

import httpx
import pytest

from tests.transports.service.conftest import Serve
from tests.transports.service.native_lines import NOTE, TODO, insert, lines, pull, push
from tests.transports.service.support import Serving
from tidesync.stores.memory import MemoryStore


@pytest.fixture
def service(serve: Serve) -> Serving:
    return serve(MemoryStore(), [TODO, NOTE], identity="here")


def test_a_page_is_ended_and_can_be_followed(service: Serving) -> None:
    """Records in the order of commits; the cursor of the end leads on, to tombstones and departures too."""
    _ = push(service, *(insert(id, n=n) for n, id in enumerate("abc")))
    where = ["compare", "lt", ["field", "n", "integer"], ["value", 2, "integer"]]
    query = {"table": "todo", "where": where}
    first = lines(pull(service, query=query, limit=1, total=True))
    assert (["a"], 2, True) == (
        [each["record"]["id"] for each in first[:-1]], first[-1]["end"]["total"], first[-1]["end"]["more"],
    )  # fmt: skip
    second = lines(pull(service, query=query, limit=5, cursor=first[-1]["end"]["cursor"]))
    assert ["b"] == [each["record"]["id"] for each in second[:-1]]
    _ = push(
        service,
        {
            "id": "1",
            "table": "todo",
            "record_id": "a",
            "kind": "update",
            "record": {"id": "a", "n": 9},
            "fields": ["n"],
        },
        {"id": "2", "table": "todo", "record_id": "b", "kind": "delete"},
    )
    third = lines(pull(service, query=query, cursor=second[-1]["end"]["cursor"], departures=True))
    assert ([{"departed": "a"}], ["b"], False) == (
        [each for each in third if "departed" in each],
        [each["tombstone"] for each in third if "tombstone" in each],
        third[-1]["end"]["more"],
    )
    assert third[-1]["end"]["clock"].endswith("Z")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b"[]", 400, "malformed"),
        (b'{"query":{"table":"nowhere"}}', 404, "unknown_table"),
        (b'{"query":{"table":"todo"},"limit":0}', 400, "malformed"),
        (b'{"query":{"table":"todo","take":5}}', 400, "invalid_request"),
        (b'{"query":{"table":"todo","where":["field","odd","any"]}}', 400, "unknown_field"),
        (b'{"query":{"table":"todo","where":["field","_deleted","any"]}}', 400, "unknown_field"),
        (b'{"query":{"table":"note","where":["field","_sequence","any"]}}', 400, "unknown_field"),
        (b'{"query":{"table":"todo"},"fields":["odd"]}', 400, "unknown_field"),
        (
            b'{"query":{"table":"todo","order":[[["field","odd","any"],false]]},"incremental":false}',
            400,
            "unknown_field",
        ),
        (b'{"query":{"table":"todo"},"cursor":"x"}', 410, "resync"),
        (b'{"query":{"table":"todo"},"cursor":{"identity":"there","table":"todo"}}', 410, "resync"),
        (b'{"query":{"table":"todo"},"ids":["' + b"x" * (1 << 20) + b'"]}', 413, "too_large"),
    ],
)
def test_a_pull_that_cannot_be_answered_says_why(
    service: Serving, body: bytes, status: int, code: str
) -> None:
    """With a status and a code of its own."""
    reply = service.http.post("/tidesync/v1/pull", content=body)
    assert (status, code, "1") == (
        reply.status_code,
        reply.json()["code"],
        reply.headers["tidesync-protocol"],
    )


def test_an_open_table_may_be_asked_for_any_field(service: Serving) -> None:
    """Nobody declared its columns."""
    _ = push(service, insert("a", "note", odd=1), insert("b", "note", odd=2))
    where = ["compare", "eq", ["field", "odd", "any"], ["value", 2, "any"]]
    assert ["b"] == [
        each["record"]["id"]
        for each in lines(pull(service, query={"table": "note", "where": where}))
        if "record" in each
    ]


@pytest.mark.parametrize("id", ["a/b", "a%2Fb", "ä ö", "?x#y", "..a", "tables/todo", "a\\b", "%", "🎣"])
def test_a_record_is_read_by_any_id(service: Serving, id: str) -> None:
    """Its id is one part of the address, each character of it; a tombstone and nothing are told as such."""
    [made, _] = push(service, insert(id, text="x"))
    address = "/tidesync/v1/tables/todo/" + httpx.URL("http://x", params={"q": id}).query.decode()[
        2:
    ].replace("+", "%20")
    found = service.http.get(address).json()["record"]
    assert (id, "x", made["version"]) == (found["id"], found["text"], found["version"])
    [gone, _] = push(service, {"id": "d", "table": "todo", "record_id": id, "kind": "delete"})
    assert {"tombstone": gone["version"]} == service.http.get(address).json()
    assert {"absent": True} == service.http.get(address + "-").json()


def test_what_has_no_table_or_address_is_404(service: Serving) -> None:
    """An id with a bare slash is another address."""
    replies = [
        service.http.get(f"/tidesync/v1/{path}") for path in ("tables/odd/a", "tables/todo/a/b", "odd")
    ]
    assert [404] * 3 == [reply.status_code for reply in replies]
    assert 405 == service.http.get("/tidesync/v1/push").status_code
