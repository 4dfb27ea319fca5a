"""Group commit: writes that wait at the same time share one transaction, and so one flush to the disk."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

import attrs

from tidesync.contracts.transport import Outcome
from tidesync.errors import StoreBusy, StoreClosed
from tidesync.transports.commits import Write
from tidesync.transports.service.problems import Problem

TOGETHER: Final = 1000
"""Writes in one transaction, where its first caller does not bring more."""
WAITING: Final = 10_000
"""Writes that wait for the next transaction; more are refused, whatever the number of callers."""

Commit: TypeAlias = Callable[[Sequence[Write]], list[Outcome]]
"""Decides writes in one transaction; what is applied is durable when it returns."""


@attrs.frozen(eq=False)
class _Job:
    """What one caller wants written, and where the answer is awaited."""

    writes: Sequence[Write]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[list[Outcome]]


@attrs.frozen
class _Settled:
    """How a job ended."""

    job: _Job
    outcomes: list[Outcome] | Exception


class Writer:
    """Commits what callers on any event loop ask for: in order of arrival, on one thread.

    While one transaction runs, the callers that come wait, and the next transaction takes all of them. A
    caller's writes are never parted. If a transaction fails, nothing of it was kept: its callers are parted into
    halves, in order, until the failure is that of one caller alone. So `commit` may be asked again for the same
    writes, after it failed.
    """

    def __init__(self, commit: Commit, *, together: int = TOGETHER, waiting: int = WAITING) -> None:
        self._commit, self._together, self._most = commit, together, waiting
        self._mutex = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._size = 0
        self._working = self._closed = False
        # Its thread comes with the first write, and ends with the interpreter, not before its work is done.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tidesync-writer")

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """One outcome for each write, in order; what is applied is durable when this returns.

        What was accepted is written also where its caller is cancelled. Raises what the transaction raised;
        `Problem` 503 where too many wait, or the writer was closed, and then nothing was written.
        """
        loop = asyncio.get_running_loop()
        job = _Job(writes, loop, loop.create_future())
        with self._mutex:
            if self._closed:
                raise Problem(503, "closing", "the service stops: try again", headers={"Retry-After": "5"})
            if self._jobs and self._size + len(writes) > self._most:
                detail = "too many writes wait for the store: try again"
                raise Problem(503, "busy", detail, headers={"Retry-After": "1"})
            self._jobs.append(job)
            self._size += len(writes)
            if not self._working:
                self._working = True
                _ = self._thread.submit(self._work)
        return await job.answer

    def close(self) -> None:
        """Accept no more, and wait until what was accepted is written; idempotent."""
        with self._mutex:
            self._closed = True
        self._thread.shutdown(wait=True)

    def _work(self) -> None:
        while jobs := self._next():
            self._settle(jobs)

    def _next(self) -> list[_Job]:
        """The callers of the next transaction, the longest waiting first; none ends the work."""
        with self._mutex:
            jobs: list[_Job] = []
            size = 0
            while self._jobs and (not jobs or size + len(self._jobs[0].writes) <= self._together):
                jobs.append(self._jobs.popleft())
                size += len(jobs[-1].writes)
            self._size -= size
            self._working = bool(jobs)
            return jobs

    def _settle(self, jobs: Sequence[_Job]) -> None:
        try:
            outcomes = self._commit([write for job in jobs for write in job.writes])
        except (StoreBusy, StoreClosed) as error:  # that is no caller's fault, and waiting again helps nobody
            _tell([_Settled(job, error) for job in jobs])
        except BaseException as error:  # noqa: BLE001  # each caller gets its own, whatever user code raised
            if len(jobs) == 1:
                _tell([_Settled(jobs[0], _raisable(error))])
                return
            half = len(jobs) // 2
            self._settle(jobs[:half])
            self._settle(jobs[half:])
        else:
            at, settled = 0, list[_Settled]()
            for job in jobs:
                settled.append(_Settled(job, outcomes[at : at + len(job.writes)]))
                at += len(job.writes)
            _tell(settled)


def _raisable(error: BaseException) -> Exception:
    """The error, or one for it where an event loop would not pass it on, or would end."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = RuntimeError(f"a commit ended with {type(error).__name__}")
    failure.__cause__ = error
    return failure


def _tell(settled: Sequence[_Settled]) -> None:
    """Wake the callers: each event loop once, however many wait there."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Settled]] = {}
    for each in settled:
        by_loop.setdefault(each.job.loop, []).append(each)
    for loop, those in by_loop.items():
        try:
            _ = loop.call_soon_threadsafe(_answer, those)
        except RuntimeError:  # the loop was closed: nobody waits any more
            continue


def _answer(settled: Sequence[_Settled]) -> None:
    for each in settled:
        if each.job.answer.done():  # its caller was cancelled
            continue
        if isinstance(each.outcomes, Exception):
            each.job.answer.set_exception(each.outcomes)
        else:
            each.job.answer.set_result(each.outcomes)
