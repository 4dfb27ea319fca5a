"""What a REST client wants changed: the body of its request, read into writes; pure.

Where the dialects differ: 2.0 refuses system columns in a body, except `version`, which an update is made from;
3.0 ignores them in a whole record, and in a patch takes those that say what is held already.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, cast

import attrs

from tidesync.contracts.transport import Anything, Change, ChangeKind, Expected, Version
from tidesync.errors import InvalidId
from tidesync.records import Copy, Json, Record, check_id
from tidesync.transports.commits import Write
from tidesync.transports.http.values import type_name
from tidesync.transports.layout import DELETED
from tidesync.transports.principal import Principal
from tidesync.transports.service.conditions import Conditions, Held
from tidesync.transports.service.dialects import Manners
from tidesync.transports.service.problems import Problem
from tidesync.transports.service.rows import Rows, Wire
from tidesync.values import ColumnType, canonical

Wants: TypeAlias = Literal["nothing", "live", "dead"]

_RESERVED: Final = frozenset(("createdat", "updatedat", "deleted"))
_LOCAL: Final = {"version": "version", "createdAt": "created_at", "updatedAt": "updated_at"}
_NOTHING: Final[Mapping[str, Json]] = {}
ANYTHING: Final = Anything()
OPERATION: Final = "rest"
"""The id of every change from here: it is no operation's, and not remembered."""


class Precondition:
    """What a write requires of the row that it meets, decided inside the transaction; it keeps both.

    `system`: system columns, by their names on the wire, that must be as they are said to be. `row`: the row
    that was met, and then the one that was left. `status`: why the write was not to be made, None if it was.
    """

    def __init__(
        self, wants: Wants, conditions: Conditions, gone: int, system: Mapping[str, Json] = _NOTHING
    ) -> None:
        self.wants, self.conditions, self.gone, self.system = wants, conditions, gone, system
        self.row: Record | None = None
        self.status: int | None = None

    def witness(self, row: Record | None) -> None:
        """See a row."""
        self.row = row

    def condition(self, copy: Copy) -> bool:
        """Whether the write may be made on what is held."""
        del copy  # a tombstone has no content and no time
        self.status = self.verdict()
        return self.status is None

    @property
    def alive(self) -> bool:
        """Whether what was to be brought back is alive, and meets the conditions."""
        return self.wants == "dead" and self.status == 409

    def verdict(self) -> int | None:
        """The status that answers the write instead of making it."""
        row = self.row
        if row is None:
            return self.conditions.failure(None) if self.wants == "nothing" else 404
        if self.wants == "nothing":
            return 409
        if bool(row[DELETED]) != (self.wants == "dead"):
            return self.gone if self.wants == "live" else self.conditions.failure(held(row)) or 409
        if any(not _says(name, value, row) for name, value in self.system.items()):
            return 400
        return self.conditions.failure(held(row))


def held(row: Record) -> Held:
    """A row as conditions are asked about it."""
    return Held(str(row["version"]), str(row["updated_at"]))


def _says(name: str, value: Json, row: Record) -> bool:
    kept = row.get(_LOCAL[name])
    return value == kept or (name != "version" and canonical(ColumnType.DATETIME, value) == kept)


@attrs.frozen(kw_only=True)
class Target:
    """The record or table that a request is for, and who asks in which dialect."""

    rows: Rows
    id: str
    principal: Principal
    manners: Manners
    conditions: Conditions
    deleted: bool

    def write(
        self,
        kind: ChangeKind,
        precondition: Precondition,
        record: Record | None = None,
        *,
        expected: Expected = ANYTHING,
        fields: tuple[str, ...] = (),
        whole: bool = False,
    ) -> Write:
        """A write of this record."""
        change = Change(
            id=OPERATION,
            table=self.rows.schema.name,
            record_id=self.id,
            kind=kind,
            record=record,
            fields=fields,
            expected=expected,
        )
        return Write(
            change,
            self.principal,
            precondition.condition,
            remember=False,
            whole=whole,
            witness=precondition.witness,
        )

    def requires(self, wants: Wants, system: Mapping[str, Json] = _NOTHING) -> Precondition:
        """What a write of this record requires, all conditions included."""
        return Precondition(wants, self.conditions, self.manners.gone, system)

    def changing(
        self, said: str | None, system: Mapping[str, Json] = _NOTHING
    ) -> tuple[Precondition, Expected]:
        """What a write of a live record requires, and the version that it was made from, where that is known.

        `said`: the version in the body, which counts where the headers have no If-Match. One version alone is
        no condition here but what the change expects, so that a rule for conflicts hears of it.
        """
        conditions, version = self.conditions, said if self.conditions.match is None else None
        match = conditions.match
        if match is not None and not match.anything and not match.weak and len(match.strong) == 1:
            others = (conditions.none_match, conditions.modified_since)
            if others == (None, None):
                (version,) = match.strong
                conditions = Conditions()
        precondition = Precondition("live", conditions, self.manners.gone, system)
        return precondition, ANYTHING if version is None else Version(version)


@attrs.frozen
class Edit:
    """A body, read: values by column, and the system columns that matter for what is asked.

    `cleared`: columns that are to have no value. `version`: what an update was made from. `live`: True where
    the body says that the record is not deleted.
    """

    content: Record
    cleared: frozenset[str] = frozenset()
    version: str | None = None
    system: Mapping[str, Json] = _NOTHING
    live: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are written or cleared."""
        return (*self.content, *self.cleared)


def read_insert(body: Json, rows: Rows, manners: Manners) -> tuple[str, Edit]:
    """The id and the record to insert; a new id if it has none. Raises `Problem` 400."""
    sent = rows.sent(_object(body))
    _check_reserved(_object(body), manners)
    given = sent.system.get("id")
    # Clients of tables with numbers for ids send 0 for none.
    none = given is None or given == "" or (manners.reserved and type(given) is int and given == 0)
    id = str(uuid.uuid4()) if none else read_id(rows.schema.name, given)
    return id, Edit(sent.content)


def read_whole(body: Json, rows: Rows, manners: Manners, id: str) -> Edit:
    """The record that replaces the one under this id. Raises `Problem` 400."""
    return _edit(_object(body), rows, manners, id, whole=True)


def read_patch(body: Json, rows: Rows, manners: Manners, id: str, *, merge: bool) -> Edit:
    """The fields to set. `merge`: RFC 7396, where null clears a field. Raises `Problem` 400."""
    patch = _object(body)
    if not merge:
        return _edit(patch, rows, manners, id, whole=False)
    for name, value in patch.items():
        if isinstance(value, dict):
            detail = (
                f"{name!r:.60} is an object: a merge patch is taken for whole fields only, use JSON for it"
            )
            raise Problem(400, "unsupported_patch", detail)
    edit = _edit(patch, rows, manners, id, whole=False)
    cleared = frozenset(name for name, value in edit.content.items() if value is None)
    content = {name: value for name, value in edit.content.items() if name not in cleared}
    return attrs.evolve(edit, content=content, cleared=cleared)


def read_json_patch(body: Json, rows: Rows, manners: Manners, id: str) -> Edit:
    """The fields that a JSON Patch (RFC 6902) sets and removes; only whole fields. Raises `Problem` 400."""
    if not isinstance(body, list):
        raise Problem(400, "malformed_patch", f"a JSON Patch is an array, and this is {type_name(body)}")
    patch: Wire = {}
    removed: set[str] = set()
    for place, operation in enumerate(cast("list[Json]", body)):
        name, value, remove = _operation(operation, place)
        patch[name] = value
        _ = (removed.add if remove else removed.discard)(name)
    edit = _edit(patch, rows, manners, id, whole=False)
    if system := removed & {"id", "deleted", *_LOCAL}:
        raise Problem(400, "reserved_field", f"{min(system)} cannot be removed: it is the service's own")
    content = {name: value for name, value in edit.content.items() if name not in removed}
    return attrs.evolve(edit, content=content, cleared=frozenset(edit.content) - frozenset(content))


def _operation(operation: Json, place: int) -> tuple[str, Json, bool]:
    """The field, its value, and whether it is removed."""
    where = f"operation {place}"
    if not isinstance(operation, dict):
        raise Problem(400, "malformed_patch", f"{where} is {type_name(operation)}, and must be an object")
    op, path = operation.get("op"), operation.get("path")
    if op not in ("add", "replace", "remove"):
        detail = f"{where}: op is add, replace or remove here, not {op!r:.40}"
        raise Problem(400, "unsupported_patch", detail)
    if not isinstance(path, str) or not path.startswith("/") or "/" in path[1:] or path == "/":
        detail = f"{where}: path names one field, such as /title, not {path!r:.60}"
        raise Problem(400, "unsupported_patch", detail)
    if op != "remove" and "value" not in operation:
        raise Problem(400, "malformed_patch", f"{where} has no value")
    name = path[1:].replace("~1", "/").replace("~0", "~")
    value: Json = None if op == "remove" else operation["value"]
    return name, value, op == "remove"


def _object(body: Json) -> Wire:
    if not isinstance(body, dict):
        raise Problem(400, "malformed_record", f"a record is an object, and this is {type_name(body)}")
    return body


def _check_reserved(body: Wire, manners: Manners) -> None:
    if not manners.reserved:
        return
    for name in body:
        if name.lower() in _RESERVED:
            detail = f"Cannot update item with property '{name:.60}' as it is reserved"
            raise Problem(400, "reserved_field", detail)


def _edit(body: Wire, rows: Rows, manners: Manners, id: str, *, whole: bool) -> Edit:
    _check_reserved(body, manners)
    sent = rows.sent(body)
    if sent.system.get("id") not in (None, id):
        detail = f"the record's id is {sent.system['id']!r:.60}, and the address is that of {id!r:.60}"
        raise Problem(400, "id_mismatch", detail)
    deleted = sent.system.get("deleted")
    if deleted not in (None, False) or type(deleted) is int:
        raise Problem(400, "reserved_field", "deleted is false, or left out: use DELETE to delete")
    system = {name: sent.system[name] for name in _LOCAL if sent.system.get(name) is not None}
    version = system.pop("version", None) if manners.reserved else None
    if version is not None and not isinstance(version, str):
        raise Problem(400, "malformed_record", f"version is {type_name(version)}, and must be text")
    live = deleted is False
    return Edit(sent.content, version=version, system=_NOTHING if whole else system, live=live)


def read_id(table: str, id: Json) -> str:
    """The id, if it is one. Raises `Problem` 400."""
    try:
        return check_id(table, id)
    except InvalidId as error:
        raise Problem(400, "invalid_id", str(error)) from error
