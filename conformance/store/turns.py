"""Rules about several threads, and about closing."""

from __future__ import annotations


class Turns:
    """Rules about several threads, and about closing."""
