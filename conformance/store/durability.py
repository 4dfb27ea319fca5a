"""Rules about what outlives a close, a kill and another opening."""

from __future__ import annotations


class Durability:
    """Rules about what outlives a close, a kill and another opening."""
