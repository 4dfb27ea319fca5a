"""The SQLite store keeps the contract; in a soak, whichever way it syncs."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tidesync.conformance import StoreConformance
from tidesync.contracts.store import StoreCapabilities
from tidesync.stores import SQLiteStore


class _SQLite(StoreConformance):
    """How the steps of both are counted."""

    @pytest.fixture
    def count_steps(self) -> Iterator[Callable[[], int]]:
        """Counts the instructions that SQLite's machine carries out, on every connection."""
        taken = 0

        def done(event: dict[str, Any]) -> None:
            nonlocal taken
            taken += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

        def watch(connection: apsw.Connection) -> None:
            connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, done)

        apsw.connection_hooks.append(watch)
        yield lambda: taken
        apsw.connection_hooks.remove(watch)


class TestFull(_SQLite):
    """Every commit is on the disk."""

    capabilities = StoreCapabilities(durable=True, multiprocess=True, indexed=True)

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], SQLiteStore]:
        return lambda: SQLiteStore(tmp_path / "x.db")


if os.environ.get("HYPOTHESIS_PROFILE") == "soak":  # all but the last commits is as in the other

    class TestNormal(_SQLite):
        """The last commits may be lost with the power."""

        capabilities = StoreCapabilities(multiprocess=True, indexed=True)

        @pytest.fixture
        def make_store(self, tmp_path: Path) -> Callable[[], SQLiteStore]:
            return lambda: SQLiteStore(tmp_path / "x.db", synchronous="normal")
