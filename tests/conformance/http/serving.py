"""One server for many remotes: each test has an application of its own under a path of its own."""

from __future__ import annotations

import itertools
import threading
from typing import Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from tidesync.transports.service.app import App


class Mounted:
    """An ASGI application that leads to others, by the first part of the path."""

    def __init__(self) -> None:
        self._apps: dict[str, ASGIApp] = {}
        self._numbers = itertools.count(1)

    def mount(self, app: App) -> str:
        """The path that the application is found at from now on."""
        name = f"r{next(self._numbers)}"
        self._apps[name] = app
        return f"/{name}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, name, _ = scope["path"].split("/", 2)
        inner = {**scope, "root_path": f"{scope.get('root_path', '')}/{name}"}
        await self._apps[name](inner, receive, send)


class Hosting:
    """A uvicorn server in a thread, on a free port of loopback, for the `with` block."""

    def __init__(self) -> None:
        self.mounted = Mounted()
        config = uvicorn.Config(self.mounted, port=0, log_level="critical", lifespan="off", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="hosting", daemon=True)

    @property
    def url(self) -> str:
        """The address without a path."""
        (listening,) = self._server.servers
        return f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start")
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
