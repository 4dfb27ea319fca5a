"""Rules about what goes wrong on the wire, and how it is told."""

from __future__ import annotations


class Failures:
    """Rules about what goes wrong on the wire, and how it is told."""
