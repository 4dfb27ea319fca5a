"""Two sides changed one record: each policy, found by a push and found by a pull, on a real server."""

from collections.abc import Callable
from typing import Any, Literal

import attrs
import pytest

from tests.peers.remote import Remote
from tidesync import (
    Conflict,
    KeepLocal,
    KeepRemote,
    Merge,
    MergeFields,
    Policy,
    PushFailed,
    Resolution,
    SyncContext,
    Tombstone,
    keep_local,
    keep_remote,
    merge_fields,
)

Values = tuple[str | None, str | None, int | None]
FIELDS = ("text", "note", "priority")
BASE: Values = ("base", "base", 1)
OURS: Values = ("ours", "base", 5)
THEIRS: Values = ("theirs", "theirs", 1)


def both_texts(conflict: Conflict) -> Resolution:
    """A policy of an application's own."""
    remote = conflict.remote if isinstance(conflict.remote, dict) else {}
    texts = [str(side["text"]) for side in (conflict.local, remote) if side]
    return Merge({"id": conflict.record_id, "note": "merged", **remote, "text": "+".join(texts)})


POLICIES: dict[str, Policy] = {
    "keep_local": keep_local,
    "keep_remote": keep_remote,
    "merge_fields, local preferred": merge_fields(),
    "merge_fields, remote preferred": merge_fields("remote"),
    "a policy of its own": both_texts,
}


@attrs.frozen
class Case:
    """What was done on both sides to the record "a", and what each policy leaves: None is no record."""

    base: Values | None
    here: Values | None
    there: Values | None
    ends: dict[str, Values | None]


def ends(*outcomes: Values | None) -> dict[str, Values | None]:
    return dict(zip(POLICIES, outcomes, strict=True))


CASES = {
    "edit against edit": Case(
        BASE, OURS, THEIRS,
        ends(OURS, THEIRS, ("ours", "theirs", 5), ("theirs", "theirs", 5), ("ours+theirs", "theirs", 1)),
    ),
    "edit against delete": Case(BASE, OURS, None, ends(OURS, None, OURS, None, ("ours", "merged", 5))),
    "delete against edit": Case(BASE, None, THEIRS, ends(None, THEIRS, None, THEIRS, THEIRS)),
    "insert against insert": Case(
        None, ("ours", None, 5), THEIRS,
        ends(("ours", None, 5), THEIRS, ("ours", None, 5), THEIRS, ("ours+theirs", "theirs", 1)),
    ),
}  # fmt: skip
Way = Literal["push", "pull"]


def prepared(remote: Remote, case: Case, policy: Policy | None = None) -> SyncContext:
    """A device whose edit of "a" meets another one at the server."""
    device = remote.device(policy=policy) if policy is not None else remote.device()
    items = device[remote.items]
    if case.base is not None:
        remote.insert(remote.items, "a", **dict(zip(FIELDS, case.base, strict=True)))
        device.pull(remote.items, name="all")
    if case.there is None:
        remote.remove(remote.items, "a")
    elif case.base is None:
        remote.insert(remote.items, "a", **dict(zip(FIELDS, case.there, strict=True)))
    else:
        remote.change(remote.items, "a", **dict(zip(FIELDS, case.there, strict=True)))
    if case.here is None:
        items.delete("a")
    elif case.base is None:
        items.insert({"id": "a", **dict(zip(FIELDS, case.here, strict=True))})
    else:
        items.update("a", **dict(zip(FIELDS, case.here, strict=True)))
    return device


def meet(device: SyncContext, remote: Remote, way: Way) -> None:
    """Let the device find out: by being refused, or by reading."""
    if way == "push":
        device.push()
    else:
        device.pull(remote.items, name="all", push="none")


def here(device: SyncContext, remote: Remote) -> Values | None:
    record = device[remote.items].get("a")
    return None if record is None else (record.get("text"), record.get("note"), record.get("priority"))


def there(remote: Remote) -> Values | None:
    return remote.alive(remote.items, *FIELDS).get("a")


def assert_settled(remote: Remote, device: SyncContext, end: Values | None) -> None:
    """Device, server and a device that was not there agree."""
    assert end == here(device, remote)
    assert end == there(remote)
    assert ([], 0) == (device.conflicts(), device.pending_operations)
    other = remote.device()
    other.pull(remote.items)
    assert end == here(other, remote)


@pytest.mark.soaked
@pytest.mark.parametrize("way", ["push", "pull"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", CASES)
def test_a_policy_settles_it(remote: Remote, kind: str, policy: str, way: Way) -> None:
    """The policy is asked once, and both sides end with its answer. A policy that keeps ours revives a tombstone."""
    asked: list[Conflict] = []

    def asking(conflict: Conflict) -> Resolution:
        asked.append(conflict)
        return POLICIES[policy](conflict)

    case = CASES[kind]
    device = prepared(remote, case, asking)
    meet(device, remote, way)
    device.push()

    assert_settled(remote, device, case.ends[policy])
    assert 1 == len(asked)
    assert case.here == (asked[0].local and tuple(asked[0].local[name] for name in FIELDS))
    copy = asked[0].remote
    assert case.there == (
        None if isinstance(copy, Tombstone) or copy is None else tuple(copy[f] for f in FIELDS)
    )


ANSWERS: dict[str, tuple[Resolution, str]] = {
    "keep local": (KeepLocal(), "keep_local"),
    "keep remote": (KeepRemote(), "keep_remote"),
    "merge fields": (MergeFields("remote"), "merge_fields, remote preferred"),
}


@pytest.mark.soaked
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("way", ["push", "pull"])
@pytest.mark.parametrize("kind", CASES)
def test_a_deferred_conflict_waits_for_its_answer(remote: Remote, kind: str, way: Way, answer: str) -> None:
    """Nothing is lost or sent meanwhile; it is listed; `ctx.resolve` settles it with the next push."""
    case = CASES[kind]
    device = prepared(remote, case)
    if way == "push":
        with pytest.raises(PushFailed) as caught:
            device.push()
        assert ["conflict"] == [error.status for error in caught.value.errors]
    else:
        meet(device, remote, way)
    assert (case.here, case.there) == (here(device, remote), there(remote))
    rows = remote.rows(remote.items)
    report = device.push()  # nothing new was met, and what remains is named
    assert ["a"] == [operation.record_id for operation in report.remaining]
    assert rows == remote.rows(remote.items)
    (conflict,) = device.conflicts()

    resolution, policy = ANSWERS[answer]
    device.resolve(conflict, resolution)
    device.push()

    assert_settled(remote, device, case.ends[policy])


def test_deleted_on_both_sides_is_no_conflict(remote: Remote) -> None:
    """Nobody is asked."""
    device = prepared(remote, Case(BASE, None, None, {}), policy=lambda conflict: pytest.fail("asked"))
    device.push()

    assert_settled(remote, device, None)


@pytest.mark.parametrize("way", ["push", "pull"])
def test_edits_of_different_fields_also_ask(remote: Remote, way: Way) -> None:
    """Whole records are versions; merging by field is a policy, and then both edits stand."""
    device = prepared(remote, Case(BASE, ("ours", "base", 1), ("base", "theirs", 1), {}), merge_fields())
    meet(device, remote, way)
    device.push()

    assert_settled(remote, device, ("ours", "theirs", 1))


def test_the_errors_of_a_push_settle_it(remote: Remote) -> None:
    """Each error has what was sent and what the server has, and three ways out."""
    ways: dict[str, tuple[Callable[[Any], object], Values]] = {
        "discard": (lambda error: error.cancel_and_discard(), THEIRS),
        "update": (
            lambda error: error.update_operation({"id": "a", "text": "mended", "note": "n", "priority": 2}),
            ("mended", "n", 2),
        ),
    }
    device = prepared(remote, CASES["edit against edit"])
    with pytest.raises(PushFailed) as caught:
        device.push()
    (error,) = caught.value.errors
    assert "ours" == (error.sent or {})["text"]
    assert isinstance(error.server, dict)
    assert "theirs" == error.server["text"]
    ways["update"][0](error)
    device.push()
    assert_settled(remote, device, ways["update"][1])

    device[remote.items].update("a", text="again ours")
    remote.change(remote.items, "a", **dict(zip(FIELDS, THEIRS, strict=True)))
    with pytest.raises(PushFailed) as caught:
        device.push()
    ways["discard"][0](caught.value.errors[0])
    assert_settled(remote, device, ways["discard"][1])


def test_the_last_writer_wins_where_the_table_says_so(remote: Remote) -> None:
    """The known version is still sent; refused, the whole record goes over the current one, and nobody is asked."""
    newest = remote.newest_items
    device = remote.device(newest)
    remote.insert(newest, "a", **dict(zip(FIELDS, BASE, strict=True)))
    device.pull(newest)
    device[newest].update("a", text="ours", priority=5)
    remote.change(newest, "a", text="theirs", note="theirs")

    device.push()

    assert ["update a", "update a"] == remote.sent()
    if not remote.way.batched:  # where refusals have no status of their own
        assert [412, 200] == [seen.status for seen in remote.pushes]
    assert OURS == remote.alive(newest, *FIELDS)["a"]
    assert ([], 0) == (device.conflicts(), device.pending_operations)


def test_two_devices_in_turns_end_equal(remote: Remote) -> None:
    """Each finds the other's edit when it pushes, merges, and pulls: after a quiet round all agree."""
    phone, laptop = remote.device(policy=merge_fields()), remote.device(policy=merge_fields())
    phone[remote.items].insert({"id": "a", "text": "0", "note": "0"})
    phone.push()
    laptop[remote.items].pull(name="all")
    for turn in range(1, 4):
        phone[remote.items].update("a", text=str(turn))
        laptop[remote.items].update("a", note=str(turn))
        phone.push()
        laptop.push()
    phone[remote.items].pull(name="all")

    assert ("3", "3", None) == there(remote) == here(phone, remote) == here(laptop, remote)
