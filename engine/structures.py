"""Columns of JSON: lists, dicts, tuples and nested classes, taken apart and put together by cattrs.

The scalars inside are as strict as columns of their own, and so are the containers: cattrs alone would take a
text for a list of its letters, and "5" for a number.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import typing
from collections.abc import Callable
from typing import Any, Final, TypeAlias, get_args, get_origin

import attrs
import cattrs
from cattrs import cols

from tidesync.codecs import (
    SCALARS,
    Codec,
    UnsupportedAnnotation,
    bare_annotation,
    check_by,
    decoded,
    encoded,
    leaf_codec,
    with_null,
)
from tidesync.errors import InvalidRecord
from tidesync.records import Json, check_json
from tidesync.values import ColumnType, Misfit, name_of

Hook: TypeAlias = Callable[..., Any]
"""What cattrs calls: `structure(value, annotation)`, or `unstructure(value)`."""

_LISTS: Final = (list, collections.abc.Sequence, collections.abc.MutableSequence)
_SETS: Final = (set, frozenset, collections.abc.Set, collections.abc.MutableSet)
_DICTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)

_ADVICE: Final = (
    "use str, int, float, bool, datetime, date, time, Decimal, UUID, bytes, an Enum, a Literal, an attrs "
    "class or dataclass, or lists and dicts of these"
)


def codec_of(annotation: object) -> Codec:
    """Compile an annotation; `UnsupportedAnnotation` if no column can be of it."""
    leaf = leaf_codec(annotation)
    return _structure(*bare_annotation(annotation)) if leaf is None else leaf


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

    kinds = with_null({outer: check_by(decode)}, nullable)
    return Codec(ColumnType.JSON, encode, decode, nullable, kinds)


def _reason(error: BaseException, _: type | None) -> str:
    return (
        f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
    )


def _is_leaf(annotation: Any) -> bool:
    """Whether a value inside a structure is ours to take, and not cattrs'."""
    try:
        return leaf_codec(annotation) is not None
    except UnsupportedAnnotation:
        return False


def _only(kinds: tuple[Any, ...], hook: Hook) -> Hook:
    """The hook for values of these kinds alone: cattrs would also take a text for a list of its letters."""

    def checked(value: Any, *annotation: Any) -> Any:
        if not isinstance(value, kinds) or isinstance(value, str | bytes):
            raise Misfit(f"{name_of(value)} found where a {kinds[0].__name__} is declared")
        return hook(value, *annotation)

    return checked


def _refuse(annotation: Any) -> Hook:
    raise UnsupportedAnnotation(f"{annotation} has no JSON form: use list[X], tuple[X, ...] or dict[str, X]")


def _is_nested(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and (attrs.has(origin) or dataclasses.is_dataclass(origin))


def _nested_structure(annotation: Any, converter: cattrs.Converter) -> Hook:
    return _only((dict,), converter.gen_structure_attrs_fromdict(annotation))


def _has_no_json(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin is tuple:
        return len(arguments) != 2 or arguments[1] is not Ellipsis
    if origin in _DICTS:
        return bool(arguments) and bare_annotation(arguments[0]) != (str, False)
    return origin in _SETS


def _leaf_structure(annotation: Any) -> Hook:
    codec = codec_of(annotation)

    def structure(value: Any, _: Any) -> Any:
        return decoded(codec, value)

    return structure


def _leaf_unstructure(annotation: Any) -> Hook:
    codec = codec_of(annotation)

    def unstructure(value: Any) -> Json:
        return encoded(codec, value, or_json=False)

    return unstructure


def _add_container(
    converter: cattrs.Converter,
    kinds: tuple[Any, ...],
    json: type[Any],
    structure: Callable[[Any, cattrs.Converter], Hook],
    unstructure: Callable[..., Hook],
) -> None:
    def declared(annotation: Any) -> bool:
        return (get_origin(annotation) or annotation) in kinds

    def structured(annotation: Any, converter: cattrs.Converter) -> Hook:
        return _only((json,), structure(annotation, converter))

    def unstructured(annotation: Any, converter: cattrs.Converter) -> Hook:
        return _only(kinds, unstructure(annotation, converter, unstructure_to=json))

    converter.register_structure_hook_factory(declared, structured)
    converter.register_unstructure_hook_factory(declared, unstructured)


def _mapping_structure(annotation: Any, converter: cattrs.Converter) -> Hook:
    hook: Hook = cols.mapping_structure_factory(annotation, converter)  # pyright: ignore[reportUnknownMemberType]  # cattrs leaves it open
    return hook


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    to_list, to_dict = cols.iterable_unstructure_factory, cols.mapping_unstructure_factory
    _add_container(converter, _LISTS, list, cols.list_structure_factory, to_list)
    _add_container(converter, (tuple,), list, cols.homogenous_tuple_structure_factory, to_list)
    _add_container(converter, _DICTS, dict, _mapping_structure, to_dict)
    converter.register_structure_hook_factory(_is_nested, _nested_structure)
    converter.register_structure_hook_factory(_has_no_json, _refuse)
    converter.register_structure_hook_factory(_is_leaf, _leaf_structure)
    converter.register_unstructure_hook_factory(_is_leaf, _leaf_unstructure)
    for cls in SCALARS:  # cattrs looks these up by class before it asks a predicate
        converter.register_structure_hook(cls, _leaf_structure(cls))
        converter.register_unstructure_hook(cls, _leaf_unstructure(cls))
    return converter


_CONVERTER: Final = _make_converter()
