"""The file transport keeps the contract, on a folder; in a soak, also with indexes in files, and on event loops."""

import os
from pathlib import Path

import pytest

from tests.conformance.wires import LoopbackWire
from tidesync.conformance import TABLES, Bridged, TransportConformance
from tidesync.contracts.transport import CursorGuarantee, Transport, TransportCapabilities
from tidesync.stores import SQLiteStore
from tidesync.transports import AsyncFileTransport, FileTransport

NAMES = frozenset(table.name for table in TABLES)


class TestFolder(TransportConformance):
    """Three devices and a folder: everything is declared but a limit in bytes."""

    capabilities = TransportCapabilities(
        identity="", cursor=CursorGuarantee.COMMIT_ORDERED, max_changes=1000, ordered=True, total=True, filters=True,
        tombstones=NAMES, departures=NAMES, remembers=30 * 24 * 3600.0, exchange_timeout=100.0,
    )  # fmt: skip

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        # That the disk is waited for has tests of its own; here it would be half of the time.
        monkeypatch.setattr("tidesync.transports.files.folder._sync", lambda descriptor: None)
        return tmp_path / "remote"

    @pytest.fixture
    def wire(self, folder: Path) -> LoopbackWire:
        return LoopbackWire(FileTransport(folder))

    @pytest.fixture
    def clients(self, folder: Path, wire: LoopbackWire) -> list[Transport]:
        return [wire, *(FileTransport(folder) for _ in range(2))]


if os.environ.get("HYPOTHESIS_PROFILE") == "soak":  # an index is any store, and those have their own suite

    class TestIndexed(TestFolder):
        """Two devices with an index of their own, and one that shares it with the second."""

        @pytest.fixture
        def clients(self, folder: Path, wire: LoopbackWire, tmp_path: Path) -> list[Transport]:
            wire.inner = FileTransport(folder, index=SQLiteStore(tmp_path / "one.db"))
            shared = [FileTransport(folder, index=SQLiteStore(tmp_path / "other.db")) for _ in range(2)]
            return [wire, *shared]

    class TestAsync(TestFolder):
        """Three devices with an event loop each."""

        @pytest.fixture
        def clients(self, folder: Path, wire: LoopbackWire) -> list[Transport]:
            wire.inner = Bridged(AsyncFileTransport(folder))
            return [wire, *(Bridged(AsyncFileTransport(folder)) for _ in range(2))]
