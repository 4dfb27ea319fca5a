"""Azure Mobile Apps 2.0 and Datasync 3.0 under `/tables`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidesync.transports.service.served import Endpoint

ROUTES: Final[Sequence[tuple[str, Sequence[str], Endpoint]]] = ()
