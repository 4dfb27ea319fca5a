"""Reading page by page: every record once or more, never one too few, and always an end."""

import json
from typing import Any

import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.http.fake_server import START, FakeServer, reply, version
from tests.transports.http.odata_server import Moment, sqlite
from tests.transports.http.support import COLUMNS, pages, pulled, transport
from tidesync.contracts.transport import PullRequest
from tidesync.errors import ProtocolError, RemoteUnavailable, ResyncRequired
from tidesync.query import Compare, Field, Query, Value
from tidesync.records import Tombstone
from tidesync.values import ColumnType

pytestmark = pytest.mark.usefixtures("driver")

T = ColumnType
ALL = Query("todoitem")
DONE, RANK, TEXT = Field("complete", T.BOOLEAN), Field("priority", T.FLOAT), Field("text", T.STRING)


def server_of(count: int, *, tick: float = 0.001, cap: int = 1000) -> FakeServer:
    server = FakeServer({"todoitem": COLUMNS}, tick=tick, cap=cap)
    for number in range(count):
        server.put(
            "todoitem",
            f"{number:04}",
            text=f"t{number}",
            complete=number % 2 == 0,
            priority=float(number % 7),
        )
    return server


def parameters(request: httpx.Request) -> dict[str, str]:
    return dict(request.url.params)


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 20, 21])
@pytest.mark.parametrize("cap", [1000, 3])
def test_every_record_comes(count: int, cap: int) -> None:
    """None, a page exactly, several pages; also from a server that gives fewer than asked. [I26] [I25]"""
    server = server_of(count, cap=cap)
    records, tombstones = pulled(pages(transport(server), ALL, limit=7))
    assert ({f"{number:04}" for number in range(count)}, {}) == (records.keys(), tombstones)


def test_a_quiet_pull_is_one_request_and_news_are_two() -> None:
    """The end is an empty page: nothing new costs one request, a few new records two. [I01]"""
    server = server_of(5)
    way = transport(server)
    cursor = pages(way, ALL)[-1].cursor
    assert 2 == len(server.requests)
    server.requests.clear()
    server.put("todoitem", "new", text="x")
    found = pages(way, ALL, cursor=cursor)
    assert (2, {"0004", "new"}) == (len(server.requests), set(pulled(found)[0]))


def test_the_order_and_the_filter_of_an_incremental_page() -> None:
    """By updatedAt, deleted records too, the query's filter beside the cursor's. [I06] [I13] [I21] [H12]"""
    server = server_of(20)
    way = transport(server)
    _ = pages(way, attrs.evolve(ALL, where=Compare("gt", RANK, Value(1.5))), limit=5)
    first, second = (parameters(request) for request in server.requests[:2])
    assert {
        "$filter": "priority gt 1.5",
        "$orderby": "updatedAt,id",
        "$top": "5",
        "__includeDeleted": "true",
    } == first
    assert second["$filter"].startswith(
        "(priority gt 1.5) and (updatedAt ge datetimeoffset'2026-11-20T03:45:05.0"
    )
    assert "$skip" not in second


@pytest.mark.parametrize("ties", [1, 4, 5, 21, 60])
@pytest.mark.parametrize("cap", [1000, 3])
def test_more_ties_than_a_page_still_end_with_all(ties: int, cap: int) -> None:
    """Rows that share one millisecond, more than fit a page: all come, and the pull ends. [R-I33]"""
    server = server_of(5, cap=cap)
    for number in range(ties):
        server.put("todoitem", f"tie{number:03}", updatedAt="2026-11-20T03:45:06.000Z")
    server.now = START.replace(second=7)
    server.put("todoitem", "last")
    records, _ = pulled(pages(transport(server), ALL, limit=5))
    assert 6 + ties == len(records)


def test_a_remote_that_keeps_more_decimals_than_it_shows() -> None:
    """Within a millisecond the remote's order is not ours: the millisecond is read whole. [R-I33]"""

    def precise(op: str, left: Any, right: Any) -> bool | None:
        if isinstance(left, str) and isinstance(right, Moment):
            return sqlite(op, left[:-1].ljust(27, "0"), right.text[:-1].ljust(27, "0"))
        return sqlite(op, left, right)

    server = FakeServer({"todoitem": COLUMNS}, compare=precise)
    for number in range(60):  # ids fall while the hidden part of the time rises
        server.put("todoitem", f"{99 - number:02}", updatedAt=f"2026-11-20T03:45:06.000{number:04}Z")

    def handler(request: httpx.Request) -> httpx.Response:
        answer = server(request)
        rows = [{**row, "updatedAt": row["updatedAt"][:23] + "Z"} for row in json.loads(answer.content)]
        return httpx.Response(200, content=json.dumps(rows).encode())

    records, _ = pulled(pages(transport(handler), ALL, limit=7))
    assert 60 == len(records)


def test_rows_without_updated_at_come_and_do_not_loop() -> None:
    """updatedAt null on every row: all are read once, by id, and the pull ends. [I12] [R-I34]"""
    server = FakeServer({"todoitem": COLUMNS})
    for number in range(23):
        server.put("todoitem", f"{number:02}", updatedAt=None)
    way = transport(server)
    found = pages(way, ALL, limit=5)
    assert 23 == len(pulled(found)[0])
    server.put("todoitem", "dated")
    assert {"dated"} == set(pulled(pages(way, ALL, cursor=found[-1].cursor))[0])


def test_deleted_rows_are_tombstones_with_their_version() -> None:
    """A soft delete reaches every device that pulls. [J13]"""
    server = server_of(3)
    server.put("todoitem", "0001", deleted=True)
    records, tombstones = pulled(pages(transport(server), ALL))
    assert ({"0000", "0002"}, {"0001": Tombstone(version(2))}) == (set(records), tombstones)


@given(st.data())
def test_rows_that_change_between_pages_are_never_lost(data: st.DataObject) -> None:
    """Changed, inserted and deleted while paging: at the end the device holds what the server holds."""
    server = server_of(data.draw(st.integers(0, 30)), tick=data.draw(st.sampled_from([0.0, 0.0005, 0.001])))

    def change() -> None:
        server.tick = type(server.tick)(milliseconds=data.draw(st.sampled_from([0, 1])))
        for _ in range(data.draw(st.integers(0, 2)) if len(server.requests) < 25 else 0):
            id = data.draw(st.sampled_from([*server.rows["todoitem"], "x", "y", "z"]))
            server.put("todoitem", id, deleted=data.draw(st.booleans()), text=f"n{len(server.requests)}")

    way = transport(server)
    limit = data.draw(st.integers(1, 6))
    found = pages(way, ALL, limit=limit, between=change)
    server.now = server.now.replace(second=59)
    found += pages(way, ALL, limit=limit, cursor=found[-1].cursor, overlap=60.0)
    records, tombstones = pulled(found)
    alive = {id: version(row["n"]) for id, row in server.rows["todoitem"].items() if not row["deleted"]}
    assert alive == {id: record["version"] for id, record in records.items()}
    assert {id for id, row in server.rows["todoitem"].items() if row["deleted"]} == set(tombstones)


def test_the_overlap_counts_back_from_when_the_pull_began() -> None:
    """A late commit is read again: from the clock of the pull's first reply, not from its last row."""
    server = server_of(3)
    way = transport(server)
    cursor = pages(way, ALL, between=lambda: setattr(server, "now", server.now.replace(second=50)))[-1].cursor
    assert {"at": "2026-11-20T03:45:05.003Z", "clock": "2026-11-20T03:45:04.000000Z", "ended": True} == cursor
    server.requests.clear()
    _ = way.pull(PullRequest(query=ALL, cursor=cursor, overlap=10.0))
    assert (
        "updatedAt ge datetimeoffset'2026-11-20T03:44:54.000Z'" == parameters(server.requests[0])["$filter"]
    )


def test_without_a_clock_the_overlap_counts_back_from_the_last_row() -> None:
    """A remote that sends no Date is rewound from its newest record."""
    server = server_of(3)

    def handler(request: httpx.Request) -> httpx.Response:
        answer = server(request)
        del answer.headers["date"]
        return answer

    way = transport(handler)
    found = pages(way, ALL)
    assert [None] * 2 == [page.clock for page in found]
    _ = way.pull(PullRequest(query=ALL, cursor=found[-1].cursor, overlap=10.0))
    assert (
        "updatedAt ge datetimeoffset'2026-11-20T03:44:55.003Z'" == parameters(server.requests[-1])["$filter"]
    )


def test_an_interrupted_pull_goes_on_where_it_stopped() -> None:
    """The cursor of every page is good on its own, and a failed page moves nothing. [I10] [I16]"""
    server = server_of(20)
    fail = [False]

    def handler(request: httpx.Request) -> httpx.Response:
        return reply(500) if fail[0] else server(request)

    way = transport(handler, retries=0)
    first = way.pull(PullRequest(query=ALL, limit=6))
    fail[0] = True
    with pytest.raises(RemoteUnavailable):
        _ = way.pull(PullRequest(query=ALL, limit=6, cursor=first.cursor))
    fail[0] = False
    rest = pages(transport(server), ALL, limit=6, cursor=first.cursor)
    assert 20 == len(first.records) + sum(len(page.records) for page in rest)


@pytest.mark.parametrize(
    "cursor", [1, "x", [], {}, {"at": 5, "clock": None}, {"at": "soon", "clock": None}, {"ids": "x"}]
)
def test_a_foreign_cursor_asks_for_a_resync(cursor: Any) -> None:
    """A cursor that this transport did not make is refused as such. [I17]"""
    way = transport(server_of(1))
    for incremental in (True, False):
        with pytest.raises(ResyncRequired):
            _ = way.pull(PullRequest(query=ALL, cursor=cursor, incremental=incremental))


def test_a_server_that_ignores_the_filter_or_the_order_is_found_out() -> None:
    """The same page again, or rows out of order, would never end or lose records: a typed error. [I09]"""
    row = {"id": "a", "updatedAt": "2026-11-20T03:45:05.000Z"}
    for rows in ([row], [row, {"id": "b", "updatedAt": "2026-11-20T03:45:04.000Z"}]):
        way = transport(lambda request, rows=rows: reply(200, rows))  # type: ignore[misc]
        for incremental in (True, False):
            with pytest.raises(ProtocolError):
                _ = pages(way, ALL, incremental=incremental)


@pytest.mark.parametrize(
    ("limit", "page_limit", "top"), [(5000, 1000, "1000"), (5, 1000, "5"), (500, 20, "20"), (0, 9, "1")]
)
def test_a_page_has_as_many_as_asked_and_allowed(limit: int, page_limit: int, top: str) -> None:
    """The smaller of what the caller wants and what the server and the options allow. [I02]"""
    server = server_of(1)
    _ = transport(server, page_limit=page_limit).pull(PullRequest(query=ALL, limit=limit))
    assert top == parameters(server.requests[0])["$top"]


def test_an_empty_page_moves_nothing() -> None:
    """Without news the position stays where it was. [I14] [I25]"""
    server = server_of(3)
    way = transport(server)
    cursor = pages(way, ALL)[-1].cursor
    server.rows["todoitem"].clear()
    assert cursor == pages(way, ALL, cursor=cursor)[-1].cursor
    empty = pages(transport(FakeServer({"todoitem": COLUMNS})), ALL)[-1].cursor
    assert isinstance(empty, dict)
    assert empty["at"] is None


def test_a_record_that_changes_after_it_was_read_comes_again() -> None:
    """The records that a page ended with are left out of the next one only as long as they are as they were."""
    server = server_of(1)
    found = pages(
        transport(server),
        ALL,
        between=lambda: len(server.requests) < 2 and server.put("todoitem", "0000", text="new"),
    )
    assert "new" == pulled(found)[0]["0000"]["text"]


def test_a_page_out_of_order_is_not_believed() -> None:
    """A position cannot be told from it: what lies between would be lost."""
    rows = [
        {"id": id, "updatedAt": f"2026-11-20T03:45:0{second}.000Z"} for id, second in (("a", 6), ("b", 5))
    ]
    answers = [rows, []]
    with pytest.raises(ProtocolError, match="order"):
        _ = pages(transport(lambda request: reply(200, answers.pop(0))), ALL)


@pytest.mark.parametrize(("prefix", "count", "limit"), [("🙂" * 200, 12, 4), ("", 300, 150)])
def test_many_names_or_long_ones_do_not_make_a_long_address(prefix: str, count: int, limit: int) -> None:
    """Names that would not fit an address are not named: the millisecond is read by id instead."""
    server = FakeServer({"todoitem": COLUMNS})
    for number in range(count):
        server.put("todoitem", f"{prefix}{number}", updatedAt="2026-11-20T03:45:06.000Z")
    assert count == len(pulled(pages(transport(server), ALL, limit=limit))[0])
    assert 8_000 > max(len(str(request.url)) for request in server.requests)


def test_a_link_is_never_followed() -> None:
    """The real server's Link has no port and no path, and comes with the last full page too. [I04]"""
    server = server_of(4)
    _ = pages(transport(server), ALL, limit=2)
    assert {"/app/tables/todoitem"} == {request.url.path for request in server.requests}
