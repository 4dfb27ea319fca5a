"""Files of applications for the command to look at, made by contexts as an application makes them."""

from collections.abc import Sequence
from pathlib import Path

import attrs

from tidesync import PushFailed, SyncContext, table
from tidesync.contracts.transport import Change, Outcome, PullRequest, Rejected, Unknown
from tidesync.contracts.transport import Page as Read
from tidesync.records import Record
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport
from tidesync.transports.principal import Principal

SECRET = "for-nobody-else"  # in every record's content, and in nothing else


@attrs.define
class TodoList:
    id: str
    title: str


@attrs.define
class TodoTask:
    id: str
    text: str
    list_id: str | None = None


LISTS = table(TodoList, references={})
TASKS = table(TodoTask, references={"list_id": LISTS}, indexes=["list_id"])
TABLES = [LISTS, TASKS]


class Odd(LoopbackTransport):
    """Loses what is said about records named "doubt", and tells of one record that cannot be kept."""

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        outcomes = super().push(changes)
        return [
            Unknown("the reply was lost") if change.record_id == "doubt" else outcome
            for change, outcome in zip(changes, outcomes, strict=True)
        ]

    def pull(self, request: PullRequest, /) -> Read:
        page = super().pull(request)
        misfit: Record = {"id": "misfit", "title": 7, "version": "9"}
        return (
            attrs.evolve(page, records=[*page.records, misfit]) if request.query.table == "todolist" else page
        )


def _titled(old: Record | None, new: Record | None, principal: Principal) -> Rejected | None:
    return (
        Rejected("title_missing", "a list\nneeds a title \x1b[31m") if new and not new.get("title") else None
    )


def remote() -> Authority:
    """A remote that takes no list without a title."""
    return Authority(MemoryStore(), TABLES, before_write={"todolist": _titled}, identity="the-remote").open()


def store_of_everything(path: Path) -> None:
    """One operation of each kind: in conflict, failed, parked twice, attempted, pending; and one record aside."""
    far = remote()
    with (
        SyncContext(MemoryStore(), LoopbackTransport(far), TABLES) as other,
        SyncContext(SQLiteStore(path), Odd(far), TABLES) as ctx,
    ):
        lists, tasks = ctx[LISTS], ctx[TASKS]
        lists.insert(TodoList("shared", SECRET))
        ctx.push()
        ctx.pull(LISTS, name="all")
        other.pull(LISTS)
        other[LISTS].update("shared", title=f"theirs, {SECRET}")
        other.push()
        lists.update("shared", title=f"mine, {SECRET}")
        lists.insert(TodoList("untitled", ""))
        tasks.insert(TodoTask("behind", SECRET, "untitled"))
        tasks.insert(TodoTask("doubt", SECRET))
        try:
            ctx.push()
        except PushFailed:
            tasks.update("behind", text=f"{SECRET}, edited")
        tasks.insert(TodoTask("new", SECRET))


def operations(path: Path) -> dict[str, tuple[str, int]]:
    """What the application itself says is queued: state and attempts, by record."""
    with SyncContext(SQLiteStore(path), None, TABLES) as ctx:
        return {each.record_id: (each.state, each.attempts) for each in ctx.operations()}
