"""HttpTransport on tidesync's own protocol: what it sends, and what it makes of every reply."""

import time
from typing import Any

import httpx
import pytest

from tests.transports.http.native_server import NativeServer, anew, kinds, native, problem, reply, version_in
from tests.transports.http.support import (
    READ,
    TODO,
    Script,
    delete,
    insert,
    push_one,
    transport,
    update,
)
from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    CursorGuarantee,
    Denied,
    NotSent,
    PullRequest,
    Rejected,
    Unknown,
    Untried,
)
from tidesync.errors import (
    ConfigurationError,
    NotReachable,
    ProtocolError,
    RemoteUnavailable,
    RequestRefused,
    TransportError,
    Unauthorized,
)
from tidesync.query import Field, Query
from tidesync.records import INT_MAX, INT_MIN, Tombstone
from tidesync.schema import Column, TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.http import HttpTransport
from tidesync.values import ColumnType

pytestmark = pytest.mark.usefixtures("driver")

COUNT = Field("count", ColumnType.INTEGER)


# ---- opening


def test_a_remote_that_speaks_it_is_recognised_by_its_first_reply() -> None:
    """The one request that finds out is the same for every remote, whatever its status says."""
    for first in (reply(200, b'{"items":[]}'), reply(404), reply(403)):
        server = NativeServer(answers=[first])
        way = native(server, protocol="auto")
        assert ["/app/tables/todoitem", "/app/tidesync/v1"] == [request.url.path for request in server.asked]
        plain = Script(httpx.Response(200, json={"items": []}))
        _ = transport(plain, protocol="auto", retries=0)
        [asked, expected] = [server.asked[0], plain.asked[0]]
        assert (expected.url, expected.headers, expected.content) == (asked.url, asked.headers, asked.content)
        assert isinstance(push_one(way, insert("a")), Applied)


def test_what_the_remote_says_of_itself_is_what_the_transport_can_do() -> None:
    """Its identity, not its address; limits, and what its cursors promise."""
    server = NativeServer(changes=50, most=5000)
    way = HttpTransport(
        "http://127.0.0.1", protocol="tidesync", page_limit=70, timeout=3.0,
        client=httpx.Client(transport=httpx.MockTransport(server)),
    )  # fmt: skip
    found = way.open([TODO])
    assert ("it", CursorGuarantee.COMMIT_ORDERED, 50, 5000, 70, 18.0) == (
        found.identity, found.cursor, found.max_changes, found.max_bytes, found.page_limit,
        found.exchange_timeout,
    )  # fmt: skip
    assert (True, True, True, None, frozenset({"todoitem"}), frozenset({"todoitem"})) == (
        found.ordered, found.total, found.filters, found.remembers, found.tombstones, found.departures,
    )  # fmt: skip
    server.most = 1 << 30
    assert 1 << 20 == way.open([TODO]).max_bytes


def test_a_remote_that_speaks_newer_versions_alone_is_spoken_to_in_3_0() -> None:
    """Or in whatever else it answers."""
    script = Script(httpx.Response(200, json={"items": []}, headers={"Tidesync-Protocol": "2, 3"}))
    way = native(script, protocol="auto")
    assert [] == list(way.pull(READ).records)
    assert ["/app/tables/todoitem"] * 2 == [request.url.path for request in script.asked]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404), ProtocolError),
        (httpx.Response(200, json=[]), ProtocolError),
        (httpx.Response(404, headers={"Tidesync-Protocol": "2"}), ProtocolError),
        (reply(404), RequestRefused),
        (reply(200, b"[]"), ProtocolError),
        (reply(200, b"{}"), ProtocolError),
        (reply(200, b"\xff"), ProtocolError),
        (reply(401), Unauthorized),
        (reply(500), RemoteUnavailable),
        (reply(429), NotReachable),
        (httpx.ConnectError, NotReachable),
    ],
)
def test_opening_a_remote_that_does_not_speak_it_is_a_typed_error(
    answer: Any, error: type[TransportError]
) -> None:
    """Which says what to do, where it is not passing; the next try may succeed."""
    server = NativeServer(answers=[answer])
    with pytest.raises(error) as raised:
        _ = native(server)
    if answer is not None and error is ProtocolError and getattr(answer, "status_code", 0) == 404:
        assert 'protocol="auto"' in str(raised.value)
    assert isinstance(push_one(native(server), insert("a")), Applied)


def test_no_name_is_reserved() -> None:
    """What 2.0 and 3.0 keep for themselves may be a column, also where the protocol is found out."""
    odd = TableSchema(
        "odd", (Column("gone", ColumnType.BOOLEAN, wire="deleted"), Column("createdAt", ColumnType.STRING))
    )
    for protocol in ("tidesync", "auto"):
        authority = Authority(MemoryStore(), [odd]).open()
        server = NativeServer(authority, answers=[reply(200)] if protocol == "auto" else [])
        way = native(server, tables=[odd], protocol=protocol)
        record = {"id": "a", "gone": True, "createdAt": "never", "updatedAt": 5, "é ü": [None]}
        sent = Change(id="1", table="odd", record_id="a", kind="insert", record=record, fields=tuple(record))
        outcome = push_one(way, sent)
        assert isinstance(outcome, Applied)
        [held] = authority.records("odd")
        assert (True, "never", 5, [None]) == (
            held["deleted"], held["createdAt"], held["updatedAt"], held["é ü"],
        )  # fmt: skip
        assert outcome.copy == way.get("odd", "a")
        [found] = way.pull(PullRequest(query=Query("odd", Field("gone", ColumnType.BOOLEAN)))).records
        assert outcome.copy == found
    with pytest.raises(ConfigurationError, match="reserves"):
        _ = native(Script(httpx.Response(200, json={"items": []})), tables=[odd], protocol="auto")


def test_without_tables_the_protocol_must_be_named() -> None:
    """There is nothing to ask for; named, it needs none."""
    with pytest.raises(ProtocolError, match='protocol="tidesync"'):
        _ = native(NativeServer(), tables=[], protocol="auto")
    _ = native(NativeServer(), tables=[])


# ---- push


def test_a_batch_is_one_request() -> None:
    """In the order given; what the remote holds is the outcome, under local names."""
    server = NativeServer()
    way = native(server)
    first, second = way.push([insert("a", text="x", created_on="then"), insert("b", count=1)])
    assert [2] == server.batches
    assert isinstance(first, Applied)
    assert isinstance(first.copy, dict)
    assert ("x", "then", first.version) == (
        first.copy["text"], first.copy["created_on"], first.copy["version"],
    )  # fmt: skip
    assert "then" == server.authority.records("todoitem")[0]["createdOn"]
    version = str(first.version)
    changed, gone, stale = way.push(
        [
            anew(update("a", version, text="y", created_on="then")),
            anew(delete("b", version_in(second))),
            update("c", "0", text="z"),
        ]
    )
    assert isinstance(changed, Applied)
    assert {"id": "a", "text": "y", "created_on": "then"}.items() <= changed.copy.items()  # type: ignore[union-attr]
    assert (Applied, Tombstone) == (type(gone), type(gone.copy))  # type: ignore[union-attr]
    assert Conflicted(None) == stale


def test_values_survive_bit_for_bit() -> None:
    """There and back: no value is converted."""
    values = {
        "text": "\u2028 \0 🎣 \ue000 é", "complete": None, "priority": -0.0, "count": INT_MIN, "price": "1.50",
        "extra": {"a": [5e-324, 1e22, 0.1 + 0.2, INT_MAX, True, {"": ""}]}, "due": "2026-11-20T03:45:05.507123Z",
        "odd": 2.0**63,
    }  # fmt: skip
    server = NativeServer()
    way = native(server)
    outcome = push_one(way, insert("a", **values))  # type: ignore[arg-type]
    assert isinstance(outcome, Applied)
    [record] = way.pull(READ).records
    held = way.get("todoitem", "a")
    for copy in (outcome.copy, record, held, server.authority.records("todoitem")[0]):
        assert isinstance(copy, dict)
        assert repr(values) == repr({name: copy[name] for name in values})


def test_the_outcome_of_an_operation_that_is_remembered_has_no_record() -> None:
    """It tells the version of then."""
    way = native(NativeServer())
    first = push_one(way, insert("a", text="x"))
    assert Applied(first.version) == push_one(way, insert("a", text="x"))  # type: ignore[union-attr]


def test_batches_are_bounded_by_the_remote_s_limits() -> None:
    """In changes and in bytes, one after another."""
    server = NativeServer(changes=3)
    assert [Applied] * 7 == kinds(native(server).push([insert(f"r{n}") for n in range(7)]))
    assert [3, 3, 1] == server.batches
    server = NativeServer(most=1000)
    assert [Applied] * 7 == kinds(native(server).push([insert(f"r{n}", text="x" * 300) for n in range(7)]))
    assert [2, 2, 2, 1] == server.batches
    assert all(len(request.content) <= 1000 for request in server.asked[1:])


def test_what_cannot_be_sent_is_refused_alone() -> None:
    """No JSON, or larger than the remote takes: the rest goes."""
    server = NativeServer(line=2000)
    odd: Any = float("nan")
    outcomes = native(server).push(
        [
            insert("a"),
            insert("b", priority=odd),
            insert("c", text="x" * 3000),
            insert("d", extra=odd),
            insert("e"),
        ]
    )
    assert [Applied, Rejected, Rejected, Rejected, Applied] == kinds(outcomes)
    assert ["unsendable", "too_large"] == [outcome.code for outcome in outcomes[1:3]]  # type: ignore[union-attr]
    assert [2] == server.batches


def test_a_batch_that_is_too_large_is_sent_in_halves() -> None:
    """Down to a single change, which is refused."""
    server = NativeServer()
    way = native(server)

    def small(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/push") and len(request.content) > 700:
            return problem(413, "too_large")
        return server(request)

    way = native(small)
    outcomes = way.push([insert(f"r{n}", text="x" * (900 if n == 2 else 100)) for n in range(5)])
    assert [Applied, Applied, Rejected, Applied, Applied] == kinds(outcomes)
    assert "too_large" == outcomes[2].code  # type: ignore[union-attr]


def test_halves_stop_where_one_of_them_does() -> None:
    """What was not sent is not tried."""
    server = NativeServer()
    way = native(server)
    server.answers = [problem(413, "too_large"), reply(500)]
    assert [Unknown, Unknown, Untried, Untried] == kinds(way.push([insert(id) for id in "abcd"]))


NOTHING_DONE = {"Retry-After": "7"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.ConnectError, NotSent),
        (httpx.ConnectTimeout, NotSent),
        (httpx.ReadTimeout, Unknown),
        (httpx.WriteError, Unknown),
        (httpx.RemoteProtocolError, Unknown),
        (reply(401), Denied),
        (reply(403), Denied),
        (httpx.Response(403), Denied),
        (reply(429, **NOTHING_DONE), NotSent("", 7.0)),
        (reply(503, **NOTHING_DONE), NotSent("", 7.0)),
        (httpx.Response(503, headers=NOTHING_DONE), Unknown),
        (reply(503), Unknown),
        (problem(500, "failed"), Unknown),
        (httpx.Response(502), Unknown),
        (problem(408, "slow_body"), Unknown),
        (problem(421, "another_remote"), NotSent),
        (problem(400, "malformed_body"), NotSent),
        (problem(415, "unsupported_encoding"), NotSent),
        (httpx.Response(404), NotSent),
        (httpx.Response(405), NotSent),
        (httpx.Response(200, json=[]), Unknown),
        (reply(307, Location="http://127.0.0.1/other"), NotSent),
        (reply(302, Location="http://127.0.0.1/other"), Unknown),
        (reply(200, b"<html>"), Unknown),
        (reply(200), Unknown),
        (reply(204), Unknown),
    ],
)
def test_what_a_reply_proves_is_what_every_change_is_told(answer: Any, expected: Any) -> None:
    """Only what shows that nothing was done says so; nothing is raised."""
    server = NativeServer()
    way = native(server)
    server.answers = [answer]
    outcomes = way.push([insert("a"), insert("b")])
    if isinstance(expected, NotSent):
        assert [expected.retry_after] * 2 == [outcome.retry_after for outcome in outcomes]  # type: ignore[union-attr]
        expected = NotSent
    assert [expected] * 2 == kinds(outcomes)
    assert [Applied, Applied] == kinds(way.push([insert("a"), insert("b")]))


def test_a_batch_is_sent_again_once_with_a_fresh_token() -> None:
    """The same request, as a bearer of the new token; refused again, the push is denied."""
    tokens = iter(["one", "two", "three"])
    server = NativeServer()
    way = native(server, auth=lambda: next(tokens))
    server.answers = [reply(401)]
    assert [Applied] == kinds(way.push([insert("a")]))
    assert ["Bearer one", "Bearer two"] == [request.headers["authorization"] for request in server.asked[1:]]
    assert server.asked[1].content == server.asked[2].content
    server.answers = [reply(401), reply(401)]
    assert [Denied] == kinds(way.push([insert("b")]))


def test_a_batch_that_goes_too_slowly_is_given_up() -> None:
    """An exchange takes a bounded time, however slow the network: what was sent is in doubt."""
    server = NativeServer()

    class Slow(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            for _ in request.stream:  # type: ignore[union-attr]
                time.sleep(0.02)
            return server(httpx.Request(request.method, request.url, headers=request.headers))

    way = HttpTransport(
        "http://127.0.0.1", protocol="tidesync", timeout=0.1, client=httpx.Client(transport=Slow())
    )
    _ = way.open([TODO])
    outcomes = way.push([insert(f"r{n}", text="x" * 10_000) for n in range(90)])
    assert {Unknown("the request went too slowly")} == set(outcomes)
    assert [] == server.batches


def test_an_auth_flow_may_send_a_batch_twice() -> None:
    """The body can be read again."""

    class Twice(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            response = yield request
            if response.status_code == 401:
                request.headers["x"] = "1"
                yield request

    server = NativeServer()
    way = native(server, auth=Twice())
    server.answers = [reply(401)]
    assert [Applied] * 100 == kinds(way.push([insert(f"r{n}", text="x" * 1000) for n in range(100)]))


def test_a_remote_that_is_replaced_by_another_one_is_noticed() -> None:
    """Where the new one does not speak this: nothing is lost, and the error says what to do."""
    server = NativeServer()
    way = native(server)
    for _ in range(3):
        server.answers.append(httpx.Response(404, text="nothing here"))
    [outcome] = way.push([insert("a")])
    assert isinstance(outcome, NotSent)
    assert 'protocol="auto"' in outcome.reason
    for call in (lambda: way.pull(READ), lambda: way.get("todoitem", "a")):
        with pytest.raises(ProtocolError, match='open it again with protocol="auto"'):
            call()


def test_requests_are_compressed_where_it_pays() -> None:
    """Between machines, from a kilobyte on; within one machine nothing is."""
    for url, packed in (("https://example.org", "gzip"), ("http://localhost", None)):
        server = NativeServer()
        way = native(server, url=url)
        assert [Applied] * 50 == kinds(way.push([insert(f"r{n}", text="x" * 100) for n in range(50)]))
        assert [Applied] == kinds(way.push([insert("a")]))
        assert 51 == len(way.pull(READ).records)
        assert [None, packed, None, None] == [
            request.headers.get("content-encoding") for request in server.asked
        ]
        assert {packed or "identity"} == {request.headers["accept-encoding"] for request in server.asked}
        assert {None} == {request.headers.get("transfer-encoding") for request in server.asked}
