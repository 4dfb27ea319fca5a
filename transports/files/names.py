"""What the files of a remote are called: made of numbers and hashes alone, so that none leads out of its folder; pure.

```text
meta.json
log/00000000000000000001.jsonl                  commit 1
snapshots/00000000000000000100.jsonl            the manifest of the state after commit 100
snapshots/00000000000000000100/<sha256>.jsonl   a part of it
fences/00000000000000000100.jsonl               begin at that snapshot: commits before 100 may be gone
```

A number has 20 decimal digits, with zeros in front, so that names sort as numbers do. A hash is the SHA-256 of a
whole file, as 64 hexadecimal digits in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from tidesync.errors import RemoteDamaged

META: Final = "meta.json"
LOG: Final = "log"
SNAPSHOTS: Final = "snapshots"
FENCES: Final = "fences"
FOLDERS: Final = (LOG, SNAPSHOTS, FENCES)
ROOT: Final = ""
"""The folder that holds the others, and `META` alone of files."""
TEMPORARY: Final = ".tmp-"
"""How the name of a file begins that is not written to its end."""
LAST_NUMBER: Final = 2**43 - 1
"""The greatest number of a commit: with a place among its changes it has to fit 63 bits."""

_SUFFIX: Final = ".jsonl"
_NUMBERED: Final = re.compile(r"[0-9]{20}\.jsonl\Z")
_HASHED: Final = re.compile(r"[0-9a-f]{64}\.jsonl\Z")
_IGNORED: Final = frozenset(("thumbs.db", "desktop.ini", "icon\r"))


def commit_name(number: int) -> str:
    """The file of a commit."""
    return f"{LOG}/{file_name(number)}"


def manifest_name(number: int) -> str:
    """The file that lists the parts of a snapshot."""
    return f"{SNAPSHOTS}/{file_name(number)}"


def parts_folder(number: int) -> str:
    """The folder of the parts of a snapshot."""
    return f"{SNAPSHOTS}/{number:020}"


def part_name(number: int, digest: str) -> str:
    """The file of one part of a snapshot; `digest` is the hash of what it holds."""
    return f"{parts_folder(number)}/{digest}{_SUFFIX}"


def fence_name(number: int) -> str:
    """The file of a fence."""
    return f"{FENCES}/{file_name(number)}"


def file_name(number: int) -> str:
    """The file of a number inside its folder; those of smaller numbers sort before it."""
    return f"{number:020}{_SUFFIX}"


def is_ignored(name: str) -> bool:
    """Whether a file is none of the remote's and does no harm: hidden, temporary, or of a file browser."""
    return name.startswith(".") or name.lower() in _IGNORED


def numbers(folder: str, found: Iterable[str]) -> list[int]:
    """The numbers of the files in `LOG`, `SNAPSHOTS` or `FENCES`, in order; `found` are names inside the folder.

    Raises `RemoteDamaged`, naming the first file that does not belong there.
    """
    known: list[int] = []
    for name in found:
        if is_ignored(name):
            continue
        number = number_of(name)
        if number is None:
            raise foreign(folder, name)
        known.append(number)
    return sorted(known)


def number_of(name: str) -> int | None:
    """The number of a file, by its name inside the folder; None for a name that no number has."""
    if not _NUMBERED.match(name) or not 1 <= int(name[:20]) <= LAST_NUMBER:
        return None
    return int(name[:20])


def digests(number: int, found: Iterable[str]) -> list[str]:
    """The hashes of the files in the folder of a snapshot's parts; `RemoteDamaged` as of `numbers`."""
    known: list[str] = []
    for name in found:
        if is_ignored(name):
            continue
        if not _HASHED.match(name):
            raise foreign(parts_folder(number), name)
        known.append(name[:64])
    return sorted(known)


def foreign(folder: str, name: str) -> RemoteDamaged:
    """The error for a file that does not belong where it lies."""
    path = f"{folder}/{name}" if folder else name
    return RemoteDamaged(ascii(path)[1:-1], "it does not belong here: move it away, whatever put it there")
