"""Conditions, and changes that are sent again, gone wrong."""

from __future__ import annotations

import itertools
import time
from typing import Any

import attrs

from tests.mutants.transports.bases import Loopback, broken
from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    Conflicted,
    Outcome,
    Tombstone,
    Version,
)
from tidesync.records import alive, version_of

_numbers = itertools.count()


@broken("test_of_two_who_expect_one_version_one_wins")
class ChecksThenWrites(Loopback):
    """The version is read and compared first, and the record written without a condition then."""

    def one(self, change: Change) -> Outcome:
        if isinstance(change.expected, Version) and change.kind == "update":
            held = self.inner.get(change.table, change.record_id)
            if not alive(held) or version_of(held) != change.expected.version:
                return Conflicted(held)
            time.sleep(0.002)
            return super().one(attrs.evolve(change, expected=Anything()))
        return super().one(change)


@broken("test_clients_that_write_at_once_agree")
class TriesAConflictAgain(Loopback):
    """An update that conflicts is tried again at once, with the version that is there now."""

    def one(self, change: Change) -> Outcome:
        time.sleep(0.001)  # a remote that is far away: others come in between
        outcome = super().one(change)
        if change.kind == "update" and isinstance(outcome, Conflicted) and alive(outcome.copy):
            return super().one(attrs.evolve(change, expected=Anything()))
        return outcome


@broken("test_anything_is_unconditional")
class ExpectsTheVersionItWrote(Loopback):
    """An update that expects anything is sent with the version that this client wrote last."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.wrote: dict[str, str] = {}

    def sent(self, change: Change) -> Change:
        version = self.wrote.get(change.record_id)
        return (
            attrs.evolve(change, expected=Version(version))
            if version and change.expected == Anything()
            else change
        )

    def heard(self, change: Change, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Applied) and outcome.version:
            self.wrote[change.record_id] = outcome.version
        return outcome


@broken("test_the_copy_of_a_conflict_is_enough_to_go_on")
class ConflictWithWhatWasSent(Loopback):
    """The copy of a conflict is what was sent, under the version that is held."""

    def heard(self, change: Change, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Conflicted) and alive(outcome.copy) and change.record:
            return Conflicted({**change.record, "version": version_of(outcome.copy)})
        return outcome


# ---- sent again


@broken("test_a_change_that_never_arrived_is_applied_when_it_is_sent_again")
class BelievesInAttempts(Loopback):
    """A change that was sent before is taken for done."""

    def one(self, change: Change) -> Outcome:
        return Applied(None) if change.attempts > 1 else super().one(change)


@broken("test_a_change_that_is_sent_again_has_no_second_effect")
class WrittenAgain(Loopback):
    """A change that is sent again is written again, whatever is there by now."""

    def sent(self, change: Change) -> Change:
        if change.attempts == 1 or change.kind == "delete":
            return change
        kind = "update" if alive(self.inner.get(change.table, change.record_id)) else "insert"
        return attrs.evolve(change, id=f"{change.id}-{next(_numbers)}", kind=kind, expected=Anything())


@broken("test_a_change_that_is_sent_again_spares_what_others_wrote_since")
class ForcesWhatIsSentAgain(Loopback):
    """An update that is sent again goes without its condition: it was checked the first time."""

    def sent(self, change: Change) -> Change:
        if change.attempts == 1 or change.kind != "update":
            return change
        return attrs.evolve(change, id=f"{change.id}-{next(_numbers)}", expected=Anything())


@broken("test_clients_agree_in_the_end")
class OverwritesOnARetry(Loopback):
    """A conflict of a change that was sent again is taken for its own, and overwritten."""

    def one(self, change: Change) -> Outcome:
        outcome = super().one(attrs.evolve(change, id=f"{change.id}-{next(_numbers)}"))
        if isinstance(outcome, Conflicted) and alive(outcome.copy) and change.attempts > 1 and change.record:
            forced = attrs.evolve(change, kind="update", id=f"{change.id}-forced", expected=Anything())
            return super().one(forced)
        return outcome


@broken("test_an_insert_that_is_sent_again_does_not_undo_a_delete")
class InsertedFromTheDead(Loopback):
    """An insert that is sent again finds no live record, and inserts it anew."""

    def sent(self, change: Change) -> Change:
        if change.kind == "insert" and change.attempts > 1 and change.expected == Absent():
            held = self.inner.get(change.table, change.record_id)
            if isinstance(held, Tombstone):
                return attrs.evolve(change, id=f"{change.id}-{next(_numbers)}", expected=held)
        return change


@broken("test_an_operation_is_known_again")
class ForgetsOperations(Loopback):
    """Operation ids are not stored with the effect: what is sent again is a conflict with itself."""

    def sent(self, change: Change) -> Change:
        return attrs.evolve(change, id=f"{change.id}-{next(_numbers)}")


@broken("test_an_operation_is_known_again")
class ExpectationFirst(Loopback):
    """What a change expects is compared before its operation id is looked up."""

    def one(self, change: Change) -> Outcome:
        held = self.inner.get(change.table, change.record_id)
        taken = change.expected == Absent() and held is not None
        older = isinstance(change.expected, Version) and change.expected.version != version_of(held)
        return Conflicted(held) if taken or older else super().one(change)


class _Replies(Loopback):
    """Some replies are kept whole under the operation's id, and given again."""

    kept: tuple[type, ...] = ()

    def one(self, change: Change) -> Outcome:
        if change.id in self.shared:
            found: Outcome = self.shared[change.id]
            return found
        outcome = super().one(change)
        if isinstance(outcome, self.kept):
            self.shared[change.id] = outcome
        return outcome


@broken("test_a_remembered_reply_does_not_bring_old_news")
class RecordOfThen(_Replies):
    """The whole reply is kept with an operation's id, with the record of then."""

    kept = (Applied,)


@broken("test_a_refusal_is_not_remembered")
class RefusalsForEver(_Replies):
    """A conflict is kept with the operation's id, and told again whatever is expected by then."""

    kept = (Conflicted,)


@broken("test_a_remembered_delete_does_not_delete_again")
class DeletesAreNotRemembered(Loopback):
    """Operation ids are kept for inserts and updates only; deletes go without a condition."""

    def sent(self, change: Change) -> Change:
        if change.kind != "delete":
            return change
        return attrs.evolve(change, id=f"{change.id}-{next(_numbers)}", expected=Anything())


@broken("test_an_operation_is_known_whoever_sends_it_again")
class OperationsOfOneSession(Loopback):
    """Operation ids are forgotten when a client restarts: they are known by session."""

    session = 0

    def open(self, tables, /):
        self.session = next(_numbers)
        return super().open(tables)

    def sent(self, change: Change) -> Change:
        return attrs.evolve(change, id=f"{change.id}-{self.session}")


@broken("test_a_push_is_known_again_whole_and_in_part")
class OperationsByPlace(Loopback):
    """The id of an operation is that of the push, and its place in it."""

    def push(self, changes, /):
        return super().push(
            [attrs.evolve(change, id=f"{changes[0].id}-{place}") for place, change in enumerate(changes)]
        )


@broken("test_an_operation_id_has_one_effect_whatever_it_says")
class OperationsByRecord(Loopback):
    """An operation is known by its id and its record: the same id for another record has another effect."""

    def sent(self, change: Change) -> Change:
        return attrs.evolve(change, id=f"{change.id}-{change.table}-{change.record_id}")


@broken("test_an_operation_id_has_one_effect_whatever_it_says")
class OperationsByContent(Loopback):
    """An operation is known by its id and its content: an id that is used again for other content is new."""

    def sent(self, change: Change) -> Change:
        return attrs.evolve(
            change, id=f"{change.id}-{change.kind}-{sorted(map(str, (change.record or {}).items()))}"
        )


@broken("test_many_operations_are_remembered")
class LastHundredOperations(Loopback):
    """Only the last hundred operation ids are kept."""

    def sent(self, change: Change) -> Change:
        known = self.shared.setdefault("known", {})
        known.setdefault(change.id, next(_numbers))
        sent = attrs.evolve(change, id=f"{change.id}-{known[change.id]}")
        while len(known) > 100:
            del known[next(iter(known))]
        return sent
