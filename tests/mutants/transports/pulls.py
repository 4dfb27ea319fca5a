"""Lists, their order, counts and parts, gone wrong."""

from __future__ import annotations

from typing import Any

import attrs

from tests.mutants.transports.bases import Loopback, broken
from tidesync.contracts.transport import Junk, Page, PullRequest
from tidesync.query import Field, Order
from tidesync.records import Json, Record
from tidesync.values import ColumnType


class _Asked(Loopback):
    """Pulls are asked for otherwise, or told otherwise."""

    def asked(self, request: PullRequest) -> PullRequest:
        return request

    def told(self, request: PullRequest, page: Page) -> Page:
        return page

    def pull(self, request: PullRequest, /) -> Page:
        return self.told(request, super().pull(self.asked(request)))


def _plain(request: PullRequest) -> bool:
    """Whether it is a list without an order of its own."""
    query = request.query
    return not (
        request.incremental or request.ids is not None or query.order or query.skip or query.take is not None
    )


@broken("test_everything_comes_once")
class LooksOneAhead(_Asked):
    """A list reads one record ahead to see whether there are more, and goes on behind that one."""

    def asked(self, request: PullRequest) -> PullRequest:
        return attrs.evolve(request, limit=request.limit + 1) if _plain(request) else request

    def told(self, request: PullRequest, page: Page) -> Page:
        if not _plain(request):
            return page
        more = len(page.records) > request.limit
        return attrs.evolve(page, records=page.records[: request.limit], more=more and page.more)


@broken("test_everything_comes_once")
class BeginsWithTheLast(_Asked):
    """A page of a list begins with the last record of the one before."""

    def told(self, request: PullRequest, page: Page) -> Page:
        cursor: Any = page.cursor
        if not _plain(request) or not page.more or request.limit == 1:
            return page
        return attrs.evolve(page, cursor={**cursor, "sequence": cursor["sequence"] - 1})


@broken("test_no_part_of_a_list_has_more_than_its_limit")
class TakeIsTheLimit(_Asked):
    """Where a query has a `take`, the limit of the page is not looked at."""

    def asked(self, request: PullRequest) -> PullRequest:
        return request if request.query.take is None else attrs.evolve(request, limit=1000)


@broken("test_records_come_in_the_order_of_the_query")
class IdsDescendToo(_Asked):
    """Where an order descends, equal records come by descending id."""

    def asked(self, request: PullRequest) -> PullRequest:
        query = request.query
        if not any(order.descending for order in query.order):
            return request
        order = (*query.order, Order(Field("id", ColumnType.STRING), descending=True))
        return attrs.evolve(request, query=attrs.evolve(query, order=order))


@broken("test_records_come_in_the_order_of_the_query")
class OrderOfThePage(_Asked):
    """Each page is put in order by itself, and the pages are cut by id."""

    def asked(self, request: PullRequest) -> PullRequest:
        return attrs.evolve(request, query=attrs.evolve(request.query, order=()))

    def told(self, request: PullRequest, page: Page) -> Page:
        records = list(page.records)
        for order in reversed(request.query.order):
            name = order.by.name if isinstance(order.by, Field) else "id"
            records.sort(key=lambda each: str(each.get(name)), reverse=order.descending)
        return attrs.evolve(page, records=records)


@broken("test_nulls_come_first")
class NullsLast(_Asked):
    """Nulls come last where an order ascends, as PostgreSQL has it."""

    def told(self, request: PullRequest, page: Page) -> Page:
        if not request.query.order:
            return page
        first, name = request.query.order[0], "number"
        records = sorted(page.records, key=lambda each: (each.get(name) is None) is not first.descending)
        return attrs.evolve(page, records=records)


@broken("test_text_is_ordered_by_code_point")
class OrderOfALanguage(_Asked):
    """Text is ordered without regard to case, as in a dictionary."""

    def told(self, request: PullRequest, page: Page) -> Page:
        if not request.query.order:
            return page
        return attrs.evolve(
            page, records=sorted(page.records, key=lambda each: str(each.get("text")).casefold())
        )


@broken("test_skip_and_take_are_of_the_whole_list")
class SkipsOnEveryPage(_Asked):
    """`skip` counts on every page again."""

    def asked(self, request: PullRequest) -> PullRequest:
        cursor: Any = request.cursor
        if cursor is None or "offset" not in cursor:
            return request
        return attrs.evolve(request, cursor={**cursor, "offset": cursor["offset"] + request.query.skip})


@broken("test_skip_and_take_are_of_the_whole_list")
class TakeOfNothingIsAll(_Asked):
    """A `take` of 0 is taken for none: `if take`."""

    def asked(self, request: PullRequest) -> PullRequest:
        return attrs.evolve(request, query=attrs.evolve(request.query, take=request.query.take or None))


@broken("test_the_total_counts_all_pages")
class CountsAfterTheTake(_Asked):
    """The total is counted after `take`."""

    def told(self, request: PullRequest, page: Page) -> Page:
        take = request.query.take
        return page if page.total is None or take is None else attrs.evolve(page, total=min(page.total, take))


@broken("test_the_total_counts_all_pages")
class CountsThePage(_Asked):
    """The total is that of the page."""

    def told(self, request: PullRequest, page: Page) -> Page:
        return page if page.total is None else attrs.evolve(page, total=len(page.records))


@broken("test_only_the_fields_that_were_asked_for_come")
class NoVersionUnlessAsked(_Asked):
    """A list that is narrowed to some fields has no versions."""

    def told(self, request: PullRequest, page: Page) -> Page:
        if request.fields is None or "version" in request.fields:
            return page
        return attrs.evolve(page, records=[_without(each, "version") for each in page.records])


@broken("test_only_the_fields_that_were_asked_for_come")
class NoFieldsIsAllFields(_Asked):
    """A list of no fields but the id and version brings whole records: `if fields`."""

    def asked(self, request: PullRequest) -> PullRequest:
        return attrs.evolve(request, fields=request.fields or None)


def _without(record: Record, name: str) -> Record:
    return {each: value for each, value in record.items() if each != name}


@broken("test_records_are_looked_up_by_id")
class NoIdsIsEverything(_Asked):
    """Nothing to look up is taken for no restriction: `if ids`."""

    def asked(self, request: PullRequest) -> PullRequest:
        return attrs.evolve(request, ids=request.ids or None)


@broken("test_records_are_looked_up_by_id")
class TwiceGivenTwiceTold(_Asked):
    """An id that is given twice comes twice."""

    def told(self, request: PullRequest, page: Page) -> Page:
        found = {str(each["id"]): each for each in page.records}
        ids = request.ids or ()
        again = [dict(found[id]) for id in dict.fromkeys(ids) if id in found and ids.count(id) > 1]
        return attrs.evolve(page, records=[*page.records, *again])


@broken("test_five_hundred_ids_are_looked_up")
class TwoHundredIds(_Asked):
    """An address holds 200 ids, and those past them are left out."""

    def asked(self, request: PullRequest) -> PullRequest:
        return attrs.evolve(request, ids=None if request.ids is None else request.ids[:200])


@broken("test_five_hundred_ids_are_looked_up")
class NoneOfThesePartEnds(_Asked):
    """A part of the ids of which none is there is taken for the last one."""

    def told(self, request: PullRequest, page: Page) -> Page:
        return attrs.evolve(page, more=page.more and (request.ids is None or bool(page.records)))


@broken("test_what_rests_is_listed_while_others_write")
class ListsByOffset(_Asked):
    """Lists are paged by offset: a delete shifts all that follow it."""

    def asked(self, request: PullRequest) -> PullRequest:
        if not _plain(request):
            return request
        order = (Order(Field("id", ColumnType.STRING)),)
        return attrs.evolve(request, query=attrs.evolve(request.query, order=order))


@broken("test_sound_records_are_no_junk")
class RowsWithNullsAreJunk(_Asked):
    """A row in which a declared column has no value is put aside as unreadable."""

    def told(self, request: PullRequest, page: Page) -> Page:
        junk = [Junk(str(each), "number is missing") for each in page.records if each.get("number") is None]
        return attrs.evolve(
            page, records=[each for each in page.records if each.get("number") is not None], junk=junk
        )


@broken("test_the_clock_is_canonical")
class ClockWithAnOffset(_Asked):
    """The clock is told with +00:00 instead of Z."""

    def told(self, request: PullRequest, page: Page) -> Page:
        clock: Json = page.clock
        return attrs.evolve(page, clock=str(clock).replace("Z", "+00:00"))
