"""What becomes of the queue when a new operation meets the record's newest one."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.fakes import Bench, ScriptedTransport
from tests.engine.law_world import Device, Remote
from tidesync.contracts.transport import NotSent, Unknown
from tidesync.events import OperationCollapsed, OperationQueued
from tidesync.operations import State
from tidesync.records import Record, same
from tidesync.rules.chain import Entry, Head, before, current, kind_between, kind_of
from tidesync.rules.collapse import may_collapse, place, vanishes
from tidesync.rules.order import begins_or_ends, named_records, names, names_of
from tidesync.schema import Column, TableSchema

BASE: Record = {"id": "A", "text": "base", "version": "v0"}
CONTENTS = st.none() | st.fixed_dictionaries(
    {"id": st.just("A"), "text": st.sampled_from(["base", "x", "y"])}
)


def edited(*contents: Record | None, base: Record | None = None) -> Bench:
    """A device whose record went through these contents."""
    bench = Bench(ScriptedTransport())
    if base is not None:
        bench.remotely("items", base)
    for content in contents:
        bench.write("items", "A", content)
    return bench


X, Y, OLD = {"text": "x"}, {"text": "y"}, {"text": "base"}

TABLE: list[Any] = [
    pytest.param(None, [X, Y], [("insert", "y")], id="insert, update [D02]"),
    pytest.param(None, [X, None], [], id="insert, delete [D16]"),
    pytest.param(BASE, [X, Y], [("update", "y")], id="update, update"),
    pytest.param(BASE, [X, None], [("delete", None)], id="update, delete [D08]"),
    pytest.param(BASE, [None, X], [("update", "x")], id="delete, insert [D09]"),
    pytest.param(BASE, [X, OLD], [], id="update, undone"),
    pytest.param(BASE, [None, OLD], [], id="delete, undone"),
    pytest.param(None, [X, Y, None, X], [("insert", "x")], id="insert, update, delete, insert"),
    pytest.param(BASE, [X, None, Y, None], [("delete", None)], id="update, delete, insert, delete"),
]


@pytest.mark.parametrize(("base", "contents", "left"), TABLE)
def test_the_collapse_table(
    base: Record | None, contents: list[Record | None], left: list[tuple[str, str | None]]
) -> None:
    """One operation from what was before to what is after, or none. [D02] [D05] [D08] [D16] [D17] [R-D23]

    After a pending delete the references refuse an insert (D09 x); here it becomes an update.
    """
    operations = edited(*contents, base=base).operations()
    assert left == [(o.kind, None if o.content is None else o.content["text"]) for o in operations]


def test_a_delete_and_an_insert_of_something_else_are_one_update() -> None:
    """No operation is refused behind a pending delete: the record is brought back in one step. [D09]"""
    assert [("update", "A", "pending")] == edited(None, X, base=BASE).queued()


@pytest.mark.parametrize("first", [X, None], ids=["update", "delete"])
def test_nothing_collapses_into_what_may_be_at_the_remote(first: Record | None) -> None:
    """The new operation queues behind it, and collapses with what is queued there. [D12] [D13] [C25]"""
    transport = ScriptedTransport({"A": [Unknown("lost"), NotSent("down")]})
    bench = Bench(transport)
    bench.remotely("items", BASE)
    bench.write("items", "A", first)
    _ = bench.push()
    sent = bench.operations()[0]
    bench.write("items", "A", {"text": "1"})
    bench.write("items", "A", {"text": "2"})
    bench.write("items", "A", {"text": "3"})
    kept, queued = bench.operations()
    assert (sent, "attempted", {"id": "A", "text": "3"}) == (kept, kept.state, queued.content)


def test_an_undone_edit_shows_the_base_again() -> None:
    """When a record's last operation vanishes, the local record is the base, with its system fields."""
    bench = edited(X, OLD, base=BASE)
    assert (BASE, []) == (bench.record("items", "A"), bench.rows("__heads"))


def test_true_is_not_one() -> None:
    """Sameness goes by JSON type: an edit from 1 to true is an edit."""
    bench = Bench(ScriptedTransport())
    bench.remotely("items", {"id": "A", "text": "t", "note": 1, "version": "v"})
    bench.write("items", "A", {"text": "t", "note": True})
    assert [("update", "A", "pending")] == bench.queued()
    bench.write("items", "A", {"text": "t", "note": 1})
    assert [] == bench.queued()


def test_events_tell_what_was_queued_and_what_collapsed() -> None:
    """`kind` is the result's; None if nothing is left to send."""
    bench = edited(X, Y, None)
    told = [event for event in bench.events if isinstance(event, OperationQueued | OperationCollapsed)]
    assert [
        OperationQueued("items", "A", "insert"),
        OperationCollapsed("items", "A", "insert"),
        OperationCollapsed("items", "A", None),
    ] == told


def test_a_collapsed_operation_is_a_new_one_to_the_remote() -> None:
    """Its content changed, so its id does; its key and place stay. [C17] [D22]"""
    bench = edited(X)
    (old,) = bench.operations()
    bench.write("items", "A", Y)
    (new,) = bench.operations()
    assert (old.key, old.sequence) == (new.key, new.sequence)
    assert old.id != new.id


@given(base=CONTENTS, contents=st.lists(CONTENTS, max_size=6))
def test_any_edits_of_one_record_leave_the_one_step_from_first_to_last(
    base: Record | None, contents: list[Record | None]
) -> None:
    """At most one operation, whose kind follows from what is alive; none where nothing changed."""
    steps: list[Record | None] = []
    now = base
    for content in contents:
        if content != now:
            steps.append(content)
            now = content
    bench = edited(*steps, base=None if base is None else {**base, "version": "v0"})
    kind = None if base == now else kind_between(base, now)
    assert ([] if kind is None else [(kind, now)]) == [(o.kind, o.content) for o in bench.operations()]


# ---- the pure rules

STUCK = {
    ("pending", False): "both", ("pending", True): "both", ("failed", False): "old", ("failed", True): "new",
}  # fmt: skip
"""Where neither place is free, by state and whether the new operation deletes."""


@pytest.mark.parametrize(
    ("state", "content", "old_depends", "new_depends", "expected"),
    [
        (state, content, old, new, "old" if not new else "new" if not old else STUCK[state, content is None])
        for state, content, old, new in product(("pending", "failed"), (None, X), (False, True), (False, True))
    ],
)  # fmt: skip
def test_where_the_result_stands(
    state: State, content: Record | None, old_depends: bool, new_depends: bool, expected: str
) -> None:
    """At the old place, else at the new one, else both stay; a refused operation always collapses."""
    assert expected == place(state, content, old_depends=old_depends, new_depends=new_depends)


def test_only_attempted_operations_are_frozen() -> None:
    """Pending and failed ones are not at the remote."""
    assert {"pending": True, "failed": True, "attempted": False} == {
        s: may_collapse(s) for s in ("pending", "failed", "attempted")
    }  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        (None, None, True), (None, {"a": 1}, False), ({"a": 1}, None, False), ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": True}, False), ({"a": 1}, {"a": 1.0}, False), ({"a": 0.0}, {"a": -0.0}, False),
        ({"a": None}, {}, False), ({"a": [1]}, {"a": [1]}, True),
    ],
)  # fmt: skip
def test_what_changes_nothing_vanishes(old: Record | None, new: Record | None, gone: bool) -> None:
    """Absent is not null, 1 is not true nor 1.0."""
    assert gone == vanishes(old, new)


def test_the_kind_follows_from_what_is_alive() -> None:
    """Whatever happened in between."""
    table = {
        (old, new): kind_between({} if old else None, {} if new else None)
        for old, new in product((False, True), repeat=2)
    }
    assert {
        (False, False): None,
        (False, True): "insert",
        (True, False): "delete",
        (True, True): "update",
    } == table


def entry(content: Record | None, **given: Any) -> Entry:
    return Entry("k", 1, "o", "items", "A", content, **given)


def test_an_operation_begins_where_the_one_before_it_ends() -> None:
    """The first begins at the base; kinds follow, except for what was sent. [C30]"""
    first, second, third = (
        entry({"id": "A"}),
        entry(None),
        entry({"id": "A", "text": "x"}, sent_kind="update"),
    )
    head = Head("items", "A", {**BASE}, entries=[first, second, third])
    assert [{"id": "A", "text": "base"}, {"id": "A"}, None] == [before(head, each) for each in head.entries]
    assert ["update", "delete", "update"] == [kind_of(head, each) for each in head.entries]
    assert {"id": "A", "text": "x"} == current(head)


# ---- order

DECLARED = TableSchema(
    "items", (Column("list"), Column("parent")), references={"list": "lists", "parent": "items"}
)
UNSAID = TableSchema("notes", (Column("a"),))


def test_declared_references_name_records_before_and_after() -> None:
    """Only declared fields count; a record does not wait for itself."""
    found = names(DECLARED, "A", {"list": "L", "parent": "A", "text": "L2"}, {"list": "M", "parent": None})
    assert {"lists/L", "lists/M"} == found
    assert {"lists/A"} == names(DECLARED, "A", {"list": "A", "parent": "A"})


def test_where_nothing_is_said_any_text_may_name_a_record() -> None:
    """Of any table; only text that could be an id."""
    found = names(
        UNSAID,
        "A",
        {"id": "A", "a": "L", "n": 3, "none": None, "empty": "", "long": "x" * 256, "deep": ["M"]},
    )
    assert {"*/L"} == found
    tables = {"notes": UNSAID, "items": DECLARED}
    assert ["notes/L", "items/L"] == named_records(found, tables)
    assert ("notes/L", "*/L") == names_of("notes", "L")
    assert ["lists/L"] == named_records(frozenset({"lists/L"}), tables)


def test_only_inserts_and_deletes_make_a_dependence() -> None:
    """An update of a record matters to nobody who names it."""
    assert [True, False, True, False] == [
        begins_or_ends(kind) for kind in ("insert", "update", "delete", None)
    ]  # type: ignore[arg-type]


def test_a_record_of_another_table_may_have_the_same_id() -> None:
    """One to one: an item named like its list still waits for it, with nothing said about references."""
    device, remote = Device(declared=False), Remote({}, True)
    device.write(("items", "X"), {"id": "X", "text": "item", "list": None})
    device.write(("lists", "X"), {"id": "X", "text": "list"})
    device.write(("items", "X"), {"id": "X", "text": "item", "list": "X"})
    sent: list[str] = []
    run = device.begin(max_changes=1)
    while batch := device.mark(run):
        remote, outcome = remote.take(batch[0].change)
        sent.append(batch[0].change.table)
        device.settle(batch, [outcome], run)
    assert ["lists", "items"] == sent
    assert 2 == len(remote.contents)


@given(old=CONTENTS, new=CONTENTS)
def test_vanishing_is_sameness(old: Record | None, new: Record | None) -> None:
    """Nothing is left exactly where both are nothing, or the same."""
    assert vanishes(old, new) == (
        (old is None and new is None) or (old is not None and new is not None and same(old, new))
    )
