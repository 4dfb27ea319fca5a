"""Other threads for the rules. None is waited for for ever: a store that hangs breaks a rule, not the suite."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from tidesync.conformance.expect import RuleBroken
from tidesync.errors import StoreBusy

T = TypeVar("T")

PATIENCE: Final = 30.0
"""Seconds after which whoever still waits is taken to wait for ever."""
_PAUSE: Final = 0.002


class Apart(Generic[T]):
    """Work in a thread of its own, begun at once."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value.append(self._work())
        except BaseException as error:  # noqa: BLE001  # whoever asks for the result gets it
            self._error = error

    def over(self, seconds: float) -> bool:
        """Wait for its end at most this long; whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self, what: str = "") -> T:
        """What the work returned or raised; `RuleBroken`, saying what was done, if it does not end."""
        if not self.over(PATIENCE):
            raise RuleBroken(f"{what or 'a call'}: still waiting after {PATIENCE:.0f} s")
        if self._error is not None:
            raise self._error
        return self._value[0]


def apart(work: Callable[[], T], what: str = "") -> T:
    """Do the work in a thread of its own, and wait for it."""
    return Apart(work).result(what)


def persistent(work: Callable[[], T]) -> T:
    """Do the work, again as long as it is `StoreBusy`: a store may let writers wait for as short as it likes."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return work()
        except StoreBusy:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)


def reached(event: threading.Event, what: str) -> None:
    """Wait until another thread is where it says; `RuleBroken` if it never is."""
    if not event.wait(PATIENCE):
        raise RuleBroken(f"{what}: still waiting after {PATIENCE:.0f} s")
