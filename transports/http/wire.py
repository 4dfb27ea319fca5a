"""Requests and replies as values: what every dialect shares; pure."""

from __future__ import annotations

import datetime
import email.utils
import ipaddress
import json
import math
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import attrs
import httpx

from tidesync.contracts.transport import Change
from tidesync.errors import ConfigurationError, InvalidQuery, ProtocolError, RequestRefused
from tidesync.records import Copy, Json, Record
from tidesync.transports.http.values import Form, Twice, type_name

NOTHING: Final = object()
"""The body of a request that has none (null is a body)."""
MESSAGE_LIMIT: Final = 500
_TAG = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_ESCAPE = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")


@attrs.frozen(kw_only=True)
class Content:
    """A body that is made already, in pieces; `encoding` says how it is compressed."""

    pieces: Sequence[bytes]
    type: str
    encoding: str | None = None

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(map(len, self.pieces))


@attrs.frozen(kw_only=True)
class Request:
    """One HTTP request; `path` is percent-encoded and relative to the tables, or a whole address.

    `body` is JSON or `Content`, `etag` goes to If-Match, `headers` are sent beside those of every request.
    `partial`: of a reply that breaks off, what came of it is wanted.
    """

    method: str
    path: str
    parameters: Sequence[tuple[str, str]] = ()
    body: object = NOTHING
    etag: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    partial: bool = False


@attrs.frozen
class Reply:
    """One HTTP reply, its body decompressed; `cut` says why it is not whole, where that is so."""

    status: int
    headers: httpx.Headers = attrs.field(factory=httpx.Headers)
    body: bytes = b""
    cut: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the status says success."""
        return 200 <= self.status < 300


@attrs.frozen(kw_only=True)
class Wanted:
    """What a list should hold; `order` is of wire names, with True for descending."""

    filter: str | None = None
    order: Sequence[tuple[str, bool]] = ()
    top: int
    skip: int = 0
    select: Sequence[str] | None = None
    deleted: bool = False
    total: bool = False
    parameters: Mapping[str, str] = attrs.field(factory=dict[str, str])


def list_request(form: Form, wanted: Wanted, *, count: tuple[str, str], deleted: tuple[str, str]) -> Request:
    """The request for a list; `count` and `deleted` are the protocol's own parameters for them."""
    found = [("$filter", wanted.filter)] if wanted.filter else []
    if wanted.order:
        keys = (f"{name} desc" if down else name for name, down in wanted.order)
        found.append(("$orderby", ",".join(keys)))
    found.append(("$top", str(wanted.top)))
    if wanted.skip:
        found.append(("$skip", str(wanted.skip)))
    if wanted.select is not None:
        found.append(("$select", ",".join(wanted.select)))
    if wanted.total:
        found.append(count)
    if wanted.deleted:
        found.append(deleted)
    return Request(
        method="GET",
        path=table_path(form.schema.name),
        parameters=[*found, *extra_parameters(wanted.parameters)],
    )


def insert_request(form: Form, change: Change) -> Request:
    """The request for an insert. Raises `Unsendable`."""
    record = change.record or {}
    return Request(
        method="POST",
        path=table_path(form.schema.name),
        parameters=extra_parameters(change.parameters),
        body={"id": change.record_id, **form.encode(record, (field for field in record if field != "id"))},
    )


def delete_request(form: Form, change: Change, version: str | None) -> Request:
    """The request for a delete."""
    return Request(
        method="DELETE",
        path=table_path(form.schema.name, change.record_id),
        parameters=extra_parameters(change.parameters),
        etag=version,
    )


def table_path(table: str, id: str | None = None) -> str:
    """The path of a table, or of one record in it; every character of the id survives."""
    if id is None:
        return urllib.parse.quote(table, safe="")
    return f"{urllib.parse.quote(table, safe='')}/{urllib.parse.quote(id, safe='')}"


def query_text(parameters: Sequence[tuple[str, str]]) -> str:
    """Parameters percent-encoded, `$` left readable, spaces as %20."""
    return urllib.parse.urlencode(parameters, quote_via=urllib.parse.quote, safe="$")


def if_match(version: str) -> str:
    """A version as an entity tag: quoted, quotes inside escaped."""
    return '"' + version.replace('"', '\\"') + '"'


def sendable_id(id: str) -> bool:
    """Whether an id fits a path: `.` and `..` are taken for steps of it, also when percent-encoded."""
    return id not in (".", "..")


def sendable_version(version: str) -> bool:
    """Whether a version fits a header: printable ASCII."""
    return version.isascii() and version.isprintable()


def extra_parameters(parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    """The caller's own query parameters. Raises `InvalidQuery` for names that belong to the protocol."""
    for name in parameters:
        if name.startswith(("$", "__")) or not name:
            raise InvalidQuery(
                f"the parameter {name!r} belongs to the protocol: choose a name without $ or __"
            )
    return list(parameters.items())


# ---------------------------------------------------------------- bodies


def to_json(value: object) -> bytes:
    """A request body."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Twice(found)


def _integer(text: str) -> int | float:
    return int(text) if len(text) < 40 else math.inf


def from_json(body: bytes, form: Form | None = None) -> Json:
    """The JSON of a reply. Raises `ProtocolError`.

    Where the form has decimals, fractions come out as Decimal. Numbers that no record can hold come out as
    infinities, repeated keys as `Twice`: each spoils its own record, not the page.
    """
    try:
        value: Json = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=Decimal if form is not None and form.exact_numbers else None,
        )
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ProtocolError(f"the reply is not JSON: {reason} (it begins {shown(body)!r})") from error
    return value


def object_of(body: bytes, form: Form | None = None) -> dict[str, Json] | None:
    """The JSON object of a reply, or None if it is anything else."""
    try:
        value = from_json(body, form)
    except ProtocolError:
        return None
    return value if isinstance(value, dict) else None


def rows_of(value: Json) -> tuple[list[Json], int | None]:
    """The rows and the count of a list reply, in the shape of either protocol. Raises `ProtocolError`."""
    if isinstance(value, list):
        return value, None
    if isinstance(value, dict):
        for key in ("results", "items"):
            rows: Json = value.get(key)
            if isinstance(rows, list):
                count = value.get("count")
                return rows, count if type(count) is int and count >= 0 else None
    raise ProtocolError(f"the reply to a list request is {type_name(value)} without rows")


def read_one(form: Form, row: Json, sent: Record | None = None) -> Copy:
    """The copy that a row stands for. Raises `ProtocolError`."""
    try:
        return form.read(row, sent)[1]
    except ValueError as error:
        raise ProtocolError(f"{form.schema.name}: the remote's record cannot be read: {error}") from error


def note_columns(reply: Reply, form: Form) -> None:
    """Remember the columns of the rows of a list, if it is one: the 2.0 server leaves none out."""
    if reply.ok:
        for row in rows_of(from_json(reply.body, form))[0]:
            if isinstance(row, dict):
                form.note(row)


def shown(body: bytes, limit: int = 80) -> str:
    """The beginning of a body, fit for a message: one line, no markup, no control characters."""
    text = body[: limit * 40].decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        text = _TAG.sub(" ", text)
    text = _ESCAPE.sub(" ", text).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def message_of(reply: Reply) -> str:
    """What the remote says went wrong, in one line."""
    found = object_of(reply.body)
    text = ""
    if found is not None:
        for key in ("error", "description", "detail", "title", "message"):
            value = found.get(key)
            if isinstance(value, dict):
                value = value.get("message")
            if isinstance(value, str) and value.strip():
                text = value
                break
    if not text:
        try:
            value = json.loads(reply.body)
            text = value if isinstance(value, str) else ""
        except (ValueError, RecursionError):
            text = ""
    said = shown(text.encode("utf-8", "replace") or reply.body, MESSAGE_LIMIT)
    return said or f"HTTP {reply.status}"


def refusal(reply: Reply, what: str) -> RequestRefused:
    """The error for a reply that is no success."""
    return RequestRefused(f"{what}: {reply.status}: {message_of(reply)}", code=str(reply.status))


# ---------------------------------------------------------------- headers


def _http_date(text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def clock_of(headers: httpx.Headers) -> str | None:
    """The remote's clock as canonical text: its Date header less the second that it may be behind."""
    moment = _http_date(headers.get("date"))
    if moment is None:
        return None
    try:
        earlier = moment.astimezone(datetime.UTC) - datetime.timedelta(seconds=1)
    except OverflowError:
        return None
    return earlier.isoformat(timespec="microseconds")[:-6] + "Z"


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds to wait, from Retry-After; a date is read by the remote's own clock where it tells."""
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until = _http_date(text)
        if until is None:
            return None
        now = _http_date(headers.get("date")) or datetime.datetime.now(datetime.UTC)
        seconds = (until - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


# ---------------------------------------------------------------- addresses


def loopback(url: httpx.URL) -> bool:
    """Whether an address is this machine."""
    host = url.host
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def base_url(text: str, allow_plain_http_to: Sequence[str] = ()) -> httpx.URL:
    """The normalised address of a remote: no trailing slash, no default port. Raises `ConfigurationError`.

    Plain http is for loopback, and for hosts that are allowed by name.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError) as error:
        raise ConfigurationError(f"this is not an address: {error}") from error
    if url.userinfo:
        raise ConfigurationError("the address carries a user name or password: pass them as auth= instead")
    if url.scheme not in ("http", "https") or not url.host or set(url.host) & set(" %"):
        raise ConfigurationError(f"a remote's address begins with https:// and a host, not {text[:40]!r}")
    if url.query or url.fragment:
        raise ConfigurationError(
            "the address of a remote has no query and no fragment: pass parameters with calls"
        )
    allowed = {host.lower() for host in allow_plain_http_to}
    if url.scheme == "http" and not loopback(url) and url.host.lower() not in allowed:
        raise ConfigurationError(
            f"plain http to {url.host} would show records and credentials to the network: use https, "
            f"or allow_plain_http_to=[{url.host!r}]"
        )
    return url.copy_with(raw_path=url.raw_path.rstrip(b"/") or b"/")


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port: what must be equal for credentials to travel."""
    return url.scheme, url.host, url.port or {"https": 443}.get(url.scheme, 80)


def identity_of(url: httpx.URL) -> str:
    """What a remote is known by: its origin and path."""
    return str(url).rstrip("/")
