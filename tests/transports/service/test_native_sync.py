"""Devices that sync over tidesync's own protocol, with a service in between and a network that loses replies."""

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import httpx
import pytest

from tests.transports.service.conftest import Serve
from tests.transports.service.support import Serving
from tidesync import PushFailed, SyncContext, merge_fields, table
from tidesync.errors import RemoteChanged, ResyncRequired
from tidesync.records import new_id
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.http import HttpTransport
from tidesync.transports.service import Limits, Principal
from tidesync.transports.service.access import bearer


@attrs.define
class Shelf:
    id: str
    label: str = ""


@attrs.define
class Book:
    id: str
    main_title: str = ""
    shelf_id: str | None = None
    page_count: int = 0


SHELVES = table(Shelf)
BOOKS = table(Book, rename="camel", references={"shelf_id": SHELVES})
TABLES = (SHELVES, BOOKS)


class Cut(httpx.SyncByteStream):
    """Half of a reply."""

    def __init__(self, inner: httpx.Response, most: int) -> None:
        self.inner, self.most = inner, most

    def __iter__(self) -> Iterator[bytes]:
        body = b"".join(self.inner.stream)  # type: ignore[arg-type]
        yield body[: self.most]
        raise httpx.ReadError("the connection is gone")

    def close(self) -> None:
        self.inner.close()


class Lossy(httpx.BaseTransport):
    """A network that loses the replies to batches, or what follows their first bytes, as it is told to."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport(verify=False)
        self.cuts: list[int | None] = []
        self.paths: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply = self.inner.handle_request(request)
        self.paths.append(request.url.path)
        if not request.url.path.endswith("/push") or not self.cuts:
            return reply
        most = self.cuts.pop(0)
        return reply if most is None else httpx.Response(200, headers=reply.headers, stream=Cut(reply, most))

    def close(self) -> None:
        self.inner.close()


Device = Callable[..., SyncContext]


@pytest.fixture
def service(serve: Serve) -> Serving:
    return serve(MemoryStore(), TABLES, foreign_keys=True)


@pytest.fixture
def device(service: Serving) -> Iterator[Device]:
    """Open devices of the service, closed at the end."""
    opened: list[tuple[SyncContext, httpx.Client]] = []

    def open_one(network: Lossy | None = None, *, url: str = service.url, **options: Any) -> SyncContext:
        client = httpx.Client(transport=network or Lossy())
        way = HttpTransport(
            url,
            client=client,
            protocol=options.pop("protocol", "auto"),
            auth=options.pop("auth", None),
            retries=0,
        )
        store = options.pop("store", None) or MemoryStore()
        ctx = SyncContext(store, way, TABLES, policy=merge_fields("local"), **options)
        opened.append((ctx.open(), client))
        return ctx

    yield open_one
    for ctx, client in opened:
        ctx.close()
        client.close()


def contents(ctx: SyncContext) -> dict[str, Any]:
    return {
        **{shelf.id: shelf for shelf in ctx[SHELVES].all()},
        **{book.id: book for book in ctx[BOOKS].all()},
    }


def pull_all(ctx: SyncContext) -> None:
    ctx.pull(SHELVES, name="all")
    ctx.pull(BOOKS, name="all")


def test_two_devices_converge(device: Device) -> None:
    """Through inserts, updates on both sides, deletes and a reference, whatever their class calls a column."""
    network = Lossy()
    one, two = device(network), device()
    one[SHELVES].insert(Shelf("s", "poetry"))
    for number in range(30):
        one[BOOKS].insert(Book(f"b{number}", f"title {number}", "s", number))
    assert one.push().ok
    pull_all(two)
    assert contents(one) == contents(two)
    one[BOOKS].update("b1", main_title="one")
    two[BOOKS].update("b1", page_count=100)
    two[BOOKS].delete("b2")
    one[BOOKS].update("b3", main_title="three")
    two[BOOKS].update("b3", main_title="drei")
    two.push()
    assert one.push().ok
    for ctx in (one, two, one):
        pull_all(ctx)
    assert contents(one) == contents(two)
    assert [Book("b1", "one", "s", 100), Book("b3", "three", "s", 3), None] == [
        two[BOOKS].get(id) for id in ("b1", "b3", "b2")
    ]
    assert ["/tables/shelf", "/tidesync/v1", "/tidesync/v1/push"] == network.paths[:3]


@pytest.mark.parametrize("most", [0, 1, 150, 400, 1000, 2500])
def test_a_lost_reply_in_the_middle_of_a_batch_applies_each_operation_once(
    device: Device, service: Serving, most: int
) -> None:
    """What was known stays; what is in doubt is sent again under the same ids, and has one effect."""
    network = Lossy()
    one = device(network)
    one[SHELVES].insert(Shelf("s"))
    assert one.push().ok
    ids = [new_id() for _ in range(40)]
    one[BOOKS].insert_many([Book(id, "x", "s") for id in ids])
    network.cuts = [most]
    with pytest.raises(PushFailed, match="broke off"):
        one.push()
    assert 0 < one.pending_operations <= 40
    assert one.push().ok
    assert 0 == one.pending_operations
    assert 3 == network.paths.count("/tidesync/v1/push")
    authority = service.app.service.authority
    records = authority.records("book")
    assert sorted(ids) == [record["id"] for record in records]
    # Each insert drew one number of the remote's, beside the shelf's.
    numbers = sorted(int(str(record["version"]).partition(".")[0]) for record in records)
    assert list(range(2, 42)) == numbers
    one[BOOKS].update(ids[0], page_count=5)
    assert one.push().ok
    pull_all(one)
    assert Book(ids[0], "x", "s", 5) == one[BOOKS].get(ids[0])


def test_a_large_queue_goes_in_few_requests(device: Device, serve: Serve) -> None:
    """As many changes at once as the service takes."""
    small = serve(MemoryStore(), TABLES, limits=Limits(batch=25))
    network = Lossy()
    one = device(network, url=small.url, protocol="tidesync")
    one[BOOKS].insert_many([Book(f"b{number}") for number in range(100)])
    assert one.push().ok
    assert ["/tidesync/v1", *["/tidesync/v1/push"] * 4] == network.paths
    assert 100 == len(small.app.service.authority.records("book"))


def test_records_that_leave_a_query_leave_the_device(device: Device) -> None:
    """A named pull with departures="remove" hears of them."""
    one, two = device(), device()
    one[BOOKS].insert_many([Book(f"b{number}", page_count=number) for number in range(10)])
    assert one.push().ok
    thin = two[BOOKS].where(BOOKS.c.page_count < 5)
    two.pull(BOOKS, thin, name="thin", departures="remove")
    assert 5 == two[BOOKS].count()
    one[BOOKS].update("b0", page_count=500)
    one[BOOKS].update("b9", page_count=1)
    one[BOOKS].delete("b1")
    assert one.push().ok
    report = two.pull(BOOKS, thin, name="thin", departures="remove")
    assert (1, 1, 1) == (report.records, report.deleted, report.departed)
    assert {"b2", "b3", "b4", "b9"} == set(two[BOOKS].values("id"))


def test_a_named_pull_goes_on_where_it_was_interrupted(device: Device) -> None:
    """It asks for what it has not yet; afterwards only for what changed."""
    one = device()
    one[BOOKS].insert_many([Book(f"b{number}") for number in range(100)])
    assert one.push().ok
    network = Lossy()
    two = device(network, page_size=10)

    def stop(event: object) -> None:
        if network.paths.count("/tidesync/v1/pull") == 4:
            two.stop()

    unsubscribe = two.subscribe(stop)
    report = two.pull(BOOKS, name="all")
    assert 0 < report.records < 100
    had = report.records
    unsubscribe()
    report = two.pull(BOOKS, name="all")
    assert (100 - had, 100) == (report.records, two[BOOKS].count())
    one[BOOKS].update("b5", page_count=5)
    assert one.push().ok
    assert 1 == two.pull(BOOKS, name="all").records


def test_a_resync_reads_everything_and_drops_what_is_gone(device: Device, service: Serving) -> None:
    """Also where deletes were forgotten at the remote: then it asks for one."""
    one, two = device(), device()
    one[BOOKS].insert_many([Book(f"b{number}") for number in range(5)])
    assert one.push().ok
    two.pull(BOOKS, name="all")
    one[BOOKS].delete("b1")
    assert one.push().ok
    assert 1 == service.app.service.authority.compact(keep=-60)
    with pytest.raises(ResyncRequired):
        two.pull(BOOKS, name="all")
    two.pull(BOOKS, name="all", resync=True)
    assert {"b0", "b2", "b3", "b4"} == set(two[BOOKS].values("id"))
    assert 0 == two.pull(BOOKS, name="all").records


def test_a_remote_table_is_read_and_written_directly(device: Device) -> None:
    """Insert, get, where, update, delete and undelete, each one request."""
    one = device()
    online = one.remote(BOOKS)
    made = online.insert(Book("b/1", "x", None, 3))
    assert made == online.get("b/1") == online.where(BOOKS.c.page_count == 3).first()
    assert Book("b/1", "y", None, 3) == online.update(attrs.evolve(made, main_title="y"))
    online.delete("b/1")
    assert online.get("b/1") is None
    assert Book("b/1", "y", None, 3) == online.undelete("b/1")


def test_each_device_sees_what_its_token_shows(device: Device, serve: Serve) -> None:
    """A view is all there is for its principal; without a token that is known nothing is sent or lost."""
    ann, bob = "the-token-of-ann", "the-token-of-bob"
    who = {"ann": "a", "bob": "b"}
    lets_in = bearer(
        {
            token: Principal(name, {"shelf": None, "book": (BOOKS.c.shelf_id == who[name])})
            for token, name in ((ann, "ann"), (bob, "bob"))
        }
    )
    service = serve(MemoryStore(), TABLES, authorize=lets_in)
    one, two, none = (device(url=service.url, auth=token) for token in (ann, bob, "an-unknown-token"))
    one[BOOKS].insert_many([Book("mine", "x", "a"), Book("theirs", "x", "b")])
    with pytest.raises(PushFailed, match="that you may see"):
        one.push()
    two.pull(BOOKS, name="all")
    assert (0, 1) == (two[BOOKS].count(), one.pending_operations)
    one[BOOKS].update("theirs", shelf_id="a")
    assert one.push(retry_failed=True).ok
    one.pull(BOOKS, name="all")
    two[BOOKS].insert(Book("mine", "y", "b"))
    with pytest.raises(PushFailed, match="that you may see"):
        two.push()
    none[BOOKS].insert(Book("c", "x", "a"))
    with pytest.raises(PushFailed) as failed:
        none.push()
    assert ("authentication", 1) == (failed.value.report.status, none.pending_operations)
    records = service.app.service.authority.records("book")
    assert [("mine", "x"), ("theirs", "x")] == [(record["id"], record["mainTitle"]) for record in records]


def test_a_service_that_is_too_busy_gets_its_changes_later(device: Device, serve: Serve) -> None:
    """A refusal before anything is done says when to come again; the operations wait as they are."""
    service = serve(MemoryStore(), TABLES, limits=Limits(rate=0.001, burst=2))
    one = device(url=service.url, protocol="tidesync")
    one[BOOKS].insert(Book("a"))
    assert one.push().ok
    one[BOOKS].insert(Book("b"))
    with pytest.raises(PushFailed) as failed:
        one.push()
    report = failed.value.report
    assert "network" == report.status
    assert (report.retry_after or 0) > 60
    assert ["pending"] == [operation.state for operation in one.operations()]


def test_another_remote_at_the_same_address_gets_nothing(
    device: Device, service: Serving, tmp_path: Any
) -> None:
    """While the device is open its requests name their remote; opened again, it finds out at once."""
    path = tmp_path / "one.db"
    one = device(store=SQLiteStore(path))
    one[BOOKS].insert(Book("b0"))
    assert one.push().ok
    inner = service.app.service
    other = MemoryStore()
    inner.close()
    inner.authority.store, inner.authority._identity = other, None
    inner.open()
    one[BOOKS].insert(Book("b1"))
    with pytest.raises(PushFailed, match="421"):
        one.push()
    assert ([], 1) == (inner.authority.records("book"), one.pending_operations)
    one.close()
    again = device(store=SQLiteStore(path))
    with pytest.raises(RemoteChanged):
        again.push()
    assert ([], 1) == (inner.authority.records("book"), again.pending_operations)


def test_a_store_stays_with_the_protocol_it_was_synced_over(device: Device, tmp_path: Any) -> None:
    """A service over 3.0 is a server known by its address: the store meets its own protocol as another remote."""
    path = tmp_path / "one.db"
    one = device(store=SQLiteStore(path), protocol="3.0")
    one[BOOKS].insert(Book("b0"))
    assert one.push().ok
    one[BOOKS].insert(Book("b1"))
    one.close()
    other = device(store=SQLiteStore(path))
    with pytest.raises(RemoteChanged, match="the old address and protocol"):
        other.push()
    assert 1 == other.pending_operations
    other.close()
    assert device(store=SQLiteStore(path), protocol="3.0").push().ok
