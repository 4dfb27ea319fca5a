"""Pull rules 1 to 4: push first, names and cursors, what a page does, quarantine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.fakes import STRONG, Bench, ScriptedTransport
from tidesync.conflicts import defer, keep_local, keep_remote, merge_fields
from tidesync.contracts.transport import (
    Conflicted,
    Junk,
    NotSent,
    Page,
    Rejected,
    Unknown,
)
from tidesync.errors import (
    ProtocolError,
    QueryNameReused,
    RemoteUnavailable,
)
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
