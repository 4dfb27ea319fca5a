"""Rules about what a store refuses, since it is not JSON. It says where, and keeps nothing of it."""

from __future__ import annotations

import datetime
import decimal
import itertools
import uuid
from collections.abc import Sequence
from math import inf, nan
from typing import Any, Final

from tidesync.conformance.expect import equal, raises, true
from tidesync.conformance.rules import rule
from tidesync.conformance.store.bench import StoreBench, held, put
from tidesync.conformance.store.tables import ALL, THING
from tidesync.conformance.store.values import FIELDS, LEVELS, nested
from tidesync.errors import InvalidId, InvalidRecord
from tidesync.records import INT_MAX, INT_MIN, Record

EVERYWHERE: Final = tuple(dict.fromkeys((*FIELDS, *THING.by_name)))
"""Fields of every sort, and columns of all types."""
_OTHERS: Final = 20
"""Records that are put together with one that is refused."""


def refused(bench: StoreBench, values: Sequence[Any], fields: Sequence[str] = EVERYWHERE) -> None:
    """Put each value in each field, alone and after others: `InvalidRecord` that names the field, and no change."""
    store = bench.open()
    old, new, *others = bench.ids(2 + _OTHERS)
    before: list[Record] = [{"id": old}]
    put(store, *before)
    with store.transaction(write=True) as transaction:
        for field, value in itertools.product(fields, values):
            sound = [bench.domain.trimmed({"id": id, field: None}) for id in others]
            for there in ([], sound):
                what = f"{_short(value)} in {field!a}, after {len(there)} records"
                with raises(InvalidRecord, naming=field, what=what) as caught:
                    transaction.put(THING.name, [*there, {"id": new, field: value}])
                if caught.error is not None:
                    named = caught.error.field
                    true(
                        named.startswith(field),
                        f"{what}: the error's field should be {field!a}, and is {named!a}",
                    )
        equal(before, list(transaction.select(ALL)), "what there is, after what was refused")
    equal(before, held(store), "what was committed, after what was refused")


def _short(value: Any) -> str:
    """A value for messages, whose own repr might be endless."""
    return value.__class__.__name__ if type(value) in (list, dict) else f"{value!a:.40}"


class Refusals:
    """Rules about what a store refuses: what is not JSON."""

    @rule("STORE-80", "What is not JSON is `InvalidRecord`, naming the field")
    def test_not_a_number_is_refused(self, bench: StoreBench) -> None:
        """NaN and the infinities are `InvalidRecord`, at any depth of any field.

        Why: they are not JSON; written to a database they become null, or text that nobody can read back.
        Look at: `json.dumps` without `allow_nan=False`; a check of the declared columns alone.
        """
        refused(bench, (nan, inf, -inf, [nan], {"a": [inf]}, {"a": {"b": -inf}}))

    @rule("STORE-81", "What is not JSON is `InvalidRecord`, naming the field")
    def test_integers_beyond_64_bits_are_refused(self, bench: StoreBench) -> None:
        """An integer that does not fit 64 bits is `InvalidRecord`, at any depth of any field.

        Why: the next device, or the remote, reads a float, and the number is another one.
        Look at: integers kept inside JSON text, where nothing limits them; an unmapped overflow of the driver.
        """
        values = (INT_MAX + 1, INT_MIN - 1, 2**64, 10**400, [2**63], {"a": [-(2**63) - 1]})
        refused(bench, values)

    @rule("STORE-82", "any text without lone surrogates")
    def test_lone_surrogates_are_refused(self, bench: StoreBench) -> None:
        r"""Half of a surrogate pair is `InvalidRecord`, in a text, in a key, and at any depth.

        Why: no encoding can carry it, so that it would fail when it is sent, or come back as a question mark.
        Look at: `errors="surrogatepass"`, and JSON text that escapes it as `\ud800`.
        """
        values = (
            "\ud800",
            "\udfff",
            "a\ud800b",
            "\udc00\ud800",
            ["\ud800"],
            {"a": ["\udfff"]},
            {"\ud800": 1},
        )
        refused(bench, values)

    @rule("STORE-83", "What is not JSON is `InvalidRecord`, naming the field")
    def test_other_types_are_refused(self, bench: StoreBench) -> None:
        """What is of no JSON type is `InvalidRecord`: bytes, tuples, sets, dates, Decimals, keys that are not text.

        Why: a store that converts them gives back something else than was put, without a word.
        Look at: drivers that take bytes and dates; `json.dumps`, which makes lists of tuples and text of integer keys.
        """
        values: tuple[Any, ...] = (
            b"bytes", bytearray(b"a"), (1,), (), {1}, frozenset((1,)), 1j, object(), decimal.Decimal("1.5"),
            datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC), datetime.date(2026, 11, 20), uuid.UUID(int=1),
            range(3), {1: 2}, {None: 1}, {True: 1}, {"a": (1,)}, [b""], [{"a": {2}}],
        )  # fmt: skip
        refused(bench, values)

    @rule("STORE-84", "lists, objects, 64 levels deep")
    def test_what_is_nested_too_deeply_is_refused(self, bench: StoreBench) -> None:
        """A value nested in 65 levels is `InvalidRecord`, and one in 100,000 is so too, and no crash.

        Why: recursion without a limit ends the process, and what one store keeps another could not read.
        Look at: a check of the depth that is off by one; `RecursionError` from a parser or a copy.
        """
        refused(bench, [nested(levels) for levels in (LEVELS + 1, LEVELS + 2, 1_000, 100_000)], FIELDS)

    @rule(
        "STORE-85",
        "A field may have any such text as its name. What is not JSON is `InvalidRecord`, naming the field",
    )
    def test_names_of_fields_are_text(self, bench: StoreBench) -> None:
        """A field whose name is not text, or holds half of a surrogate pair, is `InvalidRecord`.

        Why: `json.dumps` makes text of a number, and the record comes back with another field.
        Look at: a check of values that forgets the keys.
        """
        store = bench.open()
        (id,) = bench.ids(1)
        names: tuple[Any, ...] = (1, None, True, 1.5, b"a", ("a",), "\ud800", "a\udfff")
        with store.transaction(write=True) as transaction:
            for name in names:
                with raises(InvalidRecord, what=f"a field named {name!a}"):
                    transaction.put(THING.name, [{"id": id, name: 1}])
        equal([], held(store))

    @rule("STORE-86", "An id is any such text that is not empty")
    def test_ids_hold_no_lone_surrogates(self, bench: StoreBench) -> None:
        """Half of a surrogate pair in an id is `InvalidId` or `InvalidRecord`, in put, get and delete; nothing happens.

        Why: two such ids may become one where they are encoded, and no remote takes them.
        Look at: ids that are encoded with `errors=` anything; a check of ids that looks at their type only.
        """
        (id,) = bench.ids(1)
        store = bench.filled({"id": id})
        with store.transaction(write=True) as transaction:
            for wrong in ("\ud800", "a\udfff", "\udc00\ud800"):
                with raises(InvalidId, InvalidRecord, what=f"put of {wrong!a}"):
                    transaction.put(THING.name, [{"id": wrong}])
                with raises(InvalidId, InvalidRecord, what=f"get of {wrong!a}"):
                    _ = transaction.get(THING.name, [id, wrong])
                with raises(InvalidId, InvalidRecord, what=f"delete of {wrong!a}"):
                    _ = transaction.delete(THING.name, [id, wrong])
        equal([{"id": id}], held(store))
