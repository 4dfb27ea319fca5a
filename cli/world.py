"""Where the demo happens: two tables, a remote, and devices that reach it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from tidesync import Selection, SyncContext, Table, table
from tidesync.contracts.transport import Rejected, Transport
from tidesync.records import Record
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport
from tidesync.transports.principal import BeforeWrite, Principal, conflicts

Protocol: TypeAlias = Literal["auto", "tidesync", "2.0", "3.0"]
Wrap: TypeAlias = Callable[[Transport], Transport]

PAGE: Final = 50
"""Records in one page of a pull, so that bars move in steps."""
EXCHANGE: Final = 25
"""Operations that the demo's own remote takes in one exchange, for the same reason."""


@attrs.define
class TodoList:
    """A list of tasks. `version` is the remote's."""

    id: str
    title: str
    version: str | None = None


@attrs.define
class TodoTask:
    """A task, in a list or in none."""

    id: str
    text: str
    list_id: str | None = None
    complete: bool = False
    version: str | None = None


LISTS: Final = table(TodoList, references={})
TASKS: Final = table(TodoTask, references={"list_id": LISTS})
TABLES: Final[tuple[Table[Any], ...]] = (LISTS, TASKS)


def _titled(old: Record | None, new: Record | None, principal: Principal) -> Rejected | None:
    """The rule of the demo's own remote: a list has a title."""
    del principal
    if new is not None and new.get("title") == "" and not conflicts(old, new):
        return Rejected("title_missing", "a list needs a title")
    return None


RULES: Final[Mapping[str, BeforeWrite]] = {LISTS.name: _titled}
"""What the demo's own remote asks before it writes, by table."""


@attrs.frozen
class Place:
    """One run of the demo: a folder for its files, and a word that all its ids begin with.

    The remote is a server at `url`, or the folder `files`; without either it is in the process of each device, over one
    SQLite file in `folder`. `own`: the remote is the demo's, and keeps its rules. A server may hold other records: the
    ids tell which belong to this run.
    """

    folder: Path
    run: str
    url: str | None = None
    protocol: Protocol = "auto"
    own: bool = True
    files: Path | None = None

    def id(self, name: str) -> str:
        """The id of this run's record of this name."""
        return f"{self.run}-{name}"

    def name(self, id: str | None) -> str:
        """The inverse of `id`; a dash for none."""
        return "-" if id is None else id.removeprefix(f"{self.run}-")

    def mine(self, records: Selection[Any]) -> Selection[Any]:
        """Those of this run. Written as a range, because every remote can be trusted with comparing ids."""
        column = records.table.c.id
        return records.where(column >= f"{self.run}-", column < f"{self.run}.")


@contextmanager
def reach(place: Place) -> Generator[Transport]:
    """A way to the remote. Several processes may share the one of files: its state is all in them."""
    if place.url is not None:
        from tidesync.transports.http import HttpTransport

        yield HttpTransport(place.url, protocol=place.protocol)
        return
    if place.files is not None:
        from tidesync.transports import FileTransport

        yield FileTransport(place.files)
        return
    store = SQLiteStore(place.folder / "remote.db")
    with Authority(store, TABLES, foreign_keys=True, max_changes=EXCHANGE, before_write=RULES) as remote:
        yield LoopbackTransport(remote)


@contextmanager
def device(place: Place, name: str, wrap: Wrap | None = None) -> Generator[SyncContext]:
    """A device by name: its store is a file of that name. `wrap` puts something between it and the remote."""
    with reach(place) as way:
        transport = way if wrap is None else wrap(way)
        store = SQLiteStore(place.folder / f"{name}.db")
        with SyncContext(store, transport, TABLES, page_size=PAGE) as context:
            yield context
