"""What a rule for transports works with: clients of one remote, the words of a push and a pull, faults of the wire."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Protocol, cast

import attrs
from hypothesis import errors, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tidesync.conformance.domain import Domain
from tidesync.conformance.expect import RuleBroken, fail
from tidesync.conformance.profiles import Profile
from tidesync.conformance.program import Program
from tidesync.conformance.transport.shapes import Shaped
from tidesync.conformance.transport.tables import KNOWN, TABLES, THING
from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    ChangeKind,
    CursorGuarantee,
    Expected,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
    Version,
)
from tidesync.errors import ConfigurationError
from tidesync.query import Query
from tidesync.records import Json, Record, Tombstone

_PAGES = 500
_numbers = itertools.count(1)


class Wire(Protocol):
    """Makes the wire of the first client go wrong: each call says what becomes of its requests from now on.

    It lasts until `heal`, or until another call. A client that sends reads again by itself is best made without
    that, and with short timeouts: the rules wait for it.
    """

    def refuse(self) -> None:
        """Connections are refused: nothing arrives."""
        ...

    def lose_request(self) -> None:
        """A request is lost on its way, and nothing comes back: without effect."""
        ...

    def lose_reply(self) -> None:
        """A request has its effect, and its reply is lost."""
        ...

    def truncate_reply(self) -> None:
        """A request has its effect, and its reply ends in the middle."""
        ...

    def garble_reply(self) -> None:
        """A request has its effect, and its reply is unreadable."""
        ...

    def fail(self) -> None:
        """The remote answers that it failed inside (HTTP: 500), without effect."""
        ...

    def deny(self) -> None:
        """The credentials are refused."""
        ...

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        ...


def offered_by(declared: TransportCapabilities, *, wire: bool) -> frozenset[str]:
    """The names by which rules require what a transport declares."""
    found = {
        "batch": declared.max_changes > 1,
        "ordered": declared.ordered,
        "commits": declared.cursor is CursorGuarantee.COMMIT_ORDERED,
        "total": declared.total,
        "filters": declared.filters,
        "tombstones": bool(declared.tombstones),
        "departures": bool(declared.departures),
        "remembers": declared.remembers is None or declared.remembers > 0,
        "incremental": declared.cursor > CursorGuarantee.FULL_SCAN,
        "ties": declared.cursor >= CursorGuarantee.KEYSET,
        "horizon": declared.cursor >= CursorGuarantee.HORIZON,
        "overlap": overlap_of(declared) > 0,
        "size_limit": declared.max_bytes is not None,
        "wire": wire,
    }
    return frozenset(name for name, has in found.items() if has)


def overlap_of(declared: TransportCapabilities) -> float:
    """Seconds that a pull must rewind by so that nothing is missed, as declared."""
    weak = CursorGuarantee.FULL_SCAN < declared.cursor < CursorGuarantee.HORIZON
    return declared.overlap if weak else 0.0


@attrs.frozen(kw_only=True)
class Drained:
    """All pages of a pull, in one: the last copy of each id, and the cursor after the last page."""

    records: dict[str, Record]
    tombstones: dict[str, Tombstone]
    departed: tuple[str, ...]
    cursor: Json
    pages: tuple[Page, ...]


class TransportBench:
    """The clients of one remote that was empty, for one rule."""

    def __init__(
        self,
        clients: Sequence[Transport],
        *,
        profile: Profile,
        capabilities: TransportCapabilities | None = None,
        domain: Domain | None = None,
        wire: Wire | None = None,
        made_by: object = None,
    ) -> None:
        if len(clients) < 2:
            raise ConfigurationError(
                f"give two or more clients of one remote, to see what one tells the other; not {len(clients)}"
            )
        self.program = Program(made_by, clients=True, known=KNOWN)
        self.clients: tuple[Transport, ...] = tuple(
            Shaped(self.program.client(client, number)) for number, client in enumerate(clients)
        )
        self.profile = profile
        self.capabilities = capabilities or TransportCapabilities(identity="")
        self.domain = domain or Domain()
        self._wire = wire
        self._contents: dict[tuple[str, str], Record] = {}

    def __enter__(self) -> TransportBench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.program.attach(error)
        if self._wire is not None:
            self._wire.heal()
        for client in self.clients:
            # How a client closes is a rule of its own.
            with suppress(Exception):
                client.close()

    @property
    def wire(self) -> Wire:
        """What makes the first client's wire fail; rules that use it require `wire`."""
        if self._wire is None:
            raise ConfigurationError("no wire was given: the rule must require it")
        return self._wire

    def open(self, number: int = 0) -> Transport:
        """One of the clients, open."""
        client = self.clients[number]
        _ = client.open(list(TABLES))
        return client

    def pair(self) -> tuple[Transport, Transport]:
        """Two clients, open."""
        return self.open(0), self.open(1)

    def id(self, stem: str = "x") -> str:
        """An id that no other call gave."""
        return f"{stem}-{next(_numbers)}"

    def change(  # a change has these parts
        self,
        kind: ChangeKind,
        id: str,
        content: Record | None = None,
        expected: Expected | None = None,
        *,
        fields: Sequence[str] | None = None,
        table: str = THING.name,
        operation: str | None = None,
        attempts: int = 1,
    ) -> Change:
        """A change, under an operation id of its own unless one is given; an insert expects nothing to be there."""
        record = None if kind in ("delete", "undelete") else {"id": id, **(content or {})}
        named = () if record is None else tuple(field for field in record if field != "id")
        return Change(
            id=operation or f"operation-{next(_numbers)}",
            table=table,
            record_id=id,
            kind=kind,
            record=record,
            fields=named if fields is None else tuple(fields),
            expected=expected or (Absent() if kind == "insert" else Anything()),
            attempts=attempts,
        )

    def send(self, client: Transport, change: Change) -> Outcome:
        """Push one change."""
        (outcome,) = client.push([change])
        return outcome

    def applied(self, client: Transport, change: Change) -> str:
        """Push one change that must be applied; its version."""
        outcome = self.send(client, change)
        if not isinstance(outcome, Applied):
            fail(f"{change.kind} of {change.record_id!a} should be Applied, and is {outcome!a:.300}")
        if change.record is not None and change.fields:
            content = {name: value for name, value in change.record.items() if name != "id"}
            self._contents[change.table, change.record_id] = content
        copy = outcome.copy
        told = copy.get("version") if isinstance(copy, dict) else copy.version if copy else None
        version = outcome.version or told
        return version if isinstance(version, str) else ""

    def insert(self, client: Transport, id: str, /, *, table: str = THING.name, **content: Json) -> str:
        """Insert a record; its version."""
        return self.applied(client, self.change("insert", id, content, table=table))

    def update(
        self, client: Transport, id: str, version: str, /, *, table: str = THING.name, **content: Json
    ) -> str:
        """Update fields of a record that must have this version; its new version.

        The change carries the whole record, as far as this bench wrote it.
        """
        whole = {**self._contents.get((table, id), {}), **content}
        change = self.change("update", id, whole, Version(version), fields=tuple(content), table=table)
        return self.applied(client, change)

    def delete(self, client: Transport, id: str, version: str, /, *, table: str = THING.name) -> None:
        """Delete a record that must have this version."""
        _ = self.applied(client, self.change("delete", id, None, Version(version), table=table))

    def drain(
        self, client: Transport, query: Query | None = None, cursor: Json = None, **request: Any
    ) -> Drained:
        """Pull page after page to the end. Overlap is asked for in the first request only."""
        records: dict[str, Record] = {}
        tombstones: dict[str, Tombstone] = {}
        departed: list[str] = []
        pages: list[Page] = []
        wanted = PullRequest(query=query or Query(THING.name), cursor=cursor, **request)
        while True:
            page = client.pull(wanted)
            pages.append(page)
            for record in page.records:
                id = str(record["id"])
                records[id] = record
                _ = tombstones.pop(id, None)
            for id, tombstone in page.tombstones.items():
                tombstones[id] = tombstone
                _ = records.pop(id, None)
            departed += page.departed
            if not page.more:
                return Drained(
                    records=records,
                    tombstones=tombstones,
                    departed=tuple(departed),
                    cursor=page.cursor,
                    pages=tuple(pages),
                )
            wanted = attrs.evolve(wanted, cursor=page.cursor, overlap=0.0)
            if len(pages) == _PAGES:
                fail(f"a pull of {wanted.query.table} does not end: {_PAGES} pages said that there are more")

    def each(
        self,
        check: Callable[..., None],
        /,
        *,
        examples: int | None = None,
        **strategies: st.SearchStrategy[Any],
    ) -> None:
        """Call `check` with examples of the strategies: a property. They share the remote: use new ids in each."""

        def tried(**values: Any) -> None:
            self.program.mark()
            check(**values)

        tried.__name__ = tried.__qualname__ = check.__name__
        with _found():
            given(**strategies)(self.profile.settings(examples)(tried))()

    def machine(self, made: type[RuleBasedStateMachine] | Callable[[], RuleBasedStateMachine]) -> None:
        """Run a state machine in as many steps as the profile says."""
        with _found():
            run_state_machine_as_test(
                cast("type[RuleBasedStateMachine]", made),
                settings=self.profile.settings(self.profile.machines),
            )


@contextmanager
def _found() -> Generator[None, None, None]:
    """A rule that was seen broken is broken, also where the next try, on what the last one left, did not show it."""
    try:
        yield
    except errors.FlakyFailure as flaky:
        seen = [each for each in flaky.exceptions if isinstance(each, RuleBroken)]
        if not seen:
            raise
        raise seen[0] from flaky
