"""What a push answers, and what an update writes, gone wrong."""

from __future__ import annotations

import attrs

from tests.mutants.transports.bases import Loopback, Rows, broken
from tests.mutants.transports.remote import Row
from tidesync.contracts.transport import (
    Anything,
    Applied,
    Change,
    Conflicted,
    Outcome,
    Rejected,
    Tombstone,
    Untried,
)
from tidesync.records import Copy, alive, version_of


@broken("test_an_empty_push_is_no_error")
class AnswersAnEmptyPush(Loopback):
    """A push of nothing is answered for the request, as a push of one is."""

    def push(self, changes, /):
        return super().push(changes) or [Applied(None)]


@broken("test_another_client_reads_what_one_inserted")
class VersionOfTheWire(Loopback):
    """`get` gives the version as the header has it, in quotes; a push gives it without them."""

    def get(self, table, id, /):
        copy = super().get(table, id)
        return {**copy, "version": f'"{copy["version"]}"'} if alive(copy) else copy


@broken("test_each_outcome_stands_in_the_place_of_its_change")
class RefusalsLast(Loopback):
    """Outcomes come in the order in which they arrive: refusals, which need a second request, last."""

    def push(self, changes, /):
        return sorted(super().push(changes), key=lambda outcome: not isinstance(outcome, Applied))


@broken("test_each_outcome_stands_in_the_place_of_its_change")
class OutcomesReversed(Loopback):
    """Outcomes are taken from the end of a list of replies."""

    def push(self, changes, /):
        return super().push(changes)[::-1]


@broken("test_a_refused_change_does_not_stop_the_rest")
class StopsAtAConflict(Loopback):
    """A loop over the changes breaks at the first conflict."""

    def push(self, changes, /):
        outcomes: list[Outcome] = []
        for change in changes:
            stopped = any(isinstance(outcome, Conflicted) for outcome in outcomes)
            outcomes += [Untried()] if stopped else super().push([change])
        return outcomes


@broken("test_changes_of_one_push_take_effect_in_the_order_given")
class SentById(Loopback):
    """The changes of a push are sorted by id before they are written, against deadlocks."""

    def push(self, changes, /):
        order = sorted(range(len(changes)), key=lambda place: changes[place].record_id)
        outcomes = dict(zip(order, super().push([changes[place] for place in order]), strict=True))
        return [outcomes[place] for place in range(len(changes))]


@broken("test_applied_tells_the_version_that_the_record_has")
class VersionOfBefore(Loopback):
    """An update tells the version that it has replaced."""

    def one(self, change: Change) -> Outcome:
        before = version_of(self.inner.get(change.table, change.record_id))
        outcome = super().one(change)
        return Applied(before) if change.kind == "update" and isinstance(outcome, Applied) else outcome


@broken("test_the_copy_of_applied_is_the_whole_record")
class CopyOfTheRequest(Loopback):
    """The copy of an applied change is put together from what was sent."""

    def heard(self, change: Change, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Applied) or change.record is None:
            return outcome
        return Applied(outcome.version, {**change.record, "version": outcome.version})


@broken("test_the_copy_of_applied_is_the_whole_record")
class LiveCopyOfADelete(Loopback):
    """An applied delete is told with the record that was deleted."""

    def one(self, change: Change) -> Outcome:
        before = self.inner.get(change.table, change.record_id)
        outcome = super().one(change)
        if change.kind == "delete" and isinstance(outcome, Applied) and alive(before):
            return Applied(outcome.version, before)
        return outcome


@broken("test_every_change_of_content_changes_the_version")
class VersionOfTheMoment(Rows):
    """The version is the moment of the write, in whole seconds."""

    def version(self, row: Row) -> str:
        return str(int(row.at))


@broken("test_every_change_of_content_changes_the_version")
class VersionOfDeclaredFields(Rows):
    """The version is a hash of the columns; what no schema names changes nothing."""

    def version(self, row: Row) -> str:
        return f"{row.dead} {row.content.get('text')} {row.content.get('number')}"


@broken("test_an_update_writes_the_named_fields_only")
class PutsTheWholeRecord(Loopback):
    """An update is a PUT of the whole record."""

    def sent(self, change: Change) -> Change:
        if change.kind != "update" or change.record is None:
            return change
        return attrs.evolve(change, fields=tuple(name for name in change.record if name != "id"))


@broken("test_an_update_that_names_nothing_changes_nothing")
class NothingIsEverything(Loopback):
    """An update that names no field is taken for one of all fields: `fields or all`."""

    def sent(self, change: Change) -> Change:
        if change.kind != "update" or change.record is None:
            return change
        return attrs.evolve(
            change, fields=change.fields or tuple(name for name in change.record if name != "id")
        )


@broken("test_a_named_field_that_the_record_has_not_is_removed")
class NullsLeftOut(Loopback):
    """A patch leaves out nulls, so that a field that was cleared keeps its value."""

    def sent(self, change: Change) -> Change:
        if change.kind != "update" or change.record is None:
            return change
        record = change.record
        return attrs.evolve(
            change, fields=tuple(name for name in change.fields if record.get(name) is not None)
        )


@broken("test_a_delete_of_what_is_gone_is_applied")
class GoneIsRefused(Loopback):
    """A 404 for a delete is taken for a refusal."""

    def one(self, change: Change) -> Outcome:
        if change.kind == "delete" and not alive(self.inner.get(change.table, change.record_id)):
            return Rejected("404", "there is no such record")
        return super().one(change)


@broken("test_a_push_may_have_as_many_changes_as_declared")
class OneTooFew(Loopback):
    """A push takes one change less than is declared: `<` where `<=` is meant."""

    def push(self, changes, /):
        most = self.capabilities.max_changes - 1
        return [*self.inner.push(changes[:most]), *(Untried() for _ in changes[most:])]


@broken("test_one_id_in_two_tables_is_two_records")
class KeyedByIdAlone(Loopback):
    """Rows of all tables are kept under their ids alone."""

    def sent(self, change: Change) -> Change:
        return attrs.evolve(change, table="thing")

    def get(self, table: str, id: str, /) -> Copy:
        return super().get("thing", id)


@broken("test_one_push_may_have_changes_of_two_tables")
class TableOfTheFirst(Loopback):
    """The table of the first change is taken for that of the whole push."""

    def push(self, changes, /):
        return super().push([attrs.evolve(change, table=changes[0].table) for change in changes])


@broken("test_an_update_applies_to_the_version_it_expects")
class UpdatesWithoutCondition(Loopback):
    """The version is not sent along with an update: the last one to write wins."""

    def sent(self, change: Change) -> Change:
        return attrs.evolve(change, expected=Anything()) if change.kind == "update" else change


@broken("test_a_delete_applies_to_the_version_it_expects")
class DeletesWithoutCondition(Loopback):
    """The version is not sent along with a delete."""

    def sent(self, change: Change) -> Change:
        return attrs.evolve(change, expected=Anything()) if change.kind == "delete" else change


@broken("test_an_update_of_what_is_not_there_creates_nothing")
class Upserts(Loopback):
    """An update of what is not there creates it."""

    def sent(self, change: Change) -> Change:
        if change.kind == "update" and not alive(self.inner.get(change.table, change.record_id)):
            return attrs.evolve(change, kind="insert", expected=_as_it_is(self, change))
        return change


@broken("test_an_insert_expects_nothing_there")
class InsertReplaces(Loopback):
    """An insert replaces what is there."""

    def sent(self, change: Change) -> Change:
        if change.kind == "insert" and alive(self.inner.get(change.table, change.record_id)):
            return attrs.evolve(change, kind="update", expected=Anything())
        return change


def _as_it_is(client: Loopback, change: Change) -> Anything | Tombstone:
    held = client.inner.get(change.table, change.record_id)
    return held if isinstance(held, Tombstone) else Anything()


@broken("test_an_insert_does_not_overlook_a_tombstone")
class OverlooksTombstones(Loopback):
    """An insert that expects nothing looks at live rows only, and brings back what was deleted."""

    def sent(self, change: Change) -> Change:
        return attrs.evolve(change, expected=Anything()) if change.kind == "insert" else change


@broken("test_an_insert_does_not_overlook_a_tombstone")
class ConflictWithNothing(Loopback):
    """A conflict with a deleted record is told as one with nothing."""

    def heard(self, change: Change, outcome: Outcome) -> Outcome:
        hidden = isinstance(outcome, Conflicted) and isinstance(outcome.copy, Tombstone)
        return Conflicted(None) if hidden else outcome


@broken("test_an_insert_over_the_tombstone_it_expects_revives")
class RevivesTheOldContent(Loopback):
    """An insert over a tombstone undeletes, and what it brings is forgotten."""

    def sent(self, change: Change) -> Change:
        revives = change.kind == "insert" and isinstance(change.expected, Tombstone)
        return attrs.evolve(change, kind="undelete") if revives else change


@broken("test_an_insert_that_expects_another_tombstone_conflicts")
class AnyTombstoneWillDo(Loopback):
    """Which tombstone an insert expects is not compared."""

    def sent(self, change: Change) -> Change:
        return (
            attrs.evolve(change, expected=Tombstone(None))
            if isinstance(change.expected, Tombstone)
            else change
        )


@broken("test_undelete_brings_back_what_was_deleted")
class UndeletesAnEmptyRecord(Loopback):
    """A delete empties the record, so that an undelete brings back its id alone."""

    def sent(self, change: Change) -> Change:
        if change.kind != "undelete":
            return change
        return attrs.evolve(change, kind="insert", record={"id": change.record_id})


@broken("test_undelete_of_what_is_not_that_tombstone_changes_nothing")
class UndeleteTouchesTheLiving(Loopback):
    """An undelete of a live record clears the mark, as ever, and writes a new version."""

    def sent(self, change: Change) -> Change:
        if change.kind == "undelete" and alive(self.inner.get(change.table, change.record_id)):
            record = {"id": change.record_id, "undeleted": True}
            return attrs.evolve(
                change, kind="update", record=record, fields=("undeleted",), expected=Anything()
            )
        return change
