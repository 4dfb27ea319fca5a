"""Columns that are renamed on the wire, over loopback: the remote and other devices know the wire's names."""

from __future__ import annotations

import attrs

from tidesync import SyncContext, merge_fields, table
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport


@attrs.define
class Shelf:
    id: str
    label: str = ""


@attrs.define
class Book:
    id: str
    main_title: str = ""
    shelf_id: str | None = None
    page_count: int = 0


SHELVES = table(Shelf)
BOOKS = table(Book, rename="camel", references={"shelf_id": SHELVES}, indexes=("page_count",))
PLAIN = table("book", {"mainTitle": str, "pageCount": int})


def _device(remote: Authority, *tables: object) -> SyncContext:
    return SyncContext(MemoryStore(), LoopbackTransport(remote), tables, policy=merge_fields())  # type: ignore[arg-type]


def test_a_renamed_column_has_its_wire_name_at_the_remote_and_elsewhere() -> None:
    """What a class calls main_title is mainTitle to the remote, its foreign keys, and devices without the class."""
    remote = Authority(MemoryStore(), [SHELVES, BOOKS], foreign_keys=True).open()
    with _device(remote, SHELVES, BOOKS) as one, _device(remote, PLAIN) as other:
        one[SHELVES].insert(Shelf("s"))
        one[BOOKS].insert(Book("b", "Emma", "s", 300))
        one[BOOKS].insert(Book("c", "Persuasion", None, 200))
        one.push()
        [emma, _] = sorted(remote.records("book"), key=lambda record: str(record["id"]))
        assert ("Emma", "s", 300) == (emma["mainTitle"], emma["shelfId"], emma["pageCount"])

        other.pull(PLAIN, other[PLAIN].where(PLAIN.c.pageCount > 250), name="long")
        assert ["Emma"] == other[PLAIN].values("mainTitle")
        other[PLAIN].update("b", mainTitle="Emma!")
        other.push()
        one[BOOKS].update("b", page_count=301)
        one.push()  # a conflict, merged: the copies in it come back under local names
        assert Book("b", "Emma!", "s", 301) == one[BOOKS].get("b") == one.remote(BOOKS).get("b")


def test_queries_and_orders_reach_the_remote_under_its_names() -> None:
    """Conditions, orders and fields of a pull and of a remote table are said in the remote's names."""
    remote = Authority(MemoryStore(), [SHELVES, BOOKS]).open()
    with _device(remote, SHELVES, BOOKS) as one, _device(remote, SHELVES, BOOKS) as two:
        one[BOOKS].insert_many([Book(f"b{n}", f"t{n}", None, n) for n in range(5)])
        one.push()
        longest = (
            two.remote(BOOKS).where(BOOKS.c.page_count >= 2).order_by("page_count", descending=True).take(2)
        )
        assert [4, 3] == [book.page_count for book in longest.all()]
        assert ["t4", "t3"] == longest.values("main_title")
        two.pull(BOOKS, two[BOOKS].where(BOOKS.c.page_count < 2), name="short", reconcile=True)
        assert ["t0", "t1"] == two[BOOKS].values("main_title")
