"""One S3 server for all tests of a session that want one."""

from collections.abc import Iterator

import pytest

from tests.transports.files.s3_server import S3Server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server on loopback."""
    with S3Server() as server:
        yield server
