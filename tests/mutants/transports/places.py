"""Cursors that leave something out, or are not what a cursor must be."""

from __future__ import annotations

import json
import time
from typing import Any

import attrs

from tests.mutants.transports.bases import Instants, Loopback, Rows, broken
from tests.mutants.transports.remote import Key, Place, Row
from tidesync.contracts.transport import Page, PullRequest
from tidesync.errors import ResyncRequired
from tidesync.records import Json


@broken("test_a_cursor_brings_what_came_after_it")
class UpdatesKeepTheirPlace(Rows):
    """Rows are read in the order in which they were created: an update does not move them."""

    def stamp(self, row: Row | None) -> float:
        return super().stamp(row) if row is None else row.at


@broken("test_a_cursor_brings_what_came_after_it")
class ClockOfTheDevice(Rows):
    """The cursor is the time of the device, which is fast."""

    def cursor(self, table: str, place: Place) -> Json:
        return super().cursor(table, Place((self.now() + 60.0, ""), self.now() + 60.0, place.ended))


@broken("test_a_table_that_was_empty_is_followed")
class NothingIsTheEnd(Rows):
    """A pull that found nothing gives a cursor behind all that can come."""

    def told(self, request: PullRequest, page: Page, place: Place) -> Page:
        if not page.records and not page.tombstones:
            place = Place((9e9, ""), 9e9, place.ended)
        return super().told(request, page, place)


@broken("test_writes_between_pages_are_told")
class PagesByOffset(Rows):
    """News are paged by how many were told: a record that moves behind them shifts the rest."""

    def news(self, request: PullRequest, rows: list[Row]) -> Page:
        told = request.cursor["told"] if isinstance(request.cursor, dict) else 0
        rest = sorted(rows, key=self.key)[told:]
        page = super().news(attrs.evolve(request, cursor=None, overlap=0.0), rest)
        return attrs.evolve(page, cursor={"told": told + len(page.records) + len(page.tombstones)})


@broken("test_records_of_one_instant_come_on_pages_of_any_size")
class LaterThan(Rows):
    """A cursor is a timestamp, compared with `>`: of records of one instant those past the page are left out."""

    def is_news(self, row: Row, place: Place) -> bool:
        return row.at > place.key[0]


@broken("test_records_of_one_instant_come_on_pages_of_any_size")
class NotEarlierThan(Rows):
    """A cursor is a timestamp, compared with `>=`: a page of one instant comes again and again."""

    def is_news(self, row: Row, place: Place) -> bool:
        return row.at >= place.key[0]


@broken("test_records_of_one_instant_come_behind_a_cursor")
class PlaceInAnInstantForgotten(Instants):
    """Only a first pull keeps its place among the records of one instant."""

    def told(self, request: PullRequest, page: Page, place: Place) -> Page:
        if request.cursor is not None and isinstance(request.cursor, dict) and request.cursor["ended"]:
            place = attrs.evolve(place, key=(place.key[0], "~"))
        return super().told(request, page, place)


@broken("test_a_record_that_was_told_is_told_again_once_it_changed")
class ToldOnce(Loopback):
    """A client remembers which ids it has told, and leaves them out."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.told: set[str] = set()

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        records = [each for each in page.records if str(each["id"]) not in self.told]
        self.told |= {str(each["id"]) for each in page.records}
        return attrs.evolve(page, records=records)


@broken("test_nothing_is_missed_while_others_write")
class CursorAfterThePage(Loopback):
    """The cursor of the last page is asked for after its records: what is committed in between is left out."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        if page.more or not request.incremental:
            return page
        time.sleep(0.002)
        return attrs.evolve(page, cursor=self.end(request.query.table))


@broken("test_nothing_is_missed_whatever_the_interleaving")
class FullPageSkipsOne(Loopback):
    """The cursor of a page that is not the last is that of the record that showed that there are more."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(attrs.evolve(request, limit=request.limit + 1))
        if not request.incremental or len(page.records) <= request.limit:
            return page
        return attrs.evolve(page, records=page.records[: request.limit], more=True)


@broken("test_nothing_is_missed_whatever_the_interleaving")
class ToldOnceInAPull(Loopback):
    """Within one pull each id is told once, also where it changed while pages were read."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.told: set[str] = set()

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        records = [each for each in page.records if str(each["id"]) not in self.told]
        self.told = self.told | {str(each["id"]) for each in page.records} if page.more else set()
        return attrs.evolve(page, records=records)


# ---- what a cursor is


@broken("test_a_cursor_survives_as_json")
class CursorIsATuple(Loopback):
    """A cursor is a tuple, which is a list once it was written down as JSON."""

    def pull(self, request: PullRequest, /) -> Page:
        cursor: Any = request.cursor
        page = super().pull(attrs.evolve(request, cursor=cursor and cursor[0]))
        return attrs.evolve(page, cursor=(page.cursor,))  # type: ignore[arg-type]


@broken("test_a_cursor_is_good_for_another_client_and_after_reopening")
class CursorOfASession(Loopback):
    """The place is kept in the client; the cursor of another one stands for now."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.places: list[Json] = []

    def pull(self, request: PullRequest, /) -> Page:
        cursor: Any = request.cursor
        if cursor is not None:
            known = cursor[0] == id(self) and cursor[1] < len(self.places)
            cursor = self.places[cursor[1]] if known else self.end(request.query.table)
        page = super().pull(attrs.evolve(request, cursor=cursor))
        self.places.append(page.cursor)
        return attrs.evolve(page, cursor=[id(self), len(self.places) - 1])


@broken("test_a_page_that_is_asked_for_again_is_given_again")
class MovesOnOnceItAnswered(Loopback):
    """The remote takes an answered request for received, and gives the next page when it is asked again."""

    def pull(self, request: PullRequest, /) -> Page:
        asked = json.dumps([request.query.table, request.cursor])
        after = self.shared.get(asked) if request.cursor is not None else None
        page = super().pull(request if after is None else attrs.evolve(request, cursor=after))
        self.shared[asked] = page.cursor
        return page


@broken("test_an_interrupted_pull_goes_on_from_any_page")
class SnapshotOfAPull(Loopback):
    """A first pull cuts its pages from a snapshot, and its last cursor is that of the end when it gets there."""

    def pull(self, request: PullRequest, /) -> Page:
        cursor: Any = request.cursor
        if not request.incremental or (cursor is not None and "pages" not in cursor):
            return super().pull(request)
        if cursor is None:
            cursor = {"pages": len(self.shared), "told": 0}
            self.shared[cursor["pages"]] = super().pull(attrs.evolve(request, limit=1000)).records
        records, begin = self.shared[cursor["pages"]], cursor["told"]
        end = begin + request.limit
        more = end < len(records)
        place = {**cursor, "told": end} if more else self.end(request.query.table)
        return Page(records=[dict(each) for each in records[begin:end]], cursor=place, more=more)


@broken("test_a_quiet_pull_brings_nothing")
class LastRecordAgain(Loopback):
    """A pull begins with the last record of the one before: `>=` where `>` is meant."""

    def pull(self, request: PullRequest, /) -> Page:
        page = super().pull(request)
        cursor: Any = page.cursor
        if page.more or not request.incremental or not cursor["sequence"]:
            return page
        return attrs.evolve(page, cursor={**cursor, "sequence": cursor["sequence"] - 1})


@broken("test_no_page_has_more_than_its_limit")
class OneMoreThanTheLimit(Loopback):
    """A page has one record more than was asked for: the one that shows that there are more."""

    def pull(self, request: PullRequest, /) -> Page:
        return super().pull(attrs.evolve(request, limit=request.limit + 1))


@broken("test_no_page_has_more_than_its_limit")
class FilledUpWithTies(Rows):
    """A page is filled up with all records of its last instant."""

    def cut(self, rows: list[Row], limit: int) -> list[Row]:
        last = rows[:limit][-1].at if rows else 0.0
        return [row for row in rows if row.at <= last]


@broken("test_every_page_moves_the_cursor")
class NoMatchNoMove(Rows):
    """The cursor is that of the last record told; a page without a match leaves it where it was."""

    def told(self, request: PullRequest, page: Page, place: Place) -> Page:
        if page.records or page.tombstones:
            return super().told(request, page, place)
        return super().told(request, page, attrs.evolve(place, key=self.place(request).key))


@broken("test_two_tables_are_followed_side_by_side")
class OnePlaceForAllTables(Loopback):
    """A client has one place in the order of commits, for whichever table it pulls."""

    place = 0

    def pull(self, request: PullRequest, /) -> Page:
        cursor: Any = request.cursor
        if cursor is not None:
            cursor = {**cursor, "sequence": self.place}
        page = super().pull(attrs.evolve(request, cursor=cursor))
        told: Any = page.cursor
        self.place = told["sequence"]
        return page


@broken("test_a_record_that_comes_to_match_is_news")
class NoMatchIsTheEnd(Rows):
    """A page without a match ends the pull, with a cursor that is ahead of the clock."""

    def told(self, request: PullRequest, page: Page, place: Place) -> Page:
        if not page.records and not page.tombstones:
            page, place = (
                attrs.evolve(page, more=False),
                Place((self.now() + 9.0, ""), self.now() + 9.0, ended=True),
            )
        return super().told(request, page, place)


@broken("test_a_pull_goes_on_past_pages_without_records")
class NoMatchNoMore(Rows):
    """A page without a match is taken for the last one."""

    def told(self, request: PullRequest, page: Page, place: Place) -> Page:
        return super().told(request, attrs.evolve(page, more=page.more and bool(page.records)), place)


# ---- what no page gave


class _Lenient(Loopback):
    """A cursor that is not honoured is taken for another one."""

    def instead(self, request: PullRequest) -> Json:
        return self.end(request.query.table)

    def pull(self, request: PullRequest, /) -> Page:
        try:
            return super().pull(request)
        except ResyncRequired:
            return super().pull(attrs.evolve(request, cursor=self.instead(request)))


@broken("test_a_cursor_that_was_never_given_hides_nothing")
class UnreadableIsNow(_Lenient):
    """A cursor that cannot be read stands for now."""


def _ahead(cursor: dict[str, Any], end: dict[str, Any]) -> bool:
    return isinstance(cursor["sequence"], int) and cursor["sequence"] > end["sequence"]


@broken("test_a_cursor_that_was_changed_hides_nothing_new")
class AheadIsWaitedFor(Loopback):
    """A place ahead of the remote is waited for: the remote was restored from a backup, and nobody notices."""

    def pull(self, request: PullRequest, /) -> Page:
        try:
            return super().pull(request)
        except ResyncRequired:
            cursor: Any = request.cursor
            end: Any = self.end(request.query.table)
            if isinstance(cursor, dict) and cursor.keys() == end.keys() and _ahead(cursor, end):
                return Page(cursor=cursor)
            raise


@broken("test_a_cursor_of_another_table_hides_nothing_new")
class NumbersOfAnyTable(Rows):
    """Each table counts its own writes, and the cursor does not say of which table it is."""

    def key(self, row: Row) -> Key:
        return float(row.number), ""

    def rewound(self, request: PullRequest, place: Place) -> Place:
        return place

    def check_table(self, request: PullRequest, table: Json) -> None:
        pass


@broken("test_an_overlap_is_read_again")
class NoOverlap(Rows):
    """The overlap of a request is not read."""

    def rewound(self, request: PullRequest, place: Place) -> Place:
        return place


@broken("test_an_overlap_counts_from_when_the_pull_began")
class OverlapFromTheLastRow(Rows):
    """The overlap is counted back from the last row, which is younger than the begin of the pull."""

    def rewound(self, request: PullRequest, place: Place) -> Place:
        if request.overlap <= 0:
            return place
        return attrs.evolve(place, key=(place.key[0] - request.overlap, ""))
