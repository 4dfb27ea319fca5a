"""Broken stores: order, parts, sizes, and queries of any sort."""

from __future__ import annotations

from typing import Any

import attrs

from tests.mutants.stores.bases import broken
from tests.mutants.stores.meaning import Meaning
from tidesync.errors import InvalidQuery
from tidesync.query import And, Expr, In, Not, Or, Order, Query
from tidesync.records import Record
from tidesync.stores.memory import MemoryTransaction


@broken("test_no_order_is_by_id")
class NoOrderIsAnyOrder(Meaning):
    """Without an order, records come as they were put."""

    def ordered(self, records: list[Record], order: tuple[Order, ...]) -> list[Record]:
        return super().ordered(records, order) if order else records


@broken("test_kinds_sort_apart")
class NullsLast(Meaning):
    """Nulls are sorted last."""

    def sort_key(self, value: Any) -> Any:
        return (value is None, *super().sort_key(value))


@broken("test_kinds_sort_apart")
class BooleansAmongNumbers(Meaning):
    """False and true are sorted among the numbers, as 0 and 1."""

    def sort_key(self, value: Any) -> Any:
        return super().sort_key(int(value) if type(value) is bool else value)


@broken("test_descending_turns_all_round")
class NullsStayFirst(Meaning):
    """Descending, nulls are first all the same."""

    def ordered(self, records: list[Record], order: tuple[Order, ...]) -> list[Record]:
        found = super().ordered(records, order)
        if order and order[0].descending:
            found.sort(key=lambda record: self.value(order[0].by, record) is not None)
        return found


@broken("test_descending_turns_all_round")
class DescendingTurnsTies(Meaning):
    """A descending list is an ascending one read backwards, and so are the ties in it."""

    def ordered(self, records: list[Record], order: tuple[Order, ...]) -> list[Record]:
        if len(order) == 1 and order[0].descending:
            return super().ordered(records, (Order(order[0].by),))[::-1]
        return super().ordered(records, order)


@broken("test_ties_go_by_id")
class TiesAsTheyCome(Meaning):
    """Records whose keys are equal come as they were put."""

    def ordered(self, records: list[Record], order: tuple[Order, ...]) -> list[Record]:
        places = {str(record["id"]): place for place, record in enumerate(records)}
        found = super().ordered(records, order)
        if order:
            found.sort(key=lambda record: places[str(record["id"])])
            for key in reversed(order):
                found.sort(
                    key=lambda record: self.sort_key(self.value(key.by, record)), reverse=key.descending
                )
        return found


@broken("test_orders_have_several_keys")
class OnlyTheFirstKey(Meaning):
    """Records are sorted by the first key alone."""

    def ordered(self, records: list[Record], order: tuple[Order, ...]) -> list[Record]:
        return super().ordered(records, order[:1])


@broken("test_orders_have_several_keys")
class OneDirectionForAll(Meaning):
    """All keys have the direction of the first."""

    def ordered(self, records: list[Record], order: tuple[Order, ...]) -> list[Record]:
        return super().ordered(records, tuple(Order(key.by, order[0].descending) for key in order))


@broken("test_skip_and_take")
class TakeZeroIsAll(Meaning):
    """Take 0 is taken for no take."""

    def part(self, records: list[Record], skip: int, take: int | None) -> list[Record]:
        return super().part(records, skip, take or None)


@broken("test_skip_and_take")
class TakeBeforeSkip(Meaning):
    """What is skipped counts as taken."""

    def part(self, records: list[Record], skip: int, take: int | None) -> list[Record]:
        return records[:take][skip:]


@broken("test_skip_and_take")
class TakesOneMore(Meaning):
    """A page that is not the first has a record more."""

    def part(self, records: list[Record], skip: int, take: int | None) -> list[Record]:
        return super().part(records, skip, take + 1 if take and skip else take)


@broken("test_fields_come_with_the_id")
class FieldsWithoutTheId(Meaning):
    """The id is given only if it is asked for."""

    def shown(self, record: Record, fields: tuple[str, ...] | None) -> Record:
        return record if fields is None else {name: record[name] for name in record if name in fields}


@broken("test_fields_come_with_the_id")
class MissingFieldsAreNull(Meaning):
    """A field that a record has not comes as null, if it is asked for."""

    def shown(self, record: Record, fields: tuple[str, ...] | None) -> Record:
        return (
            record if fields is None else {"id": record["id"], **{name: record.get(name) for name in fields}}
        )


@broken("test_undeclared_fields_are_queried")
class NamesArePaths(Meaning):
    """A field "a.b" is looked for in the object "a"."""

    def field(self, record: Record, name: str) -> Any:
        first, dot, second = name.partition(".")
        inner = record.get(first)
        return inner.get(second) if dot and isinstance(inner, dict) else super().field(record, name)


@broken("test_undeclared_fields_are_queried")
class FieldsIgnoreCase(Meaning):
    """A field is found under a name that differs in case."""

    def field(self, record: Record, name: str) -> Any:
        return {key.lower(): value for key, value in record.items()}.get(name.lower())


class _Asks(MemoryTransaction):
    """Asks something else than it was asked."""

    def _selected(self, query: Query) -> list[Record]:
        return super()._selected(self.asked(query))

    def asked(self, query: Query) -> Query:
        """The other query."""
        return query


def _walked(expr: Expr | None) -> list[Expr]:
    """The parts of a condition."""
    found = [expr] if expr is not None else []
    for each in found:
        found += getattr(each, "items", ())
        found += [each.item] if isinstance(each, Not) else []
    return found


@broken("test_in_takes_any_number_of_constants")
class InTakes32766(_Asks):
    """Constants beyond the 32,766th, which the database does not take, are left out."""

    def asked(self, query: Query) -> Query:
        if isinstance(query.where, In):
            return attrs.evolve(query, where=attrs.evolve(query.where, values=query.where.values[:32_766]))
        return query


@broken("test_conditions_may_be_wide")
class ConditionsOf1000Parts(_Asks):
    """Parts of a condition beyond the thousandth are left out."""

    def asked(self, query: Query) -> Query:
        if isinstance(query.where, And | Or):
            return attrs.evolve(query, where=attrs.evolve(query.where, items=query.where.items[:1_000]))
        return query


@broken("test_conditions_may_be_deep")
class DepthIsARecursionError(_Asks):
    """A condition that is nested too deeply is a RecursionError."""

    def asked(self, query: Query) -> Query:
        if len(_walked(query.where)) > 1_000:
            raise RecursionError("maximum recursion depth exceeded")
        return query


@broken("test_conditions_may_be_deep")
class DepthEndsTheTransaction(MemoryTransaction):
    """A condition that is nested too deeply is refused, and its transaction with it."""

    refused = False

    def _selected(self, query: Query) -> list[Record]:
        return self._asked(query, lambda: super(DepthEndsTheTransaction, self)._selected(query))

    def count(self, query: Query) -> int:
        return self._asked(query, lambda: super(DepthEndsTheTransaction, self).count(query))

    def _asked(self, query: Query, ask: Any) -> Any:
        self.refused = self.refused or len(_walked(query.where)) > 1_000
        if self.refused:
            raise InvalidQuery("the condition is nested too deeply")
        return ask()


@broken("test_any_query_is_counted")
class CountLeavesOutNulls(Meaning):
    """`COUNT(column)` of the column that sorts: records in which it is null are not counted."""

    def counted(self, query: Query, records: list[Record]) -> int:
        keys = [key.by for key in query.order]
        return super().counted(
            query, [row for row in records if all(self.value(by, row) is not None for by in keys)]
        )


@broken("test_any_query_deletes_what_it_selects")
class DeleteWhereSkipsNothing(MemoryTransaction):
    """`DELETE … LIMIT` has no OFFSET: delete_where deletes from the first record on."""

    def delete_where(self, query: Query) -> int:
        return super().delete_where(attrs.evolve(query, skip=0))


@broken("test_the_schema_does_not_change_the_meaning")
class ColumnsSortAsText(MemoryTransaction):
    """A column that is declared is sorted by the text of its values."""

    def _selected(self, query: Query) -> list[Record]:
        found = super()._selected(query)
        name = getattr(query.order[0].by, "name", "") if query.order else ""
        if name in self._store._columns[query.table]:
            found.sort(key=lambda record: str(record.get(name)), reverse=query.order[0].descending)
        return found
