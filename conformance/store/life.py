"""A store and a model of it, through the same steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

import attrs

from tidesync.conformance import oracle
from tidesync.conformance.expect import equal, raises
from tidesync.conformance.store.bench import StoreBench
from tidesync.contracts.store import StoreTransaction
from tidesync.errors import InvalidId, InvalidRecord, StoreClosed, StoreError
from tidesync.query import Query
from tidesync.records import Json, Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

Rows: TypeAlias = dict[str, Record]


End: TypeAlias = Literal["commit", "raise", "raise while iterating", "close"]


Kind: TypeAlias = Literal["write", "read", "open again", "close and open", "another store"]


COLUMNS: Final = {
    "name": Column("name", ColumnType.STRING),
    "rank": Column("rank", ColumnType.INTEGER),
    "flag": Column("flag", ColumnType.BOOLEAN),
    "late": Column("late"),
}


SHAPES: Final[tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...]] = (
    (("name", "rank"), (("name", "rank"), ("rank",))),
    (("name", "rank", "flag", "late"), (("late", "rank"), ("flag",), ("name",))),
    (("rank", "late"), (("rank", "late"),)),
    ((), ()),
)
"""What a table declares from one opening to the next: columns and indexes."""


IDS: Final = ("a", "b", "c", "B", "é", "1")


VALUES: Final[dict[str, tuple[Json, ...]]] = {
    "name": ("", "a", "A", "b", "ab", None, 1),
    "rank": (0, 1, 2, -1, 1.0, None, "1"),
    "flag": (True, False, None, 1),
    "late": (1, True, "a", None, 1.5, [1], {"a": None}),
    "extra": ("", 0, False, [], {"id": "x"}, None),
}


EVERYTHING: Final = Query("")
"""All of the table that a call is about."""


class _Undone(Exception):
    pass


@attrs.frozen
class Call:
    """One call in a transaction: on the first table or the second, of what, with these arguments."""

    kind: str
    second: bool = False
    records: tuple[Record, ...] = ()
    ids: tuple[str, ...] = ()
    query: Query = EVERYTHING

    def simpler(self) -> Iterator[Call]:
        """What could stand for it, and is less."""
        for index, record in enumerate(self.records):
            rest = (*self.records[:index], *self.records[index + 1 :])
            yield attrs.evolve(self, records=rest)
            for field in record.keys() - {"id"}:
                less = {name: value for name, value in record.items() if name != field}
                yield attrs.evolve(self, records=(*self.records[:index], less, *self.records[index + 1 :]))
        for index in range(len(self.ids)):
            yield attrs.evolve(self, ids=(*self.ids[:index], *self.ids[index + 1 :]))
        for name, nothing in attrs.asdict(EVERYTHING, recurse=False).items():
            if getattr(self.query, name) != nothing:
                yield attrs.evolve(self, query=attrs.evolve(self.query, **{name: nothing}))


@attrs.frozen
class Step:
    """A transaction that writes and how it ends, one that reads, or a restart; `shape` is what is opened then."""

    kind: Kind
    calls: tuple[Call, ...] = ()
    end: End = "commit"
    shape: int = 0

    def simpler(self) -> Iterator[Step]:
        """What could stand for it, and is less."""
        size = len(self.calls)
        while size := size // 2:
            for start in range(0, len(self.calls), size):
                yield attrs.evolve(self, calls=(*self.calls[:start], *self.calls[start + size :]))
        for index, call in enumerate(self.calls):
            for simple in call.simpler():
                yield attrs.evolve(self, calls=(*self.calls[:index], simple, *self.calls[index + 1 :]))
        if self.shape:
            yield attrs.evolve(self, shape=0)
        if self.end != "commit":
            yield attrs.evolve(self, end="commit")


class Life:
    """A store and a model of it, from its first opening on tables of its own."""

    _numbers: Final = itertools.count(1)

    def __init__(self, bench: StoreBench) -> None:
        number = next(self._numbers)
        self._bench = bench
        bench.program.mark()
        self._names = (f"item{number}", f"__log{number}")
        self.rows: dict[str, Rows] = {name: {} for name in self._names}
        self.steps: list[Step] = []
        self._store = bench.make()
        self._open(0)

    def _open(self, shape: int) -> None:
        columns, indexes = SHAPES[shape]
        self._store.open(
            [
                TableSchema(name, tuple(COLUMNS[each] for each in columns), indexes=indexes)
                for name in self._names
            ]
        )

    def do(self, step: Step) -> None:
        """Do the step, to the store and to the model."""
        self.steps.append(step)
        if step.kind == "write":
            self._write_or_fail(step)
        elif step.kind == "read":
            self._read(step.calls)
        else:
            self._restart(step.kind, step.shape)

    def _restart(self, how: Kind, shape: int) -> None:
        if how != "open again":
            self._store.close()
            with (
                raises(StoreClosed, what="a transaction of a closed store"),
                self._store.transaction(write=False),
            ):
                pass
        if how == "another store":
            self._store = self._bench.make()
        self._open(shape)

    def _write_or_fail(self, step: Step) -> None:
        rows = {name: dict(each) for name, each in self.rows.items()}
        if step.end == "commit":
            self._write(step, rows)
            self.rows = rows
            return
        with raises(
            StoreClosed if step.end == "close" else _Undone, what=f"a transaction that ends by {step.end}"
        ):
            self._write(step, rows)
        if step.end == "close":
            self._open(step.shape)

    def _write(self, step: Step, rows: dict[str, Rows]) -> None:
        with self._store.transaction(write=True) as transaction:
            for call in step.calls:
                self._do(transaction, call, rows)
            if step.end == "raise while iterating":
                for _ in transaction.select(Query(self._names[0])):
                    raise _Undone
            if step.end == "close":
                self._store.close()
            elif step.end != "commit":
                raise _Undone

    def _read(self, calls: Iterable[Call]) -> None:
        with self._store.transaction(write=False) as transaction:
            for call in calls:
                if call.kind in READS:
                    self._do(transaction, call, self.rows)
                else:
                    with raises(StoreError, what=f"{call.kind} in a transaction that only reads"):
                        self._change(
                            transaction, call, {name: dict(each) for name, each in self.rows.items()}
                        )

    def _do(self, transaction: StoreTransaction, call: Call, rows: dict[str, Rows]) -> None:
        table = self._names[call.second]
        there, query = rows[table], attrs.evolve(call.query, table=table)
        match call.kind:
            case "get":
                equal(
                    [there.get(id) for id in call.ids],
                    transaction.get(table, list(call.ids)),
                    f"get {call.ids}",
                )
            case "select":
                equal(
                    oracle.select(query, there.values()), list(transaction.select(query)), f"select {query}"
                )
            case "first":
                rest = transaction.select(query)
                equal(
                    oracle.select(query, there.values())[:1],
                    list(itertools.islice(rest, 1)),
                    f"the first of {query}",
                )
            case "count":
                equal(oracle.count(query, there.values()), transaction.count(query), f"count {query}")
            case _:
                self._change(transaction, call, rows)

    def _change(self, transaction: StoreTransaction, call: Call, rows: dict[str, Rows]) -> None:
        table = self._names[call.second]
        there, query = rows[table], attrs.evolve(call.query, table=table)
        match call.kind:
            case "put":
                transaction.put(table, [dict(record) for record in call.records])
                there.update((str(record["id"]), record) for record in call.records)
            case "refused":
                with raises(
                    InvalidRecord, InvalidId, what="a put of what is no record, among others that are"
                ):
                    transaction.put(
                        table, [*map(dict, call.records[1:]), *_FAULTY[len(call.ids) % len(_FAULTY)]]
                    )
            case "delete":
                gone = [there.pop(id) for id in dict.fromkeys(call.ids) if id in there]
                equal(len(gone), transaction.delete(table, list(call.ids)), f"delete {call.ids}")
            case _:
                gone = oracle.select(attrs.evolve(query, fields=None), there.values())
                for record in gone:
                    del there[str(record["id"])]
                equal(len(gone), transaction.delete_where(query), f"delete_where {query}")

    def check(self) -> None:
        """See that all is there, and nothing else."""
        with self._store.transaction(write=False) as transaction:
            for name, there in self.rows.items():
                expected = [there[id] for id in sorted(there)]
                equal(
                    expected,
                    list(transaction.select(Query(name))),
                    f"all of {name}, in a transaction of its own",
                )
                equal(len(expected), transaction.count(Query(name)), f"count of {name}")
                equal(expected, transaction.get(name, sorted(there)), f"get of all ids of {name}")

    def close(self) -> None:
        """The end."""
        self._store.close()


_FAULTY: Final[tuple[list[Record], ...]] = (
    [{"id": "a", "name": float("nan")}],
    [{"id": "b", "rank": 2**63}, {"id": "c"}],
    [{"name": "no id"}],
    [{"id": "a", "extra": ["\ud800"]}],
)
"""Records at the end of a put that is refused."""


READS: Final = ("get", "select", "first", "count")


WRITES: Final = ("put", "put", "put", "delete", "delete_where", "refused")
