"""The files of a snapshot as bytes, format 1, in the way of `format.py`: the state of a remote after a commit; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from tidesync.errors import RemoteDamaged
from tidesync.records import INT_MAX, Json, Record
from tidesync.schema import TABLE_NAME
from tidesync.transports.files.format import PLACES
from tidesync.transports.files.lines import (
    FORMAT,
    HASH,
    HEX,
    check_content,
    check_identity,
    check_moment,
    check_name,
    digest,
    lines_in,
    matching,
    moment_in,
    of_kind,
    opened,
    with_checksum,
)
from tidesync.transports.files.names import manifest_name, part_name
from tidesync.transports.strict import Malformed, Members, shown, to_line

PART_SIZE: Final = 4_000_000
"""Bytes, roughly, after which a part of a snapshot ends."""


# ---- snapshots/N.jsonl


@attrs.frozen(kw_only=True)
class Part:
    """A line of a manifest, `{"part":…,"bytes":…,"lines":…}`: a part's hash, size, and lines but for the last."""

    digest: str
    size: int
    lines: int


@attrs.frozen
class Counts:
    """How many records and tombstones there are of a table."""

    live: int = 0
    deleted: int = 0


@attrs.frozen(kw_only=True)
class Manifest:
    """`snapshots/N.jsonl`: the state after commit N, in parts. It is written after all of its parts.

    The first line is `{"kind":"snapshot","format":1,"remote":…,"number":N,"commit":…,"sequence":…,"clock":…,
    "changes":…,"operations":…,"tables":…,"fences":…,"parts":p}`, `p` lines follow, one `Part` each, and the last
    line is the checksum. `commit` is the hash of commit N, `sequence` that of its last change, `clock` its moment
    `at`; `changes` is how many changes the commits up to N have, all together. `operations` is how many known
    operations the snapshot holds, and `tables` an object: by table, `{"live":…,"deleted":…}`, how many records and
    tombstones. `fences` is an object: by table, a sequence; of tombstones up to it some or all are not in the
    snapshot any more. Tables that lack none are left out there. The parts, one behind the other, hold every row,
    by table and id, and then every known operation, by its id; texts are in the order of their code points, and
    nothing is there twice.
    """

    remote: str
    number: int
    commit: str
    sequence: int
    clock: str
    changes: int
    operations: int = 0
    tables: Mapping[str, Counts] = attrs.field(factory=dict[str, Counts])
    fences: Mapping[str, int] = attrs.field(factory=dict[str, int])
    parts: Sequence[Part] = ()

    @property
    def lines(self) -> int:
        """How many rows and operations it holds."""
        return sum(part.lines for part in self.parts)


def write_manifest(manifest: Manifest) -> bytes:
    """The bytes of a snapshot's manifest."""
    head: dict[str, Json] = {
        "kind": "snapshot", "format": FORMAT, "remote": manifest.remote, "number": manifest.number,
        "commit": manifest.commit, "sequence": manifest.sequence, "clock": manifest.clock,
        "changes": manifest.changes, "operations": manifest.operations,
        "tables": {table: {"live": each.live, "deleted": each.deleted} for table, each in manifest.tables.items()},
        "fences": dict(manifest.fences), "parts": len(manifest.parts),
    }  # fmt: skip
    parts = [{"part": part.digest, "bytes": part.size, "lines": part.lines} for part in manifest.parts]
    return with_checksum([to_line(head), *map(to_line, parts)])


def read_manifest(content: bytes, number: int, remote: str) -> Manifest:
    """The manifest that a file holds, which must be this one of this remote."""
    name = manifest_name(number)
    head, lines = opened(content, name)
    known = (
        "remote", "number", "commit", "sequence", "clock", "changes", "operations", "tables", "fences", "parts",
    )  # fmt: skip
    try:
        members = of_kind(head, "snapshot", known)
        check_identity(members, remote, number)
        if members.count("parts") != len(lines):
            raise Malformed("parts", f"it is {shown(members.raw('parts'))}, and {len(lines)} parts follow")
        sequence = members.count("sequence")
        if sequence >> PLACES != number:
            raise Malformed("sequence", f"it is {sequence}, which is none of commit {number}")
        tables, fences = _by_table(members, "tables"), _by_table(members, "fences")
        parts = [
            Members(line, f"part {place}", frozenset(("part", "bytes", "lines")))
            for place, line in enumerate(lines)
        ]
        return Manifest(
            remote=remote,
            number=number,
            commit=matching(members, "commit", HASH),
            sequence=sequence,
            clock=moment_in(members, "clock"),
            changes=members.count("changes", least=number),
            operations=members.count("operations"),
            tables={table: _counts(tables, table) for table in tables.value},
            fences={table: fences.count(table) for table in fences.value},
            parts=[
                Part(digest=matching(part, "part", HASH), size=part.count("bytes"), lines=part.count("lines"))
                for part in parts
            ],
        )
    except Malformed as error:
        raise RemoteDamaged(name, str(error)) from error


def _by_table(members: Members, name: str) -> Members:
    found = Members(members.raw(name), name)
    for table in found.value:
        if not TABLE_NAME.match(table) or table.startswith("__"):
            raise Malformed(name, f"{shown(table)} cannot be the name of a table")
    return found


def _counts(tables: Members, table: str) -> Counts:
    found = Members(tables.raw(table), tables.at(table), frozenset(("live", "deleted")))
    return Counts(found.count("live"), found.count("deleted"))


# ---- snapshots/N/<hash>.jsonl


@attrs.frozen(kw_only=True)
class Row:
    """A line of a snapshot's part: a record or tombstone as it was after the snapshot's commit.

    Its line is `{"table":…,"id":…,"version":…,"created_at":…,"updated_at":…,"sequence":…,"deleted":…,"record":…}`, as
    of an `Entry`. `updated_at` is the moment, and `sequence` the sequence, of the change that left it so.
    """

    table: str
    id: str
    version: str
    created_at: str
    updated_at: str
    sequence: int
    deleted: bool
    record: Record


@attrs.frozen(kw_only=True)
class Known:
    """A line of a snapshot's part: an operation that had its effect, and is to be known when it is sent again.

    Its line is `{"operation":…,"mark":…,"version":…,"at":…}`: `operation` and `mark` are those of its `Entry`,
    `version` the one that it led to, and `at` the moment of its commit.
    """

    operation: str
    mark: str
    version: str
    at: str


def place_of(line: Row | Known) -> tuple[int, str, str]:
    """Where a line stands among those of all parts of its snapshot: greater than of those before it."""
    return (0, line.table, line.id) if isinstance(line, Row) else (1, line.operation, "")


def read_part(content: bytes, number: int, part: Part) -> list[Row | Known]:
    """What a part of snapshot `number` holds, which must be the one that the manifest lists."""
    name = part_name(number, part.digest)
    if digest(content) != part.digest or len(content) != part.size:
        raise RemoteDamaged(name, "it is not what its snapshot lists: its hash does not fit")
    try:
        found = [_line(line, f"line {place}") for place, line in enumerate(lines_in(content, name))]
        if len(found) != part.lines:
            raise Malformed("", f"it has {len(found)} lines, and its snapshot lists {part.lines}")
    except Malformed as error:
        raise RemoteDamaged(name, str(error)) from error
    return found


def line_of(line: Row | Known) -> bytes:
    """A line of a part, without its end."""
    if isinstance(line, Known):
        return to_line(
            {"operation": line.operation, "mark": line.mark, "version": line.version, "at": line.at}
        )
    return to_line(
        {
            "table": line.table, "id": line.id, "version": line.version, "created_at": line.created_at,
            "updated_at": line.updated_at, "sequence": line.sequence, "deleted": line.deleted, "record": line.record,
        }
    )  # fmt: skip


def _line(line: Json, where: str) -> Row | Known:
    members: Record = line if isinstance(line, dict) else {}
    match members:
        case {
            "table": str(table),
            "id": str(id),
            "version": str(version),
            "created_at": str(created_at),
            "updated_at": str(updated_at),
            "sequence": int(sequence),
            "deleted": bool(deleted),
            "record": dict(record),
            **more,
        } if not more and type(sequence) is int and 1 << PLACES <= sequence <= INT_MAX:
            check_moment(where, created_at)
            check_moment(where, updated_at)
            return Row(
                table=table, id=id, version=version, created_at=created_at, updated_at=updated_at,
                sequence=sequence, deleted=deleted, record=check_content(where, table, id, version, record),
            )  # fmt: skip
        case {
            "operation": str(operation),
            "mark": str(mark),
            "version": str(version),
            "at": str(at),
            **more,
        } if not more and HEX.match(mark):
            check_name(where, "operation", operation)
            check_name(where, "version", version)
            check_moment(where, at)
            return Known(operation=operation, mark=mark, version=version, at=at)
        case _:
            raise Malformed(where, "it is neither a row nor an operation")
