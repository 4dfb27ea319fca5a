"""Lines of JSON under a checksum, and what may stand in them: what all files of a remote share; pure.

Every check raises `RemoteDamaged` with the file's name, or `Malformed`, of which readers make one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from tidesync.errors import InvalidId, InvalidRecord, ProtocolError, RemoteDamaged
from tidesync.records import Json, Record, check_id, check_record
from tidesync.schema import RESERVED, TABLE_NAME
from tidesync.transports.files.names import LAST_NUMBER
from tidesync.transports.layout import HIDDEN
from tidesync.transports.strict import Malformed, Members, parse_lines, shown
from tidesync.values import ColumnType, is_canonical

FORMAT: Final = 1
HASH: Final = re.compile(r"[0-9a-f]{64}\Z")
HEX: Final = re.compile(r"[0-9a-f]{1,64}\Z")

_TAKEN: Final = RESERVED | HIDDEN
_TAIL: Final = len(b'{"sha256":""}\n') + 64


def digest(content: bytes) -> str:
    """The hash of a file: the SHA-256 of all of its bytes, as 64 hexadecimal digits in lower case."""
    return hashlib.sha256(content).hexdigest()


def with_checksum(lines: Iterable[bytes]) -> bytes:
    """A file of these lines, and the one with their checksum."""
    body = b"".join([line + b"\n" for line in lines])
    return body + _checksum(body)


def _checksum(body: bytes) -> bytes:
    return b'{"sha256":"%b"}\n' % digest(body).encode()


def lines_in(content: bytes, name: str) -> list[Json]:
    """The values of a file's lines without the last one, whose checksum must fit."""
    body = content[:-_TAIL]
    if content[-_TAIL:] != _checksum(body):
        raise RemoteDamaged(name, "it is torn, or was changed: its checksum does not fit")
    try:
        found = parse_lines(body)
    except Malformed as error:
        raise RemoteDamaged(name, str(error)) from error
    if len(found) != body.count(b"\n"):
        raise RemoteDamaged(name, "it does not have one value a line")
    return found


def opened(content: bytes, name: str) -> tuple[Json, Sequence[Json]]:
    """The first line of a file, and those between it and the checksum."""
    found = lines_in(content, name)
    if not found:
        raise RemoteDamaged(name, "it has no first line")
    return found[0], found[1:]


def of_kind(value: Json, kind: str, known: Sequence[str]) -> Members:
    """The members of a file's first line, which must be of this kind and format."""
    members = Members(value)
    if members.raw("kind") != kind:
        raise Malformed("kind", f"it is {shown(members.raw('kind'))}, and must be {kind!r}")
    found = members.count("format", least=1)
    if found > FORMAT:
        raise ProtocolError(
            f"the remote has files of format {found}, and this tidesync reads {FORMAT}: upgrade it"
        )
    return Members(value, known=frozenset(("kind", "format", *known)))


def check_identity(members: Members, remote: str, number: int) -> None:
    """Raise `Malformed` unless a file is the one of this number, of this remote."""
    if members.raw("remote") != remote:
        raise Malformed(
            "remote", f"it is {shown(members.raw('remote'))}: the file is of another remote than {remote}"
        )
    if members.count("number", least=1) != number or number > LAST_NUMBER:
        raise Malformed(
            "number", f"it is {shown(members.raw('number'))}: the file is another one than its name says"
        )


def matching(members: Members, name: str, pattern: re.Pattern[str]) -> str:
    """A member whose text has this form."""
    text = members.text(name)
    if not pattern.match(text):
        raise Malformed(members.at(name), f"it is {shown(text)}, which has another form")
    return text


def moment_in(members: Members, name: str) -> str:
    """A member that is a moment."""
    text = members.text(name)
    check_moment(members.at(name), text)
    return text


def check_moment(where: str, text: str) -> None:
    """Raise `Malformed` unless the text is a moment in its one form."""
    if not is_canonical(ColumnType.DATETIME, text):
        raise Malformed(where, f"{shown(text)} is no moment")


def check_name(where: str, what: str, text: str) -> None:
    """Raise `Malformed` unless the text can be an id, which the ids of operations and versions are like."""
    try:
        _ = check_id(what, text)
    except InvalidId as error:
        raise Malformed(where, str(error)) from error


def check_content(where: str, table: str, id: str, version: str, record: Record) -> Record:
    """The fields of a record; raises `Malformed` unless all of it can be what a table holds."""
    if not TABLE_NAME.match(table) or table.startswith("__"):
        raise Malformed(where, f"{shown(table)} cannot be the name of a table")
    if taken := _TAKEN & record.keys():
        raise Malformed(where, f"its record has the field {min(taken)!r}, whose name is taken")
    check_name(where, "version", version)
    try:
        _ = check_record(table, {"id": id, **record})
    except (InvalidId, InvalidRecord) as error:
        raise Malformed(where, str(error)) from error
    return record
