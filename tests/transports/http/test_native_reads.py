"""HttpTransport on tidesync's own protocol: pages, one record, and what becomes of them on the way."""

import gzip

import httpx
import pytest

from tests.transports.http.native_server import NativeServer, anew, kinds, native, problem, reply, version_in
from tests.transports.http.support import (
    READ,
    delete,
    insert,
    pages,
    pulled,
    push_one,
    update,
)
from tidesync.contracts.transport import (
    Applied,
    Change,
    PullRequest,
)
from tidesync.errors import (
    ContextClosed,
    RequestRefused,
    ResyncRequired,
    UnknownTable,
)
from tidesync.query import Compare, Field, Order, Query, Value
from tidesync.values import ColumnType

pytestmark = pytest.mark.usefixtures("driver")

COUNT = Field("count", ColumnType.INTEGER)


def test_a_pull_follows_its_cursor_to_the_end() -> None:
    """Changes since then, tombstones and departures; conditions, orders and fields under the remote's names."""
    server = NativeServer()
    way = native(server)
    outcomes = way.push([insert(f"r{n}", count=n, created_on=f"d{n}") for n in range(10)])
    below = Query("todoitem", Compare("lt", COUNT, Value(5, ColumnType.INTEGER)))
    found = pages(way, below, limit=2)
    assert ({f"r{n}" for n in range(5)}, {}) == (set(pulled(found)[0]), pulled(found)[1])
    assert all(page.clock for page in found)
    cursor = found[-1].cursor
    _ = way.push(
        [anew(update("r0", version_in(outcomes[0]), count=50)), anew(delete("r1", version_in(outcomes[1])))]
    )
    page = way.pull(PullRequest(query=below, cursor=cursor, departures=True))
    assert (["r0"], ["r1"], []) == (list(page.departed), list(page.tombstones), list(page.records))
    dated = Compare("eq", Field("created_on"), Value("d3"))
    [one] = way.pull(PullRequest(query=Query("todoitem", dated), fields=("created_on",), total=True)).records
    assert {"id", "created_on", "version"} == one.keys()
    listing = Query("todoitem", order=(Order(Field("created_on"), True),), skip=1, take=2)
    page = way.pull(PullRequest(query=listing, incremental=False, total=True))
    assert (["r8", "r7"], 9) == ([record["id"] for record in page.records], page.total)
    page = way.pull(PullRequest(query=Query("todoitem"), ids=("r2", "r1", "x"), incremental=False))
    assert (["r2"], ["r1"]) == ([record["id"] for record in page.records], list(page.tombstones))


def test_a_cursor_that_is_not_honoured_asks_for_a_resync() -> None:
    """A cursor of another remote, or one that was made up."""
    way = native(NativeServer())
    for cursor in ("x", {"identity": "other", "table": "todoitem", "sequence": 1}):
        with pytest.raises(ResyncRequired):
            _ = way.pull(PullRequest(query=Query("todoitem"), cursor=cursor))


def test_what_the_remote_refuses_of_a_pull_has_its_code() -> None:
    """Its own words go along."""
    server = NativeServer()
    way = native(server)
    server.answers = [problem(404, "unknown_table"), problem(400, "invalid_query")]
    for code in ("unknown_table", "invalid_query"):
        with pytest.raises(RequestRefused, match=f"it is {code}") as error:
            _ = way.pull(READ)
        assert code == error.value.code


def test_reads_are_tried_again() -> None:
    """A pull is a read, though it is posted; also one whose reply broke off."""
    server = NativeServer()
    way = native(server, retries=2)
    server.answers = [httpx.ReadError, reply(503, **{"Retry-After": "0"}), None]
    assert [] == list(way.pull(READ).records)
    assert 3 == len(server.asked[1:])


@pytest.mark.parametrize("id", [".", "..", "a/b", "ä ?#%", "a"])
def test_a_record_of_any_id_is_read(id: str) -> None:
    """Alive, dead or missing."""
    way = native(NativeServer())
    assert way.get("todoitem", id) is None
    outcome = push_one(way, insert(id, created_on="x"))
    assert isinstance(outcome, Applied)
    assert outcome.copy == way.get("todoitem", id)
    gone = push_one(way, Change(id="d", table="todoitem", record_id=id, kind="delete", record=None))
    assert gone.copy == way.get("todoitem", id)  # type: ignore[union-attr]


def test_tables_that_were_not_declared_are_not_asked_for() -> None:
    """Nor is anything before open, or after close."""
    server = NativeServer()
    way = native(server)
    odd = Change(id="1", table="odd", record_id="a", kind="delete", record=None)
    for call in (
        lambda: way.push([odd]), lambda: way.get("odd", "a"), lambda: way.pull(PullRequest(query=Query("odd"))),
    ):  # fmt: skip
        with pytest.raises(UnknownTable, match="odd"):
            call()
    assert 1 == len(server.asked)
    way.close()
    with pytest.raises(ContextClosed):
        _ = way.pull(READ)


def test_compressed_replies_are_read() -> None:
    """As the remote sends them."""
    server = NativeServer()
    way = native(server, url="https://example.org")

    def zipped(request: httpx.Request) -> httpx.Response:
        plain = server(request)
        return reply(plain.status_code, gzip.compress(plain.content), **{"Content-Encoding": "gzip"})

    way = native(zipped, url="https://example.org")
    assert [Applied] * 3 == kinds(way.push([insert(id) for id in "abc"]))
    assert 3 == len(way.pull(READ).records)
