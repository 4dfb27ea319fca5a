"""The two drivers of flows: most of what is shown here holds for both."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.transports.http import support


@pytest.fixture(params=["threads", "tasks"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `support.transport` makes: a transport for threads, and one for an event loop, test by test."""
    if request.param == "threads":
        yield
        return
    with asyncio.Runner() as runner:
        monkeypatch.setattr(support, "runner", runner)
        yield
