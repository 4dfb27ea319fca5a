"""Rules about what indexes promise, counted in records and calls, not in seconds."""

from __future__ import annotations


class Costs:
    """Rules about what indexes promise, counted in records and calls, not in seconds."""
