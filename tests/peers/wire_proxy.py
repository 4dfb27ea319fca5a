"""A wire whose faults a test plans: an HTTP proxy on loopback between a client and a server.

    with WireProxy(peer.url) as wire:
        wire.plan(LoseReply(), method="POST", path="/tables/todoitem")
        ...  # a client on wire.url inserts: the server has the row, the client never hears of it
        assert [201] == [seen.status for seen in wire.requests]

Requests without a planned fault are forwarded. A fault is used up by the first request that it fits; faults
are tried in the order in which they were planned. What is lost is lost by closing the connection, or by
silence until the client hangs up (`silent=True`). No fault waits for a clock, except `Delay`.
"""

import contextlib
import http.client
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Self
from urllib.parse import urlsplit

import attrs

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
    Reply,
    Seen,
)

HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"})
UPSTREAM_SECONDS = 60.0


@attrs.define(eq=False)
class _Planned:
    fault: Fault
    method: str | None
    path: re.Pattern[str] | None
    when: Callable[[Seen], bool] | None
    skip: int
    times: int | None

    def takes(self, seen: Seen) -> bool:
        if self.times == 0 or (self.method is not None and self.method != seen.method):
            return False
        if self.path is not None and not self.path.fullmatch(seen.path):
            return False
        if self.when is not None and not self.when(seen):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class WireProxy:
    """The wire to `upstream`, at `url`; see the module for how to plan its faults.

    Where the server cannot be reached, or dies while it answers, the client's connection is closed.
    """

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "127.0.0.1", address.port or 80)
        self._guard = threading.Lock()
        self._plans: list[_Planned] = []
        self._requests: list[Seen] = []
        self._late: list[Seen] = []
        self._closing = threading.Event()
        self._server: _Server | None = None
        self._port = 0
        self._unexpected: list[BaseException] = []

    @property
    def url(self) -> str:
        """The address to give to the client; the same after `offline()` and `online()`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[Seen]:
        """Everything that came, in the order of arrival."""
        with self._guard:
            return list(self._requests)

    def plan(
        self,
        *faults: Fault,
        method: str | None = None,
        path: str | None = None,
        when: Callable[[Seen], bool] | None = None,
        skip: int = 0,
        times: int | None = 1,
    ) -> None:
        """Plan faults for the next requests that fit, in this order.

        `path` is a regular expression for the whole decoded path; `when` sees the request. Each fault lets
        the first `skip` requests pass, then takes `times` of them (None: all from then on).
        """
        pattern = None if path is None else re.compile(path)
        with self._guard:
            self._plans += [_Planned(fault, method, pattern, when, skip, times) for fault in faults]

    def clear(self) -> None:
        """Forget the planned faults and what was recorded; what is held stays held."""
        with self._guard:
            self._plans.clear()
            self._requests.clear()

    def deliver(self) -> list[Seen]:
        """Let everything held reach the server now, in the order of arrival; return it, with the replies."""
        with self._guard:
            late, self._late = self._late, []
        for seen in late:
            self._forward(seen)
        return late

    def online(self) -> None:
        """Accept connections, on the port of before; does nothing if it does already."""
        if self._server is None:
            self._closing.clear()
            self._server = _Server(self, self._port)
            self._port = self._server.server_address[1]
            self._server.start()

    def offline(self) -> None:
        """Refuse connections and sever those that are open, until `online()`."""
        if self._server is not None:
            self._closing.set()
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        self.online()
        return self

    def __exit__(self, *exception: object) -> None:
        self.offline()
        if self._unexpected and exception == (None, None, None):
            raise self._unexpected[0]

    def _record(self, method: str, target: str, raw_headers: Sequence[tuple[str, str]], body: bytes) -> Seen:
        seen = Seen(method, target, _lowered(raw_headers), body, Forward(), raw_headers)
        with self._guard:
            planned = next((plan for plan in self._plans if plan.takes(seen)), None)
            if planned is not None:
                seen.fault = planned.fault
            self._requests.append(seen)
            if isinstance(seen.fault, Hold | Duplicate):
                self._late.append(seen)
        return seen

    def _forward(self, seen: Seen) -> Reply:
        host, port = self._upstream
        with contextlib.closing(
            http.client.HTTPConnection(host, port, timeout=UPSTREAM_SECONDS)
        ) as connection:
            connection.putrequest(seen.method, seen.target, skip_host=True, skip_accept_encoding=True)
            for name, value in seen.raw_headers:
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.putheader("Connection", "close")
            connection.endheaders(seen.body or None)
            with connection.getresponse() as answer:
                headers = answer.getheaders()
                body = answer.read()
                reply = Reply(answer.status, _lowered(headers), body, answer.reason, headers)
        seen.replies.append(reply)
        return reply

    def _exchange(self, seen: Seen) -> Reply | CutReply | LoseReply:
        """Do what the fault says; return what the client gets."""
        match seen.fault:
            case LoseRequest(silent) | Hold(silent):
                return LoseReply(silent)
            case LoseReply():
                self._forward(seen)
                return seen.fault
            case CutReply():
                self._forward(seen)
                return seen.fault
            case Answer(status, body, headers, after):
                if after:
                    self._forward(seen)
                return Reply(status, _lowered(list(headers.items())), body, "", list(headers.items()))
            case Delay(before, after):
                self._closing.wait(before)
                reply = self._forward(seen)
                self._closing.wait(after)
                return reply
            case Forward() | Duplicate():
                return self._forward(seen)

    def _wait_until_hung_up(self, connection: socket.socket) -> None:
        while not self._closing.is_set():
            readable, _, _ = select.select([connection], [], [], 0.02)
            if readable and not connection.recv(4096):
                return


class _Server(ThreadingTCPServer):
    """Accepts the connections of one `WireProxy`; each has its own thread, and all of them are joined."""

    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, wire: WireProxy, port: int) -> None:
        self.wire = wire
        self._open: set[socket.socket] = set()
        self._open_guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="wire-proxy")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        with self._open_guard:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    @contextlib.contextmanager
    def serving(self, connection: socket.socket) -> Iterator[bool]:
        """Know the connection while it is served; False: do not begin.

        What goes wrong is kept for the test; a connection that broke is nothing unexpected.
        """
        with self._open_guard:
            self._open.add(connection)
        try:
            yield not self.wire._closing.is_set()
        except (ConnectionError, TimeoutError, http.client.HTTPException):
            pass
        except Exception as error:
            self.wire._unexpected.append(error)
        finally:
            with self._open_guard:
                self._open.discard(connection)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with self.server.serving(self.connection) as begun:
            if begun:
                super().handle()

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        wire = self.server.wire
        self.close_connection = True
        if "Transfer-Encoding" in self.headers:
            raise NotImplementedError("a request body without Content-Length cannot be replayed")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = wire._record(self.command, self.path, self.headers.items(), body)
        outcome = wire._exchange(seen)
        match outcome:
            case Reply():
                seen.answered = outcome.status
                self._send(outcome, outcome.body)
                whole = outcome.headers.get("content-length", str(len(outcome.body))) == str(
                    len(outcome.body)
                )
                self.close_connection = not whole or "close" in self.headers.get("Connection", "").lower()
            case CutReply(keep):
                reply = seen.replies[-1]
                self._send(reply, reply.body[: len(reply.body) // 2 if keep is None else keep])
            case LoseReply(silent):
                if silent:
                    wire._wait_until_hung_up(self.connection)

    def _send(self, reply: Reply, body: bytes) -> None:
        """Send the reply's head, and this much of its body."""
        self.send_response_only(reply.status, reply.reason or None)
        for name, value in reply.raw_headers:
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        if reply.status not in (204, 304):
            self.send_header("Content-Length", reply.headers.get("content-length", str(len(reply.body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _lowered(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
