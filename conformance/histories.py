"""Histories: sequences of calls of a store, and of edits in sync tables, as values that can be drawn, kept and played.

```python
from hypothesis import given
from tidesync.conformance import histories
from tidesync.stores import MemoryStore

@given(history=histories.histories(NOTES))
def test_my_cache(history):
    assert histories.play(CachingStore(MemoryStore()), [NOTES], history) == histories.told([NOTES], history)

@given(edits=histories.edits(NOTES))
def test_my_policy(edits):
    with SyncContext(MemoryStore(), transport, [notes]) as ctx:
        for edit in edits:
            edit.on(ctx[notes])
```

The steps of a history are values: a failing one can be pasted into a test as Hypothesis prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any, Protocol, TypeAlias

import attrs
from hypothesis import strategies as st

from tidesync.conformance import oracle, strategies
from tidesync.conformance.domain import Domain
from tidesync.conformance.store.tables import THING
from tidesync.contracts.store import Store, StoreTransaction
from tidesync.query import Query
from tidesync.records import Json, Record, check_id
from tidesync.schema import TableSchema
from tidesync.values import decode

Answer: TypeAlias = Any
"""What a step gives: records, a number, or None."""


# -- of a store -----------------------------------------------------------------------------------------


@attrs.frozen
class Put:
    """`transaction.put`."""

    table: str
    records: tuple[Record, ...]

    def on(self, transaction: StoreTransaction) -> Answer:
        """Make the call."""
        transaction.put(self.table, list(self.records))


@attrs.frozen
class Get:
    """`transaction.get`."""

    table: str
    ids: tuple[str, ...]

    def on(self, transaction: StoreTransaction) -> Answer:
        """Make the call."""
        return transaction.get(self.table, list(self.ids))


@attrs.frozen
class Select:
    """`transaction.select`, read to its end."""

    query: Query

    def on(self, transaction: StoreTransaction) -> Answer:
        """Make the call."""
        return list(transaction.select(self.query))


@attrs.frozen
class Count:
    """`transaction.count`."""

    query: Query

    def on(self, transaction: StoreTransaction) -> Answer:
        """Make the call."""
        return transaction.count(self.query)


@attrs.frozen
class Delete:
    """`transaction.delete`."""

    table: str
    ids: tuple[str, ...]

    def on(self, transaction: StoreTransaction) -> Answer:
        """Make the call."""
        return transaction.delete(self.table, list(self.ids))


@attrs.frozen
class DeleteWhere:
    """`transaction.delete_where`."""

    query: Query

    def on(self, transaction: StoreTransaction) -> Answer:
        """Make the call."""
        return transaction.delete_where(self.query)


@attrs.frozen
class Commit:
    """The transaction ends, and is kept; the next step begins another."""


@attrs.frozen
class Rollback:
    """The transaction ends with an exception; the next step begins another."""


@attrs.frozen
class Reopen:
    """The transaction is kept, and the store is closed and opened again."""


Call: TypeAlias = Put | Get | Select | Count | Delete | DeleteWhere
Step: TypeAlias = Call | Commit | Rollback | Reopen


class _RolledBack(Exception):
    pass


def play(store: Store, tables: Sequence[TableSchema], history: Sequence[Step]) -> list[Answer]:
    """Open the store and make the calls; the answer of each, in order. What is open at the end is kept.

    All calls are made in write transactions. Whatever the store raises comes out.
    """
    answers: list[Answer] = []
    store.open(tables)
    for calls, end in _transactions(history):
        with suppress(_RolledBack), store.transaction(write=True) as transaction:
            answers += [call.on(transaction) for call in calls]
            if isinstance(end, Rollback):
                raise _RolledBack
        if isinstance(end, Reopen):
            store.close()
            store.open(tables)
    return answers


def _transactions(history: Sequence[Step]) -> Iterator[tuple[list[Call], Commit | Rollback | Reopen]]:
    calls: list[Call] = []
    for step in history:
        if isinstance(step, Commit | Rollback | Reopen):
            yield calls, step
            calls = []
        else:
            calls.append(step)
    if calls:
        yield calls, Commit()


def told(tables: Sequence[TableSchema], history: Sequence[Step]) -> list[Answer]:
    """The answers that a store must give, by the oracle: what `play` returns for a store that keeps the contract."""
    answers: list[Answer] = []
    committed: dict[str, dict[str, Record]] = {table.name: {} for table in tables}
    for calls, end in _transactions(history):
        now = deepcopy(committed)
        answers += [_answer(now, call) for call in calls]
        if not isinstance(end, Rollback):
            committed = now
    return answers


def _answer(tables: dict[str, dict[str, Record]], call: Call) -> Answer:
    match call:
        case Put(table, records):
            tables[table].update((str(record["id"]), deepcopy(record)) for record in records)
            return None
        case Get(table, ids):
            return [deepcopy(tables[table].get(id)) for id in ids]
        case Select(query):
            return deepcopy(oracle.select(query, tables[query.table].values()))
        case Count(query):
            return oracle.count(query, tables[query.table].values())
        case Delete(table, ids):
            return sum(tables[table].pop(id, None) is not None for id in ids)
        case DeleteWhere(query):
            rows = tables[query.table]
            left = oracle.kept(query, rows.values())
            tables[query.table] = {str(record["id"]): record for record in left}
            return len(rows) - len(left)


def histories(
    table: TableSchema = THING,
    domain: Domain = strategies.EVERYTHING,
    *,
    reopens: bool = False,
    max_size: int = 20,
) -> st.SearchStrategy[list[Step]]:
    """Calls of one table in any order, in transactions that are kept or rolled back.

    With `reopens` the store is closed and opened again in between, which only a durable one must outlive.
    """
    query = strategies.queries(table, domain)
    few = st.lists(strategies.ids(domain), max_size=4).map(tuple)
    put = st.builds(
        Put, st.just(table.name), st.lists(strategies.records(table, domain), max_size=5).map(tuple)
    )
    ends: st.SearchStrategy[Step] = st.sampled_from(
        (Commit(), Commit(), Rollback(), *([Reopen()] if reopens else []))
    )
    steps: st.SearchStrategy[Step] = (
        put
        | put
        | st.builds(Get, st.just(table.name), few)
        | st.builds(Delete, st.just(table.name), few)
        | st.builds(Select, query)
        | st.builds(Count, query)
        | st.builds(DeleteWhere, query)
        | ends
    )
    return strategies.named(st.lists(steps, max_size=max_size))


# -- of sync tables -------------------------------------------------------------------------------------


class Editable(Protocol):
    """What an edit is made in: `ctx[notes]`, where notes is a table of dicts."""

    def insert(self, item: dict[str, Any]) -> object: ...
    def update(self, id: str, /, **changes: Any) -> object: ...
    def delete(self, item: str) -> None: ...


@attrs.frozen
class Insert:
    """`insert` of a dict, with Python's values (a `date`, a `Decimal`) as the columns take them."""

    id: str
    content: dict[str, Any]

    def on(self, table: Editable) -> None:
        """Make the edit."""
        _ = table.insert({"id": self.id, **self.content})


@attrs.frozen
class Update:
    """`update` of some columns, with Python's values."""

    id: str
    content: dict[str, Any]

    def on(self, table: Editable) -> None:
        """Make the edit."""
        _ = table.update(self.id, **self.content)


@attrs.frozen
class Remove:
    """`delete` by id."""

    id: str

    def on(self, table: Editable) -> None:
        """Make the edit."""
        table.delete(self.id)


Edit: TypeAlias = Insert | Update | Remove


@st.composite
def edits(
    draw: st.DrawFn,
    table: TableSchema = THING,
    domain: Domain = strategies.EVERYTHING,
    *,
    max_size: int = 15,
) -> list[Edit]:
    """Edits that succeed one after another in a table that begins empty: no id is inserted twice while it is there.

    Ids are few, so that records are deleted and come back; contents fit the columns. To see what a table does with
    an edit that it must refuse, leave some out. A JSON column gets any list or object: one that is declared narrower
    (`list[str]`) refuses some.
    """
    ids = draw(st.lists(_user_ids(domain), min_size=1, max_size=4, unique=True))
    there: set[str] = set()
    found: list[Edit] = []
    for id in draw(st.lists(st.sampled_from(ids), max_size=max_size)):
        content, stays = _content(draw, table, domain), draw(st.booleans())
        if id not in there:
            there.add(id)
            found.append(Insert(id, content))
        elif content and stays:
            found.append(Update(id, content))
        else:
            there.discard(id)
            found.append(Remove(id))
    return found


def _user_ids(domain: Domain) -> st.SearchStrategy[str]:
    """Ids that the engine takes from users: no control characters, 255 characters at most."""
    return strategies.ids(domain).filter(_legal)


def _legal(id: str) -> bool:
    with suppress(ValueError):
        return bool(check_id("", id))
    return False


def _content(draw: st.DrawFn, table: TableSchema, domain: Domain) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for column in table.columns:
        if draw(st.booleans()):
            value: Json = draw(strategies.fitting(column.type))
            if domain.values(column.name, value):
                content[column.name] = decode(column.type, value)
    return content
