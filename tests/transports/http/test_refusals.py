"""What a failure of the wire, the server or the content makes of a change."""

import asyncio
import time
from typing import Any

import attrs
import httpx
import pytest

from tests.transports.http import support
from tests.transports.http.fake_server import FakeServer, reply, version
from tests.transports.http.support import (
    COLUMNS,
    TODO,
    Way,
    delete,
    insert,
    push_one,
    transport,
    update,
)
from tidesync.contracts.transport import (
    Applied,
    Conflicted,
    Denied,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
    Untried,
)
from tidesync.errors import ContextClosed, UnknownTable
from tidesync.records import Tombstone, alive

pytestmark = pytest.mark.usefixtures("driver")


@pytest.fixture
def server() -> FakeServer:
    return FakeServer({"todoitem": COLUMNS})


@pytest.fixture
def way(server: FakeServer) -> Way:
    return transport(server)


def copy_of(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Applied | Conflicted)
    assert alive(outcome.copy)
    return outcome.copy


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Welcome</html>", b"[]", b"null", b'{"id":"other","version":"AAA="}', b'{"text":"x"}',
     b'{"id":"a"', b'{"id":"a","count":123456789012345678901234567890}'],
)  # fmt: skip
def test_a_success_without_the_record_proves_nothing(status: int, body: bytes) -> None:
    """A hotel's login page also answers 200: only the record itself says that the write arrived. [E16]"""
    way = transport(lambda request: httpx.Response(status, content=body))
    for one in (insert("a", text="x"), update("a", "AAA=", text="x")):
        assert isinstance(push_one(way, one), Unknown)
    expected = Applied(None, Tombstone(None)) if body == b"" else None
    outcome = push_one(way, delete("a", "AAA="))
    assert outcome == expected or (expected is None and (isinstance(outcome, Unknown) or b'"id":"a"' in body))


@pytest.mark.parametrize("status", [400, 403, 404, 405, 413, 415, 422, 418])
def test_a_refusal_keeps_its_code_and_what_was_said(status: int) -> None:
    """4xx proves that nothing was changed; the message is the server's own. [F17]"""
    way = transport(lambda request: reply(status, {"error": "no such thing"}))
    assert Rejected(str(status), "no such thing") == push_one(way, insert("a", text="x"))


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_server_fault_proves_nothing(status: int) -> None:
    """5xx, also where 400 is meant: the write may be in effect, and is sent once only. [F16]"""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return reply(status, {"error": "SQLITE_ERROR"})

    outcome = push_one(transport(handler), insert("a", text="x"))
    assert isinstance(outcome, Unknown)
    assert "SQLITE_ERROR" in outcome.reason
    assert ["POST"] == asked


@pytest.mark.parametrize(
    "error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError]
)
def test_what_never_left_was_not_sent(error: type[httpx.TransportError]) -> None:
    """A refused connection proves that nothing arrived, also for an update that would only look. [F01]"""

    def handler(request: httpx.Request) -> httpx.Response:
        raise error("refused", request=request)

    for one in (
        insert("a", text="x"),
        update("a", "AAA=", text="x"),
        update("a", "AAA="),
        delete("a", "AAA="),
    ):
        assert isinstance(push_one(transport(handler), one), NotSent)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.RemoteProtocolError,
        httpx.CloseError,
    ],
)
def test_what_broke_off_is_unknown(error: type[httpx.TransportError]) -> None:
    """A timeout or a reset after sending began proves nothing. [F22] [R-F23]"""

    def handler(request: httpx.Request) -> httpx.Response:
        raise error("lost", request=request)

    outcome = push_one(transport(handler), insert("a", text="x"))
    assert isinstance(outcome, Unknown)
    assert error.__name__ in outcome.reason


@pytest.mark.parametrize("status", [429, 407, 421, 425])
def test_what_comes_before_anything_is_done_was_not_sent(status: int) -> None:
    """A rate limit, a proxy that wants a login: nothing was done, and Retry-After travels with it."""
    way = transport(lambda request: reply(status, {"error": "slow down"}, **{"retry-after": "7"}))
    outcome = push_one(way, insert("a", text="x"))
    assert isinstance(outcome, NotSent)
    assert 7.0 == outcome.retry_after


def test_refused_credentials_deny() -> None:
    """401 stops the push. [F02]"""
    assert isinstance(push_one(transport(lambda request: reply(401)), insert("a", text="x")), Denied)


@pytest.mark.parametrize(
    ("status", "outcome"), [(301, Unknown), (302, Unknown), (303, Unknown), (307, Rejected), (308, Rejected)]
)
def test_writes_are_not_redirected(status: int, outcome: type[Outcome]) -> None:
    """307 and 308 say that the request is still to be made; the others may follow a write that was done."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return reply(status, location="https://elsewhere.example/login")

    found = push_one(transport(handler), insert("a", text="x"))
    assert isinstance(found, outcome)
    assert "redirect" in str(found)
    assert 1 == len(asked)


def test_several_changes_have_an_outcome_each_in_order(server: FakeServer) -> None:
    """Independent changes travel together; the answers are in the order of the changes. [E06] [E08]"""
    way = transport(server, concurrency=4)
    outcomes = way.push([insert(f"{n:02}", text=f"t{n}", complete=True) for n in range(25)])
    assert [f"{n:02}" for n in range(25)] == [copy_of(outcome)["id"] for outcome in outcomes]
    assert 25 == len(server.rows["todoitem"])


def test_after_a_fault_the_rest_is_not_tried() -> None:
    """A push that met the end of the network does not knock for every change. [F01] [R-F25]"""

    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    outcomes = transport(handler, concurrency=1).push([insert(str(n), text="x") for n in range(5)])
    assert [NotSent, Untried, Untried, Untried, Untried] == [type(outcome) for outcome in outcomes]


def test_a_refusal_does_not_stop_the_others(server: FakeServer) -> None:
    """One poison change is its own affair. [R-E32]"""
    way = transport(server, concurrency=1)
    outcomes = way.push([insert("a", text="x"), insert("b", strange={"a": 1}), insert("c", text="y")])
    assert [Applied, Rejected, Applied] == [type(outcome) for outcome in outcomes]


def test_a_change_that_may_add_a_column_goes_alone() -> None:
    """The 2.0 server forgets columns that are added at once: until it is seen to have them, one by one."""
    server = FakeServer({"todoitem": ()})
    inside, most = [0], [0]

    def begin() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])

    def end(request: httpx.Request) -> httpx.Response:
        inside[0] -= 1
        return server(request)

    def handler(request: httpx.Request) -> httpx.Response:
        begin()
        time.sleep(0.01)
        return end(request)

    async def awaited(request: httpx.Request) -> httpx.Response:
        begin()
        await asyncio.sleep(0.01)
        return end(request)

    way = transport(handler if support.runner is None else awaited, concurrency=4)
    _ = way.push([insert("a", text="x", one=1), insert("b", two=2), insert("c", three=3)])
    assert (1, {"text", "one", "two", "three"}) == (most[0], set(server.columns["todoitem"]))
    _ = way.push([insert(id, text="x") for id in "efgh"])
    assert most[0] > 1


def test_a_structure_in_an_undeclared_field_is_refused_here(server: FakeServer, way: Way) -> None:
    """The server would store "[object Object]" and say 201."""
    outcome = push_one(way, insert("a", strange=[1]))
    assert isinstance(outcome, Rejected)
    assert "structured-value" == outcome.code
    assert [] == server.requests


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"n": 2**53 + 1}, "integer-precision"), ({"a-b": 1}, "field-name"),
     ({"deleted": True}, "reserved-field"), ({"createdAt": "x"}, "reserved-field")],
)  # fmt: skip
def test_what_the_server_would_spoil_is_refused_here(way: Way, fields: dict[str, Any], code: str) -> None:
    """Digits that would be lost, names that would be another thing: refused before anything is sent."""
    outcome = push_one(way, insert("a", **fields))
    assert isinstance(outcome, Rejected)
    assert code == outcome.code


@pytest.mark.parametrize(
    "id", ["a/b", "a?b", "a b", "ü🙂", "100%", "%41", "a'b", "#x", "+", "a;b=c", "…", "x" * 255]
)
def test_every_id_survives_the_address(server: FakeServer, way: Way, id: str) -> None:
    """Ids are percent-encoded whole: slashes, question marks, spaces, quotes and emoji come back. [N13]"""
    assert isinstance(push_one(way, insert(id, text="x")), Applied)
    assert isinstance(push_one(way, update(id, version(1), text="y")), Applied)
    found = way.get("todoitem", id)
    assert alive(found)
    assert ("y", id) == (found["text"], found["id"])
    assert isinstance(push_one(way, delete(id, version(2))), Applied)
    assert Tombstone(version(3)) == way.get("todoitem", id)


@pytest.mark.parametrize("id", [".", ".."])
def test_a_step_of_the_path_is_no_id(way: Way, id: str) -> None:
    """`.` and `..` are taken for steps of the path, also when encoded."""
    outcome = push_one(way, update(id, version(1), text="x"))
    assert isinstance(outcome, Rejected)


def test_the_caller_may_add_parameters_but_none_of_the_protocols(server: FakeServer, way: Way) -> None:
    """Parameters travel with the request; names of the protocol are refused. [H06]"""
    plain = insert("b", text="x")
    assert isinstance(push_one(way, attrs.evolve(plain, parameters={"tenant": "a&b"})), Applied)
    assert b"tenant=a%26b" == server.requests[-1].url.query
    for name in ("__includeDeleted", "$top", ""):
        assert isinstance(push_one(way, attrs.evolve(plain, parameters={name: "true"})), Rejected)


def test_what_was_not_opened_is_said_plainly(way: Way) -> None:
    """A table that was not declared, and a transport that is not open, are mistakes of the caller."""
    with pytest.raises(UnknownTable):
        _ = way.get("nothing", "a")
    way.close()
    way.close()
    with pytest.raises(ContextClosed):
        _ = way.push([insert("a")])
    _ = way.open([TODO])
    assert isinstance(push_one(way, insert("a", text="again")), Applied)
