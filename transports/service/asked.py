"""One REST request, as far as it can be read without its body: the dialect, the address, the conditions."""

from __future__ import annotations

import re
import urllib.parse
from typing import Final
from weakref import WeakKeyDictionary

import attrs
from starlette.requests import Request

from tidesync.records import Json
from tidesync.transports.http.values import Dialect
from tidesync.transports.principal import Principal
from tidesync.transports.service.bodies import read_body, read_json
from tidesync.transports.service.conditions import read_conditions
from tidesync.transports.service.dialects import OPTIONS, VERSION, Manners, Options, manners_of, options_of
from tidesync.transports.service.edits import Target, read_id
from tidesync.transports.service.listing import Pairs, read_options, read_pairs, versions_in, wants_deleted
from tidesync.transports.service.problems import Problem
from tidesync.transports.service.rows import Rows
from tidesync.transports.service.served import Service

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]*)\"?", re.IGNORECASE)
_rows: WeakKeyDictionary[Service, dict[tuple[str, Dialect], Rows]] = WeakKeyDictionary()


@attrs.frozen(kw_only=True)
class Asked:
    """Who asks for what. `id` None: for the table. `path` is percent-encoded, without parameters."""

    service: Service
    request: Request
    principal: Principal
    manners: Manners
    options: Options
    pairs: Pairs
    path: str
    rows: Rows
    id: str | None

    def target(self, id: str) -> Target:
        """A record, and what is required of it. Raises `Problem` 400."""
        conditions = read_conditions(
            self.request.headers.getlist,
            reading=self.request.method in ("GET", "HEAD"),
            bare=self.manners.bare_tags,
            strict_dates=self.manners.strict_dates,
        )
        return Target(
            rows=self.rows,
            id=id,
            principal=self.principal,
            manners=self.manners,
            conditions=conditions,
            deleted=wants_deleted(read_options(self.pairs)) or self.options.deleted,
        )

    def media_type(self, *taken: str) -> str:
        """What the body is said to be, without parameters. Raises `Problem` 415 for what is not taken."""
        said = self.request.headers.get("content-type", "")
        kind = said.partition(";")[0].strip().lower()
        if not kind and self.manners.untyped:
            kind = JSON
        if kind not in taken:
            detail = f"the body is to be {' or '.join(taken)}, and Content-Type says {said!r:.80}"
            raise Problem(415, "unsupported_type", detail, headers={"Accept": ", ".join(taken)})
        charset = _CHARSET.search(said)
        if charset is not None and charset[1].lower() not in ("utf-8", "utf8"):
            raise Problem(415, "unsupported_charset", f"the body is to be UTF-8, not {charset[1]!r:.40}")
        return kind

    async def body(self, *taken: str) -> Json:
        """The JSON that was sent. Raises `Problem`."""
        _ = self.media_type(*(taken or (JSON,)))
        limits = self.service.limits
        return read_json(await read_body(self.request, limits, limits.body))

    @property
    def base(self) -> str:
        """The scheme and host that the client used."""
        url = self.request.url
        return f"{url.scheme}://{url.netloc}"

    def prefers(self, preference: str) -> bool:
        """Whether the client states a preference (RFC 7240)."""
        said = ",".join(self.request.headers.getlist("prefer"))
        return any(part.partition(";")[0].replace(" ", "").lower() == preference for part in said.split(","))


def read_request(service: Service, request: Request, principal: Principal) -> Asked:
    """What a request is for. Raises `Problem`: 404 for an address or table that is none, 400 for malformed ones."""
    pairs = read_pairs(request.scope["query_string"])
    versions = request.headers.getlist(VERSION) or versions_in(pairs)
    manners = manners_of(versions)
    path, table, id = _address(request)
    rows = _rows_of(service, table, principal, manners.dialect)
    return Asked(
        service=service,
        request=request,
        principal=principal,
        manners=manners,
        options=options_of(request.headers.getlist(OPTIONS), versioned=bool(versions)),
        pairs=pairs,
        path=path,
        rows=rows,
        id=None if id is None else read_id(rows.schema.name, id),
    )


def _address(request: Request) -> tuple[str, str, str | None]:
    """The path, the table's name, and the record's id if there is one. Raises `Problem` 404 and 400.

    An id may hold any character, a slash too, so that the path is parted before it is decoded.
    """
    scope = request.scope
    raw: bytes = scope.get("raw_path") or urllib.parse.quote(scope["path"]).encode()
    path = raw.partition(b"?")[0].decode("ascii", "replace")
    above = scope.get("root_path", "").strip("/")
    parts = path.split("/")[1 + (above.count("/") + 1 if above else 0) :]
    # A table's address may end with a slash: the community's clients write it so.
    match parts:
        case ["tables", table] | ["tables", table, ""]:
            found, id = table, None
        case ["tables", table, id]:
            found = table
        case _:
            raise Problem(404, "not_found", "nothing is served at this address")
    try:
        name = urllib.parse.unquote(found, errors="strict")
        return path, name, None if id is None else urllib.parse.unquote(id, errors="strict")
    except UnicodeDecodeError as error:
        raise Problem(400, "malformed_address", "the address is not percent-encoded UTF-8") from error


def _rows_of(service: Service, table: str, principal: Principal, dialect: Dialect) -> Rows:
    """The table as the dialect shows it; its name counts without case where it is no other's."""
    tables = service.authority.tables
    if table not in tables:
        alike = [name for name in tables if name.lower() == table.lower() and principal.sees(name)]
        table = alike[0] if len(alike) == 1 else table
    schema = service.table(table, principal)
    known = _rows.setdefault(service, {})
    if (schema.name, dialect) not in known:
        known[schema.name, dialect] = Rows(schema, dialect)
    return known[schema.name, dialect]
