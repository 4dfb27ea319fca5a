"""Whatever the wire does, every change has one outcome, and a lost answer is met again."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.http.fake_server import FakeServer, reply
from tests.transports.http.support import (
    COLUMNS,
    ROW,
    Script,
    change,
    delete,
    insert,
    push_one,
    transport,
    update,
)
from tidesync.contracts.transport import (
    Anything,
    Applied,
    Conflicted,
    Denied,
    NotSent,
    Rejected,
    Unknown,
    Untried,
)
from tidesync.records import Tombstone

pytestmark = pytest.mark.usefixtures("driver")

EVENTS: list[Any] = [
    reply(200, ROW),
    reply(201, ROW),
    reply(200, [ROW]),
    reply(204),
    reply(200),
    httpx.Response(200, text="<html>hello"),
    reply(400, {"error": "x"}),
    reply(401),
    reply(403),
    reply(404),
    reply(404, {"error": "x"}),
    reply(409, ROW),
    reply(410),
    reply(412, ROW),
    reply(412),
    reply(429),
    reply(500),
    reply(503, **{"retry-after": "9"}),
    reply(302, location="/x"),
    reply(308, location="https://other.example"),
    reply(200, {**ROW, "deleted": True}),
    reply(418, [1]),
    reply(200, []),
    httpx.Response(200, content=b'{"id":"a","x":1e999}'),
    httpx.Response(200, content=b"[" * 9000),
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.PoolTimeout,
    httpx.RemoteProtocolError,
    httpx.LocalProtocolError,
    httpx.DecodingError,
    httpx.UnsupportedProtocol,
]
CHANGES = [
    insert("a", text="x"),
    insert("a", text="x", expected=Tombstone(None)),
    insert("a", text="x", expected=Tombstone("AAA=")),
    update("a", "AAA=", text="x"),
    update("a", "AAA="),
    change("update", "a", {"id": "a", "text": "x"}, ("text",), Anything()),
    delete("a", "AAA="),
    change("delete", "a", None, (), Anything()),
    change("undelete", "a", None, (), Anything()),
]


@given(
    st.lists(st.sampled_from(EVENTS), min_size=1, max_size=8),
    st.lists(st.sampled_from(CHANGES), max_size=5),
    st.sampled_from(["2.0", "3.0"]),
)
def test_whatever_the_wire_does_every_change_has_one_outcome(
    events: list[Any], changes: list[Any], protocol: str
) -> None:
    """Never an exception, never one too few, and nothing after a stop is tried."""
    way = transport(Script(*events), protocol=protocol, concurrency=1, retries=0)
    outcomes = way.push(changes)
    assert len(changes) == len(outcomes)
    stop = next(
        (at for at, found in enumerate(outcomes) if isinstance(found, Unknown | NotSent | Denied)),
        len(outcomes),
    )
    assert not any(isinstance(found, Untried) for found in outcomes[:stop])
    assert all(isinstance(found, Untried) for found in outcomes[stop + 1 :])
    for one, found in zip(changes, outcomes, strict=True):
        if isinstance(found, Applied) and one.kind == "delete":
            assert isinstance(found.copy, Tombstone | None)
        if isinstance(found, Conflicted):
            assert found.copy is None or isinstance(found.copy, Tombstone | dict)
        if isinstance(found, Rejected):
            assert found.code
            assert found.message


@pytest.mark.parametrize("kind", ["insert", "update", "delete"])
def test_a_lost_acknowledgement_is_met_again(kind: str) -> None:
    """The write arrived, its answer did not: sent again, it meets its own effect, and the copy to tell by."""
    server, lose = FakeServer({"todoitem": COLUMNS}), [True]

    def handler(request: httpx.Request) -> httpx.Response:
        answer = server(request)
        if lose[0]:
            lose[0] = False
            raise httpx.ReadTimeout("lost", request=request)
        return answer

    if kind != "insert":
        server.put("todoitem", "a", text="old")
    one = {
        "insert": insert("a", text="x"),
        "update": update("a", "MQ==", text="x"),
        "delete": delete("a", "MQ=="),
    }[kind]
    way = transport(handler)
    assert isinstance(push_one(way, one), Unknown)
    again = push_one(way, one)
    if kind == "delete":
        assert isinstance(again, Applied)
    else:
        assert isinstance(again, Conflicted)
        assert isinstance(again.copy, dict)
        assert "x" == again.copy["text"]
