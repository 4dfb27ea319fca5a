"""Rules about acknowledgements that are lost, before the effect and after it."""

from __future__ import annotations

import attrs

from tidesync.conformance.expect import equal, fail, true
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.copies import (
    again,
    check_content,
    check_copy,
    check_gone,
    check_settled,
    conflicted,
    push_all,
    revive,
    version_at,
)
from tidesync.conformance.transport.tables import NOTE, TABLES, THING
from tidesync.contracts.transport import (
    Anything,
    Applied,
    Change,
    Conflicted,
    Outcome,
    Rejected,
    Transport,
    Version,
)
from tidesync.records import Copy, Tombstone, alive, version_of


class Acknowledgements:
    """Rules about acknowledgements that are lost, before the effect and after it.

    A lost acknowledgement looks like this to the remote: the same change once more, under the same id, with more
    `attempts`.
    """

    @rule("TRANSPORT-28", "more means it may have arrived before")
    def test_a_change_that_never_arrived_is_applied_when_it_is_sent_again(
        self, bench: TransportBench
    ) -> None:
        """A change with `attempts` above 1 that the remote never saw is applied as any other.

        Why: the first request was lost on its way; taken for done, the user's edit is gone for good.
        Look at: a client that believes `attempts`, or keeps ids as done before the reply is there.
        """
        one, other = bench.pair()
        id = bench.id()
        insert = again(bench.change("insert", id, {"text": "a"}))
        version = bench.applied(one, insert)
        check_content({"id": id, "text": "a"}, other.get(THING.name, id), "get() after the insert")
        update = again(again(bench.change("update", id, {"text": "b"}, Version(version))))
        version = bench.applied(one, update)
        check_content({"id": id, "text": "b"}, other.get(THING.name, id), "get() after the update")
        _ = bench.applied(one, again(bench.change("delete", id, None, Version(version))))
        check_gone(other.get(THING.name, id), "get() after the delete")

    @rule("TRANSPORT-29", "more means it may have arrived before")
    def test_a_change_that_is_sent_again_has_no_second_effect(self, bench: TransportBench) -> None:
        """A change that took effect and is sent again has no other: it is `Applied`, or `Conflicted` with what it made.

        Why: every lost reply ends so: any other answer is a conflict of the user with themselves, or an error.
        Look at: a refusal (the id is taken, nothing to delete) that is not read as what it is; a second write.
        """
        one, other = bench.pair()
        id = bench.id()
        version = ""
        for change in (
            bench.change("insert", id, {"text": "a", "number": 1}),
            bench.change("update", id, {"text": "b", "number": 1}, Version("?"), fields=["text"]),
            bench.change("delete", id, None, Version("?")),
        ):
            if isinstance(change.expected, Version):
                change = attrs.evolve(change, expected=Version(version))  # noqa: PLW2901  # now it is known
            version = bench.applied(one, change)
            before = other.get(THING.name, id)
            for _ in range(2):
                what = f"{change.kind}, sent again"
                check_settled(bench.send(one, again(change)), change, what)
                check_copy(before, other.get(THING.name, id), f"get() after {what}")

    @rule("TRANSPORT-30", "more means it may have arrived before")
    def test_a_change_that_is_sent_again_spares_what_others_wrote_since(self, bench: TransportBench) -> None:
        """A change that took effect, and is sent again after somebody else wrote, leaves what they wrote.

        Why: a reply that was lost an hour ago would take back the work of everybody since.
        Look at: an insert that replaces; a second write without the condition of the first.
        """
        one, other = bench.pair()
        id = bench.id()
        insert = bench.change("insert", id, {"text": "a", "number": 1})
        version = bench.applied(one, insert)
        update = bench.change("update", id, {"text": "b", "number": 1}, Version(version), fields=["text"])
        version = bench.update(other, id, version, text="theirs", number=2)
        _leaves(bench, one, other, insert, "an insert, sent again after an update of another client")
        update = attrs.evolve(update, expected=Version(version))
        version = bench.update(other, id, bench.applied(one, update), text="theirs again", number=3)
        _leaves(bench, one, other, update, "an update, sent again after an update of another client")
        bench.delete(other, id, version)
        _leaves(bench, one, other, update, "an update, sent again after another client's delete")

    @rule("TRANSPORT-31", "more means it may have arrived before", requires=("tombstones",))
    def test_an_insert_that_is_sent_again_does_not_undo_a_delete(self, bench: TransportBench) -> None:
        """An insert that took effect, and is sent again after somebody deleted the record, leaves it deleted.

        Why: what one device made and another one deleted would come back from the dead, again and again.
        Look at: an insert that overlooks tombstones; an undelete that nobody asked for.
        """
        one, other = bench.pair()
        id = bench.id()
        insert = bench.change("insert", id, {"text": "a"})
        bench.delete(other, id, bench.applied(one, insert))
        _leaves(bench, one, other, insert, "an insert, sent again after another client's delete")

    @rule("TRANSPORT-32", "one effect per operation id within the declared window", shows="remembers")
    def test_an_operation_is_known_again(self, bench: TransportBench) -> None:
        """Where operation ids are remembered, what is sent again is `Applied`, with the version of then or now.

        Why: what the remote remembers need not be guessed from what it holds: no conflict where there is none.
        Look at: a check of what is expected before that of the operation id; ids that are not stored with the effect.
        """
        one, other = bench.pair()
        id = bench.id()
        changes = [bench.change("insert", id, {"text": "a"})]
        versions = [bench.applied(one, changes[0])]
        changes.append(bench.change("update", id, {"text": "b"}, Version(versions[0])))
        versions.append(bench.applied(one, changes[1]))
        for change, version in zip(changes, versions, strict=True):
            outcome = bench.send(one, again(change))
            _known(outcome, version, other.get(THING.name, id), f"{change.kind}, sent again")
        check_content({"id": id, "text": "b"}, other.get(THING.name, id), "get() after both were sent again")

    @rule(
        "TRANSPORT-33",
        "a reply remembered for an operation id carries the version of then, never its record",
        requires=("remembers",),
    )
    def test_a_remembered_reply_does_not_bring_old_news(self, bench: TransportBench) -> None:
        """A change that is sent again after others wrote is `Applied`, with a copy as it is now or none at all.

        Why: the copy becomes the user's record: the record of then would hide what was written since.
        Look at: whole replies that are kept and given again; a copy that is put together from the request.
        """
        one, other = bench.pair()
        for end in ("updated", "deleted"):
            id = bench.id()
            insert = bench.change("insert", id, {"text": "a", "number": 1})
            first = bench.applied(one, insert)
            update = bench.change("update", id, {"text": "b", "number": 1}, Version(first), fields=["text"])
            second = bench.applied(one, update)
            third = bench.update(other, id, second, text="theirs", number=2)
            if end == "deleted":
                bench.delete(other, id, third)
            now = other.get(THING.name, id)
            for change, version in ((insert, first), (update, second)):
                what = f"{change.kind}, sent again after the record was {end}"
                _known(bench.send(one, again(change)), version, now, what)
                check_copy(now, other.get(THING.name, id), f"get() after {what}")

    @rule(
        "TRANSPORT-34",
        "one effect per operation id within the declared window",
        requires=("remembers", "tombstones"),
    )
    def test_a_remembered_delete_does_not_delete_again(self, bench: TransportBench) -> None:
        """A delete that is sent again, after somebody made the record anew, is `Applied` and leaves the new one.

        Why: the reply of a delete was lost, another device undid it: a second delete loses what is new.
        Look at: operation ids that are kept for inserts and updates only; deletes that expect anything.
        """
        one, other = bench.pair()
        for conditional in (True, False):
            id = bench.id()
            version = bench.insert(one, id, text="a")
            delete = bench.change("delete", id, None, Version(version) if conditional else Anything())
            _ = bench.send(one, delete)
            held = other.get(THING.name, id)
            if not isinstance(held, Tombstone):
                fail(f"get() of what was deleted should be a tombstone, and is {held!a:.200}")
            revive(bench, other, id, held, {"text": "anew"})
            outcome = bench.send(one, again(delete))
            true(
                isinstance(outcome, Applied),
                f"a delete, sent again: expected Applied, found {outcome!a:.300}",
            )
            check_content(
                {"id": id, "text": "anew"}, other.get(THING.name, id), "get() after the second delete"
            )

    @rule("TRANSPORT-35", "one effect per operation id within the declared window", requires=("remembers",))
    def test_an_operation_is_known_whoever_sends_it_again(self, bench: TransportBench) -> None:
        """A change is known again after the client was closed and opened, and where another client sends it.

        Why: an application that was killed before the reply sends it again with a new client.
        Look at: ids that are kept in the client, or by connection or session.
        """
        one, other = bench.pair()
        id = bench.id()
        update = bench.change("update", id, {"text": "b"}, Version(bench.insert(one, id, text="a")))
        version = bench.applied(one, update)
        now = other.get(THING.name, id)
        _known(bench.send(other, again(update)), version, now, "an update, sent again by another client")
        one.close()
        _ = one.open(list(TABLES))
        _known(bench.send(one, again(update)), version, now, "an update, sent again after close and open")
        check_copy(now, other.get(THING.name, id), "get() after both")

    @rule(
        "TRANSPORT-36",
        "one effect per operation id within the declared window",
        requires=("remembers", "batch"),
    )
    def test_a_push_is_known_again_whole_and_in_part(self, bench: TransportBench) -> None:
        """Changes of one push are known again however they are sent: whole, in part, in another order, among others.

        Why: after a lost reply the engine sends what is still in the queue, which may be grouped in another way.
        Look at: one id for the whole push; ids that are compared by place.
        """
        one, other = bench.pair()
        size = min(6, bench.capabilities.max_changes)
        changes = [bench.change("insert", bench.id(), {"number": n}) for n in range(size)]
        first = push_all(bench, one, changes)
        versions = {
            change.id: outcome.version if isinstance(outcome, Applied) else None
            for change, outcome in zip(changes, first, strict=True)
        }
        true(None not in versions.values(), f"the inserts should be Applied, and are {first!a:.300}")
        new = bench.change("insert", bench.id("new"), {"number": -1})
        for sent in (changes, changes[::-1], changes[1::2], [new, *changes[: size - 1]]):
            outcomes = push_all(bench, one, list(map(again, sent)))
            for place, (change, outcome) in enumerate(zip(sent, outcomes, strict=True)):
                held = other.get(THING.name, change.record_id)
                version = versions.setdefault(change.id, version_of(held))
                _known(outcome, version, held, f"{place} of the push, sent again")
        check_content(
            {"id": new.record_id, "number": -1}, other.get(THING.name, new.record_id), "the new one"
        )

    @rule("TRANSPORT-37", "one effect per operation id within the declared window", requires=("remembers",))
    def test_an_operation_id_has_one_effect_whatever_it_says(self, bench: TransportBench) -> None:
        """A change under the id of another one that took effect has no effect: it is refused, or ignored.

        Why: a remote that decides by anything else than the id cannot promise one effect.
        Look at: ids that are remembered by record, or by content.
        """
        one, other = bench.pair()
        id, elsewhere = bench.id(), bench.id("elsewhere")
        insert = bench.change("insert", id, {"text": "a"})
        version = bench.applied(one, insert)
        used: list[Change] = [
            bench.change("update", id, {"text": "b"}, Version(version), operation=insert.id, attempts=2),
            bench.change("delete", id, None, Version(version), operation=insert.id, attempts=2),
            bench.change("insert", elsewhere, {"text": "a"}, operation=insert.id, attempts=2),
            bench.change("insert", id, {"text": "a"}, operation=insert.id, attempts=2, table=NOTE.name),
        ]
        for change in used:
            outcome = bench.send(one, change)
            what = f"{change.kind} of {change.table}/{change.record_id} under the id of another operation"
            if not isinstance(outcome, Rejected | Conflicted | Applied):
                fail(f"{what} should be refused or ignored, and is {outcome!a:.300}")
            check_content({"id": id, "text": "a"}, other.get(THING.name, id), f"get() after {what}")
        check_gone(other.get(THING.name, elsewhere), "the record of another id")
        check_gone(other.get(NOTE.name, id), "the record of another table")

    @rule("TRANSPORT-38", "An effect is remembered for `id`, a refusal is not")
    def test_a_refusal_is_not_remembered(self, bench: TransportBench) -> None:
        """A change that was `Conflicted`, sent again under its id with an expectation that holds, is `Applied`.

        Why: the user decided "keep mine": content and id stay, and only what is expected is new.
        Look at: the outcome that is kept with the id, whatever it was.
        """
        one, other = bench.pair()
        id = bench.id()
        first = bench.insert(one, id, text="a")
        second = bench.update(other, id, first, text="theirs")
        mine = bench.change("update", id, {"text": "mine"}, Version(first))
        conflicted(bench.send(one, mine), other.get(THING.name, id), "an update of an older version")
        _ = bench.applied(one, attrs.evolve(again(mine), expected=Version(second)))
        check_content({"id": id, "text": "mine"}, other.get(THING.name, id), "get() after the second time")

    @rule("TRANSPORT-39", "one effect per operation id within the declared window", requires=("remembers",))
    def test_many_operations_are_remembered(self, bench: TransportBench) -> None:
        """An operation is known again also after many others.

        Why: a device may send again what it sent before hundreds of others; the window is in seconds.
        Look at: a cache of the last few ids; ids that are shortened, or hashed to too few bits.
        """
        one, other = bench.pair()
        size = min(bench.profile.many // 10, 20 * bench.capabilities.max_changes)
        changes = [bench.change("insert", bench.id("many"), {"number": n}) for n in range(size)]
        outcomes = push_all(bench, one, changes)
        first = changes[0].record_id
        version = bench.update(other, first, version_at(other, first), number=-1)
        repeated = push_all(bench, one, list(map(again, changes)))
        for change, then, outcome in zip(changes, outcomes, repeated, strict=True):
            what = f"the operation before {size} others" if change is changes[0] else f"operation {change.id}"
            if not isinstance(then, Applied) or not isinstance(outcome, Applied):
                fail(f"{what}: expected Applied twice, found {then!a:.200}, then {outcome!a:.200}")
            true(
                outcome.version in (then.version, version if change is changes[0] else then.version),
                f"{what}: version {then.version!a} at first, {outcome.version!a} when it is sent again",
            )
        equal(version, version_at(other, first), "the version of the record that was updated meanwhile")


def _known(outcome: Outcome, then: str | None, now: Copy, what: str) -> None:
    """`Applied`, with the version of then or of now, and with a copy as it is now or none."""
    if not isinstance(outcome, Applied):
        fail(f"{what}: expected Applied, found {outcome!a:.300}")
    if outcome.copy is not None:
        check_copy(now, outcome.copy, f"{what}: the copy of the Applied, which must be as it is now")
    told = outcome.version if outcome.version is not None else version_of(outcome.copy)
    if alive(now) or told is not None:
        true(
            told in (then, version_of(now)),
            f"{what}: the version is {told!a}; it was {then!a} then and is {version_of(now)!a} now",
        )


def _leaves(bench: TransportBench, client: Transport, witness: Transport, change: Change, what: str) -> None:
    before = witness.get(THING.name, change.record_id)
    outcome = bench.send(client, again(change))
    if not isinstance(outcome, Applied | Conflicted):
        fail(f"{what}: expected Applied or Conflicted, found {outcome!a:.300}")
    if outcome.copy is not None or isinstance(outcome, Conflicted):
        check_copy(before, outcome.copy, f"{what}: the copy of the {type(outcome).__name__}")
    check_copy(before, witness.get(THING.name, change.record_id), f"get() after {what}")
