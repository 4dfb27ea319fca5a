"""Rules about cursors: nothing that was committed since is missed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from hypothesis import strategies as st

from tidesync.conformance.expect import equal, true
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import TransportBench, overlap_of
from tidesync.conformance.transport.following import Author, Follower, brought, comes
from tidesync.conformance.transport.tables import NOTE, THING
from tidesync.query import Compare, Field, Query, Value
from tidesync.records import Json
from tidesync.values import ColumnType

_SINCE: Final = "`pull(cursor)` returns a superset of everything committed since"
_FOREIGN: Final = (
    "One that the remote did not give, or no longer honours, is `ResyncRequired`, or harmless: "
    "never is anything left out because of it."
)
_GARBAGE: Final[tuple[Json, ...]] = (
    True, False, -1, 2.5, "", "x", "x" * 5_000, [], [None], {}, {"cursor": None}, {"": [{}]},
)  # fmt: skip


class Cursors:
    """Rules about cursors: nothing that was committed since is missed."""

    @rule("TRANSPORT-75", _SINCE, requires=("incremental",))
    def test_a_cursor_brings_what_came_after_it(self, bench: TransportBench) -> None:
        """A pull from a cursor brings what another client inserted and updated since.

        Why: this is how a device learns what the others did.
        Look at: the comparison with the cursor (it is "after", by commit), and whether an update moves a record
        behind every cursor that was given before it.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        old, *_ = author.insert_apart(2)
        _ = follower.pull()
        comes(bench, author, follower, author.insert)

        def update() -> str:
            author.update(old, text=bench.id("changed"))
            return old

        comes(bench, author, follower, update)

    @rule("TRANSPORT-76", _SINCE, requires=("incremental",))
    def test_a_table_that_was_empty_is_followed(self, bench: TransportBench) -> None:
        """Whoever pulled an empty table is told of the first record.

        Why: every table is empty on its first day, and on the second nobody sees what was written.
        Look at: the cursor of a pull that found nothing.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        pages = follower.pull()
        equal({}, brought(pages), "records of an empty table")
        _ = author.insert()
        follower.catch_up()
        follower.expect(author)

    @rule("TRANSPORT-77", _SINCE, requires=("incremental",))
    def test_writes_between_pages_are_told(self, bench: TransportBench) -> None:
        """What others write while a pull reads its pages comes in that pull, or in the next.

        Why: a first pull may take minutes, and the others do not wait for it.
        Look at: a cursor taken from the clock or the counter at the end of the pull, paging by offset, records that
        move while pages are read.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        ids = author.insert_apart(6)
        turns: list[Callable[[], object]] = [
            lambda: author.update(ids[0], text="told already"),
            lambda: author.update(ids[5], text="not told yet"),
            lambda: author.insert(text="between pages"),
            lambda: author.update(ids[1], text="again"),
        ]
        for turn in turns:
            _ = follower.page(2)
            _ = turn()
        follower.catch_up()
        follower.expect(author)

    @rule("TRANSPORT-78", "Ties are safe", requires=("ties",))
    def test_records_of_one_instant_come_on_pages_of_any_size(self, bench: TransportBench) -> None:
        """Records that were committed at the same instant all come, also where pages end among them.

        Why: an import writes a thousand records in one millisecond; those past the first page would never be seen.
        Look at: a strict `>` on a timestamp without the id as second key; `>=`, which gives the same page for ever.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        _ = author.insert_many([{"number": number} for number in range(9)])
        for limit in (1, 2, 4):
            follower = Follower(bench, other)
            _ = follower.pull(limit)
            follower.expect(author)
        # Now ids do not grow with the instant any more.
        author.update_many(list(author.committed)[:4], text="changed")
        for limit in (3, 6):
            follower = Follower(bench, other)
            _ = follower.pull(limit)
            follower.expect(author)

    @rule("TRANSPORT-79", "Ties are safe", requires=("ties",))
    def test_records_of_one_instant_come_behind_a_cursor(self, bench: TransportBench) -> None:
        """Updates of one instant all come to whoever follows, in pages of any size.

        Why: as with inserts; but only here the pull begins behind a cursor.
        Look at: how the position within one instant is kept in the cursor.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        ids = author.insert_many([{"number": number} for number in range(5)])
        follower = Follower(bench, other)
        follower.catch_up()
        for limit in (1, 3):
            author.update_many(ids, text=f"pages of {limit}")
            _ = follower.pull(limit)
            follower.catch_up()
            follower.expect(author)

    @rule("TRANSPORT-80", _SINCE, requires=("incremental",))
    def test_a_record_that_was_told_is_told_again_once_it_changed(self, bench: TransportBench) -> None:
        """Each change of one record comes to whoever pulls after each of them.

        Why: otherwise the first state that was seen stays for ever.
        Look at: a list of ids that were delivered, kept in the cursor or in the client, and not by version.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        id = author.insert(number=0)
        for number in range(1, 4):
            follower.catch_up()
            author.update(id, number=number)
        follower.catch_up()
        follower.expect(author)

    @rule("TRANSPORT-81", _SINCE, requires=("incremental",))
    def test_nothing_is_missed_while_others_write(self, bench: TransportBench) -> None:
        """What several clients commit while another one pulls, again and again, all comes to it.

        Why: numbers are drawn when a transaction begins, and seen when it ends: a record that becomes visible late,
        behind a cursor that is past it, is never told to anybody.
        Look at: timestamps or sequence numbers that are drawn before the commit; declare KEYSET and an overlap, or
        keep the cursor behind open transactions.
        """
        follower = Follower(bench, bench.open())
        authors = [Author(bench, bench.open(number)) for number in range(1, len(bench.clients))]
        for _ in range(max(1, bench.profile.runs // 3)):
            began = time.monotonic()
            with ThreadPoolExecutor(len(authors)) as threads:
                writing = [threads.submit(_write, author) for author in authors]
                while not all(each.done() for each in writing):
                    _ = follower.page(3)
                for each in writing:
                    each.result()
            if _in_time(bench, began):
                follower.catch_up()
                for author in authors:
                    follower.expect(author)

    @rule("TRANSPORT-82", _SINCE, requires=("incremental",))
    def test_nothing_is_missed_whatever_the_interleaving(self, bench: TransportBench) -> None:
        """However pages of any size and writes of another client alternate, everything committed is told in the end.

        Why: real devices meet each of these orders, sooner or later.
        Look at: the position that a page in the middle of a pull gives, and the one that its last page gives.
        """
        one, other = bench.pair()

        def alternating(steps: list[tuple[str, int]]) -> None:
            began, author, follower = time.monotonic(), Author(bench, one), Follower(bench, other)
            follower.catch_up()
            for kind, number in steps:
                ids = list(author.committed)
                if kind == "page":
                    _ = follower.page(number)
                elif kind == "insert" or not ids:
                    _ = author.insert_many([{"number": each} for each in range(number)])
                else:
                    author.update(ids[number % len(ids)], number=number, text=bench.id("text"))
            if _in_time(bench, began):
                follower.catch_up()
                follower.expect(author)

        step = st.tuples(st.sampled_from(("page", "insert", "update")), st.integers(1, 4))
        bench.each(
            alternating,
            examples=max(1, bench.profile.examples // 2),
            steps=st.lists(step, min_size=3, max_size=10),
        )

    @rule("TRANSPORT-83", _SINCE, requires=("incremental",))
    def test_two_tables_are_followed_side_by_side(self, bench: TransportBench) -> None:
        """Pulls of two tables, page by page in turn, do not disturb each other.

        Why: an app has several tables; one shared position skips what the other table has not told yet.
        Look at: a position that is kept by remote and not by table.
        """
        one, other = bench.pair()
        things, notes = Author(bench, one), Author(bench, one, NOTE.name)
        following = (
            (things, Follower(bench, other)),
            (notes, Follower(bench, other, Query(NOTE.name))),
        )
        for _ in range(2):
            for author, _follower in following:
                _ = author.insert_apart(3)
            for limit in (1, 2):
                for _author, follower in following:
                    _ = follower.page(limit)
        for author, follower in following:
            follower.catch_up()
            follower.expect(author)

    @rule("TRANSPORT-84", _SINCE, requires=("incremental",))
    def test_a_record_that_comes_to_match_is_news(self, bench: TransportBench) -> None:
        """With a condition, a record that did not match and now does comes, however many do not match.

        Why: a device that follows what is assigned to it waits for just these.
        Look at: the cursor, when all records of a page were left out by the condition; conditions on the old content.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        where = Compare("gt", Field("number", ColumnType.INTEGER), Value(100, ColumnType.INTEGER))
        follower = Follower(bench, other, Query(THING.name, where))
        low = author.insert_many([{"number": number} for number in range(5)])
        high = author.insert(number=101)
        _ = follower.pull(2)
        follower.catch_up()
        author.update(low[0], number=200)
        follower.catch_up()
        follower.expect(author, only=[low[0], high])

    @rule("TRANSPORT-85", "`more`: the pull goes on from it", requires=("ties",))
    def test_a_pull_goes_on_past_pages_without_records(self, bench: TransportBench) -> None:
        """A pull comes to its last record in one go, however much before it does not match or was deleted.

        Why: a device that follows ten records of a million must find the last of them.
        Look at: `more` when everything on a page was left out; the cursor of such a page.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        low = author.insert_apart(4)
        high = author.insert(number=101)
        where = Compare("gt", Field("number", ColumnType.INTEGER), Value(100, ColumnType.INTEGER))
        for what, query in (
            ("what does not match", Query(THING.name, where)),
            ("tombstones", Query(THING.name)),
        ):
            time.sleep(0.01)  # the clock of the remote is past them
            for limit in (1, 2):
                found = brought(Follower(bench, other, query).pull(limit))
                true(high in found, f"a pull in pages of {limit} ends at {what}, before {high} was told")
            for id in low:
                _ = author.delete(id)
            author.update(high, number=102)
            low = []


def _write(author: Author) -> None:
    for turn in range(3):
        ids = author.insert_many([{"number": number} for number in range(3)])
        author.update(ids[0], number=turn, text="changed")


def _in_time(bench: TransportBench, began: float) -> bool:
    """Whether an overlap still reaches back to this moment, where it must."""
    overlap = overlap_of(bench.capabilities)
    return overlap == 0 or time.monotonic() - began < overlap
