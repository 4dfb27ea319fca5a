"""Three tables, a wire whose every exchange can be scripted, and a remote to look at."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import attrs

from tidesync import SyncContext, table
from tidesync.contracts.store import Store
from tidesync.contracts.transport import (
    Anything,
    Applied,
    Change,
    ChangeKind,
    Outcome,
    Page,
    PullRequest,
    TransportCapabilities,
    Unknown,
)
from tidesync.records import SYSTEM_FIELDS, Copy, Json, Record, alive
from tidesync.schema import TableSchema
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport


@attrs.define
class TodoList:
    id: str
    name: str = ""


@attrs.define
class Todo:
    id: str
    text: str = ""
    complete: bool = False
    list_id: str | None = None
    due: datetime | None = None


LISTS = table(TodoList, name="list", references={})
TODOS = table(Todo, name="todo", references={"list_id": LISTS})
NOTES = table("note", {"text": str, "stars": int, "tags": list[str]})
"""Dicts, and nothing said about references."""
TABLES = (LISTS, TODOS, NOTES)
SOME_DAY = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)

Script: TypeAlias = Callable[[Change], Outcome]
MakeStore: TypeAlias = Callable[[str], Store]


def plain(record: Copy) -> Record | None:
    """A record without what the remote adds to it."""
    if not alive(record):
        return None
    return {name: value for name, value in record.items() if name not in SYSTEM_FIELDS}


@attrs.define
class Remote:
    """The authority behind the wire, written as another device would."""

    authority: Authority
    _count: int = 0

    def _push(self, kind: ChangeKind, name: str, id: str, fields: Mapping[str, Json]) -> str:
        self._count += 1
        record: Record | None = None if kind == "delete" else {"id": id, **fields}
        [outcome] = self.authority.push(
            [
                Change(
                    id=f"other-{self._count}", table=name, record_id=id, kind=kind, record=record,
                    fields=tuple(fields), expected=Anything(),
                )
            ]
        )  # fmt: skip
        assert isinstance(outcome, Applied), outcome
        return str(outcome.version)

    def write(self, name: str, id: str, /, **fields: Json) -> str:
        """Insert the record, or change these fields of it; its new version."""
        there = self.authority.get(name, id)
        return self._push("update" if alive(there) else "insert", name, id, fields)

    def delete(self, name: str, id: str) -> str:
        return self._push("delete", name, id, {})

    def get(self, name: str, id: str) -> Copy:
        return self.authority.get(name, id)

    def content(self, name: str, id: str) -> Record | None:
        return plain(self.get(name, id))

    def ids(self, name: str) -> list[str]:
        return [str(record["id"]) for record in self.authority.records(name)]


class Wire:
    """Loopback, recorded: what `say` was told answers instead, `on_push` and `on_pull` come before."""

    def __init__(self, authority: Authority, **limits: Any) -> None:
        self.inner = LoopbackTransport(authority)
        self.limits = limits
        self.opened = self.closed = self.gets = 0
        self.pushes: list[list[Change]] = []
        self.pulls: list[PullRequest] = []
        self.scripts: dict[str, list[Script | Outcome]] = {}
        self.on_push: Callable[[Sequence[Change]], None] = lambda changes: None
        self.on_pull: Callable[[PullRequest], None] = lambda request: None
        self.on_open: Callable[[], None] = lambda: None
        self.page: Callable[[Page], Page] = lambda page: page

    @property
    def changes(self) -> list[Change]:
        """Everything that was sent, in order."""
        return [change for push in self.pushes for change in push]

    @property
    def requests(self) -> int:
        return len(self.pushes) + len(self.pulls) + self.gets

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        self.on_open()
        self.opened += 1
        return attrs.evolve(self.inner.open(tables), **self.limits)

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        self.pushes.append(list(changes))
        self.on_push(changes)
        if not any(self.scripts.get(change.record_id) for change in changes):
            return self.inner.push(changes)
        return [self._answer(change) for change in changes]

    def pull(self, request: PullRequest, /) -> Page:
        self.pulls.append(request)
        self.on_pull(request)
        return self.page(self.inner.pull(request))

    def get(self, name: str, id: str, /) -> Copy:
        self.gets += 1
        return self.inner.get(name, id)

    def close(self) -> None:
        self.closed += 1

    def say(self, record_id: str, *answers: Script | Outcome) -> None:
        """The next changes of this record are answered with these, in the remote's place."""
        self.scripts.setdefault(record_id, []).extend(answers)

    def forward(self, change: Change) -> Outcome:
        """What the remote makes of the change."""
        return self.inner.push([change])[0]

    def lose_reply(self, change: Change) -> Outcome:
        """The change takes effect, and the answer is lost."""
        _ = self.forward(change)
        return Unknown("the reply was lost")

    def _answer(self, change: Change) -> Outcome:
        answers = self.scripts.get(change.record_id)
        if not answers:
            return self.forward(change)
        answer = answers.pop(0)
        return answer(change) if callable(answer) else answer


@attrs.define
class World:
    """One remote, and devices with a store each."""

    make_store: MakeStore
    remote: Remote
    contexts: list[SyncContext] = attrs.field(factory=list)

    def wire(self, **limits: Any) -> Wire:
        return Wire(self.remote.authority, **limits)

    def device(self, name: str = "one", wire: Wire | None = None, **options: Any) -> SyncContext:
        """An open context on the store of this name; a store that is asked for again has kept its records."""
        options.setdefault("tables", TABLES)
        tables = options.pop("tables")
        context = SyncContext(self.make_store(name), wire or self.wire(), tables, **options).open()
        self.contexts.append(context)
        return context

    def close(self) -> None:
        for context in self.contexts:
            context.close()
