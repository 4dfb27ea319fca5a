"""`table()`: from a class, or from a name and columns, to a `Table[T]`, which turns objects into records."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar, cast, overload

import attrs

from tidesync.codecs import Codec, UnsupportedAnnotation, bare_annotation
from tidesync.errors import ConfigurationError
from tidesync.objects import Slot, Table
from tidesync.records import SYSTEM_FIELDS
from tidesync.schema import Column, Concurrency, TableSchema
from tidesync.structures import codec_of
from tidesync.values import ColumnType

T = TypeVar("T")
Rename: TypeAlias = Callable[[str], str] | Mapping[str, str] | str
References: TypeAlias = "Mapping[str, Table[Any] | str]"

_SYSTEM_TYPES: Final[dict[str, Any]] = {"version": str, "created_at": datetime, "updated_at": datetime}


@overload
def table(
    cls: type[T],
    /,
    *,
    name: str | None = None,
    references: References | None = None,
    rename: Rename | None = None,
    indexes: Iterable[Sequence[str] | str] = (),
    concurrency: Concurrency = "optimistic",
) -> Table[T]: ...


@overload
def table(
    name: str,
    columns: Mapping[str, object],
    /,
    *,
    references: References | None = None,
    rename: Rename | None = None,
    indexes: Iterable[Sequence[str] | str] = (),
    concurrency: Concurrency = "optimistic",
) -> Table[dict[str, Any]]: ...


def table(
    cls_or_name: type[Any] | str,
    columns: Mapping[str, object] | None = None,
    /,
    *,
    name: str | None = None,
    references: References | None = None,
    rename: Rename | None = None,
    indexes: Iterable[Sequence[str] | str] = (),
    concurrency: Concurrency = "optimistic",
) -> Table[Any]:
    """A table of the objects of an attrs class or dataclass, or of dicts with these columns.

    `table(TodoItem)` is named "todoitem" unless `name` says otherwise; `table("todoitem", {"text": str})`
    takes and returns dicts. `references={"list_id": lists}` says which columns name records of which tables:
    `{}` that none does, None nothing at all. `rename="camel"` maps created_on to createdOn on the wire; a
    mapping or a callable is taken too. `indexes` are tuples of columns (a bare name is an index of one).
    `concurrency` is "optimistic" or "last-write-wins". A class needs `id: str`, and may declare
    `version: str | None`, `created_at` and `updated_at`: `datetime | None`. Raises `ConfigurationError`,
    naming class and field.
    """
    if isinstance(cls_or_name, str):
        where, table_name, cls = f"table {cls_or_name!r}", name or cls_or_name, dict
        if not isinstance(columns, Mapping):
            raise ConfigurationError(
                f"{where}: give the columns, as in table({cls_or_name!r}, {{'text': str}})"
            )
        slots = _slots_of_columns(where, columns)
        system: dict[str, str] = {}
    else:
        if not isinstance(cls_or_name, type):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            raise ConfigurationError(f"table() takes a class or a name, not {cls_or_name!r:.60}")
        cls = cls_or_name
        where, table_name = cls.__qualname__, name if name is not None else cls.__name__.lower()
        if columns is not None:
            raise ConfigurationError(f"{where}: the class declares the columns already; leave them out")
        slots, system = _slots_of_class(cls)
    if table_name.startswith("__"):
        raise ConfigurationError(f"{where}: names that start with __ belong to tidesync: {table_name!r}")
    try:
        wire = _wire_names(where, [slot.name for slot in slots], rename)
        schema = TableSchema(
            table_name,
            tuple(Column(slot.name, slot.codec.type, wire[slot.name], slot.nullable) for slot in slots),
            _targets(where, references),
            _indexes(where, indexes),
            concurrency,
        )
    except ConfigurationError as error:
        if str(error).startswith(where):
            raise
        raise ConfigurationError(f"{where}: {error}") from error
    _check_references(where, schema)
    return Table(schema, cls, tuple(slots), system)


def _check_references(where: str, schema: TableSchema) -> None:
    for field in schema.references or ():
        if schema.by_name[field].type not in (ColumnType.STRING, ColumnType.UUID, ColumnType.ANY):
            raise ConfigurationError(
                f"{where}.{field} names records by id, so it must be str, str | None or UUID"
            )


def _indexes(where: str, indexes: Any) -> tuple[tuple[str, ...], ...]:
    if isinstance(indexes, str) or not hasattr(indexes, "__iter__"):
        raise ConfigurationError(
            f"{where}: indexes are a list of columns, or of tuples of them, not {indexes!r:.60}"
        )
    return tuple((index,) if isinstance(index, str) else tuple(index) for index in indexes)


def _targets(where: str, references: References | None) -> Mapping[str, str] | None:
    if references is None:
        return None
    if not isinstance(references, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
        raise ConfigurationError(
            f"{where}: references are by column, as in {{'list_id': lists}}, not {references!r:.60}"
        )
    targets: dict[str, str] = {}
    for field, target in references.items():
        if not isinstance(target, Table | str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            raise ConfigurationError(
                f"{where}.{field} must reference a table or a table's name, not {target!r:.60}"
            )
        targets[field] = target if isinstance(target, str) else target.name
    return targets


def camel(name: str) -> str:
    """`created_on` as `createdOn`; underscores at either end stay."""
    core = name.strip("_")
    first, *rest = core.split("_") if core else [""]
    start = len(name) - len(name.lstrip("_"))
    return (
        name[:start]
        + first
        + "".join(part[:1].upper() + part[1:] for part in rest)
        + name[start + len(core) :]
    )


def _wire_names(where: str, names: Sequence[str], rename: Rename | None) -> dict[str, str]:
    if rename is None:
        return {name: name for name in names}
    if rename == "camel":
        rename = camel
    if isinstance(rename, str) or not (callable(rename) or isinstance(cast(object, rename), Mapping)):
        raise ConfigurationError(
            f"{where}: rename must be 'camel', a mapping or a callable, not {rename!r:.60}"
        )
    if callable(rename):
        wire = {name: rename(name) for name in names}
    else:
        given: Mapping[Any, Any] = cast(Any, rename)
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise ConfigurationError(f"{where}: rename names {', '.join(unknown)}, which is no column")
        wire = {name: given.get(name, name) for name in names}
    for name, renamed in wire.items():
        if not isinstance(renamed, str) or not renamed:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            raise ConfigurationError(f"{where}.{name} must have a text as its wire name, not {renamed!r}")
    return wire


# -- columns given as a mapping -------------------------------------------------------------------------


def _slots_of_columns(where: str, columns: Mapping[str, object]) -> list[Slot]:
    slots: list[Slot] = []
    for name, annotation in columns.items():
        if name == "id" and annotation is str:
            continue
        _check_case(where, name)
        if name in SYSTEM_FIELDS:
            _check_system(where, name, annotation)
            continue
        codec = attrs.evolve(_codec(where, name, annotation), nullable=True)
        slots.append(Slot.of(name, name, codec, required=False))
    return slots


def _codec(where: str, name: str, annotation: object) -> Codec:
    try:
        return codec_of(annotation)
    except UnsupportedAnnotation as error:
        raise ConfigurationError(f"{where}.{name}: {error}") from error


def _check_case(where: str, name: object) -> None:
    if not isinstance(name, str):
        raise ConfigurationError(f"{where}: a column name must be text, not {name!r}")
    if name == "id":
        raise ConfigurationError(f"{where}.id must be str: ids are text on every remote")
    if name.lower() == "id":
        raise ConfigurationError(f"{where}.{name}: write it `id`, in lower case, as every table does")


def _check_system(where: str, name: str, annotation: object) -> None:
    wanted = _SYSTEM_TYPES[name]
    if bare_annotation(annotation) != (wanted, True):
        raise ConfigurationError(
            f"{where}.{name} is the remote's: declare it as `{wanted.__name__} | None = None`, or give "
            "your own field another name"
        )


# -- columns of a class ---------------------------------------------------------------------------------


@attrs.frozen
class _Attribute:
    """One field of a class: what the constructor calls it, its type, its default (or `NOTHING`)."""

    name: str
    alias: str
    annotation: object
    default: object


def _slots_of_class(cls: type[Any]) -> tuple[list[Slot], dict[str, str]]:
    where = cls.__qualname__
    attributes = _attributes(cls)
    _check_constructor(cls, attributes)
    if not any(attribute.name == "id" for attribute in attributes):
        for attribute in attributes:
            _check_case(where, attribute.name)
        raise ConfigurationError(f"{where} has no id: declare `id: str`")
    slots: list[Slot] = []
    system: dict[str, str] = {}
    for attribute in attributes:
        name, annotation = attribute.name, attribute.annotation
        if name == "id" and bare_annotation(annotation) == (str, False):
            continue
        _check_case(where, name)
        if name in SYSTEM_FIELDS:
            _check_system(where, name, annotation)
            system[name] = attribute.alias
            continue
        codec = _codec(where, name, annotation)
        if attribute.default is None:
            codec = attrs.evolve(codec, nullable=True)
        slots.append(Slot.of(name, attribute.alias, codec, required=attribute.default is attrs.NOTHING))
    return slots, system


def _attributes(cls: type[Any]) -> list[_Attribute]:
    hints = _hints(cls)
    if attrs.has(cls):
        return [
            _Attribute(
                field.name,
                field.alias or field.name,
                _hint(cls, hints, field.name, field.type),
                field.default,
            )
            for field in attrs.fields(cls)
            if field.init
        ]
    if dataclasses.is_dataclass(cls):
        return [
            _Attribute(field.name, field.name, hints[field.name], _default(field))
            for field in dataclasses.fields(cls)
            if field.init
        ]
    raise ConfigurationError(
        f"{cls.__qualname__} is neither an attrs class nor a dataclass: decorate it with @attrs.define or "
        "@dataclass, or give a name and columns"
    )


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    return attrs.NOTHING if field.default_factory is dataclasses.MISSING else field.default_factory


def _hints(cls: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"{cls.__qualname__}: the annotation {error.name!r} cannot be found: define it in the module"
        ) from error
    except (TypeError, SyntaxError) as error:
        raise ConfigurationError(f"{cls.__qualname__}: an annotation cannot be read: {error}") from error


def _hint(cls: type[Any], hints: Mapping[str, Any], name: str, declared: object) -> object:
    annotation = hints.get(name, declared)
    if annotation is None:
        raise ConfigurationError(f"{cls.__qualname__}.{name} has no type: annotate it")
    return annotation


def _check_constructor(cls: type[Any], attributes: Sequence[_Attribute]) -> None:
    """A record becomes an object by calling the class with its fields by name: see that this can work."""
    aliases = {attribute.alias for attribute in attributes}
    parameters = inspect.signature(cls).parameters.values()
    for parameter in parameters:
        required = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if required and parameter.name not in aliases:
            raise ConfigurationError(
                f"{cls.__qualname__}() requires {parameter.name!r}, which is no field: give it a default"
            )
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    missing = aliases - {parameter.name for parameter in parameters}
    if missing and not open_ended:
        raise ConfigurationError(f"{cls.__qualname__}() does not take {', '.join(sorted(missing))} by name")
