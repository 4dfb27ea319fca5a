"""Rules about what a query means, against an oracle of its own."""

from __future__ import annotations


class Queries:
    """Rules about what a query means, against an oracle of its own."""
