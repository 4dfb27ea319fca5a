"""Rules about cursors: nothing that was committed since is missed."""

from __future__ import annotations


class Cursors:
    """Rules about cursors: nothing that was committed since is missed."""
