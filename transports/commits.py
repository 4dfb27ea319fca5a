"""What is asked of an authority: changes, who asks, and under which conditions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TypeAlias

import attrs

from tidesync.contracts.transport import (
    Absent,
    Anything,
    Change,
    ChangeKind,
    Expected,
    Rejected,
    Version,
)
from tidesync.errors import InvalidId, InvalidRecord
from tidesync.records import (
    SYSTEM_FIELDS,
    Copy,
    Record,
    Tombstone,
    check_id,
    check_json,
    check_record,
    version_of,
)
from tidesync.transports.layout import DELETED, HIDDEN
from tidesync.transports.principal import ANYBODY, Principal
from tidesync.transports.views import View
from tidesync.values import copy_json

Condition: TypeAlias = Callable[[Copy], bool]
Witness: TypeAlias = Callable[[Record | None], None]


@attrs.frozen
class Write:
    """A change and who asks for it.

    `condition` is asked, beside the change's own expectation, on what is held for this principal; where it says
    no, the outcome is `Conflicted`, also for a delete of what is gone. `remember` False: the change's id is not
    an operation's, and not kept. `whole` True: an update leaves nothing of the record that it does not carry.
    `witness` is told the row that is met, before the condition is asked, and the row that is left, where
    something was written: whole rows with their hidden fields, also deleted ones; None for one that is hidden
    from the principal.
    """

    change: Change
    principal: Principal = ANYBODY
    condition: Condition | None = None
    remember: bool = True
    whole: bool = False
    witness: Witness | None = None


@attrs.define
class Effect:
    """A readable write: the fields it writes and removes, and the mark by which it is known again.

    `view` is what its principal sees of the table. `key` is what the operation is remembered under: the same for
    nobody else, since ids hold no line break.
    """

    write: Write
    change: Change
    view: View
    key: str
    values: Record
    removed: frozenset[str]
    fingerprint: str


def read_write(write: Write, limit: int, view: View) -> Effect | Rejected:
    """The effect that a write asks for, or why it can have none, whatever the remote holds.

    An insert writes all of its record, an update the fields it names; a named field that is not in the record
    is removed. `limit` is in bytes of JSON.
    """
    change, values, removed = write.change, Record(), frozenset[str]()
    try:
        _ = check_id("operation", change.id)
        _ = check_id(change.table, change.record_id)
        if change.kind in ("insert", "update"):
            record = _sent(change)
            names = set(record if change.kind == "insert" else change.fields) - {"id", *SYSTEM_FIELDS}
            if taken := names & HIDDEN:
                reason = "the name belongs to the remote: choose another"
                raise InvalidRecord(change.table, min(taken), "field", reason)
            # Nobody else holds the copies, so what their sender does to them later does not matter.
            values = {name: copy_json(value) for name, value in record.items() if name in names}
            removed = frozenset(names - values.keys())
        elif change.kind not in ("delete", "undelete"):
            return Rejected("unknown_kind", f"there is no change of kind {change.kind!r:.80}")
    except InvalidId as error:
        return Rejected("invalid_id", str(error))
    except InvalidRecord as error:
        return Rejected("invalid_record", str(error))
    kind = "replace" if write.whole and change.kind == "update" else change.kind
    what = [change.table, change.record_id, kind, values, sorted(removed)]
    text = json.dumps(what, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    if len(text) > limit:
        return Rejected("too_large", f"the change has {len(text)} bytes of JSON, and {limit} is the limit")
    name = write.principal.name
    key = f"{name}\n{change.id}" if name else change.id
    mark = hashlib.blake2b(text, digest_size=16).hexdigest()
    return Effect(write, change, view, key, values, removed, mark)


def _sent(change: Change) -> Record:
    record: object = change.record
    if not isinstance(record, dict):
        reason = f"an {change.kind} carries the record"
        raise InvalidRecord(change.table, "", type(record).__name__, reason)
    sent: Record = {"id": change.record_id, **record}
    for name in sent:
        check_json(change.table, ascii(name), name)
    if check_record(change.table, sent) != change.record_id:
        raise InvalidId(change.table, sent["id"], f"the change is for {change.record_id!r:.80}")
    return sent


def permits(kind: ChangeKind, expected: Expected, row: Record | None) -> bool:
    """Whether what is held is fit for this kind of change, and is what was expected.

    Update and delete need a live record, insert needs none, undelete a tombstone.
    """
    live = row is not None and not row[DELETED]
    if live != (kind in ("update", "delete")) or (row is None and kind == "undelete"):
        return False
    match expected:
        case Anything():
            return True
        case Version(version):
            return live and version == version_of(row)
        case Absent():
            return row is None
        case Tombstone(version):
            return row is not None and not live and version in (None, version_of(row))
