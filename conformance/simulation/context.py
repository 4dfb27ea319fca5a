"""An open context of a device: a session, and the plan that it runs effect by effect."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from tidesync.conformance.simulation.calls import DENIED, REFUSED, UNKNOWN, Call, Key, Lost
from tidesync.conformance.simulation.story import changes_of, told
from tidesync.conformance.simulation.tapes import STEADY, Draw
from tidesync.conformance.simulation.watched import NOBODY, Handling, WatchedSession
from tidesync.contracts.transport import Conflicted
from tidesync.effects import (
    Ask,
    Effect,
    Emit,
    Exchange,
    Handle,
    OpenRemote,
    Plan,
    PullPage,
    PushChanges,
    Transact,
    Wait,
)
from tidesync.errors import (
    LeaseLost,
    NotReachable,
    PurgeBlocked,
    RemoteUnavailable,
    SyncBusy,
    TidesyncError,
    Unauthorized,
)
from tidesync.events import OperationPushed
from tidesync.lease import Holder
from tidesync.plans.pull import Pull, Push, pull
from tidesync.plans.purge import purge
from tidesync.plans.push import push
from tidesync.query import Query
from tidesync.records import alive
from tidesync.reports import PushFailed

if TYPE_CHECKING:
    from tidesync.conformance.simulation.device import Device

PATIENCE = 0.1
EXPECTED = (PushFailed, NotReachable, RemoteUnavailable, Unauthorized, SyncBusy, LeaseLost, PurgeBlocked)
"""How a push, pull or purge may end when the world is as bad as this one."""


class Context:
    """One open context: a session and the plan that it runs."""

    def __init__(self, device: Device, index: int) -> None:
        self.device, self.index, self.lives = device, index, 0
        self.world = device.world
        self.plan: Plan[Any] | None = None
        self.effect: Effect[Any] | None = None
        self.exchange: Generator[Call[Any], Any, Any] | None = None
        self.call: Call[Any] | None = None
        self.reply: tuple[object] | None = None
        self.title = ""
        self.refused: set[Key] = set()
        self.reopen()

    def reopen(self) -> None:
        """A new life: whatever was in memory is gone."""
        device, world = self.device, self.world
        self.plan = self.effect = self.exchange = self.call = self.reply = None
        self.refused = set()
        device.living.discard(self.name)
        self.lives += 1
        device.living.add(self.name)
        name, living = self.name, device.living
        self.session = WatchedSession(
            tables=world.tables, nonce=f"d{device.number}{name}", resolver=NOBODY, policy=world.policy_for(device),
            holder=lambda: Holder(name, world.profile.lease, PATIENCE, lambda other: other not in living),
            policies={}, to_record=world.to_record, fits=world.fits, page_size=world.profile.page,
        )  # fmt: skip
        self.session.edits = device.edits
        if world.profile.handlers:
            self.session.handler = Handling(self)

    @property
    def name(self) -> str:
        """This life's name."""
        return f"{'abc'[self.index]}{self.lives}"

    def say(self, text: str) -> None:
        """A line of the story."""
        if self.world.story is not None:
            mark = f"/{'abc'[self.index]}" if len(self.device.contexts) > 1 else ""
            self.world.say(f"device {self.device.number}{mark} {text}")

    def kill(self) -> None:
        """Gone, in the middle of whatever it did; and back."""
        if self.plan is not None:
            self.say(f"is killed in its {self.title}")
            self.plan.close()
        self.world.kills += 1
        self.world.died(self.device)
        self.reopen()

    # ---- plans

    def start(self, title: str, plan: Plan[Any]) -> None:
        """Begin a plan, up to its first effect."""
        self.plan, self.title = plan, title
        self.say(f"begins to {title}")
        self.resume(plan.send, None)

    def push(self, tables: Sequence[str] | None = None, *, retry_failed: bool = False) -> None:
        """Begin a push."""
        title = f"push{' of ' + tables[0] if tables else ''}{' again' if retry_failed else ''}"
        self.start(title, push(self.session, tables, retry_failed=retry_failed))

    def pull(self, table: str, *, push: Push = "none", named: bool = True, reconcile: bool = False) -> None:
        """Begin a pull."""
        condition = self.world.wish
        wanted = Pull(
            query=Query(table, condition),
            push=push,
            reconcile=reconcile,
            name="all" if named else None,
            departures="keep" if condition is None else "remove",
        )
        self.start(f"pull {table}", pull(self.session, wanted))

    def purge(self, table: str) -> None:
        """Begin a purge."""
        self.start(f"purge {table}", purge(self.session, Query(table)))

    def begin(self, draw: Draw) -> None:
        """Begin something."""
        profile = self.world.profile
        what = draw.below(100)
        table = self.world.any_table(draw)
        if what < profile.pushes:
            self.push(None if draw.below(4) else (table,), retry_failed=draw.below(4) == 0)
        elif profile.purges and what < profile.pushes + 10:
            self.purge(table)
        else:
            named = not profile.listings or draw.below(2) == 0
            reconcile = profile.reconciles and draw.below(2) == 0
            self.pull(
                table, push=draw.one(("none", "none", "context", "table")), named=named, reconcile=reconcile
            )

    def run(self) -> None:
        """Drive the plan to its end, with nothing in its way."""
        quiet = self.world.quiet
        for _ in range(600):
            if self.plan is None:
                return
            self.advance(quiet)
        self.world.problem(f"a {self.title.split()[0]} does not end")
        self.kill()

    # ---- effects

    def advance(self, draw: Draw) -> None:
        """Perform one effect, or half of an exchange."""
        if self.plan is None:
            self.begin(draw)
            if self.plan is None:
                return
        effect, plan = self.effect, self.plan
        if isinstance(effect, Transact):
            try:
                with self.device.store.transaction(write=True) as transaction:
                    answer = effect.step(transaction, self.world.now)
            except Exception as error:
                self.resume(plan.throw, error)
            else:
                self.device.committed()
                self.resume(plan.send, answer)
        elif isinstance(effect, Exchange):
            self.travel(draw)
        elif isinstance(effect, Ask):
            self.ask(effect)
        elif isinstance(effect, Handle):
            try:
                answer = effect.call(lambda exchange: self.at_once(exchange, draw))
            except Exception as error:
                self.resume(plan.throw, error)
            else:
                self.resume(plan.send, answer)
        elif isinstance(effect, Wait):
            self.world.now += effect.seconds
            self.resume(plan.send, None)
        else:
            raise TypeError(f"nobody performs {effect}")

    def resume(self, go_on: Callable[[Any], Effect[Any]], answer: Any) -> None:
        """On to the next effect that does something."""
        try:
            effect = go_on(answer)
            while isinstance(effect, Emit):
                assert self.plan is not None
                if self.refused:
                    self.check_refused(effect)
                effect = self.plan.send(None)
            self.effect = effect
        except StopIteration:
            self.end("ends")
        except EXPECTED as error:
            if isinstance(error, PushFailed):
                self.device.errors = list(error.errors)
            self.end(f"ends: {error}")
        except Exception as error:
            self.world.crash(error)
            self.end("crashes")

    def check_refused(self, effect: Emit) -> None:
        """What was refused at its first send cannot be our own earlier success."""
        pushed = {
            (event.table, event.record_id) for event in effect.events if isinstance(event, OperationPushed)
        }
        if pushed & self.refused:
            self.world.problem("refused, and counted as applied", f"{sorted(pushed & self.refused)}")
        self.refused = set()

    def end(self, how: str) -> None:
        """The plan is over."""
        self.say(f"{self.title} {how}")
        self.plan = self.effect = self.exchange = self.call = self.reply = None
        self.world.ended(self.device)

    def ask(self, effect: Ask) -> None:
        """A conflict: a record that only one device ever wrote has none."""
        conflict = effect.conflict
        self.world.conflicts += 1
        if not alive(conflict.base) and not alive(conflict.remote):
            self.world.problem("asked about nothing", f"{conflict.record_id} on device {self.device.number}")
        if self.world.single_writer(conflict.key):
            self.world.problem("false conflict", f"{conflict.record_id} on device {self.device.number}")
        assert self.plan is not None
        try:
            answer = effect.policy(conflict)
        except Exception as error:
            self.resume(self.plan.throw, error)
            return
        if self.world.story is not None:
            self.say(
                f"is in conflict over {conflict.record_id}: base {told(conflict.base)}, local {told(conflict.local)}, "
                f"remote {told(conflict.remote)} -> {type(answer).__name__}"
            )
        self.resume(self.plan.send, answer)

    def travel(self, draw: Draw) -> None:
        """A request arrives, or its reply does; or not."""
        world = self.world
        faults = world.faults and draw.below(100) >= world.profile.calm
        if self.call is None:
            self.set_out()
            if self.call is None:
                return
        call = self.call
        answer: object
        if self.reply is None:
            fate = draw.below(100) if faults else 100
            if fate < 6:
                answer = self.lost(REFUSED, "is refused")
            elif fate < 14:
                answer = self.lost(UNKNOWN, "is lost")
            elif fate < 18:
                answer = self.lost(UNKNOWN, "times out on its way")
                if call.writes:
                    world.late.append((self.device.number, call))
            elif fate < 19:
                answer = self.lost(DENIED, "is denied")
            elif fate < 19 + world.profile.doubles:
                # Whole both times: else the answer would say of what the other arrival did that it was not tried.
                answers = call.run(STEADY), call.run(STEADY)
                self.reply = (answers[world.hears_second],)
                if world.story is not None:
                    self.say(f"   {call.name} arrives twice; answers: {told(answers[0])}; {told(answers[1])}")
                return
            else:
                self.reply = (call.run(draw),)
                if world.story is not None:
                    self.say(f"   {call.name} arrives; answer: {told(self.reply[0])}")
                return
        else:
            answer, self.reply = self.reply[0], None
            if faults and draw.below(100) < 18:
                answer = self.lost(UNKNOWN, "has its reply lost")
        self.hear(answer)

    def lost(self, how: Lost, text: str) -> Lost:
        """A fault, and a line about it."""
        self.world.mishaps += 1
        if self.world.story is not None and self.call is not None:
            self.say(f"   {self.call.name} {text}")
        return how

    def at_once(self, exchange: Exchange[Any], draw: Draw) -> Any:
        """A whole exchange inside a handler, where nothing comes between."""
        world = self.world
        self.effect = exchange
        self.set_out()
        while self.call is not None and self.exchange is not None:
            call, fate = self.call, draw.below(100) if world.faults else 100
            answer = call.run(draw) if fate >= 12 else REFUSED if fate < 4 else UNKNOWN
            if fate in range(12, 22):
                answer = UNKNOWN
            if world.story is not None:
                self.say(f"   {call.name}: {told(answer)}")
            try:
                self.call = self.exchange.send(answer)
            except StopIteration as stop:
                self.exchange = self.call = None
                return stop.value
        raise AssertionError("an exchange has at least one request")

    def set_out(self) -> None:
        """The first request of an exchange."""
        link, effect = self.world.link_of(self.device), self.effect
        if isinstance(effect, PushChanges):
            if self.world.story is not None:
                self.say(f"sends {changes_of(effect.changes)}")
            self.world.carried(self.device, effect.changes)
            self.exchange = link.push(effect.changes)
        elif isinstance(effect, PullPage):
            self.exchange = link.pull(effect.request)
        elif isinstance(effect, OpenRemote):
            self.exchange = link.open()
        else:
            raise TypeError(f"nobody performs {effect}")
        self.hear(None)

    def hear(self, answer: object) -> None:
        """A reply, or what stands for it: on to the next request, or the exchange is over."""
        exchange, plan = self.exchange, self.plan
        assert exchange is not None
        assert plan is not None
        try:
            self.call = exchange.send(answer)
        except StopIteration as stop:
            self.exchange = self.call = None
            if self.world.story is not None:
                self.say(f"   hears {told(stop.value)}")
            if isinstance(self.effect, PushChanges):
                self.refused = {
                    (change.table, change.record_id)
                    for change, outcome in zip(self.effect.changes, stop.value, strict=True)
                    if change.attempts == 1
                    and change.record
                    and isinstance(outcome, Conflicted)
                    and alive(outcome.copy)
                }
            self.resume(plan.send, stop.value)
        except TidesyncError as error:
            self.exchange = self.call = None
            self.resume(plan.throw, error)
