"""The place that performs effects: a plan asks, the driver does, and sends the answer back.

Only an `Exception` is thrown into a plan. On anything else (KeyboardInterrupt, say) the plan is closed: what was
marked stays marked, and the next push sends it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from tidesync.contracts.store import Store
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
