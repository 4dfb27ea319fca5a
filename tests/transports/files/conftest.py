"""One S3 server for all tests of a session that want one, and a wire to it; asserts of helpers hold under -O, too."""

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite(
    *(f"tests.transports.files.{name}" for name in ("clients", "compacted", "lives", "looks"))
)

from tests.peers.wire_proxy import WireProxy  # noqa: E402  # after those are named
from tests.transports.files.bucket_calls import opened  # noqa: E402
from tests.transports.files.s3_server import S3Server  # noqa: E402
from tidesync.transports.files.bucket import Bucket  # noqa: E402


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server on loopback."""
    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """The name of a bucket that is new and empty."""
    return s3.new_bucket()


@pytest.fixture
def wire(s3: S3Server) -> Iterator[WireProxy]:
    """A wire to the server, which fails as it is told."""
    with WireProxy(s3.url) as proxy:
        yield proxy


@pytest.fixture
def behind(s3: S3Server, bucket: str, wire: WireProxy) -> Bucket:
    """A place behind the wire, with a file in it, which has shown already that it does as it is told."""
    place = opened(s3, bucket, wire.url)
    assert place.create("log/1", b"one")
    wire.clear()
    return place


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidesync.transports.files.bucket._PAUSE", 0.001)
