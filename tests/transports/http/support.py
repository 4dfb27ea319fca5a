"""Tables, changes and transports for these tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

import httpx

from tidesync.contracts.transport import (
    Absent,
    Change,
    ChangeKind,
    Expected,
    Outcome,
    Page,
    PullRequest,
    TransportCapabilities,
    Version,
)
from tidesync.query import Query
from tidesync.records import Json, Record, Tombstone
from tidesync.schema import Column, TableSchema
from tidesync.transports.http import AsyncHttpTransport, HttpTransport
from tidesync.values import ColumnType

TODO = TableSchema(
    "todoitem",
    (
        Column("text", ColumnType.STRING),
        Column("complete", ColumnType.BOOLEAN),
        Column("priority", ColumnType.FLOAT),
        Column("count", ColumnType.INTEGER),
        Column("due", ColumnType.DATETIME),
        Column("price", ColumnType.DECIMAL),
        Column("extra", ColumnType.JSON),
        Column("created_on", ColumnType.STRING, wire="createdOn"),
    ),
)
COLUMNS = ("text", "complete", "priority", "count", "due", "price", "extra", "createdOn")
ABSENT = Absent()
URL = "http://127.0.0.1:8080/app"
ROW = {"id": "a", "version": "AAA=", "updatedAt": "2026-11-20T03:45:05.000Z"}
READ = PullRequest(query=Query("todoitem"))
Handler = Callable[[httpx.Request], httpx.Response]
Awaited = Callable[[httpx.Request], Awaitable[httpx.Response]]
Answer = httpx.Response | type[httpx.TransportError] | Handler


class OnLoop:
    """An asynchronous transport to call as a synchronous one: each call is a run of the loop."""

    def __init__(self, inner: AsyncHttpTransport, runner: asyncio.Runner) -> None:
        self.inner, self.runner = inner, runner

    def __repr__(self) -> str:
        return repr(self.inner)

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        return self.runner.run(self.inner.open(tables))

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return self.runner.run(self.inner.push(changes))

    def pull(self, request: PullRequest, /) -> Page:
        return self.runner.run(self.inner.pull(request))

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        return self.runner.run(self.inner.get(table, id))

    def close(self) -> None:
        self.runner.run(self.inner.close())


Way = HttpTransport | OnLoop
runner: asyncio.Runner | None = None
"""The loop that transports are made for; None makes them for threads. See the fixture `driver`."""


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes from the wire and not from memory, piece by piece; an exception among them breaks it off."""

    def __init__(self, pieces: Iterable[bytes | Exception]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def transport(handler: Handler | Awaited, *, tables: Sequence[TableSchema] = (TODO,), **options: Any) -> Way:
    """An open transport whose network is a function; 2.0 unless `protocol` says otherwise."""
    options.setdefault("protocol", "2.0")
    url, network = options.pop("url", URL), httpx.MockTransport(handler)
    found: Way
    if runner is None:
        found = HttpTransport(url, client=httpx.Client(transport=network, verify=False), **options)
    else:
        client = httpx.AsyncClient(transport=network, verify=False)
        found = OnLoop(AsyncHttpTransport(url, client=client, **options), runner)
    _ = found.open(tables)
    return found


def insert(id: str, *, expected: Expected = ABSENT, attempts: int = 1, **fields: Json) -> Change:
    return change("insert", id, {"id": id, **fields}, tuple(fields), expected, attempts)


def update(id: str, version: str, **fields: Json) -> Change:
    return change("update", id, {"id": id, **fields}, tuple(fields), Version(version))


def delete(id: str, version: str) -> Change:
    return change("delete", id, None, (), Version(version))


def change(
    kind: ChangeKind,
    id: str,
    record: Record | None,
    fields: tuple[str, ...],
    expected: Expected,
    attempts: int = 1,
) -> Change:
    return Change(
        id=f"op-{id}", table="todoitem", record_id=id, kind=kind, record=record, fields=fields,
        expected=expected, attempts=attempts,
    )  # fmt: skip


def push_one(way: Way, one: Change) -> Outcome:
    (outcome,) = way.push([one])
    return outcome


def pages(
    way: Way, query: Query, *, between: Callable[[], object] = lambda: None, **options: Any
) -> list[Page]:
    """Every page of a pull, to its end; `between` runs after each."""
    found: list[Page] = []
    cursor = options.pop("cursor", None)
    overlap = options.pop("overlap", 0.0)
    while len(found) < 500:
        page = way.pull(PullRequest(query=query, cursor=cursor, overlap=overlap, **options))
        found.append(page)
        cursor, overlap = page.cursor, 0.0
        if not page.more:
            return found
        _ = between()
    raise AssertionError("the pull does not end")


def pulled(found: Sequence[Page]) -> tuple[dict[str, Record], dict[str, Tombstone]]:
    """What a device holds after these pages."""
    records: dict[str, Record] = {}
    tombstones: dict[str, Tombstone] = {}
    for page in found:
        for record in page.records:
            records[str(record["id"])] = record
            _ = tombstones.pop(str(record["id"]), None)
        for id, tombstone in page.tombstones.items():
            tombstones[id] = tombstone
            _ = records.pop(id, None)
    return records, tombstones


class Script:
    """A network that plays its answers in turn, the last one for ever; keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
        if isinstance(answer, type):
            raise answer("broken", request=request)
        return answer(request)
