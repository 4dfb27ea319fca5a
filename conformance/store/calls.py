"""Rules about single calls: put, get, delete, and what is empty, repeated or large."""

from __future__ import annotations

from tidesync.conformance.expect import equal
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put
from tidesync.conformance.store.tables import THING
from tidesync.records import Record


class Calls:
    """What one call does."""

    @rule("STORE-01", "What a store declares beyond the rules")
    def test_capabilities_are_as_declared(self, bench: StoreBench) -> None:
        """A store has the capabilities that its author declared, before it is open and after.

        Why: an application decides by them whether a crash may lose writes, or a second process may open the file.
        Look at: the `capabilities` property, and the declaration in the test class.
        """
        store = bench.make()
        equal(bench.capabilities, store.capabilities, "before open")
        store.open([THING])
        equal(bench.capabilities, store.capabilities, "after open")

    @rule("STORE-02", "Insert or replace whole records, by id")
    def test_put_replaces_whole_records(self, bench: StoreBench) -> None:
        """Put inserts what is new and replaces what is there, whole: fields of the old record do not stay.

        Why: the engine puts what a record is from now on; a field that stays is one that the user removed.
        Look at: an upsert that updates the named columns only, or that merges JSON.
        """
        store = bench.filled({"id": "1", "text": "a", "number": 1, "extra": 1}, {"id": "2"})
        put(store, {"id": "1", "flag": True})
        expected: list[Record] = [{"id": "1", "flag": True}, {"id": "2"}]
        equal(expected, held(store))
