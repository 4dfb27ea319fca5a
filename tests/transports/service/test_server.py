"""The server: slow clients are dropped, signals finish what was accepted, and the address is the real one."""

import socket
import struct
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.transports.service.conftest import Serve
from tests.transports.service.endpoints import TODO, Gate, routed
from tests.transports.service.support import Serving
from tidesync.errors import ConfigurationError, StoreUnavailable
from tidesync.stores import MemoryStore, SQLiteStore
from tidesync.transports.service import Limits, create_app
from tidesync.transports.service.server import prepare, run

SOON = 0.3
"""The patience that these tests have, in seconds."""
LATE = 10.0
"""By when whatever has to happen has happened, however busy the machine is."""


@pytest.fixture(autouse=True)
def _endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    routed(monkeypatch)


@pytest.fixture
def hasty(serve: Serve) -> Serving:
    """A service without patience."""
    return serve(MemoryStore(), [TODO], limits=Limits(patience=SOON, concurrent=1))


@contextmanager
def connected(served: Serving, *, room: int | None = None) -> Iterator[socket.socket]:
    """A connection; `room` is how many bytes its side takes before it reads."""
    with socket.socket() as line:
        if room is not None:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        line.settimeout(LATE)
        line.connect(("127.0.0.1", served.port))
        yield line


def rest_of(line: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    found = b""
    try:
        while part := line.recv(1 << 16):
            found += part
    except ConnectionResetError:
        pass
    return found


def reply(line: socket.socket) -> bytes:
    """The beginning of the reply to /who, once all of it has come."""
    found = b""
    while not found.endswith(b'\r\n\r\n""'):
        part = line.recv(1 << 16)
        assert part
        found += part
    return found[:12]


def drip(line: socket.socket, content: bytes) -> None:
    """Send byte by byte, each well within the patience, until it is all sent or the other side has enough."""
    try:
        for at in range(len(content)):
            line.sendall(content[at : at + 1])
            time.sleep(SOON / 6)
    except (BrokenPipeError, ConnectionResetError):
        pass


def test_a_connection_that_says_nothing_is_dropped(hasty: Serving) -> None:
    """uvicorn would keep it for ever."""
    with connected(hasty) as line:
        assert b"" == rest_of(line)


@pytest.mark.parametrize("before", [b"", b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_header_that_drips_is_dropped(hasty: Serving, before: bytes) -> None:
    """Also the second one of a connection: every byte is in time, and the header is not."""
    with connected(hasty) as line:
        if before:
            line.sendall(before)
            assert b"HTTP/1.1 200" == reply(line)
        began = time.monotonic()
        drip(line, b"GET /who HTTP/1.1\r\n" + b"X-Padding: yes\r\n" * 100)

        assert time.monotonic() - began < LATE
        assert b"" == rest_of(line)


def test_a_body_that_drips_is_408_and_gives_its_place_to_others(hasty: Serving) -> None:
    """There is room for one request only: it is taken while the body comes, and free again after."""
    with connected(hasty) as line:
        line.sendall(b"POST /tables/todoitem HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        dripping = threading.Thread(target=drip, args=(line, b"x" * 1000))
        dripping.start()
        answer = rest_of(line)
        dripping.join()

        assert b"408" == answer[9:12]
    assert 200 == hasty.http.get("/who").status_code


def test_a_body_that_nobody_wants_is_not_taken_for_ever(hasty: Serving) -> None:
    """The reply is 413 at once; who goes on sending is heard for a while, so that it can be read."""
    with connected(hasty) as line:
        line.sendall(b"POST /tables/todoitem HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        assert b"413" == line.recv(1 << 16)[9:12]
        began = time.monotonic()
        drip(line, b"x" * 1000)

        assert time.monotonic() - began < LATE


@pytest.mark.parametrize("path", ["/long?size=50000000", "/whole?size=50000000"])
def test_a_reply_that_nobody_takes_is_dropped(hasty: Serving, path: str) -> None:
    """And its place is free for others, streamed or not."""
    with connected(hasty, room=4096) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert line.recv(12) == b"HTTP/1.1 200"
        deadline = time.monotonic() + LATE
        while hasty.http.get("/who").status_code == 503 and time.monotonic() < deadline:
            time.sleep(SOON / 4)
        assert 200 == hasty.http.get("/who").status_code

        assert len(rest_of(line)) < 50_000_000


def test_a_short_reply_that_nobody_takes_is_dropped_too(serve: Serve) -> None:
    """All of it is written to the connection, which is then closed, and would wait for ever."""
    served = serve(MemoryStore(), [TODO], limits=Limits(patience=SOON))
    with connected(served, room=4096) as line:
        ask = b"GET /whole?size=60000 HTTP/1.1\r\nHost: a\r\n\r\n"
        line.sendall(ask * 200)
        deadline = time.monotonic() + LATE
        while served.server.server_state.connections and time.monotonic() < deadline:
            time.sleep(SOON / 4)

        assert set() == served.server.server_state.connections


@pytest.mark.parametrize("path", ["/long?size=50000000", "/whole?size=50000000"])
def test_nothing_is_written_to_who_has_left(
    serve: Serve, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A reply ends where its client went, and the log has not a line for each part that was left of it."""
    served = serve(MemoryStore(), [TODO], limits=Limits(concurrent=1))
    with connected(served, room=4096) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert line.recv(12) == b"HTTP/1.1 200"
        line.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )  # it leaves with a reset
    deadline = time.monotonic() + LATE
    while served.http.get("/who").status_code == 503 and time.monotonic() < deadline:
        time.sleep(SOON / 4)

    assert 200 == served.http.get("/who").status_code
    assert [] == [each for each in caplog.records if each.name == "asyncio"]


def test_a_client_that_takes_its_time_gets_everything(hasty: Serving) -> None:
    """Patience is for a part of the reply, not for all of it."""
    with connected(hasty, room=65536) as line:
        line.sendall(b"GET /long?size=12000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        size, began = 0, time.monotonic()
        while part := line.recv(1 << 17):
            size += len(part)
            time.sleep(0.01)

        assert (True, True) == (size > 12_000_000, time.monotonic() - began > SOON)


def test_a_connection_waits_for_its_next_request(serve: Serve) -> None:
    """Longer than clients keep theirs: none sends into a connection that is being closed."""
    served = serve(MemoryStore(), [TODO], limits=Limits(patience=0.1))
    with connected(served) as line:
        for _ in range(3):
            line.sendall(b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"HTTP/1.1 200" == reply(line)
            time.sleep(0.3)


def test_a_slow_endpoint_is_not_a_slow_client(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the service works, nobody is waited for."""
    gate = Gate()
    gate.seconds = SOON * 3
    routed(monkeypatch, gate=gate)
    served = serve(MemoryStore(), [TODO], limits=Limits(patience=SOON))

    assert 200 == served.http.get("/gate").status_code


def test_connections_beyond_the_limit_are_dropped() -> None:
    """Before they say anything: what they hold open is not held for long."""
    app = create_app(MemoryStore(), [TODO])
    ready, urls = threading.Event(), list[str]()
    server = prepare(app, connections=2, ready=lambda url: (urls.append(url), ready.set()))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(LATE)
    ask = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    with connections(
        server.listening.getsockname()[1] if not urls else int(urls[0].rpartition(":")[2]), 3
    ) as lines:
        told = []
        for line in lines:
            try:
                line.sendall(ask)
                told.append(line.recv(1 << 16)[:12])
            except ConnectionError:
                told.append(b"")
    server.stop()
    thread.join(LATE)

    assert [b"HTTP/1.1 200", b"HTTP/1.1 200", b""] == told


@contextmanager
def connections(port: int, count: int) -> Generator[list[socket.socket]]:
    """So many connections, one after another."""
    lines = []
    for _ in range(count):
        line = socket.create_connection(("127.0.0.1", port), LATE)
        line.settimeout(LATE)
        lines.append(line)
        time.sleep(0.05)
    yield lines
    for line in lines:
        line.close()


def test_a_request_that_is_cut_writes_nothing(serve: Serve) -> None:
    """In its header or in its body."""
    served = serve(MemoryStore(), [TODO])
    whole = b'POST /tables/todoitem HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n{"id": "a"}'
    for cut in (10, 40, len(whole) - 11, len(whole) - 1):
        with connected(served) as line:
            line.sendall(whole[:cut])
    with connected(served) as line:
        line.sendall(whole)
        assert b"HTTP/1.1 201" == line.recv(1 << 16)[:12]

    assert ["a"] == [record["id"] for record in served.http.get("/tables/todoitem").json()]


CHUNKED = b"POST /tables/todoitem HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", b"400"),
        (b"GET /who HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (CHUNKED + b"{no end", b"400"),
        (b"HEAD /long?size=10 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nodd\r\n", b"400"),
        (b"GET /long?size=9000000 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nodd\r\n", b"400"),
        (b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n\x00garbage\r\n\r\n", b"200"),
    ],
)
def test_what_is_not_http_is_400_and_nothing_fails(
    serve: Serve, caplog: pytest.LogCaptureFixture, sent: bytes, status: bytes
) -> None:
    """Wherever it begins to be none: what a stranger sends is no error of the service."""
    served = serve(MemoryStore(), [TODO])
    with connected(served) as line:
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        answer = rest_of(line)
    alive = served.http.get("/who").status_code
    served.stop()

    assert (status, 200) == (answer[9:12], alive)
    assert [] == [each.getMessage() for each in caplog.records if each.levelname in ("ERROR", "CRITICAL")]


def test_what_breaks_while_the_reply_goes_out_cuts_it(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Two replies to one request would be read as one; and it is no error of the service either."""
    served = serve(MemoryStore(), [TODO])
    with connected(served, room=4096) as line:
        line.sendall(b"GET /long?size=50000000 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        begun = line.recv(12)
        line.sendall(b"odd\r\n")
        rest = rest_of(line)
    served.stop()

    assert (b"HTTP/1.1 200", False) == (begun, b"HTTP/1.1 400" in rest)
    assert [] == [each.getMessage() for each in caplog.records if each.levelname in ("ERROR", "CRITICAL")]


def test_the_port_is_the_one_that_the_system_chose(serve: Serve) -> None:
    """Told once connections are accepted."""
    served = serve(MemoryStore(), [TODO])

    assert (True, 200) == (served.port > 0, served.http.get(f"{served.url}/health").status_code)


@pytest.mark.parametrize(
    "options", [{"host": "no.such.host.invalid"}, {"port": 99_999}, {"connections": 0}, {"port": "80"}]
)
def test_an_address_that_cannot_be_had_is_typed(options: dict[str, Any]) -> None:
    """And nothing was opened."""
    with pytest.raises(ConfigurationError):
        prepare(create_app(MemoryStore(), [TODO]), **options)


def test_a_port_that_is_taken_is_typed(serve: Serve) -> None:
    """With the system's reason."""
    served = serve(MemoryStore(), [TODO])

    with pytest.raises(ConfigurationError, match=f"port {served.port}: .*in use"):
        prepare(create_app(MemoryStore(), [TODO]), port=served.port)


def test_a_store_that_cannot_be_opened_is_typed(tmp_path: Path) -> None:
    """Before a connection is accepted."""
    with pytest.raises(StoreUnavailable):
        run(create_app(SQLiteStore(tmp_path / "nowhere" / "todo.db"), [TODO]), port=0)


def test_another_application_is_served_too(host: Any) -> None:
    """One that is not of `create_app`, as the outer one of a mounted service."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    assert 204 == host(app).http.get("/").status_code
