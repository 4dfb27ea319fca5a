"""The file transport keeps the contract, in a bucket of moto's S3 server, with a wire that fails."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pytest

from tests.peers.wire_faults import Answer, CutReply, Fault, LoseReply, LoseRequest, Seen
from tests.peers.wire_proxy import WireProxy
from tests.transports.files.s3_server import S3Server
from tidesync.conformance import TABLES, TransportConformance
from tidesync.contracts.transport import (
    Change,
    CursorGuarantee,
    Outcome,
    Page,
    PullRequest,
    Transport,
    TransportCapabilities,
)
from tidesync.records import Record, Tombstone
from tidesync.schema import TableSchema
from tidesync.transports import FileTransport

NAMES = frozenset(table.name for table in TABLES)
T = TypeVar("T")


class BucketWire:
    """A transport behind a proxy that fails as it is told; in a push, from the moment on when a file is written.

    What a push reads before it writes tells nothing of interest if it fails: then nothing was sent.
    """

    def __init__(self, inner: FileTransport, proxy: WireProxy) -> None:
        self._inner, self._proxy = inner, proxy
        self._fault: Fault | None = None
        self._wrote = True

    # ---- what goes wrong

    def heal(self) -> None:
        self._fault = None
        self._proxy.online()

    def refuse(self) -> None:
        self._proxy.offline()

    def lose_request(self) -> None:
        self._fault = LoseRequest()

    def lose_reply(self) -> None:
        self._fault = LoseReply()

    def truncate_reply(self) -> None:
        self._fault = CutReply()

    def garble_reply(self) -> None:
        self._fault = Answer(200, b"<html>Log in to this network", after=True)

    def fail(self) -> None:
        self._fault = Answer(500)

    def deny(self) -> None:
        self._fault = Answer(403)

    # ---- the transport

    def open(self, tables: Sequence[TableSchema], /) -> TransportCapabilities:
        return self._called(lambda: self._inner.open(tables))

    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return self._called(lambda: self._inner.push(changes), once_written=True)

    def pull(self, request: PullRequest, /) -> Page:
        return self._called(lambda: self._inner.pull(request))

    def get(self, table: str, id: str, /) -> Record | Tombstone | None:
        return self._called(lambda: self._inner.get(table, id))

    def close(self) -> None:
        self._inner.close()

    def _called(self, call: Callable[[], T], *, once_written: bool = False) -> T:
        self._proxy.clear()
        self._wrote = not once_written
        if self._fault is not None:
            self._proxy.plan(self._fault, times=None, when=self._fails)
        return call()

    def _fails(self, seen: Seen) -> bool:
        self._wrote = self._wrote or (seen.method == "PUT" and "/log/" in seen.path)
        return self._wrote


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

    @pytest.fixture(autouse=True)
    def short_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is slept through between attempts."""
        monkeypatch.setattr("tidesync.transports.files.bucket._PAUSE", 0.001)

    @pytest.fixture
    def target(self, s3: S3Server) -> str:
        return f"s3://{s3.new_bucket()}/remote"

    @pytest.fixture
    def wire(self, s3: S3Server, target: str) -> Iterator[BucketWire]:
        with WireProxy(s3.url) as proxy:
            yield BucketWire(FileTransport(target, options=s3.options(proxy.url)), proxy)

    @pytest.fixture
    def clients(self, s3: S3Server, target: str, wire: BucketWire) -> list[Transport]:
        return [wire, *(FileTransport(target, options=s3.options()) for _ in range(2))]
