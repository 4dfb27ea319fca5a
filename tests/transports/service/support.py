"""A service on loopback, in a thread of this process."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import httpx
import uvicorn.server

from tidesync.transports.service.server import prepare

SECONDS = 30.0
"""Far more than a start or a stop takes, so that only a hang ends in an error."""

# uvicorn looks every tenth of a second whether to stop, and some hundred services are stopped here.
uvicorn.server.asyncio = SimpleNamespace(  # type: ignore[assignment]
    **{**vars(asyncio), "sleep": lambda seconds: asyncio.sleep(seconds / 10)}
)


class Serving:
    """An application that is being served: `url` without a slash at its end, `http` a client for it."""

    def __init__(self, app: Any) -> None:
        self.app = app
        ready, urls = threading.Event(), list[str]()
        self.server = prepare(app, ready=lambda url: (urls.append(url), ready.set()))
        self._thread = threading.Thread(target=self.server.run, daemon=True)
        self._thread.start()
        if not ready.wait(SECONDS):
            raise AssertionError("the service does not start: its log tells why")
        self.url = urls[0]
        self.port = int(self.url.rpartition(":")[2])
        self.http = httpx.Client(base_url=self.url, timeout=SECONDS, trust_env=False, verify=False)

    def stop(self) -> None:
        """Stop it as SIGTERM would, and wait until it has; idempotent."""
        self.http.close()
        self.server.stop()
        self._thread.join(SECONDS)
        if self._thread.is_alive():
            raise AssertionError("the service does not stop")
