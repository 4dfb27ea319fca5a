"""The queue as it is kept: rows that come back as they were, numbers that are never reused, edges that stay true."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.fakes import ITEMS, Bench, ScriptedTransport
from tidesync.contracts.transport import Absent, Anything, Conflicted, Rejected, Unknown, Version
from tidesync.operations import Refusal
from tidesync.query import Query
from tidesync.queue import listed
from tidesync.records import Record, Tombstone, decode_copy, encode_copy
from tidesync.rows import decode_entry, decode_expected, encode_entry, encode_expected, encode_head, lane_of
from tidesync.rules.chain import Entry, Head
from tidesync.schema import TableSchema

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
CONTENTS = st.none() | st.dictionaries(
    TEXT, st.none() | st.booleans() | st.integers(-5, 5) | TEXT, max_size=3
)
EXPECTED = (
    st.none()
    | st.builds(Version, TEXT)
    | st.builds(Tombstone, st.none() | TEXT)
    | st.just(Absent())
    | st.just(Anything())
)
ENTRIES = st.builds(
    Entry,
    key=TEXT, sequence=st.integers(1, 9), id=TEXT, table=st.just("items"), record_id=st.just("A"), content=CONTENTS,
    generated=st.booleans(), state=st.sampled_from(["pending", "attempted", "failed"]), attempts=st.integers(0, 9),
    error=st.none() | st.builds(Refusal, TEXT, TEXT), fields=st.none() | st.lists(TEXT, max_size=3).map(tuple),
    expected=EXPECTED, sent_kind=st.sampled_from([None, "insert", "update", "delete"]), blocker=st.none() | TEXT,
    created=st.floats(0, 1e9), last_attempt=st.none() | st.floats(0, 1e9), named=st.none(),
)  # fmt: skip


def told(entry: Entry) -> dict[str, Any]:
    return {
        name: getattr(entry, name) for name in Entry.__slots__ if not name.startswith("_") and name != "named"
    }


@given(entry=ENTRIES)
def test_an_operation_comes_back_as_it_was_kept(entry: Entry) -> None:
    """Every field, with and without content, error and expectation. [C01] [C04] [F20]"""
    head = Head("items", "A", None, entries=[entry])
    assert told(entry) == told(decode_entry(encode_entry(head, entry, [])))


@given(expected=EXPECTED)
def test_an_expectation_comes_back_as_it_was_kept(expected: Any) -> None:
    """None, a version, a tombstone of a version or of any, absent, anything."""
    assert expected == decode_expected(encode_expected(expected))


@given(
    copy=st.none() | st.builds(Tombstone, st.none() | TEXT) | st.dictionaries(TEXT, st.integers(), max_size=2)
)
def test_a_copy_comes_back_as_it_was_kept(copy: Any) -> None:
    """A record, a tombstone or nothing: three different things."""
    assert copy == decode_copy(encode_copy(copy))


def test_lanes_say_what_a_push_may_look_at() -> None:
    """Failed, blocked, unsettled, ready: attempted operations are ready, since only the first of a record is sent."""

    def lane(state: Any, blocker: str | None, news: Record | None) -> str:
        entry = Entry("k", 1, "o", "items", "A", {"id": "A"}, state=state, blocker=blocker)
        return lane_of(Head("items", "A", None, news, entries=[entry]), entry)

    states: list[Any] = ["pending", "attempted", "failed"]
    table = {
        (state, blocker, news): lane(state, blocker, {"id": "A"} if news else None)
        for state in states
        for blocker in (None, "b")
        for news in (False, True)
    }
    assert {"failed"} == {found for (state, _, _), found in table.items() if state == "failed"}
    assert {"blocked"} == {
        found for (state, blocker, _), found in table.items() if state != "failed" and blocker
    }
    assert {
        ("pending", True): "unsettled",
        ("pending", False): "ready",
        ("attempted", True): "ready",
        ("attempted", False): "ready",
    } == {
        (state, news): table[state, None, news]
        for state in ("pending", "attempted")
        for news in (True, False)
    }


def test_a_head_is_unsettled_while_news_waits() -> None:
    """That is what push asks for when it begins."""
    head = Head("items", "A", {"id": "A"}, Tombstone("v"), 3, [])
    row = encode_head(head)
    assert (True, {"record": {"id": "A"}}, {"tombstone": "v"}, 3) == (
        row["unsettled"],
        row["base"],
        row["remote"],
        row["revision"],
    )


def revision(bench: Bench, id: str = "A") -> int:
    head = bench.head("items", id)
    assert head is not None
    return head.revision


def test_revisions_are_never_reused_when_a_head_goes_and_comes_back() -> None:
    """Drawn from a store-wide counter: an answer to an old question can never fit a new head."""
    bench = Bench(ScriptedTransport())
    seen: set[int] = set()
    for _ in range(5):
        bench.write("items", "A", {"text": "new"})
        seen.add(revision(bench))
        bench.write("items", "A", None)
        assert [] == bench.rows("__heads")
    assert 5 == len(seen)


def test_every_change_of_a_head_has_a_revision_of_its_own() -> None:
    """Edits, refusals and news all count, and count upwards."""
    transport = ScriptedTransport(
        {"A": [Rejected("bad", "no"), Conflicted({"id": "A", "text": "t", "version": "v"})]}
    )
    bench = Bench(transport)
    seen: list[int] = []
    for text in "12":
        bench.write("items", "A", {"text": text})
        seen.append(revision(bench))
        _ = bench.push()
        seen.append(revision(bench))
    assert sorted(set(seen)) == seen


def test_sequences_are_never_reused() -> None:
    """Also when the operation that had one has gone. [C20]"""
    bench = Bench(ScriptedTransport())
    seen: list[int] = []
    for number in range(5):
        bench.write("items", f"i{number}", {"text": "new"})
        seen.append(bench.operations()[-1].sequence)
        if number % 2:
            bench.write("items", f"i{number}", None)
    assert seen == sorted(set(seen))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "delete", "push"]),
        st.sampled_from(["A", "B"]),
        st.sampled_from(["x", "y", "L", "M"]),
        st.sampled_from([None, "L", "M"]),
    ),
    max_size=10,
)  # fmt: skip
ANSWERS = st.lists(
    st.sampled_from(
        [
            None,
            Rejected("bad", "no"),
            Unknown("lost"),
            Conflicted(None),
            Conflicted({"id": "?", "text": "t", "version": "v"}),
        ]
    ),
    max_size=8,
)


@given(steps=STEPS, answers=ANSWERS, unsaid=st.booleans())
def test_rows_of_the_queue_always_fit_together(
    steps: list[tuple[str, str, str, str | None]], answers: list[Any], unsaid: bool
) -> None:
    """Heads list operations, operations have heads, edges are the names, counts count, blockers exist. [C16]"""
    tables = [
        TableSchema("lists", ITEMS.columns),
        TableSchema("items", ITEMS.columns, references=None if unsaid else {"list": "lists"}),
    ]
    transport = ScriptedTransport(
        {id: [each for each in answers if each is not None] for id in ("A", "B", "L", "M")}
    )
    bench = Bench(transport, tables=tables)
    for what, id, text, name in steps:
        table = "lists" if text in ("L", "M") else "items"
        key = text if table == "lists" else id
        if what == "push":
            _ = bench.push()
        elif what == "write":
            record: Record = {"text": text} if table == "lists" else {"text": text, "list": name}
            bench.write(table, key, record)
        elif bench.record(table, key) is not None:
            bench.write(table, key, None)
        check_rows(bench)


def check_rows(bench: Bench) -> None:
    operations = {str(row["id"]): row for row in bench.rows("__operations")}
    heads = bench.rows("__heads")
    assert sorted(operations) == sorted(key for head in heads for key in head["entries"])  # type: ignore[union-attr, misc]
    assert all(head["entries"] for head in heads)
    edges = {(row["target"], row["operation"], row["sequence"]) for row in bench.rows("__edges")}
    assert {(name, key, row["sequence"]) for key, row in operations.items() for name in row["names"]} == edges  # type: ignore[union-attr]
    counters = [row["value"] for row in bench.rows("__meta") if row["id"] == "counters"]
    assert [len(operations)] == [value[2] for value in counters] or not counters  # type: ignore[index, call-overload]
    assert {row["blocker"] for row in operations.values()} - {None} <= set(operations)
    for head in heads:
        states = [operations[str(key)]["state"] for key in head["entries"]]  # type: ignore[union-attr]
        assert "attempted" not in states[1:]
        sequences = [operations[str(key)]["sequence"] for key in head["entries"]]  # type: ignore[union-attr]
        assert sequences == sorted(sequences)  # type: ignore[type-var]


def test_operations_are_listed_in_order_of_one_table_or_of_all() -> None:
    """In the order of the queue, whatever their tables. [C09] [C14]"""
    bench = Bench(ScriptedTransport())
    for table, id in (("items", "B"), ("lists", "L"), ("items", "A")):
        bench.write(table, id, {"text": "new"})
    with bench.store.transaction(write=True) as transaction:
        ledger = bench.session.queue(transaction, 0.0).ledger
        assert ["B", "L", "A"] == [operation.record_id for operation in listed(ledger)]
        assert ["B", "A"] == [operation.record_id for operation in listed(ledger, "items")]
        assert [] == listed(ledger, "notes")


def test_a_store_that_refuses_a_write_queues_nothing() -> None:
    """Record and operation are one transaction: both are there, or neither. [B17] [C12]"""
    bench = Bench(ScriptedTransport())

    def write_and_fail() -> None:
        with bench.store.transaction(write=True) as transaction:
            queue = bench.session.queue(transaction, 0.0)
            queue.write("items", "A", {"id": "A", "text": "new"})
            _ = queue.close("local")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert ([], [], []) == (bench.rows("items"), bench.rows("__operations"), bench.rows("__heads"))


def test_a_local_write_asks_for_ids_only_unless_others_may_name_the_record() -> None:
    """Costs: `get` and `put` by id; one `select` on `__edges` only to insert or delete what others may name."""
    asked: list[str] = []
    bench = Bench(ScriptedTransport())
    bench.remotely("items", {"id": "A", "text": "old", "version": "v"})
    original = bench.store.transaction

    class Spy:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def select(self, query: Query) -> Any:
            asked.append(query.table)
            return self._inner.select(query)

    with original(write=True) as transaction:
        queue = bench.session.queue(Spy(transaction), 0.0)  # type: ignore[arg-type]  # a transaction for all that is asked
        queue.write("items", "A", {"id": "A", "text": "new"})
        _ = queue.close("local")
    assert [] == asked
    with original(write=True) as transaction:
        queue = bench.session.queue(Spy(transaction), 0.0)  # type: ignore[arg-type]
        queue.write("items", "B", {"id": "B", "text": "new"})
        _ = queue.close("local")
    assert {"__edges"} >= set(asked)
