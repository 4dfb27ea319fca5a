"""Rules about what a change expects to find."""

from __future__ import annotations


class Expectations:
    """Rules about what a change expects to find."""
