"""The file transport keeps the contract, in a bucket of moto's S3 server."""

from collections.abc import Iterator

import pytest

from tests.conformance.wires import LoopbackWire
from tests.transports.files.s3_server import S3Server
from tidesync.conformance import TABLES, TransportConformance
from tidesync.contracts.transport import CursorGuarantee, Transport, TransportCapabilities
from tidesync.transports import FileTransport

NAMES = frozenset(table.name for table in TABLES)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server on loopback."""
    with S3Server() as server:
        yield server


class TestBucket(TransportConformance):
    """Three devices and a bucket: everything is declared but a limit in bytes."""

    capabilities = TransportCapabilities(
        identity="", cursor=CursorGuarantee.COMMIT_ORDERED, max_changes=1000, ordered=True, total=True, filters=True,
        tombstones=NAMES, departures=NAMES, remembers=30 * 24 * 3600.0, exchange_timeout=300.0,
    )  # fmt: skip

    @pytest.fixture
    def made(self, s3: S3Server) -> list[FileTransport]:
        """Three devices' ways to a bucket."""
        target = f"s3://{s3.new_bucket()}/remote"
        return [FileTransport(target, options=s3.options()) for _ in range(3)]

    @pytest.fixture
    def wire(self, made: list[FileTransport]) -> LoopbackWire:
        return LoopbackWire(made[0])

    @pytest.fixture
    def clients(self, made: list[FileTransport], wire: LoopbackWire) -> list[Transport]:
        return [wire, *made[1:]]
