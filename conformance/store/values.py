"""Rules about what comes back: every value of JSON, bit for bit."""

from __future__ import annotations


class Values:
    """Rules about what comes back: every value of JSON, bit for bit."""
