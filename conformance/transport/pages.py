"""Rules about pages, orders, counts and parts of records: what a pull gives that is not incremental."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tidesync.conformance import oracle
from tidesync.conformance.expect import equal, true
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import Drained, TransportBench
from tidesync.conformance.transport.following import Author, brought, shape
from tidesync.conformance.transport.tables import THING
from tidesync.contracts.transport import PullRequest, Transport
from tidesync.errors import Unsupported
from tidesync.query import Compare, Field, Order, Query, Value
from tidesync.records import Json
from tidesync.values import ColumnType, is_canonical

NUMBER: Final = Field("number", ColumnType.INTEGER)
TEXT: Final = Field("text", ColumnType.STRING)
_ALL: Final = "`incremental` False: everything that matches, each record once, whatever changed since"
_ORDER: Final = "What the remote cannot order is `Unsupported`, never another order."
_MANY: Final = 500


class Pages:
    """Rules about pages, orders, counts and parts of records."""

    @rule("TRANSPORT-98", _ALL)
    def test_everything_comes_once(self, bench: TransportBench) -> None:
        """A pull that is not incremental brings every record once, as it is now, on pages of any size.

        Why: a device compares its ids with this list, and drops what is not in it.
        Look at: the end of a page that is just full, `more`, and what a page begins with.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        equal([], _ids(_listed(bench, other, Query(THING.name), 2)), "records of an empty table")
        ids = author.insert_many([{"number": number} for number in range(4)])
        author.update(ids[0], text="changed")
        for limit in (1, 2, 3, 1000):
            drained = _listed(bench, other, Query(THING.name), limit)
            equal(sorted(ids), sorted(_ids(drained)), f"the ids on pages of {limit}")
            for id in ids:
                equal(shape(author.committed[id]), shape(drained.records[id]), f"{id} on pages of {limit}")

    @rule("TRANSPORT-99", "`limit` bounds the records of the page")
    def test_no_part_of_a_list_has_more_than_its_limit(self, bench: TransportBench) -> None:
        """No page of a list has more records than were asked for, without an order or with one that is supported.

        Why: a phone asks for what it can hold.
        Look at: the limit of the request, next to the one of the server and the `take` of the query.
        """
        one, other = bench.pair()
        _ = Author(bench, one).insert_many([{"number": number} for number in range(5)])
        for query in (Query(THING.name), Query(THING.name, order=(Order(NUMBER),), take=4)):
            for limit in (1, 3):
                try:
                    sizes = [len(page.records) for page in _listed(bench, other, query, limit).pages]
                except Unsupported:
                    # Only what has an order may be.
                    if not query.order:
                        raise
                    continue
                true(max(sizes) <= limit, f"pages of {limit} were asked for, and have {sizes} records")

    @rule("TRANSPORT-100", "then the query may have an order, skip and take")
    def test_records_come_in_the_order_of_the_query(self, bench: TransportBench) -> None:
        """With an order, records come in it over all pages, equal ones by id, ascending also where the order descends.

        Why: a list on the screen jumps, or shows a record twice, if each page is in an order of its own.
        Look at: the id as last key of every order.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        _ = author.insert_many(
            [{"number": number, "text": "ab"[number % 2]} for number in (2, 1, 2, 3, 1, 2)]
        )
        for order in (
            (Order(NUMBER),),
            (Order(NUMBER, descending=True),),
            (Order(TEXT), Order(NUMBER, descending=True)),
        ):
            _compare(bench, other, author, Query(THING.name, order=order), limits=(2, 1000))

    @rule("TRANSPORT-101", _ORDER)
    def test_nulls_come_first(self, bench: TransportBench) -> None:
        """In an order, records without a value come first, and last where it descends; else it is `Unsupported`.

        Why: the same list is sorted on the device, where nulls are first, and must not change when it goes online.
        Look at: databases that put nulls last: say NULLS FIRST, or order by `is null` before.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        numbers: list[Json] = [1, None, 0, None, -1]
        _ = author.insert_many([{} if number is None else {"number": number} for number in numbers])
        for descending in (False, True):
            query = Query(THING.name, order=(Order(NUMBER, descending),))
            _compare(bench, other, author, query, limits=(1000,))

    @rule("TRANSPORT-102", _ORDER)
    def test_text_is_ordered_by_code_point(self, bench: TransportBench) -> None:
        """Text is ordered by code point, with no regard to a language; else it is `Unsupported`.

        Why: the same list is sorted on the device, and must not change when it goes online.
        Look at: the collation of the column: BINARY, "C", or the like.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        texts = bench.domain.legal_values(
            "text", ["b", "B", "a", "Z", "", "é", "z", "aa", "_", "10", "9", "😀", "ﬀ"]
        )
        _ = author.insert_many([{"text": text} for text in texts])
        _compare(bench, other, author, Query(THING.name, order=(Order(TEXT),)), limits=(1000,))

    @rule("TRANSPORT-103", "then the query may have an order, skip and take")
    def test_skip_and_take_are_of_the_whole_list(self, bench: TransportBench) -> None:
        """Skip and take count records of the whole list, whatever the size of its pages.

        Why: the second screen of a list begins where the first one ended.
        Look at: skip used once for each page, take used for each page, a take of nothing.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        _ = author.insert_many([{"number": number} for number in (3, 1, 4, 0, 5, 2)])
        for skip, take in ((2, 3), (0, 0), (5, 10), (9, 1), (3, None), (0, 5)):
            for order in ((Order(NUMBER),), ()):
                query = Query(THING.name, order=order, skip=skip, take=take)
                _compare(bench, other, author, query, limits=(2,))

    @rule("TRANSPORT-104", "`total` counts the whole pull", requires=("total",), shows="total")
    def test_the_total_counts_all_pages(self, bench: TransportBench) -> None:
        """The first page of a list tells how many live records match, whatever limit, skip and take are.

        Why: "1 of 3" on the screen of a pull, and `count()` of a remote table.
        Look at: counting after the limit, counting deleted records, a total of the page; None is right where a
        condition cannot be counted.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        ids = author.insert_many([{"number": number} for number in range(5)])
        _ = author.delete(ids[0])
        order = (Order(NUMBER),)
        for query in (
            Query(THING.name),
            Query(THING.name, order=order, total=True),
            Query(THING.name, order=order, skip=1, take=2, total=True),
        ):
            page = other.pull(PullRequest(query=query, limit=2, total=True, incremental=False, deleted=False))
            equal(4, page.total, f"the total of 4 records with skip {query.skip} and take {query.take}")
        where = Compare("gt", NUMBER, Value(2, ColumnType.INTEGER))
        page = other.pull(
            PullRequest(
                query=Query(THING.name, where, total=True), total=True, incremental=False, deleted=False
            )
        )
        true(page.total in (2, None), f"two records match, and the total says {page.total}")

    @rule("TRANSPORT-105", "`fields` narrows records to these (and id, version)")
    def test_only_the_fields_that_were_asked_for_come(self, bench: TransportBench) -> None:
        """Records are narrowed to the fields of the request, with id and version always.

        Why: a list of ids and versions of a large table must not bring its texts.
        Look at: version under its name on the wire; fields that a record has not.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        id = author.insert(text="a", number=1)
        version = (author.committed[id] or {}).get("version")
        asked: list[tuple[tuple[str, ...], dict[str, Json]]] = [
            (("text",), {"text": "a"}),
            (("number", "ratio"), {"number": 1}),
            (("id", "version"), {}),
            ((), {}),
        ]
        for fields, expected in asked:
            drained = bench.drain(other, incremental=False, deleted=False, fields=fields)
            found = {name: value for name, value in drained.records[id].items() if value is not None}
            equal({**expected, "id": id, "version": version}, found, f"the record, with fields {fields}")

    @rule("TRANSPORT-106", "`ids` to these records, and none for no ids")
    def test_records_are_looked_up_by_id(self, bench: TransportBench) -> None:
        """With ids, only their records come, each once; what is not there is not told.

        Why: after a comparison of lists, a device fetches what it lacks.
        Look at: no ids, which is nothing and not everything; an id given twice; deleted ones.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        first, second, gone, rest = author.insert_many([{"number": number} for number in range(4)])
        _ = author.delete(gone)
        asked: list[tuple[tuple[str, ...], list[str]]] = [
            ((first, second), [first, second]),
            ((rest, bench.id("nobody"), gone), [rest]),
            ((first, second, first), [first, second]),
            ((), []),
        ]
        for ids, expected in asked:
            for limit in (1, 1000):
                drained = bench.drain(other, ids=ids, limit=limit, incremental=False, deleted=False)
                equal(
                    sorted(expected),
                    sorted(_ids(drained)),
                    f"what comes of {len(ids)} ids on pages of {limit}",
                )

    @rule("TRANSPORT-107", "`ids` to these records, and none for no ids")
    def test_five_hundred_ids_are_looked_up(self, bench: TransportBench) -> None:
        """Of any number of ids, those that are there come.

        Why: a device that was away for long lacks many.
        Look at: the length of an address, the parameters that one SQL statement may have, `more` behind a part of
        the ids in which nothing was found.
        """
        one, other = bench.pair()
        there = Author(bench, one).insert_many([{"number": number} for number in range(3)])
        others = [bench.id("nobody") for _ in range(_MANY)]
        ids = (there[0], *others[: _MANY // 2], there[1], *others[_MANY // 2 :], there[2])
        drained = bench.drain(other, ids=ids, limit=100, incremental=False, deleted=False)
        equal(sorted(there), sorted(_ids(drained)), f"what comes of {len(ids)} ids, of which 3 are there")

    @rule("TRANSPORT-108", _ALL)
    def test_what_rests_is_listed_while_others_write(self, bench: TransportBench) -> None:
        """Records that nobody touches while a list is read all come, and no id is twice in one page.

        Why: a device drops what is not in the list: a record that a page skipped is gone.
        Look at: paging by offset, in which a delete shifts all that follow; go on behind the last id instead.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        ids = author.insert_many([{"number": number} for number in range(9)])
        touched = ids[0], ids[1], ids[4], ids[8]
        turns: Sequence[Any] = (
            lambda: author.delete(ids[0]),
            lambda: author.update(ids[8], text="changed"),
            lambda: author.insert_apart(2),
            lambda: author.update(ids[1], text="changed"),
            lambda: author.delete(ids[4]),
        )
        wanted = PullRequest(query=Query(THING.name), limit=2, deleted=False, incremental=False)
        pages = [other.pull(wanted)]
        while pages[-1].more and len(pages) < 50:
            if len(pages) <= len(turns):
                turns[len(pages) - 1]()
            pages.append(other.pull(_next(wanted, pages[-1].cursor)))
        true(not pages[-1].more, "a list of 9 records does not end: 50 pages said that there are more")
        missed = set(ids) - set(touched) - brought(pages).keys()
        true(not missed, f"nobody touched {sorted(missed)}, and no page of the list has them")
        for page in pages:
            found = [str(record["id"]) for record in page.records]
            equal(sorted(set(found)), sorted(found), "the ids of one page")

    @rule("TRANSPORT-109", "`junk` is what was no record; what was stored as a record comes as one.")
    def test_sound_records_are_no_junk(self, bench: TransportBench) -> None:
        """What was inserted comes as records with id and version, none as junk, in lists and in incremental pulls.

        Why: junk goes to quarantine, where no user sees it.
        Look at: how rows are told from what is none, and null in columns that have no value.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        ids = author.insert_many([{"text": "a"}, {"number": 1}, {"text": ""}])
        author.update(ids[0], number=0)
        for incremental in (False, True):
            drained = bench.drain(other, incremental=incremental)
            junk = [each for page in drained.pages for each in page.junk]
            equal([], junk, "junk, where all is sound")
            for id in ids:
                equal(shape(author.committed[id]), shape(drained.records.get(id)), id)

    @rule("TRANSPORT-110", "`clock`: the remote's own time as canonical datetime text, where it tells")
    def test_the_clock_is_canonical(self, bench: TransportBench) -> None:
        """The clock of a page, where it has one, is canonical: UTC, with six decimals and a Z.

        Why: another clock is not believed, and what was committed late is then missed.
        Look at: local time, missing decimals, an offset instead of Z; datetimes that are not text.
        """
        one, other = bench.pair()
        _ = Author(bench, one).insert()
        for incremental in (False, True):
            for page in bench.drain(other, incremental=incremental).pages:
                fine = page.clock is None or is_canonical(ColumnType.DATETIME, page.clock)
                true(
                    fine,
                    f"the clock of a page is {page.clock!a:.100}, and not like 2026-11-20T03:45:05.507000Z",
                )


def _listed(bench: TransportBench, client: Transport, query: Query, limit: int) -> Drained:
    return bench.drain(client, query, limit=limit, deleted=False, incremental=False)


def _ids(drained: Drained) -> list[str]:
    return [str(record["id"]) for page in drained.pages for record in page.records]


def _next(request: PullRequest, cursor: Json) -> PullRequest:
    return PullRequest(
        query=request.query, cursor=cursor, limit=request.limit, deleted=request.deleted, incremental=False
    )


def _compare(
    bench: TransportBench, client: Transport, author: Author, query: Query, *, limits: Sequence[int]
) -> None:
    """Raise `RuleBroken` unless a list is what the query means; `Unsupported` is as good."""
    records = [record for record in author.committed.values() if record is not None]
    expected = [record["id"] for record in oracle.select(query, records)]
    for limit in limits:
        try:
            drained = _listed(bench, client, query, limit)
        except Unsupported:
            continue
        equal(expected, _ids(drained), f"the ids in the order of {query!a:.300} on pages of {limit}")
