"""What the transport tells of tidesync's service, on each protocol."""

from typing import Final

from tidesync.conformance import TABLES
from tidesync.contracts.transport import CursorGuarantee, TransportCapabilities

_NAMES: Final = frozenset(table.name for table in TABLES)
NATIVE: Final = TransportCapabilities(
    identity="", cursor=CursorGuarantee.COMMIT_ORDERED, max_changes=1000, ordered=True, total=True, filters=True,
    tombstones=_NAMES, departures=_NAMES, remembers=None, max_bytes=1 << 20, exchange_timeout=120.0,
)  # fmt: skip
REST: Final = TransportCapabilities(
    identity="", cursor=CursorGuarantee.KEYSET, max_changes=4, total=True, filters=True, tombstones=_NAMES,
    overlap=2.0, exchange_timeout=120.0,
)  # fmt: skip
