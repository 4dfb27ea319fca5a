"""A context over HTTP, to a server in memory: names on the wire, addresses, pages, losses."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import attrs
import httpx
import pytest

from tests.api.support import SOME_DAY, MakeStore
from tests.transports.http.fake_server import FakeServer, reply
from tidesync import PushFailed, SyncContext, keep_local, table
from tidesync.errors import ConfigurationError
from tidesync.transports.http import HttpTransport


@attrs.define
class LineItem:
    id: str
    unit_price: float = 0.0
    created_on: datetime | None = None
    is_open: bool = True
    parent_id: str | None = None


ITEMS = table(LineItem, name="lineitem", rename="camel", references={"parent_id": "lineitem"})
WIRE_NAMES = ("unitPrice", "createdOn", "isOpen", "parentId")
Network = Callable[[httpx.Request], httpx.Response]


class Net:
    """The way to the server: `lose` says which replies get lost, `fail` which requests never arrive."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.lose: Callable[[httpx.Request], bool] = lambda request: False
        self.fail: Callable[[httpx.Request], bool] = lambda request: False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.fail(request):
            raise httpx.ConnectError("connection refused")
        answer = self.server(request)
        if self.lose(request):
            raise httpx.ReadTimeout("no reply")
        return answer


@pytest.fixture
def server() -> FakeServer:
    return FakeServer({"lineitem": WIRE_NAMES})


@pytest.fixture
def net(server: FakeServer) -> Net:
    return Net(server)


@pytest.fixture
def make(make_store: MakeStore, net: Net) -> Iterator[Callable[..., SyncContext]]:
    made: list[SyncContext] = []

    def device(name: str = "one", **options: Any) -> SyncContext:
        client = httpx.Client(transport=httpx.MockTransport(net))
        wire = HttpTransport(
            "http://127.0.0.1:8080/some app", protocol="2.0", client=client, retries=0,
        )  # fmt: skip
        made.append(SyncContext(make_store(name), wire, [ITEMS], **options).open())
        return made[-1]

    yield device
    for each in made:
        each.close()


def test_names_are_camel_on_the_wire(make: Callable[..., SyncContext], server: FakeServer) -> None:
    """`created_on` is createdOn in bodies and filters, and comes back under its own name. [M12] [E25]"""
    one, two = make("one"), make("two")
    item = LineItem("a", 1.5, SOME_DAY, parent_id="b")
    one[ITEMS].insert(item)
    one.push()
    row = server.rows["lineitem"]["a"]
    assert (1.5, True, "b") == (row["unitPrice"], row["isOpen"], row["parentId"])
    assert {"unit_price", "created_on", "is_open", "parent_id"}.isdisjoint(row)
    two[ITEMS].pull(two[ITEMS].where(ITEMS.c.unit_price > 1), name="dear")
    assert [item] == two[ITEMS].all() == one.remote(ITEMS).where(ITEMS.c.is_open).all()
    asked = str(server.requests[-1].url)
    assert ("isOpen" in asked, "is_open" in asked) == (True, False)


def test_fields_of_the_server_survive_under_their_own_names(
    make: Callable[..., SyncContext], server: FakeServer
) -> None:
    """A field that the class does not name, even one called like a column here, comes back as it was."""
    server.put("lineitem", "a", unitPrice=1.0, isOpen=True, stranger="x", unit_price="theirs")
    ctx = make()
    ctx[ITEMS].pull(name="all")
    ctx[ITEMS].update("a", unit_price=2.0)
    ctx.push()
    row = server.rows["lineitem"]["a"]
    assert (2.0, "x", "theirs") == (row["unitPrice"], row["stranger"], row["unit_price"])


@pytest.mark.parametrize("id", ["a", "a b", "a/b", "ü😀", "%41", "a?b#c", "'quoted'", "a&b=c", "..."])
def test_the_address_of_a_record(make: Callable[..., SyncContext], server: FakeServer, id: str) -> None:
    """Base address, table and quoted id: whatever the id, it finds its own record. [E29]"""
    ctx = make()
    ctx[ITEMS].insert(LineItem(id))
    ctx[ITEMS].insert(LineItem("other"))
    ctx.push()
    ctx[ITEMS].update(id, unit_price=2.0)
    ctx.push()
    assert (2.0, 0.0) == tuple(server.rows["lineitem"][each]["unitPrice"] for each in (id, "other"))
    last = server.requests[-1]
    assert ("PATCH", b"/some%20app/tables/lineitem/") == (last.method, last.url.raw_path[:28])
    assert LineItem(id, 2.0) == ctx.remote(ITEMS).get(id)
    ctx[ITEMS].delete(id)
    ctx.push()
    assert True is server.rows["lineitem"][id]["deleted"]


@pytest.mark.parametrize("cap", [1, 3, 7, 50, 1000])
def test_pages_keep_their_place(make: Callable[..., SyncContext], server: FakeServer, cap: int) -> None:
    """However few records the server gives at once, and whatever size is asked for: all arrive, once. [I05] [I04]"""
    server.cap = cap
    for index in range(40):
        server.put("lineitem", f"n{index:02}", unitPrice=float(index), isOpen=True)
    ctx = make(page_size=11)
    assert 40 == ctx[ITEMS].pull(name="all").records
    assert 40 == ctx[ITEMS].count()
    assert 40 == ctx[ITEMS].pull().records
    assert [f"n{index:02}" for index in range(5, 25)] == [
        each.id for each in ctx.remote(ITEMS).where().order_by(ITEMS.c.unit_price).skip(5).take(20)
    ]


@pytest.mark.parametrize("kind", ["insert", "update", "delete"])
def test_a_lost_reply_over_plain_rest(make: Callable[..., SyncContext], net: Net, kind: str) -> None:
    """The server knows no operation ids: the resend still has one effect, and makes no conflict."""
    ctx = make()
    if kind != "insert":
        ctx[ITEMS].insert(LineItem("a"))
        ctx.push()
    match kind:
        case "insert":
            ctx[ITEMS].insert(LineItem("a", 5.0))
        case "update":
            ctx[ITEMS].update("a", unit_price=5.0)
        case _:
            ctx[ITEMS].delete("a")
    lost: list[str] = []

    def once(request: httpx.Request) -> bool:
        if request.method == "GET" or lost:
            return False
        lost.append(request.method)
        return True

    net.lose = once
    report = ctx.push()
    assert (1, 0, []) == (len(report.pushed), report.pending, ctx.conflicts())
    row = net.server.rows["lineitem"]["a"]
    assert (kind == "delete", 1 if kind == "insert" else 2) == (row["deleted"], row["n"])


def test_no_network(make: Callable[..., SyncContext], net: Net) -> None:
    """A refused connection stops the push with everything queued; later it all goes. [F01]"""
    ctx = make()
    ctx[ITEMS].insert_many([LineItem("a"), LineItem("b")])
    net.fail = lambda request: True
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    assert ("network", 2) == (caught.value.report.status, ctx.pending_operations)
    assert ["pending"] * 2 == [each.state for each in ctx.operations()]
    net.fail = lambda request: False
    assert 2 == len(ctx.push().pushed)


def test_a_failed_precondition_is_a_conflict(make: Callable[..., SyncContext], server: FakeServer) -> None:
    """412 asks the policy, as 409 does; "mine" is then sent over the current version. [G29] [F21]"""
    ctx = make(policy=keep_local)
    ctx[ITEMS].insert(LineItem("a", 1.0))
    ctx.push()
    server.put("lineitem", "a", unitPrice=2.0)
    ctx[ITEMS].update("a", unit_price=3.0)
    server.requests.clear()
    ctx.push()
    assert 3.0 == server.rows["lineitem"]["a"]["unitPrice"]
    assert ["PATCH", "PATCH"] == [each.method for each in server.requests if each.method != "GET"]
    server.put("lineitem", "b", unitPrice=2.0, isOpen=True)
    ctx[ITEMS].insert(LineItem("b", 4.0))
    ctx.push()
    assert (4.0, 0) == (server.rows["lineitem"]["b"]["unitPrice"], ctx.pending_operations)


def test_requests_travel_in_parallel_up_to_a_bound(make_store: MakeStore, server: FakeServer) -> None:
    """Independent changes go out together, never more than `concurrency`, and all arrive. [E08] [E09] [R-E33]"""
    running, most, lock = 0, 0, threading.Lock()

    def slow(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
            return server(request)

    for wrong in (0, -1, 1.5, "many"):
        with pytest.raises(ConfigurationError, match="concurrency"):
            _ = HttpTransport("http://127.0.0.1", concurrency=wrong)  # type: ignore[arg-type]
    client = httpx.Client(transport=httpx.MockTransport(slow))
    wire = HttpTransport("http://127.0.0.1:8080", protocol="2.0", client=client, concurrency=3)
    with SyncContext(make_store("one"), wire, [ITEMS]) as ctx:
        ctx[ITEMS].insert_many(LineItem(f"n{index}") for index in range(20))
        assert 20 == len(ctx.push().pushed)
        assert (3, 20, 0) == (most, len(server.rows["lineitem"]), ctx.pending_operations)


def test_an_error_page_is_a_refusal_with_its_words(make: Callable[..., SyncContext], net: Net) -> None:
    """What the server says about a bad request is in the error, cut to a readable length. [F17] [G24]"""
    ctx = make()
    ctx[ITEMS].insert(LineItem("a"))
    server, answered = net.server, []

    def refuse(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            answered.append(request)
            return reply(400, {"error": "unitPrice must be positive" + "!" * 100_000})
        return server(request)

    net.server = refuse  # type: ignore[assignment]
    with pytest.raises(PushFailed) as caught:
        ctx.push()
    [error] = caught.value.errors
    assert ("rejected", "400", 1) == (error.status, error.code, len(answered))
    assert "unitPrice must be positive" in error.message
    assert len(error.message) < 2000
