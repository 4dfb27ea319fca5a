"""What a query may compare a column with: the column's own values, and numbers of any kind with numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from tidesync.records import Json
from tidesync.values import (
    ENCODERS,
    ColumnType,
    Encode,
    Misfit,
    encode_float,
    encode_integer,
    encode_string,
)

_EXACT: Final = 2**53  # floats hold every integer up to this


def _number(value: object) -> Json:
    if isinstance(value, Decimal):
        raise Misfit("the column is no decimal: give an int or a float")
    return encode_float(value) if isinstance(value, float) else encode_integer(value)


def _float(value: object) -> Json:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
        return encode_integer(value)
    return encode_float(value) if isinstance(value, int | float) else _number(value)


def any_constant(value: object) -> Json:
    """A constant for a field whose type nobody declared."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return encode_string(value)
    if isinstance(value, int | float):
        return _number(value)
    raise Misfit("the field is undeclared: give a str, int, float or bool, or declare the column")


CONSTANTS: Final[dict[ColumnType, Encode]] = {
    **ENCODERS,
    ColumnType.INTEGER: _number,
    ColumnType.FLOAT: _float,
    ColumnType.ANY: any_constant,
}
"""From a constant (never None) to its canonical form, by the type of what it is compared with."""
