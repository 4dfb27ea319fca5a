"""Serving an application with uvicorn: a stop that finishes what was accepted, and no waiting for slow clients."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, cast

from starlette.types import ASGIApp

from tidesync.errors import ConfigurationError, MissingExtra
from tidesync.transports.service.app import App

try:
    import h11
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
except ImportError as error:
    raise MissingExtra("uvicorn", "service") from error

IDLE: Final = 30
"""Seconds that a connection is kept between requests: longer than clients keep theirs, so that none sends its next
request while it is being closed here."""
GRACE: Final = 30
"""Seconds that requests under way have to end in, once the service stops."""


class Config(uvicorn.Config):
    """uvicorn's, and for how long and for how many clients there is patience."""

    patience: float = 30.0
    connections: int = 800


class Patient(H11Protocol):
    """uvicorn's HTTP/1.1 connection, which ends where its client makes it wait.

    uvicorn bounds only how long a connection is idle between requests. Here, whoever sends no complete header, or
    sends on a body that nobody wants any more, or makes no room for the reply, is dropped after `patience`.
    """

    config: Config
    _arriving: asyncio.TimerHandle | None = None
    _leaving: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there is room."""
        super().connection_made(transport)
        if len(self.connections) > self.config.connections:
            transport.abort()
        else:
            self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._cancel_arriving()
        self._cancel_leaving()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the time runs while no request is under way."""
        try:
            super().data_received(data)
        except (
            h11.LocalProtocolError
        ):  # what came cannot be answered any more, as after a reply that has begun
            self.transport.abort()
        self._expect_request()

    def send_400_response(self, msg: str) -> None:
        """What came is not HTTP: say so, if nothing else was said yet, and never let the application answer it."""
        if self._under_way():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        super().send_400_response(msg)

    def on_response_complete(self) -> None:
        """The reply is written, but perhaps not taken."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY or self._under_way():
            self._expect_request()
        if self.transport.get_write_buffer_size():
            self._expect_room()

    def pause_writing(self) -> None:
        """More of the reply is written than the client took."""
        super().pause_writing()
        self._expect_room()

    def resume_writing(self) -> None:
        """The client made room."""
        self._cancel_leaving()
        super().resume_writing()

    # ---- what is waited for

    def _under_way(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _expect_request(self) -> None:
        if self._under_way():
            self._cancel_arriving()
        elif self._arriving is None and not self.transport.is_closing():
            self._arriving = self.loop.call_later(self.config.patience, self._came_too_slowly)

    def _came_too_slowly(self) -> None:
        self._arriving = None
        if not self._under_way():
            self.transport.abort()

    def _expect_room(self) -> None:
        if self._leaving is None:
            self._leaving = self.loop.call_later(self.config.patience, self._left_too_slowly)

    def _left_too_slowly(self) -> None:
        self._leaving = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _cancel_arriving(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _cancel_leaving(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None


class Server(uvicorn.Server):
    """uvicorn's server, on one listening socket, telling when it is ready."""

    def __init__(self, config: Config, listening: socket.socket, ready: Callable[[str], object]) -> None:
        super().__init__(config)
        self.listening, self.ready = listening, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and tell so."""
        await super().startup(sockets)
        if self.started:
            self.ready(address(self.listening))

    def stop(self) -> None:
        """Stop as a signal would, from any thread; idempotent."""
        self.should_exit = True

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until it is stopped; everything that was accepted is finished then."""
        try:
            super().run([self.listening] if sockets is None else sockets)
        finally:
            self.listening.close()  # also where it could not start: nobody waits for an answer then


def run(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    ready: Callable[[str], object] = lambda _: None,
    proxy_headers: bool = False,
    connections: int = 800,
) -> None:
    """Serve the application until SIGTERM or SIGINT, then finish what was accepted, and return.

    `ready` is called with the URL once connections are accepted; with port 0 the system chooses one.
    `proxy_headers` believes X-Forwarded-For and -Proto of a proxy on this machine. Beyond `connections` at once,
    new ones are dropped. Raises `ConfigurationError` for an address that cannot be had, `StoreError` where the
    application's store cannot be opened.
    """
    server = prepare(
        app, host=host, port=port, ready=ready, proxy_headers=proxy_headers, connections=connections
    )
    try:
        if isinstance(app, App):
            app.open()
        with _stopped_by_signals(server):
            server.run()
    finally:
        server.listening.close()
        if isinstance(app, App):
            app.close()


def prepare(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], object] = lambda _: None,
    proxy_headers: bool = False,
    connections: int = 800,
) -> Server:
    """A server that listens, and serves when its `run` is called, on any thread. Raises `ConfigurationError`."""
    if type(connections) is not int or connections < 1:
        raise ConfigurationError(f"connections is a whole number from 1, not {connections!r:.60}")
    listening = _listen(host, port)
    known = isinstance(app, App)
    config = Config(
        app,
        http=Patient,
        ws="none",
        lifespan="on" if known else "auto",
        log_config=None,
        access_log=False,
        proxy_headers=proxy_headers,
        server_header=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=GRACE,
    )
    config.connections = connections
    if isinstance(app, App):
        config.patience = app.service.limits.patience
    return Server(config, listening, ready)


def _listen(host: str, port: int) -> socket.socket:
    if type(port) is not int or not 0 <= port <= 65_535:
        raise ConfigurationError(f"port is a whole number from 0 to 65535, not {port!r:.60}")
    try:
        (family, _, _, _, where), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening = socket.create_server((where[0], where[1]), family=family, backlog=2048)
        # asyncio does it for sockets of its own making only; else each reply waits for a delayed acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"cannot listen on {host}, port {port}: {reason}") from error


def address(listening: socket.socket) -> str:
    """The URL at which a socket is reached from this machine."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _stopped_by_signals(server: Server) -> Generator[None]:
    """Let signals stop the server. It raises them again at its end, and then they end nothing any more."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_: int, __: FrameType | None) -> None:
        server.stop()

    before: dict[int, Any] = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            _ = signal.signal(each, handler)
