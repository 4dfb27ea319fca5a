"""Calls as the statements that make them again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from tidesync.conformance.source import LONGEST, Imports, Name, source
from tidesync.contracts.transport import Applied, Change, Conflicted, Page, PullRequest, Undeleted, Version
from tidesync.records import Record, Tombstone, version_of

_ANSWER: Final = 160
NOTHING: Final = object()
"""The answer of a call that did not return."""


@attrs.define
class Event:
    """One call: on which object, what was given, what came of it; `opens` and `ends` bound a transaction."""

    owner: str
    method: str
    given: tuple[Any, ...] = ()
    named: str = ""
    answer: Any = NOTHING
    error: BaseException | None = None
    thread: int = attrs.field(factory=threading.get_ident)
    opens: str = ""
    ends: bool = False


class Statements:
    """Events as statements. Transactions that lie in one another become `with` blocks, others explicit calls.

    `shortened` says whether a value of a call was too long, so that they cannot be run.
    """

    def __init__(self, events: Sequence[Event], imports: Imports) -> None:
        self._imports = imports
        self._nested = _is_nested(events)
        self._events, self._names = _told_apart(events)
        self.shortened = False

    def lines(self) -> list[str]:
        """One statement a line."""
        depth, found = 0, list[str]()
        for number, event in enumerate(self._events):
            if self._nested and event.ends:
                if event.error is None and event.given and event.given[0] is not None:
                    found.append("    " * depth + "raise Exception('rolled back')")
                elif found and found[-1].endswith(":"):
                    found.append("    " * depth + "pass")
                depth -= 1
                continue
            found.append("    " * depth + self._line(event, self._names.get(number, "")))
            depth += bool(self._nested and event.opens and event.error is None)
        return found

    def _line(self, event: Event, name: str) -> str:
        text = self._call(event)
        if event.error is not None:
            kind = type(event.error)
            known = "<" not in kind.__qualname__
            error = self._imports.add(kind.__module__, kind.__name__) if known else "Exception"
            suppress = self._imports.add("contextlib", "suppress")
            return f"with {suppress}({error}): {text}  # {_cut(str(event.error), _ANSWER)}"
        if event.answer is not None and event.answer is not NOTHING and not event.opens and event.owner:
            # The names in a comment are not imported.
            answer = _cut(_source(event.answer, Imports()), _ANSWER)
            text = f"print({name + ' := ' if name else ''}{text})  # {answer}"
        return text

    def _call(self, event: Event) -> str:
        if event.method == "make_store":
            return f"{event.named} = make_store()"
        texts = [_source(each, self._imports) for each in event.given]
        self.shortened = self.shortened or any(len(text) > LONGEST or text == "..." for text in texts)
        given = ", ".join(_cut(text, LONGEST) for text in texts)
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
        changes: list[Any] = given
        return [_taking(each, taken) for each in changes]
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
        for place, (change, outcome) in enumerate(zip(event.given[0], answer, strict=False)):
            about = f"version of {change.table} {change.record_id} "
            for inner, copy in _copies(outcome):
                yield f"{about}{version_of(copy)}", f"[{place}]{inner}{_path(copy)}"
            if isinstance(outcome, Applied) and outcome.version is not None:
                yield about + outcome.version, f"[{place}].version"
    elif event.method == "get" and isinstance(answer, dict | Tombstone):
        table, id = event.given
        yield f"version of {table} {id} {version_of(answer)}", _path(answer)
    elif isinstance(answer, Page):
        table = event.given[0].query.table
        for place, record in enumerate(answer.records):
            if isinstance(record, dict):  # pyright: ignore[reportUnnecessaryIsInstance]  # a stranger's page
                about = f"version of {table} {record.get('id')} {version_of(record)}"
                yield about, f".records[{place}]['version']"
        for id, tombstone in answer.tombstones.items():
            yield f"version of {table} {id} {version_of(tombstone)}", f".tombstones[{id!a}].version"
        yield f"cursor {answer.cursor!a}", ".cursor"


def _copies(outcome: object) -> Iterator[tuple[str, Record | Tombstone]]:
    if isinstance(outcome, Applied | Conflicted) and isinstance(outcome.copy, dict | Tombstone):
        yield ".copy", outcome.copy
    elif isinstance(outcome, Undeleted):
        yield ".record", outcome.record


def _path(copy: object) -> str:
    return "['version']" if isinstance(copy, dict) else ".version"
