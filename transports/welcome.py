"""What a remote that speaks tidesync's own protocol says of itself, as JSON; pure."""

from __future__ import annotations

import attrs

from tidesync.contracts.transport import CursorGuarantee, TransportCapabilities
from tidesync.records import Json
from tidesync.transports.messages import PROTOCOL
from tidesync.transports.strict import Malformed, Members, shown

TABLES = 10_000


@attrs.frozen(kw_only=True)
class Welcome:
    """What a remote tells whoever opens it: its capabilities, and how long one line of a push may be, in bytes."""

    capabilities: TransportCapabilities
    line: int


def welcome_json(welcome: Welcome) -> dict[str, Json]:
    """The welcome as a message."""
    found = welcome.capabilities
    return {
        "protocol": "tidesync",
        "versions": [PROTOCOL],
        "identity": found.identity,
        "cursor": found.cursor.name.lower(),
        "ordered": found.ordered,
        "total": found.total,
        "filters": found.filters,
        "tombstones": sorted(found.tombstones),
        "departures": sorted(found.departures),
        "remembers": found.remembers,
        "overlap": found.overlap,
        "limits": {
            "changes": found.max_changes, "bytes": found.max_bytes, "line": welcome.line,
            "page": found.page_limit,
        },
    }  # fmt: skip


def read_welcome(message: Json) -> Welcome:
    """The welcome that a message tells. Raises `Malformed`."""
    members = Members(message)
    limits = Members(members.raw("limits"), "limits")
    guarantee = members.text("cursor").upper()
    if guarantee not in CursorGuarantee.__members__:
        raise Malformed("cursor", f"there is no guarantee {shown(members.raw('cursor'))}")
    return Welcome(
        capabilities=TransportCapabilities(
            identity=members.text("identity"),
            cursor=CursorGuarantee[guarantee],
            max_changes=limits.count("changes", least=1),
            max_bytes=None if limits.raw("bytes") is None else limits.count("bytes", least=1),
            ordered=members.flag("ordered"),
            total=members.flag("total"),
            filters=members.flag("filters"),
            tombstones=frozenset(members.names("tombstones", TABLES)),
            departures=frozenset(members.names("departures", TABLES)),
            remembers=None if members.raw("remembers") is None else members.seconds("remembers"),
            overlap=members.seconds("overlap", 0.0),
            page_limit=limits.count("page", least=1),
        ),
        line=limits.count("line", least=1),
    )
