"""Rules about tombstones, and about records that leave a query."""

from __future__ import annotations

from typing import Any

from tidesync.conformance.expect import equal, fail, true
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import Drained, TransportBench, overlap_of
from tidesync.conformance.transport.following import Author, Follower, comes, shape
from tidesync.conformance.transport.tables import THING
from tidesync.contracts.transport import Transport
from tidesync.query import Compare, Expr, Field, Query, Value
from tidesync.records import Json, Tombstone
from tidesync.values import ColumnType

_REPORTED = "names of the tables that report deletes"
_DEPARTED = "`departures`: report ids that changed since the cursor and no longer match."
_LARGE: Expr = Compare("gt", Field("number", ColumnType.INTEGER), Value(100, ColumnType.INTEGER))


class Departures:
    """Rules about tombstones, and about records that leave a query."""

    @rule("TRANSPORT-117", _REPORTED, requires=("tombstones", "incremental"), shows="tombstones")
    def test_a_delete_is_told(self, bench: TransportBench) -> None:
        """A pull from a cursor brings a tombstone for what was deleted since, of the version that the delete told.

        Why: else a deleted record stays on every other device for ever.
        Look at: rows that are really removed; lists that leave out deleted rows unless they are asked for.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        kept, *others = author.insert_many([{"number": number} for number in range(5)])
        follower.catch_up()
        deleted: dict[str, Tombstone] = {}

        def delete() -> str:
            id = others.pop()
            deleted[id] = author.delete(id)
            return id

        comes(bench, author, follower, delete)
        follower.catch_up()
        for id, tombstone in deleted.items():
            told = follower.held.get(id)
            if not isinstance(told, Tombstone):
                fail(f"{id} was deleted since the cursor, and is told as {told!a:.200}")
            if tombstone.version is not None and told.version is not None:
                equal(tombstone.version, told.version, "the version of the tombstone")
        true(shape(follower.held[kept]), "a record that is alive is told as a tombstone")

    @rule("TRANSPORT-118", "`deleted`: report tombstones.", requires=("incremental",))
    def test_deletes_are_told_only_if_asked_for(self, bench: TransportBench) -> None:
        """Without `deleted`, what was deleted before the pull is told neither as a tombstone nor as a record.

        Why: a list of what there is has nothing to do with what there was.
        Look at: where deleted rows are left out; they must be left out as records too.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        id, new = author.insert_many([{"number": 1}, {"number": 2}])
        follower.catch_up()
        _ = author.delete(id)
        author.update(new, number=3)
        requests: tuple[tuple[str, dict[str, Any]], ...] = (
            ("a pull", {"cursor": follower.cursor}),
            ("a list", {"incremental": False}),
            ("a look at two ids", {"incremental": False, "ids": (id, new)}),
        )
        for name, request in requests:
            for page in bench.drain(other, deleted=False, **request).pages:
                equal({}, dict(page.tombstones), f"tombstones in {name} that does not ask for them")
                records = [record["id"] for record in page.records]
                true(id not in records, f"{id} was deleted, and {name} tells it as a record")

    @rule("TRANSPORT-119", "Read one record as it is now", requires=("tombstones",))
    def test_what_was_deleted_reads_as_a_tombstone(self, bench: TransportBench) -> None:
        """`get` tells a tombstone for what was deleted, and None for what never was.

        Why: a conflict with a delete is settled otherwise than one with nothing.
        Look at: 404 for both; ask in a way that shows deleted rows.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        id = author.insert()
        _ = author.delete(id)
        found = other.get(THING.name, id)
        true(isinstance(found, Tombstone), f"a record that was deleted reads as {found!a:.200}")
        equal(None, other.get(THING.name, bench.id("nobody")), "what reads where nothing ever was")

    @rule("TRANSPORT-120", _REPORTED, requires=("tombstones", "incremental"))
    def test_what_was_deleted_and_made_again_is_alive(self, bench: TransportBench) -> None:
        """A record that was inserted again under the id of a deleted one comes as a record, from any earlier cursor.

        Why: a tombstone told after it would delete what the user has just made.
        Look at: tombstones kept apart from records, in a list of their own that is not cleared.
        """
        one, other = bench.pair()
        author, before = Author(bench, one), Follower(bench, other)
        id = author.insert(number=1)
        before.catch_up()
        tombstone = author.delete(id)
        between = Follower(bench, other, cursor=before.cursor)
        between.catch_up()
        author.insert_again(id, tombstone, text="back")
        for follower, name in ((before, "before the delete"), (between, "after the delete")):
            told = _since(bench, other, follower.cursor)
            true(
                id not in told.tombstones, f"from a cursor {name}, what is alive again is told as a tombstone"
            )
            found = shape(told.records.get(id))
            equal(shape(author.committed[id]), found, f"{id}, made again, from a cursor {name}")

    @rule("TRANSPORT-121", _REPORTED, requires=("tombstones", "incremental"))
    def test_deletes_between_pages_are_told(self, bench: TransportBench) -> None:
        """What is deleted while a pull reads its pages is gone for whoever pulls on to the end, and then once more.

        Why: a first pull may take minutes, and what it told on its first page may be deleted by then.
        Look at: a first pull that leaves tombstones out; a cursor that begins at the end of the first pull.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        ids = author.insert_apart(7)
        for turn in (0, 6, 1):
            _ = follower.page(2)
            _ = author.delete(ids[turn])
        follower.catch_up()
        follower.expect(author)

    @rule("TRANSPORT-122", _REPORTED, requires=("tombstones", "incremental"))
    def test_deletes_are_told_to_who_follows_a_condition(self, bench: TransportBench) -> None:
        """The delete of a record that matched is told to whoever follows the condition.

        Why: a device that follows a part of a table would keep what is deleted of it.
        Look at: conditions that are evaluated on a tombstone, which has no content any more.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other, Query(THING.name, _LARGE))
        id, kept = author.insert_many([{"number": 101}, {"number": 102}])
        follower.catch_up()
        _ = author.delete(id)
        follower.catch_up()
        follower.expect(author, only=[id, kept])

    @rule("TRANSPORT-123", _REPORTED, requires=("tombstones", "incremental"))
    def test_many_deletes_come_on_pages_of_any_size(self, bench: TransportBench) -> None:
        """Tombstones and records of one instant all come, on pages of any size.

        Why: a list of a hundred items is cleared at once.
        Look at: whether tombstones count for the limit of a page, and for its cursor.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        ids = author.insert_many([{"number": number} for number in range(6)])
        followers = [(limit, Follower(bench, other)) for limit in (1, 2)]
        for _limit, follower in followers:
            follower.catch_up()
        for id in ids[::2]:
            _ = author.delete(id)
        author.update_many(ids[1::2], text="kept")
        for limit, follower in followers:
            _ = follower.pull(limit)
            follower.catch_up()
            follower.expect(author)

    @rule(
        "TRANSPORT-124",
        "No id is both in `records` and in `tombstones`.",
        requires=("tombstones", "incremental"),
    )
    def test_a_page_tells_one_thing_of_each_id(self, bench: TransportBench) -> None:
        """On one page an id is a record or a tombstone, and told once.

        Why: which of them counts would be left to chance.
        Look at: pages that are made of several changes of one record: only its last state counts.
        """
        one, other = bench.pair()
        author, follower = Author(bench, one), Follower(bench, other)
        first, second, third = author.insert_many([{"number": number} for number in range(3)])
        follower.catch_up()
        author.update(first, text="changed")
        author.update(first, text="again")
        author.update(second, text="changed")
        _ = author.delete(second)
        author.insert_again(third, author.delete(third), text="back")
        for cursor in (follower.cursor, None):
            for page in bench.drain(other, cursor=cursor).pages:
                told = [str(record["id"]) for record in page.records] + sorted(page.tombstones)
                equal(sorted(set(told)), sorted(told), "the ids of one page")

    @rule("TRANSPORT-125", _DEPARTED, requires=("departures", "incremental"), shows="departures")
    def test_what_leaves_a_query_is_named(self, bench: TransportBench) -> None:
        """A record that changed since the cursor and matches no longer is in `departed`; one that matches is not.

        Why: a task that was given to somebody else stays on this device otherwise.
        Look at: that changed rows are looked at before the condition is; that what still matches is a record.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        leaves, stays, rests = author.insert_many([{"number": number} for number in (101, 102, 103)])
        cursor = _told(bench, other, None).cursor
        author.update(leaves, number=1)
        author.update(stays, number=200)
        told = _told(bench, other, cursor)
        true(leaves in told.departed, f"{leaves} matches no longer, and is not named as departed")
        wrong = {stays, rests} & set(told.departed)
        true(not wrong, f"{sorted(wrong)} match, and are named as departed")
        true(leaves not in told.records, f"{leaves} does not match, and comes as a record")
        equal(shape(author.committed[stays]), shape(told.records.get(stays)), stays)
        again = bench.drain(other, Query(THING.name, _LARGE), cursor)
        equal((), again.departed, "what departed, where that was not asked")

    @rule("TRANSPORT-126", _DEPARTED, requires=("departures", "incremental"))
    def test_what_leaves_and_comes_back_is_a_record(self, bench: TransportBench) -> None:
        """A record that left the query and came back comes as a record, and is not in `departed`.

        Why: it would be dropped from the device though it belongs there.
        Look at: departures read from a log of changes, and not from what the record is now.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        id = author.insert(number=101)
        cursor = _told(bench, other, None).cursor
        author.update(id, number=1)
        left = _told(bench, other, cursor)
        author.update(id, number=102)
        for since, name in ((cursor, "before it left"), (left.cursor, "after it left")):
            told = _told(bench, other, since)
            true(id not in told.departed, f"from a cursor {name}, what is back is named as departed")
            equal(shape(author.committed[id]), shape(told.records.get(id)), f"{id} from a cursor {name}")

    @rule("TRANSPORT-127", _DEPARTED, requires=("departures", "incremental"))
    def test_departures_come_on_pages_of_any_size(self, bench: TransportBench) -> None:
        """Everything that left the query is named, on pages of any size, also what leaves while they are read.

        Why: what is not named stays on the device for ever.
        Look at: whether departed ids count for the limit and the cursor of a page.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        ids = author.insert_many([{"number": 101 + number} for number in range(6)])
        follower = Follower(bench, other, Query(THING.name, _LARGE), {"departures": True})
        _ = follower.page(2)
        author.update(ids[0], number=1)
        _ = follower.pull(2)
        follower.catch_up()
        author.update_many(ids[1:5], number=1)
        _ = follower.pull(1)
        follower.catch_up()
        equal([ids[5]], sorted(follower.held), "the ids that still match")

    @rule("TRANSPORT-128", _DEPARTED, requires=("departures", "tombstones", "incremental"))
    def test_what_left_and_was_deleted_is_gone(self, bench: TransportBench) -> None:
        """A record that left the query and was deleted since is told as departed or as a tombstone, never as a record.

        Why: it is on the device, and must go.
        Look at: tombstones that are told only if their last content matched.
        """
        one, other = bench.pair()
        author = Author(bench, one)
        id = author.insert(number=101)
        cursor = _told(bench, other, None).cursor
        author.update(id, number=1)
        _ = author.delete(id)
        told = _told(bench, other, cursor)
        true(id not in told.records, f"{id} was deleted, and is told as a record")
        gone = {*told.departed, *told.tombstones}
        true(id in gone, f"{id} left the query and was deleted since, and nothing is told of it")


def _since(bench: TransportBench, client: Transport, cursor: Json) -> Drained:
    return bench.drain(client, cursor=cursor, overlap=overlap_of(bench.capabilities))


def _told(bench: TransportBench, client: Transport, cursor: Json) -> Drained:
    """What a pull of the large numbers tells, departures too."""
    overlap = overlap_of(bench.capabilities) if cursor is not None else 0.0
    return bench.drain(client, Query(THING.name, _LARGE), cursor, departures=True, overlap=overlap)
