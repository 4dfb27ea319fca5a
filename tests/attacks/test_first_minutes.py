"""What a new user gets wrong in the first five minutes is told at once, and says what to do."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.support import BOOKS, SHELVES, Hostile, Shelf, device
from tidesync import DefaultHandler, SyncContext, defer, keep_local, merge_fields, table
from tidesync.errors import ConfigurationError, UnknownTable
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.http import HttpTransport
from tidesync.transports.loopback import LoopbackTransport

one: Any = Hostile()
MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "tables in the transport's place": (lambda: SyncContext(MemoryStore(), [SHELVES]), "transport"),  # type: ignore[arg-type]
    "an address for a transport": (
        lambda: SyncContext(MemoryStore(), "http://x", [SHELVES]),
        "HttpTransport",
    ),  # type: ignore[arg-type]
    "a transport's class": (lambda: SyncContext(MemoryStore(), HttpTransport, [SHELVES]), "class"),  # type: ignore[arg-type]
    "a store's class": (lambda: SyncContext(MemoryStore, None, [SHELVES]), "class"),  # type: ignore[arg-type]
    "a path for a store": (lambda: SyncContext("todo.db", None, [SHELVES]), "SQLiteStore"),  # type: ignore[arg-type]
    "one table": (lambda: SyncContext(MemoryStore(), None, SHELVES), r"\[shelf\]|list"),  # type: ignore[arg-type]
    "no tables": (lambda: SyncContext(MemoryStore(), None, None), "list"),  # type: ignore[arg-type]
    "a class for a table": (lambda: SyncContext(MemoryStore(), None, [Shelf]), "table"),  # type: ignore[list-item]
    "a handler's class": (lambda: SyncContext(MemoryStore(), None, [], handler=DefaultHandler), "handler"),  # type: ignore[arg-type]
    "a function for a handler": (lambda: SyncContext(MemoryStore(), None, [], handler=print), "handler"),  # type: ignore[arg-type]
    "a list of policies": (lambda: SyncContext(MemoryStore(), None, [], policies=[defer]), "policies"),  # type: ignore[arg-type]
    "policies by class": (
        lambda: SyncContext(MemoryStore(), None, [SHELVES], policies={Shelf: keep_local}),  # type: ignore[dict-item]
        "table",
    ),
    "a policy that was not made": (
        lambda: SyncContext(MemoryStore(), None, [], policy=merge_fields),
        "merge_fields",
    ),  # type: ignore[arg-type]
    "a resolution's class": (
        lambda: SyncContext(MemoryStore(), None, [], policy=type(defer(None))),  # type: ignore[arg-type]
        "policy",
    ),
    "patience without end": (lambda: SyncContext(MemoryStore(), None, [], patience=float("nan")), "patience"),
    "references in a list": (lambda: table(Shelf, references=["name"]), "references"),  # type: ignore[call-overload]
    "a number of indexes": (lambda: table(Shelf, indexes=5), "indexes"),  # type: ignore[call-overload]
    "one index, unpacked": (lambda: table(Shelf, indexes="name"), "indexes"),
    "no path": (lambda: SQLiteStore(None), "path"),  # type: ignore[arg-type]
    "a path in bytes": (lambda: SQLiteStore(b"x.db"), "path"),  # type: ignore[arg-type]
    "a timeout in words": (lambda: SQLiteStore("x.db", busy_timeout="long"), "busy_timeout"),  # type: ignore[arg-type]
    "a timeout that is none": (lambda: SQLiteStore("x.db", busy_timeout=float("nan")), "busy_timeout"),
    "an authority of one table": (lambda: Authority(MemoryStore(), SHELVES), "list"),  # type: ignore[arg-type]
    "an authority of classes": (lambda: Authority(MemoryStore(), [Shelf]), "table"),  # type: ignore[list-item]
    "a loopback to a store": (lambda: LoopbackTransport(MemoryStore()), "Authority"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("call", "word"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_where_it_is_made(call: Callable[[], object], word: str) -> None:
    """Not when something is pushed much later, nor as an attribute that something unheard of has not."""
    with pytest.raises((ConfigurationError, UnknownTable), match=word):
        _ = call()


def test_tables_may_come_from_anything_that_can_be_listed() -> None:
    """A generator of tables is read once."""
    ctx = SyncContext(MemoryStore(), None, (each for each in (SHELVES, BOOKS)))  # type: ignore[arg-type]
    assert "<sync table book>" == repr(ctx[BOOKS])


def test_what_is_made_says_what_it_is(tmp_path: Path) -> None:
    """`repr` of what a user holds names it, and tells no secret."""
    ctx = device(one, SQLiteStore(tmp_path / "x.db"))
    told = [repr(each) for each in (ctx, ctx.remote(SHELVES), HttpTransport("https://x", auth="SECRET"))]
    ctx.close()
    assert [] == [each for each in told if " object at 0x" in each or "SECRET" in each]
    assert [True, True] == ["shelf" in each for each in told[:2]]


def test_a_number_for_an_id_is_told() -> None:
    """An id that is a number is refused where it is used, naming its type."""

    @dataclasses.dataclass
    class Row:
        id: int

    with pytest.raises(ConfigurationError, match="id must be str"):
        table(Row)
