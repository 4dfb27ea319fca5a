"""The network's edge: retries, credentials, redirects, limits; on a scripted network."""

import asyncio
import gzip
import json
import logging
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.transports.http import support
from tests.transports.http.fake_server import reply
from tests.transports.http.support import (
    READ,
    ROW,
    Pieces,
    Script,
    insert,
    push_one,
    transport,
)
from tidesync.contracts.transport import (
    Applied,
    Denied,
    Unknown,
)
from tidesync.errors import (
    NotReachable,
    ProtocolError,
    RemoteUnavailable,
    TransportError,
    Unauthorized,
)

pytestmark = pytest.mark.usefixtures("driver")

SECRET = "s3cr3t-token"


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the transport waited, without waiting."""
    found: list[float] = []

    async def nap(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr("tidesync.transports.http.threads.pause", found.append)
    monkeypatch.setattr("tidesync.transports.http.tasks.pause", nap)
    return found


# ---------------------------------------------------------------- retries


@pytest.mark.parametrize(
    "fault", [reply(500), reply(503), reply(408), httpx.ReadTimeout, httpx.RemoteProtocolError]
)
def test_reads_are_tried_again_a_few_times(fault: Any, naps: list[float]) -> None:
    """A passing failure of a read is nobody's business; the waits grow and differ. [F12] [F13]"""
    script = Script(fault, fault, reply(200, [ROW]))
    assert ["a"] == [record["id"] for record in transport(script).pull(READ).records]
    assert (3, 2) == (len(script.asked), len(naps))
    assert 0.1 <= naps[0] <= 0.2 <= naps[1] <= 0.4


def test_the_tries_are_bounded() -> None:
    """After the last one the failure is the caller's to know. [F14]"""
    script = Script(reply(500, {"error": "broken"}))
    with pytest.raises(RemoteUnavailable, match="broken"):
        _ = transport(script, retries=2).pull(READ)
    assert 3 == len(script.asked)


@pytest.mark.parametrize("status", [429, 503])
def test_a_read_waits_as_long_as_it_is_told(status: int, naps: list[float]) -> None:
    """Retry-After is honoured, up to a bound."""
    script = Script(reply(status, **{"retry-after": "3"}), reply(200, [ROW]))
    _ = transport(script).pull(READ)
    assert [3.0] == naps


@pytest.mark.parametrize(("status", "error"), [(429, NotReachable), (503, RemoteUnavailable)])
@pytest.mark.parametrize("seconds", [10, 120])
def test_a_long_wait_is_the_callers(
    status: int, error: type[TransportError], seconds: int, naps: list[float]
) -> None:
    """More than a few seconds are not slept away inside a call: the error says how long."""
    with pytest.raises(error) as caught:
        _ = transport(Script(reply(status, **{"retry-after": str(seconds)}))).pull(READ)
    assert (seconds, []) == (caught.value.retry_after, naps)


def test_being_offline_is_found_out_at_once(naps: list[float]) -> None:
    """A refused connection is no passing failure: one try, no wait."""
    script = Script(httpx.ConnectError)
    with pytest.raises(NotReachable):
        _ = transport(script).pull(READ)
    assert (1, []) == (len(script.asked), naps)


def test_writes_are_never_tried_again() -> None:
    """Whether a write arrived is not known: the engine decides about a second send. [F12]"""
    for fault in (reply(500), reply(503, **{"retry-after": "1"}), httpx.ReadTimeout):
        script = Script(fault)
        assert isinstance(push_one(transport(script), insert("a")), Unknown)
        assert 1 == len(script.asked)


# ---------------------------------------------------------------- credentials


@pytest.mark.parametrize(
    ("protocol", "header", "value"),
    [("2.0", "x-zumo-auth", SECRET), ("3.0", "authorization", f"Bearer {SECRET}")],
)
def test_how_a_token_is_sent(protocol: str, header: str, value: str) -> None:
    """2.0 takes App Service's own header, 3.0 a bearer token. [O12]"""
    script = Script(reply(200, {"items": []} if protocol == "3.0" else []))
    for auth in (SECRET, lambda: SECRET):
        _ = transport(script, protocol=protocol, auth=auth).pull(READ)
        assert value == script.asked[-1].headers[header]


def guarded(good: str) -> Callable[[httpx.Request], httpx.Response]:
    """A server that takes one token only, and says the wrong one aloud."""

    def handler(request: httpx.Request) -> httpx.Response:
        token = request.headers.get("x-zumo-auth", "")
        if token != good:
            return reply(401, {"error": f"{token} has expired"})
        return reply(201, ROW) if request.method == "POST" else reply(200, [ROW])

    return handler


def test_a_refused_token_is_renewed_once_for_all(caplog: pytest.LogCaptureFixture) -> None:
    """One renewal serves every thread, or task, that was refused with the old token. [F02] [O12]"""
    tokens, gate, tasks = iter(["old", "new", "newer"]), threading.Barrier(4, timeout=5), asyncio.Barrier(4)
    given: list[str] = []
    fresh = guarded("new")

    def refused_together(request: httpx.Request) -> httpx.Response:
        if request.headers["x-zumo-auth"] == "old":
            _ = gate.wait()
        return answered(request)

    async def awaited(request: httpx.Request) -> httpx.Response:
        if request.headers["x-zumo-auth"] == "old":
            _ = await asyncio.wait_for(tasks.wait(), 5)
        return answered(request)

    def answered(request: httpx.Request) -> httpx.Response:
        item = json.loads(request.content)
        answer = fresh(request)
        return reply(201, {**ROW, "id": item["id"]}) if answer.is_success else answer

    def source() -> str:
        given.append(next(tokens))
        return given[-1]

    way = transport(refused_together if support.runner is None else awaited, auth=source, concurrency=4)
    outcomes = way.push([insert(id) for id in "abcd"])
    assert [Applied] * 4 == [type(outcome) for outcome in outcomes]
    assert ["old", "new"] == given


@pytest.mark.parametrize("auth", [SECRET, lambda: SECRET])
def test_a_token_that_stays_refused_denies(auth: Any) -> None:
    """Refused again after the one renewal: reads raise, writes are denied, the token is never shown. [F02]"""
    way = transport(guarded("another"), auth=auth)
    with pytest.raises(Unauthorized) as caught:
        _ = way.pull(READ)
    outcome = push_one(way, insert("a"))
    assert isinstance(outcome, Denied)
    for text in (str(caught.value), outcome.reason):
        assert "has expired" in text
        assert SECRET not in text


def failing() -> str:
    raise RuntimeError(SECRET)


@pytest.mark.parametrize("auth", [failing, lambda: "", lambda: "a\nb", lambda: None])
def test_a_function_that_gives_no_token_denies(auth: Any) -> None:
    """The caller's own mistake is told by its type, never by its text."""
    way = transport(Script(reply(200, [])), auth=auth)
    outcome = push_one(way, insert("a"))
    assert isinstance(outcome, Denied)
    assert SECRET not in outcome.reason


def test_an_httpx_auth_does_everything_itself() -> None:
    """An httpx.Auth is httpx's own way, with as many requests as it likes."""

    class Twice(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
            response = yield request
            if response.status_code == 401:
                request.headers["X-ZUMO-AUTH"] = "good"
                yield request

    assert isinstance(push_one(transport(guarded("good"), auth=Twice()), insert("a")), Applied)


def test_tokens_are_in_no_repr_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Credentials appear nowhere, and records in no log above DEBUG."""
    caplog.set_level(logging.DEBUG)
    way = transport(Script(reply(500)), auth=SECRET, headers={"Ocp-Apim-Subscription-Key": SECRET}, retries=0)
    with pytest.raises(RemoteUnavailable) as caught:
        _ = way.pull(READ)
    for text in (repr(way), repr(vars(way)), str(caught.value), caplog.text):
        assert SECRET not in text.replace(repr({"Ocp-Apim-Subscription-Key": SECRET})[1:-1], "")


# ---------------------------------------------------------------- redirects


def redirecting(location: str, status: int = 302) -> Callable[[httpx.Request], httpx.Response]:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/app/"):
            return httpx.Response(status, headers={"location": location})
        return reply(200, [ROW])

    return handler


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/moved/tables/todoitem", "http://127.0.0.1:8080/moved"])
def test_reads_follow_redirects_within_the_origin(location: str, status: int) -> None:
    """The same scheme, host and port: credentials may go along."""
    assert 1 == len(transport(redirecting(location, status), auth=SECRET).pull(READ).records)


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:8081/x",
        "https://127.0.0.1:8080/x",
        "//evil.example/x",
        "http://localhost:8080/x",
        "http://[bad",
    ],
)
def test_credentials_never_go_to_another_origin(location: str) -> None:
    """A redirect elsewhere is an error that names the place; nothing is sent there."""
    script = Script(redirecting(location))
    with pytest.raises(ProtocolError, match="redirects"):
        _ = transport(script, auth=SECRET).pull(READ)
    assert {"127.0.0.1"} == {request.url.host for request in script.asked}
    assert 1 == len(script.asked)


def test_redirects_in_a_circle_end() -> None:
    """A few steps, then an error."""
    script = Script(httpx.Response(302, headers={"location": "/app/tables/todoitem"}))
    with pytest.raises(ProtocolError, match="more than 5"):
        _ = transport(script).pull(READ)


# ---------------------------------------------------------------- sizes and encodings


def test_a_reply_that_is_too_large_is_refused() -> None:
    """A page beyond the limit is an error that says what to do; a write's answer proves nothing then."""
    way = transport(Script(reply(200, [ROW] * 100)), max_reply_bytes=2000)
    with pytest.raises(ProtocolError, match="larger than 2000"):
        _ = way.pull(READ)
    assert isinstance(push_one(way, insert("a")), Unknown)


def test_a_ten_megabyte_error_page_is_a_short_message() -> None:
    """Its beginning is read, the rest is left."""
    page = b"<html><h1>Bad Gateway</h1>" + b"x" * 10_000_000
    with pytest.raises(RemoteUnavailable) as caught:
        _ = transport(Script(httpx.Response(502, content=page)), retries=0).pull(READ)
    assert "Bad Gateway" in str(caught.value)
    assert 600 > len(str(caught.value))


def streamed(body: bytes, encoding: str, *, piece: int = 1000) -> Callable[[httpx.Request], httpx.Response]:
    """An answer that comes from the wire, not from memory."""

    def handler(request: httpx.Request) -> httpx.Response:
        pieces = Pieces(body[at : at + piece] for at in range(0, len(body), piece))
        return httpx.Response(200, stream=pieces, headers={"content-encoding": encoding})

    return handler


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes), ("", bytes)],
)
def test_compressed_replies_are_read(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """gzip is asked for; what comes is unpacked."""
    handler = streamed(pack(json.dumps([ROW] * 200).encode()), encoding)
    assert 1 == len(transport(handler).pull(READ).records)


def test_a_small_reply_that_swells_is_stopped() -> None:
    """A megabyte of blanks in a kilobyte of gzip counts by what comes out, and never comes out whole."""
    bomb = gzip.compress(b" " * 50_000_000)
    way = transport(streamed(bomb, "gzip", piece=len(bomb)), max_reply_bytes=100_000)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="larger"):
            _ = way.pull(READ)
        assert 5_000_000 > tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"[]", "gzip"),
        (gzip.compress(json.dumps([ROW] * 9).encode(), mtime=0)[:-4], "gzip"),
        (b"[]", "br"),
        (b"[]", "magic"),
    ],
)
def test_a_lying_encoding_is_a_typed_error(body: bytes, encoding: str) -> None:
    """What cannot be unpacked is no reply."""
    with pytest.raises(ProtocolError):
        _ = transport(streamed(body, encoding)).pull(READ)
