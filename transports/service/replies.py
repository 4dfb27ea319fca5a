"""What is answered to a REST request: records, pages, and why something was not done."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from tidesync.contracts.transport import Conflicted, Outcome, Rejected
from tidesync.records import Json, Record
from tidesync.transports.service.asked import JSON, Asked
from tidesync.transports.service.conditions import entity_tag, http_date
from tidesync.transports.service.edits import Precondition, held
from tidesync.transports.service.listing import Listing, next_address
from tidesync.transports.service.problems import Problem

_REFUSED: Final = {"unknown_table": 404, "forbidden": 403, "too_large": 413}
_MINIMAL: Final = "return=minimal"
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def _json(value: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encode(value).encode(), status, headers=headers, media_type=JSON)


def _marks(row: Record) -> dict[str, str]:
    """The headers by which a representation is known again."""
    kept = held(row)
    return {"ETag": entity_tag(kept.version), "Last-Modified": http_date(kept.updated_at)}


def shown(asked: Asked, row: Record | None, status: int = 200) -> Response:
    """A record as it is held."""
    assert row is not None
    return _json(asked.rows.wire(row), status, _marks(row))


def unmodified(row: Record) -> Response:
    """What the client has is what is held."""
    return Response(status_code=304, headers=_marks(row))


def done(asked: Asked, row: Record | None, status: int, *, location: bool = False) -> Response:
    """The record that a write left, or nothing where the client prefers that."""
    assert row is not None
    headers = _marks(row)
    if location:
        id = urllib.parse.quote(str(row["id"]), safe="")
        headers["Location"] = f"{asked.base}{asked.path.rstrip('/')}/{id}"
    if asked.prefers(_MINIMAL):
        headers["Preference-Applied"] = _MINIMAL
        return Response(status_code=201 if status == 201 else 204, headers=headers)
    return _json(asked.rows.wire(row), status, headers)


def page(asked: Asked, listing: Listing, found: list[Record], total: int | None) -> Response:
    """The rows that fit a page, and the address of the next one where there are more."""
    rows, select, link = found[: listing.size], listing.select, None
    if len(found) > len(rows) and rows:
        query = listing.next_query(rows[-1], len(rows), caps=asked.manners.caps)
        if query is not None:
            link = next_address(asked.base, asked.path, query, asked.options.links)
    show = asked.rows
    items = [show.wire(row) if select is None else show.selected(row, select) for row in rows]
    if not asked.manners.caps:
        # Both published clients of 2.0 take all that is before the semicolon for the address: no brackets.
        headers = {} if link is None else {"Link": f"{link}; rel=next"}
        return _json(items if total is None else {"results": items, "count": total}, headers=headers)
    body: dict[str, Json] = {"items": items}
    if total is not None:
        body["count"] = total
    if link is not None:
        body["nextLink"] = link
    return _json(body)


def missing(status: int, id: str) -> Problem:
    """There is no such record (404), or it was deleted (410)."""
    if status == 410:
        return Problem(410, "gone", f"the item {id!r:.80} was deleted")
    return Problem(404, "not_found", "The item does not exist")


def refused(asked: Asked, id: str, precondition: Precondition, outcome: Outcome, status: int) -> Response:
    """Why a write was not made; `status` where what is held is not what was expected. Raises `Problem`."""
    row, why = precondition.row, precondition.status
    match outcome:
        case Rejected(code, message):
            raise Problem(_REFUSED.get(code, 400), code, message)
        case Conflicted() if why in (404, 410):
            raise missing(why, id)
        case Conflicted() if why == 400:
            names = ", ".join(precondition.system)
            detail = f"system columns cannot be changed, and one of these is not as it is held: {names}"
            raise Problem(400, "reserved_field", detail)
        case Conflicted() if row is None:
            raise Problem(412, "precondition_failed", "there is no item that the condition holds for")
        case Conflicted():
            return shown(asked, row, why or status)
        case _:
            raise Problem(500, "failed", "the write was not made, because a rule of this service failed")
