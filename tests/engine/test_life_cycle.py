"""The plans against a real authority: two devices, one remote, the whole way round."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine.fakes import ITEMS, LISTS, NOTES, Bench
from tidesync.conflicts import Policy, defer, keep_local, keep_remote, merge_fields
from tidesync.contracts.transport import Change, Outcome, Unknown
from tidesync.drive import perform
from tidesync.effects import Effect, PushChanges
from tidesync.errors import RemoteUnavailable
from tidesync.plans.push import push
from tidesync.records import Record, content_of
from tidesync.schema import TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport

TABLES = (LISTS, ITEMS, NOTES)


class Lossy(LoopbackTransport):
    """Loses the answers to pushes while `losing` says so."""

    losing: Callable[[Change], bool] = staticmethod(lambda change: False)

    def push(self, changes: list[Change], /) -> list[Outcome]:  # type: ignore[override]  # tests pass lists
        outcomes = super().push(changes)
        return [
            Unknown("the answer is lost") if self.losing(change) else outcome
            for change, outcome in zip(changes, outcomes, strict=True)
        ]


@pytest.fixture
def authority() -> Authority:
    return Authority(MemoryStore(), TABLES, foreign_keys=True).open()


def device(authority: Authority, name: str, policy: Policy = defer) -> Bench:
    return Bench(Lossy(authority), policy=policy, nonce=name)


def contents(records: list[Record]) -> list[Record | None]:
    return [content_of(record) for record in records]


def test_the_whole_life_of_a_record(authority: Authority) -> None:
    """Insert, pull elsewhere, update, pull back, delete, pull, purge: all agree at every step. [E26] [E21]"""
    one, two = device(authority, "one"), device(authority, "two")
    one.write("items", "A", {"text": "new", "note": None, "list": None})
    assert one.push().ok
    _ = two.pull(name="all")
    assert one.rows("items") == two.rows("items") == authority.records("items")
    two.write("items", "A", {"text": "edited elsewhere", "note": None, "list": None})
    assert two.push().ok
    _ = one.pull(name="all")
    assert one.rows("items") == two.rows("items") == authority.records("items")
    one.write("items", "A", None)
    assert one.push().ok
    assert 1 == two.pull(name="all").deleted
    assert [] == one.rows("items") == two.rows("items") == authority.records("items")
    assert 0 == two.purge().records


def test_parents_and_children_arrive_in_an_order_that_foreign_keys_accept(authority: Authority) -> None:
    """A mixed queue of many tables goes through whole. [E09]"""
    one = device(authority, "one")
    for number in range(12):
        one.write("items", f"i{number}", {"text": "first", "list": None})
        one.write("lists", f"l{number}", {"text": "later"})
        one.write("items", f"i{number}", {"text": "child", "list": f"l{number}"})
    for number in range(0, 12, 3):
        one.write("items", f"i{number}", None)
        one.write("lists", f"l{number}", None)
    assert one.push().ok
    assert (8, 8) == (len(authority.records("items")), len(authority.records("lists")))
    assert all(record["list"] == f"l{str(record['id'])[1:]}" for record in authority.records("items"))


def test_a_delete_is_sent_only_once_although_its_answer_was_lost(authority: Authority) -> None:
    """The resend meets what it did itself; nothing is in conflict."""
    one = device(authority, "one")
    one.write("items", "A", {"text": "new"})
    assert one.push().ok
    one.write("items", "A", None)
    lost: list[str] = []

    def once(change: Change) -> bool:
        lost.append(change.id)
        return len(lost) == 1

    transport = one.transport
    assert isinstance(transport, Lossy)
    transport.losing = once  # type: ignore[method-assign]
    assert one.push().ok
    assert (2, 1, []) == (len(lost), len(set(lost)), authority.records("items"))


@pytest.mark.parametrize("kind", ["insert", "update", "delete"])
def test_an_answer_lost_and_a_kill_leave_one_effect(authority: Authority, kind: str) -> None:
    """The process dies before it learns that its push arrived, and another device changes the record meanwhile."""
    one, two = device(authority, "one"), device(authority, "two", merge_fields())
    one.write("items", "A", {"text": "old", "note": None})
    if kind != "insert":
        assert one.push().ok
        one.write("items", "A", None if kind == "delete" else {"text": "mine", "note": None})
    plan = push(one.session)
    effect: Effect[object] = next(plan)
    while not isinstance(effect, PushChanges):
        effect = plan.send(perform(effect, one.ports))
    _ = perform(effect, one.ports)
    plan.close()
    again = Bench(one.transport, store=one.store, nonce="again", gone=lambda name: True)
    if kind != "delete":
        _ = two.pull(name="all")
        two.write("items", "A", {"text": "mine" if kind == "update" else "old", "note": "theirs"})
        assert two.push().ok
    report = again.push()
    assert (True, []) == (report.ok, again.queued())
    _ = again.pull(name="all")
    _ = two.pull(name="all")
    assert again.rows("items") == two.rows("items") == authority.records("items")
    if kind != "delete":
        assert ["theirs"] == [record["note"] for record in authority.records("items")]


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        (keep_local, {"text": "two", "note": "old"}),
        (keep_remote, {"text": "one", "note": "one"}),
        (merge_fields("local"), {"text": "two", "note": "one"}),
        (merge_fields("remote"), {"text": "one", "note": "one"}),
    ],
    ids=["keep_local", "keep_remote", "merge local", "merge remote"],
)
@pytest.mark.parametrize("met_by", ["push", "pull"])
def test_a_conflict_ends_equal_on_both_devices(
    authority: Authority, policy: Policy, ends: Record, met_by: str
) -> None:
    """Whether the push or the pull meets it first. [G09] [G25] [G26]"""
    one, two = device(authority, "one"), device(authority, "two", policy)
    one.write("items", "A", {"text": "old", "note": "old"})
    assert one.push().ok
    _ = two.pull(name="all")
    one.write("items", "A", {"text": "one", "note": "one"})
    two.write("items", "A", {"text": "two", "note": "old"})
    assert one.push().ok
    if met_by == "pull":
        _ = two.pull(name="all")
    assert two.push().ok
    _ = two.pull(name="all")
    _ = one.pull(name="all")
    assert [{"id": "A", **ends}] == contents(authority.records("items"))
    assert one.rows("items") == two.rows("items") == authority.records("items")


def test_last_write_wins_sends_the_known_version_and_then_the_current_one() -> None:
    """On refusal it is sent again with the current version: never unconditionally while a version is known."""
    rash = TableSchema("items", ITEMS.columns, references={"list": "lists"}, concurrency="last-write-wins")
    authority = Authority(MemoryStore(), (LISTS, rash)).open()
    one, two = (
        Bench(LoopbackTransport(authority), tables=(LISTS, rash), nonce=name) for name in ("one", "two")
    )
    one.write("items", "A", {"text": "old"})
    assert one.push().ok
    _ = two.pull()
    one.write("items", "A", {"text": "one"})
    two.write("items", "A", {"text": "two"})
    assert one.push().ok
    sent: list[Change] = []
    inner = two.transport.push

    def spied(changes: list[Change]) -> list[Outcome]:
        sent.extend(changes)
        return list(inner(changes))

    two.transport.push = spied  # type: ignore[method-assign, assignment]
    assert two.push().ok
    assert ["Version", "Version"] == [type(change.expected).__name__ for change in sent]
    assert sent[0].expected != sent[1].expected
    assert ["two"] == [record["text"] for record in authority.records("items")]


def test_a_deleted_id_may_be_used_again(authority: Authority) -> None:
    """Delete, then insert under the same id, on the same device or on another one."""
    one, two = device(authority, "one"), device(authority, "two")
    one.write("items", "A", {"text": "first"})
    assert one.push().ok
    _ = two.pull(name="all")
    one.write("items", "A", None)
    assert one.push().ok
    _ = two.pull(name="all")
    two.write("items", "A", {"text": "second"})
    assert two.push().ok
    _ = one.pull(name="all")
    assert ["second"] == [record["text"] for record in one.rows("items")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_every_page_size_brings_everything(authority: Authority, size: int) -> None:
    """Including one that divides the number of records. [I24] [I26]"""
    one, two = device(authority, "one"), device(authority, "two")
    for number in range(21):
        one.write("items", f"i{number:02}", {"text": "new"})
    assert one.push().ok
    two.session.page_size = size
    assert 21 == two.pull(name="all").records
    assert one.rows("items") == two.rows("items")
    assert 0 == two.pull(name="all").records


def test_a_remote_whose_store_fails_leaves_everything_in_place(authority: Authority) -> None:
    """A push ends in doubt, a pull raises; afterwards both go through. [F01]"""
    one = device(authority, "one")
    one.write("items", "A", {"text": "new"})
    _ = one.pull("lists")
    authority.store.close()
    assert not one.push().ok
    with pytest.raises(RemoteUnavailable):
        _ = one.pull()
    assert [("insert", "A", "attempted")] == one.queued()
    _ = authority.open()
    assert one.push().ok
    assert authority.records("items") == one.rows("items")
