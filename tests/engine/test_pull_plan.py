"""The seven rules of pull, on a remote that says what the test tells it to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.fakes import STRONG, WEAK, Bench, ScriptedTransport
from tidesync.conflicts import defer, keep_local, keep_remote, merge_fields
from tidesync.contracts.transport import (
    Conflicted,
    CursorGuarantee,
    Junk,
    NotSent,
    Page,
    Rejected,
    TransportCapabilities,
    Unknown,
)
from tidesync.errors import (
    MassDeparture,
    ProtocolError,
    QueryNameReused,
    RemoteChanged,
    RemoteUnavailable,
    ResyncRequired,
    Unsupported,
)
from tidesync.events import PageStored, Progress, PullFinished, PullStarted
from tidesync.query import Compare, Expr, Field, Value
from tidesync.records import Record, Tombstone
from tidesync.reports import PushFailed
from tidesync.values import ColumnType


def item(id: str, version: str = "v1", **fields: Any) -> Record:
    return {"id": id, "text": f"text of {id}", "version": version, **fields}


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}.000000Z"


def text_is(value: str) -> Expr:
    return Compare("eq", Field("text", ColumnType.STRING), Value(value, ColumnType.STRING))


def ids(bench: Bench, table: str = "items") -> list[str]:
    return [str(row["id"]) for row in bench.rows(table)]


# ---- rule 1: push first


def test_a_pull_pushes_first() -> None:
    """What is queued goes before news is asked for. [J01]"""
    transport = ScriptedTransport(pages=[Page(records=[item("B")])])
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new"})
    report = bench.pull(push="context")
    assert ([("insert", "A")], ["A", "B"]) == (transport.sent, ids(bench))
    assert report.push is not None
    assert report.push.ok


def test_a_pull_with_nothing_queued_pushes_nothing() -> None:
    """No operation, no push, no report of one. [J01]"""
    transport = ScriptedTransport()
    report = Bench(transport).pull(push="context")
    assert ([], None) == (transport.pushes, report.push)


@pytest.mark.parametrize(
    ("push", "sent"), [("context", ["L", "N", "A"]), ("table", ["L", "A"]), ("none", [])]
)
def test_a_pull_pushes_what_it_was_told_to(push: str, sent: list[str]) -> None:
    """The whole queue, the table with what it depends on, or nothing. [J02] [J05] [J06]"""
    transport = ScriptedTransport(max_changes=1)
    bench = Bench(transport)
    bench.write("lists", "L", {"text": "parent"})
    bench.write("lists", "N", {"text": "other"})
    bench.write("items", "A", {"text": "child", "list": "L"})
    _ = bench.pull(push=push)
    assert sent == [id for _, id in transport.sent]


def test_operations_of_other_tables_do_not_trigger_a_push_of_the_table() -> None:
    """`push="table"`: nothing of the table is queued, so nothing is sent. [J02]"""
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("lists", "L", {"text": "other"})
    assert (None, []) == (bench.pull(push="table").push, transport.pushes)


def test_a_stopped_push_stops_the_pull() -> None:
    """Its `PushFailed` is raised, and no page was asked for."""
    transport = ScriptedTransport({"A": [NotSent("down")]})
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new"})
    with pytest.raises(PushFailed) as caught:
        _ = bench.pull(push="context")
    assert ("network", []) == (caught.value.report.status, transport.pulls)


def test_a_refused_operation_does_not_stop_news_from_arriving() -> None:
    """The pull goes on, and its report says what remained."""
    transport = ScriptedTransport({"A": [Rejected("bad", "no")]}, pages=[Page(records=[item("B")])])
    bench = Bench(transport)
    bench.write("items", "A", {"text": "refused"})
    report = bench.pull(push="context")
    assert ["A", "B"] == ids(bench)
    assert report.push is not None
    assert ["A"] == [error.record_id for error in report.push.errors]


# ---- rule 2: names and cursors


def test_without_a_name_everything_is_read_every_time() -> None:
    """No cursor is asked with, and none is kept. [H12]"""
    transport = ScriptedTransport(pages=[Page(records=[item("A")], cursor=5)] * 2, **STRONG)
    bench = Bench(transport)
    _ = bench.pull()
    _ = bench.pull()
    assert ([None, None], [False, False]) == (
        [r.cursor for r in transport.pulls],
        [r.incremental for r in transport.pulls],
    )
    assert [] == bench.rows("__cursors")


def test_a_named_pull_goes_on_from_its_cursor() -> None:
    """What changed since the cursor of (table, name). [I21] [I22] [I28] [H12]"""
    transport = ScriptedTransport(
        pages=[Page(records=[item("A")], cursor=5), Page(records=[item("B")], cursor=9)], **STRONG
    )
    bench = Bench(transport)
    for _ in range(3):
        _ = bench.pull(name="all")
    assert [None, 5, 9] == [request.cursor for request in transport.pulls]


def test_each_name_has_a_cursor_of_its_own() -> None:
    """Two names of a table do not know each other's progress. [R-I36] [I18]"""
    transport = ScriptedTransport(pages=[Page(cursor=5), Page(cursor=7)], **STRONG)
    bench = Bench(transport)
    _ = bench.pull(name="one")
    _ = bench.pull(name="two")
    _ = bench.pull(name="one")
    assert [None, None, 5] == [request.cursor for request in transport.pulls]


def test_a_name_belongs_to_one_query() -> None:
    """The same name with another query is refused, before the network is touched."""
    transport = ScriptedTransport(pages=[Page(cursor=5)], **STRONG)
    bench = Bench(transport)
    _ = bench.pull(name="mine")
    with pytest.raises(QueryNameReused):
        _ = bench.pull(where=text_is("milk"), name="mine")
    assert 1 == len(transport.pulls)


def test_an_empty_answer_keeps_the_cursor() -> None:
    """Nothing new: the cursor stays where the remote says. [I14] [I25] [I32]"""
    bench = Bench(ScriptedTransport(pages=[Page(records=[item("A")], cursor=5), Page(cursor=5)], **STRONG))
    _ = bench.pull(name="all")
    report = bench.pull(name="all")
    assert (0, 5) == (report.records, bench.rows("__cursors")[0]["bookmark"]["cursor"])  # type: ignore[index, call-overload]


def test_an_interrupted_pull_resumes_at_its_last_stored_page() -> None:
    """The second page failed: the cursor of the first is kept. [I10] [I24]"""
    pages = [
        Page(records=[item("A")], cursor=1, more=True),
        RemoteUnavailable("500"),
        Page(records=[item("B")], cursor=2),
    ]
    transport = ScriptedTransport(pages=pages, **STRONG)
    bench = Bench(transport)
    with pytest.raises(RemoteUnavailable):
        _ = bench.pull(name="all")
    assert ["A"] == ids(bench)
    _ = bench.pull(name="all")
    assert (["A", "B"], [None, 1, 1]) == (ids(bench), [request.cursor for request in transport.pulls])


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_pages_are_read_until_there_is_no_more(count: int) -> None:
    """Zero, one or many pages; the page size is the smaller of ours and the remote's. [I01] [I02] [I26] [I29]"""
    pages = [Page(records=[item(f"{n}")], cursor=n, more=n < count) for n in range(1, count + 1)]
    transport = ScriptedTransport(pages=pages, page_limit=7, **STRONG)
    bench = Bench(transport)
    report = bench.pull(name="all")
    assert (count, max(count, 1)) == (report.records, report.pages)
    assert {7} == {request.limit for request in transport.pulls}


def test_a_remote_that_announces_more_and_does_not_move_is_not_asked_for_ever() -> None:
    """A page without records and with the same cursor would never end. [I09] [R-I34]"""
    bench = Bench(ScriptedTransport(pages=[Page(cursor=1, more=True)] * 5, **STRONG))
    with pytest.raises(ProtocolError):
        _ = bench.pull(name="all")


# ---- rule 3: what a page does


def test_a_page_replaces_what_is_here_and_removes_what_is_gone() -> None:
    """Records are stored whole, tombstones delete, others stay. [J12] [J13] [J14]"""
    bench = Bench(
        ScriptedTransport(
            pages=[
                Page(
                    records=[item("A", "v2", text="new")],
                    tombstones={"B": Tombstone("v3"), "X": Tombstone("v4")},
                )
            ]
        )
    )
    bench.remotely("items", item("A"), item("B"), item("C"))
    report = bench.pull()
    assert [item("A", "v2", text="new"), item("C")] == bench.rows("items")
    assert (1, 1) == (report.records, report.deleted)


def test_the_same_page_twice_changes_nothing() -> None:
    """Storing is idempotent."""
    page = Page(records=[item("A")], tombstones={"B": Tombstone("v3")}, cursor=1)
    bench = Bench(ScriptedTransport(pages=[page, page], **STRONG))
    _ = bench.pull(name="all")
    before = [bench.rows(table) for table in ("items", "__cursors", "__heads")]
    _ = bench.pull(name="all")
    assert before == [bench.rows(table) for table in ("items", "__cursors", "__heads")]


def test_system_fields_and_unknown_fields_are_stored_as_they_came() -> None:
    """What the remote sends is kept, named by the table or not. [J18]"""
    record = item("A", created_at=at(1), updated_at=at(2), unknown={"deep": [1, True, None]})
    bench = Bench(ScriptedTransport(pages=[Page(records=[record])]))
    _ = bench.pull()
    assert [record] == bench.rows("items")


def test_a_copy_of_the_bases_version_is_no_news() -> None:
    """An edited record meets the copy that the edit began from: nothing happens. [J08] [J09]

    The references ignore every pulled row of a record with operations (J08 x); here only what is no news.
    """
    bench = Bench(ScriptedTransport(pages=[Page(records=[item("A")])]))
    bench.remotely("items", item("A"))
    bench.write("items", "A", {"text": "ours"})
    _ = bench.pull()
    assert (None, "ours") == (bench.remote_of("items", "A"), (bench.record("items", "A") or {})["text"])


def test_news_of_an_edited_record_is_a_conflict_and_shows_nothing_yet() -> None:
    """It becomes the head's `remote`; the user's record stays until somebody decides. [J09]"""
    bench = Bench(ScriptedTransport(pages=[Page(records=[item("A", "v2", text="theirs")])]))
    bench.remotely("items", item("A"))
    bench.write("items", "A", {"text": "ours"})
    _ = bench.pull()
    assert [True] == [operation.in_conflict for operation in bench.operations()]
    assert (item("A", "v2", text="theirs"), "ours") == (
        bench.remote_of("items", "A"),
        (bench.record("items", "A") or {})["text"],
    )


def test_news_is_settled_by_the_policy_with_no_further_request() -> None:
    """A pull settles conflicts as a push does; what is left is sent by the next push."""
    transport = ScriptedTransport(pages=[Page(records=[item("A", "v2", note="theirs")])])
    bench = Bench(transport, policy=merge_fields())
    bench.remotely("items", item("A", note=None))
    bench.write("items", "A", {"text": "ours", "note": None})
    _ = bench.pull()
    assert ([], 1) == (transport.pushes, len(transport.pulls))
    assert item("A", "v2", text="ours", note="theirs") == bench.record("items", "A")
    assert [("update", "A", "pending")] == bench.queued()


@pytest.mark.parametrize(("policy", "left"), [(keep_remote, []), (keep_local, [("insert", "A", "pending")])])
def test_a_deletion_meets_an_edit(policy: Any, left: list[tuple[str, str, str]]) -> None:
    """keep_remote deletes here too, keep_local inserts it again."""
    bench = Bench(ScriptedTransport(pages=[Page(tombstones={"A": Tombstone("v2")})]), policy=policy)
    bench.remotely("items", item("A"))
    bench.write("items", "A", {"text": "ours"})
    _ = bench.pull()
    assert left == bench.queued()
    assert bool(left) == (bench.record("items", "A") is not None)


@pytest.mark.parametrize(
    "policy", [defer, keep_remote, keep_local, merge_fields("local"), merge_fields("remote")]
)
def test_a_deletion_of_what_was_deleted_here_leaves_nothing_to_send(policy: Any) -> None:
    """Nobody has anything to decide: both sides say that there is no record."""
    transport = ScriptedTransport(pages=[Page(tombstones={"A": Tombstone("v2")})])
    bench = Bench(transport, policy=policy)
    bench.remotely("items", item("A"))
    bench.write("items", "A", None)
    _ = bench.pull()
    assert ([], None) == (bench.queued(), bench.record("items", "A"))


def test_news_of_a_grave_under_a_new_insert_asks_nobody() -> None:
    """Neither the base nor the news is alive: the news becomes the base, and the insert goes on from it."""
    transport = ScriptedTransport(pages=[Page(tombstones={"A": Tombstone("v2")})])
    bench = Bench(transport)
    bench.write("items", "A", {"text": "new"})
    _ = bench.pull()
    assert [False] == [operation.in_conflict for operation in bench.operations()]
    assert bench.push().ok
    assert Tombstone("v2") == transport.pushes[0][0].expected


def test_news_of_an_attempted_operation_is_only_kept() -> None:
    """Its acknowledgement may be on the way: the resend decides, nobody is asked."""
    asked: list[object] = []

    def policy(conflict: Any) -> Any:
        asked.append(conflict)
        return keep_local(conflict)

    transport = ScriptedTransport(
        {"A": [Unknown("lost"), NotSent("down")]}, pages=[Page(records=[item("A", "v2", text="ours")])]
    )
    bench = Bench(transport, policy=policy)
    bench.remotely("items", item("A"))
    bench.write("items", "A", {"text": "ours"})
    _ = bench.push()
    _ = bench.pull()
    assert ([], [("update", "A", "attempted")]) == (asked, bench.queued())
    transport.answers["A"] = [Conflicted(item("A", "v2", text="ours"))]
    assert bench.push().ok
    assert ([], []) == (asked, bench.queued())


# ---- rule 4: quarantine


def test_what_cannot_be_stored_goes_to_quarantine_and_the_cursor_moves() -> None:
    """Raw, with the reason, in the page's transaction; the report names it. [J10] [R-J22]"""
    page = Page(
        records=[item("A"), item("bad", text=7), {"text": "no id"}, {"id": "", "text": "empty id"}],
        junk=[Junk("[1, 2]", "no record")], cursor=4,
    )  # fmt: skip
    bench = Bench(ScriptedTransport(pages=[page], **STRONG))
    report = bench.pull(name="all")
    assert (["A"], 4) == (ids(bench), len(report.quarantined))
    assert "text is not text" == report.quarantined["bad"]
    assert 4 == bench.rows("__cursors")[0]["bookmark"]["cursor"]  # type: ignore[index, call-overload]
    assert {"text is not text", "no record"} <= {str(row["reason"]) for row in bench.rows("__quarantine")}


def test_a_record_leaves_quarantine_when_a_sound_copy_comes() -> None:
    """What the remote mended is no longer listed."""
    bench = Bench(
        ScriptedTransport(
            pages=[Page(records=[item("A", text=7)], cursor=1), Page(records=[item("A")], cursor=2)], **STRONG
        )
    )
    _ = bench.pull(name="all")
    assert ["A"] == [row["record_id"] for row in bench.rows("__quarantine")]
    _ = bench.pull(name="all")
    assert ([], ["A"]) == (bench.rows("__quarantine"), ids(bench))


def test_a_page_of_a_remote_that_cannot_filter_is_filtered_here() -> None:
    """`exact` False: the engine applies the condition itself."""
    page = Page(records=[item("A", text="milk"), item("B", text="bread")], exact=False)
    bench = Bench(ScriptedTransport(pages=[page]))
    _ = bench.pull(where=text_is("milk"))
    assert ["A"] == ids(bench)


# ---- rule 5: what a cursor can promise


def test_a_weak_cursor_is_rewound_once_at_the_start_of_a_complete_pull() -> None:
    """Below HORIZON the engine asks for the overlap, on the first page of the next pull only."""
    pages = [Page(records=[item("A", updated_at=at(1))], cursor=1, more=True, clock=at(30)), Page(records=[item("B", updated_at=at(2))], cursor=2, clock=at(31)),
             Page(cursor=2, more=True, records=[item("C", updated_at=at(3))], clock=at(40)), Page(cursor=3, clock=at(41))]  # fmt: skip
    transport = ScriptedTransport(pages=pages, **WEAK)
    bench = Bench(transport)
    _ = bench.pull(name="all")
    _ = bench.pull(name="all")
    assert [0.0, 0.0, 10.0, 0.0] == [request.overlap for request in transport.pulls]


@pytest.mark.parametrize(
    "cursor", [CursorGuarantee.FULL_SCAN, CursorGuarantee.HORIZON, CursorGuarantee.COMMIT_ORDERED]
)
def test_no_overlap_where_none_is_needed(cursor: CursorGuarantee) -> None:
    """HORIZON or better misses nothing; without a cursor all is read anyway."""
    transport = ScriptedTransport(pages=[Page(cursor=1)] * 3, cursor=cursor, overlap=10.0)
    bench = Bench(transport)
    for _ in range(2):
        _ = bench.pull(name="all")
    assert [0.0, 0.0] == [request.overlap for request in transport.pulls]


def test_a_full_scan_reads_everything_also_under_a_name() -> None:
    """The name then only remembers the query."""
    transport = ScriptedTransport(pages=[Page(cursor=1)] * 2, cursor=CursorGuarantee.FULL_SCAN)
    bench = Bench(transport)
    for _ in range(2):
        _ = bench.pull(name="all")
    assert [(None, False)] * 2 == [(request.cursor, request.incremental) for request in transport.pulls]


def test_what_was_delivered_inside_the_window_is_known_by_id_and_version() -> None:
    """That, not the table, decides: a record that was purged or edited here since is not brought back."""
    page = Page(records=[item("A", updated_at=at(29))], cursor=1, clock=at(30))
    bench = Bench(
        ScriptedTransport(
            pages=[page, page, Page(records=[item("A", "v2", updated_at=at(31))], cursor=1, clock=at(32))],
            **WEAK,
        )
    )
    _ = bench.pull(name="all")
    with bench.store.transaction(write=True) as transaction:
        _ = transaction.delete("items", ["A"])
    assert (0, []) == (bench.pull(name="all").records, ids(bench))
    assert (1, ["A"]) == (bench.pull(name="all").records, ids(bench))


def test_the_window_forgets_what_cannot_come_again() -> None:
    """Rows older than the overlap before the pull began are let go."""
    old = Page(records=[item(f"old{n}", updated_at=at(n)) for n in range(5)], cursor=1, clock=at(5))
    new = Page(records=[item("new", updated_at=at(58))], cursor=2, clock=at(59))
    bench = Bench(ScriptedTransport(pages=[old, new, Page(cursor=2, clock=at(59))], **WEAK))
    for _ in range(2):
        _ = bench.pull(name="all")
    assert ["new"] == [str(row["id"]).rpartition("/")[2] for row in bench.rows("__seen")]


def test_a_cursor_that_is_not_honoured_says_so_and_resync_starts_again() -> None:
    """`ResyncRequired`; `resync=True` reads from the start and drops what is gone there."""
    transport = ScriptedTransport(
        pages=[
            Page(records=[item("A"), item("B")], cursor=5), ResyncRequired("too old"),
            Page(records=[item("A")], cursor=9), Page(records=[item("A")]),
        ],
        **STRONG,
    )  # fmt: skip
    bench = Bench(transport)
    _ = bench.pull(name="all")
    with pytest.raises(ResyncRequired):
        _ = bench.pull(name="all")
    assert ["A", "B"] == ids(bench)
    report = bench.pull(name="all", resync=True)
    assert (["A"], 1, None) == (ids(bench), report.departed, transport.pulls[2].cursor)


# ---- rule 6: departures and reconcile

TELLS = {**STRONG, "departures": frozenset({"items"})}


def test_departed_records_are_dropped() -> None:
    """They changed since the cursor and no longer match; what has queued operations stays."""
    bench = Bench(ScriptedTransport(pages=[Page(departed=["A", "B", "X"], cursor=5)], **TELLS))
    bench.remotely("items", item("A"), item("B"), item("C"))
    bench.write("items", "B", {"text": "ours"})
    report = bench.pull(name="all", departures="remove")
    assert (["B", "C"], 1) == (ids(bench), report.departed)


def test_departed_records_are_kept_by_default_and_while_another_query_wants_them() -> None:
    """Another named query of the table has a say."""
    pages = [Page(cursor=1), Page(departed=["A", "B"], cursor=5), Page(departed=["A", "B"], cursor=6)]
    bench = Bench(ScriptedTransport(pages=pages, **TELLS))
    bench.remotely("items", item("A", text="milk"), item("B", text="bread"))
    wanted: dict[str, Any] = {"decode": lambda key: text_is("milk") if "milk" in str(key) else None}
    _ = bench.pull(where=text_is("milk"), name="milk", **wanted)
    _ = bench.pull(where=text_is("bread"), name="bread", **wanted)
    assert ["A", "B"] == ids(bench)
    _ = bench.pull(where=text_is("bread"), name="bread", departures="remove", **wanted)
    assert ["A"] == ids(bench)


def test_departures_need_a_remote_that_tells_them() -> None:
    """Else it is `Unsupported`, which says what to do instead."""
    with pytest.raises(Unsupported, match="reconcile"):
        _ = Bench(ScriptedTransport(**STRONG)).pull(name="all", departures="remove")


def test_reconcile_fetches_what_is_missing_and_drops_what_is_gone() -> None:
    """The full list of ids is compared, page by page; edited records stay."""
    pages = [
        Page(cursor=1),
        Page(records=[item("A")], more=True, cursor=1),
        Page(records=[item("M")]),
        Page(records=[item("M")]),
    ]
    transport = ScriptedTransport(pages=pages, **STRONG)
    bench = Bench(transport)
    bench.remotely("items", item("A"), item("G"), item("E"))
    bench.write("items", "E", {"text": "ours"})
    report = bench.pull(name="all", reconcile=True)
    assert (["A", "E", "M"], 1, 1) == (ids(bench), report.departed, report.records)
    assert ("M",) == transport.pulls[-1].ids
    assert 1 == bench.rows("__cursors")[0]["bookmark"]["cursor"]  # type: ignore[index, call-overload]


@pytest.mark.parametrize(("held", "gone", "blows"), [(101, 51, True), (101, 50, False), (100, 100, False)])
def test_a_mass_departure_drops_nothing(held: int, gone: int, blows: bool) -> None:
    """More than half of more than a hundred records is a mistake until somebody says otherwise."""
    bench = Bench(
        ScriptedTransport(pages=[Page(departed=[f"i{n:03}" for n in range(gone)], cursor=5)], **TELLS)
    )
    bench.remotely("items", *(item(f"i{n:03}") for n in range(held)))
    if blows:
        with pytest.raises(MassDeparture) as caught:
            _ = bench.pull(name="all", departures="remove")
        assert (gone, held) == (caught.value.going, caught.value.held)
        assert held == len(ids(bench))
    else:
        _ = bench.pull(name="all", departures="remove")
        assert held - gone == len(ids(bench))


# ---- rule 7: identity


@pytest.mark.parametrize("what", ["push", "pull"])
def test_another_remote_under_the_same_address_is_refused(what: str) -> None:
    """Nothing is sent or stored; both are named."""
    bench = Bench(ScriptedTransport(pages=[Page(records=[item("A")], cursor=1)], **STRONG))
    _ = bench.pull(name="all")
    other = ScriptedTransport(pages=[Page(records=[item("B")])], identity="another", **STRONG)
    again = Bench(other, store=bench.store, nonce="again")
    again.write("items", "N", {"text": "new"})
    with pytest.raises(RemoteChanged) as caught:
        _ = again.push() if what == "push" else again.pull(name="all", push="none")
    assert ("remote", "another") == (caught.value.stored, caught.value.found)
    assert (["A", "N"], [], []) == (ids(again), other.pushes, other.pulls)
    assert [("insert", "N", "pending")] == again.queued()


# ---- events


def test_a_pull_tells_how_far_it_is() -> None:
    """Started, a page and progress with the total where the remote tells it, finished. [J17]"""
    pages = [Page(records=[item("A")], cursor=1, more=True, total=2), Page(records=[item("B")], cursor=2)]
    bench = Bench(ScriptedTransport(pages=pages, total=True, **STRONG))
    _ = bench.pull(name="all")
    told = [event for event in bench.events if not type(event).__name__.startswith("Records")]
    assert [
        PullStarted("items", "all"),
        PageStored("items", 1, 0), Progress("pull", 1, 2, "items"),
        PageStored("items", 1, 0), Progress("pull", 2, 2, "items"),
        PullFinished("items", "all", 2, 0),
    ] == told  # fmt: skip


def test_the_total_is_asked_for_only_where_the_remote_can_count() -> None:
    """Unknown stays unknown."""
    transport = ScriptedTransport(pages=[Page(records=[item("A")])])
    bench = Bench(transport)
    assert (None, False) == (bench.pull().total, transport.pulls[0].total)
    assert isinstance(transport.capabilities, TransportCapabilities)
