"""Rules about what a cursor is: plain, durable, shared, moving on, and refused where it is not the remote's."""

from __future__ import annotations

import json
import time
from typing import Final

from tidesync.conformance.expect import RuleBroken, equal, fail, true
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import TransportBench, overlap_of
from tidesync.conformance.transport.following import Author, Follower, brought
from tidesync.conformance.transport.tables import NOTE, THING
from tidesync.contracts.transport import CursorGuarantee, PullRequest, Transport
from tidesync.errors import ProtocolError, RequestRefused, ResyncRequired, UsageError
from tidesync.query import Compare, Field, Query, Value
from tidesync.records import Json
from tidesync.values import ColumnType

_SINCE: Final = "`pull(cursor)` returns a superset of everything committed since"
_FOREIGN: Final = (
    "One that the remote did not give, or no longer honours, is `ResyncRequired`, or harmless: "
    "never is anything left out because of it."
)
_ENOUGH: Final = 50
_ENDLESS: Final = f"a pull of 5 records does not end: {_ENOUGH} pages said that there are more"
_GARBAGE: Final[tuple[Json, ...]] = (
    True, False, -1, 2.5, "", "x", "x" * 5_000, [], [None], {}, {"cursor": None}, {"": [{}]},
)  # fmt: skip


class Positions:
    """Rules about what a cursor is."""

    @rule("TRANSPORT-86", "`cursor` is opaque JSON", requires=("incremental",))
    def test_a_cursor_survives_as_json(self, bench: TransportBench) -> None:
        """Every cursor is plain JSON, and is as good after it was written down and read again.

        Why: it is kept in the device's store until the next pull, tomorrow.
        Look at: tuples, dates, bytes and integer keys in it, and cursors that are found by identity.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        _ = author.insert_many([{"number": number} for number in range(5)])
        pages = 0
        while pages == 0 or not follower.ended:
            page = follower.page(2)
            try:
                again = json.loads(json.dumps(page.cursor, allow_nan=False))
            except (TypeError, ValueError) as error:
                fail(f"the cursor {page.cursor!a:.200} is no JSON: {error}")
            equal(again, page.cursor, "a cursor, after it was written as JSON and read")
            follower.cursor, pages = again, pages + 1
            true(pages < _ENOUGH, _ENDLESS)
        _ = author.insert()
        follower.catch_up()
        follower.expect(author)

    @rule("TRANSPORT-87", "any client of the remote may go on from it", requires=("incremental",))
    def test_a_cursor_is_good_for_another_client_and_after_reopening(self, bench: TransportBench) -> None:
        """A cursor that one client was given is as good for another, and for the same one once it was reopened.

        Why: the app is closed between two pulls, and a store may be moved to another process.
        Look at: what of the position is kept in the transport object, or in a session of the server.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        _ = author.insert_apart(3)
        _ = follower.page(2)
        follower.client = one
        _ = follower.page(2)
        other.close()
        follower.client = bench.open(1)
        _ = follower.pull(2)
        _ = author.insert()
        follower.client = one
        follower.catch_up()
        follower.expect(author)

    @rule(
        "TRANSPORT-88",
        "any client of the remote may go on from it, and may do so again",
        requires=("incremental",),
    )
    def test_a_page_that_is_asked_for_again_is_given_again(self, bench: TransportBench) -> None:
        """The same request, sent again because its reply was lost, gives the same records or newer ones.

        Why: a reply that is lost with its records is asked for again, and nobody else asks for them.
        Look at: a server that moves on when it has answered; a client that remembers what it delivered.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        _ = author.insert_many([{"number": number} for number in range(5)])
        for _ in range(_ENOUGH):
            request = PullRequest(query=Query(THING.name), cursor=follower.cursor, limit=2)
            first = other.pull(request)
            again = bench.drain(other, cursor=follower.cursor).records.keys()
            lost = sorted(brought([first]).keys() - again)
            true(not lost, f"asked again from one cursor, the remote does not tell {lost} any more")
            _ = follower.page(2)
            if follower.ended:
                break
        follower.catch_up()
        follower.expect(author)

    @rule("TRANSPORT-89", "good for the next page", requires=("incremental",))
    def test_an_interrupted_pull_goes_on_from_any_page(self, bench: TransportBench) -> None:
        """From the cursor of each page on comes all that its pull had not told yet, and all that changed meanwhile.

        Why: the network goes away in the middle of a pull, and comes back an hour later.
        Look at: cursors that are good within one pull only, and what they forget of the time when it began.
        """
        one, other = bench.pair()
        author, reader = Author(bench, one), Follower(bench, other)
        ids = author.insert_apart(5)
        stops: list[Follower] = []
        while not stops or not reader.ended:
            _ = reader.page(2)
            stops.append(
                Follower(bench, other, held={**reader.held}, cursor=reader.cursor, ended=reader.ended)
            )
            true(len(stops) < _ENOUGH, _ENDLESS)
        author.update(ids[0], text="meanwhile")
        _ = author.insert(text="meanwhile")
        for stopped in stops:
            stopped.catch_up()
            stopped.expect(author)

    @rule(
        "TRANSPORT-90",
        "From here on, a pull from the last cursor brings nothing once nothing is new.",
        requires=("horizon",),
    )
    def test_a_quiet_pull_brings_nothing(self, bench: TransportBench) -> None:
        """A pull from the last cursor, with nothing new in the table, is one empty page.

        Why: devices pull every minute, and mostly there is nothing: that must cost nothing.
        Look at: the cursor of the last page; `>=` where `>` is meant; a cursor that does not move at the end.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        ids = author.insert_many([{"number": number} for number in range(4)])
        author.update(ids[0], text="changed")
        _ = follower.pull(2)
        for again in ("once", "twice"):
            page = follower.page()
            told = sorted(brought([page])) + sorted(page.tombstones) + sorted(page.departed)
            true(not told, f"nothing is new, and a pull asked {again} tells {told}")
            true(not page.more, f"nothing is new, and a pull asked {again} announces more")

    @rule("TRANSPORT-91", "`limit` bounds the records of the page", requires=("incremental",))
    def test_no_page_has_more_than_its_limit(self, bench: TransportBench) -> None:
        """No page of an incremental pull has more records than were asked for.

        Why: a phone asks for what it can hold.
        Look at: the limit of the request, next to the one of the server; pages that are filled up with ties.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        _ = author.insert_many([{"number": number} for number in range(5)])
        for limit in (1, 3):
            sizes = [len(page.records) for page in Follower(bench, other).pull(limit)]
            true(max(sizes) <= limit, f"pages of {limit} were asked for, and have {sizes} records")

    @rule("TRANSPORT-92", "it is another one than before", requires=("incremental",))
    def test_every_page_moves_the_cursor(self, bench: TransportBench) -> None:
        """A page that announces another has a cursor that no page of the pull had before.

        Why: a pull that comes back to where it was never ends, and is given up with an error.
        Look at: a full page of records that share one instant; the cursor of a page that was filtered empty.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        _ = author.insert_many([{"number": number} for number in range(5)])
        where = Compare("ge", Field("number", ColumnType.INTEGER), Value(3, ColumnType.INTEGER))
        for query in (Query(THING.name), Query(THING.name, where)):
            seen: list[Json] = [None]
            for page in Follower(bench, other, query).pull(1):
                if page.more:
                    true(
                        page.cursor not in seen,
                        f"a page announces more from {page.cursor!a:.200}, as one did before",
                    )
                    seen.append(page.cursor)

    @rule("TRANSPORT-93", _FOREIGN, requires=("incremental",))
    def test_a_cursor_that_was_never_given_hides_nothing(self, bench: TransportBench) -> None:
        """A pull from a made-up cursor is a typed error, or brings the whole table.

        Why: a store that was damaged or restored asks from such a cursor, and would miss records for ever, silently.
        Look at: how the cursor is read: JSON of other types (true is an integer to Python), empty ones, long ones.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        ids = set(author.insert_apart(2))
        for cursor in _GARBAGE:
            missed = _left_out(bench, other, ids, cursor)
            true(
                not missed,
                f"from the cursor {cursor!a:.80}, which no page gave, {len(missed)} records are left out",
            )

    @rule("TRANSPORT-94", _FOREIGN, requires=("incremental",))
    def test_a_cursor_that_was_changed_hides_nothing_new(self, bench: TransportBench) -> None:
        """A pull from a cursor that was cut, or is ahead of the remote, is a typed error, or brings what came since.

        Why: a remote that was restored from a backup is behind the cursors of its clients: what it commits
        next, up to where they are, would be missed by all of them.
        Look at: whether the remote knows the position at all before it compares with it.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        _ = author.insert()
        _ = follower.pull()
        new = author.insert()
        ahead = bench.capabilities.cursor >= CursorGuarantee.HORIZON
        for cursor in _spoilt(json.loads(json.dumps(follower.cursor, default=repr)), ahead=ahead)[:16]:
            true(
                not _left_out(bench, other, {new}, cursor),
                f"from {cursor!a:.200} (that is {follower.cursor!a:.200}, spoilt) what was committed since is left out",
            )

    @rule("TRANSPORT-95", _FOREIGN, requires=("incremental",))
    def test_a_cursor_of_another_table_hides_nothing_new(self, bench: TransportBench) -> None:
        """A cursor of one table, used for another, is a typed error, or brings what was committed there since.

        Why: numbers of one table say nothing about another; compared with them, its records would be missed.
        Look at: whether positions are counted by table, and the cursor does not say of which.
        """
        one, other = bench.pair()
        things, notes = Author(bench, one), Author(bench, one, NOTE.name)
        follower = Follower(bench, other)
        _ = things.insert_apart(3)
        _ = follower.pull()
        new = notes.insert()
        true(
            not _left_out(bench, other, {new}, follower.cursor, NOTE.name),
            f"with a cursor of {THING.name}, a pull of {NOTE.name} leaves out what was committed since",
        )

    @rule("TRANSPORT-96", "rewind the cursor by that many seconds", requires=("overlap",))
    def test_an_overlap_is_read_again(self, bench: TransportBench) -> None:
        """With an overlap, a pull brings again what was committed within so many seconds before the last one.

        Why: what became visible late is behind the cursor, and comes with nothing else.
        Look at: whether `overlap` is read at all, on a cursor of a pull that came to its end, and of one that did not.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        ids = author.insert_apart(3)
        _ = follower.pull()
        for state in ("the last page", "a pull that found nothing new"):
            again = bench.drain(other, cursor=follower.cursor, overlap=60.0).records
            missed = sorted(set(ids) - again.keys())
            true(not missed, f"rewound by a minute from the cursor of {state}, the pull leaves out {missed}")
            _ = follower.pull()

    @rule(
        "TRANSPORT-97",
        "counted back from the remote's clock when the pull that made it *began*",
        requires=("overlap",),
    )
    def test_an_overlap_counts_from_when_the_pull_began(self, bench: TransportBench) -> None:
        """The overlap is counted back from the begin of the pull that made the cursor, not from its last record.

        Why: in a pull of many pages the last record is much younger than the first page: what became visible late
        in between would be behind the rewound cursor, too.
        Look at: the clock, which the cursor must carry from the first page of a pull to its last one.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        _ = author.insert_apart(2)
        _ = follower.page(1)
        early = author.insert(text="early in this pull")
        time.sleep(1.2)
        _ = author.insert(text="at its end")
        if not follower.ended:
            _ = follower.pull()
        again = bench.drain(other, cursor=follower.cursor, overlap=1.0).records
        true(
            early in again,
            "rewound by a second, a pull leaves out what was committed after the last one began",
        )


def _left_out(
    bench: TransportBench, client: Transport, wanted: set[str], cursor: Json, table: str = THING.name
) -> set[str]:
    """Which of the ids a pull from a cursor leaves out; none if it refuses the cursor."""
    try:
        drained = bench.drain(client, Query(table), cursor, overlap=overlap_of(bench.capabilities))
    except (ResyncRequired, RequestRefused, ProtocolError, UsageError):
        return set()
    except Exception as error:
        raise RuleBroken(
            f"the cursor {cursor!a:.200} should be ResyncRequired, and {type(error).__name__} was raised: {error}"
        ) from error
    return wanted - drained.records.keys()


def _spoilt(cursor: Json, *, ahead: bool) -> list[Json]:
    """A cursor with one thing in it changed: cut off, left out, of another type, and `ahead` of what there is."""
    match cursor:
        case bool() | None:
            return []
        case int() | float():
            return [*([cursor + 1_000_000] if ahead else []), str(cursor), None]
        case str():
            later = [str(int(cursor) + 1_000_000)] if ahead and cursor.isdecimal() else []
            return [*later, cursor[:-1], f"{cursor}x", None]
        case list():
            places = range(len(cursor))
            inner = [(at, each) for at in places for each in _spoilt(cursor[at], ahead=ahead)]
            return [cursor[:-1], *([*cursor[:at], each, *cursor[at + 1 :]] for at, each in inner)]
        case dict():
            under = [(key, each) for key in cursor for each in _spoilt(cursor[key], ahead=ahead)]
            cut = [{name: cursor[name] for name in cursor if name != key} for key in cursor]
            return [*cut, *({**cursor, key: each} for key, each in under)]
