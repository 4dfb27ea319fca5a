"""What a service does by itself, once a day: forget what was deleted long ago."""

from __future__ import annotations

import logging
import math
from typing import Final

import anyio
import anyio.to_thread

from tidesync.errors import ConfigurationError, StoreError
from tidesync.transports.authority import Authority

DAY: Final = 86_400.0
_log: Final = logging.getLogger("tidesync.service")


def check_keep(keep: object) -> float | None:
    """The seconds for which deleted records are kept; None for ever. Raises `ConfigurationError`."""
    if keep is None:
        return None
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep < math.inf:
        raise ConfigurationError(f"keep is a number of seconds above 0, or None for ever, not {keep!r:.60}")
    return keep


async def compact_daily(authority: Authority, keep: float, pause: float = DAY) -> None:
    """Compact an open authority at once, and again after each pause, until cancelled.

    What fails is logged, and tried again the next time.
    """
    while True:
        try:
            gone = await anyio.to_thread.run_sync(authority.compact, keep)
            _log.info("compacted: %d deleted records were forgotten", gone)
        except StoreError as error:
            _log.error("could not compact: %s: %s", type(error).__name__, error)
        await anyio.sleep(pause)
