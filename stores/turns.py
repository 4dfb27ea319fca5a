"""A lock that is given in the order in which it was asked for, so that no writer starves."""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """A first-come, first-served lock between the threads of one process."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def take(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the turn; True if it was given."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            gate = threading.Lock()
            _ = gate.acquire()
            self._waiting.append(gate)
        given = False
        try:
            given = gate.acquire(timeout=max(timeout, 0.0))
        finally:
            if not given:
                given = self._withdraw(gate)
        return given

    def _withdraw(self, gate: threading.Lock) -> bool:
        """Stop waiting; True if the turn was given in this very moment."""
        with self._mutex:
            if gate in self._waiting:
                self._waiting.remove(gate)
                return False
            return True

    def give_back(self) -> None:
        """End the turn; the longest waiting thread has the next."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
