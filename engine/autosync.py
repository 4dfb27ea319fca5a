"""Autosync on a thread of its own, which waits most of the time."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

import attrs

from tidesync.contracts.transport import Transport
from tidesync.course import CLOSING, NAP, REFUSING, AutosyncStatus, Course, halted
from tidesync.drive import Ports
from tidesync.effects import Plan
from tidesync.events import CycleStarted, Event, StopReason
from tidesync.plans.cycle import Cycle
from tidesync.rules.pace import Turn
from tidesync.session import Session

logger = logging.getLogger("tidesync")
Drive: TypeAlias = Callable[[Callable[[Session], Plan[Cycle]], Ports], Cycle]
Online: TypeAlias = Callable[[], bool]


class Autosync:
    """Pushes and pulls by itself until it is stopped; `ctx.autosync(…)` returns it, begun.

    It is stopped by `stop()`, by the end of a `with` block, when its context is closed, and when the program ends.
    """

    def __init__(
        self,
        course: Course,
        drive: Drive,
        ports: Ports,
        online: Online | None,
        *,
        tell: Callable[[Event], None],
        held_up: Callable[[], bool],
    ) -> None:
        self._course, self._drive, self._online = course, drive, online
        self._tell, self._held_up = tell, held_up
        self._wake = threading.Condition()
        self._pid = os.getpid()
        self._inner = ports
        self._ports = attrs.evolve(ports, transport=self._wire, sleep=self._sleep)
        self._thread = threading.Thread(target=self._run, name="tidesync-autosync", daemon=True)

    def __repr__(self) -> str:
        return f"<autosync, {self.status.state}>"

    def begin(self) -> Self:
        """Start the thread."""
        _ = atexit.register(self._exit)
        try:
            self._thread.start()
        except BaseException:
            atexit.unregister(self._exit)
            raise
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def status(self) -> AutosyncStatus:
        """What it does, and what happened last."""
        with self._wake:
            return self._course.status()

    @property
    def on(self) -> bool:
        """Whether it goes on: it has not ended, and was not stopped."""
        return self._course.halted is None and self._thread.is_alive()

    def trigger(self) -> None:
        """Ask for a cycle at once, and return; one that is under way is followed by one more.

        It waits for no backoff, but never comes before the time that the remote named (`retry_after`). Pulls that rest
        are tried again. After the end it does nothing. Any thread may call it.
        """
        self._hurry(self._course.pace.trigger)

    def stop(self, timeout: float | None = None) -> None:
        """End it, and wait until it has ended: the exchange under way comes to its end, and nothing else is sent.

        Waits for `timeout` seconds at the most (None: as long as the transport takes); it then ends by itself. Called
        by what autosync itself calls (a subscriber, policy, handler, `online`), or in a batch, it does not wait: that
        would be for itself. Does nothing if it has ended.
        """
        self.end("stop", timeout)

    def end(self, why: StopReason, timeout: float | None) -> None:
        """End it for this reason, as `stop` does."""
        if os.getpid() != self._pid:  # a fork has no such thread, and may have a lock that nobody opens
            return
        with self._wake:
            self._course.halted = self._course.halted or why
            self._wake.notify_all()
        if self._thread is not threading.current_thread() and not self._held_up():
            self._thread.join(timeout)

    def changed(self) -> None:
        """Something was written here."""
        now = time.monotonic()
        self._hurry(lambda: self._course.pace.changed(now))

    # ---- on the thread

    def _hurry(self, what: Callable[[], None]) -> None:
        if os.getpid() == self._pid:
            with self._wake:
                if self._course.hurried(what):
                    self._wake.notify_all()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            while (turn := self._next()) is not None:
                self._cycle(turn)
        except BaseException as raised:  # noqa: BLE001  # it is told, and logged
            error = raised
        finally:
            atexit.unregister(self._exit)
            with self._wake:
                stopped = self._course.stopped(error)
            self._tell(stopped)

    def _next(self) -> Turn | None:
        """Wait until a turn is due, and take it; None if it was stopped."""
        with self._wake:
            while self._course.halted is None and self._course.pace.state != "stopped":
                left = self._course.left
                if left <= 0:
                    return self._course.pace.take(time.monotonic())
                _ = self._wake.wait(min(left, NAP))
        return None

    def _cycle(self, turn: Turn) -> None:
        if not self._is_online():
            with self._wake:
                told = self._course.offline()
        else:
            with self._wake:
                self._course.pace.began()
            self._tell(CycleStarted(turn.why))
            try:
                done = self._drive(self._course.plan(turn), self._ports)
            except Exception as error:  # noqa: BLE001  # such as that the context was closed
                done = Cycle()
                done.note(error)
            with self._wake:
                told = self._course.ended(done)
        for event in told:
            self._tell(event)

    def _is_online(self) -> bool:
        try:
            return self._online is None or bool(self._online())
        except Exception:
            logger.exception("the online predicate of autosync failed: that counts as no")
            return False

    def _wire(self) -> Transport:
        return self._inner.transport() if self._course.halted is None else REFUSING

    def _sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)
        if self._course.halted is not None:
            raise halted()

    def _exit(self) -> None:
        self.end("exit", CLOSING)
