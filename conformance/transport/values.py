"""Rules about what travels: every value, and large records."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from tidesync.conformance.expect import equal, true
from tidesync.conformance.rules import rule
from tidesync.conformance.strategies import FLOATS, INTEGERS, fitting, json_values
from tidesync.conformance.transport.awkward import (
    IDS,
    MOMENTS,
    NAMES,
    TEXTS,
    TREES,
    check_values,
    refused_or_whole,
)
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.copies import (
    check_content,
    content,
    insert_all,
    push_all,
)
from tidesync.conformance.transport.tables import THING
from tidesync.contracts.transport import Applied, Change, PullRequest, Transport, Version
from tidesync.query import Query
from tidesync.records import RECORD_DEPTH, Copy, Json, Record, alive, version_of
from tidesync.values import copy_json


class Values:
    """Rules about what travels: every value, and large records."""

    @rule("TRANSPORT-62", "any JSON value by its type")
    def test_text_travels_as_it_is(self, bench: TransportBench) -> None:
        """Text comes back letter for letter: empty, with control characters, in any script, in any form of Unicode.

        Why: names and notes of users; what comes back otherwise looks like an edit, and is pushed again.
        Look at: escapes, trimming, normal forms, line ends; text that is taken for a number, a date or null.
        """
        check_values(bench, {"text": TEXTS})

    @rule("TRANSPORT-63", "any JSON value by its type")
    def test_integers_travel_as_they_are(self, bench: TransportBench) -> None:
        """Integers of 64 bits come back digit for digit.

        Why: an identifier or an amount that is off by one is wrong, and nobody sees it.
        Look at: JSON numbers that pass through floats (JavaScript, some parsers); columns of 32 bits.
        """
        check_values(bench, {"number": INTEGERS})

    @rule("TRANSPORT-64", "any JSON value by its type")
    def test_floats_travel_as_they_are(self, bench: TransportBench) -> None:
        """Floats come back with all their bits, and as floats: 1.0 is not 1, and -0.0 not 0.0.

        Why: sums differ between devices; a value that changes its type looks like an edit.
        Look at: printing with fewer than 17 digits, floats of 32 bits, whole floats that become integers.
        """
        check_values(bench, {"ratio": FLOATS})

    @rule("TRANSPORT-65", "any JSON value by its type")
    def test_moments_travel_as_they_are(self, bench: TransportBench) -> None:
        """Datetimes come back in canonical form: UTC, six decimals, the years 1 to 9999.

        Why: a reminder an hour off; an edit that is found each time because milliseconds are cut.
        Look at: columns with a local time zone or with milliseconds; parsers that begin in 1970.
        """
        check_values(bench, {"at": MOMENTS})

    @rule("TRANSPORT-66", "any JSON value by its type")
    def test_trees_travel_as_they_are(self, bench: TransportBench) -> None:
        """Lists and objects come back as they are, nulls and empty ones in them included, and so do true and false.

        Why: the application keeps what it likes in them.
        Look at: nulls that are dropped at every level; keys that a database reserves; JSON text of JSON text.
        """
        deep: Json = 1
        for level in range(RECORD_DEPTH):
            deep = [deep] if level % 2 else {"a": deep}
        check_values(bench, {"tree": (*TREES, deep), "flag": (True, False)})

    @rule("TRANSPORT-67", "fields that no schema names too")
    def test_fields_that_no_schema_names_travel_too(self, bench: TransportBench) -> None:
        """Fields that the schema does not name travel with any value, also after an update of another field.

        Why: a newer version of the application has more fields, and the older one must not lose them.
        Look at: rows that are put together from the declared columns; values that are turned into text.
        """
        check_values(
            bench,
            {
                "extra": ("", "a", "1", "\u00e9", "null"),
                "extra_flag": (True, False),
                "extra_number": (0, 1, -1, 2**53 + 1),
                "extra_ratio": (0.5, 1.0, -0.0, 0.1),
                "extra_tree": TREES,
                "anything": (True, 1, 1.0, "1", [1], {"a": 1}),
            },
        )
        one, other = bench.pair()
        id = bench.id()
        record = bench.domain.trimmed({"id": id, "text": "a", "extra": "b", "extra_tree": [1, {"a": None}]})
        version = bench.applied(one, bench.change("insert", id, record))
        edited: Record = {**record, "text": "c"}
        _ = bench.applied(one, bench.change("update", id, edited, Version(version), fields=["text"]))
        check_content(edited, other.get(THING.name, id), "after an update of another field")

    @rule("TRANSPORT-68", "fields that no schema names too")
    def test_names_of_fields_travel_as_they_are(self, bench: TransportBench) -> None:
        """A field may have any name: with spaces, dots or quotes, empty, in any script; case tells two names apart.

        Why: names come from users, too: the columns of a table, the questions of a form.
        Look at: names as parts of SQL or of paths; names that mean something to the wire or the remote.
        """
        one, other = bench.pair()
        legal = [name for name in NAMES if bench.domain.values(name, "a")]
        record: Record = {"id": bench.id(), "text": "a", **{name: f"of {name}" for name in legal}}
        insert_all(bench, one, [record])
        check_content(record, other.get(THING.name, str(record["id"])), "the record with all names")
        for name in NAMES:
            if name not in legal:
                refused_or_whole(bench, one, other, {"id": bench.id(), name: "a"})

    @rule("TRANSPORT-69", "Records travel as they are: any id")
    def test_ids_travel_as_they_are(self, bench: TransportBench) -> None:
        """A record may have any legal id: it is inserted, read, pulled, updated and deleted under it, and no other is.

        Why: ids come from users, from other systems, from the names of files.
        Look at: ids in paths and filters without escapes, or with two; folding of case or Unicode; spaces at an end.
        """
        one, other = bench.pair()
        ids = IDS
        legal = bench.domain.legal_ids(ids)
        records: dict[str, Record] = {id: {"id": id, "number": place} for place, id in enumerate(legal)}
        insert_all(bench, one, records.values())
        pulled = bench.drain(other).records
        for id, record in records.items():
            check_content(record, other.get(THING.name, id), f"get() of {id!a}")
            check_content(record, pulled.get(id), f"{id!a} in a pull")
        changes: list[Change] = []
        for place, (id, record) in enumerate(records.items()):
            if place % 2:
                changes.append(bench.change("delete", id, None, Version(version_of(pulled[id]) or "")))
            else:
                record["number"] = -place - 1
                changes.append(bench.change("update", id, record, Version(version_of(pulled[id]) or "")))
        for change, outcome in zip(changes, push_all(bench, one, changes), strict=True):
            true(
                isinstance(outcome, Applied), f"{change.kind} of {change.record_id!a}: found {outcome!a:.300}"
            )
        now = bench.drain(other).records
        kept = {change.record_id: records[change.record_id] for change in changes if change.kind == "update"}
        equal(
            kept, {id: content(record) for id, record in now.items()}, "all records after updates and deletes"
        )
        for id in ids:
            if id not in records:
                refused_or_whole(bench, one, other, {"id": id, "number": 1})

    @rule("TRANSPORT-70", "At the top of a record null and absent are one")
    def test_null_is_null_or_absent(self, bench: TransportBench) -> None:
        """A field that is null comes back null or absent: never as empty text, 0, false or the text "null".

        Why: "nothing chosen yet" is not "no".
        Look at: columns with a default, NOT NULL; templates that print None.
        """
        one, other = bench.pair()
        names = [*(column.name for column in THING.columns), "extra"]
        empty: Record = dict.fromkeys(names)
        some: Record = bench.domain.trimmed(
            {
                "id": "",
                "text": "a",
                "number": 1,
                "ratio": 0.5,
                "flag": True,
                "at": MOMENTS[0],
                "tree": [1],
                "extra": "b",
            }
        )
        del some["id"]
        id, later = bench.id(), bench.id()
        version = bench.applied(one, bench.change("insert", id, empty))
        check_content({"id": id}, other.get(THING.name, id), "inserted with nulls")
        version = bench.applied(one, bench.change("update", id, some, Version(version)))
        check_content({"id": id, **some}, other.get(THING.name, id), "after values were set")
        _ = bench.applied(one, bench.change("update", id, dict.fromkeys(some), Version(version)))
        check_content({"id": id}, other.get(THING.name, id), "after nulls were set")
        _ = bench.applied(one, bench.change("insert", later))
        check_content({"id": later}, other.get(THING.name, later), "inserted with an id only")

    @rule("TRANSPORT-71", "fields that no schema names too")
    def test_a_record_may_have_many_fields(self, bench: TransportBench) -> None:
        """A record with 200 fields travels whole, and an update of all of them, too.

        Why: forms are as long as people make them.
        Look at: limits of columns, of parameters of a statement, of the length of an address.
        """
        one, other = bench.pair()
        id = bench.id()
        fields = [name for name in (f"field_{n}" for n in range(200)) if bench.domain.values(name, "a")]
        version = bench.applied(
            one, bench.change("insert", id, {name: f"first of {name}" for name in fields})
        )
        edited: Record = {name: f"second of {name}" for name in fields}
        check: Record = {"id": id, **{name: f"first of {name}" for name in fields}}
        check_content(check, other.get(THING.name, id), "inserted")
        _ = bench.applied(one, bench.change("update", id, edited, Version(version)))
        check_content({"id": id, **edited}, other.get(THING.name, id), "updated")

    @rule("TRANSPORT-72", "What is given is not changed")
    def test_what_is_given_is_not_changed(self, bench: TransportBench) -> None:
        """`push` does not change the records that it is given, and what their owner does to them later has no effect.

        Why: they are the user's records, on their way from the queue: what is changed there is sent again changed.
        Look at: `pop` and `update` on `change.record`; a remote in memory that keeps the very objects.
        """
        one, other = bench.pair()
        id = bench.id()
        tree: list[Json] = [1, {"a": [2]}]
        insert: Record = {"id": id, "text": "a", "number": 1, "tree": tree}
        change = bench.change("insert", id, insert)
        given, before = change.record or {}, copy_json(change.record)
        version = bench.applied(one, change)
        equal(before, given, "the record that was given to push")
        tree.append("later")
        given["text"] = "later"
        check_content(
            {**insert, "text": "a", "tree": [1, {"a": [2]}]}, other.get(THING.name, id), "changed after push"
        )
        update = bench.change(
            "update", id, {"text": "b", "number": 1, "tree": [3]}, Version(version), fields=["text", "tree"]
        )
        before = copy_json(update.record)
        _ = bench.applied(one, update)
        equal(before, update.record, "the record that was given to an update")

    @rule("TRANSPORT-73", "what is returned is the caller's")
    def test_what_is_returned_is_the_callers(self, bench: TransportBench) -> None:
        """Records that `push`, `get` and `pull` return may be changed by who gets them, without any effect.

        Why: a record is handed to the application, which does with it what it likes.
        Look at: a cache that hands out its own objects; copies that share their lists.
        """
        one, other = bench.pair()
        id = bench.id()
        record: Record = {"id": id, "text": "a", "tree": [1, {"a": [2]}]}
        insert = bench.change("insert", id, deepcopy(record))
        outcome = bench.send(one, insert)
        page = one.pull(PullRequest(query=Query(THING.name)))
        copies = [
            outcome.copy if isinstance(outcome, Applied) else None,
            one.get(THING.name, id),
            *page.records,
        ]
        for copy in copies:
            if alive(copy):
                copy["text"] = "spoilt"
                tree = copy["tree"]
                if isinstance(tree, list):
                    tree.append("spoilt")
        check_content(record, insert.record, "the caller's record after what was returned was changed")
        for client in (one, other):
            check_content(record, client.get(THING.name, id), "get() after what was returned was changed")
            check_content(
                record, bench.drain(client).records.get(id), "a pull after what was returned was changed"
            )

    @rule("TRANSPORT-74", "any JSON value by its type")
    def test_any_record_travels_as_it_is(self, bench: TransportBench) -> None:
        """Whatever one client inserts, and updates, another gets and pulls: equal by type, in every field.

        Why: this is what sync is for.
        Look at: the smallest record that is shown; then how such a value is written, sent, kept and read.
        """
        one, other = bench.pair()

        def travels(contents: list[Any]) -> None:
            ids = [bench.id() for _ in contents]
            first = [
                bench.domain.trimmed({"id": id, **old}) for id, (old, _) in zip(ids, contents, strict=True)
            ]
            second = [
                bench.domain.trimmed({"id": id, **new}) for id, (_, new) in zip(ids, contents, strict=True)
            ]
            insert_all(bench, one, first)
            held = _read(other, ids)
            for record in first:
                check_content(record, held.get(str(record["id"])), "inserted by one client, read by another")
            updates = [
                bench.change("update", id, new, Version(version_of(held[id]) or ""), fields=_fields(old, new))
                for id, old, new in zip(ids, first, second, strict=True)
            ]
            for change, outcome in zip(updates, push_all(bench, other, updates), strict=True):
                true(
                    isinstance(outcome, Applied), f"update to {change.record!a:.300}: found {outcome!a:.300}"
                )
            held = _read(one, ids)
            for record in second:
                check_content(record, held.get(str(record["id"])), "updated by one client, read by another")

        several = st.lists(st.tuples(_contents(), _contents()), min_size=1, max_size=6)
        bench.each(travels, examples=max(10, bench.profile.examples // 4), contents=several)


def _read(client: Transport, ids: list[str]) -> dict[str, Copy]:
    """The first record by `get`, and all others by a pull of these ids: few requests, and both ways."""
    page = client.pull(PullRequest(query=Query(THING.name), ids=tuple(ids), incremental=False))
    return {**{str(record["id"]): record for record in page.records}, ids[0]: client.get(THING.name, ids[0])}


def _contents() -> st.SearchStrategy[Record]:
    """Records without an id: columns with values of their type or null, and fields that no schema names."""
    columns = st.fixed_dictionaries(
        {}, optional={column.name: st.none() | fitting(column.type) for column in THING.columns}
    )
    extras: st.SearchStrategy[Mapping[str, Any]] = st.dictionaries(
        st.sampled_from([name for name in NAMES if name != "Text"]), json_values(), max_size=3
    )
    return st.tuples(columns, extras).map(lambda pair: {**pair[0], **pair[1]})


def _fields(old: Record, new: Record) -> list[str]:
    """All fields of two records but the id."""
    return [name for name in {**old, **new} if name != "id"]
