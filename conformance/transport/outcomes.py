"""Rules about what a push answers: one outcome for each change, in order."""

from __future__ import annotations

from tidesync.conformance.expect import equal, fail, true
from tidesync.conformance.rules import rule
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.copies import (
    check_content,
    check_copy,
    check_gone,
    conflicted,
    push,
    record_of,
    version_at,
)
from tidesync.conformance.transport.tables import NOTE, THING
from tidesync.contracts.transport import Anything, Applied, Change, PullRequest, Untried, Version
from tidesync.query import Query
from tidesync.records import Record, Tombstone, alive


class Outcomes:
    """What a push answers."""

    @rule("TRANSPORT-01", "what happened is one outcome per change, in order")
    def test_an_empty_push_is_no_error(self, bench: TransportBench) -> None:
        """A push of no changes gives no outcomes.

        Why: the engine may have nothing left to send once it looked again.
        Look at: an empty request that the remote refuses.
        """
        equal([], list(bench.open().push([])))

    @rule("TRANSPORT-02", "Read one record as it is now")
    def test_another_client_reads_what_one_inserted(self, bench: TransportBench) -> None:
        """What one client inserts, another gets, with the version that the outcome told.

        Why: this is what sync is for.
        Look at: `get`, and the mapping of versions on the wire.
        """
        one, other = bench.pair()
        id = bench.id()
        version = bench.insert(one, id, text="a", number=1)
        check_copy(
            {"id": id, "text": "a", "number": 1, "version": version}, other.get(THING.name, id), "get()"
        )

    @rule("TRANSPORT-03", "what happened is one outcome per change, in order", requires=("batch",))
    def test_each_outcome_stands_in_the_place_of_its_change(self, bench: TransportBench) -> None:
        """In a push of several changes, each outcome is that of the change in its place, whatever the others came to.

        Why: the engine takes operations off the queue by their place; a swapped outcome loses one edit and repeats
        another.
        Look at: outcomes in the order of replies, or by table, or refusals put first or last.
        """
        one, other = bench.pair()
        size = min(6, bench.capabilities.max_changes)
        for odd in (0, 1):
            changes, taken = _alternating(bench, size, odd)
            for place, (change, outcome) in enumerate(zip(changes, push(one, changes), strict=True)):
                what = f"the outcome in place {place} of {size}"
                held = other.get(THING.name, change.record_id)
                if isinstance(outcome, Untried):
                    check_copy(taken.get(change.record_id), held, f"{what}: Untried, and yet in effect")
                elif change.record_id in taken:
                    conflicted(outcome, held, what)
                    check_copy(taken[change.record_id], held, f"{what}: Conflicted, and yet in effect")
                else:
                    _applied_as_sent(change, outcome, held, what)

    @rule(
        "TRANSPORT-04",
        "a failed one does not stop the rest",
        requires=("batch", "ordered"),
    )
    def test_a_refused_change_does_not_stop_the_rest(self, bench: TransportBench) -> None:
        """On a remote that declares `ordered`, a change that conflicts leaves all others of its push as they are.

        Why: one conflict would hold up every other edit of the user, or take them back.
        Look at: one transaction for the whole push that is rolled back; a loop that breaks at the first refusal.
        """
        one, other = bench.pair()
        size = min(5, bench.capabilities.max_changes)
        for odd in (0, 1):
            changes, taken = _alternating(bench, size, odd)
            outcomes = push(one, changes)
            equal(
                ["Conflicted" if change.record_id in taken else "Applied" for change in changes],
                [type(outcome).__name__ for outcome in outcomes],
                "the outcomes",
            )
            for change in changes:
                wanted = taken.get(change.record_id) or change.record or {}
                check_content(
                    wanted, other.get(THING.name, change.record_id), f"{change.record_id} after the push"
                )

    @rule(
        "TRANSPORT-05",
        "of one push take effect in the order given",
        requires=("batch", "ordered", "commits"),
    )
    def test_changes_of_one_push_take_effect_in_the_order_given(self, bench: TransportBench) -> None:
        """Where cursors are positions in the order of commits, followers meet the changes of a push in its order.

        Why: a task is pushed after the list that it names; where nothing is declared about references, only the order
        keeps them apart.
        Look at: changes that are sorted, grouped by kind or table, or sent side by side.
        """
        one, other = bench.pair()
        ids = [bench.id(stem) for stem in ("m", "z", "a", "q", "b")][: bench.capabilities.max_changes]
        cursor = bench.drain(other).cursor
        _ = push(one, [bench.change("insert", id, {"text": id}) for id in ids])
        seen: list[str] = []
        for _ in range(3 * len(ids)):
            page = other.pull(PullRequest(query=Query(THING.name), cursor=cursor, limit=1))
            seen += [str(record["id"]) for record in page.records]
            cursor = page.cursor
            if not page.more:
                break
        equal(ids, seen, "the records in the order in which they are pulled, one a page")

    @rule("TRANSPORT-06", "a version that changes with content")
    def test_applied_tells_the_version_that_the_record_has(self, bench: TransportBench) -> None:
        """`Applied` of an insert or update tells the version of the record, as another client reads it.

        Why: the next edit expects that version; with another one every second edit would be a conflict with oneself.
        Look at: the version of before the write; an ETag with its quotes here and without them there.
        """
        one, other = bench.pair()
        id = bench.id()
        told = bench.insert(one, id, text="a")
        equal(version_at(other, id), told, "the version that an insert was told")
        for text, expected in (("b", Version(told)), ("c", Anything())):
            told = bench.applied(one, bench.change("update", id, {"text": text}, expected))
            equal(version_at(other, id), told, "the version that an update was told")
            equal(told, version_at(one, id), "the version that the writer reads after the update")

    @rule("TRANSPORT-07", "`copy` is the remote's record or tombstone *as it is now*")
    def test_the_copy_of_applied_is_the_whole_record(self, bench: TransportBench) -> None:
        """The copy of an `Applied`, where there is one, is the whole record as the remote has it, with its version.

        Why: it becomes the user's record: a field that is missing there is lost, and an edit of somebody else unseen.
        Look at: an echo of what was sent; a reply with the changed fields only; a live copy for a delete.
        """
        one, other = bench.pair()
        id = bench.id()
        steps: list[Change] = [
            bench.change("insert", id, {"text": "a", "number": 1}),
            bench.change("update", id, {"text": "a", "number": 1, "flag": True}, Anything(), fields=["flag"]),
            bench.change("update", id, {"text": "b", "number": 0}, Anything(), fields=["text"]),
            bench.change("delete", id, None, Anything()),
        ]
        for client, change in zip((one, other, one, other), steps, strict=True):
            outcome = bench.send(client, change)
            if not isinstance(outcome, Applied):
                fail(f"{change.kind} should be Applied, and is {outcome!a:.300}")
            held = (one if client is other else other).get(THING.name, id)
            if change.kind == "delete":
                check_gone(outcome.copy, "the copy of an applied delete")
            elif outcome.copy is not None:
                check_copy(held, outcome.copy, f"the copy of an applied {change.kind}")

    @rule("TRANSPORT-08", "a version that changes with content")
    def test_every_change_of_content_changes_the_version(self, bench: TransportBench) -> None:
        """A record has another version after each change of its content, however fast they come, and not before.

        Why: two contents under one version: an edit that expects it overwrites what its user never saw.
        Look at: a version made of whole seconds or milliseconds; one of some fields only; one that reading changes.
        """
        one, other = bench.pair()
        id, neighbour = bench.id(), bench.id()
        version = bench.insert(one, id, text="a", number=0)
        content: Record = {"text": "a", "number": 0}
        for field, value in (("number", 1), ("text", "b"), ("extra", "c"), ("number", 2), ("number", 3)):
            client = other if field == "text" else one
            content[field] = value
            change = bench.change("update", id, content, Version(version), fields=[field])
            new = bench.applied(client, change)
            true(new != version, f"the version is {new!a} before and after {field} became {value!a}")
            version = new
        _ = bench.insert(other, neighbour, text="a")
        equal(version, version_at(other, id), "the version after another record was written")
        equal(version, version_at(one, id), "the version when it is read again")

    @rule("TRANSPORT-09", "Fields outside `fields` are the remote's")
    def test_an_update_writes_the_named_fields_only(self, bench: TransportBench) -> None:
        """An update that expects anything leaves every field that it does not name as the remote has it.

        Why: two people edit two fields of one record; the second to push takes back the edit of the first.
        Look at: a PUT of the whole `record`, or a write of its fields where only `fields` is meant.
        """
        one, other = bench.pair()
        id = bench.id()
        _ = bench.insert(one, id, text="a", number=1, extra="kept")
        edited: Record = {"text": "a", "number": 2, "extra": "kept", "flag": True}
        held = Version(version_at(other, id))
        _ = bench.applied(other, bench.change("update", id, edited, held, fields=["number", "flag"]))
        stale: Record = {"text": "b", "number": 1, "extra": "of then"}
        _ = bench.applied(one, bench.change("update", id, stale, Anything(), fields=["text"]))
        check_content(
            {"id": id, "text": "b", "number": 2, "flag": True, "extra": "kept"},
            other.get(THING.name, id),
            "the record after both updates",
        )

    @rule("TRANSPORT-10", "`fields` names what changed")
    def test_an_update_that_names_nothing_changes_nothing(self, bench: TransportBench) -> None:
        """An update that names no field is `Applied` where its expectation holds, and leaves every field as it is.

        Why: an application that saves what it has not changed gets an error, or takes back what others wrote.
        Look at: an empty body that the remote refuses; no fields taken for all of them.
        """
        one, other = bench.pair()
        id = bench.id()
        first = bench.insert(one, id, text="a", number=1)
        second = bench.update(other, id, first, text="b", number=1)
        for expected in (Version(second), Anything()):
            change = bench.change("update", id, {"text": "of then", "number": 0}, expected, fields=[])
            _ = bench.applied(one, change)
            check_content({"id": id, "text": "b", "number": 1}, other.get(THING.name, id), "get() after it")
        stale = bench.change("update", id, {"text": "a", "number": 1}, Version(first), fields=[])
        conflicted(bench.send(one, stale), other.get(THING.name, id), "one that expects an older version")

    @rule("TRANSPORT-11", "one of `fields` that is not in `record` was removed")
    def test_a_named_field_that_the_record_has_not_is_removed(self, bench: TransportBench) -> None:
        """An update that names a field which its record does not hold removes it, or makes it null; so does a null.

        Why: what the user cleared would come back with the next pull.
        Look at: a loop over the fields of `record` only; a serialiser that leaves nulls out of a patch.
        """
        one, other = bench.pair()
        id = bench.id()
        version = bench.insert(one, id, text="a", number=1, extra="b", tree=[1])
        change = bench.change(
            "update", id, {"text": None, "number": 1}, Version(version), fields=["text", "extra", "tree"]
        )
        version = bench.applied(one, change)
        check_content({"id": id, "number": 1}, other.get(THING.name, id), "the record after the update")
        _ = bench.update(one, id, version, number=1, text="c")
        check_content({"id": id, "number": 1, "text": "c"}, other.get(THING.name, id), "set again")
        last = bench.id("last")
        held = Version(bench.insert(one, last, extra="a"))
        _ = bench.applied(one, bench.change("update", last, {}, held, fields=["extra"]))
        check_content({"id": last}, other.get(THING.name, last), "the last field of a record was removed")

    @rule("TRANSPORT-12", "a delete of what is gone is `Applied`")
    def test_a_delete_of_what_is_gone_is_applied(self, bench: TransportBench) -> None:
        """A delete of what was deleted by somebody else, or never was there, is `Applied`, whatever it expects.

        Why: both users wanted it gone, and it is: a refusal would be an error that nobody can mend.
        Look at: a 404 or 410 that becomes `Rejected`; a row count of 0 that becomes `Conflicted`.
        """
        one, other = bench.pair()
        gone, never = bench.id(), bench.id("never")
        version = bench.insert(one, gone, text="a")
        bench.delete(other, gone, version)
        for id in (gone, never):
            for expected in (Version(version), Anything()):
                outcome = bench.send(one, bench.change("delete", id, None, expected))
                if not isinstance(outcome, Applied):
                    fail(
                        f"a delete of what is gone, expecting {expected}, should be Applied, and is {outcome!a:.300}"
                    )
                check_gone(outcome.copy, "the copy of an applied delete")
                check_gone(other.get(THING.name, id), "get() after the delete")

    @rule("TRANSPORT-13", "`max_changes` and `max_bytes` bound one push", requires=("batch",))
    def test_a_push_may_have_as_many_changes_as_declared(self, bench: TransportBench) -> None:
        """A push of exactly `max_changes` small changes is taken whole.

        Why: a long time offline ends in pushes of this size, and they would fail for ever.
        Look at: a limit that is one too high; limits of statements, parameters or request bodies on the way.
        """
        one, other = bench.pair()
        size = min(bench.capabilities.max_changes, bench.profile.many)
        ids = [bench.id("full") for _ in range(size)]
        outcomes = push(one, [bench.change("insert", id, {"number": n}) for n, id in enumerate(ids)])
        others = [
            (id, outcome)
            for id, outcome in zip(ids, outcomes, strict=True)
            if not isinstance(outcome, Applied)
        ]
        true(not others, f"{len(others)} of {size} are not Applied, first {others[:1]!a:.300}")
        for place in sorted({0, size // 2, size - 1}):
            check_content(
                {"id": ids[place], "number": place}, other.get(THING.name, ids[place]), f"place {place}"
            )

    @rule("TRANSPORT-14", "Read one record as it is now")
    def test_one_id_in_two_tables_is_two_records(self, bench: TransportBench) -> None:
        """Records of two tables may have one id, and have nothing else in common.

        Why: ids are unique in their table; a user's settings would overwrite the user.
        Look at: keys made of the id alone: rows, versions, caches, operation ids.
        """
        one, other = bench.pair()
        id = bench.id()
        _ = bench.insert(one, id, text="thing")
        check_gone(other.get(NOTE.name, id), f"{NOTE.name}/{id}, which nobody inserted")
        version = bench.insert(one, id, text="note", table=NOTE.name)
        check_content({"id": id, "text": "thing"}, other.get(THING.name, id), THING.name)
        bench.delete(one, id, version, table=NOTE.name)
        check_content(
            {"id": id, "text": "thing"}, other.get(THING.name, id), f"{THING.name} after the delete"
        )
        check_gone(other.get(NOTE.name, id), f"{NOTE.name} after the delete")

    @rule("TRANSPORT-15", "Send changes of different records, none dependent on another", requires=("batch",))
    def test_one_push_may_have_changes_of_two_tables(self, bench: TransportBench) -> None:
        """The changes of one push may be of different tables, in any order, and of different kinds.

        Why: the engine sends what is ready, and users edit whatever they like.
        Look at: the table of the first change taken for all; changes grouped by table whose outcomes stay so.
        """
        one, other = bench.pair()
        here, there, shared = bench.id(), bench.id(), bench.id()
        before = bench.insert(one, here, text="old")
        bench.insert(one, there, text="old", table=NOTE.name)
        changes = [
            bench.change("insert", shared, {"text": "note"}, table=NOTE.name),
            bench.change("update", here, {"text": "new"}, Version(before)),
            bench.change("delete", there, None, Anything(), table=NOTE.name),
            bench.change("insert", shared, {"text": "thing"}),
        ]
        size = min(bench.capabilities.max_changes, len(changes))
        for start in range(0, len(changes), size):
            part = changes[start : start + size]
            for change, outcome in zip(part, push(one, part), strict=True):
                held = other.get(change.table, change.record_id)
                _applied_as_sent(change, outcome, held, f"{change.kind} in {change.table}")


def _alternating(bench: TransportBench, size: int, odd: int) -> tuple[list[Change], dict[str, Record]]:
    """Inserts of which every second one meets a record that is there already, and those records by id."""
    other = bench.clients[1]
    ids = [bench.id() for _ in range(size)]
    taken: dict[str, Record] = {}
    for id in ids[odd::2]:
        _ = bench.insert(other, id, text=f"there as {id}")
        taken[id] = record_of(other, id)
    return [bench.change("insert", id, {"text": f"sent as {id}"}) for id in ids], taken


def _applied_as_sent(change: Change, outcome: object, held: Record | Tombstone | None, what: str) -> None:
    if not isinstance(outcome, Applied):
        fail(f"{what}: {change.kind} of {change.record_id!a} should be Applied, found {outcome!a:.300}")
    if change.record is None:
        check_gone(held, f"{what}: Applied, and get()")
        return
    check_content(change.record, held, f"{what}: Applied, and get()")
    if alive(held) and outcome.version is not None:
        equal(held.get("version"), outcome.version, f"{what}: the version")
