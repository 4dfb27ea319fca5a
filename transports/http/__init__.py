"""The HTTP transport, on httpx: `HttpTransport(url)`.

`wire`, `wire2`, `wire3`, `odata`, `paging` and `values` are pure: what is sent and what a reply means.
`push` and `pull` are the flows over them, `client` is the network, `transport` puts them together.
"""

from tidesync.transports.http.auth import Credentials
from tidesync.transports.http.transport import HttpTransport

__all__ = ["Credentials", "HttpTransport"]
