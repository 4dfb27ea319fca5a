"""The calls that a rule made, as a short program that makes them again.

Stores and clients are handed to rules behind a thin layer that writes down what is called and what came of it. Nothing
is turned into text before a rule fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final

import attrs

from tidesync.conformance.loading import name_of
from tidesync.conformance.source import LONGEST, Imports, source
from tidesync.contracts.store import Store, StoreCapabilities, StoreTransaction
from tidesync.contracts.transport import (
    Change,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
)
from tidesync.query import Query
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema

_EVENTS: Final = 5_000
_ANSWER: Final = 160
_NOTHING: Final = object()


@attrs.define
class Event:
    """One call: on which object, what was given, what came of it; `opens` and `ends` bound a transaction."""

    owner: str
    method: str
    given: tuple[Any, ...] = ()
    named: str = ""
    answer: Any = _NOTHING
    error: BaseException | None = None
    thread: int = attrs.field(factory=threading.get_ident)
    opens: str = ""
    ends: bool = False


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

    def mark(self) -> None:
        """Forget what was done since the first mark: another example of a property begins."""
        if self._begun is None:
            self._begun = len(self._events)
        del self._events[self._begun :]

    def noted(self, event: Event, call: Callable[[], Any]) -> Any:
        """What the call gives, written down."""
        if len(self._events) < _EVENTS:
            self._events.append(event)
        try:
            event.answer = call()
        except BaseException as error:
            event.error = error
            raise
        return event.answer

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
        lines = _Lines(self._events, imports).lines() if self._events else []
        if not lines:
            return ""
        load = imports.add("tidesync.conformance", "load_clients" if self._clients else "load_store")
        name = name_of(self._make)
        known = ascii(name) if name else "sys.argv[1]"
        made = "clients" if self._clients else "make_store"
        shortened = ["# shortened: some values are cut"] if any("..." in line[-4:] for line in lines) else []
        return "\n".join([
            "The same as a program:" if name else "The same as a program; run it with MODULE:FACTORY of yours:",
            *([] if name else ["import sys"]), *imports.lines(), *shortened, "", f"{made} = {load}({known})", *lines,
        ])  # fmt: skip


class _Lines:
    """Events as statements. Transactions that lie in one another become `with` blocks, others explicit calls."""

    def __init__(self, events: Sequence[Event], imports: Imports) -> None:
        self._events, self._imports = events, imports
        self._nested = _is_nested(events)
        self._threads = {event.thread for event in events}

    def lines(self) -> list[str]:
        depth, found = 0, list[str]()
        for event in self._events:
            if self._nested and event.ends:
                if event.error is None and event.given and event.given[0] is not None:
                    found.append(
                        "    " * depth + f"raise {self._imports.add('builtins', 'Exception')}('rolled back')"
                    )
                elif found and found[-1].endswith(":"):
                    found.append("    " * depth + "pass")
                depth -= 1
                continue
            found.append("    " * depth + self._line(event))
            depth += bool(self._nested and event.opens and event.error is None)
        return found

    def _line(self, event: Event) -> str:
        text = self._call(event)
        if event.error is not None:
            kind = type(event.error)
            name = (
                self._imports.add(kind.__module__, kind.__name__)
                if "<" not in kind.__qualname__
                else "Exception"
            )
            suppress = self._imports.add("contextlib", "suppress")
            return f"with {suppress}({name}): {text}  # {_cut(str(event.error), _ANSWER)}"
        if event.answer is not None and event.answer is not _NOTHING and not event.opens and event.owner:
            text = f"print({text})  # {_cut(_source(_told(event.answer), self._imports), _ANSWER)}"
        return text

    def _call(self, event: Event) -> str:
        if event.method == "make_store":
            return f"{event.named} = make_store()"
        given = ", ".join(_cut(_source(each, self._imports), LONGEST) for each in event.given)
        if event.opens:
            begin = f"{event.owner}.transaction(write={given})"
            if not self._nested:
                return f"{event.opens} = (block_{event.opens} := {begin}).__enter__()"
            if self._rolled_back(event.opens):
                suppress = self._imports.add("contextlib", "suppress")
                return f"with {suppress}(Exception), {begin} as {event.opens}:"
            return f"with {begin} as {event.opens}:"
        if event.ends:
            raised = "Exception, Exception(), None" if event.given[0] is not None else "None, None, None"
            return f"block_{event.owner}.__exit__({raised})"
        call = f"{event.owner}.{event.method}({given})"
        return f"list({call})" if event.method == "select" else call

    def _rolled_back(self, name: str) -> bool:
        return any(
            event.ends and event.owner == name and (event.given[0] is not None or event.error)
            for event in self._events
        )


def _source(value: object, imports: Imports) -> str:
    """As `source`; three dots for what is nested so deeply that Python cannot write it."""
    try:
        return source(value, imports)
    except RecursionError:
        return "..."


def _is_nested(events: Sequence[Event]) -> bool:
    """Whether each transaction ends before what was begun before it goes on, all in one thread."""
    under: list[str] = []
    if len({event.thread for event in events}) > 1:
        return False
    for event in events:
        if event.opens and event.error is None:
            under.append(event.opens)
        elif event.ends and (not under or under.pop() != event.owner):
            return False
    return True


def _told(answer: Any) -> Any:
    return answer.seen if isinstance(answer, _NotedRows) else answer


def _cut(text: str, length: int) -> str:
    flat = " ".join(text.split("\n"))
    return flat if len(flat) <= length else f"{flat[:length]}..."


def _kept(records: Sequence[Record]) -> Any:
    """The records as they are now: a rule may change them later."""
    return [dict(record) if isinstance(record, dict) else record for record in records]  # pyright: ignore[reportUnnecessaryIsInstance]  # rules hand over what is no record, too


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
        return NotedBlock(self._store.transaction(write=write), self._name, write, self._program)

    def close(self) -> None:
        self._program.noted(Event(self._name, "close"), self._store.close)


class NotedBlock:
    """A transaction's block whose beginning and end are written down."""

    def __init__(
        self, block: AbstractContextManager[StoreTransaction], store: str, write: bool, program: Program
    ) -> None:
        self._block, self._store, self._write, self._program = block, store, write, program
        self._name = ""

    def __enter__(self) -> StoreTransaction:
        self._name = self._program.transaction_name()
        event = Event(self._store, "transaction", (self._write,), opens=self._name)
        return NotedTransaction(self._program.noted(event, self._block.__enter__), self._name, self._program)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        event = Event(self._name, "__exit__", (kind,), ends=True)
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
        rows: Iterator[Record] = self._noted(
            "select", (query,), lambda: _NotedRows(self._transaction.select(query))
        )
        return rows

    def count(self, query: Query) -> int:
        found: int = self._noted("count", (query,), lambda: self._transaction.count(query))
        return found

    def put(self, table: str, records: Sequence[Record]) -> None:
        self._noted("put", (table, _kept(records)), lambda: self._transaction.put(table, records))

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

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        record = next(self._rows)
        if len(self.seen) < 20:
            self.seen.append(record)
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
