"""The place that performs effects: a plan asks, a driver does, and sends the answer back.

`run` does it on this thread, `arun` on an event loop. Only an `Exception` is thrown into a plan. On anything else
(KeyboardInterrupt, or the cancellation of a task) the plan is closed: what was marked stays marked, and the next push
sends it again.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

import attrs

from tidesync.contracts.store import Store, StoreTransaction
from tidesync.contracts.transport import Transport
from tidesync.effects import Ask, Effect, Emit, Exchange, Handle, Plan, Transact, Wait
from tidesync.events import Event

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Ports:
    """The world as a driver reaches it. `clock` gives seconds since 1970, `sleep` takes seconds."""

    store: Store
    transport: Callable[[], Transport]
    emit: Callable[[Event], None]
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def run(plan: Plan[T], ports: Ports) -> T:
    """Drive a plan to its end on this thread, and return its result."""
    try:
        effect = next(plan)
        while True:
            try:
                answer = perform(effect, ports)
            except Exception as error:  # noqa: BLE001  # the plan decides what becomes of it
                effect = plan.throw(error)
            else:
                effect = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        plan.close()


def perform(effect: Effect[Any], ports: Ports) -> Any:
    """Do what one effect asks for, and return the answer."""
    match effect:
        case Transact(step=step):
            with ports.store.transaction(write=True) as transaction:
                return step(transaction, ports.clock())
        case Exchange():
            return effect.perform(ports.transport())
        case Emit(events=events):
            for event in events:
                ports.emit(event)
            return None
        case Ask(policy=policy, conflict=conflict):
            return policy(conflict)
        case Handle(call=call):
            return call(lambda exchange: exchange.perform(ports.transport()))
        case Wait(seconds=seconds):
            return ports.sleep(seconds)
        case _:
            raise TypeError(f"{type(effect).__name__} is not an effect that this driver knows")


class AsyncPorts(Protocol):
    """The world as an event loop reaches it: what takes time is awaited."""

    async def transact(self, step: Callable[[StoreTransaction, float], T], late: Callable[[T], None], /) -> T:
        """Run the step inside one write transaction; its time is in seconds since 1970.

        If it commits though the caller was cancelled meanwhile, `late` is given what it returned, on the loop.
        """
        ...

    async def exchange(self, exchange: Exchange[T]) -> T:
        """Make one exchange with the remote, and look at its answer."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        ...

    def emit(self, event: Event, /) -> None:
        """Tell the subscribers."""
        ...


async def arun(plan: Plan[T], ports: AsyncPorts) -> T:
    """Drive a plan to its end on the running event loop, and return its result.

    It can be cancelled wherever it awaits, which is at every effect but `Emit`; the store is then left as a crash
    at that moment would leave it. What a transaction commits that was under way is told all the same.
    """
    effect: Effect[Any] | None = None

    def late(answer: object) -> None:
        _tell(plan, answer, ports)

    try:
        effect = next(plan)
        while True:
            try:
                answer = await aperform(effect, ports, late)
            except Exception as error:  # noqa: BLE001  # the plan decides what becomes of it
                effect = plan.throw(error)
            else:
                effect = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        if not isinstance(effect, Transact):  # else its answer may be yet to come
            plan.close()


def _tell(plan: Plan[Any], answer: object, ports: AsyncPorts) -> None:
    """Nobody waits for this plan any more: of what follows from a last answer the events are told, and no more."""
    try:
        effect = plan.send(answer)
        while isinstance(effect, Emit):
            for event in effect.events:
                ports.emit(event)
            effect = plan.send(None)
    except StopIteration:
        return
    except Exception:  # noqa: BLE001  # its caller has gone
        return
    finally:
        plan.close()


async def aperform(effect: Effect[Any], ports: AsyncPorts, late: Callable[[Any], None]) -> Any:
    """Do what one effect asks for, and return the answer. Policies and handlers may be coroutine functions."""
    match effect:
        case Transact(step=step):
            return await ports.transact(step, late)
        case Exchange():
            return await ports.exchange(effect)
        case Emit(events=events):
            for event in events:
                ports.emit(event)
            return None
        case Ask(policy=policy, conflict=conflict):
            return await _now(policy(conflict))
        case Handle(call=call):
            return await _now(call(ports.exchange))
        case Wait(seconds=seconds):
            return await ports.sleep(seconds)
        case _:
            raise TypeError(f"{type(effect).__name__} is not an effect that this driver knows")


async def _now(answer: object) -> object:
    return await cast("Awaitable[object]", answer) if inspect.isawaitable(answer) else answer
