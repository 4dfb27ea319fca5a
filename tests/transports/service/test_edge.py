"""Around every reply: how much room there is, compression, other origins and other names."""

import gzip
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.requests import Request

from tests.transports.service.conftest import Serve
from tests.transports.service.endpoints import TODO, Gate, routed
from tidesync.stores import MemoryStore
from tidesync.transports.service import Limits, Principal, bearer

TOKEN = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    routed(monkeypatch)


# ---- room and rates


def test_more_requests_than_there_is_room_for_are_503(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, before anybody is asked who they are; and the room is free again afterwards."""
    gate = Gate()
    routed(monkeypatch, gate=gate)
    served = serve(MemoryStore(), [TODO], limits=Limits(concurrent=2))
    with ThreadPoolExecutor(2) as threads:
        inside = [threads.submit(served.http.get, "/gate") for _ in range(2)]
        for _ in inside:
            gate.entered.acquire(timeout=10)
        refused, alive = served.http.get("/who"), served.http.get("/health")
        gate.opened.set()
        through = [each.result().status_code for each in inside]

    assert (503, "1", 200) == (refused.status_code, refused.headers["Retry-After"], alive.status_code)
    assert ([200, 200], 200) == (through, served.http.get("/who").status_code)


def named(request: Request) -> Principal | None:
    """Who they say they are."""
    return Principal(request.headers["x-name"])


def test_a_principal_who_asks_too_often_is_429_and_others_are_not(serve: Serve) -> None:
    """Rates are counted by name."""
    served = serve(MemoryStore(), [TODO], authorize=named, limits=Limits(rate=0.01, burst=2))

    def ask(name: str) -> int:
        return served.http.get("/who", headers={"X-Name": name}).status_code

    assert [200, 200, 429, 429, 200] == [ask(name) for name in ("ann", "ann", "ann", "ann", "bob")]
    assert 100 == int(served.http.get("/who", headers={"X-Name": "ann"}).headers["Retry-After"])


# ---- replies


@pytest.mark.parametrize("path", ["/whole?size=300000", "/long?size=300000", "/long?size=30000&part=7"])
@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
    ],
)
def test_replies_are_compressed_for_who_takes_it(
    serve: Serve, path: str, accepted: str, *, compressed: bool
) -> None:
    """Also streamed ones."""
    served = serve(MemoryStore(), [TODO])
    with served.http.stream("GET", path, headers={"Accept-Encoding": accepted}) as answer:
        raw = b"".join(answer.iter_raw())
    size = int(path.partition("size=")[2].partition("&")[0])

    assert compressed == (answer.headers.get("Content-Encoding") == "gzip")
    assert size == len(gzip.decompress(raw) if compressed else raw)


def test_small_replies_are_not_compressed(serve: Serve) -> None:
    """They would grow."""
    answer = serve(MemoryStore(), [TODO]).http.get("/whole?size=1000", headers={"Accept-Encoding": "gzip"})

    assert (None, 1000) == (answer.headers.get("Content-Encoding"), len(answer.content))


# ---- other origins

PAGE = "https://app.example.org"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "content-type,if-match,x-zumo-auth,zumo-api-version",
}


def test_no_other_origin_may_ask_by_default(serve: Serve) -> None:
    """A page that somebody happens to look at cannot read what runs on their machine."""
    served = serve(MemoryStore(), [TODO])
    before, asked = (
        served.http.options("/who", headers=PREFLIGHT),
        served.http.get("/who", headers={"Origin": PAGE}),
    )

    assert [] == [name for answer in (before, asked) for name in answer.headers if "access-control" in name]


def test_origins_that_are_named_may_ask_and_see_what_they_need(serve: Serve) -> None:
    """Methods and headers of both protocols, also on refusals; others may not."""
    authorize = bearer({TOKEN: Principal("ann")})
    served = serve(MemoryStore(), [TODO], cors=[PAGE], authorize=authorize)
    before = served.http.options("/who", headers=PREFLIGHT)
    asked = served.http.get("/who", headers={"Origin": PAGE})
    other = served.http.get("/who", headers={"Origin": "https://evil.example.org"})

    assert (200, PAGE) == (before.status_code, before.headers["Access-Control-Allow-Origin"])
    assert (401, PAGE) == (asked.status_code, asked.headers["Access-Control-Allow-Origin"])
    exposed = set(asked.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"ETag", "Link", "Location", "Retry-After"} <= exposed
    assert "Access-Control-Allow-Origin" not in other.headers
    assert (
        400
        == served.http.options(
            "/who", headers={**PREFLIGHT, "Origin": "https://evil.example.org"}
        ).status_code
    )


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("[::1]:8080", 200),
        ("evil.example.org", 421),
        ("localhost.evil.example.org:8080", 421),
        ("evil.example.org:localhost", 421),
        ("", 421),
    ],
)
def test_it_answers_to_its_own_names_alone(serve: Serve, name: str, status: int) -> None:
    """A page whose name was made to lead here is not what it looks like to the browser."""
    served = serve(MemoryStore(), [TODO], hosts=["localhost", "[::1]"])

    assert status == served.http.get("/who", headers={"Host": name}).status_code
