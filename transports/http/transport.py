"""The HTTP transport: Azure Mobile Apps 2.0 and Datasync 3.0 over httpx."""

from __future__ import annotations

import importlib.metadata
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, TypeAlias

import httpx

from tidesync.contracts.transport import (
    Change,
    CursorGuarantee,
    Denied,
    NotSent,
    Outcome,
    Page,
    PullRequest,
    TransportCapabilities,
    Unknown,
    Untried,
)
from tidesync.errors import ConfigurationError, ContextClosed, InvalidId, ProtocolError, UnknownTable
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema
from tidesync.transports.http.auth import Credentials, Tokens
from tidesync.transports.http.client import Caller, Limits
from tidesync.transports.http.dialect import Wire
from tidesync.transports.http.pull import Reader
from tidesync.transports.http.push import perform
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
    sendable_id,
)
from tidesync.transports.http.wire2 import Wire2
from tidesync.transports.http.wire3 import Wire3

Protocol: TypeAlias = Literal["auto", "2.0", "3.0"]
_WIRES: Final[Mapping[Dialect, Wire]] = {"2.0": Wire2(), "3.0": Wire3()}
_STOPS: Final = (Unknown, NotSent, Denied)


class HttpTransport:
    """A way to a remote that speaks Azure Mobile Apps 2.0 or Datasync 3.0 under `url` + `/tables/…`.

    `protocol="auto"` finds out with one harmless request (one record of the first table). `auth` is an
    httpx.Auth, a token, or a function that returns a fresh token; a token travels as `X-ZUMO-AUTH` on 2.0
    and as `Authorization: Bearer` on 3.0, and is renewed once when refused. `timeout`: seconds for each
    phase of a request; `retries`: for reads only. `concurrency`: changes under way at once. `client`: an
    httpx.Client of your own (proxies, certificates, event hooks), which is not closed here. `overlap`:
    seconds that the remote may make a change visible late. `page_limit`: records a page, 1000 at most.

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
        if protocol not in ("auto", "2.0", "3.0"):
            raise ConfigurationError(f"protocol is 'auto', '2.0' or '3.0', not {protocol!r}")
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
        self._pool: ThreadPoolExecutor | None = None
        self._wire: Wire | None = None
        self._forms: dict[str, Form] = {}

    def __repr__(self) -> str:
        return f"HttpTransport({identity_of(self._base)!r}, protocol={self._protocol!r})"

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        """Find out which protocol the remote speaks (nothing is sent unless protocol is "auto")."""
        with self._lock:
            caller = self._connected()
            wire = self._wire or (
                self._discovered(caller, tables) if self._protocol == "auto" else _WIRES[self._protocol]
            )
            forms = {schema.name: self._kept(schema, wire.dialect) for schema in tables}
            caller.dialect, caller.dialect_headers = wire.dialect, wire.headers
            self._wire, self._forms = wire, {**self._forms, **forms}
        return TransportCapabilities(
            identity=identity_of(self._base),
            cursor=CursorGuarantee.KEYSET,
            max_changes=self._concurrency,
            ordered=False,
            total=True,
            filters=True,
            tombstones=frozenset(schema.name for schema in tables),
            remembers=0.0,
            overlap=self._overlap,
            page_limit=min(self._page_limit, wire.page_limit),
            exchange_timeout=self._limits.longest,
        )

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        """Send each change with a request of its own, up to `concurrency` at once.

        A 2.0 server that adds columns by itself forgets some when several requests bring new ones at once:
        there, a change goes alone as long as the remote was not seen to have all the columns that it sets.
        """
        caller, wire = self._ready()
        forms = [self._form(change.table) for change in changes]
        stopped = threading.Event()

        def one(change: Change, form: Form) -> Outcome:
            if stopped.is_set():
                return Untried()
            outcome = perform(change, form, wire, caller.budget())
            if isinstance(outcome, _STOPS):
                stopped.set()
            return outcome

        def at(place: int) -> Outcome:
            return one(changes[place], forms[place])

        outcomes: list[Outcome | None] = [None] * len(changes)
        together: list[int] = []
        for place, (change, form) in enumerate(zip(changes, forms, strict=True)):
            if self._goes_alone(change, form, len(changes)):
                outcomes[place] = one(change, form)
            else:
                together.append(place)
        answers = self._workers().map(at, together) if together else ()
        for place, outcome in zip(together, answers, strict=True):
            outcomes[place] = outcome
        return [Untried() if outcome is None else outcome for outcome in outcomes]

    def pull(self, request: PullRequest, /) -> Page:
        """Read one page; see `pull.Reader` and `paging` for how."""
        caller, wire = self._ready()
        form = self._form(request.query.table)
        return Reader(form, wire, caller.budget(), min(self._page_limit, wire.page_limit)).page(request)

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        """Read one record as it is now; a tombstone where the remote keeps one."""
        caller, wire = self._ready()
        form = self._form(table)
        if not sendable_id(id):
            raise InvalidId(table, id, "it cannot stand in an address")
        return wire.fetched(form, id, caller.budget().read(wire.fetch(form, id, {})))

    def close(self) -> None:
        """Close connections and threads; a client that was given stays open."""
        with self._lock:
            client, pool = self._client, self._pool
            self._client = self._caller = self._pool = self._wire = None
            self._forms = {}
        if pool is not None:
            pool.shutdown()
        if client is not None and client is not self._given:
            client.close()

    def _goes_alone(self, change: Change, form: Form, count: int) -> bool:
        if count == 1 or self._concurrency == 1:
            return True
        return form.dialect == "2.0" and form.introduces(change.record or {}, change.fields)

    def _kept(self, schema: TableSchema, dialect: Dialect) -> Form:
        """The form of a table, with what was learnt of the remote's columns since the last open."""
        form = self._forms.get(schema.name)
        return form if form and form.schema == schema and form.dialect == dialect else Form(schema, dialect)

    def _connected(self) -> Caller:
        if self._caller is None:
            # The environment's proxies are for other machines.
            self._client = self._given or httpx.Client(
                trust_env=not loopback(self._base),
                limits=httpx.Limits(max_connections=self._concurrency + 4, max_keepalive_connections=None),
            )
            self._caller = Caller(self._client, self._base, self._headers, self._auth, self._limits)
        return self._caller

    def _ready(self) -> tuple[Caller, Wire]:
        caller, wire = self._caller, self._wire
        if caller is None or wire is None:
            raise ContextClosed("the transport is not open: call open() first")
        return caller, wire

    def _form(self, table: str) -> Form:
        form = self._forms.get(table)
        if form is None:
            raise UnknownTable(table, sorted(self._forms))
        return form

    def _workers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="tidesync-http")
            return self._pool

    def _discovered(self, caller: Caller, tables: Sequence[TableSchema]) -> Wire:
        """Ask as 3.0 for one record: a 2.0 server names the version it wants, or answers with a bare list."""
        wire3 = _WIRES["3.0"]
        caller.dialect, caller.dialect_headers = "3.0", wire3.headers
        reply = Reply(404)
        for schema in tables:
            reply = caller.budget().read(wire3.list(Form(schema, "3.0"), Wanted(top=1)))
            if reply.status != 404:
                break
        if reply.ok:
            value = from_json(reply.body)
            _ = rows_of(value)
            return wire3 if isinstance(value, dict) and "items" in value else _WIRES["2.0"]
        said = message_of(reply)
        if reply.status == 400 and ("API version" in said or "ZUMO-API-VERSION" in said.upper()):
            return _WIRES["2.0"]
        if not tables:
            raise ProtocolError(
                'without tables the protocol cannot be found out: say protocol="2.0" or "3.0"'
            )
        raise refusal(reply, f"{identity_of(self._base)}/tables")


def _version() -> str:
    try:
        return importlib.metadata.version("tidesync")
    except importlib.metadata.PackageNotFoundError:
        return "0"
