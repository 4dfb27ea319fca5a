"""One server as the scenarios see it: devices on a wire to it, another client, and its life.

The scenarios know nothing else of a server. To run them against another one, give them a `Remote` with a
back door of its own (`BackDoor`), and say what it does otherwise (`Deviations`) and how it is spoken with (`Way`).
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import attrs
import httpx

from tests.peers.sent import Kind, Sent, changes
from tests.peers.tables import HEADERS, Row
from tests.peers.wire_faults import Fault, Seen
from tests.peers.wire_proxy import WireProxy
from tidesync import Policy, SyncContext, Table, defer, table
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.http import HttpTransport

ITEM = {
    "text": str, "note": str, "complete": bool, "priority": int, "score": float, "due": datetime,
    "tags": list[str],
}  # fmt: skip
COLUMNS = {
    "item": {
        "text": "string", "note": "string", "complete": "boolean", "priority": "number", "score": "number",
        "due": "date", "tags": "string",
    },
    "typed": {
        "text": "string", "note": "string", "complete": "boolean", "priority": "number", "score": "number",
        "due": "date",
    },
    "strict": {"text": "string"},
    "label": {"text": "string"},
    "list": {"title": "string"},
    "task": {"list_id": "string", "text": "string", "complete": "boolean"},
}  # fmt: skip


@attrs.frozen
class Deviations:
    """What a server does otherwise than it says, or a protocol than others, as far as a scenario can see it.

    `unknown_column` is the status that a column which the strict table has not got is answered with;
    `body_limit` the bytes of a request body; `safe_integer` the largest number kept whole; `second_decimals`
    how finely a column of dates keeps them; `forgets`: the table of labels keeps no tombstones.
    """

    unknown_column: int = 400
    body_limit: int | None = None
    safe_integer: int = 2**63 - 1
    second_decimals: int = 6
    forgets: bool = False


@attrs.frozen
class Way:
    """How devices speak with a server: `protocol` is their option, `said` the same where "auto" would find it out.

    `asks`: requests before the first one that does something; `finds_out`: so many with "auto".
    `whole`: an update carries all of the record. `batched`: a push is one request, in which independent changes
    go in their order, and an insert that names the tombstone is one change.
    """

    protocol: str
    said: str
    asks: int = 0
    finds_out: int = 1
    whole: bool = False
    batched: bool = False


class BackDoor(Protocol):
    """What a server's own keeper can do to it."""

    def seed(self, table: str, rows: Sequence[Mapping[str, object]], moments: Sequence[str]) -> None:
        """Put rows of version 1 that were last changed at these moments."""
        ...

    def tie(self, table: str, ids: Sequence[str], moment: str) -> None:
        """Make these rows look as if they had been changed in one statement, at this moment."""
        ...

    def edits(self, table: str) -> dict[str, int]:
        """How often each row was written, its insert included."""
        ...

    def start(self) -> None: ...

    def kill(self) -> None: ...


class Remote:
    """A server, the wire to it, and tables that no other test uses.

    `items` has columns of many types, `labels` keeps no tombstones. `tasks` name their list in `list_id`, and
    say so; `plain_tasks` is the same table with nothing said. `rows`, `insert`, `change` and `remove` are
    another client's, past the wire.
    """

    def __init__(
        self,
        url: str,
        wire: WireProxy,
        door: BackDoor,
        deviations: Deviations,
        way: Way,
        folder: Path,
        name: Callable[[str], str],
    ) -> None:
        self.url, self.wire, self.door, self.folder = url, wire, door, folder
        self.deviations, self.way = deviations, way
        self._name, self._cleanup = name, contextlib.ExitStack()
        self.http = self._cleanup.enter_context(
            httpx.Client(base_url=f"{url}/tables", headers=HEADERS, verify=False)
        )
        self._tables: dict[str, Table[dict[str, Any]]] = {}
        self._devices = 0

    def close(self) -> None:
        self._cleanup.close()

    # ---- tables

    @property
    def items(self) -> Table[dict[str, Any]]:
        return self._declared("items", lambda: table(self.name("item"), ITEM, references={}))

    @property
    def typed(self) -> Table[dict[str, Any]]:
        """A table whose columns are declared at the server too."""
        columns = {name: kind for name, kind in ITEM.items() if name != "tags"}
        return self._declared("typed", lambda: table(self.name("typed"), columns, references={}))

    @property
    def newest_items(self) -> Table[dict[str, Any]]:
        """The table of `items`, where the last writer wins."""
        return self._declared(
            "newest", lambda: table(self.name("item"), ITEM, references={}, concurrency="last-write-wins")
        )

    @property
    def labels(self) -> Table[dict[str, Any]]:
        return self._declared("labels", lambda: table(self.name("label"), {"text": str}, references={}))

    @property
    def lists(self) -> Table[dict[str, Any]]:
        return self._declared("lists", lambda: table(self.name("list"), {"title": str}, references={}))

    @property
    def plain_lists(self) -> Table[dict[str, Any]]:
        return self._declared("plain_lists", lambda: table(self.name("list"), {"title": str}))

    @property
    def tasks(self) -> Table[dict[str, Any]]:
        columns = {"list_id": str, "text": str, "complete": bool}
        references = {"list_id": self.lists}
        return self._declared("tasks", lambda: table(self.name("task"), columns, references=references))

    @property
    def plain_tasks(self) -> Table[dict[str, Any]]:
        columns = {"list_id": str, "text": str, "complete": bool}
        return self._declared("plain_tasks", lambda: table(self.name("task"), columns))

    def name(self, kind: str) -> str:
        """The name that this test's table of a kind has on the server."""
        return self._name(kind)

    def _declared(self, key: str, make: Callable[[], Table[dict[str, Any]]]) -> Table[dict[str, Any]]:
        if key not in self._tables:
            self._tables[key] = make()
        return self._tables[key]

    # ---- devices

    def device(
        self,
        *tables: Table[Any],
        path: Path | None = None,
        url: str | None = None,
        policy: Policy = defer,
        page_size: int = 1000,
        **transport: Any,
    ) -> SyncContext:
        """An open context on a SQLite store and on the wire, closed when the test ends."""
        self._devices += 1
        context = SyncContext(
            SQLiteStore(path or self.folder / f"device-{self._devices}.db", synchronous="normal"),
            HttpTransport(url or self.wire.url, **{"protocol": self.way.protocol, **transport}),
            list(tables or [self.items]),
            policy=policy,
            page_size=page_size,
        )
        return self._cleanup.enter_context(context)

    # ---- another client

    def rows(self, table: Table[Any]) -> dict[str, Row]:
        """Everything in the table by id, tombstones included."""
        found: list[Row] = []
        while True:
            page = {"$orderby": "id", "$top": "500", "$skip": str(len(found)), "__includeDeleted": "true"}
            rows = self.http.get(f"/{table.name}", params=page).json()
            found += rows
            if len(rows) < 500:
                return {str(row["id"]): row for row in found}

    def alive(self, table: Table[Any], *columns: str) -> dict[str, Any]:
        """One column of each live row by id, or tuples of several; None where it has no value."""
        rows = {id: row for id, row in self.rows(table).items() if not row.get("deleted")}
        return {
            id: row.get(columns[0]) if len(columns) == 1 else tuple(row.get(name) for name in columns)
            for id, row in rows.items()
        }

    def row(self, table: Table[Any], id: str) -> Row:
        return self.rows(table)[id]

    def insert(self, table: Table[Any], id: str, **columns: object) -> Row:
        return self._done(self.http.post(f"/{table.name}", json={"id": id, **columns}))

    def change(self, table: Table[Any], id: str, **columns: object) -> Row:
        return self._done(self.http.patch(f"/{table.name}/{id}", json=columns))

    def remove(self, table: Table[Any], id: str) -> None:
        _ = self._done(self.http.delete(f"/{table.name}/{id}"))

    @staticmethod
    def _done(reply: httpx.Response) -> Row:
        return dict(reply.raise_for_status().json())

    def edits(self, table: Table[Any]) -> dict[str, int]:
        """How often each row of the table was written, its insert included: whatever a reply said of it."""
        return self.door.edits(table.name)

    # ---- what goes over the wire

    def plan(
        self,
        *faults: Fault,
        kind: Kind | None = None,
        id: str | None = None,
        when: Callable[[Seen], bool] | None = None,
        skip: int = 0,
        times: int | None = 1,
    ) -> None:
        """Plan faults for requests that carry changes: of this kind, of this record. See `WireProxy.plan`."""

        def carries(seen: Seen) -> bool:
            wanted = [sent for sent in changes(seen) if kind in (None, sent.kind) and id in (None, sent.id)]
            return bool(wanted) and (when is None or when(seen))

        self.wire.plan(*faults, when=carries, skip=skip, times=times)

    @property
    def changes(self) -> list[Sent]:
        """The changes that were sent, in the order of arrival."""
        return [sent for seen in self.wire.requests for sent in changes(seen)]

    def sent(self) -> list[str]:
        """The same as "insert id"."""
        return [f"{sent.kind} {sent.id}" for sent in self.changes]

    @property
    def pushes(self) -> list[Seen]:
        """The requests that carried changes."""
        return [seen for seen in self.wire.requests if changes(seen)]


def texts(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The text of each record by id."""
    return {record["id"]: record["text"] for record in records}
