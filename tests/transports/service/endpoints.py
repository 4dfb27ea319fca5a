"""Endpoints for tests of what is around endpoints."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tidesync.contracts.store import StoreTransaction
from tidesync.contracts.transport import Absent, Applied, Change
from tidesync.errors import StoreBusy, StoreFull
from tidesync.schema import TableSchema
from tidesync.stores import MemoryStore
from tidesync.transports.commits import Write
from tidesync.transports.principal import Principal
from tidesync.transports.service import Problem, native, rest
from tidesync.transports.service.bodies import read_body, read_json
from tidesync.transports.service.served import Endpoint, Service

TODO = TableSchema("todoitem")
SECRET = "do-not-tell-4711"


def insert(id: str, **fields: Any) -> Change:
    """The insert of a record, by an operation of its own."""
    record = {"id": id, **fields}
    return Change(
        id=f"op-{id}", table="todoitem", record_id=id, kind="insert", record=record, fields=tuple(fields),
        expected=Absent(), attempts=1,
    )  # fmt: skip


async def write(service: Service, request: Request, principal: Principal) -> Response:
    """Insert the record that the body is."""
    record = read_json(await read_body(request, service.limits, service.limits.body))
    assert isinstance(record, dict)
    (outcome,) = await service.commit([Write(insert(**record), principal)])
    return JSONResponse({"applied": isinstance(outcome, Applied)}, 201)


async def read(service: Service, request: Request, principal: Principal) -> Response:
    """All records of a table."""
    table = service.table(request.path_params["table"], principal)
    return JSONResponse(await service.read(lambda: service.authority.records(table.name)))


async def who(service: Service, request: Request, principal: Principal) -> Response:
    """Who asks."""
    return JSONResponse(principal.name)


async def fail(service: Service, request: Request, principal: Principal) -> Response:
    """Fail as the query says, with a secret in the text."""
    match request.query_params["how"]:
        case "problem":
            raise Problem(418, "teapot", "short and stout", position=3, headers={"X-Spout": "here"})
        case "busy":
            raise StoreBusy("todo.db: another process writes")
        case "full":
            raise StoreFull("todo.db: the disk is full")
        case "late":

            async def parts() -> AsyncGenerator[bytes]:
                yield b"begun"
                raise ValueError(SECRET)

            return StreamingResponse(parts())
        case _:
            raise ValueError(SECRET)


async def long(service: Service, request: Request, principal: Principal) -> Response:
    """A reply of so many bytes, streamed in parts."""
    size, part = int(request.query_params["size"]), int(request.query_params.get("part", 50_000))

    async def parts() -> AsyncGenerator[bytes]:
        for start in range(0, size, part):
            yield b"x" * min(part, size - start)

    return StreamingResponse(parts(), media_type="application/json")


async def whole(service: Service, request: Request, principal: Principal) -> Response:
    """A reply of so many bytes, at once."""
    return Response(b"y" * int(request.query_params["size"]), media_type="application/json")


class Gate:
    """An endpoint that waits until it is opened; `entered` counts who came in."""

    def __init__(self) -> None:
        self.opened, self.entered = threading.Event(), threading.Semaphore(0)
        self.seconds = 30.0

    async def __call__(self, service: Service, request: Request, principal: Principal) -> Response:
        """Wait."""
        self.entered.release()
        _ = await asyncio.to_thread(self.opened.wait, self.seconds)
        return JSONResponse("through")


def routed(monkeypatch: pytest.MonkeyPatch, **endpoints: Endpoint) -> None:
    """Let every application made from now on have these endpoints, at `/name`, and those above."""
    routes: list[tuple[str, list[str], Endpoint]] = [
        ("/tables/{table}", ["GET"], read),
        ("/tables/{table}", ["POST"], write),
        ("/tables/{table}/{id}", ["DELETE", "GET"], fail),
        ("/who", ["GET"], who),
        ("/fail", ["GET"], fail),
        ("/long", ["GET"], long),
        ("/whole", ["GET"], whole),
    ]
    routes += [(f"/{name}", ["GET", "POST"], endpoint) for name, endpoint in endpoints.items()]
    monkeypatch.setattr(rest, "ROUTES", routes)
    monkeypatch.setattr(native, "ROUTES", ())


class WatchedStore(MemoryStore):
    """Counts write transactions, and calls `before` at the end of each, before it is committed."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.before: Callable[[], object] = lambda: None

    def transaction(self, *, write: bool) -> AbstractContextManager[StoreTransaction]:  # type: ignore[override]
        """A transaction of the store."""
        return self._watched() if write else super().transaction(write=False)

    @contextmanager
    def _watched(self) -> Iterator[StoreTransaction]:
        self.writes += 1
        with super().transaction(write=True) as transaction:
            yield transaction
            self.before()
