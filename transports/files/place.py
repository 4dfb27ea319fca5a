"""Where the files of a remote lie: what a folder and a bucket can both do, and no more than that."""

from __future__ import annotations

from typing import Protocol


class Place(Protocol):
    """A folder or a bucket. Names are relative to it, as "log/00000000000000000001.jsonl".

    No file is ever written twice. Every method raises `NotReachable` where certainly nothing was done,
    `RemoteUnavailable` where that is in doubt, and `Unauthorized`, with the driver's own exception chained.
    """

    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole and durably, or not at all; False if the name is taken."""
        ...

    def read(self, name: str) -> bytes | None:
        """What a file holds; None if there is none of this name."""
        ...

    def names(self, folder: str, after: str = "") -> list[str]:
        """The names of all files in a folder that sort after another one, in order; none if there is no folder."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is no error."""
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...
