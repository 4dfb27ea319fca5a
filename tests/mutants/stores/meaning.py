"""A sound store in memory that looks at each record with one method for each thing that a query may say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tidesync import predicate
from tidesync.errors import InvalidQuery
from tidesync.query import (
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    Field,
    In,
    Negate,
    Not,
    Or,
    Order,
    Query,
    Value,
)
from tidesync.records import Json, Record
from tidesync.stores.memory import MemoryStore, MemoryTransaction
from tidesync.values import ColumnType


class Meaning:
    """What queries mean, method by method; a mutant gets one of them wrong."""

    def equal(self, a: Any, b: Any) -> bool:
        return predicate.equal(a, b)

    def less(self, a: Any, b: Any) -> bool:
        return predicate.less(a, b)

    def compare(self, op: str, a: Any, b: Any) -> bool:
        match op:
            case "eq":
                return self.equal(a, b)
            case "ne":
                return not self.equal(a, b)
            case "lt":
                return self.less(a, b)
            case "gt":
                return self.less(b, a)
            case "le":
                return self.less(a, b) or (a is not None and self.equal(a, b))
            case _:
                return self.less(b, a) or (a is not None and self.equal(a, b))

    def among(self, found: Any, values: list[Any]) -> bool:
        kinds = predicate.kind_of(found)
        return any(predicate.kind_of(value) == kinds and self.equal(found, value) for value in values)

    def is_true(self, value: Any) -> bool:
        return value is True

    def all(self, parts: list[Callable[[], Any]]) -> Any:
        return all(self.is_true(part()) for part in parts)

    def any(self, parts: list[Callable[[], Any]]) -> Any:
        return any(self.is_true(part()) for part in parts)

    def negated(self, value: Any, item: Expr) -> Any:
        return not self.is_true(value)

    def field(self, record: Record, name: str) -> Any:
        return record.get(name)

    def decimal(self, value: Any) -> Any:
        return predicate.decimal_of(value)

    def arithmetic(self, op: str, a: Any, b: Any) -> Any:
        return predicate.arithmetic(op, a, b)

    def call(self, function: str, *arguments: Any) -> Any:
        return predicate.FUNCTIONS[function](*arguments)

    def constant(self, value: Json, type: ColumnType) -> Any:
        return self.decimal(value) if type is ColumnType.DECIMAL else value

    def value(self, expr: Expr, record: Record) -> Any:
        """The value that an expression has for a record."""
        match expr:
            case Field(name, type):
                found = self.field(record, name)
                return self.decimal(found) if type is ColumnType.DECIMAL else found
            case Value(value, type):
                return self.constant(value, type)
            case Compare(op, left, right):
                return self.compare(op, self.value(left, record), self.value(right, record))
            case In(item, values):
                type = item.type if isinstance(item, Field | Value) else ColumnType.ANY
                return self.among(self.value(item, record), [self.constant(each, type) for each in values])
            case And(items):
                return self.all([lambda item=item: self.value(item, record) for item in items])  # type: ignore[misc]
            case Or(items):
                return self.any([lambda item=item: self.value(item, record) for item in items])  # type: ignore[misc]
            case Not(item):
                return self.negated(self.value(item, record), item)
            case Arithmetic(op, left, right):
                return self.arithmetic(op, self.value(left, record), self.value(right, record))
            case Negate(item):
                return predicate.negate(self.value(item, record))
            case Call(function, arguments):
                return self.call(function, *(self.value(each, record) for each in arguments))

    def holds(self, where: Expr | None, record: Record) -> bool:
        return where is None or self.is_true(self.value(where, record))

    def sort_key(self, value: Any) -> Any:
        kind = predicate.kind_of(value)
        return (kind, 0 if kind in (predicate.NULL, predicate.STRUCTURE) else value)

    def ordered(self, records: list[Record], order: tuple[Order, ...]) -> list[Record]:
        """The records in the order, ties by id."""
        found = sorted(records, key=lambda record: str(record["id"]))
        for key in reversed(order):
            found.sort(key=lambda record: self.sort_key(self.value(key.by, record)), reverse=key.descending)
        return found

    def part(self, records: list[Record], skip: int, take: int | None) -> list[Record]:
        return records[skip:][:take]

    def shown(self, record: Record, fields: tuple[str, ...] | None) -> Record:
        return predicate.project(record, fields)

    def selected(self, query: Query, records: list[Record]) -> list[Record]:
        """The records of a query, whole."""
        found = [record for record in records if self.holds(query.where, record)]
        return self.part(self.ordered(found, query.order), query.skip, query.take)

    def counted(self, query: Query, records: list[Record]) -> int:
        return sum(self.holds(query.where, record) for record in records)


class MeaningStore(MemoryStore):
    """A store in memory whose queries mean what its `meaning` says."""

    meaning: ClassVar[Meaning] = Meaning()

    def transaction(self, *, write: bool) -> MemoryTransaction:
        return MeaningTransaction(self, write)


class MeaningTransaction(MemoryTransaction):
    """Looks at every record."""

    _store: MeaningStore

    def _selected(self, query: Query) -> list[Record]:
        self._check(query.table)
        return self._asked(lambda: self._store.meaning.selected(query, list(self._rows(query.table))))

    def count(self, query: Query) -> int:
        self._check(query.table)
        return self._asked(lambda: self._store.meaning.counted(query, list(self._rows(query.table))))

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except RecursionError:
            raise InvalidQuery("the condition is nested too deeply: make it flatter") from None

    def _stream(self, query: Query, rows: list[Record]) -> Any:
        shown = self._store.meaning.shown
        for row in super()._stream(Query(query.table), rows):
            yield shown(row, query.fields)
