"""The online table, `ctx.remote(table)`, against a real server."""

from typing import Any

import pytest

from tests.peers.remote import Remote
from tidesync import Tombstone
from tidesync.errors import NotReachable, RemoteConflict
from tidesync.remote import RemoteTable

Items = RemoteTable[dict[str, Any]]


@pytest.fixture
def items(remote: Remote) -> Items:
    return remote.device().remote(remote.items)


@pytest.fixture
def first(items: Items) -> dict[str, Any]:
    return items.insert({"id": "a", "text": "first", "priority": 1, "complete": False})


def test_an_insert_returns_the_servers_record(remote: Remote, items: Items) -> None:
    """With its version and its times; a column that was not sent has no value."""
    inserted = items.insert({"id": "a", "text": "first"})

    assert ("first", None) == (inserted["text"], inserted.get("priority"))
    assert remote.row(remote.items, "a")["version"] == inserted["version"]
    assert inserted["created_at"] == inserted["updated_at"]
    assert inserted == items.get("a")


def test_an_insert_without_an_id_gets_one(remote: Remote, items: Items) -> None:
    """The id is made here, so that a lost reply cannot make two records."""
    inserted = items.insert({"text": "first"})

    assert {inserted["id"]: "first"} == remote.alive(remote.items, "text")


def test_an_insert_of_a_taken_id_is_a_conflict(items: Items, first: dict[str, Any]) -> None:
    """The copy is what the server holds, not the echo of what was sent."""
    with pytest.raises(RemoteConflict) as caught:
        items.insert({"id": "a", "text": "second"})

    assert isinstance(caught.value.copy, dict)
    assert ("first", first["version"]) == (caught.value.copy["text"], caught.value.copy["version"])


def test_what_is_not_there_is_none(items: Items) -> None:
    """Reading a missing record is no error."""
    assert None is items.get("nowhere")


def test_an_update_with_its_version_gives_the_next_one(
    remote: Remote, items: Items, first: dict[str, Any]
) -> None:
    """And returns the server's record."""
    updated = items.update({**first, "text": "second"})

    assert "second" == updated["text"]
    assert first["version"] != updated["version"] == remote.row(remote.items, "a")["version"]


def test_an_update_without_a_version_writes_over_whatever_is_there(
    remote: Remote, items: Items, first: dict[str, Any]
) -> None:
    """Of the fields that it has; the others stay."""
    remote.change(remote.items, "a", text="theirs", priority=7)

    updated = items.update({"id": "a", "text": "ours"})

    assert ("ours", 7) == (updated["text"], updated["priority"])


def test_an_update_of_an_old_version_is_a_conflict(
    remote: Remote, items: Items, first: dict[str, Any]
) -> None:
    """It carries the server's copy, and nothing is written."""
    theirs = remote.change(remote.items, "a", text="theirs")

    with pytest.raises(RemoteConflict) as caught:
        items.update({**first, "text": "ours"})

    assert isinstance(caught.value.copy, dict)
    assert ("theirs", theirs["version"]) == (caught.value.copy["text"], caught.value.copy["version"])
    assert theirs == remote.row(remote.items, "a")


@pytest.mark.parametrize("versioned", [True, False])
def test_an_update_of_a_deleted_record_is_a_conflict_with_its_tombstone(
    remote: Remote, items: Items, first: dict[str, Any], versioned: bool
) -> None:
    """With and without a version: nothing comes back to life by an update."""
    remote.remove(remote.items, "a")

    with pytest.raises(RemoteConflict) as caught:
        items.update({**first, "text": "ours"} if versioned else {"id": "a", "text": "ours"})

    assert Tombstone(remote.row(remote.items, "a")["version"]) == caught.value.copy


def test_an_update_of_what_never_was_is_a_conflict_with_nothing(items: Items) -> None:
    """No tombstone: None."""
    with pytest.raises(RemoteConflict) as caught:
        items.update({"id": "nowhere", "text": "ours"})

    assert None is caught.value.copy


def test_a_delete_by_id_and_again(remote: Remote, items: Items, first: dict[str, Any]) -> None:
    """Deleting what is gone is no error, and changes nothing."""
    items.delete("a")
    tombstone = remote.row(remote.items, "a")
    items.delete("a")
    items.delete("nowhere")

    assert True is tombstone["deleted"]
    assert {"a": tombstone} == remote.rows(remote.items)
    assert None is items.get("a")


def test_a_delete_of_an_old_version_is_a_conflict(
    remote: Remote, items: Items, first: dict[str, Any]
) -> None:
    """The record that someone else changed stays."""
    theirs = remote.change(remote.items, "a", text="theirs")

    with pytest.raises(RemoteConflict) as caught:
        items.delete(first)

    assert isinstance(caught.value.copy, dict)
    assert "theirs" == caught.value.copy["text"]
    assert theirs == remote.row(remote.items, "a")
    items.delete(caught.value.copy)
    assert {} == remote.alive(remote.items, "text")


@pytest.mark.parametrize("versioned", [True, False])
def test_an_undelete_brings_the_record_back_as_it_was(
    remote: Remote, items: Items, first: dict[str, Any], versioned: bool
) -> None:
    """With the tombstone's version, or whatever it is."""
    items.delete("a")

    revived = items.undelete("a", version=remote.row(remote.items, "a")["version"] if versioned else None)

    assert ("first", 1) == (revived["text"], revived["priority"])
    assert {"a": "first"} == remote.alive(remote.items, "text")


def test_an_undelete_of_another_tombstone_is_a_conflict(
    remote: Remote, items: Items, first: dict[str, Any]
) -> None:
    """The record was deleted, revived and deleted again since."""
    items.delete("a")
    old = remote.row(remote.items, "a")["version"]
    items.undelete("a")
    items.delete("a")

    with pytest.raises(RemoteConflict) as caught:
        items.undelete("a", version=old)

    assert Tombstone(remote.row(remote.items, "a")["version"]) == caught.value.copy


def test_queries_run_at_the_remote(remote: Remote, items: Items) -> None:
    """Conditions, order, skip, take, columns and counts, with what is deleted left out."""
    for number in range(12):
        remote.insert(remote.items, f"i{number:02}", text=f"t{number % 3}", priority=number)
    remote.remove(remote.items, "i11")
    c = remote.items.c

    assert ["i00", "i03", "i06", "i09"] == [row["id"] for row in items.where(text="t0")]
    others = items.where(c.text != "t0").order_by(c.priority, descending=True)
    assert ["i10", "i08", "i07"] == [row["id"] for row in others.take(3)]
    few = items.where(c.priority < 6).order_by(c.text, descending=True).order_by(c.priority)
    assert ["i02", "i05", "i01"] == [row["id"] for row in few.take(3)]
    assert [8, 7, 6] == items.where().order_by(c.priority, descending=True).skip(2).take(3).values(c.priority)
    assert (11, 4) == (items.where().count(), items.where(text="t0").count())
    counted = items.where(c.priority >= 3).take(2).include_total_count().all()
    assert (2, 8) == (len(counted), counted.total_count)


def test_more_rows_than_a_page_come_all(remote: Remote) -> None:
    """And a count of them is the server's."""
    rows = [{"id": f"i{number:03}", "text": "t", "priority": number} for number in range(120)]
    remote.door.seed(remote.items.name, rows, ["2026-01-01T00:00:00.000Z"] * 120)
    items = remote.device(page_limit=50).remote(remote.items)

    found = items.where(remote.items.c.priority >= 5).all()

    assert [f"i{number:03}" for number in range(5, 120)] == [row["id"] for row in found]
    assert 115 == items.where(remote.items.c.priority >= 5).count()


def test_without_a_network_every_call_says_so(remote: Remote, items: Items, first: dict[str, Any]) -> None:
    """And nothing was sent."""
    remote.wire.offline()

    for call in (
        lambda: items.get("a"),
        lambda: items.insert({"text": "b"}),
        lambda: items.update({"id": "a", "text": "b"}),
        lambda: items.delete("a"),
        lambda: items.where().all(),
    ):
        with pytest.raises(NotReachable):
            call()

    assert {"a": "first"} == remote.alive(remote.items, "text")
