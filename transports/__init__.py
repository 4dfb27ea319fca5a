"""Ways to a remote: in this process and over HTTP. A driver is loaded when what needs it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tidesync.transports.authority import Authority
    from tidesync.transports.http import AsyncHttpTransport, HttpTransport
    from tidesync.transports.loopback import LoopbackTransport

__all__ = ["AsyncHttpTransport", "Authority", "HttpTransport", "LoopbackTransport"]

_HOMES: Final = {
    "AsyncHttpTransport": "tidesync.transports.http",
    "Authority": "tidesync.transports.authority",
    "HttpTransport": "tidesync.transports.http",
    "LoopbackTransport": "tidesync.transports.loopback",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
