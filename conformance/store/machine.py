"""The rule that any sequence of calls leaves a store with what a model holds."""

from __future__ import annotations


class Machine:
    """The rule that any sequence of calls leaves a store with what a model holds."""
