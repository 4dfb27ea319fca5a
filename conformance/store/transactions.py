"""Rules about what a transaction keeps together, and what others see of it."""

from __future__ import annotations


class Transactions:
    """Rules about what a transaction keeps together, and what others see of it."""
