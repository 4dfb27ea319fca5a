"""Deleted records, and ids that come back, on a real server that keeps tombstones."""

import pytest

from tests.peers.remote import Remote, texts
from tidesync import PushFailed, SyncContext, keep_local, keep_remote


def two_devices(remote: Remote) -> tuple[SyncContext, SyncContext]:
    """Two devices that hold the same two records."""
    phone, laptop = remote.device(), remote.device()
    phone[remote.items].insert_many([{"id": "a", "text": "a", "priority": 1}, {"id": "b", "text": "b"}])
    phone.push()
    laptop[remote.items].pull(name="all")
    return phone, laptop


def assert_equal(remote: Remote, *devices: SyncContext) -> None:
    """After a pull everywhere, devices and server hold the same, and nothing is queued."""
    for device in devices:
        device[remote.items].pull(name="all")
    for device in devices:
        assert remote.alive(remote.items, "text") == texts(device[remote.items].all())
        assert ([], 0) == (device.conflicts(), device.pending_operations)


def test_a_deletion_reaches_the_other_device(remote: Remote) -> None:
    """As a tombstone, in the next pull of the same name, once; the server keeps it."""
    phone, laptop = two_devices(remote)
    phone[remote.items].delete("a")
    phone.push()

    report = laptop[remote.items].pull(name="all")

    assert (0, 1) == (report.records, report.deleted)
    assert {"b": "b"} == texts(laptop[remote.items].all())
    assert True is remote.row(remote.items, "a")["deleted"]
    assert 0 == laptop[remote.items].pull(name="all").deleted


def test_a_device_that_never_had_it_does_not_hear_of_it(remote: Remote) -> None:
    """A tombstone of an unknown record changes nothing."""
    phone, _ = two_devices(remote)
    phone[remote.items].delete("a")
    phone.push()
    tablet = remote.device()

    report = tablet[remote.items].pull(name="all")

    assert (1, 0) == (report.records, report.deleted)


def test_deleted_on_both_devices(remote: Remote) -> None:
    """The second one finds it gone: done, and no error."""
    phone, laptop = two_devices(remote)
    phone[remote.items].delete("a")
    laptop[remote.items].delete("a")
    phone.push()

    assert 1 == len(laptop.push().pushed)
    assert 2 == remote.edits(remote.items)["a"]
    assert_equal(remote, phone, laptop)


@pytest.mark.parametrize("who", ["the device that deleted it", "another device"])
def test_a_deleted_id_is_used_again(remote: Remote, who: str) -> None:
    """The tombstone is revived by an exchange of its own, then updated; all devices see the new record."""
    phone, laptop = two_devices(remote)
    phone[remote.items].delete("a")
    phone.push()
    laptop[remote.items].pull(name="all")
    device = phone if who == "the device that deleted it" else laptop
    remote.wire.clear()

    device[remote.items].insert({"id": "a", "text": "again"})
    device.push()

    # The first one expects nothing there. In a batch, the second names the tombstone, and is all that it takes.
    rest = ["insert a"] if remote.way.batched else ["undelete a", "update a"]
    assert ["insert a", *rest] == remote.sent()
    row, edits = remote.row(remote.items, "a"), remote.edits(remote.items)["a"]
    assert ("again", False, 3 if remote.way.batched else 4) == (row["text"], row["deleted"], edits)
    assert_equal(remote, phone, laptop)


def test_what_the_new_record_does_not_say_comes_back_with_the_tombstone(remote: Remote) -> None:
    """On 2.0 reviving brings old fields back: whichever come, both devices see the same ones."""
    phone, laptop = two_devices(remote)
    phone[remote.items].delete("a")
    phone.push()
    phone[remote.items].insert({"id": "a", "text": "again"})
    phone.push()
    assert_equal(remote, phone, laptop)

    priority = remote.row(remote.items, "a").get("priority")
    assert [priority, priority] == [
        (device[remote.items].get("a") or {}).get("priority") for device in (phone, laptop)
    ]


def test_deleted_and_made_again_before_the_push(remote: Remote) -> None:
    """That is an update: the server never sees a deletion."""
    phone, laptop = two_devices(remote)
    remote.wire.clear()
    phone[remote.items].delete("a")
    phone[remote.items].insert({"id": "a", "text": "again"})
    phone.push()

    assert ["update a"] == remote.sent()
    assert_equal(remote, phone, laptop)


def test_deleted_and_revived_elsewhere_while_it_was_edited_here(remote: Remote) -> None:
    """A conflict like any other: base, ours, theirs are all alive."""
    phone, laptop = two_devices(remote)
    laptop[remote.items].update("a", text="mine")
    phone[remote.items].delete("a")
    phone.push()
    phone[remote.items].insert({"id": "a", "text": "again"})
    phone.push()
    with pytest.raises(PushFailed) as caught:
        laptop.push()

    assert ["conflict"] == [error.status for error in caught.value.errors]
    (conflict,) = laptop.conflicts()
    assert isinstance(conflict.remote, dict)
    assert ("mine", "again") == ((conflict.local or {})["text"], conflict.remote["text"])
    laptop.resolve(conflict, keep_remote(conflict))
    assert_equal(remote, phone, laptop)


def test_the_id_is_taken_by_two_devices_after_its_deletion(remote: Remote) -> None:
    """The one that pushes second meets a living record: a conflict, settled, and both end equal."""
    phone, laptop = two_devices(remote)
    phone[remote.items].delete("a")
    phone.push()
    laptop[remote.items].pull(name="all")
    phone[remote.items].insert({"id": "a", "text": "phone's"})
    laptop[remote.items].insert({"id": "a", "text": "laptop's"})
    phone.push()
    with pytest.raises(PushFailed):
        laptop.push()
    (conflict,) = laptop.conflicts()
    laptop.resolve(conflict, keep_local(conflict))
    laptop.push()

    assert "laptop's" == remote.alive(remote.items, "text")["a"]
    assert_equal(remote, phone, laptop)


def test_a_long_life_of_one_id(remote: Remote) -> None:
    """Made and deleted in turns by two devices, again and again: they agree after every round."""
    phone, laptop = two_devices(remote)
    for turn, device in enumerate((phone, laptop, laptop, phone)):
        items = device[remote.items]
        items.pull(name="all")
        items.delete("a")
        device.push()
        assert_equal(remote, phone, laptop)
        items.insert({"id": "a", "text": f"turn {turn}"})
        device.push()
        assert_equal(remote, phone, laptop)
        assert f"turn {turn}" == remote.alive(remote.items, "text")["a"]


def test_a_purged_record_comes_back_with_the_next_pull(remote: Remote) -> None:
    """Purging is local: the server keeps everything, and the cursor is forgotten with the records."""
    phone, _ = two_devices(remote)
    phone[remote.items].pull(name="all")
    phone[remote.items].purge()
    assert 0 == phone[remote.items].count()

    phone[remote.items].pull(name="all")

    assert_equal(remote, phone)
    assert 2 == phone[remote.items].count()


def test_a_table_without_tombstones(remote: Remote) -> None:
    """What is deleted there is gone: only comparing all ids finds it out; the id may be used again at once.

    The service forgets no deletion by itself: there the pull tells of it.
    """
    phone, laptop = remote.device(remote.labels), remote.device(remote.labels)
    phone[remote.labels].insert_many([{"id": "a", "text": "a"}, {"id": "b", "text": "b"}])
    phone.push()
    laptop.pull(remote.labels, name="all")
    phone[remote.labels].delete("a")
    phone.push()
    assert {"b": "b"} == remote.alive(remote.labels, "text")

    laptop.pull(remote.labels, name="all")
    unheard = {"a": "a"} if remote.deviations.forgets else {}
    assert {**unheard, "b": "b"} == texts(laptop[remote.labels].all())
    laptop.pull(remote.labels, name="all", reconcile=True)
    assert {"b": "b"} == texts(laptop[remote.labels].all())

    laptop[remote.labels].insert({"id": "a", "text": "again"})
    laptop.push()
    phone.pull(remote.labels, name="all")
    assert (
        {"a": "again", "b": "b"} == texts(phone[remote.labels].all()) == remote.alive(remote.labels, "text")
    )


def test_an_edit_of_what_is_gone_without_a_trace(remote: Remote) -> None:
    """No tombstone, only nothing: a conflict with a deletion all the same, and keeping ours makes it anew."""
    phone = remote.device(remote.labels, policy=keep_local)
    phone[remote.labels].insert({"id": "a", "text": "a"})
    phone.push()
    remote.remove(remote.labels, "a")
    phone[remote.labels].update("a", text="mine")
    phone.push()

    assert {"a": "mine"} == remote.alive(remote.labels, "text") == texts(phone[remote.labels].all())
    assert 0 == phone.pending_operations
