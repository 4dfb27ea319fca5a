"""Values for the columns of any table, few and plain, so that devices meet each other's and every remote takes them."""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tidesync.conformance.simulation.scenario import Given, Scenario
from tidesync.errors import ConfigurationError
from tidesync.objects import Table
from tidesync.records import Json
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

SAMPLES: Final[Mapping[ColumnType, tuple[Json, ...]]] = {
    ColumnType.STRING: ("a", "b", "c d", "é", ""),
    ColumnType.INTEGER: (0, 1, 2, 3, -7),
    ColumnType.FLOAT: (0.5, 1.5, 2.25, -3.0),
    ColumnType.BOOLEAN: (False, True),
    ColumnType.DATETIME: tuple(f"2026-01-0{day}T12:30:00.000000Z" for day in (1, 2, 3, 4)),
    ColumnType.DATE: ("2026-01-01", "2026-02-28", "2026-12-31"),
    ColumnType.TIME: ("00:00:00.000000", "12:30:00.000000", "23:59:59.000000"),
    ColumnType.DECIMAL: ("0", "1.5", "10.25", "-3"),
    ColumnType.UUID: tuple(f"00000000-0000-4000-8000-00000000000{digit}" for digit in (1, 2, 3)),
    ColumnType.BYTES: ("", "AA==", "AQI="),
    ColumnType.JSON: ([], {}, ["a"], ["a", "b"], {"key": 1}),
    ColumnType.ANY: ("a", "b", 0, 1, 2),
    ColumnType.ENUM: (),
}


def values_of(scenario: Scenario) -> dict[tuple[str, str], tuple[Json, ...]]:
    """The values of each column by table and column; references have none, since they name what is there."""
    return {
        (name, column.name): _values(scenario, given, column)
        for name, given in zip(scenario.schemas, scenario.tables, strict=True)
        for column in scenario.schemas[name].columns
        if column.name not in (scenario.schemas[name].references or {})
    }


def _values(scenario: Scenario, given: Given, column: Column) -> tuple[Json, ...]:
    named = f"{given.name}.{column.name}"
    if named in scenario.values:
        found = tuple(scenario.values[named])
    else:
        fits = _fitting(given, column)
        found = tuple(value for value in (*SAMPLES[column.type], *_choices(given, column)) if fits(value))
        found += (None,) if fits(None) and column.nullable else ()
    if not found:
        raise ConfigurationError(
            f"no value is known that fits {named}: give some, values={{{named!r}: [...]}}"
        )
    return found


def _fitting(given: Given, column: Column) -> Callable[[Json], bool]:
    """Whether a value fits the column, as far as the class behind the table tells."""
    if isinstance(given, TableSchema):
        return lambda value: value is not None or column.nullable
    kinds, _ = given.kinds[column.name]

    def fits(value: Json) -> bool:
        if kinds is None:
            return True
        if type(value) not in kinds:
            return False
        check = kinds[type(value)]
        return check is None or check(value) is None

    return fits


def _choices(given: Given, column: Column) -> Iterator[Json]:
    """The members of an enum, or of a literal."""
    if not isinstance(given, Table) or given.untyped:
        return
    hints: Mapping[str, Any] = typing.get_type_hints(given.cls)
    waiting: list[Any] = [hints.get(column.name)]
    while waiting:
        hint = waiting.pop()
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            yield from (member.value for member in hint)
        elif typing.get_origin(hint) is typing.Literal:
            yield from typing.get_args(hint)
        else:
            waiting += typing.get_args(hint)
