"""The calls that a rule made, as a short program that makes them again."""

from __future__ import annotations

from collections.abc import Callable

from tidesync.contracts.store import Store


class Program:
    """What was done to stores and transports, as Python that can be run."""

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def store(self, store: Store) -> Store:
        """The store, with its calls written down."""
        return store

    def mark(self) -> None:
        """Forget what was done since the first mark, since a property begins another example."""

    def text(self) -> str:
        """The program."""
        return ""
