"""Queries that are aimed at records: of fields that they have, with values that they hold.

Of queries that know nothing of the records nearly all find nothing, or everything, and sort what is all alike; a store
may be wrong in most ways, and a few hundred of them do not notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, TypeAlias, TypeVar

from hypothesis import strategies as st

from tidesync.conformance import strategies
from tidesync.conformance.domain import Domain
from tidesync.query import (
    And,
    Call,
    Compare,
    CompareOp,
    Expr,
    Field,
    Function,
    In,
    Not,
    Or,
    Order,
    Query,
    Value,
)
from tidesync.records import Json, Record
from tidesync.schema import TableSchema
from tidesync.values import ColumnType

T = TypeVar("T")
Rows: TypeAlias = list[Record]
Asked: TypeAlias = tuple[Rows, list[Query]]
_FEWEST: Final = 8
"""Records of a table, at least: of fewer, a query seldom finds some and leaves some."""
_ANY: Final = 2
_AIMED: Final = 10
"""Queries of the same records, of each sort. To ask takes less time than to draw."""
_OPS: Final[tuple[CompareOp, ...]] = ("eq", "ne", "lt", "le", "gt", "ge")
_FINDING: Final[tuple[Function, ...]] = ("contains", "startswith", "endswith")
_SEEDS: Final = st.lists(st.integers(0, 2**32 - 1), min_size=_AIMED, max_size=_AIMED)


@st.composite
def asked(draw: st.DrawFn, table: TableSchema, domain: Domain) -> Asked:
    """Records, and queries of them: some are any, more are aimed."""
    rows = draw(
        st.lists(
            strategies.records(table, domain),
            min_size=0 if domain.is_narrow else _FEWEST,
            max_size=_FEWEST + 2,
            unique_by=lambda record: str(record["id"]),
        )
    )
    queries = [draw(strategies.queries(table, domain)) for _ in range(_ANY)]
    return rows, [*queries, *(_Aim(table, rows, domain, seed).query() for seed in draw(_SEEDS) if rows)]


def condition(table: TableSchema, rows: Rows, domain: Domain, seed: int) -> Expr:
    """A condition on what the records hold; the same for the same seed."""
    return _Aim(table, rows, domain, seed).condition()


class _Aim:
    """A query that a seed chooses: strategies made of the records would take longer than all else."""

    def __init__(self, table: TableSchema, rows: Rows, domain: Domain, seed: int) -> None:
        self._table, self._domain, self._random = table, domain, Random(seed)
        self._held: list[tuple[str, Json]] = [pair for row in rows for pair in row.items()]

    def query(self) -> Query:
        """A condition more often than not, an order, and some of what they give."""
        where = self.condition() if self._one((True, True, False)) else None
        order = tuple(Order(self._aim()[0], self._one((False, True))) for _ in range(self._one((0, 1, 1, 2))))
        skip, take = self._one((0, 0, 0, 1)), self._one((None, None, None, 0, 3))
        return Query(self._table.name, where, order, skip, take)

    def _one(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def _aim(self) -> tuple[Field, Json]:
        """A field, read as it is declared, or as a decimal; and what a record holds there."""
        name, value = self._one(self._held)
        declared = self._table.by_name.get(name)
        kind = ColumnType.ANY if declared is None else declared.type
        if kind is ColumnType.ANY:
            kind = self._one((kind, kind, ColumnType.DECIMAL))
        return Field(name, kind), value

    def condition(self) -> Expr:
        one = self._simple()
        how = self._one(range(6))
        if how < 3:
            return Not(one) if how == 0 else one
        both = (one, self._simple())
        joined = And(both) if self._one((True, False)) else Or(both)
        return Not(joined) if how == 3 else joined

    def _simple(self) -> Expr:
        field, value = self._aim()
        how = self._one(range(5))
        if how == 0:
            return In(field, (value, self._aim()[1]))
        if how == 1 and isinstance(value, str):
            cut = self._one(range(4))
            piece = value[:cut] if cut else value[-1:]
            if self._domain.values(field.name, piece):
                return Call(self._one(_FINDING), (field, Value(piece)))
        constant, op = Value(value, field.type), self._one(_OPS)
        return Compare(op, constant, field) if how == 2 else Compare(op, field, constant)
