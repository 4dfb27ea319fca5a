"""Fixtures for the tests of the service."""

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeAlias

import pytest

from tests.transports.service.support import Serving
from tidesync.contracts.store import Store
from tidesync.objects import Table
from tidesync.schema import TableSchema
from tidesync.transports.service import create_app

Host: TypeAlias = Callable[[Any], Serving]
Serve: TypeAlias = Callable[..., Serving]


@pytest.fixture
def host() -> Generator[Host]:
    """Serve any ASGI application until the test ends."""
    running: list[Serving] = []

    def start(app: Any) -> Serving:
        running.append(Serving(app))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def serve(host: Host) -> Serve:
    """`serve(store, tables, **options of create_app)`: a service with `.url` and `.http`, until the test ends."""

    def start(store: Store, tables: Iterable[TableSchema | Table[Any]], **options: Any) -> Serving:
        return host(create_app(store, tables, **options))

    return start
