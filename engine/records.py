"""Records, copies and ids: the values that everything else moves.

A *record* is a dict of JSON values with an `id`. A *copy* is what the remote (or a store) holds under an
id: a record, a `Tombstone`, or None for nothing at all. The *content* of a record is what the user owns:
everything but the system fields, which are the remote's.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeGuard

import attrs

from tidesync.errors import InvalidId, InvalidRecord

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
Record: TypeAlias = dict[str, Json]

SYSTEM_FIELDS: Final = ("version", "created_at", "updated_at")

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
ID_LIMIT = 255
DEPTH_LIMIT = 64
RECORD_DEPTH = DEPTH_LIMIT - 2
"""Levels that a value of a record may have: the engine keeps whole records inside values of its own rows."""


@attrs.frozen
class Tombstone:
    """A record that was deleted at the remote, at `version` where the remote tells."""

    version: str | None = None


Copy: TypeAlias = Record | Tombstone | None


def alive(copy: Copy) -> TypeGuard[Record]:
    """True if the copy is a record, neither a tombstone nor nothing."""
    return isinstance(copy, dict)


def version_of(copy: Copy) -> str | None:
    """The remote's version of a copy, if it has one."""
    if isinstance(copy, Tombstone):
        return copy.version
    if copy is None:
        return None
    version = copy.get("version")
    return version if isinstance(version, str) else None


def content_of(copy: Copy) -> Record | None:
    """What the user owns of a copy: the record without system fields; None if it is not alive."""
    if not alive(copy):
        return None
    content = copy.copy()
    for field in SYSTEM_FIELDS:
        _ = content.pop(field, None)
    return content


def with_system(content: Record, copy: Copy) -> Record:
    """The content dressed with the system fields of the copy it is based on."""
    if not alive(copy):
        return dict(content)
    return {**content, **{key: copy[key] for key in SYSTEM_FIELDS if key in copy}}


def same(a: Json, b: Json) -> bool:
    """Equality by JSON type: true is not 1, 1 is not 1.0, 0.0 is not -0.0; lists and objects by element."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        assert isinstance(b, dict)
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, list):
        assert isinstance(b, list)
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return a == b and repr(a) == repr(b)  # -0.0 equals 0.0, and is written differently
    return a == b


_MINTED_LIMIT = 100_000
_minted: OrderedDict[str, None] = OrderedDict()
_minted_lock = threading.Lock()


def new_id() -> str:
    """A new id that no other device will make: a UUID of version 7 (RFC 9562), ordered by time.

    tidesync remembers that it made the id until the first insert under it, so that an insert whose
    acknowledgement was lost is recognised as its own. Insert it once, on one device.
    """
    stamp = (time.time_ns() // 1_000_000).to_bytes(6, "big")
    noise = os.urandom(10)
    raw = stamp + bytes((0x70 | noise[0] & 0x0F, noise[1], 0x80 | noise[2] & 0x3F)) + noise[3:]
    text = raw.hex()
    id = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    with _minted_lock:
        _minted[id] = None
        if len(_minted) > _MINTED_LIMIT:
            _ = _minted.popitem(last=False)
    return id


def claim_minted(id: str) -> bool:
    """True, once, for an id that `new_id` made in this process."""
    with _minted_lock:
        return _minted.pop(id, False) is None


def check_id(table: str, id: object) -> str:
    """Return the id if it is legal, else raise `InvalidId` saying why."""
    if not isinstance(id, str):
        raise InvalidId(table, id, f"it is {type(id).__name__}, and must be str")
    if not id:
        raise InvalidId(table, id, "it is empty")
    if len(id) > ID_LIMIT:
        raise InvalidId(table, id, f"it has {len(id)} characters, and {ID_LIMIT} is the limit")
    found = _ILLEGAL_IN_ID.search(id)
    if found is not None:
        point = ord(found[0])
        if point >= 0xD800:
            raise InvalidId(table, id, "it holds a lone surrogate")
        raise InvalidId(table, id, f"it holds the control character U+{point:04X}")
    return id


_ILLEGAL_IN_ID = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def check_json(table: str, field: str, value: object, levels: int = DEPTH_LIMIT) -> None:
    """Raise `InvalidRecord` unless the value is JSON that every store and transport can carry.

    Legal: null, bool, integers of signed 64 bits, finite floats, text without lone surrogates, lists
    and objects with text keys, at most `levels` deep.
    """
    fault = _fault(value, levels)
    if fault is not None:
        reason = f"it is nested deeper than {levels} levels" if fault.too_deep else fault.reason
        raise InvalidRecord(table, field + fault.path, fault.value_type, reason)


def check_record(table: str, record: Mapping[Any, object]) -> str:
    """Check a whole record, its id included, and return the id. Its values are at most 62 levels deep."""
    id = check_id(table, record.get("id"))
    for field, value in record.items():
        if type(field) is not str:
            raise InvalidRecord(table, repr(field), type(field).__name__, "a field name must be str")
        if not field.isascii() and _has_surrogate(field):
            raise InvalidRecord(table, ascii(field), "str", "the field's name holds a lone surrogate")
        check_json(table, field, value, RECORD_DEPTH)
    return id


@attrs.frozen
class _Fault:
    """Where in a value something is not JSON, of which Python type it is, and why not."""

    path: str
    value_type: str
    reason: str
    too_deep: bool = False


def _fault(value: Any, levels: int) -> _Fault | None:
    raw, kind = value, value.__class__
    if value is None or kind is bool:
        return None
    if kind is str:
        if value.isascii() or not _has_surrogate(value):
            return None
        return _Fault("", "str", "it holds a lone surrogate, which no encoding can carry")
    if kind is int:
        return (
            None
            if INT_MIN <= value <= INT_MAX
            else _Fault("", "int", "it does not fit 64 bits: store it as text")
        )
    if kind is float:
        return None if math.isfinite(value) else _Fault("", "float", f"{value} is not JSON: use None")
    if not isinstance(value, list | dict):
        return _Fault("", kind.__name__, "it is not JSON: use null, bool, int, float, str, list or dict")
    if levels <= 0:
        return _Fault("", kind.__name__, "", too_deep=True)
    steps: Iterable[tuple[Any, Any]]
    if isinstance(value, dict):
        fields: dict[Any, Any] = raw
        for key in fields:
            if type(key) is not str:
                return _Fault("", kind.__name__, f"its key {key!r} is {type(key).__name__}, and must be str")
            if not key.isascii() and _has_surrogate(key):
                return _Fault("", "str", f"its key {key!a} holds a lone surrogate")
        steps = fields.items()
    else:
        items: list[Any] = raw
        steps = enumerate(items)
    for step, item in steps:
        fault = _fault(item, levels - 1)
        if fault is not None:
            return attrs.evolve(fault, path=(f"[{step}]" if type(step) is int else f".{step}") + fault.path)
    return None


def _has_surrogate(text: str) -> bool:
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        return True
    return False


def encode_copy(copy: Copy) -> Json:
    """A copy as one JSON value, for storing it in a field."""
    if isinstance(copy, Tombstone):
        return {"tombstone": copy.version}
    return None if copy is None else {"record": copy}


def decode_copy(value: Json) -> Copy:
    """The inverse of `encode_copy`."""
    if value is None:
        return None
    assert isinstance(value, dict)
    if "record" in value:
        record: Record = value["record"]
        return record
    return Tombstone(value["tombstone"])
