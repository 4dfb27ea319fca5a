"""The wire does to the real server and its client exactly what was planned."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.peers.server_process import Peer
from tests.peers.tables import HEADERS, Row, found
from tests.peers.wire_faults import (
    Answer,
    CutReply,
    Delay,
    Duplicate,
    Fault,
    Forward,
    Hold,
    LoseReply,
    LoseRequest,
)
from tests.peers.wire_proxy import WireProxy

pytestmark = pytest.mark.peer


@pytest.fixture
def client(shared_wire: WireProxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shared_wire.url, headers=HEADERS, timeout=0.5) as opened:
        yield opened


def at_server(http: httpx.Client, id: str) -> list[Row]:
    """What the server itself has under this id, tombstones included."""
    return found(http, f"id eq '{id}'", __includeDeleted="true")


def insert(client: httpx.Client, id: str) -> httpx.Response:
    return client.post("/tables/todoitem", json={"id": id, "text": "Bläue"})


def test_without_a_fault_client_and_server_notice_nothing(
    shared_wire: WireProxy, client: httpx.Client, http: httpx.Client, id: str
) -> None:
    """A forwarded request, its path, its body and its reply are the same bytes on both sides."""
    http.post("/todoitem", json={"id": f"{id} /ü?", "text": "Bläue"})
    target = f"/todoitem/{id}%20%2F%C3%BC%3F?a=1%202"
    direct, through = http.get(target), client.get(f"/tables{target}")

    (seen,) = shared_wire.requests
    assert [direct.content, direct.headers["etag"]] == [through.content, through.headers["etag"]]
    assert f"/tables{target}" == seen.target
    assert [f"/tables/todoitem/{id} /ü?", {"a": "1 2"}] == [seen.path, seen.query]
    assert ["GET", b"", Forward(), 200, 200] == [
        seen.method,
        seen.body,
        seen.fault,
        seen.status,
        seen.answered,
    ]
    assert ["2.0.0", direct.content] == [seen.headers["zumo-api-version"], seen.replies[0].body]


def test_a_connection_is_kept_for_many_requests(
    shared_wire: WireProxy, client: httpx.Client, id: str
) -> None:
    """Faultless requests reuse the client's connection, as they would without the proxy."""
    insert(client, id)
    first = client.get(f"/tables/todoitem/{id}").extensions["network_stream"].get_extra_info("client_addr")
    second = client.get(f"/tables/todoitem/{id}").extensions["network_stream"].get_extra_info("client_addr")

    assert first == second


@pytest.mark.parametrize(
    ("fault", "error", "rows"),
    [
        (LoseRequest(), httpx.RemoteProtocolError, 0),
        (LoseRequest(silent=True), httpx.ReadTimeout, 0),
        (LoseReply(), httpx.RemoteProtocolError, 1),
        (LoseReply(silent=True), httpx.ReadTimeout, 1),
        (Hold(), httpx.RemoteProtocolError, 0),
        (Hold(silent=True), httpx.ReadTimeout, 0),
        (CutReply(), httpx.RemoteProtocolError, 1),
        (CutReply(keep=0), httpx.RemoteProtocolError, 1),
    ],
    ids=repr,
)
def test_what_is_lost_is_lost_for_the_client_alone_or_for_both(
    http: httpx.Client,
    shared_wire: WireProxy,
    client: httpx.Client,
    id: str,
    fault: Fault,
    error: type[Exception],
    rows: int,
) -> None:
    """Each loss ends in its error at the client, and leaves its effect, or none, at the server."""
    shared_wire.plan(fault)

    with pytest.raises(error):
        insert(client, id)

    assert rows == len(at_server(http, id))
    assert [(fault, 201 if rows else None, None)] == [
        (seen.fault, seen.status, seen.answered) for seen in shared_wire.requests
    ]


@pytest.mark.parametrize(("after", "rows"), [(False, 0), (True, 1)])
def test_an_answer_takes_the_place_of_the_servers(
    http: httpx.Client, shared_wire: WireProxy, client: httpx.Client, id: str, after: bool, rows: int
) -> None:
    """The client is given any status, headers and body, before or after the server acted."""
    shared_wire.plan(Answer(503, b"<p>busy", {"Retry-After": "7"}, after=after))

    reply = insert(client, id)

    assert (503, b"<p>busy", "7") == (reply.status_code, reply.content, reply.headers["retry-after"])
    assert rows == len(at_server(http, id))
    assert [503] == [seen.answered for seen in shared_wire.requests]


def test_a_held_request_arrives_late(
    http: httpx.Client, shared_wire: WireProxy, client: httpx.Client, id: str
) -> None:
    """What timed out takes effect only when it is delivered, after what the client did meanwhile."""
    insert(client, id)
    shared_wire.plan(Hold(silent=True), method="PATCH")
    with pytest.raises(httpx.ReadTimeout):
        client.patch(f"/tables/todoitem/{id}", json={"text": "late"})
    client.patch(f"/tables/todoitem/{id}", json={"text": "early"})
    before = at_server(http, id)[0]["text"]

    delivered = shared_wire.deliver()

    assert ("early", "late") == (before, at_server(http, id)[0]["text"])
    assert [("PATCH", 200, None)] == [(seen.method, seen.status, seen.answered) for seen in delivered]
    assert [] == shared_wire.deliver()


def test_a_duplicate_reaches_the_server_twice(shared_wire: WireProxy, client: httpx.Client, id: str) -> None:
    """The client sees one answer; the server sees the request again at `deliver()`."""
    shared_wire.plan(Duplicate())

    reply = insert(client, id)
    shared_wire.deliver()

    assert 201 == reply.status_code
    assert [[201, 409]] == [[answer.status for answer in seen.replies] for seen in shared_wire.requests]


def test_a_delay_holds_back_the_request_or_the_reply(
    shared_wire: WireProxy, client: httpx.Client, id: str
) -> None:
    """`before` and `after` are waited for, and then all is as without a fault."""
    shared_wire.plan(Delay(before=0.05, after=0.05))
    began = time.monotonic()

    reply = insert(client, id)

    assert (201, True) == (reply.status_code, time.monotonic() - began >= 0.1)


def test_faults_are_used_up_in_order_by_the_requests_that_fit(
    shared_wire: WireProxy, client: httpx.Client, id: str
) -> None:
    """Method, path, `when`, `skip` and `times` choose; every fault is used as often as planned."""
    first, second = Answer(500), Answer(503)
    shared_wire.plan(first, second, method="POST", path="/tables/todoitem")
    shared_wire.plan(Answer(418), method="GET", path=r"/tables/todoitem/.*", skip=1, times=2)
    shared_wire.plan(Answer(507), when=lambda seen: seen.method == "PATCH" and seen.json == {"text": "x"})

    posts = [insert(client, id).status_code for _ in range(3)]
    gets = [client.get(f"/tables/todoitem/{id}").status_code for _ in range(4)]
    patches = [client.patch(f"/tables/todoitem/{id}", json={"text": text}).status_code for text in "yx"]

    assert [500, 503, 201] == posts
    assert [200, 418, 418, 200] == gets
    assert [200, 507] == patches


def test_clear_forgets_plans_and_requests(shared_wire: WireProxy, client: httpx.Client, id: str) -> None:
    """After `clear` nothing is planned, and nothing was seen."""
    insert(client, id)
    shared_wire.plan(LoseRequest(), times=None)

    shared_wire.clear()
    seen_before = shared_wire.requests

    assert ([], 200) == (seen_before, client.get(f"/tables/todoitem/{id}").status_code)


def test_offline_refuses_connections_until_online(
    shared_wire: WireProxy, client: httpx.Client, id: str
) -> None:
    """Offline severs what is open and refuses what is new; online listens at the same address."""
    insert(client, id)

    shared_wire.offline()
    with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
        client.get(f"/tables/todoitem/{id}")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{shared_wire.url}/tables/todoitem/{id}", headers=HEADERS)
    shared_wire.online()

    assert 200 == client.get(f"/tables/todoitem/{id}").status_code


def test_a_server_that_is_down_looks_like_a_lost_request(peer: Peer, wire: WireProxy) -> None:
    """The wire closes the client's connection when there is no server behind it."""
    peer.stop()

    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{wire.url}/tables/todoitem", headers=HEADERS)

    assert [(None, None)] == [(seen.status, seen.answered) for seen in wire.requests]


def test_a_mistake_in_a_plan_fails_the_test(shared_peer: Peer) -> None:
    """What a `when` raises is not lost in a thread: closing the wire raises it."""

    def when(seen: object) -> bool:
        raise LookupError("a mistake")

    def ask(proxy: WireProxy) -> None:
        with proxy:
            proxy.plan(LoseRequest(), when=when)
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(f"{proxy.url}/tables/todoitem", headers=HEADERS)

    with pytest.raises(LookupError, match="a mistake"):
        ask(WireProxy(shared_peer.url))
