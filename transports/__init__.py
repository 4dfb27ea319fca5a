"""Ways to a remote: in this process, over HTTP, by files alone. A driver is loaded when it is first needed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tidesync.transports.authority import Authority
    from tidesync.transports.files.aio import AsyncFileTransport
    from tidesync.transports.files.transport import FileTransport
    from tidesync.transports.http import AsyncHttpTransport, HttpTransport
    from tidesync.transports.loopback import LoopbackTransport

__all__ = [
    "AsyncFileTransport",
    "AsyncHttpTransport",
    "Authority",
    "FileTransport",
    "HttpTransport",
    "LoopbackTransport",
]

_HOMES: Final = {
    "AsyncFileTransport": "tidesync.transports.files.aio",
    "AsyncHttpTransport": "tidesync.transports.http",
    "Authority": "tidesync.transports.authority",
    "FileTransport": "tidesync.transports.files.transport",
    "HttpTransport": "tidesync.transports.http",
    "LoopbackTransport": "tidesync.transports.loopback",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
