"""Purge: removes records from the local store only, never with operations that the remote has not seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.fakes import STRONG, Bench, ScriptedTransport
from tidesync.contracts.transport import Conflicted, NotSent, Page, Rejected, Unknown
from tidesync.errors import PurgeBlocked
from tidesync.events import Purged, RecordsChanged
from tidesync.query import Compare, Expr, Field, Value
from tidesync.records import Record
from tidesync.values import ColumnType


def item(id: str, text: str = "milk", **fields: Any) -> Record:
    return {"id": id, "text": text, "version": "v1", **fields}


MILK: Expr = Compare("eq", Field("text", ColumnType.STRING), Value("milk", ColumnType.STRING))


def ids(bench: Bench, table: str = "items") -> list[str]:
    return [str(row["id"]) for row in bench.rows(table)]


def test_a_table_without_operations_is_emptied_without_a_request() -> None:
    """Records go here only; nobody is asked. [K01] [K06]"""
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.remotely("items", item("A"), item("B"))
    bench.remotely("lists", item("L"))
    report = bench.purge()
    assert (2, [], ["L"]) == (report.records, ids(bench), ids(bench, "lists"))
    assert (0, []) == (transport.opened, transport.pushes)
    assert Purged("items", 2) == bench.events[-1]


def test_whoever_shows_records_hears_that_a_purge_removed_some() -> None:
    """Without ids: which ones they were is not read; and not at all where nothing was removed."""
    bench = Bench(ScriptedTransport())
    bench.remotely("items", item("A"))
    _ = bench.purge()
    _ = bench.purge()
    changed = [event for event in bench.events if isinstance(event, RecordsChanged)]
    assert [RecordsChanged("items", (), "purge")] == changed


def test_a_record_that_was_deleted_here_is_not_counted_again() -> None:
    """Dropping its pending delete removes no record."""
    bench = Bench(ScriptedTransport())
    bench.remotely("items", item("A"), item("B"))
    bench.write("items", "A", None)
    report = bench.purge(force=True)
    assert (1, ["A"]) == (report.records, [operation.record_id for operation in report.operations])


def test_only_what_the_query_matches_goes() -> None:
    """Other records of the table stay. [K09]"""
    bench = Bench(ScriptedTransport())
    bench.remotely("items", item("A"), item("B", "bread"))
    assert (1, ["B"]) == (bench.purge(where=MILK).records, ids(bench))


def test_pending_operations_are_pushed_first() -> None:
    """Then the records may go. [K02]

    The references refuse at once (K02 x); here the purge pushes, and refuses only what remains.
    """
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.write("items", "A", {"text": "milk"})
    assert 1 == bench.purge().records
    assert ([("insert", "A")], [], []) == (transport.sent, ids(bench), bench.queued())


@pytest.mark.parametrize(
    "outcome", [Rejected("bad", "no"), NotSent("down"), Conflicted(item("A", "theirs")), Unknown("lost")]
)
def test_what_could_not_be_pushed_blocks_the_purge_and_nothing_changes(outcome: Any) -> None:
    """`PurgeBlocked` counts what remains. [K02] [K12]"""
    bench = Bench(ScriptedTransport({"A": [outcome] * 9}))
    bench.remotely("items", item("B"))
    bench.write("items", "A", {"text": "milk"})
    with pytest.raises(PurgeBlocked) as caught:
        _ = bench.purge()
    assert ("items", 1) == (caught.value.table, caught.value.pending)
    assert (["A", "B"], 1) == (ids(bench), len(bench.queued()))


def test_operations_outside_the_query_neither_push_nor_block() -> None:
    """Only what belongs to the query matters."""
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.remotely("items", item("A"))
    bench.write("items", "B", {"text": "bread"})
    assert 1 == bench.purge(where=MILK).records
    assert (["B"], []) == (ids(bench), transport.sent)


def test_a_pending_delete_belongs_to_the_query_by_its_base() -> None:
    """It has no local record any more, and must not be lost unseen."""
    bench = Bench(ScriptedTransport({"A": [NotSent("down")]}))
    bench.remotely("items", item("A"))
    bench.write("items", "A", None)
    with pytest.raises(PurgeBlocked):
        _ = bench.purge(where=MILK)
    assert [("delete", "A", "pending")] == bench.queued()


@pytest.mark.parametrize(("before", "after"), [("milk", "bread"), ("bread", "milk")])
def test_an_edited_record_belongs_by_its_base_and_by_what_it_is_now(before: str, after: str) -> None:
    """Either match counts: an edit moves no record out of the purge's sight."""
    bench = Bench(ScriptedTransport({"A": [NotSent("down")]}))
    bench.remotely("items", item("A", before))
    bench.write("items", "A", {"text": after})
    with pytest.raises(PurgeBlocked):
        _ = bench.purge(where=MILK)
    assert ["A"] == ids(bench)


@pytest.mark.parametrize("where", [None, MILK])
def test_force_pushes_nothing_and_drops_operations_with_their_records(where: Expr | None) -> None:
    """What was dropped is reported; the rest of the queue stays. [K12] [K04] [C14]

    The suites disagree about force with a query (K04 x): here it is allowed.
    """
    transport = ScriptedTransport()
    bench = Bench(transport)
    bench.remotely("items", item("A"), item("C"))
    bench.write("items", "A", {"text": "edited"})
    bench.write("items", "B", {"text": "milk"})
    bench.write("lists", "L", {"text": "other"})
    report = bench.purge(where=where, force=True)
    assert (["A", "B"], []) == ([operation.record_id for operation in report.operations], transport.sent)
    assert ([], [("insert", "L", "pending")]) == (ids(bench), bench.queued())
    assert ([], []) == (
        [row for row in bench.rows("__heads") if row["table"] == "items"],
        bench.rows("__edges"),
    )


def test_force_reports_dependants_left_without_a_parent() -> None:
    """They waited for an insert that is gone now."""
    bench = Bench(ScriptedTransport())
    bench.write("lists", "L", {"text": "parent"})
    bench.write("items", "A", {"text": "child", "list": "L"})
    report = bench.purge("lists", force=True)
    assert ["A"] == [operation.record_id for operation in report.orphans]
    assert [("insert", "A", "pending")] == bench.queued()
    assert bench.push().ok


def test_force_drops_operations_that_may_be_at_the_remote() -> None:
    """An answer that comes later finds nothing; the next pull brings what the remote has."""
    bench = Bench(ScriptedTransport({"A": [Unknown("lost"), NotSent("down")]}))
    bench.write("items", "A", {"text": "milk"})
    _ = bench.push()
    assert [("insert", "A", "attempted")] == bench.queued()
    _ = bench.purge(force=True)
    assert ([], []) == (bench.queued(), ids(bench))


def cursors(bench: Bench) -> list[str]:
    return [str(row["name"]) for row in bench.rows("__cursors")]


def pulled() -> Bench:
    pages = [
        Page(records=[item("A")], cursor=1),
        Page(records=[item("B", "bread")], cursor=2),
        Page(records=[item("L")], cursor=3),
    ]
    bench = Bench(ScriptedTransport(pages=pages, **STRONG))
    _ = bench.pull(where=MILK, name="milk")
    _ = bench.pull(name="all")
    _ = bench.pull("lists", name="lists")
    return bench


def test_a_purge_with_a_name_forgets_that_cursor() -> None:
    """So that the next pull of the name brings the records back; other names keep theirs. [K05] [R-I36]"""
    bench = pulled()
    _ = bench.purge(where=MILK, name="milk")
    assert ["all", "lists"] == cursors(bench)


def test_a_purge_of_a_whole_table_forgets_every_cursor_of_it() -> None:
    """Else the next pull would bring nothing back. [R-K14] [K12]"""
    bench = pulled()
    _ = bench.purge()
    assert ["lists"] == cursors(bench)


def test_a_purge_of_a_query_without_a_name_forgets_no_cursor() -> None:
    """Records that a pull brought are gone until they change. [K08] [K09]"""
    bench = pulled()
    _ = bench.purge(where=MILK)
    assert ["all", "lists", "milk"] == sorted(cursors(bench))


def test_a_blocked_purge_keeps_cursors() -> None:
    """Nothing changes."""
    bench = pulled()
    bench.write("items", "N", {"text": "new"})
    bench.transport = ScriptedTransport({"N": [Rejected("bad", "no")]}, **STRONG)
    with pytest.raises(PurgeBlocked):
        _ = bench.purge()
    assert ["all", "lists", "milk"] == sorted(cursors(bench))
    assert ["A", "B", "N"] == ids(bench)


def test_the_next_push_after_a_forced_purge_counts_what_is_left() -> None:
    """The count of pending operations follows."""
    bench = Bench(ScriptedTransport())
    for id in "AB":
        bench.write("items", id, {"text": "milk"})
    bench.write("lists", "L", {"text": "list"})
    _ = bench.purge(force=True)
    assert 1 == len(bench.push().pushed)
    assert [0] == [row["value"][2] for row in bench.rows("__meta") if row["id"] == "counters"]  # type: ignore[index, call-overload]
