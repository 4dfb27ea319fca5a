"""Rules about tables that are opened again, with other columns."""

from __future__ import annotations


class Schemas:
    """Rules about tables that are opened again, with other columns."""
