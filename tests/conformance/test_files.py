"""The file transport keeps the contract, on a folder."""

from pathlib import Path

import pytest

from tests.conformance.wires import LoopbackWire
from tidesync.conformance import TABLES, TransportConformance
from tidesync.contracts.transport import CursorGuarantee, Transport, TransportCapabilities
from tidesync.transports import FileTransport

NAMES = frozenset(table.name for table in TABLES)


class TestFolder(TransportConformance):
    """Three devices and a folder: everything is declared but a limit in bytes."""

    capabilities = TransportCapabilities(
        identity="", cursor=CursorGuarantee.COMMIT_ORDERED, max_changes=1000, ordered=True, total=True, filters=True,
        tombstones=NAMES, departures=NAMES, remembers=30 * 24 * 3600.0, exchange_timeout=100.0,
    )  # fmt: skip

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "remote"

    @pytest.fixture
    def wire(self, folder: Path) -> LoopbackWire:
        return LoopbackWire(FileTransport(folder))

    @pytest.fixture
    def clients(self, folder: Path, wire: LoopbackWire) -> list[Transport]:
        return [wire, *(FileTransport(folder) for _ in range(2))]
