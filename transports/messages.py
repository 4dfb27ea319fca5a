"""The messages of tidesync's own protocol as JSON, both ways: what both of its ends share; pure.

What is sent leaves out what has its default. Of what comes in, requests are read strictly: an unknown member is
`Malformed`, since to overlook it could be wrong. Of replies unknown members are overlooked. Records are under
their names on the wire, and their values are themselves: nothing is converted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from tidesync.contracts.transport import (
    Absent,
    Anything,
    Applied,
    Change,
    ChangeKind,
    Conflicted,
    Expected,
    Junk,
    Outcome,
    Page,
    PullRequest,
    Rejected,
    Undeleted,
    Unknown,
    Untried,
    Version,
)
from tidesync.encoding import query_json
from tidesync.records import RECORD_DEPTH, SYSTEM_FIELDS, Copy, Json, Record, Tombstone, same
from tidesync.transports.queries import DEPTH, NAMES, read_query
from tidesync.transports.strict import Malformed, Members, shown, text, type_name
from tidesync.values import copy_json

PROTOCOL: Final = 1
HEADER: Final = "Tidesync-Protocol"
"""Carried by every reply of a service: the versions that it speaks, as `1` or `1, 2`."""
REMOTE: Final = "Tidesync-Remote"
"""Carried by requests: the identity of the remote that they are for, percent-encoded; another one answers 421."""
ROOT: Final = "tidesync/v1"
NDJSON: Final = "application/x-ndjson"
FIELDS: Final = 10_000
IDS: Final = 100_000
PARAMETERS: Final = 100
RAW: Final = 10_000
_KINDS: Final[Mapping[str, ChangeKind]] = {kind: kind for kind in get_args(ChangeKind)}
_CHANGE: Final = frozenset(
    ("id", "table", "record_id", "kind", "record", "fields", "expected", "attempts", "parameters")
)
_REQUEST: Final = frozenset(
    ("query", "cursor", "limit", "overlap", "fields", "ids", "total", "deleted", "departures", "incremental",
     "parameters")
)  # fmt: skip
_SYSTEM: Final = frozenset(SYSTEM_FIELDS)
_STAMPS: Final = ("created_at", "updated_at")


def speaks(header: str | None) -> bool:
    """Whether a remote whose replies carry this header speaks the version that is written here."""
    return header is not None and str(PROTOCOL) in (part.strip() for part in header.split(","))


# ---- copies


def copy_json_of(copy: Copy) -> dict[str, Json]:
    """A copy as the one member of a message: `record`, `tombstone` or `absent`."""
    if isinstance(copy, Tombstone):
        return {"tombstone": copy.version}
    return {"absent": True} if copy is None else {"record": copy}


def read_copy(members: Members, id: str) -> Copy:
    """The copy that the members tell of; a record must be the one of this id."""
    if members.has("record"):
        return _record(members, id)
    if members.has("tombstone"):
        return Tombstone(members.text_or_null("tombstone"))
    if members.raw("absent") is not True:
        raise Malformed(members.path, "it tells neither a record, nor a tombstone, nor that there is none")
    return None


def _record(members: Members, id: str) -> Record:
    record = members.raw("record")
    if not isinstance(record, dict):
        raise Malformed(members.at("record"), f"it is {type_name(record)}, and must be an object")
    if record.get("id") != id:
        raise Malformed(members.at("record.id"), f"it is {shown(record.get('id'))}, and not {shown(id)}")
    return record


# ---- changes


def change_json(change: Change) -> dict[str, Json]:
    """The change as a message."""
    message: dict[str, Json] = {
        "id": change.id, "table": change.table, "record_id": change.record_id, "kind": change.kind,
    }  # fmt: skip
    if change.record is not None:
        message["record"] = change.record
    if change.fields != _all_fields(change.record):
        message["fields"] = list(change.fields)
    if not isinstance(change.expected, Anything):
        message["expected"] = _expected_json(change.expected)
    if change.attempts != 1:
        message["attempts"] = change.attempts
    if change.parameters:
        message["parameters"] = dict(change.parameters)
    return message


def read_change(message: Json) -> Change:
    """The change that a message holds. Raises `Malformed`. What its record holds is not looked at."""
    members = Members(message, "", _CHANGE)
    kind = members.raw("kind")
    known = _KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise Malformed("kind", f"there is no kind of change {shown(kind)}")
    record = members.raw("record")
    if record is not None and not isinstance(record, dict):
        raise Malformed("record", f"it is {type_name(record)}, and must be an object or null")
    return Change(
        id=members.text("id"),
        table=members.text("table"),
        record_id=members.text("record_id"),
        kind=known,
        record=record,
        fields=members.names("fields", FIELDS) if members.has("fields") else _all_fields(record),
        expected=_read_expected(members),
        attempts=members.count("attempts", 1, least=1),
        parameters=members.mapping("parameters", PARAMETERS) if members.has("parameters") else {},
    )


def id_in(message: Json) -> str | None:
    """The operation's id in a message that may be malformed; None if it has none."""
    found = message.get("id") if isinstance(message, dict) else None
    try:
        return text(found, "id")
    except Malformed:
        return None


def _all_fields(record: Record | None) -> tuple[str, ...]:
    return () if record is None else tuple(name for name in record if name != "id")


def _expected_json(expected: Expected) -> Json:
    match expected:
        case Version(version):
            return {"version": version}
        case Tombstone(version):
            return {"tombstone": version}
        case Absent():
            return "absent"
        case Anything():
            return "anything"


def _read_expected(members: Members) -> Expected:
    match members.raw("expected"):
        case None | "anything":
            return Anything()
        case "absent":
            return Absent()
        case {"version": str(version), **rest} if not rest:
            return Version(text(version, "expected.version"))
        case {"tombstone": None | str() as version, **rest} if not rest:
            return Tombstone(None if version is None else text(version, "expected.tombstone"))
        case other:
            raise Malformed(
                "expected", f"it is {shown(other)}: neither absent, anything, a version nor a tombstone"
            )


# ---- outcomes


def outcome_json(change_id: str, outcome: Outcome, sent: Record | None = None) -> dict[str, Json]:
    """The outcome of a change as a message; the record is left out where its content is what was sent.

    Raises ValueError for outcomes that no remote tells.
    """
    message: dict[str, Json] = {"id": change_id}
    match outcome:
        case Applied(version, copy):
            message |= {"outcome": "applied", "version": version}
            if isinstance(copy, dict) and sent is not None and _is_as_sent(copy, sent, version):
                return message | {name: copy[name] for name in _STAMPS}
            return message if copy is None else message | copy_json_of(copy)
        case Conflicted(copy):
            return message | {"outcome": "conflicted"} | copy_json_of(copy)
        case Rejected(code, reason):
            return message | {"outcome": "rejected", "code": code, "message": reason}
        case Undeleted(record):
            return message | {"outcome": "undeleted"} | copy_json_of(record)
        case Untried():
            return message | {"outcome": "untried"}
        case Unknown(reason):
            return message | {"outcome": "unknown", "message": reason}
        case _:
            raise ValueError(f"no remote tells {type(outcome).__name__}")


def read_outcome(message: Json, change: Change) -> Outcome:
    """The outcome of this change that a message tells. Raises `Malformed`, also for another change's."""
    members = Members(message)
    if members.raw("id") != change.id:
        raise Malformed("id", f"it is {shown(members.raw('id'))}, and the operation is {shown(change.id)}")
    match members.raw("outcome"):
        case "applied":
            version = members.text_or_null("version")
            if members.has("record") or members.has("tombstone"):
                copy = read_copy(members, change.record_id)
                return Applied(version, copy)
            return Applied(version, _as_sent(members, change, version) if members.has("updated_at") else None)
        case "conflicted":
            return Conflicted(read_copy(members, change.record_id))
        case "rejected":
            return Rejected(members.text("code"), members.text("message"))
        case "undeleted":
            return Undeleted(_record(members, change.record_id))
        case "untried":
            return Untried()
        case "unknown":
            return Unknown(members.text("message"))
        case other:
            raise Malformed("outcome", f"there is no outcome {shown(other)}")


def _is_as_sent(copy: Record, sent: Record, version: str | None) -> bool:
    if len(copy) != len(sent) + len(SYSTEM_FIELDS) or copy.get("version") != version:
        return False
    if not copy.keys() >= _SYSTEM or not _SYSTEM.isdisjoint(sent):
        return False
    return all(name in copy and same(value, copy[name]) for name, value in sent.items())


def _as_sent(members: Members, change: Change, version: str | None) -> Record:
    if change.record is None:
        raise Malformed("record", f"it is missing, and a {change.kind} sends none")
    stamps = {name: members.text_or_null(name) for name in _STAMPS}
    return {**{name: copy_json(value) for name, value in change.record.items()}, "version": version, **stamps}


# ---- pulls


def request_json(request: PullRequest) -> dict[str, Json]:
    """The request as a message."""
    message: dict[str, Json] = {"query": query_json(request.query), "limit": request.limit}
    if request.cursor is not None:
        message["cursor"] = request.cursor
    if request.overlap:
        message["overlap"] = request.overlap
    for name, names in (("fields", request.fields), ("ids", request.ids)):
        if names is not None:
            message[name] = list(names)
    flags = {"total": request.total, "departures": request.departures}
    message |= {name: True for name, flag in flags.items() if flag}
    flags = {"deleted": request.deleted, "incremental": request.incremental}
    message |= {name: False for name, flag in flags.items() if not flag}
    if request.parameters:
        message["parameters"] = dict(request.parameters)
    return message


def read_request(message: Json, *, depth: int = DEPTH) -> PullRequest:
    """The request that a message holds. Raises `Malformed`. `depth`: how deep its expressions may nest."""
    members = Members(message, "", _REQUEST)
    return PullRequest(
        query=read_query(members.raw("query"), depth=depth),
        cursor=members.json("cursor", RECORD_DEPTH),
        limit=members.count("limit", 1000, least=1),
        overlap=members.seconds("overlap", 0.0),
        fields=None if members.raw("fields") is None else members.names("fields", NAMES),
        ids=None if members.raw("ids") is None else members.names("ids", IDS),
        total=members.flag("total"),
        deleted=members.flag("deleted", True),
        departures=members.flag("departures"),
        incremental=members.flag("incremental", True),
        parameters=members.mapping("parameters", PARAMETERS) if members.has("parameters") else {},
    )


def page_json(page: Page) -> Iterator[dict[str, Json]]:
    """The page as messages, `end` the last of them. What is junk at a remote is nothing to tell."""
    for record in page.records:
        yield {"record": record}
    for id, tombstone in page.tombstones.items():
        yield {"tombstone": id, "version": tombstone.version}
    for id in page.departed:
        yield {"departed": id}
    end: dict[str, Json] = {"cursor": page.cursor, "more": page.more}
    if page.total is not None:
        end["total"] = page.total
    if page.clock is not None:
        end["clock"] = page.clock
    yield {"end": end | ({} if page.exact else {"exact": False})}


def has_end(messages: Sequence[Json]) -> bool:
    """Whether a page came to its end."""
    return bool(messages) and isinstance(messages[-1], dict) and "end" in messages[-1]


def read_page(messages: Iterable[Json]) -> Page:
    """The page that messages tell; what is no record is junk. Raises `Malformed`, also where the end is missing."""
    records: list[Record] = []
    tombstones: dict[str, Tombstone] = {}
    departed: list[str] = []
    junk: list[Junk] = []
    left = iter(messages)
    for message in left:
        told = message if isinstance(message, dict) else {}
        match told:
            case {"record": dict()}:
                records.append(told["record"])
            case {"tombstone": str(id), "version": None | str() as version}:
                tombstones[id] = Tombstone(version)
            case {"departed": str(id)}:
                departed.append(id)
            case {"end": dict()}:
                if next(left, None) is not None:
                    raise Malformed("end", "more follows the end")
                return _ended(Members(told["end"], "end"), records, tombstones, departed, junk)
            case _:
                junk.append(Junk(_raw(message), "it is no record, tombstone or departed id"))
    raise Malformed("end", "the page has no end")


def _ended(
    end: Members,
    records: list[Record],
    tombstones: dict[str, Tombstone],
    departed: list[str],
    junk: list[Junk],
) -> Page:
    return Page(
        records=records,
        tombstones=tombstones,
        departed=departed,
        cursor=end.json("cursor", RECORD_DEPTH),
        more=end.flag("more"),
        total=None if end.raw("total") is None else end.count("total"),
        exact=end.flag("exact", True),
        clock=end.text_or_null("clock"),
        junk=junk,
    )


def _raw(message: Any) -> str:
    try:
        return ascii(message)[:RAW]
    except (RecursionError, ValueError):
        return type_name(message)
