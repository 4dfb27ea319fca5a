"""The HTTP transport, on httpx: `HttpTransport(url)`, and `AsyncHttpTransport(url)` for an event loop.

`wire`, `wire2`, `wire3`, `odata`, `paging` and `values` are pure: what is sent and what a reply means.
`push`, `pull`, `native` and `rest` are flows over them, `client` those of one request, `opening` puts them together.
`threads` and `tasks` drive them, and they alone touch the network.
"""

from tidesync.transports.http.aio import AsyncHttpTransport
from tidesync.transports.http.auth import AsyncCredentials, Credentials
from tidesync.transports.http.transport import HttpTransport

__all__ = ["AsyncCredentials", "AsyncHttpTransport", "Credentials", "HttpTransport"]
