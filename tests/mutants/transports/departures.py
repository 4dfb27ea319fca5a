"""Tombstones, and records that leave a query, gone wrong."""

from __future__ import annotations

from typing import Any

import attrs

from tests.mutants.transports.bases import Loopback, broken
from tidesync.contracts.transport import Change, Page, PullRequest
from tidesync.predicate import matcher
from tidesync.records import Record, Tombstone


@broken("test_a_delete_is_told")
class ReallyRemoved(Loopback):
    """Deleted rows are removed, and pulls say nothing of them."""

    def pull(self, request: PullRequest, /) -> Page:
        return attrs.evolve(super().pull(request), tombstones={})


@broken("test_deletes_are_told_only_if_asked_for")
class AlwaysTellsDeletes(Loopback):
    """Whether deletes were asked for is not looked at."""

    def pull(self, request: PullRequest, /) -> Page:
        return super().pull(attrs.evolve(request, deleted=True))


def _as_record(id: str, tombstone: Tombstone) -> Record:
    return {"id": id, "version": tombstone.version, "text": None}


@broken("test_a_delete_is_told")
class DeletedIsAlive(Loopback):
    """A page tells a tombstone as a live record: the mark is not read."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        records = [*page.records, *(_as_record(id, each) for id, each in page.tombstones.items())]
        return attrs.evolve(page, records=records, tombstones={})


@broken("test_a_page_tells_one_thing_of_each_id")
class DeletedTwice(Loopback):
    """A deleted row is told as a record, and in the list of deletes, too."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        records = [*page.records, *(_as_record(id, each) for id, each in page.tombstones.items())]
        return attrs.evolve(page, records=records)


@broken("test_what_was_deleted_and_made_again_is_alive")
class TombstonesApart(Loopback):
    """Tombstones are kept in a list of their own, which is not cleared when a record is made again."""

    def push(self, changes, /):
        outcomes = super().push(changes)
        for change in changes:
            copy = self.inner.get(change.table, change.record_id)
            if isinstance(copy, Tombstone):
                self.shared[change.table, change.record_id] = copy
        return outcomes

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        if page.more or not request.incremental or not request.deleted:
            return page
        apart = {id: each for (table, id), each in self.shared.items() if table == request.query.table}
        records = [each for each in page.records if each["id"] not in apart]
        return attrs.evolve(page, records=records, tombstones=apart)


@broken("test_deletes_between_pages_are_told")
class NoDeletesInAFirstPull(Loopback):
    """A first pull leaves tombstones out: who begins has nothing that could be deleted."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        first = request.cursor is None or "since" in request.cursor
        return attrs.evolve(page, tombstones={}) if first else page


@broken("test_deletes_are_told_to_who_follows_a_condition")
class ConditionOnTombstones(Loopback):
    """The condition is asked of tombstones, too, and none of them matches."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        return page if request.query.where is None else attrs.evolve(page, tombstones={})


@broken("test_many_deletes_come_on_pages_of_any_size")
class StopsWhereNoRecordIs(Loopback):
    """A page without records, though with tombstones, is taken for the last one, and the rest for told."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        if not page.more or page.records or not request.incremental:
            return page
        return attrs.evolve(page, more=False, cursor=self.end(request.query.table))


@broken("test_what_leaves_a_query_is_named")
class ForgetsDepartures(Loopback):
    """What left the query is not named."""

    def pull(self, request: PullRequest, /) -> Page:
        return attrs.evolve(super().pull(request), departed=())


@broken("test_what_leaves_a_query_is_named")
class AllThatChangedDeparts(Loopback):
    """Every id that changed is named as departed, without a look at whether it still matches."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        if not request.departures or request.cursor is None:
            return page
        return attrs.evolve(page, departed=[*page.departed, *(str(each["id"]) for each in page.records)])


@broken("test_what_leaves_and_comes_back_is_a_record")
class LogOfDepartures(Loopback):
    """What left is read from a log, also where the record has come back since."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        log: dict[str, None] = self.shared.setdefault("left", {})
        log |= dict.fromkeys(page.departed)
        return attrs.evolve(page, departed=list(log)) if request.departures else page


@broken("test_departures_come_on_pages_of_any_size")
class DeparturesOfTheLastPage(Loopback):
    """Departed ids are told by the last page only, and those that stood on the others are forgotten."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        return attrs.evolve(page, departed=()) if page.more else page


@broken("test_what_left_and_was_deleted_is_gone")
class TombstonesOfWhatMatched(Loopback):
    """A tombstone is told only to those whose condition its last content matched."""

    def sent(self, change: Change) -> Change:
        if change.record is not None:
            self.shared[change.record_id] = change.record
        return change

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        matches = matcher(request.query.where)
        contents: dict[str, Any] = self.shared
        told = {id: each for id, each in page.tombstones.items() if matches(contents.get(id, {"id": id}))}
        return attrs.evolve(page, tombstones=told)
