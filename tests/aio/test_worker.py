"""The thread that does one thing after another, and turns on an event loop."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from tests.aio.support import looped, threads, until
from tidesync.aio.worker import Turn, Worker


@looped
async def test_turns_go_round() -> None:
    """First come, first served."""
    turn, order = Turn(), list[int]()

    async def use(number: int) -> None:
        await turn.take()
        order.append(number)
        await asyncio.sleep(0)
        turn.give_back()

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            _ = group.create_task(use(number))
    assert [0, 1, 2, 3, 4] == order


@looped
@pytest.mark.parametrize("first", ["cancel", "give back"])
async def test_a_waiter_that_is_cancelled_as_the_turn_comes(first: str) -> None:
    """In whichever order the two happen, it is cancelled, and the next in the line has the turn."""
    turn = Turn()
    await turn.take()
    waiting = [asyncio.create_task(turn.take()) for _ in range(3)]
    await asyncio.sleep(0)
    if first == "cancel":
        _ = waiting[0].cancel()
        turn.give_back()
    else:
        turn.give_back()
        _ = waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    await waiting[1]
    assert not waiting[2].done()
    turn.give_back()
    await waiting[2]
    turn.give_back()
    await turn.take()
    turn.give_back()


@looped
async def test_a_turn_given_back_to_waiters_that_are_all_gone() -> None:
    """Nobody has it then, and the next is served at once."""
    turn = Turn()
    await turn.take()
    waiting = [asyncio.create_task(turn.take()) for _ in range(3)]
    await asyncio.sleep(0)
    for each in waiting:
        _ = each.cancel()
    turn.give_back()
    _ = await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.wait_for(turn.take(), 1)


@looped
async def test_jobs_are_done_in_order_on_one_thread() -> None:
    """Whatever they return or raise."""
    worker = Worker("tidesync-test")
    names = [worker.submit(lambda: threading.current_thread().name) for _ in range(50)]
    failed = worker.submit(lambda: 1 // 0)
    assert {"tidesync-test"} == {await each for each in names}
    with pytest.raises(ZeroDivisionError):
        _ = await failed
    worker.end()


@looped
async def test_a_job_that_raises_what_ends_iterations() -> None:
    """`StopIteration` cannot be raised out of a future: its waiter is told all the same."""
    worker = Worker("tidesync-test")
    empty = iter(list[int]())
    with pytest.raises(RuntimeError, match="StopIteration"):
        _ = await asyncio.wait_for(worker.run(lambda: next(empty)), 5)
    worker.end()


@looped
async def test_a_callback_that_fails_leaves_nobody_waiting() -> None:
    """The caller has its result, and the loop is told of the failure."""
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context["exception"]))

    def told(_: int) -> None:
        raise ArithmeticError("mine")

    worker = Worker("tidesync-test")
    assert 5 == await asyncio.wait_for(worker.submit(lambda: 5, told), 5)
    assert ["mine"] == [str(each) for each in seen]
    worker.end()


@looped
async def test_what_has_not_begun_is_not_done_for_a_cancelled_caller() -> None:
    """What has begun goes on to its end, and `then` is told of it."""
    worker, begun, go_on = Worker("tidesync-test"), threading.Event(), threading.Event()
    done: list[str] = []

    def slow() -> str:
        begun.set()
        _ = go_on.wait(10)
        done.append("slow")
        return "slow"

    told: list[str] = []
    first = worker.submit(slow, told.append)
    second = asyncio.create_task(worker.run(lambda: done.append("second")))
    await until(begun)
    _ = first.cancel(), second.cancel()
    _ = await asyncio.gather(first, second, return_exceptions=True)
    go_on.set()
    await worker.run(lambda: done.append("third"))
    assert (["slow", "third"], ["slow"]) == (done, told)
    worker.end()


@looped
async def test_a_thread_ends_and_begins_anew() -> None:
    """After its end a worker does what it is still given, in order, and keeps no thread for it."""
    worker, order = Worker("tidesync-test"), list[int]()
    slow = worker.submit(lambda: (time.sleep(0.05), order.append(1)))
    worker.end()
    late = worker.submit(lambda: order.append(2))
    _ = await asyncio.gather(slow, late)
    assert ([1, 2], []) == (order, threads())
    await worker.run(lambda: order.append(3))
    assert ([1, 2, 3], []) == (order, threads())


@looped
async def test_a_worker_that_is_forgotten_ends() -> None:
    """No thread stays behind it."""
    await Worker("tidesync-test").run(lambda: None)
    assert [] == threads()


def test_a_loop_that_ends_leaves_the_thread_be() -> None:
    """What it finishes after that is told to nobody, and the next loop is served."""
    worker, go_on = Worker("tidesync-test"), threading.Event()

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            _ = await asyncio.wait_for(worker.run(lambda: go_on.wait(10)), 0.01)

    asyncio.run(leave())
    go_on.set()
    assert 7 == asyncio.run(worker.run(lambda: 7))
    worker.end()
    assert [] == threads()


def test_a_thread_that_hangs_keeps_no_program_from_ending() -> None:
    """The interpreter ends though a job never does."""
    program = """
import asyncio, threading
from tidesync.aio.worker import Worker
async def main():
    try:
        await asyncio.wait_for(Worker("w").run(threading.Event().wait), 0.01)
    except TimeoutError:
        print("left")
asyncio.run(main())
"""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "left\n", "") == (ended.returncode, ended.stdout, ended.stderr)
