"""References: where they are enforced, a live record names live records only."""

from collections.abc import Callable

import pytest

from tests.transports.authority.support import (
    MakeAuthority,
    applied,
    change,
    delete,
    held,
    insert,
    kinds,
    live,
    update,
)
from tidesync.contracts.transport import Change, Rejected
from tidesync.records import Json, content_of
from tidesync.transports.authority import Authority


@pytest.fixture
def strict(make: MakeAuthority) -> Authority:
    authority = make(foreign_keys=True)
    _ = applied(authority, change("insert", "l", table="list"), insert("a", list_id="l"))
    return authority


def refused(authority: Authority, *changes: Change) -> list[str]:
    before = {table: live(authority, table) for table in authority.tables}
    outcomes = authority.push(changes)
    assert ["Rejected"] * len(changes) == kinds(outcomes)
    assert before == {table: live(authority, table) for table in authority.tables}
    return [outcome.code for outcome in outcomes if isinstance(outcome, Rejected)]


def test_a_reference_needs_a_live_record(strict: Authority) -> None:
    """An insert or update that names nothing, a tombstone, or something that is no id, is refused."""
    _ = applied(strict, change("insert", "old", table="list"), change("delete", "old", table="list"))
    bad: list[Json] = ["none", "old", 1, ["l"], ""]
    changes = [make_change(id, list_id=value) for value in bad for id, make_change in INSERT_AND_UPDATE]
    assert ["foreign_key"] * 10 == refused(strict, *changes)


INSERT_AND_UPDATE: tuple[tuple[str, Callable[..., Change]], ...] = (("new", insert), ("a", update))


def test_a_reference_may_be_null_or_unchanged(strict: Authority) -> None:
    """Null names nothing; what an update does not write is not looked at."""
    _ = applied(strict, update("a", text="x"), update("a", list_id=None), change("delete", "l", table="list"))
    _ = applied(strict, update("a", text="y"), insert("b", list_id=None), insert("c"))
    assert ["a", "b", "c"] == sorted(live(strict))


def test_references_from_before_they_were_enforced_do_no_harm(make: MakeAuthority) -> None:
    """Where references were not enforced before, a dangling one stays until it is written."""
    _ = applied(make(), insert("a", list_id="none"))
    authority = make(foreign_keys=True)
    _ = applied(authority, update("a", text="x"))
    assert ["foreign_key"] == refused(authority, update("a", text="y", list_id="none"))
    _ = applied(authority, update("a", list_id=None))


def test_a_record_that_is_named_is_not_deleted(strict: Authority) -> None:
    """While a live record names it, a record stays; a deleted one does not hold it."""
    assert ["foreign_key"] == refused(strict, change("delete", "l", table="list"))
    _ = applied(strict, delete("a"), change("delete", "l", table="list"))
    assert {} == live(strict, "list")


def test_references_are_checked_on_what_earlier_changes_left(strict: Authority) -> None:
    """In one push a parent may come before its child, and go after it."""
    changes = [
        change("insert", "m", table="list"),
        insert("b", list_id="m"),
        change("delete", "m", table="list"),
        update("b", list_id="l"),
        change("delete", "m", table="list"),
        insert("c", list_id="m"),
    ]
    outcomes = strict.push(changes)
    assert ["Applied", "Applied", "Rejected", "Applied", "Applied", "Rejected"] == kinds(outcomes)


def test_undelete_and_revival_need_their_references(strict: Authority) -> None:
    """What an undelete would bring back must name live records too."""
    _ = applied(strict, delete("a"), change("delete", "l", table="list"))
    assert ["foreign_key"] * 2 == refused(strict, change("undelete", "a"), change("insert", "a", list_id="l"))
    _ = applied(strict, change("undelete", "l", table="list"), change("undelete", "a"))
    assert "l" == held(strict, "a")["list_id"]


def test_a_record_may_name_itself(strict: Authority) -> None:
    """A record that names itself may come and go; one that another names may not go."""
    _ = applied(strict, insert("me", parent="me"), delete("me"))
    _ = applied(strict, insert("top"), insert("below", parent="top"))
    assert ["foreign_key"] == refused(strict, delete("top"))


def test_references_are_not_enforced_unless_asked(authority: Authority) -> None:
    """Without `foreign_keys` a reference is a text like any other."""
    _ = applied(authority, insert("a", list_id="none"), change("insert", "l", table="list"))
    _ = applied(authority, update("a", list_id="l"), change("delete", "l", table="list"))
    assert {"id": "a", "list_id": "l"} == content_of(held(authority, "a"))


def test_a_refusal_names_the_reference_and_not_the_record(strict: Authority) -> None:
    """Whoever reports a refusal says which record it is about: the message does not say it again."""
    _ = applied(strict, insert("b", list_id="l"))
    outcomes = strict.push([update("a", list_id="none"), change("delete", "l", table="list")])

    assert [
        Rejected("foreign_key", "list_id names no live record of list"),
        Rejected("foreign_key", "the record is named by list_id of item/a"),
    ] == outcomes
