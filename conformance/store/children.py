"""Processes of their own for rules: forked, heard line by line, and killed in the end whatever happens.

A fork takes what a rule has made with it, so that `make_store` may be any function. Nothing of the parent may be open
at that moment, since a child must neither use nor close it: `forked` closes the bench's stores first.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from types import FrameType, TracebackType
from typing import Any, Final, NoReturn, TypeAlias

import attrs

from tidesync.conformance.expect import RuleBroken, equal
from tidesync.conformance.store.bench import StoreBench

LIMIT: Final = 60.0
"""Seconds after which a process that says nothing is taken to hang."""
_LIFE: Final = 300
_INNER: Final = frozenset(("builtins", "sys", "time", "_thread"))


class ChildFailed(Exception):
    """A step raised, in its process, what no rule is about; the text is its traceback."""


class Fuse:
    """Kills this process in mid-block: when the n-th call of something outside of Python's own types returns.

    Those are the calls that may reach a disk: of `os`, of files, of drivers. With `calls` None it only counts them.
    """

    def __init__(self, calls: int | None = None) -> None:
        self.counted = 0
        self._calls = calls

    def __enter__(self) -> Fuse:
        sys.setprofile(self._seen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.setprofile(None)

    def _seen(self, _: FrameType, event: str, called: Any) -> None:
        if event == "c_return" and (called.__module__ or type(called.__self__).__module__) not in _INNER:
            self.counted += 1
            if self.counted == self._calls:
                os.kill(os.getpid(), signal.SIGKILL)


def spread(count: int, most: int) -> list[int]:
    """Numbers from 1 to `count`: all of them, or `most` of them, evenly."""
    if count <= most:
        return list(range(1, count + 1))
    return sorted({1 + index * (count - 1) // (most - 1) for index in range(most)})


@attrs.frozen
class Failed:
    """What a step raised, as text; `broken` if it was a rule's failure."""

    broken: bool
    text: str


class Parent:
    """The rule, seen from a child."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    def tell(self, value: object) -> None:
        """Tell the rule something; it has it for certain when this returns."""
        self._line.send(value)

    def hear(self) -> Any:
        """Wait for the rule's next word. The process ends where the rule is no more."""
        try:
            return self._line.recv()
        except (EOFError, OSError):
            os._exit(1)

    def kill_me(self) -> NoReturn:
        """SIGKILL, at this very moment: nothing is flushed, closed or finished."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise SystemExit  # never reached


Step: TypeAlias = Callable[[Parent], None]


@attrs.define(eq=False)
class Child:
    """A process that runs a step."""

    pid: int
    line: Connection
    _ended: bool = False
    _status: int = 0

    def tell(self, value: object) -> None:
        """Tell the child something; a child that is no more hears nothing."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.line.send(value)

    def hear(self, *, limit: float = LIMIT) -> Any:
        """The next that the child tells. Raises what its step raised, and `RuleBroken` for one that hangs."""
        found = self._heard(limit)
        if found is ENDED:
            raise ChildFailed(f"the process ended before it was done: {self._how()}")
        return found

    def listen(self, limit: float) -> Any:
        """The next that the child tells, within so many seconds: `SILENT` if nothing, `ENDED` if never again."""
        try:
            if not self.line.poll(limit):
                return SILENT
            found: Any = self.line.recv()
        except (EOFError, OSError):
            return ENDED
        if isinstance(found, Failed):
            raise RuleBroken(found.text) if found.broken else ChildFailed(found.text)
        return found

    def rest(self, *, limit: float = LIMIT) -> list[Any]:
        """All that the child tells until its end, which is a good one."""
        told = list(iter(lambda: self._heard(limit), ENDED))
        self.wait(limit)
        equal(0, self._status, f"how the process ended ({self._how()})")
        return told

    def killed(self) -> list[Any]:
        """SIGKILL, and what the child had told and was not heard yet."""
        self.kill()
        return self.last_words()

    def last_words(self, *, limit: float = LIMIT) -> list[Any]:
        """All that a child tells that is killed, or kills itself."""
        told = list(iter(lambda: self._heard(limit), ENDED))
        self.wait(limit)
        equal(-signal.SIGKILL, self._status, f"how the process ended ({self._how()})")
        return told

    def _heard(self, limit: float) -> Any:
        found = self.listen(limit)
        if found is SILENT:
            raise RuleBroken(
                f"a process has not gone on for {limit:.0f} s: it hangs, or waits for a lock of nobody"
            )
        return found

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, limit: float = LIMIT) -> None:
        """Wait for the end of the process."""
        until = time.monotonic() + limit
        while not self._ended:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._ended, self._status = True, os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                raise RuleBroken(f"a process has not ended for {limit:.0f} s")
            else:
                time.sleep(0.001)

    def bury(self) -> None:
        """Make an end of it, however it is."""
        self.kill()
        self.wait()
        self.line.close()

    def _how(self) -> str:
        self.wait()
        return f"by signal {-self._status}" if self._status < 0 else f"with status {self._status}"


SILENT: Final = object()
ENDED: Final = object()


@contextmanager
def forked(bench: StoreBench, *steps: Step) -> Generator[list[Child], None, None]:
    """A process for each step. The bench's stores are closed before, the processes are killed after."""
    bench.close()
    children: list[Child] = []
    try:
        for step in steps:
            children.append(fork(step, children))
        yield children
    finally:
        for child in children:
            child.bury()


def fork(step: Step, siblings: list[Child] | None = None) -> Child:
    """A process that runs the step, with whatever the parent has; `bury` it in the end."""
    ours, theirs = Pipe()
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError, AttributeError):
            stream.flush()
    with warnings.catch_warnings():
        # Of a fork with threads: what other threads hold is no use to a step, and none of them is waited for.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        _run(step, theirs, [ours, *(child.line for child in siblings or [])])
    theirs.close()
    return Child(pid, ours)


def _run(step: Step, line: Connection, others: list[Connection]) -> NoReturn:
    """The child: nothing of the parent goes on in it, neither its exit handlers nor its finalizers."""
    status = 1
    try:
        gc.freeze()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_LIFE)
        for other in others:
            other.close()
        status = _tried(step, line)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _tried(step: Step, line: Connection) -> int:
    try:
        step(Parent(line))
    except RuleBroken as error:
        line.send(Failed(True, str(error)))
    except BaseException:  # noqa: BLE001  # the parent raises it
        line.send(Failed(False, f"in a process of its own:\n{traceback.format_exc()}"))
    else:
        return 0
    return 1
