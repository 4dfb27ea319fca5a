"""Rules about what an encrypted store lets nobody read."""

from __future__ import annotations


class Encryption:
    """Rules about what an encrypted store lets nobody read."""
