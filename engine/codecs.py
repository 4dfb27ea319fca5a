"""From a Python annotation to a codec: how the values of one column become canonical JSON and come back.

Scalars are taken as `values.py` says. Lists, dicts, tuples and nested classes are JSON: cattrs takes them
apart and puts them together, with the same strict scalars inside.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NewType, TypeAlias, Union, get_args, get_origin
from uuid import UUID

import attrs
import cattrs
from cattrs import cols

from tidesync.errors import InvalidRecord
from tidesync.records import Json, check_json
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
_LISTS: Final = (list, collections.abc.Sequence, collections.abc.MutableSequence)
_DICTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


class UnsupportedAnnotation(TypeError):
    """No column can be of this type; the message says what to use instead."""


@attrs.frozen
class Codec:
    """One annotation, compiled. `encode` and `decode` never see None: `nullable` says whether null is a value.

    `kinds` says what JSON fits; None means any.
    """

    type: ColumnType
    encode: Encode
    decode: Decode
    nullable: bool
    kinds: Kinds | None


def codec_of(annotation: object) -> Codec:
    """Compile an annotation; `UnsupportedAnnotation` if no column can be of it."""
    bare, nullable = bare_annotation(annotation)
    if bare is Any or bare is object:
        return Codec(ColumnType.ANY, encode_json, encode_json, True, None)
    if isinstance(bare, type) and bare in SCALARS:
        scalar_type = SCALARS[bare]
        kinds = _with_null(_scalar_kinds(scalar_type), nullable)
        return Codec(scalar_type, ENCODERS[scalar_type], DECODERS[scalar_type], nullable, kinds)
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return _enum(bare, nullable)
    if get_origin(bare) is Literal:
        return _literal(get_args(bare), nullable)
    if is_union(bare):
        return _union(get_args(bare), nullable)
    return _structure(bare, nullable)


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
            annotation = Union[tuple(part for part in get_args(annotation) if part is not types.NoneType)]
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
    """The canonical form of a Python value (or, if `or_json`, of JSON that is canonical already), else `Misfit`."""
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


def _with_null(kinds: Kinds, nullable: bool) -> Kinds:
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


def _check_by(decode: Decode) -> Check:
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
                f"{cls.__name__}.{member.name} is {name_of(member.value)}: the values of an enum must be text or integers"
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

    kinds: Kinds = {type(scalar(member.value)): _check_by(decode) for member in cls}
    return Codec(ColumnType.ENUM, encode, decode, nullable, _with_null(kinds, nullable))


def _literal(values: tuple[Any, ...], nullable: bool) -> Codec:
    nullable = nullable or None in values
    allowed = {(type(value), value) for value in values if value is not None}
    if not all(kind in (str, int, bool) for kind, _ in allowed):
        raise UnsupportedAnnotation("a Literal must be of text, integers or booleans")

    def same(value: Any) -> Any:
        if (type(value), value) in allowed:
            return value
        raise Misfit(f"it is none of {', '.join(repr(value) for value in values)}")

    kinds: Kinds = {kind: _check_by(same) for kind, _ in allowed}
    return Codec(ColumnType.ENUM, same, same, nullable, _with_null(kinds, nullable))


def _union(parts: tuple[Any, ...], nullable: bool) -> Codec:
    kinds: Kinds = {}
    for part in parts:
        origin = get_origin(part) or part
        if origin not in _JSON_KINDS or any(inner not in (Any, str) for inner in get_args(part)[-1:]):
            raise UnsupportedAnnotation(
                "a union may join str, int, float, bool, list[Any] and dict[str, Any]: of others, JSON cannot tell which it is"
            )
        kinds[origin] = None

    def same(value: Any) -> Json:
        if type(value) not in kinds:
            raise Misfit(f"it is none of {', '.join(kind.__name__ for kind in kinds)}")
        return encode_json(value)

    return Codec(ColumnType.ANY, same, same, nullable, _with_null(kinds, nullable))


# -- structures, by cattrs ------------------------------------------------------------------------------

_ADVICE: Final = (
    "use str, int, float, bool, datetime, date, time, Decimal, UUID, bytes, an Enum, a Literal, an attrs class or "
    "dataclass, or lists and dicts of these"
)


def _structure(annotation: Any, nullable: bool) -> Codec:
    origin, nested = get_origin(annotation) or annotation, _is_nested(annotation)
    spelling = annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
    if not (nested or typing.is_typeddict(origin) or origin in (*_LISTS, *_DICTS, tuple)):
        raise UnsupportedAnnotation(f"{spelling} has no JSON form: {_ADVICE}")
    try:
        structure = _CONVERTER.get_structure_hook(annotation)
        unstructure = _CONVERTER.get_unstructure_hook(annotation)
    except UnsupportedAnnotation:
        raise
    except Exception as error:
        raise UnsupportedAnnotation(f"{spelling} has no JSON form: {error}; {_ADVICE}") from error
    outer = list if origin in (*_LISTS, tuple) else dict

    def encode(value: Any) -> Json:
        if nested and not isinstance(value, origin):
            raise Misfit(f"the column holds {origin.__name__}")
        try:
            json: Json = unstructure(value)
            check_json("", "", json)
        except InvalidRecord as error:
            raise Misfit(f"{error.field}: {error.reason}" if error.field else error.reason) from error
        except (Misfit, RecursionError):
            raise
        except Exception as error:
            raise Misfit(f"it is not what the column declares: {error}") from error
        return json

    def decode(value: Any) -> Any:
        if type(value) is not outer:
            raise Misfit(f"the column holds a {outer.__name__}")
        try:
            return structure(value, annotation)
        except Exception as error:
            reasons = cattrs.transform_error(error, path="", format_exception=_reason)
            raise Misfit("; ".join(reasons)) from error

    kinds = _with_null({outer: _check_by(decode)}, nullable)
    return Codec(ColumnType.JSON, encode, decode, nullable, kinds)


def _reason(error: BaseException, _: type | None) -> str:
    return (
        f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
    )


def _is_leaf(annotation: Any) -> bool:
    """Whether this file, not cattrs, says what a value inside a structure becomes."""
    bare, nullable = bare_annotation(annotation)
    if nullable and get_origin(bare) is not Literal:
        return False  # cattrs knows what to do with `X | None`
    return (
        bare is Any
        or bare is object
        or (isinstance(bare, type) and (bare in SCALARS or issubclass(bare, enum.Enum)))
        or get_origin(bare) is Literal
        or (is_union(bare) and all(part in _JSON_SCALARS for part in get_args(bare)))
    )


def _leaf_structure(annotation: Any) -> Callable[[Any, Any], Any]:
    codec = codec_of(annotation)
    return lambda value, _: decoded(codec, value)


def _leaf_unstructure(annotation: Any) -> Callable[[Any], Any]:
    codec = codec_of(annotation)
    return lambda value: encoded(codec, value, or_json=False)


def _only(kinds: tuple[Any, ...], hook: Callable[..., Any]) -> Callable[..., Any]:
    """The hook for values of these kinds alone: cattrs would also take a text for a list of its letters."""

    def checked(value: Any, *annotation: Any) -> Any:
        if not isinstance(value, kinds) or isinstance(value, str | bytes):
            raise Misfit(f"{name_of(value)} found where a {kinds[0].__name__} is declared")
        return hook(value, *annotation)

    return checked


def _refuse(annotation: Any) -> Callable[..., Any]:
    raise UnsupportedAnnotation(f"{annotation} has no JSON form: use list[X], tuple[X, ...] or dict[str, X]")


def _is_nested(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and (attrs.has(origin) or dataclasses.is_dataclass(origin))


def _nested_structure(annotation: Any, converter: cattrs.Converter) -> Callable[..., Any]:
    return _only((dict,), converter.gen_structure_attrs_fromdict(annotation))


def _has_no_json(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin is tuple:
        return len(arguments) != 2 or arguments[1] is not Ellipsis
    if origin in _DICTS:
        return bool(arguments) and bare_annotation(arguments[0]) != (str, False)
    return bool(cols.is_any_set(annotation))


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    for origins, kinds, structure, unstructure in (
        (_LISTS, _LISTS, cols.list_structure_factory, cols.iterable_unstructure_factory),
        ((tuple,), (tuple,), cols.homogenous_tuple_structure_factory, cols.iterable_unstructure_factory),
        (_DICTS, _DICTS, cols.mapping_structure_factory, cols.mapping_unstructure_factory),
    ):
        _register(converter, origins, kinds, structure, unstructure)
    converter.register_structure_hook_factory(_is_nested, _nested_structure)
    converter.register_structure_hook_factory(_has_no_json, _refuse)
    converter.register_structure_hook_factory(_is_leaf, _leaf_structure)
    converter.register_unstructure_hook_factory(_is_leaf, _leaf_unstructure)
    for cls in SCALARS:  # cattrs looks these up by class before it asks a predicate
        converter.register_structure_hook(cls, _leaf_structure(cls))
        converter.register_unstructure_hook(cls, _leaf_unstructure(cls))
    return converter


def _register(
    converter: cattrs.Converter,
    origins: tuple[Any, ...],
    kinds: tuple[Any, ...],
    structure: Callable[..., Callable[..., Any]],
    unstructure: Callable[..., Callable[..., Any]],
) -> None:
    def declared(annotation: Any) -> bool:
        return (get_origin(annotation) or annotation) in origins

    json = dict if kinds is _DICTS else list

    def structured(annotation: Any, converter: cattrs.Converter) -> Callable[..., Any]:
        return _only((json,), structure(annotation, converter))

    def unstructured(annotation: Any, converter: cattrs.Converter) -> Callable[..., Any]:
        if json is list:
            return _only(kinds, unstructure(annotation, converter, unstructure_to=list))
        return _only(kinds, unstructure(annotation, converter, unstructure_to=dict))

    converter.register_structure_hook_factory(declared, structured)
    converter.register_unstructure_hook_factory(declared, unstructured)


_CONVERTER: Final = _make_converter()
