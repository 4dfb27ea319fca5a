"""The real Azure Mobile Apps server for Node.js, and the wire in front of it.

Marked `peer`. Skipped only where Node.js or npm is missing; an install that fails is an error.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.peers.installation import install, missing_tools
from tests.peers.server_process import Peer
from tests.peers.tables import HEADERS
from tests.peers.wire_proxy import WireProxy

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def peer_packages() -> Path:
    """The folder of the installed npm packages; the first run ever takes about a minute to make it."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"the peer needs Node.js and npm; not on the PATH: {', '.join(missing)}")
    return install()


@pytest.fixture
def peer(peer_packages: Path, tmp_path: Path) -> Iterator[Peer]:
    """A server of one's own, with an empty database. It starts in a fifth of a second."""
    with Peer(peer_packages, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared_peer(peer_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """One server for the tests of a module: they must not stop it, and look only at ids of their own."""
    with Peer(peer_packages, tmp_path_factory.mktemp("peer")) as running:
        yield running


@pytest.fixture
def wire(peer: Peer) -> Iterator[WireProxy]:
    """The wire to `peer`: use `wire.url` in place of `peer.url`, and plan its faults."""
    with WireProxy(peer.url) as proxy:
        yield proxy


@pytest.fixture
def shared_wire(shared_peer: Peer) -> Iterator[WireProxy]:
    """A wire of one's own to `shared_peer`."""
    with WireProxy(shared_peer.url) as proxy:
        yield proxy


@pytest.fixture
def http(shared_peer: Peer) -> Iterator[httpx.Client]:
    """A bare client on the tables of `shared_peer`: `http.get("/todoitem")`."""
    with httpx.Client(base_url=f"{shared_peer.url}/tables", headers=HEADERS) as client:
        yield client


@pytest.fixture
def id(request: pytest.FixtureRequest) -> str:
    """An id that no other test uses: letters, digits, underscores and a dash."""
    return f"{request.node.originalname}-{next(_numbers)}"
