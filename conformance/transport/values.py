"""Rules about what travels: every value, and large records."""

from __future__ import annotations


class Values:
    """Rules about what travels: every value, and large records."""
