"""Calls as the statements that make them again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast

import attrs

from tidesync.conformance.source import LONGEST, Imports, Name, source
from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    Outcome,
    Page,
    PullRequest,
    Undeleted,
    Version,
)
from tidesync.records import Record, Tombstone

_ANSWER: Final = 160
NOTHING: Final = object()
"""The answer of a call that did not return."""


@attrs.define
class Event:
    """One call: on which object, what was given, what came of it; `opens` and `ends` bound a transaction.

    `begun` and `over` are moments, as numbers; `taken` counts the records of a select that was not read to its end.
    """

    owner: str
    method: str
    given: tuple[Any, ...] = ()
    named: str = ""
    answer: Any = NOTHING
    error: BaseException | None = None
    thread: int = attrs.field(factory=threading.get_ident)
    opens: str = ""
    ends: bool = False
    taken: int | None = None
    begun: int = 0
    over: int | None = None


class Statements:
    """Events as statements. Transactions that lie in one another become `with` blocks, others explicit calls.

    Calls of several threads are made in as many threads, each begun and awaited at the moment at which it was.
    `shortened` says whether a value of a call was too long, so that they cannot be run.
    """

    def __init__(self, events: Sequence[Event], imports: Imports) -> None:
        self._imports = imports
        self._events, self._names = _told_apart(events)
        self._threads = list(dict.fromkeys(event.thread for event in events if event.owner))
        self._nested = _is_nested(events)
        self.shortened = False

    def lines(self) -> list[str]:
        """One statement a line."""
        if len(self._threads) > 1:
            return [*self._executors(), *self._in_threads()]
        return self._in_blocks() if self._nested else [line for event in self._numbered() for line in event]

    def _numbered(self) -> Iterator[list[str]]:
        for number, event in enumerate(self._events):
            yield [*self._before(event), self._told(event, self._call(event), self._names.get(number, ""))]

    def _in_blocks(self) -> list[str]:
        depth, found = 0, list[str]()
        for number, event in enumerate(self._events):
            indent = "    " * depth
            if event.ends:
                if event.error is None and event.given[0] is not None:
                    found.append(f"{indent}raise Exception('rolled back')")
                elif found[-1].endswith(":"):
                    found.append(f"{indent}pass")
                depth -= 1
            elif event.opens and event.error is None:
                found.append(indent + self._block(event))
                depth += 1
            else:
                before = [indent + line for line in self._before(event)]
                found += [*before, indent + self._told(event, self._call(event), self._names.get(number, ""))]
        return found

    def _block(self, event: Event) -> str:
        block = f"{self._begin(event)} as {event.opens}:"
        rolled_back = any(
            each.ends and each.owner == event.opens and (each.given[0] is not None or each.error)
            for each in self._events
        )
        return f"with {self._suppress(Exception())}, {block}" if rolled_back else f"with {block}"

    def _executors(self) -> list[str]:
        made = self._imports.add("concurrent.futures", "ThreadPoolExecutor")
        return [f"thread{number + 1} = {made}(1)" for number in range(len(self._threads))]

    def _in_threads(self) -> Iterator[str]:
        moments = sorted(
            (moment, number)
            for number, event in enumerate(self._events)
            for moment in (event.begun, event.over)
            if moment is not None
        )
        begun: set[int] = set()
        waiting: set[int] = set()
        for place, (_, number) in enumerate(moments):
            event, name = self._events[number], self._names.get(number, "")
            if number in begun:
                if number in waiting:
                    yield self._told(event, f"call{number}.result(60)", name)
                continue
            begun.add(number)
            if not event.owner:
                yield self._call(event)
                continue
            yield from self._before(event)
            call = f"thread{self._threads.index(event.thread) + 1}.submit(lambda: {self._call(event)})"
            if [each for _, each in moments[place + 1 : place + 2]] == [number]:
                yield self._told(event, f"{call}.result(60)", name)
            else:
                waiting.add(number)
                yield f"call{number} = {call}"

    def _before(self, event: Event) -> list[str]:
        """What an explicit call needs: the block of a transaction."""
        return [f"block_{event.opens} = {self._begin(event)}"] if event.opens and not event.error else []

    def _told(self, event: Event, text: str, name: str) -> str:
        """The statement of a call, or of waiting for it, with what came of it."""
        if not event.owner:
            return text
        if event.error is not None:
            return f"with {self._suppress(event.error)}: {text}  # {_cut(str(event.error), _ANSWER)}"
        if event.opens:
            return f"{event.opens} = {text}"
        if event.answer is None or event.answer is NOTHING:
            return text
        # The names in a comment are not imported.
        answer = _cut(_source(event.answer, Imports()), _ANSWER)
        return f"print({name + ' := ' if name else ''}{text})  # {answer}"

    def _suppress(self, error: BaseException) -> str:
        kind = type(error)
        name = "Exception" if "<" in kind.__qualname__ else self._imports.add(kind.__module__, kind.__name__)
        return f"{self._imports.add('contextlib', 'suppress')}({name})"

    def _begin(self, event: Event) -> str:
        return f"{event.owner}.transaction(write={event.given[0]})"

    def _call(self, event: Event) -> str:
        if event.method == "make_store":
            return f"{event.named} = make_store()"
        if event.opens:
            return f"{self._begin(event) if event.error else f'block_{event.opens}'}.__enter__()"
        if event.ends:
            raised = "Exception, Exception(), None" if event.given[0] is not None else "None, None, None"
            return f"block_{event.owner}.__exit__({raised})"
        texts = [_source(each, self._imports) for each in event.given]
        self.shortened = self.shortened or any(len(text) > LONGEST or text == "..." for text in texts)
        call = f"{event.owner}.{event.method}({', '.join(_cut(text, LONGEST) for text in texts)})"
        if event.method != "select":
            return call
        if event.taken is None:
            return f"list({call})"
        return f"list({self._imports.add('itertools', 'islice')}({call}, {event.taken}))"


def _source(value: object, imports: Imports) -> str:
    """As `source`; three dots for what is nested so deeply that Python cannot write it."""
    try:
        return source(value, imports)
    except RecursionError:
        return "..."


def _is_nested(events: Sequence[Event]) -> bool:
    """Whether each transaction ends before what was begun before it goes on."""
    under: list[str] = []
    for event in events:
        if event.opens and event.error is None:
            under.append(event.opens)
        elif event.ends and (not under or under.pop() != event.owner):
            return False
    return True


def _cut(text: str, length: int) -> str:
    flat = " ".join(text.split("\n"))
    return flat if len(flat) <= length else f"{flat[:length]}..."


# -- what a remote made up, and another one will make up anew --------------------------------------------


def _told_apart(events: Sequence[Event]) -> tuple[list[Event], dict[int, str]]:
    """The events with versions and cursors taken from the answers that told them, and the names of those answers."""
    told: dict[str, tuple[int, str]] = {}
    names: dict[int, str] = {}
    found: list[Event] = []

    def taken(key: str) -> Name | None:
        if key not in told:
            return None
        number, path = told[key]
        return Name(names.setdefault(number, f"a{len(names) + 1}") + path)

    for number, event in enumerate(events):
        found.append(attrs.evolve(event, given=tuple(_taking(each, taken) for each in event.given)))
        for key, path in _tells(event):
            told[key] = number, path
    return found, names


def _taking(given: Any, taken: Callable[[str], Name | None]) -> Any:
    """What is given to a call, with what was taken from an answer under its name there."""
    if isinstance(given, list):
        return [_taking(each, taken) for each in cast("list[Any]", given)]  # type: ignore[redundant-cast]  # for pyright not
    if isinstance(given, Change):
        return _expecting(given, taken)
    if isinstance(given, PullRequest) and given.cursor is not None:
        cursor = taken(f"cursor {given.cursor!a}")
        return given if cursor is None else attrs.evolve(given, cursor=cursor)
    return given


def _expecting(change: Change, taken: Callable[[str], Name | None]) -> Change:
    expected = change.expected
    if isinstance(expected, Version | Tombstone) and expected.version is not None:
        version = taken(f"version of {change.table} {change.record_id} {expected.version}")
        if version is not None:
            return attrs.evolve(change, expected=attrs.evolve(expected, version=version))
    return change


def _tells(event: Event) -> Iterator[tuple[str, str]]:
    """The versions and cursors in an answer, and how to get them out of it."""
    answer = event.answer
    if event.method == "push" and isinstance(answer, list | tuple):
        outcomes = cast("Sequence[Outcome]", answer)
        for place, (change, outcome) in enumerate(zip(event.given[0], outcomes, strict=False)):
            about = f"version of {change.table} {change.record_id} "
            for inner, copy in _copies(outcome):
                yield f"{about}{_version(copy)}", f"[{place}]{inner}{_path(copy)}"
            if isinstance(outcome, Applied) and outcome.version is not None:
                yield about + outcome.version, f"[{place}].version"
    elif event.method == "get" and isinstance(answer, dict | Tombstone):
        copy = cast("Record | Tombstone", answer)
        table, id = event.given
        yield f"version of {table} {id} {_version(copy)}", _path(copy)
    elif isinstance(answer, Page):
        table = event.given[0].query.table
        for place, record in enumerate(answer.records):
            if isinstance(record, dict):  # pyright: ignore[reportUnnecessaryIsInstance]  # a stranger's page
                about = f"version of {table} {record.get('id')} {_version(record)}"
                yield about, f".records[{place}]['version']"
        for id, tombstone in answer.tombstones.items():
            yield f"version of {table} {id} {_version(tombstone)}", f".tombstones[{id!a}].version"
        yield f"cursor {answer.cursor!a}", ".cursor"


def _copies(outcome: object) -> Iterator[tuple[str, Record | Tombstone]]:
    """The copy in an outcome, unless a stranger put in something else."""
    if isinstance(outcome, Applied | Conflicted) and outcome.copy is not None:
        yield ".copy", outcome.copy
    elif isinstance(outcome, Undeleted):
        yield ".record", outcome.record


def _path(copy: object) -> str:
    return "['version']" if isinstance(copy, dict) else ".version"


def _version(copy: object) -> object:
    """As `version_of`, of anything that a stranger takes for a copy."""
    if isinstance(copy, dict):
        return cast("Record", copy).get("version")
    return copy.version if isinstance(copy, Tombstone) else None
