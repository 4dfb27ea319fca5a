"""What a transport answered, looked at before anything is built on it.

A transport may be anybody's, and speaks for a remote that is not trusted. What it says about itself must make
sense; an outcome that cannot be read is a doubt, since the change may be in effect; what of a page cannot be
kept becomes `Junk`, for quarantine. Whatever else is wrong is `ProtocolError`, and so is an exception that the
contract does not name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard, TypeVar, cast

import attrs

from tidesync.contracts.transport import (
    Applied,
    Change,
    Conflicted,
    CursorGuarantee,
    Denied,
    Junk,
    NotSent,
    Outcome,
    Page,
    Rejected,
    TransportCapabilities,
    Undeleted,
    Unknown,
    Untried,
)
from tidesync.errors import InvalidId, InvalidRecord, ProtocolError, TidesyncError
from tidesync.records import RECORD_DEPTH, Copy, Record, Tombstone, alive, check_id, check_json, check_record
from tidesync.values import ColumnType, is_canonical

T = TypeVar("T")
WORDS_LIMIT: Final = 10_000
"""Characters of a remote's own words that are kept."""
TIME_LIMIT: Final = 1e10
"""Seconds, some centuries: with no more than this can be reckoned."""


def answered(ask: Callable[[], T]) -> T:
    """What the call returns; an exception that no contract names becomes `ProtocolError`, chained."""
    try:
        return ask()
    except TidesyncError:
        raise
    except Exception as error:
        raise unnamed(error) from error


def unnamed(error: Exception) -> ProtocolError:
    """What stands for an exception that no contract names; chain it."""
    return ProtocolError(f"the transport failed with {type(error).__name__}: {words(error)}")


def words(given: object) -> str:
    """A remote's words as text that can be kept, cut off where they are endless."""
    try:
        text = given if isinstance(given, str) else str(given)
    except Exception:  # noqa: BLE001  # an object that cannot even be shown
        text = type(given).__name__
    return text[:WORDS_LIMIT].encode("utf-8", "backslashreplace").decode()


# ---- capabilities


def sound_capabilities(found: object) -> TransportCapabilities:
    """The capabilities, if they can be; `ProtocolError` names the one that cannot."""
    if not isinstance(found, TransportCapabilities):
        raise ProtocolError(f"open() of the transport returned {type(found).__name__}, and no capabilities")
    wrong = next((name for name, fine in _CAPABILITIES.items() if not fine(getattr(found, name))), None)
    if wrong is not None:
        raise ProtocolError(f"the transport declares {wrong} as {words(repr(getattr(found, wrong)))[:80]}")
    return found


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= TIME_LIMIT


def _is_set(value: Any) -> bool:
    return isinstance(value, frozenset | set)


_CAPABILITIES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "identity": lambda value: isinstance(value, str) and value != "" and words(value) == value,
    "cursor": lambda value: isinstance(value, CursorGuarantee),
    "max_changes": _is_count,
    "max_bytes": lambda value: value is None or (type(value) is int and value >= 0),
    "page_limit": _is_count,
    "tombstones": _is_set,
    "departures": _is_set,
    "remembers": lambda value: value is None or _is_time(value),
    "overlap": _is_time,
    "exchange_timeout": _is_time,
}


# ---- outcomes


def sound_outcomes(changes: Sequence[Change], found: Any) -> list[Outcome]:
    """One outcome for each change; one that cannot be read counts as a doubt."""
    told = type(found).__name__
    if not hasattr(found, "__iter__") or isinstance(found, str | bytes | Mapping):
        raise ProtocolError(f"push() of the transport returned {told}, and no outcomes")
    outcomes: list[Any] = list(found)
    if len(outcomes) != len(changes):
        raise ProtocolError(
            f"the transport gave {len(outcomes)} outcomes for {len(changes)} changes; they count as in doubt"
        )
    return [sound_outcome(change, outcome) for change, outcome in zip(changes, outcomes, strict=True)]


def sound_outcome(change: Change, outcome: Any) -> Outcome:
    """The outcome of one change, as far as it can be read."""
    try:
        match outcome:
            case Applied(version, copy):
                _check_version(change.table, version)
                _check_copy(change.table, change.record_id, copy)
            case Conflicted(copy):
                _check_copy(change.table, change.record_id, copy)
            case Undeleted(record):
                _check_copy(change.table, change.record_id, record)
                if not alive(record):
                    return Unknown("what was undeleted is no record")
            case Rejected(code, message):
                return Rejected(words(code), words(message))
            case Unknown(reason):
                return Unknown(words(reason))
            case NotSent(reason, retry_after):
                return NotSent(words(reason), retry_after if _is_time(retry_after) else None)
            case Denied(reason):
                return Denied(words(reason))
            case Untried():
                pass
            case _:
                return Unknown(f"the transport answered {type(outcome).__name__}, which is no outcome")
    except (InvalidId, InvalidRecord) as error:
        return Unknown(f"the answer cannot be kept: {error}")
    return outcome  # type: ignore[no-any-return]  # one of those above


def sound_copy(table: str, id: str, found: object) -> Copy:
    """The copy that was read, if it is one of this record."""
    try:
        _check_copy(table, id, found)
    except (InvalidId, InvalidRecord) as error:
        raise ProtocolError(f"what the transport read as {table}/{words(id)} is none: {error}") from error
    return found  # type: ignore[return-value]  # a copy


def _check_copy(table: str, id: str, copy: Any) -> None:
    if isinstance(copy, Tombstone):
        _check_version(table, copy.version)
    elif copy is not None:
        if type(copy) is not dict:
            raise InvalidRecord(table, "", type(copy).__name__, "it is no record")
        record = cast("Record", copy)
        found = check_record(table, record)
        if found != id:
            raise InvalidId(table, found, f"the record that was asked for is {id!r:.80}")
        _check_version(table, record.get("version"))


def _check_version(table: str, version: Any) -> None:
    if version is not None:
        if not isinstance(version, str):
            raise InvalidRecord(table, "version", type(version).__name__, "a version is text")
        check_json(table, "version", version)


# ---- pages


def sound_page(table: str, page: object) -> Page:
    """The page with what cannot be kept as junk; a clock or total that is none is left out."""
    if not isinstance(page, Page):
        raise ProtocolError(f"pull() of the transport returned {type(page).__name__}, and no page")
    for name in ("records", "departed", "junk"):
        if not isinstance(getattr(page, name), Sequence):
            raise ProtocolError(f"a page of {table} has {name} that are no list")
    if not isinstance(page.tombstones, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
        raise ProtocolError(f"a page of {table} has tombstones that are no mapping")
    try:
        check_json(table, "cursor", page.cursor, RECORD_DEPTH)
    except InvalidRecord as error:
        raise ProtocolError(f"a page of {table} has a cursor that cannot be kept: {error.reason}") from error
    junk: list[Junk] = []
    records = _good(page.records, _no_record, junk)
    tombstones = _good(page.tombstones.items(), lambda item: _no_tombstone(table, *item), junk)
    departed = _good(page.departed, lambda id: _no_id(table, id), junk)
    junk.extend(
        Junk(words(each.raw), words(each.reason)) if isinstance(each, Junk) else Junk(shown(each), "no junk")
        for each in cast("Sequence[object]", page.junk)
    )
    total, clock = page.total, page.clock
    return attrs.evolve(
        page,
        records=records,
        tombstones=dict(tombstones),
        departed=departed,
        junk=junk,
        more=bool(page.more),
        total=total if type(total) is int and total >= 0 else None,
        clock=clock if is_moment(clock) else None,
    )


def system_fault(table: str, record: Record) -> str | None:
    """Why the system fields of a record are not what the remote should send; None if they are."""
    version = record.get("version")
    if version is not None and not isinstance(version, str):
        return f"{table}.version is {type(version).__name__}, and must be text"
    for name in ("created_at", "updated_at"):
        moment = record.get(name)
        if moment is not None and not is_moment(moment):
            return f"{table}.{name} is no instant such as 2026-11-20T03:45:05.507000Z"
    return None


def is_moment(value: object) -> TypeGuard[str]:
    """Whether this is an instant in canonical form."""
    return isinstance(value, str) and is_canonical(ColumnType.DATETIME, value)


def _good(given: Iterable[T], fault: Callable[[T], str | None], junk: list[Junk]) -> list[T]:
    good: list[T] = []
    for each in given:
        reason = fault(each)
        if reason is None:
            good.append(each)
        else:
            junk.append(Junk(shown(each), reason))
    return good


def shown(value: object) -> str:
    """A value as text that can be kept."""
    try:
        return repr(value).encode("utf-8", "backslashreplace").decode()
    except RecursionError:
        return f"{type(value).__name__}, nested too deeply to be shown"


def _no_record(record: Any) -> str | None:
    return None if type(record) is dict else f"it is {type(record).__name__}, and must be an object"


def is_id(value: object) -> TypeGuard[str]:
    """Whether this can be the id of a record."""
    return _no_id("", value) is None


def _no_id(table: str, id: Any) -> str | None:
    try:
        _ = check_id(table, id)
    except InvalidId as error:
        return str(error)
    return None


def _no_tombstone(table: str, id: Any, tombstone: Any) -> str | None:
    if not isinstance(tombstone, Tombstone):
        return f"it is {type(tombstone).__name__}, and must be a tombstone"
    try:
        _check_version(table, tombstone.version)
    except InvalidRecord as error:
        return str(error)
    return _no_id(table, id)
