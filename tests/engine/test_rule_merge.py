"""Three-way merges of contents, echoes, and when a cursor may move."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidesync.contracts.transport import CursorGuarantee, TransportCapabilities
from tidesync.records import Record, same
from tidesync.rules.cursors import Bookmark, overlap_needed, window_edge
from tidesync.rules.merge import changed_fields, echoes, merge_contents

VALUES = st.sampled_from([None, True, 1, 1.0, 0.0, -0.0, "x", [1], [1.0], {"k": None}])
RECORDS = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES).map(lambda fields: {"id": "A", **fields})
SIDES = st.sampled_from(["local", "remote"])


# ---- merge


@given(base=st.none() | RECORDS, record=RECORDS, prefer=SIDES)
def test_two_equal_sides_merge_to_themselves(base: Record | None, record: Record, prefer: Any) -> None:
    """Whatever the base was."""
    assert same(record, merge_contents(base, record, record, prefer))


@given(base=RECORDS, changed=RECORDS, prefer=SIDES)
def test_an_edit_beats_no_edit(base: Record, changed: Record, prefer: Any) -> None:
    """Only one side changed: it wins whole, removed fields included."""
    assert same(changed, merge_contents(base, changed, base, prefer))
    assert same(changed, merge_contents(base, base, changed, prefer))


@given(base=st.none() | RECORDS, local=RECORDS, remote=RECORDS)
def test_swapping_the_sides_and_the_preference_changes_nothing(
    base: Record | None, local: Record, remote: Record
) -> None:
    """The rule knows no side but the preferred one."""
    assert same(merge_contents(base, local, remote, "local"), merge_contents(base, remote, local, "remote"))


@given(base=st.none() | RECORDS, local=RECORDS, remote=RECORDS, prefer=SIDES)
def test_every_field_is_one_sides(base: Record | None, local: Record, remote: Record, prefer: Any) -> None:
    """Field by field: what one side alone changed, else the preferred one. Absent is a value of its own."""
    missing = object()
    merged = merge_contents(base, local, remote, prefer)
    for field in {*local, *remote, *(base or {})}:
        b, here, there = ((side or {}).get(field, missing) for side in (base, local, remote))

        def equal(x: Any, y: Any) -> bool:
            return x is y if missing in (x, y) and (x is missing or y is missing) else same(x, y)

        expected = there if equal(here, b) else here if equal(there, b) or prefer == "local" else there
        assert equal(expected, merged.get(field, missing))


@pytest.mark.parametrize(
    ("base", "local", "remote", "merged"),
    [
        ({"a": 1}, {"a": None}, {"a": 1}, {"a": None}),
        ({"a": 1}, {}, {"a": 1}, {}),
        ({"a": 1}, {"a": 1}, {}, {}),
        ({"a": 1}, {}, {"a": 2}, {}),
        ({}, {"a": None}, {}, {"a": None}),
        (None, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": True}, {"a": 1}, {"a": True}),
    ],
)
def test_absent_is_not_null(base: Record | None, local: Record, remote: Record, merged: Record) -> None:
    """Removing a field and setting it to null are different edits; so are 1 and true."""
    assert same(merged, merge_contents(base, local, remote))


@given(
    base=RECORDS,
    edits=st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES),
    theirs=st.dictionaries(st.sampled_from(["d", "e"]), VALUES),
)
def test_edits_of_different_fields_are_all_kept(base: Record, edits: Record, theirs: Record) -> None:
    """Nobody loses what nobody else touched."""
    assert same({**base, **edits, **theirs}, merge_contents(base, {**base, **edits}, {**base, **theirs}))


@given(old=RECORDS, new=RECORDS)
def test_changed_fields_are_exactly_those_that_differ(old: Record, new: Record) -> None:
    """By JSON type, removed ones included, `id` never."""
    fields = changed_fields(old, new)
    for field in ("a", "b", "c"):
        differs = (field in old) != (field in new) or (field in old and not same(old[field], new[field]))
        assert differs == (field in fields)
    assert "id" not in fields
    assert tuple(field for field in new if field != "id") == changed_fields(None, new)


# ---- echoes


@given(sent=RECORDS, theirs=RECORDS)
def test_only_the_fields_that_were_sent_matter(sent: Record, theirs: Record) -> None:
    """What stands in the other fields is the remote's."""
    fields = tuple(field for field in sent if field != "id")
    assert echoes(sent, fields, {**theirs, **sent})
    assert echoes(sent, (), theirs)


@pytest.mark.parametrize(
    ("sent", "found", "alike"),
    [
        (None, "absent", True), (1, 1.0, True), (3.0, 3, True), (-0.0, 0, True), (1, True, False), (0, False, False),
        ([1, {"k": 2.0}], [1.0, {"k": 2, "gone": None}], True), ("1", 1, False), ([1], [1, 2], False),
        ({"k": 1}, {"k": 2}, False), ("x", None, False),
    ],
)  # fmt: skip
def test_a_remote_may_spell_a_value_in_its_own_way(sent: Any, found: Any, alike: bool) -> None:
    """Null may be absent and 3.0 come back as 3; true is never 1."""
    copy: Record = {"id": "A"} if found == "absent" else {"id": "A", "f": found}
    assert alike == echoes({"id": "A", "f": sent}, ("f",), copy)


# ---- cursors


@pytest.mark.parametrize("cursor", list(CursorGuarantee))
def test_overlap_is_asked_for_below_horizon_only(cursor: CursorGuarantee) -> None:
    """A full scan reads all anyway; HORIZON and better miss nothing."""
    capabilities = TransportCapabilities(identity="r", cursor=cursor, overlap=7.0)
    weak = cursor in (CursorGuarantee.TIMESTAMP, CursorGuarantee.KEYSET)
    assert (7.0 if weak else 0.0) == overlap_needed(capabilities)


@pytest.mark.parametrize(
    ("bookmark", "edge"),
    [
        (Bookmark(), None),
        (Bookmark(latest="2026-01-01T00:01:00.000000Z"), None),
        (Bookmark(began="2026-01-01T00:01:00.000000Z"), "2026-01-01T00:00:38.000000Z"),
        (
            Bookmark(began="2026-01-01T00:01:00.000000Z", latest="2026-01-01T00:00:30.000000Z"),
            "2026-01-01T00:00:08.000000Z",
        ),
        (
            Bookmark(began="2026-01-01T00:01:00.000000Z", latest="2026-01-01T00:05:00.000000Z"),
            "2026-01-01T00:00:38.000000Z",
        ),
    ],
)
def test_the_window_begins_before_anything_that_may_come_again(bookmark: Bookmark, edge: str | None) -> None:
    """Counted back from when the pull began, or from the last row if that was earlier, with room for rounding. [I16]"""
    assert edge == window_edge(bookmark, 10.0)


@given(st.integers(0, 4_000_000_000), st.floats(0, 10_000))
def test_the_window_is_never_narrower_than_the_overlap(moment: int, overlap: float) -> None:
    """The edge lies at least the overlap before the pull began."""
    began = datetime.fromtimestamp(moment, UTC)
    edge = window_edge(Bookmark(began=began.strftime("%Y-%m-%dT%H:%M:%S.%fZ")), overlap)
    assert edge is not None
    assert (began - datetime.fromisoformat(edge)).total_seconds() >= overlap
