"""The least that could be called a service of one table: bare Starlette handlers on a bare apsw connection.

`python -m benchmarks.bare_service FILE` prints its port when it is ready. It keeps what the service keeps of a
record: content, version, times, and the place in the order of commits. It checks nothing and merges nothing.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading

import apsw
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STAMP = "2026-01-01T00:00:00.000Z"
PUT = "insert or replace into notes(id, content, version, updated_at) values(?, ?, ?, ?)"


class Kept:
    """One connection, and one lock for it."""

    def __init__(self, path: str) -> None:
        self.lock = threading.Lock()
        self.file = apsw.Connection(path)
        self.file.pragma("journal_mode", "wal")
        self.file.pragma("synchronous", 2)
        self.file.execute(
            "create table if not exists notes"
            "(sequence integer primary key autoincrement, id text unique, content text, version text, updated_at text)"
        )

    def put(self, contents: list[str]) -> None:
        """Keep these records in one durable transaction."""
        with self.lock, self.file:
            self.file.executemany(PUT, [(json.loads(c)["id"], c, "v1", STAMP) for c in contents])

    def page(self, where: str, values: tuple[object, ...], limit: int) -> list[tuple[object, ...]]:
        """Rows behind a place."""
        with self.lock:
            sql = f"select sequence, id, content, version, updated_at from notes where {where} limit {limit}"
            return list(self.file.execute(sql, values))


def app(kept: Kept) -> Starlette:
    """Insert one, page by id, insert many, page by commits."""

    async def insert(request: Request) -> Response:
        body = (await request.body()).decode()
        await run_in_threadpool(kept.put, [body])
        sent = {**json.loads(body), "version": "v1", "updatedAt": STAMP, "createdAt": STAMP, "deleted": False}
        return _json(sent, 201, {"ETag": '"v1"'})

    async def page(request: Request) -> Response:
        limit = int(request.query_params["$top"])
        rows = await run_in_threadpool(kept.page, "id > ? order by id", ("",), limit)
        return _json({"items": [_sent(row) for row in rows]})

    async def batch(request: Request) -> Response:
        lines = (await request.body()).decode().splitlines()
        await run_in_threadpool(kept.put, lines)
        return Response("\n".join(json.dumps({"version": "v1", "at": STAMP}) for _ in lines))

    async def since(request: Request) -> Response:
        after = int(request.query_params["after"])
        rows = await run_in_threadpool(kept.page, "sequence > ? order by sequence", (after,), 1000)
        return Response("\n".join(json.dumps([row[0], _sent(row)]) for row in rows))

    return Starlette(
        routes=[
            Route("/tables/notes", insert, methods=["POST"]),
            Route("/tables/notes", page),
            Route("/batch", batch, methods=["POST"]),
            Route("/since", since),
        ]
    )


def _sent(row: tuple[object, ...]) -> dict[str, object]:
    _, id, content, version, moment = row
    record: dict[str, object] = json.loads(str(content))
    return {
        **record,
        "id": id,
        "version": version,
        "updatedAt": moment,
        "createdAt": moment,
        "deleted": False,
    }


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, headers, media_type="application/json")


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # As the service does, or each reply waits for the client's acknowledgement of the one before.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(app(Kept(sys.argv[1])), log_level="error", access_log=False, lifespan="off")
        asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
