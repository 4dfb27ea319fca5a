"""A place in a bucket, through obstore: on S3, Google Cloud Storage, Azure, and in the memory of this process."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import attrs
from obstore.store import MemoryStore

from tidesync.errors import (
    ConfigurationError,
    NotReachable,
    RemoteDamaged,
    RemoteUnavailable,
    TidesyncError,
    TransportError,
)
from tidesync.transports.files.failures import RAISED, Failure, What, read_failure
from tidesync.transports.files.place import LARGEST, checked

if TYPE_CHECKING:
    from obstore import ListResult, ObjectMeta
    from obstore.store import AzureStore, GCSStore, S3Store

    Store: TypeAlias = AzureStore | GCSStore | MemoryStore | S3Store

T = TypeVar("T")

TIMEOUT: Final = 30.0
"""Seconds that one request may take, where nothing else is said."""
CONNECT_TIMEOUT: Final = 5.0
PATIENCE: Final = 5.0
"""Seconds after the first request of a call in which it may be made again."""
ATTEMPTS: Final = 3
_PAUSE: Final = 0.025
"""Seconds, from which pauses grow."""
_SMALL: Final = 64 * 1024
_UNITS: Final = {
    **dict.fromkeys(("nsec", "ns"), 1e-9),
    **dict.fromkeys(("usec", "us"), 1e-6),
    **dict.fromkeys(("msec", "ms"), 1e-3),
    **dict.fromkeys(("seconds", "second", "sec", "s"), 1.0),
    **dict.fromkeys(("minutes", "minute", "min", "m"), 60.0),
    **dict.fromkeys(("hours", "hour", "hr", "h"), 3600.0),
}


_runtime_of: int | None = None
"""The process in which obstore's threads run, once they do; those that are forked from it have none."""


class Bucket:
    """Files under the prefix of an obstore store; no other requests than PUT if absent, GET, HEAD, lists and DELETE.

    What fails for a passing reason (5xx, 429, 409, a cut connection) is asked for `ATTEMPTS` times at most, and no more
    once `PATIENCE` is over. A create that is repeated may meet its own first success: then it answers False, and what
    is there has the bytes that were given. Before its first write it proves, with one request, that the bucket does
    create only what is absent; else `ConfigurationError`. `address` is what errors call it.
    """

    at_once: int = 8

    def __init__(self, store: Store, address: str) -> None:
        self._store, self._address = store, address
        self._proved = False
        self._known: tuple[str, bytes] | None = None
        self._random = random.Random()  # noqa: S311  # jitter, not a secret
        self._longest = PATIENCE + _request_seconds(store)

    def __repr__(self) -> str:
        return f"Bucket({self._address!r})"

    @property
    def longest(self) -> float:
        """So long for each of the two that the first create of an opening makes."""
        return self._longest

    def create(self, name: str, content: bytes) -> bool:
        checked(name)
        if len(content) > LARGEST:
            raise ConfigurationError(f"{name} would have {len(content):,} bytes, and {LARGEST:,} is the most")
        if not self._proved and self._known is not None:
            try:
                self._prove(*self._known)
            except RemoteUnavailable as error:
                # In doubt is what changes nothing; the file itself was not sent.
                raise NotReachable(str(error)) from error
        created = self._create(name, content)
        if created and not self._proved:
            self._remember(name, content)
            with suppress(TransportError):  # then the next create proves it; the file is there
                self._prove(name, content)
        return created

    def read(self, name: str) -> bytes | None:
        checked(name)
        answer = self._asked(lambda: self._get(name))
        if not isinstance(answer, Failure):
            self._remember(name, answer)
            return answer
        if answer.what is What.ABSENT:
            return None
        raise self._error(answer, name) from answer.cause

    def names(self, folder: str, after: str = "") -> list[str]:
        return [name for name, _ in self._files(folder, after)]

    def folders(self, folder: str) -> list[str]:
        prefix = _checked_folder(folder)
        found = self._told(self._asked(lambda: self._level(prefix)), folder)
        return sorted(_inside(folder, found["common_prefixes"]))

    def sizes(self, folder: str) -> dict[str, int]:
        return dict(self._files(folder))

    def delete(self, name: str) -> None:
        checked(name)
        answer = self._asked(lambda: self._store.delete(name))
        if isinstance(answer, Failure) and answer.what is not What.ABSENT:
            raise self._error(answer, name) from answer.cause

    def sweep(self) -> int:
        return 0  # a file is there once all of it has come

    def close(self) -> None:
        self._known = None

    # ---- what a remote needs of a bucket

    def _remember(self, name: str, content: bytes) -> None:
        """Keep a file that is never deleted, for the proof: those in folders may be."""
        if self._known is None and "/" not in name and len(content) <= _SMALL:
            self._known = name, content

    def _prove(self, name: str, content: bytes) -> None:
        """Create once more what is there: where that is not refused, at least the same bytes are there then.

        The second time is for a file that somebody deleted since it was read.
        """
        if self._create(name, content) and self._create(name, content):
            raise ConfigurationError(
                f"{self._address} cannot be a remote: it was told to create {name} only if it is absent, and wrote "
                "over it; so writers would lose what others wrote"
            )
        self._proved = True

    # ---- requests

    def _create(self, name: str, content: bytes) -> bool:
        answer = self._asked(
            lambda: self._store.put(name, content, mode="create", use_multipart=False), creates=name
        )
        if not isinstance(answer, Failure):
            return True
        if answer.what is What.TAKEN:
            return False
        raise self._error(answer, name) from answer.cause

    def _get(self, name: str) -> bytes:
        found = self._store.get(name)
        if found.meta["size"] > LARGEST:
            raise RemoteDamaged(name, f"it has {found.meta['size']:,} bytes, and {LARGEST:,} is the most")
        return bytes(found.bytes())

    def _files(self, folder: str, after: str = "") -> list[tuple[str, int]]:
        """Names inside a folder, with the bytes of each."""
        prefix = _checked_folder(folder)
        offset = f"{folder}/{checked(after)}" if after and folder else after or None

        def asked() -> list[ObjectMeta]:
            if prefix is None:  # without what is in folders: those may hold very many files
                return list(self._level(None)["objects"])
            return [each for page in self._pages(prefix, offset) for each in page]

        sizes = {each["path"]: each["size"] for each in self._told(self._asked(asked), folder)}
        start = f"{folder}/" if folder else ""
        return [(name, sizes[start + name]) for name in sorted(_inside(folder, sizes)) if name > after]

    def _level(self, prefix: str | None) -> ListResult[Sequence[ObjectMeta]]:
        return self._store.list_with_delimiter(prefix)  # pyright: ignore[reportUnknownMemberType]  # it knows arro3

    def _pages(self, prefix: str, offset: str | None) -> Iterable[Sequence[ObjectMeta]]:
        return self._store.list(prefix, offset=offset, chunk_size=1000)  # pyright: ignore[reportUnknownMemberType]  # so too

    def _told(self, answer: T | Failure, name: str) -> T:
        if isinstance(answer, Failure):
            raise self._error(answer, name or "the files") from answer.cause
        return answer

    def _asked(self, ask: Callable[[], T], *, creates: str = "") -> T | Failure:
        """The answer, or why there is none. `creates` names a file that may be there once the request was in doubt."""
        _refuse_forked()
        began = time.monotonic()
        doubt: Failure | None = None
        attempt = 0
        while True:
            attempt += 1
            try:
                return ask()
            except RAISED as error:
                failure = read_failure(error)
            pause = _PAUSE * 4**attempt * self._random.uniform(0.5, 1.0)
            late = time.monotonic() - began + pause > PATIENCE
            if creates and failure.what is What.CONFLICT:
                failure = attrs.evolve(failure, what=What.DOUBT) if late else self._settled(failure, creates)
            if creates and failure.what is What.DOUBT:
                doubt = failure
            if attempt == ATTEMPTS or late or not failure.passing:
                return failure if doubt is None or failure.what is What.TAKEN else doubt
            time.sleep(pause)

    def _settled(self, conflict: Failure, name: str) -> Failure:
        """What a 409 means: on Azure that the name is taken; on S3 that another request for it is under way."""
        try:
            self._store.head(name)
        except RAISED as error:
            failure = read_failure(error)
            return conflict if failure.what is What.ABSENT else attrs.evolve(failure, what=What.DOUBT)
        return attrs.evolve(conflict, what=What.TAKEN, passing=False)

    def _error(self, failure: Failure, name: str) -> TidesyncError:
        if failure.what is What.ABSENT:  # of a list, or of a file to be made
            failure = attrs.evolve(failure, what=What.NO_BUCKET)
        return failure.error(self._address, name)


def _refuse_forked() -> None:
    """Raise where a request would wait for ever, whatever its time-out."""
    global _runtime_of  # noqa: PLW0603  # as obstore's runtime: one for the process
    _runtime_of = _runtime_of or os.getpid()
    if _runtime_of != os.getpid():
        raise ConfigurationError(
            "buckets were used before this process was forked, and obstore's threads are not in it: use them only "
            "after the fork, or begin processes with the method 'spawn'"
        )


def _checked_folder(folder: str) -> str | None:
    return checked(folder) if folder else None


def _inside(folder: str, paths: Iterable[str]) -> Iterator[str]:
    """Names of what is directly in a folder; a bucket may also list the folder itself."""
    start = f"{folder}/" if folder else ""
    for path in paths:
        name = path.removeprefix(start)
        if path.startswith(start) and name and "/" not in name:
            yield name


def _request_seconds(store: Store) -> float:
    """The longest that one call of a store can take; it has retries of its own if it was made elsewhere."""
    if isinstance(store, MemoryStore):
        return 0.0
    timeout = _seconds(store.client_options)
    retries = store.retry_config or {}
    if retries.get("max_retries", 10) == 0:
        return timeout
    backoff = retries.get("backoff", {}).get("max_backoff", timedelta(seconds=15))
    return timeout + (retries.get("retry_timeout", timedelta(minutes=3)) + backoff).total_seconds()


def _seconds(options: Mapping[str, object] | None) -> float:
    given = (options or {}).get("timeout", timedelta(seconds=TIMEOUT))
    if isinstance(given, timedelta):
        return given.total_seconds()
    parts = re.findall(r"(\d+) ?([a-z]+)", str(given))
    if not parts or any(unit not in _UNITS for _, unit in parts):
        raise ConfigurationError("client_options['timeout'] is a datetime.timedelta, or text such as '30s'")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)
