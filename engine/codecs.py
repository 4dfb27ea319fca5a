"""From a Python annotation to a codec: how the values of one column become canonical JSON and come back.

Here are scalars, enums, literals and unions of JSON's own types; `structures.py` has the rest.
"""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NewType, TypeAlias, Union, cast, get_args, get_origin
from uuid import UUID

import attrs

from tidesync.records import Json
from tidesync.values import (
    DECODERS,
    ENCODERS,
    ColumnType,
    Decode,
    Encode,
    Misfit,
    encode_json,
    is_canonical,
    name_of,
    scalar,
)

Check: TypeAlias = Callable[[Any], str | None]
"""From JSON of the right kind to why it does not fit, or None."""
Kinds: TypeAlias = dict[type, Check | None]
"""Which kinds of JSON fit, each with a closer look at it; None: every value of the kind fits."""

SCALARS: Final[dict[Any, ColumnType]] = {
    str: ColumnType.STRING,
    int: ColumnType.INTEGER,
    float: ColumnType.FLOAT,
    bool: ColumnType.BOOLEAN,
    datetime: ColumnType.DATETIME,
    date: ColumnType.DATE,
    time: ColumnType.TIME,
    Decimal: ColumnType.DECIMAL,
    UUID: ColumnType.UUID,
    bytes: ColumnType.BYTES,
}
_JSON_SCALARS: Final = (str, int, float, bool)
_JSON_KINDS: Final = (*_JSON_SCALARS, list, dict)


class UnsupportedAnnotation(TypeError):
    """No column can be of this type; the message says what to use instead."""


@attrs.frozen
class Codec:
    """One annotation, compiled.

    `encode` and `decode` never see None: `nullable` says whether null is a value. `kinds` says what JSON
    fits; None means any.
    """

    type: ColumnType
    encode: Encode
    decode: Decode
    nullable: bool
    kinds: Kinds | None


def leaf_codec(annotation: object) -> Codec | None:
    """Compile an annotation, unless it is a structure (a list, a dict, a nested class): then None."""
    bare, nullable = bare_annotation(annotation)
    if bare is Any or bare is object:
        return Codec(ColumnType.ANY, encode_json, encode_json, True, None)
    if isinstance(bare, type) and bare in SCALARS:
        scalar_type = SCALARS[bare]
        kinds = with_null(_scalar_kinds(scalar_type), nullable)
        return Codec(scalar_type, ENCODERS[scalar_type], DECODERS[scalar_type], nullable, kinds)
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return _enum(bare, nullable)
    if get_origin(bare) is Literal:
        return _literal(get_args(bare), nullable)
    return _union(get_args(bare), nullable) if is_union(cast(Any, bare)) else None


def bare_annotation(annotation: Any) -> tuple[Any, bool]:
    """An annotation without Annotated, NewType, alias and None; and whether None was in it."""
    nullable = False
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":  # `type X = …` of Python 3.12
            annotation = annotation.__value__
        elif is_union(annotation) and types.NoneType in get_args(annotation):
            nullable = True
            parts = (part for part in get_args(annotation) if part is not types.NoneType)
            annotation = functools.reduce(lambda one, other: one | other, parts)
        else:
            return annotation, nullable


def is_union(annotation: object) -> bool:
    """Whether the annotation is `X | Y` in one of its two spellings."""
    return get_origin(annotation) in (Union, types.UnionType)


def misfit(codec: Codec, value: Json) -> str | None:
    """Why JSON does not fit, or None if it does."""
    if codec.kinds is None:
        return None
    try:
        check = codec.kinds[type(value)]
    except KeyError:
        return f"the column holds {codec.type.value}"
    return None if check is None else check(value)


def encoded(codec: Codec, value: Any, *, or_json: bool) -> Json:
    """The canonical form of a Python value, else `Misfit`; if `or_json`, canonical JSON stands for itself."""
    if value is None:
        if codec.nullable:
            return None
        raise Misfit("null does not fit: declare the column as `… | None`, or give a value")
    try:
        return codec.encode(value)
    except Misfit:
        if or_json and type(value) in _JSON_KINDS and misfit(codec, value) is None:
            return encode_json(value)
        raise


def decoded(codec: Codec, value: Json) -> Any:
    """The Python value that JSON stands for, else `Misfit`."""
    if value is None:
        if codec.nullable:
            return None
        raise Misfit("null does not fit")
    return codec.decode(value)


# -- scalars --------------------------------------------------------------------------------------------


def with_null(kinds: Kinds, nullable: bool) -> Kinds:
    """The kinds, and null if it is a value."""
    return {**kinds, types.NoneType: None} if nullable else kinds


def _scalar_kinds(type: ColumnType) -> Kinds:
    plain: dict[ColumnType, Kinds] = {
        ColumnType.STRING: {str: None},
        ColumnType.INTEGER: {int: None},
        ColumnType.FLOAT: {float: None, int: None},
        ColumnType.BOOLEAN: {bool: None},
    }

    def check(value: Json) -> str | None:
        return None if is_canonical(type, value) else f"it is not the canonical text of a {type.value}"

    return plain.get(type) or {str: check}


def check_by(decode: Decode) -> Check:
    """The look at JSON that decodes it, to see whether that works."""

    def check(value: Json) -> str | None:
        try:
            decode(value)
        except Misfit as error:
            return str(error)
        return None

    return check


def _enum(cls: type[enum.Enum], nullable: bool) -> Codec:
    for member in cls:
        if not isinstance(member.value, str | int) or isinstance(member.value, bool):
            raise UnsupportedAnnotation(
                f"{cls.__name__}.{member.name} is {name_of(member.value)}: use text or integers"
            )

    def encode(value: object) -> Json:
        if not isinstance(value, cls):
            raise Misfit(f"the column holds members of {cls.__name__}")
        return scalar(value.value)

    def decode(value: Any) -> object:
        try:
            member = cls(value)
        except ValueError:
            raise Misfit(f"{value!r:.40} is no value of {cls.__name__}") from None
        if type(scalar(member.value)) is not type(value):  # True is no 1
            raise Misfit(f"{value!r:.40} is no value of {cls.__name__}")
        return member

    kinds: Kinds = {type(scalar(member.value)): check_by(decode) for member in cls}
    return Codec(ColumnType.ENUM, encode, decode, nullable, with_null(kinds, nullable))


def _literal(values: tuple[Any, ...], nullable: bool) -> Codec:
    nullable = nullable or None in values
    allowed: set[tuple[type[Any], Any]] = {(type(value), value) for value in values if value is not None}
    if not all(kind in (str, int, bool) for kind, _ in allowed):
        raise UnsupportedAnnotation("a Literal must be of text, integers or booleans")

    def same(value: Any) -> Any:
        if (type(value), value) in allowed:
            return value
        raise Misfit(f"it is none of {', '.join(repr(value) for value in values)}")

    kinds: Kinds = {kind: check_by(same) for kind, _ in allowed}
    return Codec(ColumnType.ENUM, same, same, nullable, with_null(kinds, nullable))


def _union(parts: tuple[Any, ...], nullable: bool) -> Codec:
    kinds: Kinds = {}
    for part in parts:
        origin = get_origin(part) or part
        if origin not in _JSON_KINDS or any(inner not in (Any, str) for inner in get_args(part)[-1:]):
            raise UnsupportedAnnotation(
                "a union may join str, int, float, bool, list[Any] and dict[str, Any]: "
                "of others, nothing tells which one the JSON is"
            )
        kinds[origin] = None

    def same(value: Any) -> Json:
        if type(value) not in kinds:
            raise Misfit(f"it is none of {', '.join(kind.__name__ for kind in kinds)}")
        return encode_json(value)

    return Codec(ColumnType.ANY, same, same, nullable, with_null(kinds, nullable))
