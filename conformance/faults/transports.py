"""A transport whose wire loses, repeats, delays, reorders and truncates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from tidesync.conformance.faults.plan import Calls, Fault, Faults
from tidesync.contracts.transport import (
    Change,
    Denied,
    NotSent,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
    Unknown,
    Untried,
)
from tidesync.errors import NotReachable, ProtocolError, RemoteUnavailable, Unauthorized
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema

T = TypeVar("T")

TransportFault: TypeAlias = Literal[
    "refuse", "lose", "lose reply", "repeat", "delay", "reorder", "truncate", "deny"
]
"""What happens to one call.

* "refuse": nothing is sent. A push is `NotSent`, all else `NotReachable`.
* "lose": the request is lost. A push is `Unknown`, all else `RemoteUnavailable`.
* "lose reply": a push has its effect, and is `Unknown`.
* "repeat": a push arrives twice; the second answer is heard.
* "delay": a push is `Unknown` now, and arrives before the next call but one.
* "reorder": a push is `Unknown` now, and arrives after the next push.
* "truncate": the exchange breaks off. Half of a push is heard, the next change has its effect and is `Unknown`, the
  rest is `Untried`, since it was not sent; all else is `ProtocolError`.
* "deny": a push is `Denied`, all else `Unauthorized`; without effect.
"""
FAULTS: tuple[TransportFault, ...] = (
    "refuse", "lose", "lose reply", "repeat", "delay", "reorder", "truncate", "deny",
)  # fmt: skip


class FaultyTransport:
    """A `Transport` around another one, over a wire that fails where the plan says.

    Calls are counted from 1: open, push, pull and get. What it answers is what the contract allows, so whoever is right
    stays right behind it. `heal` ends all faults; what is still on its way arrives then. `log` tells what failed.
    """

    def __init__(self, transport: Transport, faults: Faults[TransportFault] | None = None) -> None:
        self.transport = transport
        self._calls: Calls[TransportFault] = Calls(faults)
        self._late: list[tuple[int, Sequence[Change]]] = []
        self._behind: list[Sequence[Change]] = []

    def __repr__(self) -> str:
        return f"FaultyTransport({self.transport!r})"

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return self._calls.count

    @property
    def log(self) -> Sequence[Fault]:
        """What failed, in order."""
        return tuple(self._calls.log)

    def heal(self) -> None:
        """Nothing fails from now on; what was delayed arrives."""
        self._calls.faults = None
        late = [changes for _, changes in self._late] + self._behind
        self._late, self._behind = [], []
        for changes in late:
            _ = self.transport.push(changes)

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        """As the transport inside, unless the wire fails."""
        return self._read("open", lambda: self.transport.open(tables))

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        """As the transport inside, unless the wire fails."""
        kind = self._calls.next("push")
        self._arrive_late()
        found = self._pushed(kind, changes)
        if kind != "reorder":
            behind, self._behind = self._behind, []
            for held in behind:
                _ = self.transport.push(held)
        return found

    def _pushed(self, kind: TransportFault | None, changes: Sequence[Change]) -> Sequence[Outcome]:
        lost: list[Outcome] = [Unknown("the wire fails on purpose") for _ in changes]
        match kind:
            case None:
                return self.transport.push(changes)
            case "refuse":
                return [NotSent("the wire fails on purpose") for _ in changes]
            case "deny":
                return [Denied("the wire fails on purpose") for _ in changes]
            case "lose":
                return lost
            case "lose reply":
                _ = self.transport.push(changes)
                return lost
            case "repeat":
                _ = self.transport.push(changes)
                return self.transport.push(changes)
            case "delay":
                self._late.append((self.calls + 2, list(changes)))
                return lost
            case "reorder":
                self._behind.append(list(changes))
                return lost
            case "truncate":
                half = len(changes) // 2
                heard = self.transport.push(changes[: half + 1])[:half]
                rest: list[Outcome] = [Untried() for _ in changes[half + 1 :]]
                return [*heard, *lost[:1], *rest] if changes else []

    def pull(self, request: PullRequest, /) -> Page:
        """As the transport inside, unless the wire fails."""
        return self._read("pull", lambda: self.transport.pull(request))

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        """As the transport inside, unless the wire fails."""
        return self._read("get", lambda: self.transport.get(table, id))

    def close(self) -> None:
        """Close the transport inside."""
        self.transport.close()

    def _arrive_late(self) -> None:
        due = [changes for call, changes in self._late if call <= self.calls]
        self._late = [(call, changes) for call, changes in self._late if call > self.calls]
        for changes in due:
            _ = self.transport.push(changes)

    def _read(self, method: str, call: Callable[[], T]) -> T:
        kind: Any = self._calls.next(method)
        self._arrive_late()
        text = f"call {self.calls}, {method}, fails on purpose"
        match kind:
            case "refuse":
                raise NotReachable(text)
            case "lose" | "lose reply":
                raise RemoteUnavailable(text)
            case "truncate":
                _ = call()
                raise ProtocolError(text)
            case "deny":
                raise Unauthorized(text)
            case _:  # to read twice, late or in another order is to read
                return call()
