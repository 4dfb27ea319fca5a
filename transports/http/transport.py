"""The HTTP transport: tidesync's own protocol, Azure Mobile Apps 2.0 and Datasync 3.0 over httpx."""

from __future__ import annotations

import importlib.metadata
import ssl
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, Literal, TypeAlias, get_args

import httpx

from tidesync.contracts.transport import Change, Outcome, Page, PullRequest, TransportCapabilities
from tidesync.errors import ConfigurationError, ContextClosed, ProtocolError
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema
from tidesync.transports.http.auth import Credentials, Tokens
from tidesync.transports.http.client import Caller, Limits
from tidesync.transports.http.dialect import Wire
from tidesync.transports.http.native import Native
from tidesync.transports.http.rest import Rest
from tidesync.transports.http.values import Dialect, Form
from tidesync.transports.http.wire import (
    Reply,
    Wanted,
    base_url,
    from_json,
    identity_of,
    loopback,
    message_of,
    refusal,
    rows_of,
)
from tidesync.transports.http.wire2 import Wire2
from tidesync.transports.http.wire3 import Wire3
from tidesync.transports.messages import HEADER, speaks

Protocol: TypeAlias = Literal["auto", "tidesync", "2.0", "3.0"]
Face: TypeAlias = Rest | Native
_WIRES: Final[Mapping[Dialect, Wire]] = {"2.0": Wire2(), "3.0": Wire3()}


class HttpTransport:
    """A way to a remote: a service of tidesync, or what speaks Azure Mobile Apps 2.0 or Datasync 3.0, at `url`.

    `protocol="auto"` finds out with one harmless request (one record of the first table). `auth` is an
    httpx.Auth, a token, or a function that returns a fresh token; a token travels as `X-ZUMO-AUTH` on 2.0
    and else as `Authorization: Bearer`, and is renewed once when refused. `timeout`: seconds for each
    phase of a request; `retries`: for reads only. `client`: an httpx.Client of your own (proxies,
    certificates, event hooks), which is not closed here. `page_limit`: records a page, 1000 at most. On 2.0
    and 3.0, `concurrency` is how many changes are under way at once, and `overlap` how many seconds the
    remote may make a change visible late.

    httpx logs every address at INFO, which names ids and filter values: raise the level of its logger where
    that matters. Plain http goes to this machine only, and to hosts named in `allow_plain_http_to`.
    Redirects are followed for reads, within the origin. A reply may have `max_reply_bytes`, decompressed.
    Raises `ConfigurationError`.
    """

    def __init__(  # noqa: PLR0913  # each is an option of its own, by keyword
        self,
        url: str,
        *,
        protocol: Protocol = "auto",
        auth: Credentials | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20.0,
        retries: int = 2,
        concurrency: int = 4,
        client: httpx.Client | None = None,
        overlap: float = 10.0,
        allow_plain_http_to: Sequence[str] = (),
        max_reply_bytes: int = 64 * 1024 * 1024,
        page_limit: int = 1000,
    ) -> None:
        if isinstance(allow_plain_http_to, str):
            allow_plain_http_to = (allow_plain_http_to,)
        self._base = base_url(url, allow_plain_http_to)
        if protocol not in get_args(Protocol):
            raise ConfigurationError(f"protocol is 'auto', 'tidesync', '2.0' or '3.0', not {protocol!r}")
        for name, value, least in (
            ("timeout", timeout, 0.001),
            ("overlap", overlap, 0),
            ("retries", retries, 0),
            ("concurrency", concurrency, 1),
            ("max_reply_bytes", max_reply_bytes, 1024),
            ("page_limit", page_limit, 1),
        ):
            seconds = name in ("timeout", "overlap")
            kind = int | float if seconds else int
            if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
                what = "a number" if seconds else "a whole number"
                raise ConfigurationError(f"{name} is {what}, {least} or more, not {value!r:.60}")
        try:
            self._headers = {"User-Agent": f"tidesync/{_version()}", **(headers or {})}
            _ = httpx.Headers(self._headers)
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError("headers= maps names to text") from error
        if auth is not None and not isinstance(auth, httpx.Auth | str) and not callable(auth):
            raise ConfigurationError(
                f"auth= is an httpx.Auth, a token or a function, not {type(auth).__name__}"
            )
        self._auth = auth if auth is None or isinstance(auth, httpx.Auth) else Tokens(auth)
        self._limits = Limits(timeout=timeout, retries=retries, max_reply_bytes=max_reply_bytes)
        self._protocol: Protocol = protocol
        self._concurrency, self._overlap = concurrency, overlap
        self._page_limit, self._given = page_limit, client
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._caller: Caller | None = None
        self._face: Face | None = None

    def __repr__(self) -> str:
        return f"HttpTransport({identity_of(self._base)!r}, protocol={self._protocol!r})"

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        """Find out who the remote is and what it speaks; on 2.0 and 3.0 that it is named sends nothing."""
        with self._lock:
            caller = self._connected()
            if self._face is not None:
                return self._face.open(tables)
            face, found = self._opened(caller, tables)
            self._face = face
            return found

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        """Send changes: on tidesync's own protocol in one request, else each with one of its own."""
        return self._ready().push(changes)

    def pull(self, request: PullRequest, /) -> Page:
        """Read one page."""
        return self._ready().pull(request)

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        """Read one record as it is now; a tombstone where the remote keeps one."""
        return self._ready().get(table, id)

    def close(self) -> None:
        """Close connections and threads; a client that was given stays open."""
        with self._lock:
            client, face = self._client, self._face
            self._client = self._caller = self._face = None
        if face is not None:
            face.close()
        if client is not None and client is not self._given:
            client.close()

    def _connected(self) -> Caller:
        if self._caller is None:
            # The environment's proxies are for other machines.
            outside = not loopback(self._base)
            self._client = self._given or httpx.Client(
                trust_env=outside,
                verify=_certificates(trust_env=outside),
                limits=httpx.Limits(max_connections=self._concurrency + 4, max_keepalive_connections=None),
            )
            self._caller = Caller(self._client, self._base, self._headers, self._auth, self._limits)
        return self._caller

    def _ready(self) -> Face:
        face = self._face
        if face is None:
            raise ContextClosed("the transport is not open: call open() first")
        return face

    def _opened(self, caller: Caller, tables: Sequence[TableSchema]) -> tuple[Face, TransportCapabilities]:
        if self._protocol == "tidesync":
            native = self._native(caller)
            return native, native.open(tables)
        face: Face
        if self._protocol != "auto":
            face = self._rest(caller, _WIRES[self._protocol])
            return face, face.open(tables)
        asked = self._asked(caller, tables)
        if speaks(asked.headers.get(HEADER)):
            face = self._native(caller)
        else:
            face = self._rest(caller, self._recognised(asked, tables))
        return face, face.open(tables)

    def _native(self, caller: Caller) -> Native:
        # Within one machine there is nothing to be gained by compressing.
        return Native(caller, page_limit=self._page_limit, compress=not loopback(self._base))

    def _rest(self, caller: Caller, wire: Wire) -> Rest:
        return Rest(
            caller, wire, concurrency=self._concurrency, overlap=self._overlap, page_limit=self._page_limit
        )

    def _asked(self, caller: Caller, tables: Sequence[TableSchema]) -> Reply:
        """The reply to a request as of 3.0 for one record of the first table that there is."""
        wire3 = _WIRES["3.0"]
        caller.dialect, caller.dialect_headers = "3.0", wire3.headers
        reply = Reply(404)
        for schema in tables:
            # Which names of columns can travel is not known yet.
            reply = caller.budget().read(wire3.list(Form(TableSchema(schema.name), "3.0"), Wanted(top=1)))
            if reply.status != 404:
                break
        return reply

    def _recognised(self, reply: Reply, tables: Sequence[TableSchema]) -> Wire:
        """Who answers so: a 2.0 server names the version it wants, or answers with a bare list."""
        if reply.ok:
            value = from_json(reply.body)
            _ = rows_of(value)
            return _WIRES["3.0" if isinstance(value, dict) and "items" in value else "2.0"]
        said = message_of(reply)
        if reply.status == 400 and ("API version" in said or "ZUMO-API-VERSION" in said.upper()):
            return _WIRES["2.0"]
        if not tables:
            raise ProtocolError(
                'without tables the protocol cannot be found out: say protocol="tidesync", "2.0" or "3.0"'
            )
        raise refusal(reply, f"{identity_of(self._base)}/tables")


@cache
def _version() -> str:
    try:
        return importlib.metadata.version("tidesync")
    except importlib.metadata.PackageNotFoundError:
        return "0"


@cache
def _certificates(*, trust_env: bool) -> ssl.SSLContext:
    """What httpx trusts by default, read once: that takes longer than a hundred requests."""
    return httpx.create_ssl_context(trust_env=trust_env)
