"""What a fork leaves to whom: a connection of SQLite belongs to the process that opened it.

SQLite has one map of a file's log for each process, whoever asks for it. A connection that a child opens would share
the map of one that it inherited, and write over what others wrote in the meantime. So connections that wait for work
are closed before a fork, and a child may not use a file in which a transaction was under way.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from typing import ClassVar, Final, Protocol

from tidesync.errors import StoreClosed, StoreError


class Forked(Protocol):
    """A store, as a fork sees it."""

    @property
    def real_path(self) -> str:
        """The file."""
        ...

    @property
    def is_in_use(self) -> bool:
        """Whether it has a connection."""
        ...

    def close_idle(self) -> None:
        """Close the connections that wait for work."""
        ...


class Process:
    """Tells a process from the one that it was forked from."""

    token: ClassVar[object] = object()


inherited: Final[list[object]] = []
"""Connections of another process: this one must neither use nor close them, so they are kept for ever."""
_stores: Final[weakref.WeakSet[Forked]] = weakref.WeakSet()
_left_behind: Final[set[str]] = set()


def watch(store: Forked) -> None:
    """Close what the store has idle before each fork from now on."""
    _stores.add(store)


def check_usable(path: str) -> None:
    """Raise `StoreClosed` if this process was forked in the middle of somebody's transaction on the file."""
    if path in _left_behind:
        raise StoreClosed(
            f"{path}: this process was forked while a transaction was under way on the file, and cannot use it: "
            "fork between transactions, or start a new process"
        )


def _before() -> None:
    for store in tuple(_stores):
        with suppress(StoreError):
            store.close_idle()


def _in_child() -> None:
    Process.token = object()
    _left_behind.update(store.real_path for store in tuple(_stores) if store.is_in_use)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_before, after_in_child=_in_child)
