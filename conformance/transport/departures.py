"""Rules about tombstones, and about records that leave a query."""

from __future__ import annotations


class Departures:
    """Rules about tombstones, and about records that leave a query."""
