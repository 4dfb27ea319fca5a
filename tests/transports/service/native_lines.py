"""tidesync's own protocol, line by line, as a stranger would write and read it."""

import json
from collections.abc import Sequence
from typing import Any

import httpx

from tests.transports.service.support import Serving
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

TODO = TableSchema(
    "todo",
    (Column("text", ColumnType.STRING), Column("n", ColumnType.INTEGER), Column("owner", ColumnType.STRING)),
    {},
)
NOTE = TableSchema("note", (), {})
NDJSON = {"Content-Type": "application/x-ndjson"}


def insert(id: str, table: str = "todo", **fields: Any) -> dict[str, Any]:
    return {
        "id": f"op-{id}",
        "table": table,
        "record_id": id,
        "kind": "insert",
        "record": {"id": id, **fields},
    }


def line(message: Any) -> bytes:
    return message if isinstance(message, bytes) else json.dumps(message).encode()


def push(service: Serving, *messages: Any, **options: Any) -> list[Any]:
    """The lines of the reply."""
    body = b"".join(line(message) + b"\n" for message in messages)
    reply = service.http.post("/tidesync/v1/push", content=body, headers=NDJSON, **options)
    return lines(reply)


def lines(reply: httpx.Response) -> list[Any]:
    assert (200, "application/x-ndjson", "1") == (
        reply.status_code,
        reply.headers["content-type"],
        reply.headers["tidesync-protocol"],
    )
    assert reply.content.endswith(b"\n")
    return [json.loads(each) for each in reply.content.splitlines()]


def pull(service: Serving, **members: Any) -> httpx.Response:
    query = members.pop("query", {"table": "todo"})
    return service.http.post("/tidesync/v1/pull", json={"query": query, **members})


def told(messages: Sequence[Any]) -> list[str]:
    """What became of each change, and how the batch ended."""
    return [each.get("outcome") or next(iter(each)) for each in messages]
