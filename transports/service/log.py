"""The access log: one JSON line for each request, without anything that a client wrote into it."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import Final

import attrs

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

access_log: Final = logging.getLogger("tidesync.service.access")
"""INFO, one record for each request; the message is JSON.

`time` (when it came), `method`, `route` (its template, null for what is not served), `table` (null for none that
is served), `status` (null if the client left before a reply), `bytes` of the reply's body as sent, `ms` from the
request's headers to the reply's last byte, `principal` (null before somebody was let in), and `cut` true if the
reply did not reach its end. Neither bodies, ids, query strings nor headers are there.
"""


@attrs.define
class Entry:
    """What is known of one request; it travels in the scope, under "tidesync"."""

    method: str
    came: float = attrs.field(factory=time.time)
    began: float = attrs.field(factory=time.perf_counter)
    route: str | None = None
    table: str | None = None
    principal: str | None = None
    status: int | None = None
    size: int = 0
    done: bool = False

    def write(self) -> None:
        """Log it."""
        if not access_log.isEnabledFor(logging.INFO):
            return
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(self.came, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "method": self.method if self.method in _METHODS else "other",
            "route": self.route,
            "table": self.table,
            "status": self.status,
            "bytes": self.size,
            "ms": round((time.perf_counter() - self.began) * 1000, 2),
            "principal": self.principal,
        }
        if not self.done:
            told["cut"] = True
        access_log.info("%s", json.dumps(told, ensure_ascii=True, separators=(",", ":")))
