"""Rules about who the remote is, and opening and closing."""

from __future__ import annotations


class Identity:
    """Rules about who the remote is, and opening and closing."""
