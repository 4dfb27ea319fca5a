"""Real sockets on loopback: what a connection, and its end, prove."""

import contextlib
import gzip
import json
import logging
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from tests.transports.http.fake_server import FakeServer
from tests.transports.http.support import COLUMNS, READ, TODO, delete, insert, pages, pulled, push_one, update
from tidesync.contracts.transport import Applied, NotSent, Outcome, Unknown
from tidesync.errors import NotReachable, ProtocolError, RemoteUnavailable
from tidesync.query import Query
from tidesync.transports.http import HttpTransport

Answer = Callable[["Exchange"], None]


class Exchange(BaseHTTPRequestHandler):
    """One request on a real connection; `server.answer` says what becomes of it."""

    protocol_version = "HTTP/1.1"
    server: "Loopback"

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def _any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.client_address[1]))
        answer = self.server.answers.pop(0) if self.server.answers else forward
        answer(self)

    do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815  # the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        logging.getLogger(__name__).debug(format, *args)

    def reset(self) -> None:
        """End the connection the hard way."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.wfile.close()
        self.connection.close()


class Loopback(socketserver.ThreadingTCPServer):
    """A 2.0 server on a real port."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.fake = FakeServer({"todoitem": COLUMNS})
        self.lock = threading.Lock()
        self.answers: list[Answer] = []
        self.seen: list[tuple[str, int]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/app"

    def reply(self, exchange: Exchange) -> httpx.Response:
        request = httpx.Request(exchange.command, f"http://x{exchange.path}", content=exchange.body)
        request.headers.update(dict(exchange.headers.items()))
        with self.lock:
            return self.fake(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logging.getLogger(__name__).debug("exchange with %s failed", client_address)


def forward(exchange: Exchange, *, squeeze: bool = False, cut: bool = False, slow: float = 0.0) -> None:
    """Answer as the server does: compressed, broken off, or slowly, if wanted."""
    answer = exchange.server.reply(exchange)
    body = gzip.compress(answer.content) if squeeze else answer.content
    exchange.send_response(answer.status_code)
    exchange.send_header("Content-Length", str(len(body)))
    if squeeze:
        exchange.send_header("Content-Encoding", "gzip")
    exchange.end_headers()
    if cut:
        exchange.wfile.write(body[: len(body) // 2])
        exchange.wfile.flush()
        exchange.reset()
        return
    for at in range(0, len(body), 20 if slow else len(body) or 1):
        exchange.wfile.write(body[at : at + 20] if slow else body)
        exchange.wfile.flush()
        time.sleep(slow)


def lose(exchange: Exchange) -> None:
    """Do it, and hang up without a word."""
    _ = exchange.server.reply(exchange)
    exchange.reset()


def deaf(exchange: Exchange) -> None:
    """Hang up before anything is done."""
    exchange.reset()


def silent(exchange: Exchange) -> None:
    """Say nothing for longer than anyone waits."""
    _ = exchange.server.reply(exchange)
    time.sleep(0.6)
    exchange.reset()


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@contextlib.contextmanager
def reached(url: str, **options: Any) -> Iterator[HttpTransport]:
    way = HttpTransport(url, protocol="2.0", **{"timeout": 5.0, "retries": 0, **options})
    _ = way.open([TODO])
    try:
        yield way
    finally:
        way.close()


def test_the_whole_way_over_a_real_connection(server: Loopback) -> None:
    """Insert, read, change, delete and pull, over few connections that stay open. [E26]"""
    with reached(server.url) as way:
        assert isinstance(push_one(way, insert("a", text="x")), Applied)
        assert isinstance(push_one(way, update("a", "MQ==", text="ü🙂\u2028\x00")), Applied)
        assert [Applied] * 20 == [
            type(one) for one in way.push([insert(f"{n:02}", text="x") for n in range(20)])
        ]
        assert isinstance(push_one(way, delete("00", "MQ==")), Applied)
        records, tombstones = pulled(pages(way, Query("todoitem"), limit=6))
        assert (20, {"00"}, "ü🙂\u2028\x00") == (len(records), set(tombstones), records["a"]["text"])
    assert 4 >= len({port for _, port in server.seen})


def test_a_refused_connection_was_not_sent() -> None:
    """Nobody listens: nothing arrived, for reads and writes alike. [F01]"""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with reached(url) as way:
            assert isinstance(push_one(way, insert("a")), NotSent)
            with pytest.raises(NotReachable):
                _ = way.pull(READ)


def test_a_host_without_address_was_not_sent() -> None:
    """No such host: nothing arrived."""
    with reached("https://no-such-host.invalid") as way:
        assert isinstance(push_one(way, insert("a")), NotSent)


@pytest.mark.parametrize("fault", [lose, deaf, lambda exchange: forward(exchange, cut=True)])
def test_a_reset_proves_nothing(server: Loopback, fault: Answer) -> None:
    """Before the write, after it, or in the middle of the answer: from here they look the same. [F01]"""
    with reached(server.url) as way:
        server.answers = [fault]
        assert isinstance(push_one(way, insert("a", text="x")), Unknown)
        server.answers = [fault]
        with pytest.raises(RemoteUnavailable):
            _ = way.pull(READ)
        assert isinstance(push_one(way, insert("b", text="x")), Applied)


def test_a_read_survives_a_reset(server: Loopback) -> None:
    """A read is simply made again."""
    with reached(server.url, retries=1) as way:
        server.fake.put("todoitem", "a", text="x")
        server.answers = [deaf]
        assert 1 == len(way.pull(READ).records)


def test_a_timeout_proves_nothing(server: Loopback) -> None:
    """Silence ends after the time that was allowed, and is no answer. [F22] [R-F23]"""
    with reached(server.url, timeout=0.2) as way:
        server.answers = [silent]
        assert isinstance(push_one(way, insert("a", text="x")), Unknown)
        assert "a" in server.fake.rows["todoitem"]
        server.answers = [silent]
        with pytest.raises(RemoteUnavailable):
            _ = way.pull(READ)


def test_an_answer_that_drips_is_cut_off(server: Loopback) -> None:
    """Each piece comes in time, the whole does not: the exchange still ends."""
    with reached(server.url, timeout=0.3) as way:
        server.answers = [lambda exchange: forward(exchange, slow=0.1)]
        begin = time.monotonic()
        outcome: Outcome = push_one(way, insert("a", text="x" * 500))
        assert isinstance(outcome, Unknown)
        assert time.monotonic() - begin < 3.0


def test_gzip_comes_over_the_wire(server: Loopback) -> None:
    """Replies may be compressed; requests are plain."""
    for number in range(50):
        server.fake.put("todoitem", f"{number:02}", text="the same again")
    with reached(server.url) as way:
        server.answers = [lambda exchange: forward(exchange, squeeze=True)]
        assert 50 == len(way.pull(READ).records)
    assert "content-encoding" not in server.fake.requests[-1].headers


def test_an_idle_connection_that_was_closed_is_not_a_fault(server: Loopback) -> None:
    """A server hangs up what it thinks idle: the next request opens a new one, also a write."""
    with reached(server.url) as way:

        def closing(exchange: Exchange) -> None:
            forward(exchange)
            exchange.close_connection = True

        server.answers = [closing, closing]
        for id in "ab":
            assert isinstance(push_one(way, insert(id, text="x")), Applied)
            time.sleep(0.05)
    assert 2 == len({port for _, port in server.seen})


def test_one_transport_serves_several_threads(server: Loopback) -> None:
    """Push, pull and get at the same time, one client. [R-I35]"""
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(10):
                assert isinstance(push_one(way, insert(f"{name}{number}", text="x")), Applied)
                _ = way.get("todoitem", f"{name}{number}")
                _ = pages(way, Query("todoitem"), limit=20)
        except BaseException as error:
            failures.append(error)

    with reached(server.url) as way:
        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ([], 30) == (failures, len(pulled(pages(way, Query("todoitem")))[0]))


def test_a_large_page_is_stopped_on_the_wire(server: Loopback) -> None:
    """The limit counts while it streams: the rest is never read."""

    def endless(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(10_000):
                exchange.wfile.write(json.dumps("x" * 10_000).encode())
        exchange.close_connection = True

    with reached(server.url, max_reply_bytes=50_000) as way:
        server.answers = [endless]
        with pytest.raises(ProtocolError, match="larger than 50000"):
            _ = way.pull(READ)
        assert [] == list(way.pull(READ).records)
