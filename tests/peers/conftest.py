"""Servers, and the wire in front of them: the real Azure Mobile Apps server for Node.js, and tidesync's own service.

What needs Node.js is marked `peer`, and skipped only where Node.js or npm is missing; an install that fails is an
error.
"""

import contextlib
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.peers.doors import MANY, NodeBackDoor, ServiceBackDoor, node_tables, service_tables
from tests.peers.installation import CLIENT, SERVER, install, missing_tools
from tests.peers.js_client import Js, JsClient
from tests.peers.remote import Remote, Way
from tests.peers.server_process import Peer, ServerProcess, Service
from tests.peers.tables import HEADERS
from tests.peers.wire_proxy import WireProxy

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def peer_packages() -> Path:
    """The folder of the installed npm packages; the first run ever takes about a minute to make it."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"the peer needs Node.js and npm; not on the PATH: {', '.join(missing)}")
    return install(SERVER)


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
    with httpx.Client(base_url=f"{shared_peer.url}/tables", headers=HEADERS, verify=False) as client:
        yield client


@pytest.fixture
def id(request: pytest.FixtureRequest) -> str:
    """An id that no other test uses: letters, digits, underscores and a dash."""
    return f"{request.node.originalname}-{next(_numbers)}"


class Pool:
    """Servers with many tables, for all scenarios that let them live; another one is started when tables run out.

    Their files lie in memory where the machine has such a folder: making the tables costs seconds on a disk.
    """

    def __init__(self, made: Callable[[Path], ServerProcess], cleanup: contextlib.ExitStack) -> None:
        self._made, self._cleanup = made, cleanup
        self._server: ServerProcess | None = None
        self._used: Counter[str] = Counter()

    def server(self) -> ServerProcess:
        """A server with unused tables of every kind."""
        if self._server is None or any(self._used[kind] == count for kind, count in MANY.items()):
            memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
            folder = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="tidesync-", dir=memory))
            self._server = self._cleanup.enter_context(self._made(Path(folder)))
            self._used = Counter()
        return self._server

    def number(self, kind: str) -> int:
        """The number of an unused table of that server."""
        self._used[kind] += 1
        return self._used[kind] - 1


@pytest.fixture(scope="session")
def peers(peer_packages: Path) -> Iterator[Pool]:
    with contextlib.ExitStack() as cleanup:
        yield Pool(lambda folder: Peer(peer_packages, folder, tables=node_tables()), cleanup)


@pytest.fixture(scope="session")
def services() -> Iterator[Pool]:
    with contextlib.ExitStack() as cleanup:
        yield Pool(lambda folder: Service(folder, tables=service_tables()), cleanup)


WAYS = {
    "node": NodeBackDoor.way,
    "service-2.0": Way("2.0", "2.0", finds_out=2),
    "service-3.0": Way("3.0", "3.0", finds_out=2, whole=True),
    "service-native": Way("tidesync", "tidesync", asks=1, finds_out=2, batched=True),
}
"""The servers that every scenario is played on, and how they are spoken with."""
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
IN_A_SOAK = ("service-2.0", "service-3.0")
"""What is said to them is said to the others too: the same way to the Node.js server, or to the same service."""


def pytest_configure(config: pytest.Config) -> None:
    """The mark of costly scenarios."""
    config.addinivalue_line("markers", "soaked: over 2.0 and 3.0 our service is played in a soak only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Play each scenario on every server, the costly ones on two unless in a soak."""
    short = not SOAK and metafunc.definition.get_closest_marker("soaked") is not None
    servers = [
        pytest.param(name, marks=pytest.mark.peer if name == "node" else ())
        for name in WAYS
        if not (short and name in IN_A_SOAK)
    ]
    for fixture in {"remote", "own_remote"} & {*metafunc.fixturenames}:
        metafunc.parametrize(fixture, servers, indirect=True)


@pytest.fixture
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    """A server as scenarios see it, which others use too: it must not be stopped."""
    pool: Pool = request.getfixturevalue("peers" if request.param == "node" else "services")
    yield from _remote(pool.server(), WAYS[request.param], tmp_path, pool.number)


@pytest.fixture
def own_remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    """A server as scenarios see it, which may be killed and started."""
    one = dict.fromkeys(MANY, 1)
    server: ServerProcess
    if request.param == "node":
        server = Peer(request.getfixturevalue("peer_packages"), tmp_path, tables=node_tables(one))
    else:
        server = Service(tmp_path, tables=service_tables(one))
    with server as running:
        yield from _remote(running, WAYS[request.param], tmp_path, lambda kind: 0)


def _remote(server: ServerProcess, way: Way, folder: Path, number: Callable[[str], int]) -> Iterator[Remote]:
    names: dict[str, str] = {}

    def name(kind: str) -> str:
        if kind not in names:
            names[kind] = f"{kind}{number(kind)}"
        return names[kind]

    door = NodeBackDoor(server) if isinstance(server, Peer) else ServiceBackDoor(server, way)
    with WireProxy(server.url) as wire:
        remote = Remote(server.url, wire, door, door.deviations, way, folder, name)
        try:
            yield remote
        finally:
            remote.close()


@pytest.fixture(scope="session")
def process(peer_packages: Path) -> Iterator[JsClient]:
    """One process for all tests: each opens a client of its own in it."""
    with JsClient(install(CLIENT)) as running:
        yield running


@pytest.fixture
def js(process: JsClient, remote: Remote) -> Js:
    return Js(process, remote)
