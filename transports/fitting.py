"""What a closed table takes: its declared columns, with values that fit them, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any, Final

import attrs

from tidesync.codecs import SCALARS, Kinds, leaf_codec
from tidesync.contracts.transport import Rejected
from tidesync.objects import Table
from tidesync.records import Json, Record
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType, name_of

_ANNOTATIONS: Final = {type: annotation for annotation, type in SCALARS.items()}
_STRUCTURES: Final[Kinds] = {list: None, dict: None}
_SCALARS: Final[Kinds] = {str: None, int: None}


@attrs.frozen
class Fit:
    """One column: what kinds of JSON fit it (None: any), and whether it may be missing."""

    column: Column
    kinds: Kinds | None
    optional: bool

    def fault(self, value: Json) -> str | None:
        """Why a value does not fit, or None."""
        if self.kinds is None:
            return None
        wanted = f"a column of type {self.column.type.value}"
        kind = type(value)
        if kind not in self.kinds:
            return f"a value of type {name_of(value)} does not fit {wanted}"
        check = self.kinds[kind]
        reason = None if check is None else check(value)
        return None if reason is None else f"a value of type {name_of(value)} does not fit {wanted}: {reason}"


@attrs.frozen
class Closed:
    """A table's columns under their wire names, and what fits each."""

    table: str
    fits: Mapping[str, Fit]

    def refusal(self, values: Record, missing: Iterable[str]) -> Rejected | None:
        """Why these values cannot be written, or these fields not be without one; None if they can."""
        for name, value in values.items():
            fit = self.fits.get(name)
            if fit is None:
                known = ", ".join(self.fits)
                return Rejected(
                    "unknown_field",
                    f"{self.table}.{name:.80} is not declared, and a value of type {name_of(value)} was sent: "
                    f"the table's fields are {known}",
                )
            reason = fit.fault(value)
            if reason is not None:
                return Rejected("invalid_value", f"{self.table}.{name}: {reason}")
        for name in missing:
            fit = self.fits.get(name)
            if fit is not None and not fit.optional:
                wanted = fit.column.type.value
                return Rejected(
                    "invalid_value",
                    f"{self.table}.{name} is missing: a column of type {wanted} needs a value",
                )
        return None


def closed(declared: TableSchema | Table[Any]) -> Closed | None:
    """What the table takes, as a client with the same declaration would; None where it has no columns.

    A schema alone does not say which members an ENUM has, nor what a JSON column is made of: then text and
    integers, or any list and object, fit.
    """
    if isinstance(declared, Table):
        schema, known = declared.schema, declared.kinds
        fits = {column.wire: Fit(column, *known[column.name]) for column in schema.columns}
    else:
        schema = declared
        fits = {column.wire: _fit(column) for column in schema.columns}
    return Closed(schema.name, fits) if fits else None


def _fit(column: Column) -> Fit:
    if column.type is ColumnType.ANY:
        return Fit(column, None, column.nullable)
    if column.type in (ColumnType.JSON, ColumnType.ENUM):
        kinds = _STRUCTURES if column.type is ColumnType.JSON else _SCALARS
    else:
        codec = leaf_codec(_ANNOTATIONS[column.type])
        assert codec is not None
        assert codec.kinds is not None
        kinds = codec.kinds
    return Fit(column, {**kinds, NoneType: None} if column.nullable else kinds, column.nullable)
