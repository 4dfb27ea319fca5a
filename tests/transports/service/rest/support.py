"""A table of films, a service of it, and clients of either dialect."""

import json
import urllib.parse
from collections.abc import Mapping
from typing import Any, Literal

import httpx

from tests.transports.service.support import Serving
from tidesync.contracts.transport import Applied, Change
from tidesync.records import Json, version_of
from tidesync.schema import Column, TableSchema
from tidesync.transports.authority import Authority
from tidesync.values import ColumnType

Dialect = Literal["2.0", "3.0"]

FILMS = TableSchema(
    "films",
    (
        Column("title", ColumnType.STRING),
        Column("year", ColumnType.INTEGER),
        Column("rating", ColumnType.FLOAT),
        Column("won", ColumnType.BOOLEAN),
        Column("released", ColumnType.DATETIME),
        Column("day", ColumnType.DATE),
        Column("price", ColumnType.DECIMAL),
        Column("tags", ColumnType.JSON),
        Column("owner", ColumnType.STRING),
    ),
    {},
)
NOTES = TableSchema("notes", (), {})
FILM = {"title": "Black Panther", "year": 2018, "won": True}
SYSTEM = {"id", "createdAt", "updatedAt", "version", "deleted"}
VERSIONS = {"2.0": "2.0.0", "3.0": "3.0.0"}


class Client:
    """Requests of one dialect to one service; `None` names no dialect."""

    def __init__(self, served: Serving, dialect: Dialect | None, **headers: str) -> None:
        self.served, self.dialect = served, dialect
        self.headers = dict(headers)
        if dialect is not None:
            self.headers["ZUMO-API-VERSION"] = VERSIONS[dialect]

    def __call__(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a request below /tables; a body is sent as JSON, bytes as they are."""
        sent = {**self.headers, **(headers or {})}
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if body is not None:
            _ = sent.setdefault("Content-Type", "application/json")
        return self.served.http.request(method, f"/tables/{path}", content=content, headers=sent)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Read."""
        return self("GET", path, headers=headers)

    def items(self, reply: httpx.Response) -> list[dict[str, Any]]:
        """The rows of a list reply."""
        assert 200 == reply.status_code, reply.text
        body: Any = reply.json()
        if self.dialect != "2.0":
            return list(body["items"])
        return list(body["results"] if isinstance(body, dict) else body)

    def next(self, reply: httpx.Response) -> str | None:
        """Where the next page is."""
        if self.dialect != "2.0":
            link: str | None = reply.json().get("nextLink")
            return link
        said = reply.headers.get("Link")
        if said is None:
            return None
        address, _, relation = said.partition("; ")
        assert "rel=next" == relation
        return str(address)

    def follow(self, link: str) -> httpx.Response:
        """Read the page that a link leads to."""
        return self.served.http.get(link, headers=self.headers)

    def walk(self, path: str) -> list[dict[str, Any]]:
        """All rows, page after page."""
        reply = self.get(path)
        found = self.items(reply)
        while (link := self.next(reply)) is not None:
            reply = self.follow(link)
            page = self.items(reply)
            assert page[-1] not in found, link
            found += page
        return found


def address(id: str) -> str:
    """The path of a film."""
    return f"films/{urllib.parse.quote(id, safe='')}"


def content(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the client owns of a row, without columns that have no value."""
    return {name: value for name, value in row.items() if name not in SYSTEM and value is not None}


def authority_of(served: Serving) -> Authority:
    """What a service serves."""
    authority: Authority = served.app.service.authority
    return authority


def keep(served: Serving, id: str, *, deleted: bool = False, table: str = "films", **fields: Json) -> str:
    """Put a record, past the service, and delete it again if it is to be deleted; its version."""
    authority = authority_of(served)
    record: dict[str, Json] = {"id": id, **fields}
    changes = [
        Change(
            id=f"insert {table} {id}",
            table=table,
            record_id=id,
            kind="insert",
            record=record,
            fields=tuple(record),
        )
    ]
    if deleted:
        changes.append(
            Change(id=f"delete {table} {id}", table=table, record_id=id, kind="delete", record=None)
        )
    outcome = authority.push(changes)[-1]
    assert isinstance(outcome, Applied), outcome
    return str(outcome.version)


def version_at(served: Serving, id: str) -> str | None:
    """The version of what is held under an id, also of a deleted record."""
    return version_of(authority_of(served).get("films", id))
