"""A place in a folder: files that are linked to their names once they are whole and on the disk."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from tidesync.errors import (
    ConfigurationError,
    NotReachable,
    RemoteDamaged,
    RemoteUnavailable,
)
from tidesync.transports.files.names import FENCES, LOG, SNAPSHOTS, TEMPORARY
from tidesync.transports.files.place import LARGEST, checked

_T = TypeVar("_T")

LONGEST: Final = 10.0
"""Seconds that a call may take: on a disk in this machine it is milliseconds, over a network file system more."""
ATTEMPTS: Final = 5
"""How often a file is written, if others sweep it away before it has its name."""

# Windows has neither; there a link is looked for before it is opened.
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)  # a pipe in the place of a file
_BINARY: Final = getattr(os, "O_BINARY", 0)
_CLOSED: Final = getattr(os, "O_CLOEXEC", 0)
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV)
_IN_DOUBT: Final = (errno.EIO, errno.ETIMEDOUT, errno.ESTALE)
"""What a file system may say after it has linked a file."""


class Folder:
    """Files in a folder that several processes share, on one machine or over a network file system.

    A file is written under a name of its own (`.tmp-…`), brought to the disk, and linked to its name, which fails if
    the name is taken; then the folder is brought to the disk. So it is there whole or not at all, whenever a process
    is killed or power fails. That needs hard links: on a file system without them (FAT, for one) it is
    `ConfigurationError`. On Windows the file is renamed, which fails there if the name is taken. Sub-folders are
    made when they are needed, and the folder itself if the one that it is in is there: a drive that is not
    mounted is `NotReachable`. Symbolic links inside it are not followed.
    """

    longest: float = LONGEST
    at_once: int = 1

    def __init__(self, path: Path) -> None:
        self.path: Final = path.absolute()
        self._seen = False

    def __repr__(self) -> str:
        return f"Folder({str(self.path)!r})"

    def create(self, name: str, content: bytes) -> bool:
        path = self._path(name)
        if len(content) > LARGEST:
            raise ConfigurationError(f"{name} would have {len(content):,} bytes, and {LARGEST:,} is the most")
        with self._certainly_not(f"create {name}"):
            self._make(path.parent, name)
            if os.path.lexists(path):
                return False  # who comes late does not wait for the disk
            for _ in range(ATTEMPTS):
                temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
                try:
                    _write(temporary, content)
                    return self._named(temporary, path, name)
                except FileNotFoundError:
                    continue  # somebody swept it away
                finally:
                    with suppress(OSError):
                        temporary.unlink()
        raise NotReachable(
            f"{self.path} cannot keep {name}: its file is deleted each time before it has its name"
        )

    def _named(self, temporary: Path, path: Path, name: str) -> bool:
        """Give a file that is whole its name; False if that is taken."""
        try:
            _claim(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in _NO_LINKS:
                raise ConfigurationError(
                    f"{self.path} cannot be a remote: its file system has no hard links, by which a name is taken once"
                ) from error
            if error.errno in _IN_DOUBT:
                raise RemoteUnavailable(f"{self.path} may hold {name}, or not: {_said(error)}") from error
            raise
        try:
            with suppress(OSError):
                temporary.unlink()
            _sync_folder(path.parent)
        except OSError as error:
            raise RemoteUnavailable(f"{self.path} may lose {name} again: {_said(error)}") from error
        return True

    def read(self, name: str) -> bytes | None:
        path = self._path(name)
        with self._certainly_not(f"read {name}"):
            self._check(path.parent, name)
            try:
                if not _NO_FOLLOW and path.is_symlink():
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _NO_WAIT | _BINARY | _CLOSED)
            except FileNotFoundError:
                return self._missing(None)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.EMLINK):
                    raise RemoteDamaged(name, "it is a symbolic link, and is not followed") from error
                raise
            try:
                self._seen = True
                _check_file(name, os.fstat(descriptor))
            except BaseException:
                os.close(descriptor)
                raise
            with os.fdopen(descriptor, "rb") as file:
                return file.read()

    def names(self, folder: str, after: str = "") -> list[str]:
        return sorted(
            entry.name
            for entry in self._entries(folder)
            if entry.name > after and not entry.is_dir(follow_symlinks=False)
        )

    def folders(self, folder: str) -> list[str]:
        return sorted(entry.name for entry in self._entries(folder) if entry.is_dir(follow_symlinks=False))

    def sizes(self, folder: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in sorted(self._entries(folder), key=lambda entry: entry.name):
            with suppress(FileNotFoundError):
                if not entry.is_dir(follow_symlinks=False):
                    found[entry.name] = entry.stat(follow_symlinks=False).st_size
        return found

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._certainly_not(f"delete {name}"):
            self._check(path.parent, name)
            with suppress(FileNotFoundError):
                path.unlink()
            if self.path not in (path.parent, path.parent.parent):
                with suppress(OSError):  # it goes if nothing is left in it
                    path.parent.rmdir()

    def sweep(self) -> int:
        gone = 0
        for folder in self._tree():
            for name in self.names(folder):
                if name.startswith(TEMPORARY):
                    with self._certainly_not(f"delete {name}"), suppress(FileNotFoundError):
                        (self.path / folder / name).unlink()
                        gone += 1
        return gone

    def close(self) -> None:
        """Nothing is held between two calls."""

    # ---- folders

    def _tree(self) -> list[str]:
        """The names of the folder itself, and of all in it in which files of a remote are made; of no other one."""
        parts = [name for name in self.folders(SNAPSHOTS) if name.isascii() and name.isdigit()]
        return ["", LOG, SNAPSHOTS, FENCES, *(f"{SNAPSHOTS}/{name}" for name in parts)]

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        path = self._path(folder) if folder else self.path
        with self._certainly_not(f"list {folder or 'the folder'}"):
            self._check(path, folder)
            try:
                with os.scandir(path) as entries:
                    self._seen = True
                    return list(entries)
            except FileNotFoundError:
                return self._missing([])
            except NotADirectoryError as error:
                raise RemoteDamaged(folder, "it is not a folder") from error

    def _path(self, name: str) -> Path:
        return self.path / checked(name)

    def _missing(self, nothing: _T) -> _T:
        """What a file or folder that is not there is: nothing, unless all of the remote went away."""
        if self._seen and not self.path.exists():
            raise NotReachable(f"{self.path} is gone: is its drive mounted?")
        return nothing

    def _check(self, folder: Path, name: str) -> None:
        """Raise `RemoteDamaged` if a folder of the remote is a link that leads somewhere else."""
        while folder != self.path:
            if folder.is_symlink():
                raise RemoteDamaged(name, f"{folder.name} is a symbolic link, and is not followed")
            folder = folder.parent

    def _make(self, folder: Path, name: str) -> None:
        """Make a folder, and those that it is in, down from the remote's own one; all of it is on the disk then."""
        self._check(folder, name)
        if folder.is_dir():
            return
        if folder == self.path:
            if self._seen or not folder.parent.is_dir():
                where = folder if self._seen else folder.parent
                raise NotReachable(f"{where} is not there: is its drive mounted, and the path right?")
        else:
            self._make(folder.parent, name)
        with suppress(FileExistsError):
            folder.mkdir()
        _sync_folder(folder.parent)

    @contextmanager
    def _certainly_not(self, what: str) -> Generator[None, None, None]:
        """Turn what the system says into `NotReachable`: it stopped before anything was done."""
        try:
            yield
        except OSError as error:
            raise NotReachable(f"{self.path}: cannot {what}: {_said(error)}") from error


def _check_file(name: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise RemoteDamaged(name, "it is not a file")
    if found.st_size > LARGEST:
        raise RemoteDamaged(name, f"it has {found.st_size:,} bytes, and {LARGEST:,} is the most")


def _write(path: Path, content: bytes) -> None:
    """A new file with this content, on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY | _CLOSED, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        _ = file.write(content)
        file.flush()
        _sync(descriptor)


def _claim(temporary: Path, path: Path) -> None:
    """Give a file a second name, or on Windows another one, if that is not taken; else `FileExistsError`."""
    if sys.platform == "win32":
        _ = temporary.rename(path)
    else:
        os.link(temporary, path, follow_symlinks=False)


def _sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, where the system offers that."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):  # on a file system that knows no other, fsync is all there is
            _ = fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _said(error: OSError) -> str:
    """What the system said, without paths."""
    return error.strerror or type(error).__name__
