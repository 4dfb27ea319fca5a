"""Rules about what conditions hold, and what is computed in them."""

from __future__ import annotations


class Conditions:
    """Rules about what conditions hold, and what is computed in them."""
