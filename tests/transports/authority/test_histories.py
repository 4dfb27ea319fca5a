"""Random histories: several followers, several authorities on one store, changes sent again and again."""

import attrs
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.authority.support import ITEMS, LISTS, Follower, Time, authority_on, pull
from tidesync.contracts.transport import Absent, Anything, Applied, Change, Conflicted, Expected, Version
from tidesync.predicate import matcher
from tidesync.query import Compare, Field, Query, Value
from tidesync.records import Json, Record, Tombstone, alive, version_of
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.values import ColumnType

IDS = ("a", "b", "c")
SMALL = Query("item", Compare("lt", Field("size", ColumnType.INTEGER), Value(2, ColumnType.INTEGER)))

writes = st.fixed_dictionaries(
    {
        "id": st.sampled_from(IDS),
        "kind": st.sampled_from(["insert", "update", "delete", "undelete"]),
        "size": st.integers(0, 3),
        "expected": st.sampled_from(["right", "right", "stale", "anything"]),
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.lists(writes, min_size=1, max_size=4)),
        st.tuples(st.just("again"), st.integers(0, 20)),
        st.tuples(st.just("follow"), st.integers(0, 3)),
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    max_size=30,
)


@attrs.define
class Effect:
    """An operation that was seen to take effect."""

    change: Change
    version: str | None


class History:
    """One authority after another on one store, and what everyone was told."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.authority = authority_on(self.store, Time())
        self.effects: list[Effect] = []
        self.stale: dict[str, str] = {}
        self.count = 0
        self.followers = [
            Follower(self.authority, limit=1),
            Follower(self.authority, limit=2),
            Follower(self.authority, query=SMALL, departures=True, limit=1),
            Follower(self.authority, query=SMALL, departures=True, limit=3),
        ]

    def change(self, id: str, kind: str, size: int, expected: str) -> Change:
        self.count += 1
        copy = self.authority.get("item", id)
        version = version_of(copy) or "none"
        self.stale.setdefault(id, version)
        if expected == "stale":
            version = self.stale[id]
        wanted: Expected = Version(version) if alive(copy) else Tombstone(version) if copy else Absent()
        return Change(
            id=f"o{self.count}",
            table="item",
            record_id=id,
            kind=kind,  # type: ignore[arg-type]  # one of the four
            record={"id": id, "size": size, "by": self.count} if kind in ("insert", "update") else None,
            fields=("size", "by"),
            expected=Anything() if expected == "anything" else wanted,
        )

    def push(self, writes: list[dict[str, object]]) -> None:
        changes = [self.change(**write) for write in writes]  # type: ignore[arg-type]  # as the strategy draws
        before = pull(self.authority).cursor
        outcomes = self.authority.push(changes)
        changed = dict.fromkeys(IDS, 0)
        for change, outcome in zip(changes, outcomes, strict=True):
            assert isinstance(outcome, Applied | Conflicted)
            if isinstance(outcome, Applied) and outcome.version not in (None, self.last(change.record_id)):
                self.effects.append(Effect(change, outcome.version))
                changed[change.record_id] += 1
        page = pull(self.authority, before)
        told = {str(record["id"]) for record in page.records} | set(page.tombstones)
        assert {id for id, count in changed.items() if count} == told

    def last(self, id: str) -> str | None:
        versions = [effect.version for effect in self.effects if effect.change.record_id == id]
        return versions[-1] if versions else None

    def again(self, index: int) -> None:
        """Send once more what took effect some time ago: nothing changes."""
        if self.effects:
            effect = self.effects[index % len(self.effects)]
            before = pull(self.authority)
            assert [Applied(effect.version)] == self.authority.push([effect.change])
            assert before == pull(self.authority)

    def reopen(self) -> None:
        self.authority.close()
        self.authority = authority_on(self.store, Time())
        for follower in self.followers:
            follower.authority = self.authority


@given(steps)
def test_followers_end_with_what_is_live(history: list[tuple[str, object]]) -> None:
    """However pushes, pages, resends and restarts fall, each follower ends with what is live and matches.

    Every operation takes effect at most once, and a page tells exactly what changed since its cursor.
    """
    world = History()
    for what, detail in history:
        if what == "push":
            assert isinstance(detail, list)
            world.push(detail)
        elif what == "again":
            assert isinstance(detail, int)
            world.again(detail)
        elif what == "follow":
            assert isinstance(detail, int)
            _ = world.followers[detail].step()
        else:
            world.reopen()
    live = {str(record["id"]): record for record in world.authority.records("item")}
    for follower in world.followers:
        matches = matcher(follower.query.where)
        assert {id: record for id, record in live.items() if matches(record)} == follower.catch_up()
    versions = [effect.version for effect in world.effects]
    assert len(versions) == len(set(versions))


@given(steps, st.integers(1, 4))
def test_any_cursor_brings_everything_since(history: list[tuple[str, object]], limit: int) -> None:
    """Pages replayed from any cursor ever given bring the final copy of every record that changed since."""
    world = History()
    cursors: list[tuple[Json, dict[str, object]]] = []
    for what, detail in history:
        cursors.append((pull(world.authority).cursor, held(world.authority)))
        if what == "push":
            assert isinstance(detail, list)
            world.push(detail)
    final = held(world.authority)
    for cursor, then in cursors:
        follower = Follower(world.authority, limit=limit, cursor=cursor)
        while follower.step():
            pass
        told = {**then, **follower.held}
        assert {id: copy for id, copy in final.items() if alive_(copy)} == {
            id: copy for id, copy in told.items() if alive_(copy) and alive_(final[id])
        }
        gone = {id for id in IDS if alive_(then[id]) and not alive_(final[id])}
        assert gone <= set(pull(world.authority, cursor).tombstones)


def held(authority: Authority) -> dict[str, object]:
    return {id: authority.get("item", id) for id in IDS}


def alive_(copy: object) -> bool:
    return isinstance(copy, dict)


def change_of(n: int, table: str, id: str, kind: str, list_id: str | None, parent: str | None) -> Change:
    fields: Record = {"list_id": list_id, "parent": parent} if table == "item" else {}
    return Change(
        id=f"o{n}",
        table=table,
        record_id=id,
        kind=kind,  # type: ignore[arg-type]  # one of the four
        record={"id": id, **fields} if kind in ("insert", "update") else None,
        fields=tuple(fields),
    )


KINDS = st.sampled_from(["insert", "insert", "update", "delete", "undelete"])
NAMES = st.one_of(st.none(), st.sampled_from(IDS))


@given(
    st.lists(
        st.tuples(st.sampled_from(["list", "item"]), st.sampled_from(IDS), KINDS, NAMES, NAMES), max_size=30
    ),
    st.integers(1, 8),
)
def test_references_always_hold(
    history: list[tuple[str, str, str, str | None, str | None]], size: int
) -> None:
    """With foreign keys, after each push of any size, every live record names live records only."""
    authority = Authority(MemoryStore(), [LISTS, ITEMS], foreign_keys=True, clock=Time()).open()
    changes = [change_of(n, *detail) for n, detail in enumerate(history)]
    for start in range(0, len(changes), size):
        _ = authority.push(changes[start : start + size])
        items = authority.records("item")
        lists = {record["id"] for record in authority.records("list")}
        assert {record["list_id"] for record in items} <= {None, *lists}
        assert {record["parent"] for record in items} <= {None, *(record["id"] for record in items)}
