"""`Table[T]`: how objects become records, and come back, without losing what the class does not name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, NoReturn, TypeVar, cast, final

import attrs

from tidesync.codecs import Codec, Kinds, decoded, encoded, with_null
from tidesync.columns import Columns, ordering, selection, suggestion, where
from tidesync.errors import InvalidId, InvalidRecord, UnknownColumn
from tidesync.query import Expr, Order
from tidesync.records import SYSTEM_FIELDS, Json, Record, check_id, same
from tidesync.schema import TableSchema
from tidesync.values import (
    ColumnType,
    Encode,
    Misfit,
    canonical,
    decode_datetime,
    encode_datetime,
    encode_json,
    encode_string,
    name_of,
)

T = TypeVar("T")
_ABSENT: Final = object()


@attrs.frozen
class Slot:
    """One column and the attribute behind it. `codec.nullable`: the attribute itself may be None."""

    name: str
    alias: str
    codec: Codec
    nullable: bool
    required: bool

    @classmethod
    def of(cls, name: str, alias: str, codec: Codec, *, required: bool) -> Slot:
        """Null fits what is declared so, and what has a default to stand in for it."""
        return cls(name, alias, codec, nullable=codec.nullable or not required, required=required)


@final
@attrs.frozen(eq=False, repr=False)
class Table(Generic[T]):
    """A declared table: made by `table()`, given to a context, and the key to its sync table.

    `schema` is what stores and transports see, `cls` the class of its objects (dict where columns were
    given), `c` the column handles.
    """

    schema: TableSchema
    cls: type[T]
    _slots: tuple[Slot, ...]
    _system: Mapping[str, str]
    c: Columns = attrs.field(init=False)
    _by_name: Mapping[str, Slot] = attrs.field(init=False)
    _fits: tuple[tuple[str, Mapping[Any, Callable[[Any], str | None] | None]], ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        encoders: dict[str, Encode] = {slot.name: _constant(slot.codec) for slot in self._slots}
        set_once = partial(object.__setattr__, self)
        set_once("c", Columns(self.schema, encoders, undeclared=self.untyped))
        set_once("_by_name", {slot.name: slot for slot in self._slots})
        set_once(
            "_fits",
            tuple(_fit(slot) for slot in self._slots if slot.codec.kinds is not None or slot.required),
        )

    def __repr__(self) -> str:
        return f"<table {self.name} of {self.cls.__name__}>"

    @property
    def name(self) -> str:
        """The table's name in the local store and at the remote."""
        return self.schema.name

    @property
    def untyped(self) -> bool:
        """Whether the objects are dicts, which may hold fields that no column declares."""
        return self.cls is dict

    # -- objects to records

    def to_record(self, obj: T | Mapping[str, object]) -> Record:
        """The canonical record of an object, or of a dict; `id` is left out while it is empty or None.

        A dict may leave columns out: it is part of a record then, for an update. System fields that the object
        carries come along, since `version` says which copy it was read from. Raises `InvalidRecord` naming the
        field, `InvalidId`.
        """
        if isinstance(obj, self.cls) and not self.untyped:
            return self._of_object(obj)
        return self._of_mapping(self._mapping(obj))

    def changes(self, **fields: object) -> Record:
        """The canonical form of some fields, for `update(id, **fields)`.

        Raises `UnknownColumn` with what was probably meant, `InvalidRecord` for a value that does not fit.
        """
        for name, value in fields.items():
            if name == "id" or name in SYSTEM_FIELDS:
                raise InvalidRecord(self.name, name, name_of(value), "it is not a field that can be changed")
        self.check_fields(fields)
        return self._of_mapping(fields)

    def check_fields(self, obj: object) -> None:
        """Raise `UnknownColumn` for a field of a dict that the table's class does not declare."""
        if self.untyped or not isinstance(obj, Mapping):
            return
        for name in cast("Mapping[str, object]", obj):
            if name not in self._by_name and name != "id" and name not in SYSTEM_FIELDS:
                raise UnknownColumn(self.name, str(name), suggestion(str(name), self._by_name))

    def overlay(self, obj: T | Mapping[str, object], stored: Record) -> Record:
        """The whole record that results when an object, or some fields, are written over a stored record.

        What the object does not name survives, at any depth. What it leaves as it would be read from `stored`
        keeps the stored JSON exactly, and stays absent where it was absent. Id and system fields are those of
        `stored`. Raises as `to_record` does.
        """
        if isinstance(obj, self.cls) and not self.untyped:
            after = self._of_object(obj)
            try:
                before = self._of_object(self.from_record(stored))
            except (InvalidRecord, InvalidId):
                before = self._as_read(stored)
        else:
            after = self._of_mapping(self._mapping(obj))
            before = self._as_read(stored)
            after = {**before, **after}
        for name in ("id", *SYSTEM_FIELDS):
            for record in (before, after):
                _ = record.pop(name, None)
        return dict(cast(Record, _patched(stored, before, after)))

    def _of_object(self, obj: Any) -> Record:
        record: Record = {}
        id = obj.id
        if id is not None and id != "":
            record["id"] = check_id(self.name, id)
        for slot in self._slots:
            value = getattr(obj, slot.name)
            try:
                record[slot.name] = encoded(slot.codec, value, or_json=False)
            except Misfit as error:
                self._refuse(slot.name, value, error)
        for name in self._system:
            self._add_system(record, name, getattr(obj, name))
        return record

    def _of_mapping(self, fields: Mapping[str, object]) -> Record:
        record: Record = {}
        for name, value in fields.items():
            slot = self._by_name.get(name)
            try:
                if slot is not None:
                    record[name] = (
                        None if value is None and slot.nullable else encoded(slot.codec, value, or_json=True)
                    )
                elif name == "id":
                    if value is not None and value != "":
                        record["id"] = check_id(self.name, value)
                elif name in SYSTEM_FIELDS:
                    self._add_system(record, name, value)
                else:
                    self._check_undeclared(name)
                    record[name] = encode_json(value)
            except Misfit as error:
                self._refuse(name, value, error)
        return record

    def _check_undeclared(self, name: object) -> None:
        if not isinstance(name, str):
            raise InvalidRecord(self.name, repr(name), name_of(name), "a field name must be str")
        _ = encode_string(name)
        column = self.schema.by_wire.get(name)
        if column is not None:
            raise Misfit(f"on the wire this is the name of the column {column.name!r}: use that")

    def _mapping(self, obj: object) -> Mapping[str, object]:
        if isinstance(obj, Mapping):
            return cast("Mapping[str, object]", obj)
        wanted = "a dict" if self.untyped else f"a {self.cls.__name__}, or a dict of fields"
        raise InvalidRecord(self.name, "", name_of(obj), f"give {wanted}")

    def _add_system(self, record: Record, name: str, value: object) -> None:
        if value is None:
            return
        if name == "version":
            if not isinstance(value, str):
                raise InvalidRecord(
                    self.name, name, name_of(value), "a version is the text that the remote gave"
                )
            record[name] = value
            return
        try:
            record[name] = encode_datetime(decode_datetime(value) if isinstance(value, str) else value)
        except Misfit as error:
            self._refuse(name, value, error)

    def _refuse(self, field: str, value: object, error: Misfit) -> NoReturn:
        raise InvalidRecord(self.name, field, name_of(value), str(error)) from error

    # -- records to objects

    def from_record(self, record: Record) -> T:
        """The object of a record; fields that it does not name are left out (a dict has them all).

        A missing field, and null where the class has a default instead, become that default. Raises
        `InvalidRecord` where a field does not fit, or the class itself refuses.
        """
        if self.untyped:
            return cast(T, self._dict_of(record))
        arguments: dict[str, Any] = {"id": record.get("id")}
        for slot in self._slots:
            value = record.get(slot.name, _ABSENT)
            if value is None and not slot.codec.nullable and not slot.required:
                continue
            if value is _ABSENT:
                if slot.required:
                    if not slot.codec.nullable:
                        raise InvalidRecord(self.name, slot.name, "absent", "the class has no default for it")
                    arguments[slot.alias] = None
                continue
            arguments[slot.alias] = self._decoded(slot, cast(Json, value))
        for name, alias in self._system.items():
            value = record.get(name)
            arguments[alias] = value if value is None or name == "version" else self._instant(name, value)
        try:
            return self.cls(**arguments)
        except Exception as error:
            raise InvalidRecord(
                self.name, "", self.cls.__name__, f"the class refuses the record: {error}"
            ) from error

    def _dict_of(self, record: Record) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in record.items():
            slot = self._by_name.get(name)
            try:
                if slot is not None:
                    result[name] = decoded(slot.codec, value)
                elif name in ("created_at", "updated_at") and value is not None:
                    result[name] = decode_datetime(value)
                else:
                    result[name] = value
            except Misfit:
                result[name] = value
        return result

    def decode_field(self, name: str, value: Json) -> object:
        """The Python value of one field of a record; what is undeclared, or does not fit, stays JSON."""
        return self._dict_of({name: value})[name]

    def _instant(self, name: str, value: Json) -> datetime:
        try:
            return decode_datetime(value)
        except Misfit as error:
            self._refuse(name, value, error)

    def _decoded(self, slot: Slot, value: Json) -> Any:
        try:
            return decoded(slot.codec, value)
        except Misfit as error:
            self._refuse(slot.name, value, error)

    def _as_read(self, record: Record) -> Record:
        """The columns of a record as they would be written again, one by one; what does not fit stays."""
        result: Record = {}
        for name in self._by_name.keys() & record.keys():
            value, codec = record[name], self._by_name[name].codec
            try:
                result[name] = None if value is None else codec.encode(codec.decode(value))
            except Misfit:
                result[name] = value
        return result

    # -- what a pulled record must be

    @property
    def kinds(self) -> Mapping[str, tuple[Kinds | None, bool]]:
        """By column: the kinds of JSON that fit it (None: any), and whether it may be missing."""
        return {
            slot.name: (slot.codec.kinds and with_null(slot.codec.kinds, slot.nullable), slot.nullable)
            for slot in self._slots
        }

    def fits(self, record: Record) -> str | None:
        """Why a record does not fit the declared columns, naming field and type; None if it does.

        It wants canonical JSON, and takes well under a microsecond per column: every pulled record is asked.
        """
        for name, kinds in self._fits:
            value = record.get(name, _ABSENT)
            try:
                check = kinds[type(value)]
            except KeyError:
                return self._misfit(name, value)
            if check is not None and (reason := check(value)) is not None:
                return f"{self.name}.{name}: a value of type {name_of(value)} does not fit: {reason}"
        return None

    def _misfit(self, name: str, value: object) -> str:
        if value is _ABSENT:
            return f"{self.name}.{name} is missing, and {self.cls.__name__} has no default for it"
        column = self.schema.by_name[name].type.value
        return f"{self.name}.{name}: a value of type {name_of(value)} does not fit a column of type {column}"

    def canonical(self, record: Record) -> Record:
        """The record with its columns in canonical form, where they spelt the same value differently."""
        return {
            name: canonical(slot.codec.type, value)
            if (slot := self._by_name.get(name)) is not None
            else value
            for name, value in record.items()
        }

    # -- queries

    def where(self, *conditions: object, **equalities: object) -> Expr | None:
        """All of the conditions and `column=value` equalities together, None if there are none.

        Raises `InvalidQuery`, `UnknownColumn`, and `TypeError` for a condition that is a mere True or False.
        """
        return where(self.c, conditions, equalities)

    def ordering(self, *keys: object, descending: bool = False) -> tuple[Order, ...]:
        """The keys to order by: handles, names, or `handle.descending()`, which stands as it is."""
        return ordering(self.c, keys, descending=descending)

    def selection(self, *names: object) -> tuple[str, ...]:
        """The names of columns given by handle or by name; `UnknownColumn` says what was probably meant."""
        return selection(self.c, names)


def _constant(codec: Codec) -> Encode:
    if codec.type is ColumnType.ENUM:
        return lambda value: encoded(codec, value, or_json=True)
    return codec.encode


def _fit(slot: Slot) -> tuple[str, Mapping[Any, Callable[[Any], str | None] | None]]:
    kinds: dict[Any, Callable[[Any], str | None] | None] = (
        dict.fromkeys((type(None), bool, int, float, str, list, dict))
        if slot.codec.kinds is None
        else dict(slot.codec.kinds)
    )
    if slot.nullable:
        kinds[type(None)] = None
    if not slot.required or slot.codec.nullable:
        kinds[type(_ABSENT)] = None
    return slot.name, kinds


def _patched(stored: Json, before: Json, after: Json) -> Json:
    """Do to `stored` what leads from `before` to `after`: the rest of it stays exactly as it is."""
    if same(before, after):
        return stored
    if isinstance(stored, dict) and isinstance(before, dict) and isinstance(after, dict):
        result = {key: value for key, value in stored.items() if key not in before or key in after}
        for key, value in after.items():
            if key not in before:
                result[key] = value
            elif key in stored:
                result[key] = _patched(stored[key], before[key], value)
            elif not same(before[key], value):
                result[key] = value
        return result
    if isinstance(stored, list) and isinstance(before, list) and isinstance(after, list):
        return _patched_list(stored, before, after)
    return after


def _patched_list(stored: list[Any], before: list[Any], after: list[Any]) -> Json:
    """Items still there keep their stored form wherever they went; one edited in place is patched."""
    if len(stored) != len(before):
        return after
    left = list(range(len(before)))
    found: list[int | None] = []
    for index, item in enumerate(after):
        places = [index, *left] if index in left else left
        found.append(next((place for place in places if same(before[place], item)), None))
        if found[-1] is not None:
            left.remove(found[-1])
    return [
        stored[place]
        if place is not None
        else (_patched(stored[index], before[index], item) if index in left else item)
        for index, (item, place) in enumerate(zip(after, found, strict=True))
    ]
