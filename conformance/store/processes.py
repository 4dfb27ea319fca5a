"""Rules about several processes on one store."""

from __future__ import annotations


class Processes:
    """Rules about several processes on one store."""
