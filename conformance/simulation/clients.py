"""Anybody's remote in a world: clients that send, one that looks, and what the looks say of the answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from tidesync.conformance.simulation.calls import Call, Key, Lost, Sending, Watch, in_doubt
from tidesync.conformance.simulation.embedded import EmbeddedLink
from tidesync.conformance.simulation.tapes import Draw
from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    NotSent,
    Outcome,
    Page,
    PullRequest,
    Rejected,
    Transport,
    TransportCapabilities,
    Undeleted,
    Untried,
)
from tidesync.effects import GetRecord, OpenRemote, PullPage, PushChanges
from tidesync.errors import TidesyncError
from tidesync.query import Query
from tidesync.records import Copy, Json, Record, alive, same
from tidesync.rules.merge import echoes
from tidesync.schema import TableSchema

PAGES = 10_000
"""Pages after which a listing counts as endless."""


SIMULATED: Final = "simulated"
"""The code of a refusal that the network made up."""


class Jury(Watch, Protocol):
    """Who hears what is wrong with a remote, and says whether faults are on."""

    faults: bool

    def problem(self, kind: str, detail: str = "") -> None:
        """Something that must not be."""
        ...


class Observed:
    """A remote, looked at through a client of its own, which nothing disturbs."""

    def __init__(
        self, client: Callable[[], Transport], tables: Mapping[str, TableSchema], computed: Collection[str]
    ) -> None:
        self.tables, self.computed = tables, computed
        self.transport = client()
        self.capabilities: TransportCapabilities = OpenRemote(tuple(tables.values())).perform(self.transport)
        self.seen: set[Key] = set()
        self.ages: dict[tuple[Key, Json], int] = {}

    def get(self, change: Change) -> Copy:
        """What it holds under the change's id."""
        copy = GetRecord(change.table, change.record_id).perform(self.transport)
        if alive(copy):
            key = change.table, change.record_id
            self.seen.add(key)
            # Looked at before and after each push: in the order in which they came about.
            _ = self.ages.setdefault((key, copy.get("version")), len(self.ages) + 1)
        return copy

    def age(self, key: Key, version: Json) -> int:
        """A later version of a record has a larger one; 0 for a version that was not seen at the remote."""
        return self.ages.get((key, version), 0)

    def alive(self) -> dict[Key, Record]:
        """All records that it holds."""
        found = {(table, str(row["id"])): row for table in self.tables for row in self.listed(table)}
        self.seen.update(found)
        return found

    def listed(self, table: str) -> list[Record]:
        """All records of a table."""
        rows: list[Record] = []
        request = PullRequest(query=Query(table), deleted=False, incremental=False)
        for _ in range(PAGES):
            page = PullPage(request).perform(self.transport)
            rows += page.records
            if not page.more:
                return rows
            request = PullRequest(query=Query(table), cursor=page.cursor, deleted=False, incremental=False)
        raise RuntimeError(f"the remote's listing of {table} does not end")

    def known(self) -> set[Key]:
        """What it holds, or was once seen to hold."""
        return set(self.seen)

    def plant(self, change: Change, draw: Draw) -> None:
        """A record is there before anything begins."""
        del draw
        _ = PushChanges([change]).perform(self.transport)

    def tick(self) -> None:
        """Its time is its own."""


class Client:
    """The client of one device; around each push the observer looks at what it changed."""

    def __init__(self, transport: Transport, observed: Observed, jury: Jury) -> None:
        self.transport, self.observed, self.jury = transport, observed, jury
        self.effective: set[str] = set()

    def capabilities(self) -> TransportCapabilities:
        """Who it is."""
        return OpenRemote(tuple(self.observed.tables.values())).perform(self.transport)

    def pull(self, request: PullRequest) -> Page:
        """Pull."""
        return PullPage(request).perform(self.transport)

    def take(self, changes: Sequence[Change]) -> list[Outcome]:
        """Push, and compare what is said of each change with what became of it."""
        before = [self.observed.get(change) for change in changes]
        outcomes = list(PushChanges(changes).perform(self.transport))
        for change, old, outcome in zip(changes, before, outcomes, strict=True):
            self.look(change, old, self.observed.get(change), outcome)
        return outcomes

    def look(self, change: Change, old: Copy, new: Copy, outcome: Outcome) -> None:
        """What is said of the change is what happened."""
        shown = f"{change.id} {change.kind} {change.record_id}: {type(outcome).__name__}"
        if not _same(old, new):
            if isinstance(outcome, Conflicted | Rejected | NotSent | Untried):
                self.jury.problem("refused, and in effect", shown)
            if not isinstance(outcome, Undeleted):
                self.effective.add(change.id)
                self.jury.took(change)
        elif (
            isinstance(outcome, Applied) and change.id not in self.effective and not self.stands(change, new)
        ):
            self.jury.problem("acknowledged, and not in effect", shown)

    def stands(self, change: Change, copy: Copy) -> bool:
        """Whether the remote holds what was sent."""
        if not alive(copy):
            return change.kind == "delete"
        fields = tuple(
            field for field in change.fields if f"{change.table}.{field}" not in self.observed.computed
        )
        return change.record is not None and echoes(change.record, fields, copy)


def _same(old: Copy, new: Copy) -> bool:
    return same(old, new) if alive(old) and alive(new) else alive(old) == alive(new)


class ClientLink(EmbeddedLink):
    """The network between a device and anybody's remote; now and then it refuses a change for no reason."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.jury = client.jury
        self.refused: set[str] = set()
        self.passed: set[str] = set()

    def push(self, changes: Sequence[Change]) -> Sending[list[Outcome]]:
        """One request for all; what the transport raises, it raises."""
        reply = yield from Call("push", lambda draw: self.answered(changes, draw), writes=True)
        if isinstance(reply, TidesyncError):
            raise reply
        return [in_doubt(reply)] * len(changes) if isinstance(reply, Lost) else reply

    def answered(self, changes: Sequence[Change], draw: Draw) -> list[Outcome] | Lost | TidesyncError:
        """What arrives, with what is refused on the way; a change that was refused once always is."""
        if self.jury.faults and draw.below(100) < 5:
            chosen = changes[draw.below(len(changes))]
            if chosen.id not in self.passed:  # else it may be in effect, and a refusal would be a lie
                self.refused.add(chosen.id)
        passed = [change for change in changes if change.id not in self.refused]
        self.passed.update(change.id for change in passed)
        try:
            reply = self.arrive(passed, draw) if passed else []
        except TidesyncError as error:
            return error
        if isinstance(reply, Lost):
            return reply
        outcomes = iter(reply)
        return [
            Rejected(SIMULATED, "refused by the simulation") if change.id in self.refused else next(outcomes)
            for change in changes
        ]
