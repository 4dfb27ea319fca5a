"""Whatever a page holds ends in a typed error or in quarantine; the next call works."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.attacks.support import BOOKS, Book, Hostile, faults, recovers, snapshot
from tidesync import SyncContext
from tidesync.contracts.transport import (
    CursorGuarantee,
    Junk,
    Page,
    PullRequest,
)
from tidesync.errors import ProtocolError
from tidesync.records import Json, Record, Tombstone
from tidesync.stores.memory import MemoryStore

NAN = float("nan")
TOO_DEEP: Any = {}
for _ in range(100_000):
    TOO_DEEP = {"x": TOO_DEEP}
GOOD: Record = {"id": "r", "title": "new", "version": "1"}


ROUGH_PAGES: dict[str, dict[str, Any]] = {
    "no dicts": {"records": [5, None, "x"]},
    "no id": {"records": [{"title": "x"}]},
    "an id that is a number": {"records": [{"id": 5}]},
    "an id that no encoding carries": {"records": [{"id": "\ud800"}]},
    "NaN": {"records": [{**GOOD, "pages": NAN}]},
    "too deep": {"records": [{**GOOD, "extra": TOO_DEEP}]},
    "a name that is a number": {"records": [{**GOOD, 5: 6}]},
    "a version that is a number": {"records": [{**GOOD, "version": 5}]},
    "a time that is none": {"records": [{**GOOD, "updated_at": "!!!"}]},
    "odd tombstones": {"tombstones": {"": Tombstone(), "\ud800": Tombstone("1"), "\0": Tombstone()}},
    "a tombstone of a number": {"tombstones": {5: Tombstone()}},
    "tombstones that are none": {"tombstones": {"b": None, "c": Tombstone(5)}},  # type: ignore[arg-type]
    "odd departures": {"departed": ["", "\ud800", 5]},
    "odd junk": {"junk": [Junk(5, None), Junk("\ud800", "\ud800"), 7]},  # type: ignore[arg-type]
}
HOW: tuple[dict[str, Any], ...] = (
    {"name": "n"}, {}, {"reconcile": True}, {"name": "n", "departures": "remove"}, {"name": "n", "resync": True},
)  # fmt: skip


@pytest.mark.parametrize("how", HOW, ids=repr)
@pytest.mark.parametrize("rough", ROUGH_PAGES.values(), ids=ROUGH_PAGES)
def test_what_cannot_be_kept_is_put_aside(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, rough: dict[str, Any], how: dict[str, Any]
) -> None:
    """One bad part of a page does not stop the pull: it goes to quarantine, the rest is stored."""
    good = {"id": "good", "title": "new", "version": "1"}
    page = {**rough, "records": [*rough.get("records", ()), good]}
    hostile.on_pull = lambda request: Page(**page)
    report = ctx.pull(BOOKS, push="none", **how)
    assert report.quarantined
    assert Book("good", "new") == ctx[BOOKS].get("good")
    assert {"b", "good"} == {book.id for book in ctx[BOOKS]}
    assert recovers(ctx, hostile, store)


def endless(cursor: Callable[[Json], Json], **page: Any) -> Callable[[PullRequest], Page]:
    return lambda request: Page(records=[GOOD], cursor=cursor(request.cursor), more=True, **page)


@pytest.mark.parametrize("how", HOW, ids=repr)
@pytest.mark.parametrize(
    "cursor",
    [lambda _: None, lambda _: "same", lambda c: "b" if c == "a" else "a", lambda c: ((c or 0) + 1) % 7 + 1],
    ids=["none", "same", "two", "seven"],
)
def test_pages_that_come_again_for_ever_end(
    ctx: SyncContext,
    hostile: Hostile,
    store: MemoryStore,
    cursor: Callable[[Json], Json],
    how: dict[str, Any],
) -> None:
    """A cursor that comes back means that the pull would not end, whatever the pages hold. [I09]"""
    hostile.on_pull = endless(cursor)
    with pytest.raises(ProtocolError, match="would not end"):
        ctx.pull(BOOKS, push="none", **how)
    assert [] == faults(store)


@pytest.mark.parametrize("cursor", [object(), NAN, "\ud800", {5: 6}, TOO_DEEP], ids=type)
@pytest.mark.parametrize("how", HOW[:2], ids=repr)
def test_a_cursor_that_cannot_be_kept(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, cursor: Any, how: dict[str, Any]
) -> None:
    """The remote broke the protocol, not the caller: and nothing of the page is stored."""
    before = snapshot(store)
    hostile.on_pull = lambda request: Page(records=[GOOD], cursor=cursor)
    with pytest.raises(ProtocolError, match="cursor"):
        ctx.pull(BOOKS, push="none", **how)
    before["__meta"]["remote"] = {"id": "remote", "value": "remote"}
    assert before == snapshot(store)
    assert recovers(ctx, hostile, store)


@pytest.mark.parametrize(
    "answer", [None, {}, [GOOD], Page(records=None), Page(tombstones=None), Page(junk=5)]
)  # type: ignore[arg-type]
def test_what_is_no_page(ctx: SyncContext, hostile: Hostile, store: MemoryStore, answer: Any) -> None:
    """A reply of another shape is a protocol error."""
    hostile.on_pull = lambda request: answer
    with pytest.raises(ProtocolError, match="page"):
        ctx.pull(BOOKS, push="none")
    assert recovers(ctx, hostile, store)


@pytest.mark.parametrize(
    ("clock", "moment"),
    [
        ("garbage", None), (5, None), ("0001-01-01T00:00:00.000000Z", None), ("9999-12-31T23:59:59.999999Z", None),
        ("2026-01-01T00:00:00", None), ("2026-01-01T00:00:00.000000Z", "!!!"), (None, "zzz"),
    ],
)  # fmt: skip
def test_a_clock_that_tells_nonsense(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, clock: Any, moment: Json
) -> None:
    """A pull with a window goes on without the time, and the next one too."""
    hostile.on_open = lambda found: attrs.evolve(found, cursor=CursorGuarantee.KEYSET, overlap=10.0)
    record = GOOD if moment is None else {**GOOD, "updated_at": moment}
    hostile.on_pull = lambda request: Page(records=[record], cursor="c", clock=clock)
    for _ in range(3):
        _ = ctx.pull(BOOKS, name="n", push="none")
    assert recovers(ctx, hostile, store)


@pytest.mark.parametrize("total", [-5, "many", NAN, True, 2**80])
def test_a_total_that_tells_nonsense(
    ctx: SyncContext, hostile: Hostile, store: MemoryStore, total: Any
) -> None:
    """A count that is none is not told."""
    hostile.on_pull = lambda request: Page(records=[GOOD], total=total)
    assert total == 2**80 or ctx.pull(BOOKS, push="none").total is None
    assert recovers(ctx, hostile, store)
