"""tidesync's own protocol under `/tidesync/v1`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidesync.transports.service.served import Endpoint

ROUTES: Final[Sequence[tuple[str, Sequence[str], Endpoint]]] = ()
