"""The ASGI application: who is let in, which endpoint answers, and what a failure looks like outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidesync.contracts.store import Store
from tidesync.objects import Table
from tidesync.schema import TableSchema
from tidesync.transports.authority import Authority
from tidesync.transports.principal import ANYBODY
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.problems import Problem
from tidesync.transports.service.served import Endpoint, Service


def create_app(
    store: Store, tables: Iterable[TableSchema | Table[Any]], *, limits: Limits | None = None
) -> Starlette:
    """An ASGI application that serves the tables from the store."""
    from tidesync.transports.service import native, rest

    service = Service(Authority(store, tables).open(), limits or Limits())

    def guarded(endpoint: Endpoint) -> Any:
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(service, request, ANYBODY)
            except Problem as problem:
                return problem.reply()

        return answer

    routes = [
        Route(path, guarded(endpoint), methods=list(methods))
        for path, methods, endpoint in (*rest.ROUTES, *native.ROUTES)
    ]
    return Starlette(routes=routes)
