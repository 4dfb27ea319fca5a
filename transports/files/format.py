"""The files of a remote as bytes, format 1: what each of them holds, and reading it with all checks; pure.

Every file is UTF-8 and was written once. All but meta.json are *JSON Lines*: each line is one JSON value and ends with
one line feed (0x0A), the last one too. Their last line is `{"sha256":"<64 hexadecimal digits in lower case>"}`, the
SHA-256 of all bytes before this line. A *hash* below is the SHA-256 of all bytes of a file, its last line included.

JSON is as in RFC 8259: no byte order mark, no NaN, no key twice in an object. Integers are exact and fit signed 64
bits; numbers with a fraction or an exponent are IEEE 754 binary64, written so that reading gives the same bits; an
integer is never written with a fraction or exponent, nor such a number without one. Members of objects are written in
the order shown, without spaces, but readers do not depend on either. Moments are UTC, `2026-11-20T03:45:05.507000Z`:
always 27 characters, whose order as text is the order in time.

A file that breaks a rule said here is `RemoteDamaged`, which names it; but of a key that is there twice in a record,
which no tidesync wrote, the last one counts. One that says a greater format is a
`ProtocolError`: it was written by a newer tidesync.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, get_args

import attrs

from tidesync.contracts.transport import ChangeKind
from tidesync.errors import RemoteDamaged
from tidesync.records import Json, Record
from tidesync.transports.files.lines import (
    FORMAT,
    HASH,
    HEX,
    check_content,
    check_identity,
    check_moment,
    check_name,
    digest,
    matching,
    moment_in,
    of_kind,
    opened,
    with_checksum,
)
from tidesync.transports.files.names import META, commit_name, fence_name
from tidesync.transports.strict import Malformed, parse, shown, to_line

PLACES: Final = 20
"""Bits of a sequence that tell the place of a change in its commit."""
REMEMBERS: Final = 30 * 24 * 3600
SNAPSHOT_EVERY: Final = 1000

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_KINDS: Final[Mapping[str, ChangeKind]] = {kind: kind for kind in get_args(ChangeKind)}
_MARK: Final = b',"sha256":"'


# ---- meta.json


@attrs.frozen(kw_only=True)
class Meta:
    """`meta.json`: who the remote is. It is created with the remote, before any other file.

    One JSON object on one line, `{"kind":"tidesync remote","format":1,"id":…,"remembers":…,"snapshot_every":…,
    "sha256":…}`, and a line feed. `id` is a random UUID in lower case with dashes, which every other file repeats as
    `remote`. `remembers`: seconds, a whole number from 1 on, for which the id of an operation is known at the least.
    `snapshot_every`: commits after which a writer makes a snapshot, a whole number; 0 for never. `sha256` is the
    SHA-256 of all bytes of the file before the text `,"sha256":"`.
    """

    id: str
    remembers: int = REMEMBERS
    snapshot_every: int = SNAPSHOT_EVERY


def write_meta(meta: Meta) -> bytes:
    """The bytes of meta.json."""
    head = to_line(
        {
            "kind": "tidesync remote",
            "format": FORMAT,
            "id": meta.id,
            "remembers": meta.remembers,
            "snapshot_every": meta.snapshot_every,
        }
    )[:-1]
    return head + _MARK + digest(head).encode() + b'"}\n'


def read_meta(content: bytes) -> Meta:
    """What meta.json says."""
    head, mark, tail = content.rpartition(_MARK)
    if not mark or tail != digest(head).encode() + b'"}\n':
        raise RemoteDamaged(META, "it is torn, or not the remote's: its checksum does not fit")
    try:
        members = of_kind(parse(content), "tidesync remote", ("id", "remembers", "snapshot_every", "sha256"))
        return Meta(
            id=matching(members, "id", _UUID),
            remembers=members.count("remembers", least=1),
            snapshot_every=members.count("snapshot_every"),
        )
    except Malformed as error:
        raise RemoteDamaged(META, str(error)) from error


# ---- log/N.jsonl


@attrs.frozen(kw_only=True)
class Entry:
    """One change of a commit: what took effect, so that it can be applied to what was there before it.

    Its line is `{"operation":…,"mark":…,"kind":…,"table":…,"id":…,"version":…,"created_at":…,"deleted":…,"record":…}`.
    `operation` is the id of the operation, by which it is known when it is sent again; null: by none. `mark` tells
    two operations of one id apart: hexadecimal digits, equal where table, id, kind and what was written are.
    `kind` is what was asked for: "insert", "update", "delete" or "undelete". `table` is the name of a table, `id` of a
    record in it: 1 to 255 characters. After this change that record has the `version` (other text than before), was
    created at the moment `created_at`, was updated at the moment `at` of the commit, and holds `record`, an object:
    all of its fields but `id`, `version`, `created_at` and `updated_at`. If `deleted` is true there is a tombstone from
    now on, and `record` is what was there last.
    """

    operation: str | None
    mark: str
    kind: ChangeKind
    table: str
    id: str
    version: str
    created_at: str
    deleted: bool
    record: Record


@attrs.frozen(kw_only=True)
class Commit:
    """`log/N.jsonl`: commit N, all of it or nothing; commits take effect in the order of their numbers, from 1.

    The first line is `{"kind":"commit","format":1,"remote":…,"number":N,"previous":…,"at":…,"writer":…,"changes":k}`.
    `previous` is the hash of commit N-1; of commit 1 that of meta.json. `at` is a moment, never before that of commit
    N-1, and informational: no clock decides anything. `writer` is random, 1 to 64 hexadecimal digits, one for each
    opening of the remote by a writer. `changes` is how many lines follow, one `Entry` each, in the order in
    which they took effect, from 1 to 2^20; two of them may be of one record. The last line is the checksum.

    The *sequence* of a change is `N * 2^20 + place`; its place is counted from 0.
    """

    remote: str
    number: int
    previous: str
    at: str
    writer: str
    changes: Sequence[Entry]

    @property
    def first(self) -> int:
        """The sequence of its first change."""
        return self.number << PLACES

    @property
    def last(self) -> int:
        """The sequence of its last change."""
        return self.first + len(self.changes) - 1


def write_commit(commit: Commit) -> bytes:
    """The bytes of a commit's file."""
    head: dict[str, Json] = {
        "kind": "commit", "format": FORMAT, "remote": commit.remote, "number": commit.number,
        "previous": commit.previous, "at": commit.at, "writer": commit.writer, "changes": len(commit.changes),
    }  # fmt: skip
    return with_checksum([to_line(head), *map(_entry_line, commit.changes)])


def read_commit(content: bytes, number: int, remote: str) -> Commit:
    """The commit that a file holds, which must be this one of this remote."""
    name = commit_name(number)
    head, lines = opened(content, name)
    try:
        members = of_kind(head, "commit", ("remote", "number", "previous", "at", "writer", "changes"))
        check_identity(members, remote, number)
        if members.count("changes", least=1) != len(lines) or len(lines) > 1 << PLACES:
            raise Malformed(
                "changes", f"it is {shown(members.raw('changes'))}, and {len(lines)} changes follow"
            )
        return Commit(
            remote=remote,
            number=number,
            previous=matching(members, "previous", HASH),
            at=moment_in(members, "at"),
            writer=matching(members, "writer", HEX),
            changes=[_entry(line, f"change {place}") for place, line in enumerate(lines)],
        )
    except Malformed as error:
        raise RemoteDamaged(name, str(error)) from error


def _entry_line(entry: Entry) -> bytes:
    return to_line(
        {
            "operation": entry.operation, "mark": entry.mark, "kind": entry.kind, "table": entry.table,
            "id": entry.id, "version": entry.version, "created_at": entry.created_at, "deleted": entry.deleted,
            "record": entry.record,
        }
    )  # fmt: skip


def _entry(line: Json, where: str) -> Entry:
    members: Record = line if isinstance(line, dict) else {}
    match members:
        case {
            "operation": str() | None as operation,
            "mark": str(mark),
            "kind": str(kind),
            "table": str(table),
            "id": str(id),
            "version": str(version),
            "created_at": str(created_at),
            "deleted": bool(deleted),
            "record": dict(record),
            **more,
        } if not more and kind in _KINDS and HEX.match(mark):
            if operation is not None:
                check_name(where, "operation", operation)
            check_moment(where, created_at)
            return Entry(
                operation=operation, mark=mark, kind=_KINDS[kind], table=table, id=id, version=version,
                created_at=created_at, deleted=deleted, record=check_content(where, table, id, version, record),
            )  # fmt: skip
        case _:
            raise Malformed(where, "it is no change")


# ---- fences/N.jsonl


@attrs.frozen(kw_only=True)
class Fence:
    """`fences/N.jsonl`: whoever reads from the beginning begins with snapshot N; commits before N may be gone.

    Its first line is `{"kind":"fence","format":1,"remote":…,"number":N,"snapshot":…}`, and the second one the checksum.
    `snapshot` is the hash of the manifest of snapshot N. Of several fences the one with the greatest number counts.
    """

    remote: str
    number: int
    snapshot: str


def write_fence(fence: Fence) -> bytes:
    """The bytes of a fence's file."""
    head: dict[str, Json] = {
        "kind": "fence", "format": FORMAT, "remote": fence.remote, "number": fence.number,
        "snapshot": fence.snapshot,
    }  # fmt: skip
    return with_checksum([to_line(head)])


def read_fence(content: bytes, number: int, remote: str) -> Fence:
    """The fence that a file holds, which must be this one of this remote."""
    name = fence_name(number)
    head, lines = opened(content, name)
    try:
        members = of_kind(head, "fence", ("remote", "number", "snapshot"))
        check_identity(members, remote, number)
        if lines:
            raise Malformed("", f"{len(lines)} lines follow that do not belong to it")
        return Fence(remote=remote, number=number, snapshot=matching(members, "snapshot", HASH))
    except Malformed as error:
        raise RemoteDamaged(name, str(error)) from error
