"""One request on the wire, and what may come back instead of a reply."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

from tidesync.conformance.simulation.tapes import Draw

Reply = Any


class Lost(enum.Enum):
    """No reply: nothing was sent, it may have arrived, or the credentials were refused."""

    REFUSED = "refused"
    UNKNOWN = "unknown"
    DENIED = "denied"


REFUSED: Final = Lost.REFUSED
UNKNOWN: Final = Lost.UNKNOWN
DENIED: Final = Lost.DENIED


class Call:
    """One request: `run` makes it take effect at the remote, once for each time that it arrives.

    `writes` is what it carries; a request that writes nothing (None) need not arrive late.
    """

    __slots__ = ("name", "run", "writes")

    def __init__(self, name: str, run: Callable[[Draw], Reply], writes: object = None) -> None:
        self.name, self.run, self.writes = name, run, writes
