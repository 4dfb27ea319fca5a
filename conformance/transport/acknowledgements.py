"""Rules about acknowledgements that are lost, before the effect and after it."""

from __future__ import annotations


class Acknowledgements:
    """Rules about acknowledgements that are lost, before the effect and after it."""
