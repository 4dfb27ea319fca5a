"""Random histories of principals with views, against a model that keeps no numbers, cursors or trails."""

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.authority.support import ITEMS, LISTS, Time, change
from tidesync.contracts.transport import (
    Absent,
    Anything,
    Change,
    Outcome,
    PullRequest,
    Rejected,
)
from tidesync.errors import ResyncRequired
from tidesync.query import Compare, Expr, Field, Query, Value
from tidesync.records import Json, Record, content_of
from tidesync.stores.memory import MemoryStore
from tidesync.transports import compaction, pages
from tidesync.transports.authority import Authority
from tidesync.transports.commits import Write
from tidesync.transports.principal import Principal
from tidesync.values import ColumnType

IDS = ("a", "b", "c", "d", "e")
LIMITS = (1, 2, 50)
Sees: TypeAlias = Callable[[Record], bool]


def of(owner: str) -> Expr:
    return Compare("eq", Field("text", ColumnType.STRING), Value(owner, ColumnType.STRING))


SMALL = Compare("lt", Field("size", ColumnType.INTEGER), Value(2, ColumnType.INTEGER))
WHO: tuple[tuple[Principal, Sees], ...] = (
    (Principal("ann", {"item": of("ann")}), lambda row: row["text"] == "ann"),
    (Principal("ben", {"item": of("ben")}), lambda row: row["text"] == "ben"),
    (Principal("small", {"item": SMALL}), lambda row: int(str(row["size"])) < 2),
    (Principal("all", {"item": None}), lambda row: True),
)
QUERIES: tuple[tuple[Expr | None, Sees], ...] = (
    (None, lambda row: True),
    (SMALL, lambda row: int(str(row["size"])) < 2),
)


@attrs.define
class Entry:
    """What is under an id: the content, or the last one."""

    content: Record
    alive: bool


class Model:
    """What a remote with views is: entries, and what each view ever showed."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.shown: dict[str, set[str]] = {who.name: set() for who, _ in WHO}

    def write(self, sees: Sees, change: Change) -> str:
        """Do it, and say which outcome it must have."""
        entry = self.entries.get(change.record_id)
        held = entry if entry is not None and sees(entry.content) else None
        lives = held is not None and held.alive
        if change.kind == "delete" and not lives:
            return "Applied"
        if lives != (change.kind in ("update", "delete")) or (held is None and change.kind == "undelete"):
            return "Conflicted"
        if isinstance(change.expected, Absent) and held is not None:
            return "Conflicted"
        if entry is not None and held is None:
            return "forbidden"
        content = dict(entry.content) if entry is not None and change.kind != "insert" else {}
        content |= change.record or {}
        if not sees(content):
            return "forbidden"
        self.entries[change.record_id] = Entry(content, change.kind != "delete")
        return "Applied"

    def commit(self) -> None:
        """What there is now can be seen."""
        for who, sees in WHO:
            self.shown[who.name] |= {id for id, entry in self.entries.items() if sees(entry.content)}

    def live(self, sees: Sees, matches: Sees) -> dict[str, Record]:
        """What there is for one view and query."""
        return {
            id: entry.content
            for id, entry in self.entries.items()
            if entry.alive and sees(entry.content) and matches(entry.content)
        }


@attrs.define
class Watcher:
    """A principal who follows a query, and holds what it was told."""

    who: Principal
    sees: Sees
    where: Expr | None
    matches: Sees
    limit: int
    held: dict[str, Record] = attrs.field(factory=dict[str, Record])
    cursor: Json = None

    def step(self, world: "World") -> bool:
        """Store one page; True if there are more."""
        request = PullRequest(
            query=Query("item", self.where), cursor=self.cursor, limit=self.limit, departures=True
        )
        try:
            page = world.authority.pull(request, self.who)
        except ResyncRequired:
            assert self.cursor is not None
            self.held, self.cursor = {}, None
            return True
        told = [str(record["id"]) for record in page.records]
        gone = [*page.tombstones, *page.departed]
        assert set(told + gone) <= world.model.shown[self.who.name]
        assert len(told) + len(gone) <= self.limit
        for record in page.records:
            self.held[str(record["id"])] = content_of(record) or {}
        for id in gone:
            _ = self.held.pop(id, None)
        self.cursor = page.cursor
        return page.more


class World:
    """An authority, its model, and everybody who follows it."""

    def __init__(self) -> None:
        self.time = Time()
        self.authority = Authority(MemoryStore(), [LISTS, ITEMS], clock=self.time, identity="remote").open()
        self.model = Model()
        self.count = 0
        self.watchers = [
            Watcher(who, sees, where, matches, limit)
            for who, sees in WHO
            for where, matches in QUERIES
            for limit in LIMITS
        ]

    def commit(self, drawn: list[dict[str, Any]]) -> None:
        """Several principals' writes in one transaction."""
        self.time.seconds += 1
        writes, expected = [], list[str]()
        for one in drawn:
            self.count += 1
            who, sees = WHO[one["who"]]
            kind = one["kind"]
            content: Record = {"by": self.count}
            for name in one["fields"] if kind == "update" else ("text", "size"):
                content[name] = one[name]
            wanted = Absent() if one["absent"] and kind == "insert" else Anything()
            asked = change(kind, one["id"], wanted, operation=f"o{self.count}", **content)
            writes.append(Write(asked, who))
            expected.append(self.model.write(sees, asked))
        assert expected == list(map(told, self.authority.commit(writes)))
        self.model.commit()


def told(outcome: Outcome) -> str:
    return outcome.code if isinstance(outcome, Rejected) else type(outcome).__name__


writes = st.fixed_dictionaries(
    {
        "who": st.sampled_from([3, 3, 3, 3, 3, 0, 1, 2]),
        "id": st.sampled_from(IDS),
        "kind": st.sampled_from(["update", "update", "update", "update", "insert", "delete", "undelete"]),
        "text": st.sampled_from(["ann", "ben"]),
        "size": st.integers(0, 3),
        "fields": st.sampled_from([("text",), ("size",), ("text", "size")]),
        "absent": st.booleans(),
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.lists(writes, min_size=1, max_size=3)),
        st.tuples(st.just("commit"), st.lists(writes, min_size=1, max_size=1)),
        st.tuples(st.just("commit"), st.lists(writes, min_size=1, max_size=1)),
        st.tuples(st.just("follow"), st.sampled_from(LIMITS)),
        st.tuples(st.just("catch up"), st.sampled_from(LIMITS)),
        st.tuples(st.just("compact"), st.integers(0, 8)),
    ),
    min_size=15,
    max_size=60,
)
FILL: list[dict[str, Any]] = [
    {"who": 3, "id": id, "kind": "insert", "text": ("ann", "ben")[n % 2], "size": n, "absent": True}
    for n, id in enumerate(IDS)
]


@given(steps, st.integers(1, 4))
def test_followers_end_with_what_their_view_holds(history: list[tuple[str, Any]], hidden: int) -> None:
    """However writes, pages and compactions fall, each follower ends with exactly what its view holds.

    Nobody is ever told of an id that their view never showed, and every outcome is what it would be if what they
    do not see did not exist, except where an id or the result of a write is not theirs.
    """
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "HIDDEN_LIMIT", hidden)
        patch.setattr(compaction, "PART", 2)
        world.commit(FILL)
        for what, detail in history:
            if what == "commit":
                world.commit(detail)
            elif what in ("follow", "catch up"):
                for watcher in world.watchers:
                    while watcher.limit == detail and watcher.step(world) and what == "catch up":
                        pass
            else:
                gone = world.authority.compact(keep=detail)
                dead = [id for id in IDS if id in world.model.entries and not world.model.entries[id].alive]
                kept = tombstones(world.authority)
                assert gone == len(set(dead) - kept)
                for id in set(dead) - kept:
                    del world.model.entries[id]
        for watcher in world.watchers:
            while watcher.step(world):
                pass
            assert world.model.live(watcher.sees, watcher.matches) == watcher.held


def tombstones(authority: Authority) -> set[str]:
    return set(authority.pull(PullRequest(query=Query("item"))).tombstones)
