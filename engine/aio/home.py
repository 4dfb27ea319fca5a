"""The event loop that a context is of: it is opened, used and closed there, one opening or closing at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from tidesync.aio.worker import Turn
from tidesync.errors import UsageError

ELSEWHERE: Final = (
    "this context is open on another event loop: use it there, or close it there and open it here"
)


class Home:
    """Where a context is at home. As a block: one opening or closing, while others wait for it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = Turn()
        self._changing: asyncio.Task[object] | None = None

    def check(self) -> None:
        """Raise `UsageError` unless this is that loop."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is not self._loop:
            raise UsageError(ELSEWHERE)

    def move(self, *, is_open: bool) -> bool:
        """Be at home on the running loop; True if the context was left open on one that has ended.

        Raises `UsageError` if it is open on one that has not.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return False
        if is_open and self._loop is not None and not self._loop.is_closed():
            raise UsageError(ELSEWHERE)
        # Who waited there waits for nothing.
        self._loop, self._turn, self._changing = loop, Turn(), None
        return is_open

    @property
    def is_changing(self) -> bool:
        """Whether this very task is opening or closing it, further out."""
        return self._changing is not None and self._changing is asyncio.current_task()

    async def __aenter__(self) -> None:
        await self._turn.take()
        self._changing = asyncio.current_task()

    async def __aexit__(self, *exception: object) -> None:
        self._changing = None
        self._turn.give_back()
