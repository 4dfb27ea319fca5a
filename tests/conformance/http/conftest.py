"""Servers of the suite, one for a whole session, and the wire in front of the first client."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.http.serving import Hosting
from tests.peers.installation import SERVER, install, missing_tools
from tests.peers.server_process import Peer
from tidesync.conformance import TABLES
from tidesync.schema import TableSchema
from tidesync.stores import MemoryStore
from tidesync.transports.service import create_app
from tidesync.values import ColumnType

_NODE_TYPES = {
    ColumnType.STRING: "string", ColumnType.INTEGER: "number", ColumnType.FLOAT: "number",
    ColumnType.BOOLEAN: "boolean", ColumnType.DATETIME: "date",
}  # fmt: skip


@pytest.fixture(scope="session")
def hosting() -> Iterator[Hosting]:
    """The server that all services of the suite are mounted on."""
    with Hosting() as running:
        yield running


@pytest.fixture
def service_url(hosting: Hosting) -> str:
    """The address of a new and empty service."""
    return hosting.url + hosting.mounted.mount(
        create_app(MemoryStore(), TABLES, schema="open", remembers=None)
    )


def columns_of(schema: TableSchema) -> dict[str, str]:
    """The columns of a table that the npm server has types for."""
    return {column.name: _NODE_TYPES[column.type] for column in schema.columns if column.type in _NODE_TYPES}


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """The npm server with the tables of the suite."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"the peer needs Node.js and npm; not on the PATH: {', '.join(missing)}")
    tables = {
        table.name: {"columns": columns_of(table), "softDelete": True, "dynamicSchema": True}
        for table in TABLES
    }
    with Peer(install(SERVER), tmp_path_factory.mktemp("node"), tables=tables) as running:
        yield running


@pytest.fixture
def node_url(node: Peer) -> str:
    """The address of the npm server, emptied."""
    with contextlib.closing(sqlite3.connect(Path(node.db_path), timeout=10)) as file, file:
        for table in TABLES:
            _ = file.execute(f"DELETE FROM [{table.name}]")
    return node.url
