"""Headers, options, and finding out who the remote is."""

from typing import Any

import httpx
import pytest

from tests.transports.http.fake_server import reply
from tests.transports.http.support import READ, ROW, TODO, Script, transport
from tidesync.contracts.transport import (
    CursorGuarantee,
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
from tidesync.transports.http import HttpTransport

pytestmark = pytest.mark.usefixtures("driver")


def test_every_request_names_the_protocol_and_the_client() -> None:
    """Version, user agent, JSON and gzip; the caller's headers win. [O13]"""
    script = Script(reply(200, []))
    _ = transport(script).pull(READ)
    headers = script.asked[0].headers
    assert ("2.0.0", "application/json", "gzip") == (
        headers["zumo-api-version"],
        headers["accept"],
        headers["accept-encoding"],
    )
    assert headers["user-agent"].startswith("tidesync/")
    _ = transport(script, headers={"User-Agent": "mine", "X-Tenant": "t"}).pull(READ)
    assert ("mine", "t") == (script.asked[1].headers["user-agent"], script.asked[1].headers["x-tenant"])


def test_opening_says_what_the_remote_can_do_without_asking() -> None:
    """With the protocol given nothing is sent; the identity is the normal form of the address."""
    script = Script(reply(500))
    way = HttpTransport("http://LOCALHOST:80/App/", protocol="2.0", concurrency=3, overlap=2.5, timeout=5.0)
    found = way.open([TODO])
    assert ("http://localhost/App", CursorGuarantee.KEYSET, 3, 2.5) == (
        found.identity, found.cursor, found.max_changes, found.overlap,
    )  # fmt: skip
    assert (False, True, True, frozenset({"todoitem"}), frozenset(), 0.0) == (
        found.ordered, found.total, found.filters, found.tombstones, found.departures, found.remembers,
    )  # fmt: skip
    assert found.exchange_timeout >= 10.0
    assert [] == script.asked
    way.close()


@pytest.mark.parametrize(
    ("answer", "protocol"),
    [
        (reply(200, []), "2.0"),
        (reply(200, {"items": []}), "3.0"),
        (reply(200, {"results": [], "count": 0}), "2.0"),
        (reply(400, {"error": "An invalid API version was specified in the request"}), "2.0"),
    ],
)
def test_the_protocol_is_found_out_with_one_request(answer: httpx.Response, protocol: str) -> None:
    """One record of the first table is asked for; the answer's shape tells."""
    script = Script(answer, reply(200, {"items": []} if protocol == "3.0" else []))
    way = transport(script, protocol="auto")
    _ = way.pull(READ)
    assert ["3.0.0", f"{protocol}.0"] == [request.headers["zumo-api-version"] for request in script.asked]
    assert ("GET", "1") == (script.asked[0].method, script.asked[0].url.params["$top"])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(500), RemoteUnavailable),
        (reply(401), Unauthorized),
        (reply(403), RequestRefused),
        (reply(404), RequestRefused),
        (reply(400), RequestRefused),
        (httpx.Response(200, text="<html>"), ProtocolError),
        (reply(200, {"hello": 1}), ProtocolError),
        (httpx.ConnectError, NotReachable),
        (reply(429), NotReachable),
    ],
)
def test_a_discovery_that_fails_is_a_typed_error(answer: Any, error: type[TransportError]) -> None:
    """And the next try works."""
    script = Script(answer)
    with pytest.raises(error):
        _ = transport(script, protocol="auto", retries=0)
    script.answers = [reply(200, [])]
    assert [] == list(transport(script, protocol="auto").pull(READ).records)


async def awaited() -> str:
    """A function that threads cannot wait for."""
    return "token"


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": "4.0"},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"concurrency": 0},
        {"retries": -1},
        {"overlap": -1},
        {"page_limit": 0},
        {"max_reply_bytes": 1},
        {"auth": 5},
        {"auth": ""},
        {"auth": "a\nb"},
        {"headers": {"a": 5}},
        {"auth": awaited},
    ],
)
def test_options_that_cannot_work_are_refused_at_once(options: dict[str, Any]) -> None:
    """Before anything is sent. [H08] [A16]"""
    with pytest.raises(ConfigurationError):
        _ = HttpTransport("https://example.com", **options)


def test_a_client_of_ones_own_keeps_its_hooks_and_stays_open() -> None:
    """Event hooks see the wire; the client belongs to its maker."""
    seen: list[str] = []

    def log(response: httpx.Response) -> None:
        _ = response.read()
        seen.append(f"{response.request.method} {response.status_code} {len(response.content)}")

    client = httpx.Client(
        transport=httpx.MockTransport(Script(reply(200, [ROW]))), event_hooks={"response": [log]}
    )
    way = HttpTransport("http://localhost", protocol="2.0", client=client)
    _ = way.open([TODO])
    assert 1 == len(way.pull(READ).records)
    way.close()
    way.close()
    assert (["GET 200 73"], False) == (seen, client.is_closed)
