"""The server's tables over bare httpx: what the tests send, and how they read it."""

import base64
from typing import Any

import httpx

HEADERS = {"ZUMO-API-VERSION": "2.0.0"}
Row = dict[str, Any]


def insert(http: httpx.Client, id: str, **columns: object) -> Row:
    return dict(http.post("/todoitem", json={"id": id, "text": "first", **columns}).json())


def version(number: int) -> str:
    return base64.b64encode(str(number).encode()).decode()


def match(version: str) -> dict[str, str]:
    return {"If-Match": f'"{version}"'}


def found(http: httpx.Client, filter: str, **parameters: str) -> list[Row]:
    reply = http.get("/todoitem", params={"$filter": filter, **parameters})
    assert reply.status_code == 200, reply.text
    return list(reply.json())


def ids(rows: list[Row]) -> list[str]:
    return [str(row["id"]) for row in rows]
