"""Pull rules 5 to 7: what a cursor can promise, departures, and who the remote is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.fakes import STRONG, WEAK, Bench, ScriptedTransport
from tidesync.contracts.transport import (
    CursorGuarantee,
    Page,
    TransportCapabilities,
)
from tidesync.errors import (
    MassDeparture,
    RemoteChanged,
    ResyncRequired,
    Unsupported,
)
from tidesync.events import PageStored, Progress, PullFinished, PullStarted
from tidesync.query import Compare, Expr, Field, Value
from tidesync.records import Record
from tidesync.values import ColumnType


def item(id: str, version: str = "v1", **fields: Any) -> Record:
    return {"id": id, "text": f"text of {id}", "version": version, **fields}


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}.000000Z"


def text_is(value: str) -> Expr:
    return Compare("eq", Field("text", ColumnType.STRING), Value(value, ColumnType.STRING))


def ids(bench: Bench, table: str = "items") -> list[str]:
    return [str(row["id"]) for row in bench.rows(table)]


# ---- rule 5: what a cursor can promise


def test_a_weak_cursor_is_rewound_once_at_the_start_of_a_complete_pull() -> None:
    """Below HORIZON the engine asks for the overlap, on the first page of the next pull only."""
    pages = [
        Page(records=[item("A", updated_at=at(1))], cursor=1, more=True, clock=at(30)),
        Page(records=[item("B", updated_at=at(2))], cursor=2, clock=at(31)),
        Page(records=[item("C", updated_at=at(3))], cursor=2, more=True, clock=at(40)),
        Page(cursor=3, clock=at(41)),
    ]
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


def test_the_window_holds_the_first_page_however_old_it_is() -> None:
    """A table whose last change was long ago is known after one pull, though the window is read again."""
    page = Page(records=[item("A", updated_at=at(3))], cursor=1, clock="2026-11-20T00:00:00.000000Z")
    bench = Bench(ScriptedTransport(pages=[page, page], **WEAK))
    assert [1, 0] == [bench.pull(name="all").records for _ in range(2)]


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
    _ = bench.pull(where=text_is("milk"), name="milk")
    _ = bench.pull(where=text_is("bread"), name="bread")
    assert ["A", "B"] == ids(bench)
    _ = bench.pull(where=text_is("bread"), name="bread", departures="remove")
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
