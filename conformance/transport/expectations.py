"""Rules about what a change expects to find."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tidesync.conformance.expect import equal, fail, true
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.copies import (
    check_content,
    check_copy,
    check_gone,
    conflicted,
    push,
    revive,
    version_at,
)
from tidesync.conformance.transport.tables import THING
from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    Conflicted,
    Outcome,
    Rejected,
    Transport,
    Version,
)
from tidesync.records import Copy, Record, Tombstone


class Expectations:
    """Rules about what a change expects to find."""

    @rule("TRANSPORT-16", "The remote must hold a live record of this version")
    def test_an_update_applies_to_the_version_it_expects(self, bench: TransportBench) -> None:
        """An update is applied to the version that it expects; another one is `Conflicted`, and nothing is changed.

        Why: an edit made from an old copy takes back what others wrote since, and nobody is told.
        Look at: a version that is not sent along, or compared on the client only; a conflict that writes all the same.
        """
        one, other = bench.pair()
        id = bench.id()
        first = bench.insert(one, id, text="a", number=1)
        second = bench.update(other, id, first, text="b", number=1)
        stale = bench.change("update", id, {"text": "c", "number": 1}, Version(first), fields=["text"])
        _no_effect(bench, one, other, stale, "an update that expects the version before this one")
        third = bench.update(one, id, second, text="d", number=1)
        check_content({"id": id, "text": "d", "number": 1}, other.get(THING.name, id), "applied, and get()")
        for old in (first, second):
            stale = bench.change("update", id, {"text": "e", "number": 1}, Version(old), fields=["text"])
            _no_effect(bench, other, one, stale, f"an update that expects {old!a}, where {third!a} is held")

    @rule("TRANSPORT-17", "The remote must hold a live record of this version")
    def test_a_delete_applies_to_the_version_it_expects(self, bench: TransportBench) -> None:
        """A delete is applied to the version that it expects; another one is `Conflicted`, and the record stays.

        Why: a record that somebody has just edited would vanish with the edit.
        Look at: a DELETE without its condition; a reply to a refused delete that is read as a success.
        """
        one, other = bench.pair()
        id = bench.id()
        first = bench.insert(one, id, text="a")
        second = bench.update(other, id, first, text="b")
        stale = bench.change("delete", id, None, Version(first))
        _no_effect(bench, one, other, stale, "a delete that expects the version before this one")
        bench.delete(one, id, second)
        check_gone(other.get(THING.name, id), "get() after the delete")

    @rule("TRANSPORT-18", "an update of what is not there is `Conflicted`: it creates nothing")
    def test_an_update_of_what_is_not_there_creates_nothing(self, bench: TransportBench) -> None:
        """An update of what was deleted, or never was there, is `Conflicted` with that, whatever it expects.

        Why: a record that somebody deleted would come back as a ruin of the fields that were edited.
        Look at: a write that makes what it does not find: PUT, upsert, merge; a 404 that becomes `Rejected`.
        """
        one, other = bench.pair()
        gone, never = bench.id(), bench.id("never")
        version = bench.insert(one, gone, text="a")
        bench.delete(other, gone, version)
        for id in (gone, never):
            for expected in (Version(version), Anything()):
                change = bench.change("update", id, {"text": "b"}, expected)
                what = f"an update of what is not there, expecting {expected}"
                conflicted(bench.send(one, change), other.get(THING.name, id), what)
                check_gone(other.get(THING.name, id), f"get() after {what}")

    @rule("TRANSPORT-19", "The remote must hold nothing, not even a tombstone")
    def test_an_insert_expects_nothing_there(self, bench: TransportBench) -> None:
        """An insert over a live record is `Conflicted` with that record, and nothing is changed.

        Why: two devices make one id (a day, a name): the second would overwrite the first.
        Look at: an insert that replaces; a conflict whose copy is what was sent, and not what is held.
        """
        one, other = bench.pair()
        id = bench.id()
        _ = bench.insert(one, id, text="a", number=1)
        for text in ("b", "a"):
            taken = bench.change("insert", id, {"text": text, "flag": True})
            _no_effect(bench, other, one, taken, "an insert of an id that is taken")

    @rule("TRANSPORT-20", "The remote must hold nothing, not even a tombstone", requires=("tombstones",))
    def test_an_insert_does_not_overlook_a_tombstone(self, bench: TransportBench) -> None:
        """An insert that expects nothing, over a tombstone, is `Conflicted` with the tombstone and its version.

        Why: an insert that is sent again, after another device deleted the record, would bring it back.
        Look at: a check of live rows only; a tombstone that is told as nothing, or without its version.
        """
        one, other = bench.pair()
        id, held = _dead(bench, one, other)
        insert = bench.change("insert", id, {"text": "b"}, Absent())
        outcome = bench.send(one, insert)
        conflicted(outcome, held, "an insert that expects nothing, over a tombstone")
        if isinstance(outcome, Conflicted) and not isinstance(outcome.copy, Tombstone):
            fail(f"the copy of the Conflicted should be a tombstone, and is {outcome.copy!a:.200}")
        check_copy(held, other.get(THING.name, id), "get() after it")

    @rule(
        "TRANSPORT-21",
        "a `Tombstone` without version is a tombstone of any version",
        requires=("tombstones",),
    )
    def test_an_insert_over_the_tombstone_it_expects_revives(self, bench: TransportBench) -> None:
        """An insert that expects the tombstone there is, or one of any version, makes a live record of what it brings.

        Why: a user who undoes a delete, or makes the same id again, has to get through.
        Look at: an undelete after which the old content stays; a tombstone told with a version that it has not.
        """
        one, other = bench.pair()
        for exact in (True, False):
            id, held = _dead(bench, one, other)
            revive(bench, one, id, held if exact else Tombstone(None), {"text": "b"})
            check_content({"id": id, "text": "b"}, other.get(THING.name, id), "get() after the insert")
            _ = bench.update(other, id, version_at(other, id), text="c")

    @rule("TRANSPORT-22", "What the remote must hold for the change to apply", requires=("tombstones",))
    def test_an_insert_that_expects_another_tombstone_conflicts(self, bench: TransportBench) -> None:
        """An insert that expects a tombstone is `Conflicted` where another one, a live record or nothing is held.

        Why: who revived the record meanwhile, or deleted it again, is not to be overruled.
        Look at: an undelete without its condition; one that goes through where the record is alive.
        """
        one, other = bench.pair()
        id, first = _dead(bench, one, other)
        revive(bench, other, id, first, {"text": "b"})
        for expected in (first, Tombstone(None)):
            change = bench.change("insert", id, {"text": "c"}, expected)
            _no_effect(bench, one, other, change, f"an insert that expects {expected}, over a live record")
        bench.delete(other, id, version_at(other, id))
        if first.version is not None:
            change = bench.change("insert", id, {"text": "c"}, first)
            _no_effect(bench, one, other, change, "an insert that expects an older tombstone")
        change = bench.change("insert", bench.id("never"), {"text": "c"}, first)
        _no_effect(bench, one, other, change, "an insert that expects a tombstone, over nothing")

    @rule("TRANSPORT-23", "Whatever the remote holds: unconditional")
    def test_anything_is_unconditional(self, bench: TransportBench) -> None:
        """An update or a delete that expects anything is applied to a live record of whatever version.

        Why: an application that asks for it knows no version; it would never get through.
        Look at: a condition with an empty version; one with the version that this client saw last.
        """
        one, other = bench.pair()
        id = bench.id()
        version = bench.insert(one, id, text="a", number=1)
        for number in (2, 3):
            version = bench.update(other, id, version, text="a", number=number)
        _ = bench.applied(
            one, bench.change("update", id, {"text": "b", "number": 1}, Anything(), fields=["text"])
        )
        check_content(
            {"id": id, "text": "b", "number": 3}, other.get(THING.name, id), "get() after the update"
        )
        _ = bench.update(other, id, version_at(other, id), text="c", number=3)
        _ = bench.applied(one, bench.change("delete", id, None, Anything()))
        check_gone(other.get(THING.name, id), "get() after the delete")

    @rule("TRANSPORT-24", "brings the record back as it was", requires=("tombstones",))
    def test_undelete_brings_back_what_was_deleted(self, bench: TransportBench) -> None:
        """An undelete of a tombstone is `Applied`, and the record as before the delete; or `Rejected`, and it is dead.

        Why: "undo" in an administrator's tool: half of a record, or one that only seems alive, is worse than a no.
        Look at: a version that stays that of the tombstone; content that the delete has already emptied.
        """
        one, other = bench.pair()
        for exact in (True, False):
            id = bench.id()
            before: Record = {"text": "a", "number": 1, "extra": "b"}
            bench.delete(other, id, bench.applied(one, bench.change("insert", id, before)))
            held = _tombstone(one, id)
            undelete = bench.change("undelete", id, None, held if exact else Tombstone(None))
            outcome = bench.send(one, undelete)
            if isinstance(outcome, Rejected):
                check_copy(held, other.get(THING.name, id), "Rejected, and get()")
                continue
            if not isinstance(outcome, Applied):
                fail(
                    f"an undelete should be Applied, or Rejected where there is none, and is {outcome!a:.300}"
                )
            check_content({"id": id, **before}, other.get(THING.name, id), "get() after the undelete")
            true(version_at(other, id) != held.version, "the version is that of the tombstone")

    @rule("TRANSPORT-25", "The expectation did not hold, nothing was changed", requires=("tombstones",))
    def test_undelete_of_what_is_not_that_tombstone_changes_nothing(self, bench: TransportBench) -> None:
        """An undelete of a live record, of nothing, or of another tombstone is `Conflicted`, and nothing is changed.

        Why: a second click on "undo" must not take back what was edited after the first.
        Look at: an undelete that writes a new version of a live record.
        """
        one, other = bench.pair()
        live, older = _dead(bench, one, other)
        revive(bench, other, live, older, {"text": "b"})
        dead = bench.id()
        first = bench.insert(one, dead, text="a")
        bench.delete(other, dead, first)
        wrong = [(live, Tombstone(None)), (live, older), (bench.id("never"), Tombstone(None))]
        if _tombstone(one, dead).version is not None:
            wrong.append((dead, Tombstone(first)))
        for id, expected in wrong:
            undelete = bench.change("undelete", id, None, expected)
            _no_effect(bench, one, other, undelete, f"an undelete that expects {expected}", rejects=True)

    @rule("TRANSPORT-26", "The remote must hold a live record of this version")
    def test_of_two_who_expect_one_version_one_wins(self, bench: TransportBench) -> None:
        """Where several updates expect one version at the same time, one is applied and the others are `Conflicted`.

        Why: two people save at once: one of the edits vanishes, and both are told that it is saved.
        Look at: a check of the version and a write that are two steps, without a lock or a condition around both.
        """
        clients = [bench.open(number) for number in range(2)]
        for turn in range(2 * bench.profile.runs):
            id = bench.id()
            version = bench.insert(clients[0], id, text="a")
            changes = [
                bench.change("update", id, {"text": f"{turn} by {number}"}, Version(version))
                for number in (0, 1)
            ]
            outcomes = _at_once(clients, changes)
            told = sorted(type(outcome).__name__ for outcome in outcomes)
            equal(["Applied", "Conflicted"], told, "the outcomes of two updates that expect one version")
            won = next(place for place, outcome in enumerate(outcomes) if isinstance(outcome, Applied))
            check_content(
                {"id": id, **(changes[won].record or {})}, clients[0].get(THING.name, id), "the winner's"
            )

    @rule("TRANSPORT-27", "`copy` is what the remote holds")
    def test_the_copy_of_a_conflict_is_enough_to_go_on(self, bench: TransportBench) -> None:
        """The copy of a `Conflicted` is the whole record as it is now; a change that expects its version is applied.

        Why: the edit is merged with it and sent again; with a copy of before that goes on for ever.
        Look at: a copy from a cache, or of the request; fields that nobody sent in this change; a version in quotes.
        """
        one, other = bench.pair()
        id = bench.id()
        version = bench.insert(one, id, text="a", number=1, extra="b")
        _ = bench.update(other, id, version, text="a", number=2, extra="c")
        mine = bench.change(
            "update", id, {"text": "mine", "number": 1, "extra": "b"}, Version(version), fields=["text"]
        )
        outcome = bench.send(one, mine)
        conflicted(outcome, other.get(THING.name, id), "an update of an older version")
        held = outcome.copy if isinstance(outcome, Conflicted) and isinstance(outcome.copy, dict) else {}
        merged: Record = {**{k: v for k, v in held.items() if k in ("number", "extra")}, "text": "mine"}
        expected = Version(str(held.get("version")))
        _ = bench.applied(one, bench.change("update", id, merged, expected, fields=["text"]))
        check_content(
            {"id": id, "text": "mine", "number": 2, "extra": "c"},
            other.get(THING.name, id),
            "after the merge",
        )


def _no_effect(
    bench: TransportBench,
    client: Transport,
    witness: Transport,
    change: Change,
    what: str,
    *,
    rejects: bool = False,
) -> None:
    """The change is `Conflicted` with what is held, which stays as it is; `rejects`: it may be `Rejected`, too."""
    before: Copy = witness.get(change.table, change.record_id)
    outcome = bench.send(client, change)
    if not (rejects and isinstance(outcome, Rejected)):
        conflicted(outcome, before, what)
    check_copy(before, witness.get(change.table, change.record_id), f"get() after {what}")


def _dead(bench: TransportBench, one: Transport, other: Transport) -> tuple[str, Tombstone]:
    """A record that was inserted and deleted; its id, and its tombstone."""
    id = bench.id()
    bench.delete(other, id, bench.insert(one, id, text="a", number=1))
    return id, _tombstone(one, id)


def _tombstone(client: Transport, id: str) -> Tombstone:
    held = client.get(THING.name, id)
    if not isinstance(held, Tombstone):
        fail(f"get() of what was deleted should be a tombstone, and is {held!a:.300}")
    return held


def _at_once(clients: Sequence[Transport], changes: Sequence[Change]) -> list[Outcome]:
    """Each client pushes its change, all at the same time."""
    start = threading.Barrier(len(changes))
    outcomes: dict[int, Outcome] = {}
    errors: list[BaseException] = []

    def send(place: int) -> None:
        try:
            _ = start.wait(10)
            outcomes[place] = push(clients[place], [changes[place]])[0]
        except BaseException as error:  # noqa: BLE001  # told by whoever waits
            errors.append(error)

    threads = [threading.Thread(target=send, args=(place,), daemon=True) for place in range(len(changes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [outcomes[place] for place in range(len(changes))]
