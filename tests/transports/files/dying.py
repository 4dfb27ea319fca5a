"""A place in memory, and one whose user is killed at a chosen call: before it, or right after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Killed(BaseException):
    """What a SIGKILL is to a process: nothing after it runs."""


class Memory:
    """A place whose files are a dict; any number of them may share one."""

    longest = 1.0
    at_once = 1

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files: dict[str, bytes] = {} if files is None else files

    def create(self, name: str, content: bytes) -> bool:
        mine = bytes(bytearray(content))  # an object of its own
        return self.files.setdefault(name, mine) is mine

    def read(self, name: str) -> bytes | None:
        return self.files.get(name)

    def names(self, folder: str, after: str = "") -> list[str]:
        return [name for name in sorted(self._under(folder)) if "/" not in name and name > after]

    def folders(self, folder: str) -> list[str]:
        return sorted({name.partition("/")[0] for name in self._under(folder) if "/" in name})

    def sizes(self, folder: str) -> dict[str, int]:
        start = f"{folder}/" if folder else ""
        return {name: len(self.files[start + name]) for name in self.names(folder)}

    def delete(self, name: str) -> None:
        self.files.pop(name, None)

    def sweep(self) -> int:
        found = [name for name in self.names("") if name.startswith(".tmp-")]
        for name in found:
            self.delete(name)
        return len(found)

    def close(self) -> None:
        """Nothing is held."""

    def _under(self, folder: str) -> list[str]:
        start = f"{folder}/" if folder else ""
        return [name[len(start) :] for name in self.files if name.startswith(start)]


class Dying(Memory):
    """Its user is killed at call number `at`, counted from 0: before it has an effect, or once it has had it.

    `calls` is what was asked for, in order. `meanwhile` is what others do before each call.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        at: int | None = None,
        *,
        after: bool = False,
        meanwhile: Callable[[str, str], None] | None = None,
    ) -> None:
        super().__init__(files)
        self.at, self.after, self.meanwhile = at, after, meanwhile
        self.calls: list[tuple[str, str]] = []

    def _call(self, word: str, name: str, do: Callable[[], T]) -> T:
        number = len(self.calls)
        self.calls.append((word, name))
        if self.meanwhile is not None:
            self.meanwhile(word, name)
        if number == self.at and not self.after:
            raise Killed
        done = do()
        if number == self.at:
            raise Killed
        return done

    def create(self, name: str, content: bytes) -> bool:
        return self._call("create", name, lambda: super(Dying, self).create(name, content))

    def read(self, name: str) -> bytes | None:
        return self._call("read", name, lambda: super(Dying, self).read(name))

    def names(self, folder: str, after: str = "") -> list[str]:
        return self._call("names", folder, lambda: super(Dying, self).names(folder, after))

    def folders(self, folder: str) -> list[str]:
        return self._call("folders", folder, lambda: super(Dying, self).folders(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        return self._call("sizes", folder, lambda: super(Dying, self).sizes(folder))

    def delete(self, name: str) -> None:
        self._call("delete", name, lambda: super(Dying, self).delete(name))

    def sweep(self) -> int:
        return self._call("sweep", "", super().sweep)
