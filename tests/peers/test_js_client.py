"""The published JavaScript client and a tidesync device on one table: each sees what the other did.

It speaks 2.0 only, online and from its own offline store; the device speaks each protocol in turn.
"""

from datetime import timedelta
from typing import Any

import pytest

from tests.peers.js_client import NOON, Js, JsError, assert_equal, held, record
from tests.peers.remote import Remote, texts
from tests.peers.sent import reads_page
from tests.peers.wire_faults import Seen
from tidesync import PushFailed, SyncContext, keep_local, keep_remote, merge_fields

pytestmark = [pytest.mark.peer, pytest.mark.soaked]


@pytest.fixture
def device(remote: Remote) -> SyncContext:
    return remote.device(remote.typed)


def test_what_one_makes_the_other_has(remote: Remote, js: Js, device: SyncContext) -> None:
    """Inserts from its store, from its online table and from a device; updates and deletes of one another's."""
    js("local.insert", record=record("stored", score=1e300, priority=-(2**53)))
    online = js("remote.insert", record=record("online", complete=True, due=None))
    named = js("remote.insert", record={"text": "the server names it"})
    assert [] == js("push")
    device[remote.typed].insert(record("device", due=NOON + timedelta(days=1), score=-2.5))
    device.push()
    assert_equal(remote, js, device)
    assert {"stored", "online", "device", named["id"]} == set(held(device, remote))
    assert online == js("remote.lookup", id="online") == js.local()["online"]

    js("local.update", record={"id": "device", "text": "by it"})
    js("local.delete", record={"id": "online"})
    js("push")
    device.pull(remote.typed, name="all")
    device[remote.typed].update("stored", text="by the device", due=None)
    device[remote.typed].delete(named["id"])
    device.push()
    assert_equal(remote, js, device)
    assert {"device": "by it", "stored": "by the device"} == texts(device[remote.typed].all())
    assert True is remote.row(remote.typed, "online")["deleted"]


def test_a_pull_brings_only_what_changed(remote: Remote, js: Js, device: SyncContext) -> None:
    """The cursor is its own, of milliseconds: the last moment's records come again, and nothing is missed."""
    device[remote.typed].insert_many([record(f"r{number}") for number in range(20)])
    device.push()
    js("pull", name="all")
    device[remote.typed].update("r3", text="changed")
    device[remote.typed].delete("r4")
    device[remote.typed].insert(record("new"))
    device.push()
    last = remote.row(remote.typed, "r19")["updatedAt"]
    remote.wire.clear()

    js("pull", name="all")

    told = [row for seen in page_requests(remote) for row in seen.replies[-1].json]
    assert {"r3", "r4", "new"} <= {row["id"] for row in told}
    assert all(row["updatedAt"] >= last for row in told)
    assert_equal(remote, js, device)


def page_requests(remote: Remote) -> list[Seen]:
    return [seen for seen in remote.wire.requests if reads_page(seen)]


@pytest.mark.parametrize("tied", [False, True])
def test_more_than_a_page_comes_whole(remote: Remote, js: Js, device: SyncContext, tied: bool) -> None:
    """By moments, and where all records share one; also to the device, from what it pushed."""
    for number in range(30):
        js("local.insert", record={"id": f"j{number:02}", "text": "t", "priority": number})
    js("push")
    device[remote.typed].insert_many([record(f"d{number:02}") for number in range(95)])
    device.push()
    if tied:
        ids = sorted(remote.rows(remote.typed))
        remote.door.tie(remote.typed.name, ids, "2030-01-01T00:00:00.000Z")
        js("purge", force=True)

    js("pull", name="all", size=20)

    assert 125 == len(js.local())
    assert_equal(remote, js, device)
    assert len(page_requests(remote)) > 7


# ---- conflicts


def edited_twice(remote: Remote, js: Js, device: SyncContext) -> None:
    """One record, changed on both sides; the device's edit arrived first."""
    device[remote.typed].insert(record("a", text="base"))
    device.push()
    js("pull", name="all")
    js("local.update", record={"id": "a", "text": "js"})
    device[remote.typed].update("a", text="device", note="device")
    device.push()


@pytest.mark.parametrize(
    ("choice", "end"),
    [("server", ("device", "device")), ("client", ("js", None)), ("cancel", ("device", "device"))],
)
def test_its_conflict_with_a_device(
    remote: Remote, js: Js, device: SyncContext, choice: str, end: tuple[str, str | None]
) -> None:
    """Its push is told the server's record, and settles it in each of its ways."""
    edited_twice(remote, js, device)
    (conflict,) = js("push")
    assert ("update", 412) == (conflict["action"], conflict["status"])
    assert ("js", "device") == (conflict["client"]["text"], conflict["server"]["text"])

    assert [] == js("push", choose=choice)

    assert_equal(remote, js, device)
    assert end == held(device, remote)["a"][:2]


def test_its_insert_of_a_taken_id(remote: Remote, js: Js, device: SyncContext) -> None:
    """409: it reads what is there, and writes over it."""
    js("local.insert", record=record("a", text="js"))
    device[remote.typed].insert(record("a", text="device"))
    device.push()
    assert [409] == [conflict["status"] for conflict in js("push")]

    assert [] == js("push", choose="client")

    assert_equal(remote, js, device)
    assert "js" == held(device, remote)["a"][0]


@pytest.mark.parametrize(("choice", "alive"), [("server", True), ("client", False)])
def test_its_delete_of_what_a_device_changed(
    remote: Remote, js: Js, device: SyncContext, choice: str, alive: bool
) -> None:
    """412 with the changed record, which stays until it says otherwise."""
    device[remote.typed].insert(record("a"))
    device.push()
    js("pull", name="all")
    js("local.delete", record={"id": "a"})
    device[remote.typed].update("a", text="device")
    device.push()
    (conflict,) = js("push")
    assert ("delete", 412, "device") == (conflict["action"], conflict["status"], conflict["server"]["text"])

    assert [] == js("push", choose=choice)

    assert_equal(remote, js, device)
    assert alive == ("a" in held(device, remote))


@pytest.mark.parametrize(
    ("policy", "end"),
    [
        (keep_local, ("device", "base")),
        (keep_remote, ("base", "js")),
        (merge_fields(), ("device", "js")),
    ],
)
def test_a_devices_conflict_with_it(remote: Remote, js: Js, policy: Any, end: tuple[str, str]) -> None:
    """Each policy settles it, and it has the end with its next pull."""
    device = remote.device(remote.typed, policy=policy)
    js("local.insert", record=record("a", text="base", note="base"))
    js("push")
    device.pull(remote.typed, name="all")
    device[remote.typed].update("a", text="device")
    js("local.update", record={"id": "a", "note": "js"})
    js("push")

    device.push()

    assert_equal(remote, js, device)
    assert end == held(device, remote)["a"][:2]


def test_a_devices_edit_of_what_it_deleted(remote: Remote, js: Js, device: SyncContext) -> None:
    """A conflict with a tombstone; kept, the record lives again on both sides."""
    js("remote.insert", record=record("a"))
    device.pull(remote.typed, name="all")
    js("pull", name="all")
    js("local.delete", record={"id": "a"})
    js("push")
    device[remote.typed].update("a", text="device")
    with pytest.raises(PushFailed):
        device.push()
    (conflict,) = device.conflicts()

    device.resolve(conflict, keep_local(conflict))
    device.push()

    assert_equal(remote, js, device)
    assert "device" == js.local()["a"]["text"]


# ---- deleted


def test_undelete(remote: Remote, js: Js, device: SyncContext) -> None:
    """What a device deleted comes back as it was; a deleted id taken again by a device is alive for it."""
    device[remote.typed].insert_many([record("a"), record("b")])
    device.push()
    js("pull", name="all")
    device[remote.typed].delete("a")
    device.push()
    js("pull", name="all")
    assert {"b"} == set(js.local())
    with pytest.raises(JsError) as caught:
        js("remote.lookup", id="a")
    assert 400 <= (caught.value.status or 0) < 500

    revived = js("remote.undelete", record={"id": "a", "version": remote.row(remote.typed, "a")["version"]})
    assert ("a", NOON, False) == (revived["text"], revived["due"], revived["deleted"])
    assert_equal(remote, js, device)
    assert {"a", "b"} == set(js.local())

    js("local.delete", record={"id": "b"})
    js("push")
    device.pull(remote.typed, name="all")
    device[remote.typed].insert(record("b", text="again"))
    device.push()
    assert_equal(remote, js, device)
    assert "again" == js.local()["b"]["text"]


def test_a_deletion_of_what_is_gone_is_an_error_to_it(remote: Remote, js: Js, device: SyncContext) -> None:
    """As with the real server: its push stops there, and goes on when the operation is gone."""
    device[remote.typed].insert(record("a"))
    device.push()
    js("pull", name="all")
    device[remote.typed].delete("a")
    device.push()
    js("local.delete", record={"id": "a"})
    with pytest.raises(JsError) as caught:
        js("push")
    assert caught.value.status in (404, 410)

    js("purge", force=True)
    assert_equal(remote, js, device)


def test_a_purge_and_all_again(remote: Remote, js: Js, device: SyncContext) -> None:
    """Its store forgets, and the server does not."""
    device[remote.typed].insert_many([record(f"r{number}") for number in range(5)])
    device.push()
    js("pull", name="all")
    js("purge", query={"filter": "id ne ?", "values": ["r3"]})
    assert {"r3"} == set(js.local())

    assert_equal(remote, js, device)
    assert 5 == len(js.local())
