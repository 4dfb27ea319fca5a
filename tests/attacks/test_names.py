"""Ids, names of pulls and of columns that look like the engine's own keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.attacks.support import BOOKS, TABLES, Book, Hostile, device, faults, remote
from tidesync import SyncContext, keep_local, table
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Change, CursorGuarantee, Outcome, Page, Rejected
from tidesync.objects import Table
from tidesync.records import Record, Tombstone
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport

MOMENT = "2026-01-01T00:00:00.000000Z"
IDS = (
    "../x", "%", "'", '"', "a/b", "book/x", "*/x", "card/c", "?abc", "#departed", "x#departed", "a>b", "~", "\\", "_",
    "-1", "0", "null", "\u2028", "\u00a0", " ", "e\u0301", "é", "😀", "a" * 255, "ID", "id", ";--", "$top", "@version",
    "counters", "lease", "declared/book",
)  # fmt: skip


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return (
        MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "d.db", synchronous="normal")
    )


def windowed(hostile: Hostile, *pages: Page) -> None:
    """A remote with a cursor that needs a window; it has these pages, one for each pull."""
    left = list(pages)
    hostile.on_open = lambda found: attrs.evolve(
        found, cursor=CursorGuarantee.KEYSET, overlap=10.0, departures=frozenset(("book", "card", "shelf"))
    )
    hostile.on_pull = lambda request: left.pop(0)


def book(id: str, title: str) -> Record:
    return {"id": id, "title": title, "version": "1", "updated_at": MOMENT}


def test_what_one_pull_has_seen_is_not_what_another_has() -> None:
    """A pull's name may hold a slash, and so may an id: "a" and "b/c" are not "a/b" and "c"."""
    hostile = Hostile()
    ctx = device(hostile)
    windowed(
        hostile,
        Page(records=[book("b/c", "one")], cursor=1, clock=MOMENT),
        Page(records=[book("c", "two")], cursor=1, clock=MOMENT),
    )
    ctx.pull(BOOKS, name="a")
    ctx.pull(BOOKS, name="a/b")
    assert {"b/c", "c"} == {each.id for each in ctx[BOOKS]}


def test_what_departed_from_one_pull_is_not_what_another_has_seen() -> None:
    """A pull named "a#departed" does not meet the notes of a pull named "a"."""
    hostile = Hostile()
    ctx = device(hostile)
    windowed(
        hostile,
        Page(records=[book("x", "one")], cursor=1, clock=MOMENT),
        Page(records=[book("y", "two")], cursor=1, clock=MOMENT),
        Page(departed=["x"], cursor=2, clock=MOMENT),
        Page(records=[{**book("y", "old"), "version": "1"}], cursor=2, clock=MOMENT),
    )
    ctx.pull(BOOKS, name="a")
    ctx.pull(BOOKS, name="a#departed")
    ctx.pull(BOOKS, name="a", departures="remove")
    ctx[BOOKS].update("y", title="mine")
    ctx.purge(BOOKS, ctx[BOOKS].where(id="y"), force=True)
    ctx.pull(BOOKS, name="a#departed")
    assert None is ctx[BOOKS].get("y"), "the window forgot what it had delivered"


def test_odd_ids_through_a_whole_life(store: Store) -> None:
    """Ids that look like keys, patterns, SQL or paths are ids like any other, in both tables at once."""
    there = remote()
    tables: Sequence[Table[Any]] = TABLES
    ctx = SyncContext(store, LoopbackTransport(there), tables, policy=keep_local).open()
    cards = ctx.table("card")
    for number, id in enumerate(IDS):
        ctx[BOOKS].insert(Book(id, f"t{number}"))
        cards.insert({"id": id, "text": IDS[number - 1]})
    assert [] == faults(store)
    ctx.push()
    for id in IDS:
        ctx[BOOKS].update(id, pages=7)
        cards.update(id, text=id)
    assert [] == faults(store)
    ctx.push()
    other = device(LoopbackTransport(there))
    for each in tables:
        other.pull(each, name="a/b#departed")
    assert (
        set(IDS)
        == {each.id for each in other[BOOKS].where(pages=7)}
        == {each["id"] for each in other.table("card")}
    )
    for id in IDS:
        assert Book(id, f"t{IDS.index(id)}", 7) == ctx[BOOKS].get(id) == other[BOOKS].get(id)
        assert [id] == [each.id for each in ctx[BOOKS].where(id=id)]
        ctx[BOOKS].delete(id)
    ctx.push()
    other.pull(BOOKS, name="a/b#departed")
    assert ([], [], [], 0) == (list(other[BOOKS]), list(ctx[BOOKS]), faults(store), ctx.pending_operations)
    ctx.close()


KEYWORDS = ("order", "select", "group", "table", "index", "where", "from", "sqlite", "main", "temp", "rowid")
COLUMNS = (
    "sequence", "rowid", "_rowid_", "oid", "select", "order", "key", "Order", "ORDER", "value", "table", "operation",
    "names", "lane", "base", "remote", "revision", "entries", "target", "null", "true", "abs", "_id", "type", "json",
)  # fmt: skip


def test_tables_and_columns_named_like_sql(store: Store) -> None:
    """Keywords, the names that SQLite gives its rows, and those of the engine's own columns are free."""
    made = [
        table(name, dict.fromkeys(COLUMNS, str), indexes=["rowid", ("order", "select")]) for name in KEYWORDS
    ]
    there = Authority(MemoryStore(), made, identity="remote")
    ctx = SyncContext(store, LoopbackTransport(there), made).open()
    for each in made:
        ctx[each].insert({"id": "1", **{name: f"{each.name} {name}" for name in COLUMNS}})
        ctx[each].update("1", rowid="5", oid="6")
    assert [] == faults(store, made)
    ctx.push()
    for each in made:
        wanted = {**{name: f"{each.name} {name}" for name in COLUMNS}, "rowid": "5", "oid": "6"}
        found = (
            ctx[each]
            .where(rowid="5", oid="6", _rowid_=f"{each.name} _rowid_")
            .order_by("order", "rowid")
            .all()
        )
        assert [wanted] == [{name: row[name] for name in COLUMNS} for row in found]
        assert 1 == ctx[each].pull(name="all").pages
        assert 1 == ctx[each].purge().records
    ctx.close()


def test_names_at_their_limits(store: Store) -> None:
    """63 characters for tables and columns, 255 for ids and names of pulls; 500 columns, 5,000 undeclared fields."""
    wide = table("t" * 63, {f"{number:03d}".rjust(63, "c"): int for number in range(500)}, references={})
    there = Authority(MemoryStore(), [wide], identity="remote", record_limit=1 << 24)
    ctx = SyncContext(store, LoopbackTransport(there), [wide]).open()
    extra: dict[str, Any] = {f"more{number}": f"x{number}" for number in range(5_000)}
    ctx[wide].insert({"id": "😀" * 255, **extra})
    ctx.push()
    ctx[wide].pull(name="é" * 255)
    assert extra.items() <= (ctx[wide].get("😀" * 255) or {}).items()
    assert [] == faults(store, [wide])
    ctx.close()


def test_undeclared_names_by_the_thousand(store: Store) -> None:
    """A record of 5,000 texts, any of which may name a record: slow is fine, wrong is not."""
    loose = table("loose", {"text": str})
    ctx = SyncContext(store, Hostile(), [loose]).open()
    ctx[loose].insert({"id": "a", **{f"f{number}": f"v{number}" for number in range(5_000)}})
    ctx[loose].insert({"id": "v77", "text": "a"})
    ctx[loose].update("a", f1="v77")
    assert [] == faults(store, [loose])
    assert ["a", "v77", "a"] == [each.record_id for each in ctx.operations()]
    ctx.close()


def test_a_put_aside_record_that_is_mended_is_forgotten() -> None:
    """Also one whose id cannot be printed."""
    hostile, store = Hostile(), MemoryStore()
    ctx = device(hostile, store)
    for id in ("a", "\u2028", "a/b"):
        bad: Record = {"id": id, "title": 5, "version": "1"}
        good: Record = {"id": id, "title": "mended", "version": "2"}
        hostile.on_pull = lambda request, bad=bad: Page(records=[bad], cursor=1)  # type: ignore[misc]
        ctx.pull(BOOKS)
        assert 1 == len(store.tables["__quarantine"])
        hostile.on_pull = lambda request, good=good: Page(records=[good], cursor=2)  # type: ignore[misc]
        ctx.pull(BOOKS)
        assert {} == store.tables["__quarantine"]


def test_a_put_aside_record_that_is_deleted_is_forgotten() -> None:
    """A tombstone ends what was wrong with the record."""
    hostile, store = Hostile(), MemoryStore()
    ctx = device(hostile, store)
    hostile.on_pull = lambda request: Page(records=[{"id": "a", "title": 5, "version": "1"}], cursor=1)
    ctx.pull(BOOKS)
    hostile.on_pull = lambda request: Page(tombstones={"a": Tombstone("2")}, cursor=2)
    ctx.pull(BOOKS)
    assert {} == store.tables["__quarantine"]


def test_a_refusal_with_a_long_reason_is_cut() -> None:
    """Ten megabytes of a server's words are not kept in the queue."""
    hostile, store = Hostile(), MemoryStore()
    ctx = device(hostile, store)
    ctx[BOOKS].insert(Book("b"))
    page = "<html>" + "x" * 10_000_000

    def refuse(changes: Sequence[Change]) -> list[Outcome]:
        return [Rejected("500", page) for _ in changes]

    hostile.on_push = refuse
    with pytest.raises(Exception, match="<html>"):
        ctx.push()
    (operation,) = ctx.operations()
    assert operation.error is not None
    assert len(operation.error.message) <= 10_000
