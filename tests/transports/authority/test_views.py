"""What a principal is confined to: what lies outside their view does not exist for them."""

from typing import Any

import attrs
import pytest

from tests.transports.authority.support import (
    MakeAuthority,
    Time,
    applied,
    change,
    delete,
    insert,
    kinds,
    pull,
    update,
)
from tidesync import table
from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    Conflicted,
    Outcome,
    Page,
    PullRequest,
    Rejected,
    Version,
)
from tidesync.errors import ConfigurationError, RequestRefused, ResyncRequired
from tidesync.query import Compare, Field, Order, Query, Value
from tidesync.records import Json, Tombstone, version_of
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.commits import Write
from tidesync.transports.principal import Principal
from tidesync.transports.rules import FORBIDDEN
from tidesync.values import ColumnType


def mine(owner: str) -> Compare:
    return Compare("eq", Field("text", ColumnType.STRING), Value(owner, ColumnType.STRING))


ANN = Principal("ann", {"item": mine("ann")})
ANN_ALL = Principal("ann", {"item": None})
BEN = Principal("ben", {"item": mine("ben")})
SIZES = (Order(Field("size", ColumnType.INTEGER)),)


def seen(authority: Authority, cursor: Json = None, who: Principal = ANN, **request: Any) -> Page:
    query = request.pop("query", Query("item"))
    return authority.pull(PullRequest(query=query, cursor=cursor, **request), who)


def ids(page: Page) -> list[str]:
    return [str(record["id"]) for record in page.records]


@pytest.fixture
def shared(authority: Authority) -> Authority:
    """Two records of each, the second of both deleted."""
    _ = applied(authority, insert("a1", text="ann", size=1), insert("b1", text="ben", size=2))
    _ = applied(authority, insert("a2", text="ann", size=3), insert("b2", text="ben", size=4))
    _ = applied(authority, delete("a2"), delete("b2"))
    return authority


def test_reads_are_confined(shared: Authority) -> None:
    """Gets, pulls, listings, lookups and counts hold what matches the view, tombstones by their last content."""
    got = [shared.get("item", id, ANN) for id in ("a1", "a2", "b1", "b2")]
    assert (["a1"], True, [None, None]) == (
        [got[0]["id"]] if isinstance(got[0], dict) else [],
        isinstance(got[1], Tombstone),
        got[2:],
    )
    page = seen(shared, total=True)
    assert (["a1"], ["a2"], 1) == (ids(page), list(page.tombstones), page.total)
    listing = seen(shared, query=Query("item", order=SIZES, total=True), incremental=False)
    assert (["a1"], 1) == (ids(listing), listing.total)
    found = seen(shared, ids=("a1", "b1", "b2", "a2"), departures=True)
    assert (["a1"], ["a2"], []) == (ids(found), list(found.tombstones), found.departed)


def test_writes_are_confined(shared: Authority) -> None:
    """A hidden record is nothing to updates, deletes and undeletes; neither is a hidden tombstone anything."""
    wanted = [
        update("b1", text="ann"),
        delete("b1"),
        change("undelete", "b2"),
        delete("b2"),
        change("update", "b1", Version(version_of(shared.get("item", "b1")) or ""), size=9),
    ]
    nothing: list[Outcome] = [Conflicted(None), Applied(None, Tombstone(None))]
    before = pull(shared)
    assert [*nothing, *nothing, Conflicted(None)] == shared.push(wanted, ANN)
    assert before == pull(shared)


@pytest.mark.parametrize(
    "forbidden",
    [
        insert("b1", text="ann"),
        insert("b2", text="ann"),
        change("insert", "b1", Anything(), text="ann"),
        insert("new", text="ben"),
        insert("new"),
        update("a1", text="ben"),
        change("update", "a1", fields=("text",)),
    ],
)
def test_what_leads_out_of_the_view_is_forbidden(shared: Authority, forbidden: Change) -> None:
    """One and the same answer to a write whose result is outside, and to an insert under a hidden id."""
    before = pull(shared)
    assert [FORBIDDEN] == shared.push([forbidden], ANN)
    assert before == pull(shared)


def test_a_table_that_is_not_named_does_not_exist(shared: Authority) -> None:
    """Tables outside the views are unknown ones, and are not listed among the known."""
    for name in ("list", "nowhere"):
        with pytest.raises(RequestRefused, match="declared: item") as caught:
            _ = seen(shared, query=Query(name))
        assert "unknown_table" == caught.value.code
        [outcome] = shared.push([change("insert", "x", table=name)], ANN)
        assert Rejected("unknown_table", f"there is no table {name!r} here") == outcome


def test_views_are_written_with_local_names() -> None:
    """A condition over the columns of a class holds for what they are called on the wire."""

    @attrs.define
    class Note:
        id: str
        owner: str

    notes = table(Note, rename={"owner": "ownerName"})
    who = Principal("ann", {"note": notes.c.owner == "ann"})
    with Authority(MemoryStore(), [notes]) as authority:
        sent = [change("insert", name, table="note", ownerName=name) for name in ("ann", "ben")]
        assert [Applied, Rejected] == list(map(type, authority.push(sent, who)))
        assert who == Principal("ann", {notes: notes.c.owner == "ann"})  # type: ignore[dict-item]  # a table for its name
        assert ["ann"] == ids(seen(authority, who=who, query=Query("note")))


@pytest.mark.parametrize("views", [{"item": True}, {"item": "text"}])
def test_views_are_conditions(views: Any) -> None:
    """What is no condition is told when the principal is made; so is a name that cannot be encoded."""
    with pytest.raises(ConfigurationError, match="item"):
        _ = Principal("ann", views)
    with pytest.raises(ConfigurationError, match="name"):
        _ = Principal("\ud800")


# ---- references


def test_references_see_what_the_principal_sees(make: MakeAuthority) -> None:
    """A hidden record cannot be named; one that a hidden record names cannot be deleted, and nobody is named."""
    authority = make(foreign_keys=True)
    ann = Principal("ann", {"list": None, "item": mine("ann")})
    _ = applied(authority, change("insert", "l", table="list"), change("insert", "m", table="list"))
    _ = applied(authority, insert("b", text="ben", list_id="l"), insert("a", text="ann", list_id="m"))
    outcomes = authority.push(
        [
            update("a", parent="b"),
            update("a", parent="none"),
            change("delete", "l", table="list"),
            change("delete", "m", table="list"),
        ],
        ann,
    )
    assert [
        Rejected("foreign_key", "parent names no live record of item"),
        Rejected("foreign_key", "parent names no live record of item"),
        Rejected("foreign_key", "the record is named by another one"),
        Rejected("foreign_key", "the record is named by list_id of item/a"),
    ] == outcomes
    blind = Principal("ben", {"item": None})
    [outcome] = authority.push([update("a", list_id="m")], blind)
    assert Rejected("foreign_key", "list_id names no live record") == outcome


# ---- what leaves a view


def test_what_leaves_a_view_is_told_to_those_who_saw_it(shared: Authority) -> None:
    """A record that went to somebody else is a tombstone without version; what never was there is not told."""
    cursor = seen(shared).cursor
    _ = applied(shared, update("a1", text="ben"), update("b1", size=5))
    page = seen(shared, cursor)
    assert ([], {"a1": Tombstone(None)}) == (page.records, page.tombstones)
    assert ([], {}) == (seen(shared, page.cursor).records, seen(shared, page.cursor).tombstones)
    _ = applied(shared, delete("a1"))
    assert {"a1": Tombstone(None)} == seen(shared, cursor).tombstones
    assert {} == seen(shared, page.cursor).tombstones
    assert {} == seen(shared, cursor, deleted=False).tombstones


def test_what_leaves_between_the_pages_is_told(authority: Authority) -> None:
    """However often it is written after it left: what the pull began with counts, not its last page."""
    for first_pull in (True, False):
        names = [f"{n}{first_pull}" for n in range(4)]
        cursor = None if first_pull else seen(authority).cursor
        _ = applied(authority, *(insert(name, text="ann") for name in names))
        page = seen(authority, cursor, limit=2, deleted=not first_pull)
        assert (names[:2], True) == (ids(page), page.more)
        _ = applied(authority, update(names[0], text="ben"))
        _ = applied(authority, update(names[0], size=1), update(names[2], size=1))
        last = seen(authority, page.cursor, limit=1)
        told: set[str] = {*last.tombstones}
        while last.more:
            last = seen(authority, last.cursor, limit=1)
            told |= {*last.tombstones}
        assert {names[0]} == told


def test_a_row_that_moves_on_behind_a_page_is_told(authority: Authority) -> None:
    """A record that left before a page was read, and was written again behind it, is told by a later page."""
    _ = applied(authority, insert("a1", text="ann"), insert("a2", text="ann"))
    cursor = seen(authority).cursor
    _ = applied(authority, update("a1", text="ben"))
    _ = applied(authority, update("a2", size=1))
    _ = applied(authority, insert("a3", text="ann"))
    _ = applied(authority, update("a1", size=1))
    first = seen(authority, cursor, limit=1)
    second = seen(authority, first.cursor, limit=1)
    third = seen(authority, second.cursor, limit=1)
    assert ([["a2"], ["a3"], []], {"a1": Tombstone(None)}) == (
        [ids(first), ids(second), ids(third)],
        third.tombstones,
    )
    assert [True, True, False] == [first.more, second.more, third.more]


def test_what_was_never_committed_was_never_seen(authority: Authority) -> None:
    """A record that passes through a view inside one transaction is not told to its followers."""
    cursor = seen(authority).cursor
    outcomes = authority.commit([Write(insert("x", text="ann")), Write(update("x", text="ben"))])
    assert ["Applied", "Applied"] == kinds(outcomes)
    page = seen(authority, cursor)
    assert ([], {}) == (page.records, page.tombstones)


def test_forgotten_departures_fence_off_old_cursors(make: MakeAuthority, time: Time) -> None:
    """A cursor from before what was pruned must start again, for principals with a view; for nobody else."""
    authority = make()
    _ = applied(authority, insert("a", text="ann"))
    old, whole = seen(authority).cursor, pull(authority).cursor
    _ = applied(authority, update("a", text="ben"))
    new = seen(authority).cursor
    time.seconds += 10
    _ = authority.compact(keep=60)
    assert ["a"] == list(seen(authority, old).tombstones)
    _ = authority.compact(keep=5)
    with pytest.raises(ResyncRequired, match="too old"):
        _ = seen(make(), old)
    assert {} == seen(authority, new).tombstones
    assert ["a"] == ids(pull(authority, whole))


def test_a_cursor_is_of_one_view(shared: Authority) -> None:
    """With other rights the pull starts again, in every mode; a principal made again keeps their cursors."""
    cursor = seen(shared).cursor
    assert [] == ids(seen(shared, cursor, who=Principal("ann", {"item": mine("ann")})))
    listing = {"query": Query("item", order=SIZES), "incremental": False, "limit": 1}
    others = [BEN, Principal("all"), Principal("ann", {"item": None})]
    for other in others:
        with pytest.raises(ResyncRequired, match="other records"):
            _ = seen(shared, cursor, who=other)
    _ = applied(shared, insert("a3", text="ann"))
    for other in others:
        with pytest.raises(ResyncRequired, match="other records"):
            _ = seen(shared, seen(shared, **listing).cursor, who=other, **listing)
    with pytest.raises(ResyncRequired, match="other records"):
        _ = seen(shared, pull(shared).cursor)


def test_a_view_of_true_is_not_a_view_of_one(authority: Authority) -> None:
    """Constants that compare equal and mean different things make different views."""
    views = [Compare("eq", Field("size"), Value(one)) for one in (1, True)]
    _ = applied(authority, insert("n", size=1), insert("b", size=True))
    told = [ids(seen(authority, who=Principal("x", {"item": view}))) for view in views]
    assert [["n"], ["b"]] == told
    cursor = seen(authority, who=Principal("x", {"item": views[0]})).cursor
    with pytest.raises(ResyncRequired):
        _ = seen(authority, cursor, who=Principal("x", {"item": views[1]}))


def test_nothing_is_kept_where_nobody_has_a_view(authority: Authority) -> None:
    """What is replaced is kept only from a first pull with a view on."""

    def kept() -> int:
        with authority.store.transaction(write=False) as transaction:
            return transaction.count(Query("__trails"))

    _ = applied(authority, insert("a", text="ann"), update("a", size=1))
    _ = (seen(authority, ids=("a",)), pull(authority))
    _ = applied(authority, update("a", size=2))
    assert 0 == kept()
    _ = seen(authority)
    _ = applied(authority, update("a", size=3))
    _ = applied(authority, delete("a"))
    _ = applied(authority, change("insert", "l", table="list"), change("update", "l", table="list", name="x"))
    assert 2 == kept()


# ---- operation ids and conditions


def test_operation_ids_are_each_principals_own(authority: Authority) -> None:
    """Another principal's id neither collides nor tells that it was used; nor does a name that ends like one."""
    mine_ = change("insert", "a", text="ann", operation="same")
    theirs = change("insert", "b", text="ben", operation="same")
    [first] = authority.push([mine_], ANN)
    [second] = authority.push([theirs], BEN)
    [third] = authority.push([change("insert", "c", operation="same")])
    assert ["Applied"] * 3 == kinds([first, second, third])
    assert isinstance(first, Applied)
    assert [Applied(first.version)] == authority.push([mine_], ANN)
    [reused] = authority.push([theirs], ANN)
    assert isinstance(reused, Rejected)
    assert "operation_reused" == reused.code


def test_an_operation_may_not_be_kept(authority: Authority) -> None:
    """Where the sender has no operation ids, the same id is another write each time."""
    writes = [Write(update("a", text="x"), remember=False) for _ in range(2)]
    again = [attrs.evolve(write, change=attrs.evolve(write.change, id="o")) for write in writes]
    _ = applied(authority, insert("a"))
    first, second = authority.commit(again)
    assert isinstance(first, Applied)
    assert isinstance(second, Applied)
    assert first.version != second.version
    with authority.store.transaction(write=False) as transaction:
        assert [None] == transaction.get("__remembered", ["o"])


def test_a_condition_is_asked_first_of_what_is_seen(shared: Authority) -> None:
    """It sees record, tombstone or nothing as the principal does; where it says no, nothing is done."""
    asked: list[str] = []

    def note(copy: object) -> bool:
        asked.append(type(copy).__name__)
        return False

    writes = [Write(delete(id), ANN, note) for id in ("a1", "a2", "b1", "none")]
    outcomes = shared.commit(writes)
    assert ["dict", "Tombstone", "NoneType", "NoneType"] == asked
    assert [Conflicted(shared.get("item", id, ANN)) for id in ("a1", "a2", "b1", "none")] == outcomes
    assert ["Applied"] == kinds(shared.commit([Write(delete("a1"), ANN, lambda copy: True)]))
    assert [Conflicted(None)] == shared.commit([Write(insert("b1", text="ann"), ANN, note)])


def test_a_condition_is_not_asked_again(authority: Authority) -> None:
    """An operation that was applied is known before anything is asked."""
    write = Write(change("insert", "a", Absent(), operation="o"), condition=lambda copy: copy is None)
    first, second = authority.commit([write]), authority.commit([write])
    assert isinstance(first[0], Applied)
    assert [Applied(first[0].version)] == second


def test_a_commit_has_no_limit_and_a_push_has(make: MakeAuthority) -> None:
    """What a service gathers from many senders is one transaction, however many they are."""
    authority = make(max_changes=2)
    outcomes = authority.commit([Write(insert(f"i{n}")) for n in range(3)])
    assert ["Applied"] * 3 == kinds(outcomes)
    assert ["Applied", "Applied", "Untried"] == kinds(
        authority.push([insert(f"j{n}") for n in range(3)], ANN_ALL)
    )


def test_schemas_without_columns_have_views_too() -> None:
    """A view over fields that nobody declared holds as any other."""
    with Authority(MemoryStore(), [TableSchema("free")]) as authority:
        who = Principal("ann", {"free": Compare("eq", Field("owner"), Value("ann"))})
        sent = [change("insert", name, table="free", owner=name) for name in ("ann", "ben")]
        assert ["Applied", "Applied"] == kinds(authority.push(sent))
        assert ["ann"] == ids(seen(authority, who=who, query=Query("free")))


def test_the_mark_of_a_view_never_changes(authority: Authority) -> None:
    """Followers hold cursors for years: one of an earlier tidesync is honoured as long as the condition is the same."""
    cursor = seen(authority).cursor
    assert isinstance(cursor, dict)
    assert "4be0db9ae8c4b5d1c22c48d1" == cursor["view"]
