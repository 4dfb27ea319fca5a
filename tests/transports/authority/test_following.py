"""What a follower is told: pages, cursors, departures, counts, lookups and listings."""

from typing import Any

import pytest

from tests.transports.authority.support import (
    Follower,
    MakeAuthority,
    Time,
    applied,
    change,
    delete,
    ids,
    insert,
    live,
    pull,
    update,
)
from tidesync.contracts.transport import CursorGuarantee, PullRequest
from tidesync.errors import RequestRefused, ResyncRequired
from tidesync.query import Compare, Field, Order, Query, Value
from tidesync.records import Json, Record, Tombstone
from tidesync.transports import pages
from tidesync.transports.authority import Authority
from tidesync.values import ColumnType

SMALL = Query("item", Compare("lt", Field("size", ColumnType.INTEGER), Value(10, ColumnType.INTEGER)))
BY_SIZE = (Order(Field("size", ColumnType.INTEGER), descending=True),)


def numbered(count: int) -> list[Any]:
    return [insert(f"i{n:02}", size=n) for n in range(count)]


def test_what_is_declared(authority: Authority) -> None:
    """An authority promises the order of commits, and everything that a remote may offer."""
    told = authority.capabilities()
    everything = frozenset(("item", "list"))
    assert ("remote", CursorGuarantee.COMMIT_ORDERED) == (told.identity, told.cursor)
    assert (everything, everything) == (told.tombstones, told.departures)
    assert (True, True, True, None, 1000) == (
        told.ordered,
        told.total,
        told.filters,
        told.remembers,
        told.max_changes,
    )


def test_pages_follow_the_order_of_commits(authority: Authority) -> None:
    """Records written within one instant come page by page, all of them, each once. [R-I33]"""
    _ = applied(authority, *numbered(7))
    _ = applied(authority, update("i02", text="moved to the end"))
    first = pull(authority, limit=3)
    second = pull(authority, first.cursor, limit=3)
    third = pull(authority, second.cursor, limit=3)
    assert [["i00", "i01", "i03"], ["i04", "i05", "i06"], ["i02"]] == [ids(first), ids(second), ids(third)]
    assert [True, True, False] == [first.more, second.more, third.more]
    assert ([], False, third.cursor) == (ids(pull(authority, third.cursor)), False, third.cursor)


def test_a_page_that_is_just_full_is_the_last(authority: Authority) -> None:
    """A count of records that exactly fills the page has no page after it. [I26]"""
    _ = applied(authority, *numbered(3))
    page = pull(authority, limit=3)
    assert (3, False) == (len(page.records), page.more)


def as_numbers(cursor: Json) -> dict[str, Json]:
    assert isinstance(cursor, dict)
    return cursor


def test_a_cursor_brings_only_what_came_after_it(authority: Authority) -> None:
    """Other tables move the cursor, and bring nothing."""
    _ = applied(authority, *numbered(2))
    cursor = pull(authority).cursor
    _ = applied(authority, change("insert", "l", table="list"))
    page = pull(authority, cursor)
    assert ([], False) == (page.records, page.more)
    assert {**as_numbers(cursor), "sequence": 3} == page.cursor
    _ = applied(authority, update("i00", text="x"))
    assert ["i00"] == ids(pull(authority, cursor)) == ids(pull(authority, page.cursor))


def test_deletes_are_told_whatever_the_query(authority: Authority) -> None:
    """Every tombstone since the cursor is told with its version, and hidden from reads."""
    _ = applied(authority, insert("a", size=1), insert("b", size=100))
    cursor = pull(authority, query=SMALL).cursor
    gone = applied(authority, delete("a"), delete("b"))
    page = pull(authority, cursor, query=SMALL)
    assert {"a": Tombstone(gone[0].version), "b": Tombstone(gone[1].version)} == page.tombstones
    assert ([], {}) == (page.records, live(authority))
    assert {} == pull(authority, cursor, deleted=False).tombstones


def test_a_first_pull_may_do_without_old_deletes(authority: Authority) -> None:
    """Without tombstones, what died before the first page is not told, but what dies between its pages is."""
    _ = applied(authority, *numbered(4), delete("i00"))
    assert ["i00"] == list(pull(authority).tombstones)
    first = pull(authority, limit=2, deleted=False)
    assert (["i01", "i02"], {}) == (ids(first), first.tombstones)
    _ = applied(authority, delete("i01"), update("i02", size=50), delete("i03"))
    second = pull(authority, first.cursor, limit=2, deleted=False)
    third = pull(authority, second.cursor, limit=2, deleted=False)
    assert (["i02"], {"i01", "i03"}) == (ids(second) + ids(third), {*second.tombstones, *third.tombstones})
    assert (True, False) == (second.more, third.more)


def test_departures_are_told_when_asked(authority: Authority) -> None:
    """A record that changed since the cursor and no longer matches is told by id, if that was asked."""
    _ = applied(authority, *numbered(3), insert("large", size=100))
    cursor = pull(authority, query=SMALL, departures=True).cursor
    _ = applied(authority, update("i01", size=11), update("i02", text="stays"), update("large", size=101))
    asked = pull(authority, cursor, query=SMALL, departures=True)
    assert (["i02"], ["i01", "large"]) == (ids(asked), asked.departed)
    silent = pull(authority, cursor, query=SMALL)
    assert (["i02"], []) == (ids(silent), silent.departed)


def test_a_first_pull_tells_only_late_departures(authority: Authority) -> None:
    """What never matched is no departure; what left between the pages of the first pull is one."""
    _ = applied(authority, insert("large", size=100), *numbered(4))
    first = pull(authority, query=SMALL, departures=True, limit=2)
    assert (["i00", "i01"], []) == (ids(first), first.departed)
    _ = applied(authority, update("i00", size=11))
    second = pull(authority, first.cursor, query=SMALL, departures=True)
    assert (["i02", "i03"], ["i00"]) == (ids(second), second.departed)


def test_totals_are_counted_when_asked(authority: Authority) -> None:
    """The first page counts the whole pull, whatever its limit; a later one what is left. [B28]"""
    _ = applied(authority, *numbered(12), delete("i00"))
    page = pull(authority, query=SMALL, limit=4, total=True)
    assert (9, 4) == (page.total, len(page.records))
    assert 5 == pull(authority, page.cursor, query=SMALL, total=True).total
    assert None is pull(authority, query=SMALL).total
    listing = Query("item", SMALL.where, BY_SIZE, skip=2, take=3, total=True)
    assert 9 == pull(authority, query=listing, incremental=False).total


@pytest.mark.parametrize("departures", [False, True])
def test_records_are_narrowed_to_fields(authority: Authority, departures: bool) -> None:
    """Only the fields asked for come, with id and version; one that a record has not is left out."""
    [done] = applied(authority, insert("a", text="x", size=1))
    expected: list[Record] = [{"id": "a", "text": "x", "version": done.version}]
    wanted = ("text", "none")
    assert expected == pull(authority, fields=wanted, query=SMALL, departures=departures).records
    assert expected == pull(authority, query=Query("item", fields=wanted), departures=departures).records
    assert expected == pull(authority, fields=wanted, ids=("a",)).records
    assert expected == pull(authority, fields=wanted, query=Query("item", take=1), incremental=False).records
    assert [{"id": "a", "version": done.version}] == pull(authority, fields=()).records


def test_ids_are_looked_up(authority: Authority) -> None:
    """A lookup answers for the ids asked: what matches, what died, and (if asked) what does not match."""
    _ = applied(authority, *numbered(4), insert("large", size=100), delete("i03"))
    asked = ("i02", "none", "large", "i03", "i02", "i00")
    page = pull(authority, query=SMALL, ids=asked, total=True)
    assert (["i02", "i00"], ["i03"], [], 5) == (ids(page), [*page.tombstones], page.departed, page.total)
    page = pull(authority, query=SMALL, ids=asked, departures=True, deleted=False)
    assert (["i02", "i00"], [], ["large"]) == (ids(page), [*page.tombstones], page.departed)
    first = pull(authority, ids=asked, limit=2)
    second = pull(authority, first.cursor, ids=asked, limit=2)
    third = pull(authority, second.cursor, ids=asked, limit=2)
    assert [["i02"], ["large"], ["i00"]] == [ids(first), ids(second), ids(third)]
    assert [True, True, False] == [first.more, second.more, third.more]
    assert [] == pull(authority, ids=()).records


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_a_listing_keeps_its_order(authority: Authority, limit: int) -> None:
    """A request that is not incremental honours order, skip and take, over any number of pages."""
    _ = applied(authority, *numbered(9), delete("i07"))
    query = Query("item", SMALL.where, BY_SIZE, skip=1, take=5)
    seen: list[str] = []
    cursor: Json = None
    pages = 0
    while pages == 0 or cursor is not None:
        page = pull(authority, cursor, query=query, limit=limit, incremental=False)
        assert page.more == (page.cursor is not None)
        seen, cursor, pages = seen + ids(page), page.cursor, pages + 1
    assert ["i06", "i05", "i04", "i03", "i02"] == seen
    assert -(-5 // limit) == pages


def test_a_listing_may_take_nothing(authority: Authority) -> None:
    """A take of nothing, and a skip past the end, are empty pages."""
    _ = applied(authority, *numbered(2))
    for query in (Query("item", take=0), Query("item", skip=5)):
        page = pull(authority, query=query, incremental=False)
        assert ([], False, None) == (page.records, page.more, page.cursor)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (PullRequest(query=Query("nowhere")), "unknown_table"),
        (PullRequest(query=Query("__authority")), "unknown_table"),
        (PullRequest(query=Query("item"), limit=0), "invalid_request"),
        (PullRequest(query=Query("item", order=BY_SIZE)), "invalid_request"),
        (PullRequest(query=Query("item", skip=1)), "invalid_request"),
        (PullRequest(query=Query("item", take=1)), "invalid_request"),
    ],
)
def test_a_request_without_meaning_is_refused(authority: Authority, request_: PullRequest, code: str) -> None:
    """Tables that are not held, and order, skip or take with a cursor to come, are errors that say so."""
    with pytest.raises(RequestRefused) as caught:
        _ = authority.pull(request_)
    assert code == caught.value.code
    with pytest.raises(RequestRefused, match="nowhere"):
        _ = authority.get("nowhere", "a")


# ---- cursors


@pytest.mark.parametrize(
    "junk",
    [
        7,
        "x",
        [],
        {},
        {"identity": "remote", "table": "item"},
        {"identity": "remote", "table": "item", "sequence": "1"},
        {"identity": "remote", "table": "item", "sequence": True},
        {"identity": "remote", "table": "item", "sequence": -1},
        {"identity": "remote", "table": "item", "sequence": 0, "since": 1.5},
        {"identity": "remote", "table": "item", "offset": 1},
        {"identity": "remote", "table": "item", "sequence": 2},
        {"identity": "remote", "table": "item", "sequence": 0, "since": 2},
        {"identity": "remote", "table": "list", "sequence": 1},
        {"identity": "another", "table": "item", "sequence": 1},
    ],
)
def test_a_cursor_that_is_not_its_own_is_not_honoured(authority: Authority, junk: Json) -> None:
    """What is malformed, from another table or remote, or from the future, asks for a new start."""
    _ = applied(authority, insert("a"))
    own = as_numbers(pull(authority).cursor)
    assert {"identity": "remote", "epoch": own["epoch"], "table": "item", "sequence": 1} == own
    with pytest.raises(ResyncRequired, match="start again"):
        _ = pull(authority, {"epoch": own["epoch"], **junk} if isinstance(junk, dict) else junk)


def test_a_listings_cursor_is_for_listings(authority: Authority) -> None:
    """Neither kind of cursor is taken for the other."""
    _ = applied(authority, *numbered(2))
    query = Query("item", order=BY_SIZE)
    listing = pull(authority, query=query, limit=1, incremental=False).cursor
    with pytest.raises(ResyncRequired, match="malformed"):
        _ = pull(authority, listing)
    with pytest.raises(ResyncRequired, match="malformed"):
        _ = pull(authority, pull(authority).cursor, query=query, incremental=False)


def test_forgotten_tombstones_fence_off_old_cursors(make: MakeAuthority, time: Time) -> None:
    """After a compaction, whoever may have missed a delete must start again; nobody else."""
    authority = make()
    _ = applied(authority, *numbered(4))
    behind = pull(authority, limit=1)
    _ = applied(authority, delete("i00"))
    aware = pull(authority)
    time.seconds += 100
    _ = applied(authority, delete("i01"))
    assert 0 == authority.compact(keep=100)
    assert 1 == authority.compact(keep=99)
    assert (None, Tombstone) == (authority.get("item", "i00"), type(authority.get("item", "i01")))
    with pytest.raises(ResyncRequired, match="too old"):
        _ = pull(make(), behind.cursor)
    assert ["i01"] == list(pull(authority, aware.cursor).tombstones)
    newcomer = Follower(authority, limit=1)
    assert live(authority) == newcomer.catch_up()
    _ = applied(authority, insert("i00", text="free again"))
    assert live(authority) == newcomer.catch_up()


def test_a_compaction_of_one_table_spares_the_others(authority: Authority, time: Time) -> None:
    """Only followers of a table that lost tombstones must start again."""
    _ = applied(authority, insert("a"), change("insert", "l", table="list"))
    cursor = pull(authority, query=Query("list")).cursor
    _ = applied(authority, delete("a"))
    time.seconds += 1
    assert 1 == authority.compact(keep=0)
    assert [] == pull(authority, cursor, query=Query("list")).records


def heavy(authority: Authority, count: int = 5) -> list[str]:
    """Records of which one fills a page by itself."""
    names = [f"i{n}" for n in range(count)]
    _ = applied(authority, *(insert(name, text="x" * 1000) for name in names))
    return names


def walked(authority: Authority, **request: Any) -> list[list[str]]:
    """The ids of each page until there are no more."""
    found, cursor, more = list[list[str]](), None, True
    while more:
        page = pull(authority, cursor, **request)
        found.append(ids(page))
        cursor, more = page.cursor, page.more
    return found


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"departures": True},
        {"incremental": False, "query": Query("item", order=(Order(Field("id")),))},
        {"incremental": False, "query": Query("item", order=(Order(Field("id")),), skip=1, take=3)},
        {"incremental": False, "ids": ("i0", "i1", "none", "i2", "i3", "i4")},
    ],
    ids=["news", "departures", "listing", "taken", "lookup"],
)
def test_a_page_of_large_records_is_short(
    authority: Authority, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page ends where it has become large, however many records it may have, and nothing is left out."""
    names = heavy(authority)
    monkeypatch.setattr(pages, "WEIGHT", 1500)
    wanted = names[1:4] if request_.get("query", Query("item")).skip else names
    found = walked(authority, **request_)
    assert wanted == [id for page in found for id in page]
    assert 2 == max(map(len, found))


def test_one_record_is_never_too_large_for_a_page(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is larger than a page gets one of its own; so does a structure."""
    names = heavy(authority, 2)
    _ = applied(authority, insert("i2", text="", parts=[{"text": "x" * 1000}]), insert("i3", text=""))
    monkeypatch.setattr(pages, "WEIGHT", 1000)
    assert [*([name] for name in names), ["i2"], ["i3"]] == walked(authority)
