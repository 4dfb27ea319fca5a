"""A service on loopback, in a thread of this process."""

import socket
import threading
from typing import Any

import httpx
import uvicorn

SECONDS = 30.0
"""Far more than a start or a stop takes, so that only a hang ends in an error."""


class Server(uvicorn.Server):
    """Tells when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class Serving:
    """An application that is being served: `url` without a slash at its end, `http` a client for it."""

    def __init__(self, app: Any) -> None:
        self.app = app
        listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(app, log_config=None, lifespan="on", ws="none", timeout_graceful_shutdown=20)
        self.server = Server(config)
        self._thread = threading.Thread(target=self.server.run, args=([listening],), daemon=True)
        self._thread.start()
        if not self.server.ready.wait(SECONDS):
            raise AssertionError("the service does not start: its log tells why")
        self.http = httpx.Client(base_url=self.url, timeout=SECONDS, trust_env=False)

    def stop(self) -> None:
        """Stop it as SIGTERM would, and wait until it has; idempotent."""
        self.http.close()
        self.server.should_exit = True
        self._thread.join(SECONDS)
        if self._thread.is_alive():
            raise AssertionError("the service does not stop")
