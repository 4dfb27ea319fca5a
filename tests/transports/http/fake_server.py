"""A 2.0 server in memory that does what the real one was seen to do, and nothing more."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx

from tests.transports.http.odata_server import BadFilter, Compare, Filter, NoColumn, sqlite

SYSTEM = ("id", "createdAt", "updatedAt", "version", "deleted")
START = datetime(2026, 11, 20, 3, 45, 5, tzinfo=UTC)


def version(number: int) -> str:
    return base64.b64encode(str(number).encode()).decode()


def reply(status: int, body: Any = None, **headers: str) -> httpx.Response:
    if body is None:
        return httpx.Response(status, headers=headers)
    return httpx.Response(status, content=json.dumps(body).encode(), headers=headers)


class FakeServer:
    """Tables of rows. `tick`: seconds that the clock moves with each write. `cap`: most rows a reply has."""

    def __init__(
        self,
        tables: dict[str, tuple[str, ...]],
        *,
        tick: float = 0.001,
        cap: int = 1000,
        compare: Compare = sqlite,
    ) -> None:
        self.columns = {name: [*columns] for name, columns in tables.items()}
        self.rows: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in tables}
        self.now, self.tick, self.cap = START, timedelta(seconds=tick), cap
        self.compare = compare
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if not request.headers.get("zumo-api-version", "").startswith("2.0."):
            return reply(400, {"error": "An invalid API version was specified in the request"})
        parts = [unquote(part) for part in request.url.raw_path.decode().split("?")[0].split("/")]
        parts = parts[parts.index("tables") + 1 :]
        table, id = parts[0], parts[1] if len(parts) > 1 else None
        if table not in self.rows:
            return httpx.Response(404, html="<html><body>Cannot GET it</body></html>")
        answer = getattr(self, f"_{request.method.lower()}")(table, id, request)
        answer.headers["date"] = self.now.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return answer

    # ---- what a test does behind the client's back

    def put(self, table: str, id: str, **fields: Any) -> dict[str, Any]:
        """Write a row; its time is given by `updatedAt`, or the clock's."""
        self.now += self.tick
        old = self.rows[table].get(id, {"n": 0})
        stamp = fields.pop("updatedAt", self.now.isoformat(timespec="milliseconds")[:-6] + "Z")
        for name in fields:
            if name != "deleted" and name not in self.columns[table]:
                self.columns[table].append(name)
        row = {**old, "id": id, "deleted": False, **fields, "n": old["n"] + 1, "updatedAt": stamp}
        row.setdefault("createdAt", stamp)
        self.rows[table].pop(id, None)
        self.rows[table][id] = row
        return row

    def shown(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        plain = {name: row.get(name) for name in self.columns[table]}
        system = {name: row[name] for name in ("id", "createdAt", "updatedAt", "deleted")}
        return {**plain, **system, "version": version(row["n"])}

    # ---- the protocol

    def _one(self, status: int, table: str, row: dict[str, Any]) -> httpx.Response:
        return reply(status, self.shown(table, row), etag=f'"{version(row["n"])}"')

    def _get(self, table: str, id: str | None, request: httpx.Request) -> httpx.Response:
        if id is not None:
            row = self.rows[table].get(id)
            if row is None or row["deleted"]:
                return reply(404, {"error": "The item does not exist"})
            return self._one(200, table, row)
        wanted = dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
        top = int(wanted.get("$top", 50))
        if top > 1000:
            return reply(400, {"error": "You cannot request more than 1000 records"})
        rows = [
            row for row in self.rows[table].values() if wanted.get("__includeDeleted") or not row["deleted"]
        ]
        columns = frozenset(self.columns[table]) | frozenset(SYSTEM)
        named = [
            part.split(" ")[0] for key in ("$orderby", "$select") for part in wanted.get(key, "id").split(",")
        ]
        try:
            if "$filter" in wanted:
                condition = Filter(wanted["$filter"], columns, self.compare)
                _ = condition.holds({})
                rows = [row for row in rows if condition.holds(row) is True]
            if not columns.issuperset(named):
                raise NoColumn
        except NoColumn:
            rows = []
        except BadFilter as error:
            return reply(500, {"error": str(error)})
        for part in reversed(wanted.get("$orderby", "id").split(",")):
            name, _, down = part.partition(" ")
            rows.sort(key=lambda row: _storage(row.get(name)), reverse=bool(down))
        count, skip = len(rows), int(wanted.get("$skip", 0))
        page: list[dict[str, Any]] = [
            self.shown(table, row) for row in rows[skip : skip + min(top, self.cap)]
        ]
        if "$select" in wanted:
            page = [{name: row[name] for name in wanted["$select"].split(",")} for row in page]
        if wanted.get("$inlinecount") == "allpages":
            return reply(200, {"results": page, "count": count})
        return reply(200, page, link="http://127.0.0.1/?%24top=50&%24skip=50; rel=next")

    def _post(self, table: str, id: str | None, request: httpx.Request) -> httpx.Response:
        if id is not None:
            row = self.rows[table].get(id)
            if row is None:
                return reply(404, {"error": "The item does not exist"})
            return self._refused(table, row, request) or self._one(
                201, table, self.put(table, id, deleted=False)
            )
        item = json.loads(request.content)
        if any(name.lower() in ("createdat", "updatedat", "deleted") for name in item):
            return reply(400, {"error": "Cannot update item with property as it is reserved"})
        if item["id"] in self.rows[table]:
            return reply(409, item, etag='W/"abc"')
        return self._one(201, table, self.put(table, item.pop("id"), **item))

    def _patch(self, table: str, id: str | None, request: httpx.Request) -> httpx.Response:
        assert id is not None
        item = json.loads(request.content)
        row = self.rows[table].get(id)
        if row is None or row["deleted"]:
            return reply(404, {"error": "The item does not exist"})
        if not item or any(value is None and name not in self.columns[table] for name, value in item.items()):
            return reply(500, {"error": 'SQLITE_ERROR: near "WHERE": syntax error'})
        return self._refused(table, row, request) or self._one(200, table, self.put(table, id, **item))

    def _delete(self, table: str, id: str | None, request: httpx.Request) -> httpx.Response:
        assert id is not None
        row = self.rows[table].get(id)
        if row is None or row["deleted"]:
            return reply(404, {"error": "The item does not exist"})
        return self._refused(table, row, request) or self._one(200, table, self.put(table, id, deleted=True))

    def _refused(self, table: str, row: dict[str, Any], request: httpx.Request) -> httpx.Response | None:
        wanted = request.headers.get("if-match")
        if wanted is None or wanted.strip('"') == version(row["n"]):
            return None
        return self._one(412, table, row)


def _storage(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    return (2, value.encode()) if isinstance(value, str) else (1, value)
