"""Values, ids and names with which wires and remotes have gone wrong, and the rule that each of them travels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tidesync.conformance import strategies
from tidesync.conformance.expect import fail, true
from tidesync.conformance.transport.bench import TransportBench
from tidesync.conformance.transport.copies import check_content, insert_all, push_all
from tidesync.conformance.transport.tables import THING
from tidesync.contracts.transport import Anything, Applied, Rejected, Transport
from tidesync.errors import InvalidId
from tidesync.records import Json, Record, check_id


def _can_be(id: str) -> bool:
    try:
        _ = check_id(THING.name, id)
    except InvalidId:
        return False
    return True


TEXTS: Final = (
    *strategies.TEXTS, "\n", "\r\n", "\t", "a\r", "\u2028", "\u00a0", "</script>", "&amp;", "a+b", "%41", "x" * 10_000,
)  # fmt: skip
"""Texts that escapes, trimming and guesses at types change."""
MOMENTS: Final = (
    "2026-11-20T03:45:05.507000Z", "2026-11-20T03:45:05.507001Z", "2026-11-20T03:45:05.999999Z",
    "1969-12-31T23:59:59.000000Z", "2024-02-29T00:00:00.000000Z", "0001-01-01T00:00:00.000000Z",
    "9999-12-31T23:59:59.999999Z",
)  # fmt: skip
"""Datetimes in canonical form."""
IDS: Final = tuple(
    id
    for id in (
        *strategies.IDS, "a/../b", "..", ".", "a%2Fb", "%2e", "a?b", "a#b", "a&b=c", "a+b", "a:b", "a;b", "a,b",
        "a.json", "a\\b", "(a)", "$a", "a|b", "a*", "~a", "x" * 254 + "y", "\U0001f3a3" * 60, "\u00e9" * 255, "true",
        "0", "-1", "1e3", "' or 'a' eq 'a", "x' OR '1'='1", "{id}", "a\"b",
    )
    if _can_be(id)
)  # fmt: skip
"""Legal ids that addresses, filters and folders change."""
NAMES: Final = (
    *strategies.NAMES, "with-dash", "constructor", "__proto__", "toString", "TEXT", "Id", "@odata.type", "_rev",
    "x" * 200, "0", "kind", "fields", "etag",
)  # fmt: skip
"""Names of fields that mean something to a wire, a language or a remote."""
TREES: Final[tuple[Json, ...]] = (
    [], {}, [[]], {"a": {}}, [None], {"a": None}, [1, 1.0, True, "1", None, -0.0], {"": 0, "A": 1, "a": 2},
    {"id": "x", "version": "y", "deleted": True}, [{"a": [{"b": [2**53 + 1, 0.1]}]}], {"a.b": 1, "$a": 2, "a b": 3},
)  # fmt: skip
"""Lists and objects."""


def check_values(bench: TransportBench, values: Mapping[str, Sequence[Json]]) -> None:
    """The values of each field travel: pulled by another client, and some got and set by an update, too.

    What is not legal is refused. Fields are tried side by side, and each has values of one type where it may matter.
    """
    one, other = bench.pair()
    legal = {field: bench.domain.legal_values(field, every) for field, every in values.items()}
    records: list[Record] = [
        {
            "id": bench.id("value"),
            **{field: some[place] for field, some in legal.items() if place < len(some)},
        }
        for place in range(max(map(len, legal.values())))
    ]
    insert_all(bench, one, records)
    pulled = bench.drain(other).records
    for place, record in enumerate(records):
        check_content(record, pulled.get(str(record["id"])), "inserted by one client, pulled by another")
        if place % 4 == 0:
            check_content(
                record, other.get(THING.name, str(record["id"])), "inserted by one client, read by another"
            )
    updates = [
        bench.change(
            "update", str(record["id"]), {**record, **records[place - 1], "id": record["id"]}, Anything()
        )
        for place, record in enumerate(records)
        if place % 4 == 0
    ]
    for change, outcome in zip(updates, push_all(bench, one, updates), strict=True):
        true(isinstance(outcome, Applied), f"update to {change.record!a:.300}: found {outcome!a:.300}")
    pulled = bench.drain(other).records
    for change in updates:
        check_content(
            change.record or {}, pulled.get(change.record_id), "updated by one client, pulled by another"
        )
    for field, every in values.items():
        for value in every:
            if not bench.domain.values(field, value):
                refused_or_whole(bench, one, other, {"id": bench.id("value"), field: value})


def refused_or_whole(bench: TransportBench, one: Transport, other: Transport, record: Record) -> None:
    """What an adapter declares not to be legal is `Rejected`; or else it is taken as it is."""
    id = str(record["id"])
    what = f"an insert of {record!a:.200}, which is declared not to be legal"
    outcome = bench.send(one, bench.change("insert", id, record))
    if isinstance(outcome, Applied):
        check_content(record, other.get(THING.name, id), f"{what}: Applied, and get()")
    elif not isinstance(outcome, Rejected):
        fail(f"{what}: expected Rejected, found {outcome!a:.300}")
