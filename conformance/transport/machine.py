"""The rule that several clients agree in the end, whatever was lost on the way."""

from __future__ import annotations


class Machine:
    """The rule that several clients agree in the end, whatever was lost on the way."""
