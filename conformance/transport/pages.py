"""Rules about pages, orders, counts and queries."""

from __future__ import annotations


class Pages:
    """Rules about pages, orders, counts and queries."""
