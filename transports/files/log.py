"""The log of a remote in a place: reading on, adding to it, and what its files must be to each other."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from tidesync.errors import ProtocolError, RemoteDamaged, RemoteUnavailable, TransportError
from tidesync.transports.files import names
from tidesync.transports.files.format import Commit, Meta, read_commit
from tidesync.transports.files.index import Head
from tidesync.transports.files.lines import digest
from tidesync.transports.files.names import FENCES, LOG, META, commit_name, file_name
from tidesync.transports.files.place import Place
from tidesync.transports.files.reading import read_all

_HASHES_KEPT: Final = 1000
_PUT_BACK: Final = (
    "perhaps the remote was put back to an older copy; if it has to stay so, begin with a new index"
)

_REMADE: Final = "it is missing, or another one than was there: bring it back, or open what is there now"


class InDoubt(RemoteUnavailable):
    """A commit may be in the log, or may yet come into it."""


class Log:
    """The commits of one remote. Any thread may use it; nothing is kept but hashes of some commits."""

    def __init__(self, place: Place, meta: Meta) -> None:
        self.place: Final = place
        self.meta: Final = meta
        self._hashes: OrderedDict[int, str] = OrderedDict()
        self._mutex = threading.Lock()

    def last(self, head: Head) -> int:
        """The number of the last commit; the head's own must still be there, or the log has lost something."""
        before = file_name(head.number - 1) if head.number else ""
        found = names.numbers(LOG, self.place.names(LOG, before))
        if head.number and head.number not in found[:1] and self.place.read(commit_name(head.number)) is None:
            raise RemoteDamaged(
                commit_name(head.number),
                f"it is missing, though it was there: {_PUT_BACK}",
            )
        return max([head.number, *found[-1:]])

    def check(self, head: Head) -> None:
        """See that what the next commit names is what was read: the remote may have been put back to an older copy."""
        name = commit_name(head.number) if head.number else META
        content = self.place.read(name)
        if content is None or digest(content) != head.hash:
            reason = f"it is another commit than the one that was there: {_PUT_BACK}"
            raise RemoteDamaged(name, reason if head.number else _REMADE)

    def arrived(self, head: Head) -> None:
        """Forget the hashes of commits that may not have led to this head.

        A snapshot, or another process, may have led there; and where the remote was put back to an older copy before
        that, the commits that were read here are of another history.
        """
        with self._mutex:
            if head.number and self._hashes.get(head.number) != head.hash:
                self._hashes.clear()
                self._hashes[head.number] = head.hash

    def commits(self, head: Head, last: int) -> Iterator[tuple[Commit, str, int]]:
        """The commits after the head, up to a number that was listed: each with the hash and size of its file."""
        previous = head.hash
        numbers = range(head.number + 1, last + 1)
        contents = read_all(self.place, [commit_name(number) for number in numbers])
        for number, content in zip(numbers, contents, strict=True):
            if content is None:
                raise RemoteDamaged(
                    commit_name(number),
                    f"it is missing, and commit {last} is there: bring it back from a copy",
                )
            commit = read_commit(content, number, self.meta.id)
            if commit.previous != previous:
                raise RemoteDamaged(
                    commit_name(number),
                    f"it does not follow the commit {number - 1} that was there: {_PUT_BACK}",
                )
            previous = digest(content)
            self._keep(number, previous)
            yield commit, previous, len(content)

    def hash_at(self, number: int) -> str | None:
        """The hash of a commit of the log; None if its file is not there any more, or lies behind a fence."""
        with self._mutex:
            known = self._hashes.get(number)
        if known is None:
            content = self.place.read(commit_name(number))
            if content is None or self.is_behind(number):
                return None
            known = digest(content)
            self._keep(number, known)
        return known

    def is_behind(self, number: int) -> bool:
        """Whether there is a fence after a commit: its file then may be one that a writer made who had slept."""
        return any(map(names.number_of, self.place.names(FENCES, file_name(number))))

    def append(self, number: int, content: bytes) -> bool:
        """Make this the commit of its number; False if that is another one, and this one will never be.

        Raises `InDoubt` where it may be, and what `Place.create` raises where it is certainly not.
        """
        name = commit_name(number)
        try:
            taken = not self.place.create(name, content)
            doubt: RemoteUnavailable | None = None
        except RemoteUnavailable as error:
            taken, doubt = True, error
        if taken:
            found = self._found(name, doubt)
            if found is None and doubt is not None:
                raise InDoubt(f"{doubt}", retry_after=doubt.retry_after) from doubt
            if found is not None and found != content:
                try:
                    _ = read_commit(found, number, self.meta.id)
                except ProtocolError as error:
                    # Not ours, nor another's: whatever answered, such as a network's own page, knows nothing of it.
                    raise InDoubt(f"{name} may be there: {error}") from error
            if found != content:
                return False
        try:
            # The number may have been used, and its file compacted, while this writer slept: then the new file is
            # behind a fence, which was there before the old one went. What does not belong there is told to readers.
            behind = self.is_behind(number - 1)
        except TransportError as error:
            raise InDoubt(f"commit {number} is there, and may be behind a fence: {error}") from error
        if not behind:
            self._keep(number, digest(content))
        return not behind

    def _found(self, name: str, doubt: RemoteUnavailable | None) -> bytes | None:
        """What is there under a name that is taken, or may be; a link that leads away is not ours."""
        try:
            return self.place.read(name)
        except RemoteDamaged:
            raise
        except TransportError as error:
            raise InDoubt(f"{doubt or f'{name} is there'}; and then: {error}") from (doubt or error)

    def _keep(self, number: int, its_hash: str) -> None:
        with self._mutex:
            self._hashes[number] = its_hash
            if len(self._hashes) > _HASHES_KEPT:
                _ = self._hashes.popitem(last=False)
