"""Slow clients and idle ones, many at once: the others are served meanwhile."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.transports.service.conftest import Serve
from tests.transports.service.rest.support import FILMS
from tests.transports.service.support import Serving
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.service import Limits

PATIENCE = 1.0
SOON = 5.0
"""Seconds that nobody who behaves waits, however busy the machine is; a slow client takes longer."""
_POST = b"POST /tables/films HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
_PUSH = b"POST /tidesync/v1/push HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
SLOW = {
    "idle": b"",
    "headers": _POST * 50,
    "body": _POST + b"Content-Length: 900000\r\n\r\n" + b" " * 900_000,
    "chunked body": _PUSH + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 900_000,
    "unread reply": b"GET /tables/films?$top=1000 HTTP/1.1\r\nHost: a\r\n\r\n" * 20,
}


@pytest.fixture
def served(serve: Serve, tmp_path: Path) -> Serving:
    """A service with little patience, and a page that no buffer holds."""
    limits = Limits(patience=PATIENCE, concurrent=50)
    served = serve(SQLiteStore(tmp_path / "films.db", synchronous="normal"), [FILMS], limits=limits)
    film = {"title": "x" * 2000}
    lines = [
        {
            "id": f"op{n}",
            "table": "films",
            "record_id": f"f{n}",
            "kind": "insert",
            "record": {"id": f"f{n}", **film},
        }
        for n in range(1000)
    ]
    batch = "\n".join(map(json.dumps, lines)).encode()
    assert 200 == served.http.post("/tidesync/v1/push", content=batch).status_code
    return served


@contextmanager
def connected(port: int, count: int) -> Iterator[Sequence[socket.socket]]:
    """So many connections, with little room for what comes."""
    with ExitStack() as stack:
        lines: list[socket.socket] = []
        for _ in range(count):
            line = stack.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(30)
            line.connect(("127.0.0.1", port))
            lines.append(line)
        yield lines


def crawl(lines: Sequence[socket.socket], content: bytes, over: threading.Event) -> None:
    """Send a byte on each, again and again; at once what asks for a reply, which is never read."""
    left = list(lines)
    step = len(content) if content.startswith(b"GET") else 1
    for at in range(0, len(content), step):
        if over.wait(0.02):
            return
        for line in list(left):
            try:
                line.sendall(content[at : at + step])
            except OSError:  # it was dropped
                left.remove(line)


@pytest.mark.parametrize(("how", "count"), [("idle", 300), *((how, 20) for how in list(SLOW)[1:])])
def test_others_are_served_meanwhile(served: Serving, how: str, count: int) -> None:
    """Reads and writes are answered, and soon."""
    over = threading.Event()
    with connected(served.port, count) as lines, ThreadPoolExecutor(1) as pool:
        crawling = pool.submit(crawl, lines, SLOW[how], over)
        try:
            for number in range(30):
                began = time.monotonic()
                made = served.http.post("/tables/films", json={"id": f"n{number}", "title": "x"})
                read = served.http.get(f"/tables/films/n{number}")
                assert (201, 200, True) == (
                    made.status_code,
                    read.status_code,
                    time.monotonic() - began < SOON,
                )
                time.sleep(PATIENCE / 15)
        finally:
            over.set()
            crawling.result()


def test_slow_bodies_hold_nobodys_place(serve: Serve) -> None:
    """However many bodies are on their way, there is room for those that have arrived."""
    served = serve(MemoryStore(), [FILMS], limits=Limits(concurrent=2))
    with connected(served.port, 20) as lines:
        for line in lines:
            line.sendall(SLOW["body"][:200])
        for _ in range(20):
            assert 200 == served.http.get("/tables/films").status_code
            time.sleep(0.01)


def test_slow_clients_of_every_kind_are_let_go(served: Serving) -> None:
    """In the end nothing of them is left: no connection, and no place of a request."""
    over = threading.Event()
    with connected(served.port, 10 * len(SLOW)) as lines, ThreadPoolExecutor(len(SLOW)) as pool:
        groups = zip(SLOW.values(), range(0, len(lines), 10), strict=True)
        crawling = [pool.submit(crawl, lines[at : at + 10], content, over) for content, at in groups]
        deadline = time.monotonic() + 30
        # One is this test's own.
        while len(served.server.server_state.connections) > 1 and time.monotonic() < deadline:
            time.sleep(PATIENCE / 4)
        over.set()
        for each in crawling:
            each.result()

        assert len(served.server.server_state.connections) <= 1
        assert 200 == served.http.get("/tables/films/f1").status_code
