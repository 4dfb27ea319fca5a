"""What the public strategies draw is legal, lies in the domain, and finds what it should."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from tidesync import SyncContext, table
from tidesync.conformance import histories, oracle, strategies
from tidesync.conformance.domain import Domain
from tidesync.conformance.expect import equal
from tidesync.conformance.store.tables import THING
from tidesync.errors import ConfigurationError
from tidesync.query import Query
from tidesync.records import Json, Record, check_record
from tidesync.schema import TableSchema
from tidesync.stores import MemoryStore

PLAIN = Domain(
    ids=lambda id: id.isascii() and id.isprintable(),
    values=lambda field, value: field != "tree" and not isinstance(value, float),
    says="printable ASCII ids, nothing in tree, no floats",
)


@given(history=histories.histories(reopens=True))
@settings(max_examples=40)
def test_a_store_plays_what_the_oracle_tells(history: list[histories.Step]) -> None:
    """A history played in a store that keeps the contract gives what `told` says."""
    expected = histories.told([THING], history)
    equal(expected, histories.play(MemoryStore(), [THING], history))


THINGS = table(
    "thing",
    {"text": str, "number": int, "ratio": float, "flag": bool, "price": Decimal, "at": datetime, "day": date},
)


@given(edits=histories.edits(THINGS.schema))
@settings(max_examples=25)
def test_edits_succeed(edits: list[histories.Edit]) -> None:
    """Edits are such that a sync table takes each of them, and the last content of an id is what it holds."""
    with SyncContext(MemoryStore(), None, [THINGS]) as ctx:
        there: dict[str, dict[str, Any]] = {}
        for edit in edits:
            edit.on(ctx[THINGS])
            if isinstance(edit, histories.Remove):
                del there[edit.id]
            else:
                there[edit.id] = {**there.get(edit.id, {}), **edit.content}
        assert sorted(there) == [thing["id"] for thing in ctx[THINGS]]
        for id, content in there.items():
            found = ctx[THINGS].get(id)
            assert found is not None
            assert content == {name: found[name] for name in content}


@given(records=strategies.rows(domain=PLAIN), query=strategies.queries(domain=PLAIN))
@settings(max_examples=40)
def test_a_narrow_domain_is_kept(records: list[Record], query: Query) -> None:
    """Ids, fields and values that the domain does not take are never drawn."""
    assert [] == [record for record in records if not PLAIN.legal(record)]
    assert "tree" not in {name for record in records for name in record}
    assert not any(isinstance(value, float) for value in _constants(query))


def _constants(node: Any) -> list[Json]:
    """The constants in a query."""
    if type(node).__name__ == "Value":
        return [node.value]
    if isinstance(node, tuple):
        return [value for each in node for value in _constants(each)]
    parts = [getattr(node, name) for name in getattr(node, "__match_args__", ())]
    return [value for part in parts for value in _constants(part)]


def test_a_domain_without_known_ids_is_an_error() -> None:
    """Where no id of the suite is legal, `ids` says so instead of drawing for ever."""
    with pytest.raises(ConfigurationError, match="such as 5f2d"):
        strategies.ids(Domain(ids=lambda _: False, says="no ids"))


@given(schema=strategies.schemas(), records=strategies.rows(strategies.WIDE))
@settings(max_examples=40)
def test_any_schema_takes_any_record(schema: TableSchema, records: list[Record]) -> None:
    """Schemas are such as a store opens, and records of `WIDE` are legal in each of them."""
    assert [record["id"] for record in records] == [check_record_of_store(record) for record in records]
    store = MemoryStore()
    store.open([schema])
    with store.transaction(write=True) as transaction:
        transaction.put(schema.name, records)
        assert len(records) == transaction.count(Query(schema.name))


def check_record_of_store(record: Record) -> str:
    """The id, after a check of all but it: a store takes more ids than the engine."""
    _ = check_record("thing", {**record, "id": "x"})
    return str(record["id"])


@pytest.mark.parametrize(
    "found",
    [
        lambda records, query: 0 < len(oracle.select(query, records)) < len(records),
        lambda records, query: query.order and query.take and len(records) > query.take,
        lambda records, query: oracle.count(query, records) > len(oracle.select(query, records)) > 0,
    ],
)
def test_queries_find_some(found: Any) -> None:
    """Records and queries meet: soon there is a query that finds some of the records and not the others."""
    pairs = st.tuples(strategies.rows(), strategies.queries())
    _ = find(
        pairs,
        lambda pair: bool(found(*pair)),
        settings=settings(max_examples=200, database=None, phases=[Phase.generate]),
    )


@pytest.mark.parametrize(
    "made",
    [strategies.rows, strategies.records, strategies.queries, strategies.conditions, strategies.expressions,
     strategies.schemas, strategies.ids, histories.histories, histories.edits],
)  # fmt: skip
def test_their_names_are_short(made: Any) -> None:
    """Hypothesis writes out what a test draws from: that of queries would have 30,000 characters."""
    assert len(repr(made())) < 3_000
