"""Azure Mobile Apps 2.0 and Datasync 3.0 under `/tables`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tidesync.contracts.transport import Applied, Conflicted, Outcome
from tidesync.records import Record, Tombstone, version_of
from tidesync.transports.commits import Write
from tidesync.transports.layout import DELETED, content_in
from tidesync.transports.listings import find_row, list_rows
from tidesync.transports.principal import Principal
from tidesync.transports.service.asked import JSON, JSON_PATCH, MERGE_PATCH, Asked, read_request
from tidesync.transports.service.edits import (
    Edit,
    Target,
    held,
    read_insert,
    read_json_patch,
    read_patch,
    read_whole,
)
from tidesync.transports.service.listing import read_listing
from tidesync.transports.service.problems import Problem
from tidesync.transports.service.replies import done, missing, page, refused, shown, unmodified
from tidesync.transports.service.served import Endpoint, Service

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_TRIES: Final = 3


async def of_table(service: Service, request: Request, principal: Principal) -> Response:
    """Answer a request for a table."""
    asked = read_request(service, request, principal)
    match request.method:
        case "GET" | "HEAD":
            return await _list(asked)
        case "POST":
            return await _insert(asked)
        case _:
            raise _not_allowed("GET, HEAD, POST")


async def of_record(service: Service, request: Request, principal: Principal) -> Response:
    """Answer a request for one record; for its table, where the address ends with a slash."""
    asked = read_request(service, request, principal)
    if asked.id is None:
        return await of_table(service, request, principal)
    target = asked.target(asked.id)
    match request.method:
        case "GET" | "HEAD":
            return await _read(asked, target)
        case "PATCH":
            return await _patch(asked, target)
        case "PUT":
            return await _replace(asked, target)
        case "DELETE":
            return await _delete(asked, target)
        case "POST" if asked.manners.revives:
            return await _undelete(asked, target, Edit({}), 201)
        case _:
            others = ", POST" if asked.manners.revives else ""
            raise _not_allowed(f"GET, HEAD, PUT, PATCH, DELETE{others}")


ROUTES: Final[Sequence[tuple[str, Sequence[str], Endpoint]]] = (
    ("/tables/{table}", METHODS, of_table),
    ("/tables/{table}/{id:path}", METHODS, of_record),
)


def _not_allowed(allowed: str) -> Problem:
    return Problem(405, "method_not_allowed", f"this address takes {allowed}", headers={"Allow": allowed})


# ---- reading


async def _list(asked: Asked) -> Response:
    service, schema = asked.service, asked.rows.schema
    listing = read_listing(
        asked.pairs,
        schema,
        asked.manners,
        service.limits,
        closed=service.authority.is_closed(schema.name),
        deleted=asked.options.deleted,
    )

    def ask() -> tuple[list[Record], int | None]:
        query, after = listing.query(), listing.after
        return list_rows(service.authority, query, asked.principal, deleted=listing.deleted, after=after)

    found, total = await service.read(ask)
    return page(asked, listing, found, total)


async def _held(asked: Asked, id: str) -> Record | None:
    authority, table = asked.service.authority, asked.rows.schema.name
    return await asked.service.read(lambda: find_row(authority, table, id, asked.principal))


async def _read(asked: Asked, target: Target) -> Response:
    row = await _held(asked, target.id)
    if row is None or (row[DELETED] and not target.deleted):
        raise missing(404 if row is None else asked.manners.gone, target.id)
    status = target.conditions.failure(held(row))
    return unmodified(row) if status == 304 else shown(asked, row, status or 200)


# ---- writing


async def _commit(asked: Asked, write: Write) -> Outcome:
    (outcome,) = await asked.service.commit([write])
    return outcome


async def _insert(asked: Asked) -> Response:
    id, edit = read_insert(await asked.body(), asked.rows, asked.manners)
    target = asked.target(id)
    required = target.requires("nothing")
    outcome = await _commit(asked, target.write("insert", required, edit.content))
    if isinstance(outcome, Applied):
        return done(asked, required.row, 201, location=True)
    return refused(asked, id, required, outcome, 409)


async def _patch(asked: Asked, target: Target) -> Response:
    kind = asked.media_type(JSON, MERGE_PATCH, JSON_PATCH)
    body = await asked.body(kind)
    if kind == JSON_PATCH:
        edit = read_json_patch(body, asked.rows, asked.manners, target.id)
    else:
        edit = read_patch(body, asked.rows, asked.manners, target.id, merge=kind == MERGE_PATCH)
    if not edit.live:
        return await _update(asked, target, edit)
    if edit.fields:
        return await _revive(asked, target, edit, whole=False)
    return await _undelete(asked, target, edit, 200)


async def _replace(asked: Asked, target: Target) -> Response:
    edit = read_whole(await asked.body(), asked.rows, asked.manners, target.id)
    if target.deleted:
        return await _revive(asked, target, edit, whole=True)
    return await _update(asked, target, edit, whole=True)


async def _update(asked: Asked, target: Target, edit: Edit, *, whole: bool = False) -> Response:
    required, expected = target.changing(edit.version, edit.system)
    outcome = await _commit(
        asked,
        target.write("update", required, edit.content, expected=expected, fields=edit.fields, whole=whole),
    )
    if isinstance(outcome, Applied):
        return done(asked, required.row, 200)
    said_in_body = edit.version is not None and target.conditions.match is None
    return refused(asked, target.id, required, outcome, 409 if said_in_body else 412)


async def _delete(asked: Asked, target: Target) -> Response:
    required, expected = target.changing(None)
    outcome = await _commit(asked, target.write("delete", required, expected=expected))
    if not isinstance(outcome, Applied):
        return refused(asked, target.id, required, outcome, 412)
    return done(asked, required.row, 200) if asked.manners.shows_deleted else Response(status_code=204)


async def _undelete(asked: Asked, target: Target, edit: Edit, status: int) -> Response:
    """Bring back what was deleted, with the content that it had; what is alive stays as it is."""
    required = target.requires("dead", edit.system)
    outcome = await _commit(asked, target.write("undelete", required))
    if isinstance(outcome, Applied) or (isinstance(outcome, Conflicted) and required.alive):
        return done(asked, required.row, status)
    return refused(asked, target.id, required, outcome, 412)


async def _revive(asked: Asked, target: Target, edit: Edit, *, whole: bool) -> Response:
    """Bring back what was deleted with other content, at once; change what is alive.

    `whole`: the content is that of the edit, else what it had with the fields of the edit.
    """
    for _ in range(_TRIES):
        row = await _held(asked, target.id)
        if row is None or not row[DELETED]:
            return await _update(asked, target, edit, whole=whole)
        kept = {} if whole else content_in(row)
        content = {name: value for name, value in kept.items() if name not in edit.cleared} | edit.content
        required = target.requires("dead", edit.system)
        seen = Tombstone(version_of(row))
        outcome = await _commit(asked, target.write("insert", required, content, expected=seen))
        if isinstance(outcome, Applied):
            return done(asked, required.row, 200)
        if required.status is not None or not isinstance(outcome, Conflicted):
            return refused(asked, target.id, required, outcome, 412)
    raise Problem(409, "changes_too_often", f"{target.id!r:.80} changes too often: try again")
