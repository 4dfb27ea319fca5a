"""Who uses a file within one process: writers in turn, and one library that speaks SQLite at a time."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import Final

from tidesync.errors import StoreBusy


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


_mutex = threading.Lock()
_users: Final[dict[str, tuple[str, weakref.WeakSet[object]]]] = {}


def _renew() -> None:
    global _mutex  # noqa: PLW0603  another thread may have held it when this process was forked
    _mutex = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_renew)


def claim(path: str, library: str, user: object) -> None:
    """Note that a file is used through a library until `release`, or as long as the user lives.

    Raises `StoreBusy` while it is used through another one: each would let go of the locks of the other.
    """
    with _mutex:
        other, users = _users.get(path, (library, weakref.WeakSet[object]()))
        if other != library and len(users):
            raise StoreBusy(f"{path}: is open in this process as another kind of store: close that first")
        users.add(user)
        _users[path] = (library, users if other == library else weakref.WeakSet([user]))


def release(path: str, user: object) -> None:
    """The inverse of `claim`; does nothing if there was none."""
    with _mutex:
        library, users = _users.get(path, ("", weakref.WeakSet[object]()))
        users.discard(user)
        if library and not users:
            del _users[path]
