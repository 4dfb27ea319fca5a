"""The ASGI application: its routes, its layers, and its life."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tidesync.contracts.store import Store
from tidesync.errors import ConfigurationError
from tidesync.objects import Table
from tidesync.schema import TableSchema
from tidesync.transports.authority import Authority
from tidesync.transports.principal import BeforeWrite
from tidesync.transports.service import native, rest
from tidesync.transports.service.access import Authorize
from tidesync.transports.service.edge import Edge, Gzip, Hosts
from tidesync.transports.service.guard import Guard, Guarded
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.log import Entry
from tidesync.transports.service.problems import Problem
from tidesync.transports.service.served import Endpoint, Service
from tidesync.transports.service.upkeep import check_keep, compact_daily

MONTH: Final = 30 * 86_400.0
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_EXPOSED: Final = ("ETag", "Last-Modified", "Link", "Location", "Retry-After", "Tidesync-Protocol")
# Level 1: 244 MB/s to a fourth and a half of a page's size; level 6 saves another eighth at 97 MB/s.
_LEVEL, _LEAST = 1, 1024


class App(Starlette):
    """The application that `create_app` makes. It may be served alone, or mounted in another under any path.

    Served alone, it opens the store when it starts and closes it when it stops. A mounted application is not told
    of either: it opens the store at its first request (`open` does it before), and who mounts it calls `close`
    at the end, as in the lifespan of the outer application.
    """

    service: Service
    authorize: Authorize | None

    def open(self) -> None:
        """Open the store, if it is not. Blocks. Raises `StoreError`."""
        self.service.open()

    def compact(self, keep: float) -> int:
        """Forget what was deleted more than `keep` seconds ago; see `Authority.compact`. Blocks. Returns how many went.

        Clients that have not pulled since then start again. Raises `StoreError`.
        """
        self.service.open()
        return self.service.authority.compact(keep)

    def restart_followers(self) -> None:
        """Have all devices start again, after the store was restored from a copy. Blocks. Raises `StoreError`.

        See `Authority.restart_followers`.
        """
        self.service.open()
        self.service.authority.restart_followers()

    def close(self) -> None:
        """Finish the writes that were accepted, and close the store; idempotent. Blocks; then every answer is 503."""
        self.service.close()


def create_app(  # noqa: PLR0913  # each is an option of its own, by keyword
    store: Store,
    tables: Iterable[TableSchema | Table[Any]],
    *,
    authorize: Authorize | None = None,
    before_write: BeforeWrite | Mapping[str, BeforeWrite] | None = None,
    limits: Limits | None = None,
    schema: Literal["open", "closed"] = "closed",
    foreign_keys: bool = False,
    identity: str | None = None,
    remembers: float | None = MONTH,
    keep: float | None = None,
    cors: Sequence[str] | None = None,
    hosts: Sequence[str] | None = None,
) -> App:
    """An ASGI application that serves the tables from the store.

    `authorize` tells who asks (None: everybody may do everything); `bearer` makes one from tokens. `before_write`
    may refuse, amend or merge a write; `schema` "closed" takes declared columns alone, where a table has any;
    `foreign_keys`: references are enforced. `identity` names this remote, `remembers` is for how many seconds
    operation ids are known (None: for ever), `keep` for how many deleted records are (None: for ever; a mounted
    application forgets none by itself: see `App.compact`). `cors`: the origins whose pages may ask, as
    "https://example.org".
    `hosts`: the names without port that it answers to (None: any); a service that asks nobody who they are, and
    can be reached from a browser, names its own, else a page under a name that leads here (DNS rebinding) reads it.
    `GET /health` answers whoever asks that the service runs, and touches nothing. Nothing is opened yet.
    Raises `ConfigurationError`.
    """
    if isinstance(store, type) or not hasattr(store, "transaction"):
        raise ConfigurationError(f'store is a store, such as SQLiteStore("todo.db"), not {store!r:.60}')
    if authorize is not None and not callable(authorize):
        raise ConfigurationError(f"authorize is a function of a request, not {type(authorize).__name__}")
    allowed: Any = Limits() if limits is None else limits
    if not isinstance(allowed, Limits):
        raise ConfigurationError(f"limits are Limits(...), not {allowed!r:.60}")
    span: Any = remembers
    if span is not None and (
        isinstance(span, bool) or not isinstance(span, int | float) or not 0 <= span < math.inf
    ):
        raise ConfigurationError(f"remembers is a number of seconds, or None for ever, not {span!r:.60}")
    kept = check_keep(keep)
    authority = Authority(
        store,
        tables,
        foreign_keys=foreign_keys,
        identity=identity,
        remembers=remembers,
        max_changes=allowed.batch,
        record_limit=allowed.body,
        before_write=before_write,
        schema=schema,
    )
    service = Service(authority, allowed)
    app = App(
        routes=_routes(Guard(service, authorize)),
        middleware=_layers(allowed, hosts, cors),
        exception_handlers={HTTPException: _unserved},
        lifespan=lambda _: _life(service, kept),
    )
    # What an address with a slash at its end is, its endpoint says: nobody is sent to another one.
    app.router.redirect_slashes = False
    app.service, app.authorize = service, authorize
    return app


def _layers(limits: Limits, hosts: Sequence[str] | None, cors: Sequence[str] | None) -> list[Middleware]:
    """From the outside in."""
    layers = [Middleware(Edge, patience=limits.patience)]
    if hosts is not None:
        layers.append(Middleware(Hosts, hosts=_texts("hosts", hosts, "localhost")))
    if cors is not None:
        options: dict[str, Any] = {
            "allow_methods": _METHODS,
            "allow_headers": ["*"],
            "expose_headers": _EXPOSED,
        }
        layers.append(Middleware(CORSMiddleware, allow_origins=_origins(cors), **options))
    return [*layers, Middleware(Gzip, minimum_size=_LEAST, compresslevel=_LEVEL)]


@asynccontextmanager
async def _life(service: Service, keep: float | None) -> AsyncGenerator[None]:
    await anyio.to_thread.run_sync(service.open)
    try:
        async with anyio.create_task_group() as tasks:
            if keep is not None:
                tasks.start_soon(compact_daily, service.authority, keep)
            yield
            tasks.cancel_scope.cancel()
    finally:
        await anyio.to_thread.run_sync(service.close)


def _routes(guard: Guard) -> list[Route]:
    """One route for each path, so that 405 names all of its methods."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for path, methods, endpoint in (*rest.ROUTES, *native.ROUTES):
        by_path.setdefault(path, {}).update(dict.fromkeys(methods, endpoint))
    guarded = [
        Route(path, Guarded(guard, path, endpoints), methods=list(endpoints))
        for path, endpoints in by_path.items()
    ]

    async def health(request: Request) -> Response:
        entry: Entry = request.scope["tidesync"]
        entry.route = "/health"
        if guard.service.closed:
            return Problem(503, "closing", "the service stops", headers={"Retry-After": "5"}).reply()
        return JSONResponse({"status": "ok"})

    return [*guarded, Route("/health", health)]


async def _unserved(_: Request, error: Exception) -> Response:
    """What the router refuses: 404, and 405 with the methods that there are."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").replace(" ", "").split(",")))
        detail = f"this address takes {allowed}"
        return Problem(405, "method_not_allowed", detail, headers={"Allow": allowed}).reply()
    return Problem(404, "not_found", "nothing is served at this address").reply()


def _texts(option: str, values: Sequence[str], example: str) -> list[str]:
    given: Any = values
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ConfigurationError(f'{option} is a list of text, such as ["{example}"], not {given!r:.60}')
    for value in values:
        text: Any = value
        if not isinstance(text, str):
            raise ConfigurationError(
                f'{option} is a list of text, such as ["{example}"], not of {text!r:.60}'
            )
    return list(values)


def _origins(cors: Sequence[str]) -> list[str]:
    origins = _texts("cors", cors, "https://example.org")
    for origin in origins:
        parts = urlsplit(origin)
        if origin != "*" and (not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}"):
            raise ConfigurationError(
                f'cors: {origin!r:.80} is no origin: scheme, host and port, as "https://example.org"'
            )
    return origins
