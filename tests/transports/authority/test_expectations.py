"""What is held, what is expected, what is wanted: every combination, and what comes of it."""

import itertools

import pytest

from tests.transports.authority.support import applied, change, delete, insert, pull
from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    ChangeKind,
    Conflicted,
    Expected,
    Version,
)
from tidesync.records import Copy, Record, Tombstone, alive, content_of, version_of
from tidesync.transports.authority import Authority

STATES = ("nothing", "live", "tombstone")
KINDS: tuple[ChangeKind, ...] = ("insert", "update", "delete", "undelete")
EXPECTED = (
    *["absent", "anything", "version", "tombstone"],
    "other version",
    "other tombstone",
    "any tombstone",
)

# What goes through, by what is held and what is wanted. Everything else is a conflict, except that a delete
# of what is gone is always applied.
PERMITTED = {
    ("nothing", "insert"): {"absent", "anything"},
    ("tombstone", "insert"): {"tombstone", "any tombstone", "anything"},
    ("live", "update"): {"version", "anything"},
    ("live", "delete"): {"version", "anything"},
    ("tombstone", "undelete"): {"tombstone", "any tombstone", "anything"},
}
FIRST: Record = {"id": "a", "text": "first", "size": 1}


def prepared(authority: Authority, state: str) -> Copy:
    if state != "nothing":
        _ = applied(authority, insert("a", text="first", size=1))
    if state == "tombstone":
        _ = applied(authority, delete("a"))
    return authority.get("item", "a")


def expectation(name: str, held: str) -> Expected:
    named: dict[str, Expected] = {
        "absent": Absent(),
        "anything": Anything(),
        "version": Version(held),
        "other version": Version("another"),
        "tombstone": Tombstone(held),
        "other tombstone": Tombstone("another"),
        "any tombstone": Tombstone(None),
    }
    return named[name]


def wanted(kind: ChangeKind, expected: Expected) -> Change:
    if kind in ("insert", "update"):
        return change(kind, "a", expected, text="second")
    return change(kind, "a", expected)


@pytest.mark.parametrize(("state", "kind", "expected"), [*itertools.product(STATES, KINDS, EXPECTED)])
def test_a_change_is_applied_or_conflicts(
    authority: Authority, state: str, kind: ChangeKind, expected: str
) -> None:
    """A change goes through if its kind fits what is held and what it expects is true; else nothing is."""
    held = prepared(authority, state)
    before = pull(authority).cursor
    [outcome] = authority.push([wanted(kind, expectation(expected, version_of(held) or "none"))])
    now = authority.get("item", "a")
    if kind == "delete" and state != "live":
        assert Applied(version_of(held), Tombstone(version_of(held))) == outcome
        assert (held, before) == (now, pull(authority).cursor)
    elif expected not in PERMITTED.get((state, kind), set()):
        assert Conflicted(held) == outcome
        assert (held, before) == (now, pull(authority).cursor)
    else:
        contents: dict[ChangeKind, Record | None] = {
            "insert": {"id": "a", "text": "second"},
            "update": {**FIRST, "text": "second"},
            "undelete": FIRST,
            "delete": None,
        }
        assert Applied(version_of(now), now) == outcome
        assert contents[kind] == content_of(now)
        assert alive(now) == (kind != "delete")
        assert version_of(held) != version_of(now)


def test_an_insert_over_a_tombstone_revives_in_one_effect(authority: Authority) -> None:
    """Reviving writes the new content whole, keeps the time of creation, and is one change to a follower."""
    held = prepared(authority, "live")
    [gone] = applied(authority, delete("a"))
    cursor = pull(authority).cursor
    [outcome] = applied(authority, change("insert", "a", Tombstone(gone.version), text="second"))
    page = pull(authority, cursor)
    assert [outcome.copy] == page.records
    assert {} == page.tombstones
    assert {"id": "a", "text": "second"} == content_of(outcome.copy)
    assert alive(held)
    assert alive(outcome.copy)
    assert held["created_at"] == outcome.copy["created_at"]


def test_changes_of_one_record_in_one_push_see_each_other(authority: Authority) -> None:
    """The second change of a record is decided on what the first one left."""
    changes = [
        insert("a", text="x"),
        insert("a", text="y"),
        delete("a"),
        change("undelete", "a", Tombstone()),
    ]
    outcomes = authority.push(changes)
    first, second, third, fourth = outcomes
    assert isinstance(first, Applied)
    assert Conflicted(first.copy) == second
    assert isinstance(third, Applied)
    assert isinstance(fourth, Applied)
    assert {"id": "a", "text": "x"} == content_of(fourth.copy)
    assert authority.get("item", "a") == fourth.copy
