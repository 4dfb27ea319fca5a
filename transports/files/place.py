"""Where the files of a remote lie: what a folder and a bucket can both do, and no more than that."""

from __future__ import annotations

import re
from typing import Final, Protocol, runtime_checkable

LARGEST: Final = 256 * 1024 * 1024
"""Bytes that a file may have. What is larger is none of ours: `RemoteDamaged`, before it fills the memory."""

_NAME: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*/){0,4}[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@runtime_checkable
class Place(Protocol):
    """A folder or a bucket. Names are relative to it, as "log/00000000000000000001.jsonl".

    No file is ever written twice. Every method raises `NotReachable` where certainly nothing was done,
    `RemoteUnavailable` where that is in doubt, and `Unauthorized`, with the driver's own exception chained; and
    `ValueError` for a name that could lead out of the place, or be another name elsewhere.
    """

    @property
    def longest(self) -> float:
        """Seconds after which a call has ended, whatever the wire does; `names` for each thousand of names."""
        ...

    @property
    def at_once(self) -> int:
        """How many files it is of use to read at the same time; any thread may call any method."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole and durably, or not at all; False if the name is taken."""
        ...

    def read(self, name: str) -> bytes | None:
        """What a file holds; None if there is none of this name."""
        ...

    def names(self, folder: str, after: str = "") -> list[str]:
        """The names inside a folder of all files directly in it that sort after another such name, in order.

        As "00000000000000000001.jsonl" of "log"; the folder "" is the place itself. [] if there is no folder.
        """
        ...

    def folders(self, folder: str) -> list[str]:
        """The names inside a folder of all folders directly in it that hold files, in order; of an empty one maybe."""
        ...

    def sizes(self, folder: str) -> dict[str, int]:
        """The bytes of each file that `names` tells of a folder, by name and in order."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is no error."""
        ...

    def sweep(self) -> int:
        """Delete what writers that are dead may have left unfinished; returns how many files went.

        Neither clocks nor locks tell who is dead: a `create` whose unfinished file went begins again.
        """
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...


def checked(name: str) -> str:
    """The name, if it means one and the same file everywhere: ASCII letters, digits, `.`, `_`, `-`, in folders.

    File systems and buckets differ in what they make of anything else: case and composition of letters, dots, signs
    in addresses. Raises `ValueError`.
    """
    if not _NAME.match(name):
        raise ValueError(f"{ascii(name)[:80]} is no name of a remote's file")
    return name
