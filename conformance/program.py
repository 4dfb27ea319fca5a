"""The calls that a rule made, as a short program that makes them again.

Stores and clients are handed to rules behind a thin layer that writes down what is called and what came of it. Nothing
is turned into text before a rule fails.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, cast

import attrs

from tidesync.conformance.expect import fail
from tidesync.conformance.loading import name_of
from tidesync.conformance.source import Imports
from tidesync.conformance.statements import Event, Statements
from tidesync.contracts.store import Store, StoreCapabilities, StoreTransaction
from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
    Undeleted,
)
from tidesync.query import Query
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema

_EVENTS: Final = 5_000
_SEEN: Final = 20
_CONSTANT: Final = frozenset({str, int, float, bool, type(None)})


class Program:
    """What was done to stores or clients, as Python that can be run.

    `make` is what made them; `known` are constants that it may import: value, module, name.
    """

    def __init__(
        self, make: object, *, clients: bool = False, known: Sequence[tuple[object, str, str]] = ()
    ) -> None:
        self._make, self._clients, self._known = make, clients, known
        self._events: list[Event] = []
        self._begun: int | None = None
        self._stores = self._transactions = 0
        self._attached = False
        self._moments = itertools.count()

    def mark(self) -> None:
        """Forget what was done since the first mark: another example of a property begins."""
        if self._begun is None:
            self._begun = len(self._events)
        del self._events[self._begun :]

    def noted(self, event: Event, call: Callable[[], Any]) -> Any:
        """What the call gives, written down."""
        if len(self._events) >= _EVENTS:
            return call()
        event.given = _as_it_is(event.given)
        event.begun = next(self._moments)
        self._events.append(event)
        try:
            answer = call()
        except BaseException as error:
            event.error = error
            raise
        finally:
            event.over = next(self._moments)
        event.answer = answer if isinstance(answer, _NotedRows) else _as_it_is(answer)
        return answer

    def failed(self, event: Event, error: BaseException) -> None:
        """Write down a call that raised."""
        if len(self._events) < _EVENTS:
            event.error = error
            event.begun, event.over = next(self._moments), next(self._moments)
            self._events.append(event)

    def store(self, store: Store) -> Store:
        """The store, with its calls written down."""
        self._stores += 1
        name = f"store{self._stores if self._stores > 1 else ''}"
        _ = self.noted(Event("", "make_store", named=name), lambda: store)
        return NotedStore(store, name, self)

    def client(self, client: Transport, number: int) -> Transport:
        """The client, with its calls written down."""
        return NotedTransport(client, f"clients[{number}]", self)

    def transaction_name(self) -> str:
        """A name that no other transaction has."""
        self._transactions += 1
        return f"t{self._transactions}"

    def attach(self, error: BaseException) -> None:
        """Note the program on what a rule raised; once."""
        if not self._attached:
            self._attached = True
            text = self.text()
            if text:
                error.add_note(text)

    def text(self) -> str:
        """The program, under a line that says how to run it; empty where nothing was called."""
        imports = Imports(self._known)
        statements = Statements(list(map(_told, self._events)), imports)
        lines = statements.lines()
        if not lines:
            return ""
        load = imports.add("tidesync.conformance", "load_clients" if self._clients else "load_store")
        name = name_of(self._make)
        known = ascii(name) if name else "sys.argv[1]"
        made = "clients" if self._clients else "make_store"
        shortened = ["# shortened: some values are cut"] if statements.shortened else []
        return "\n".join([
            "The same as a program:" if name else "The same as a program; run it with MODULE:FACTORY of yours:",
            *([] if name else ["import sys"]), *imports.lines(), *shortened, "", f"{made} = {load}({known})", *lines,
        ])  # fmt: skip


def _as_it_is(value: Any) -> Any:
    """A copy of what a rule, or what is tested, may change later; what is nested too deeply is left."""
    try:
        return _copied(value)
    except RecursionError:
        return value


def _copied(value: Any) -> Any:
    if type(value) in _CONSTANT:  # most values are, and a rule hands out hundreds of thousands
        return value
    if isinstance(value, dict):
        fields = cast("dict[object, Any]", value)
        return {key: _copied(each) for key, each in fields.items()}
    if isinstance(value, list):
        return [_copied(each) for each in cast("list[Any]", value)]  # type: ignore[redundant-cast]  # for pyright not
    if type(value) is tuple:
        return tuple(_copied(each) for each in cast("tuple[Any, ...]", value))  # type: ignore[redundant-cast]  # pyright needs it
    if isinstance(value, Change | Page | Applied | Conflicted | Undeleted):
        kind = type(value)
        return kind(**{field.name: _copied(getattr(value, field.name)) for field in attrs.fields(kind)})
    return value


def _told(event: Event) -> Event:
    rows = event.answer
    if not isinstance(rows, _NotedRows):
        return event
    return attrs.evolve(event, answer=rows.seen, taken=None if rows.ended else rows.taken)


class NotedStore:
    """A store whose calls are written down."""

    def __init__(self, store: Store, name: str, program: Program) -> None:
        self._store, self._name, self._program = store, name, program

    @property
    def capabilities(self) -> StoreCapabilities:
        return self._store.capabilities

    def open(self, tables: Sequence[TableSchema]) -> None:
        self._program.noted(Event(self._name, "open", (tables,)), lambda: self._store.open(tables))

    def transaction(self, *, write: bool) -> AbstractContextManager[StoreTransaction]:
        begin = Event(self._name, "transaction", (write,), opens=self._program.transaction_name())
        try:
            block = self._store.transaction(write=write)
        except BaseException as error:
            # Where it begins here, and not with the block.
            self._program.failed(begin, error)
            raise
        return NotedBlock(block, begin, self._program)

    def close(self) -> None:
        self._program.noted(Event(self._name, "close"), self._store.close)


class NotedBlock:
    """A transaction's block whose beginning and end are written down."""

    def __init__(
        self, block: AbstractContextManager[StoreTransaction], begin: Event, program: Program
    ) -> None:
        self._block, self._begin, self._program = block, begin, program

    def __enter__(self) -> StoreTransaction:
        begun = self._program.noted(self._begin, self._block.__enter__)
        return NotedTransaction(begun, self._begin.opens, self._program)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        event = Event(self._begin.opens, "__exit__", (kind,), ends=True)
        answer: bool | None = self._program.noted(event, lambda: self._block.__exit__(kind, error, trace))
        return answer


class NotedTransaction:
    """A transaction whose calls are written down."""

    def __init__(self, transaction: StoreTransaction, name: str, program: Program) -> None:
        self._transaction, self._name, self._program = transaction, name, program

    def _noted(self, method: str, given: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        return self._program.noted(Event(self._name, method, given), call)

    def get(self, table: str, ids: Sequence[str]) -> list[Record | None]:
        found: list[Record | None] = self._noted(
            "get", (table, ids), lambda: self._transaction.get(table, ids)
        )
        return found

    def select(self, query: Query) -> Iterator[Record]:
        rows: Iterator[Record] = self._noted("select", (query,), lambda: self._rows(query))
        return rows

    def _rows(self, query: Query) -> Iterator[Record]:
        rows: Any = self._transaction.select(query)
        if not isinstance(rows, Iterator):
            kind = type(rows).__name__
            fail(f"select() should give an iterator, and gives a {kind}: iter() makes one of it")
        return _NotedRows(cast("Iterator[Record]", rows))

    def count(self, query: Query) -> int:
        found: int = self._noted("count", (query,), lambda: self._transaction.count(query))
        return found

    def put(self, table: str, records: Sequence[Record]) -> None:
        self._noted("put", (table, records), lambda: self._transaction.put(table, records))

    def delete(self, table: str, ids: Sequence[str]) -> int:
        found: int = self._noted("delete", (table, ids), lambda: self._transaction.delete(table, ids))
        return found

    def delete_where(self, query: Query) -> int:
        found: int = self._noted("delete_where", (query,), lambda: self._transaction.delete_where(query))
        return found


class _NotedRows:
    """Rows of a select; the first of those that were taken are kept, for the program."""

    def __init__(self, rows: Iterator[Record]) -> None:
        self._rows = rows
        self.seen: list[Record] = []
        self.taken, self.ended = 0, False

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        try:
            record = next(self._rows)
        except StopIteration:
            self.ended = True
            raise
        self.taken += 1
        if len(self.seen) < _SEEN:
            self.seen.append(_as_it_is(record))
        return record

    def close(self) -> None:
        """Close the rows, as `close` of a generator."""
        close = getattr(self._rows, "close", None)
        if close is not None:
            close()


class NotedTransport:
    """A client whose calls are written down."""

    def __init__(self, transport: Transport, name: str, program: Program) -> None:
        self._transport, self._name, self._program = transport, name, program

    def _noted(self, method: str, given: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        return self._program.noted(Event(self._name, method, given), call)

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        found: TransportCapabilities = self._noted("open", (tables,), lambda: self._transport.open(tables))
        return found

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        found: Sequence[Outcome] = self._noted(
            "push", (list(changes),), lambda: self._transport.push(changes)
        )
        return found

    def pull(self, request: PullRequest, /) -> Page:
        page: Page = self._noted("pull", (request,), lambda: self._transport.pull(request))
        return page

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        found: Record | Tombstone | None = self._noted(
            "get", (table, id), lambda: self._transport.get(table, id)
        )
        return found

    def close(self) -> None:
        self._noted("close", (), self._transport.close)
