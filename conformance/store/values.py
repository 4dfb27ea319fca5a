"""Rules about what comes back: every value of JSON, bit for bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from copy import deepcopy
from typing import Any, Final

import attrs

from tidesync.conformance import strategies
from tidesync.conformance.expect import equal, true, works
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put, refill
from tidesync.conformance.store.tables import ALL, THING
from tidesync.query import Query
from tidesync.records import INT_MAX, INT_MIN, SYSTEM_FIELDS, Json, Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

FIELDS: Final = ("any", "tree", "extra", "version")
"""A column of any type, one of JSON, a field that no schema names, and one of the remote's."""
TYPED: Final = TableSchema("typed", tuple(Column(each.value, each) for each in ColumnType))
"""A column of each type, under the type's own name."""
LEVELS: Final = 64
_KEYS: Final = (
    "", " ", '"', "'", "`", "]", "a.b", "$", "$.a", "$[0]", "__rest", "__proto__", "order", "rowid", "ROWID", "oid",
    "Text", "TEXT", "ID", "Id", "é", "e\u0301", "\0", "a\0b", "\U00010000", "\uffff", "a\\b", "?1", ":a", "x" * 1_000,
)  # fmt: skip
_TEXTS: Final = (
    *strategies.TEXTS, "a\0b\0", "\x7f", "\x80", "\u2028", "\ufeff", "\ufdd0", "ﬁ", "\u200d", "\r\n", "a\rb", "\\u0000",
    "\\", "0x10", "1e400", "Infinity", "🎣" * 1_000, "x" * 5_000,
)  # fmt: skip
_FLOATS: Final = (*strategies.FLOATS, 1e16, 123456789.0, 1 / 3, 1e-7, 100.0, -1e300, 4.35, 2.675)
_TREES: Final[tuple[Json, ...]] = (
    [], {}, [[]], [{}], {"": {}}, {"a": []}, [None], {"a": None}, [True, 1, 1.0, "1", None, -0.0], [[1], [[2.0]]],
    {"a": 1, "A": 2, "á": 3, "a\u0301": 4}, {key: key for key in _KEYS}, {"é": ["\0", "🎣"], "n": 2**53 + 1},
    {"id": "not this one", "__type__": "x"}, [INT_MIN, INT_MAX, 5e-324], list(range(500)),
)  # fmt: skip


def nested(levels: int) -> Json:
    """Lists and objects around a number, so many levels deep."""
    value: Json = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def comes_back(bench: StoreBench, values: Iterable[Json], fields: Iterable[str] = FIELDS) -> None:
    """Put each of the values in each of the fields: get and select must give it as it was."""
    everything = list(values)
    given = [(field, value) for field in fields for value in bench.domain.legal_values(field, everything)]
    ids = bench.ids(len(given))
    records: list[Record] = [{"id": id, field: value} for id, (field, value) in zip(ids, given, strict=True)]
    returned(bench, records)


def returned(bench: StoreBench, records: list[Record], table: TableSchema = THING) -> None:
    """Put the records, whose ids are in order: get and select must give them as they were."""
    store = bench.open(table)
    with works("put of records that are legal"):
        put(store, *deepcopy(records), table=table.name)
    with store.transaction(write=False) as transaction:
        found = transaction.get(table.name, [str(record["id"]) for record in records])
        listed = list(transaction.select(Query(table.name)))
    for record, one in zip(records, found, strict=True):
        equal(record, one, "get")
    equal(records, listed, "select")


class Values:
    """Rules about what comes back: every value of JSON, bit for bit."""

    @rule("STORE-64", "signed 64-bit integers")
    def test_integers_keep_their_bits(self, bench: StoreBench) -> None:
        """Integers of 64 bits come back as they are, also those that no float holds.

        Why: ids of other systems and amounts in cents change by one, and nobody notices.
        Look at: numbers that pass through a float, through JSON of another language, or a column of 32 bits.
        """
        comes_back(bench, (*strategies.INTEGERS, 2**24 + 1, 2**31 - 1, 2**32, -(2**31) - 1, 10**18 + 1))

    @rule("STORE-65", "finite floats bit for bit")
    def test_floats_keep_their_bits(self, bench: StoreBench) -> None:
        """Floats come back bit for bit: 1.0 is not 1, -0.0 keeps its sign, and the smallest are not zero.

        Why: a record that comes back otherwise looks edited, and is pushed as a change that nobody made.
        Look at: floats kept as text of less than 17 digits; whole floats kept as integers; flushing to zero.
        """
        comes_back(bench, _FLOATS)

    @rule("STORE-66", "null, bool, signed 64-bit integers")
    def test_booleans_are_no_numbers(self, bench: StoreBench) -> None:
        """True and false come back as booleans, 1 and 0 as numbers, and null as null, in a column of any type.

        Why: `complete: 1` is another value than `complete: true`, to the remote and to every query.
        Look at: databases that have no booleans, and bindings that write True as 1.
        """
        comes_back(bench, (True, 1, 1.0, False, 0, 0.0, None, "true", "1"), (*FIELDS, *THING.by_name))

    @rule("STORE-67", "any text without lone surrogates (NUL included)")
    def test_texts_keep_their_characters(self, bench: StoreBench) -> None:
        """Texts come back character by character: NUL, characters beyond 16 bits, composed and decomposed ones.

        Why: a text that is cut at a NUL, normalized or trimmed is data that the user loses.
        Look at: C strings, Unicode normalization, `strip`, line ends, an encoding that is not UTF-8, limits of columns.
        """
        comes_back(bench, _TEXTS, (*FIELDS, "text"))

    @rule("STORE-68", "lists, objects, 64 levels deep")
    def test_structures_keep_their_parts(self, bench: StoreBench) -> None:
        """Lists and objects come back with every key and every value in them as it was, whatever the keys are.

        Why: settings, tags and addresses are nested, and keys are the user's own words.
        Look at: empty lists kept as null; keys that are normalized, or differ in case only; numbers inside JSON text.
        """
        comes_back(bench, _TREES)

    @rule("STORE-69", "lists, objects, 64 levels deep")
    def test_nesting_goes_to_the_limit(self, bench: StoreBench) -> None:
        """A value nested in 64 levels of lists and objects comes back.

        Why: the engine keeps whole records inside values of its own tables, which are nested deeper than the user's.
        Look at: limits of the JSON functions of the database; a check of the depth that is off by one.
        """
        comes_back(bench, [nested(levels) for levels in (1, 2, 10, 62, 63, LEVELS)])

    @rule("STORE-70", "Absent is not null")
    def test_absent_is_not_null(self, bench: StoreBench) -> None:
        """A field that a record has not is not there when it comes back; one that is null is there.

        Why: an update that sends null where there was nothing overwrites what the remote fills in by itself.
        Look at: columns that are NULL for both; a default for what is missing.
        """
        names = bench.domain.trimmed({"id": "", **dict.fromkeys((*THING.by_name, *FIELDS))}).keys() - {"id"}
        everything: Record = dict.fromkeys(names)
        contents: list[Record] = [{}, everything]
        for name in sorted(names):
            contents.append({name: None})
        ids = bench.ids(len(contents))
        returned(bench, [{"id": id, **content} for id, content in zip(ids, contents, strict=True)])

    @rule("STORE-71", "where it does not fit the declared type")
    def test_a_column_holds_what_does_not_fit_it(self, bench: StoreBench) -> None:
        """Any value comes back exactly from a column of any type, in another spelling or of another kind, too.

        Why: a remote may send what the class does not expect; the user sees it, and the remote gets it back unchanged.
        Look at: columns that convert ("1.50" to 1.5, 1 to 1.0, "007" to 7), and dates that are parsed and written anew.
        """
        samples: list[Json] = [
            None, True, False, 0, 1, -1, 2**53 + 1, 1.0, 1.5, -0.0, "", "a", "1", "007", "1.0", "1.50", "1e3", "-0",
            " 1", "true", "null", "2026-11-20", "2026-11-20T03:45:05Z", "03:45:05.507000",
            "2026-02-31", "0190A6F2-7C1E-7A3B-8F00-1234567890AB", "AAH/", "aa==", "NaN", "\0", [], {}, [1], {"a": 1.0},
        ]  # fmt: skip
        names = sorted(TYPED.by_name)
        records: list[Record] = [dict.fromkeys(names, sample) for sample in samples]
        ids = bench.ids(len(records))
        whole = [{"id": id, **record} for id, record in zip(ids, records, strict=True)]
        returned(bench, [bench.domain.trimmed(record) for record in whole], TYPED)

    @rule("STORE-72", "A field may have any such text as its name")
    def test_fields_may_have_any_name(self, bench: StoreBench) -> None:
        """A field that the schema does not name is kept under its own name, however odd.

        Why: fields are named by remotes and by newer versions of an application, not by the store.
        Look at: names that are pasted into SQL or into a JSON path; names that differ in case only; `__rest` itself.
        """
        content: Record = {name: [name, number] for number, name in enumerate(_KEYS)}
        whole, *ids = bench.ids(1 + len(content))
        records = [{"id": whole, "text": "declared", **content}]
        records += [{"id": id, name: content[name]} for id, name in zip(ids, content, strict=True)]
        returned(bench, [bench.domain.trimmed(record) for record in records])

    @rule("STORE-73", "Every JSON value comes back exactly")
    def test_any_record_comes_back(self, bench: StoreBench) -> None:
        """Any record comes back from any table exactly: by id, in a select, and after it replaced another.

        Why: whatever the other rules about values do not think of.
        Look at: the smallest record that Hypothesis found; which field, and which value.
        """
        names = (f"thing_{number}" for number in itertools.count())
        store = bench.open()

        def comes_back(table: TableSchema, records: list[Record], later: list[Record]) -> None:
            table = attrs.evolve(table, name=next(names))
            store.open([table])
            # By chance alone a record would seldom replace another one.
            olds = [record["id"] for record in records[::2]]
            replacing = [{**record, "id": old} for record, old in zip(later, olds, strict=False)]
            later = [*replacing, *later[len(olds) :]]
            put(store, *deepcopy(records), table=table.name)
            put(store, *deepcopy(later), table=table.name)
            expected = {str(record["id"]): record for record in (*records, *later)}
            with store.transaction(write=False) as transaction:
                equal(list(expected.values()), transaction.get(table.name, list(expected)), "get")
                in_order = [expected[id] for id in sorted(expected)]
                equal(in_order, list(transaction.select(Query(table.name))), "select")

        bench.each(
            comes_back,
            table=strategies.schemas(),
            records=strategies.rows(strategies.WIDE, bench.domain),
            later=strategies.rows(strategies.WIDE, bench.domain, max_size=3),
        )

    @rule("STORE-74", "ids are one only if they are the same text")
    def test_ids_are_told_apart(self, bench: StoreBench) -> None:
        """Ids that differ in case, composition, spaces or zeros are ids of different records, in every call.

        Why: two records become one, and one of them is lost.
        Look at: collations, normalization, ids kept as numbers, trimmed or cut at a NUL; file names made of ids.
        """
        ids = {*strategies.IDS, "x" * 254, "x" * 254 + "y", "\0", "a\0", "a\0c", "1e3", "0"}
        records: list[Record] = [{"id": id, "any": id} for id in bench.domain.legal_ids(sorted(ids))]
        records = [bench.domain.trimmed(record) for record in records]
        returned(bench, records)
        store = bench.filled(*records)
        for number, record in enumerate(records):
            with store.transaction(write=True) as transaction:
                equal(
                    1, transaction.delete(THING.name, [str(record["id"])]), f"delete of {record['id']!a:.40}"
                )
                equal(
                    records[number + 1 :],
                    list(transaction.select(ALL)),
                    f"after delete of {record['id']!a:.40}",
                )

    @rule("STORE-75", "An id is any such text that is not empty")
    def test_ids_may_be_long(self, bench: StoreBench) -> None:
        """Ids of thousands of characters are kept whole, and told apart by their last one.

        Why: the engine's own rows have ids made of a table's name and a record's id of up to 255 characters.
        Look at: limits of keys (511 bytes in LMDB, 255 in file names), and prefixes that are compared.
        """
        sizes = (255, 256, 512, 1_024, 4_000)
        ids = [f"{start * size}{end}" for size in sizes for start in ("x", "🎣") for end in ("", "a", "b")]
        returned(bench, [{"id": id} for id in sorted(bench.domain.legal_ids(ids))])

    @rule("STORE-76", "Every JSON value comes back exactly")
    def test_records_may_be_large(self, bench: StoreBench) -> None:
        """A text of a megabyte, a list of ten thousand values and a record of a thousand fields come back.

        Why: notes hold pasted pages and pictures as text.
        Look at: limits of rows, of pages and of columns; quadratic joining of text.
        """
        pieces: tuple[tuple[str, Json], ...] = (
            ("text", "naïve 🎣\0" * 2**17),
            ("extra", "x" * 2**20),
            ("tree", [[number, str(number)] for number in range(5_000)]),
            *((f"field_{number}", number) for number in range(1_000)),
        )
        (id,) = bench.ids(1)
        returned(bench, [bench.domain.trimmed({"id": id, **dict(pieces)})])

    @rule("STORE-77", "A record belongs to the caller once returned, and to the store once put")
    def test_what_was_put_belongs_to_the_store(self, bench: StoreBench) -> None:
        """Changing a record after it was put changes nothing in the store, however deep the change is.

        Why: an application goes on with its object, and the store must not change without a transaction.
        Look at: a store that keeps the dict it was given, or copies only its first level.
        """
        store = bench.open()
        first, second = bench.ids(2)
        shared: dict[str, Any] = {"b": [2]}
        given: Record = {"id": first, "any": [{"a": 1}], "tree": shared, "extra": [shared], "text": "x"}
        again: Record = {"id": second, "tree": shared}
        expected = deepcopy([given, again])
        records = [given, again]
        with store.transaction(write=True) as transaction:
            transaction.put(THING.name, records)
            records.clear()
            given["any"][0]["a"] = 9  # type: ignore[index]  # it holds a list of objects
            shared["b"].append(9)
            shared["c"] = 9
            given["text"] = "y"
            del given["extra"]
            given["more"] = 1
            equal(expected, list(transaction.select(ALL)), "in the transaction")
        shared["b"].append(10)
        equal(expected, held(store), "after it")

    @rule("STORE-78", "A record belongs to the caller once returned, and to the store once put")
    def test_what_was_returned_belongs_to_the_caller(self, bench: StoreBench) -> None:
        """Changing a record that came from get or select changes nothing in the store, nor in another answer.

        Why: an application edits what it has read, and may then decide not to save it.
        Look at: a store or a cache that hands out the same dict twice; a part of a record that shares its lists.
        """
        (id,) = bench.ids(1)
        expected: Record = {"id": id, "any": [{"a": 1}], "tree": {"b": [2]}, "extra": [[3]], "text": "x"}
        store = bench.filled(deepcopy(expected))
        part = Query(THING.name, fields=("any", "tree", "extra", "text"))
        for write in (True, False):
            with store.transaction(write=write) as transaction:
                answers = [
                    *transaction.get(THING.name, [id, id]),
                    *transaction.select(ALL),
                    *transaction.select(part),
                ]
                for answer in answers:
                    equal(expected, answer, "an answer, after another one was changed")
                    true(answer is not None, "get gives None for a record that is there")
                    if answer is not None:
                        _spoil(answer)
            equal([expected], held(store), "what the store holds, after answers were changed")

    @rule("STORE-79", "Insert or replace whole records, by id")
    def test_put_sees_every_difference(self, bench: StoreBench) -> None:
        """Put replaces a record by one that differs from it only in the type or the composition of a value.

        Why: 1 for true is a change that the user made, and Python's `==` does not see it.
        Look at: a put that leaves out what is equal to what is there; a change that is looked for with `==`.
        """
        sequence: tuple[Json, ...] = (
            1, True, 1.0, "1", True, 1, 0, False, 0.0, -0.0, 0, None, "é", "e\u0301", [1], [True], [1.0], {"a": 0},
            {"a": -0.0}, {"a": False}, {"a": None}, {}, [], "", None,
        )  # fmt: skip
        (id,) = bench.ids(1)
        for field in ("any", "extra", "number", "flag"):
            store = bench.open()
            for value in bench.domain.legal_values(field, sequence):
                put(store, {"id": id, field: value})
                equal([{"id": id, field: value}], held(store), "after a put")
            refill(store, [{"id": id}])
            equal([{"id": id}], held(store), "after a put without the field")


def _spoil(record: Record) -> None:
    record["any"][0]["a"] = 9  # type: ignore[index]  # it holds a list of objects
    record["tree"]["b"].append(9)  # type: ignore[index, call-overload, union-attr]
    record["extra"][0][0] = 9  # type: ignore[index]  # it holds a list of objects
    record["text"] = "y"
    record["more"] = SYSTEM_FIELDS[0]
