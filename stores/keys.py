"""The key of an encrypted file, kept so that it shows itself to nobody.

No function here binds a passphrase or a raw key to a local name, and none lets an exception carry one: tools
print the locals of a traceback, and the objects of errors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Final, TypeAlias

from tidesync.errors import ConfigurationError

RAW_BYTES: Final = 32
_ROUNDS: Final = 256_000
"""Of PBKDF2 with HMAC-SHA512: what SQLCipher 4 does with a passphrase."""
_WANTED: Final = "key is a passphrase (str), 32 bytes, or a function that returns either"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_RAW_AS_TEXT: Final = re.compile(r"[xX]'[0-9a-fA-F]*'", re.ASCII)


class Key:
    """A passphrase, a raw key, or a function that gives either."""

    __slots__ = ("_derived", "_value")

    def __init__(self, value: object) -> None:
        self._value = value
        self._derived: tuple[str, str] | None = None

    @classmethod
    def of(cls, value: object) -> Key:
        """The value, wrapped if it is not yet; says nothing of whether it can be a key."""
        return value if isinstance(value, cls) else cls(value)

    def __repr__(self) -> str:
        return "<a key>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a key is neither pickled nor copied")

    def check(self) -> None:
        """Raise `ConfigurationError` for what cannot be a key, without telling it."""
        problem = self._problem()
        if problem is not None:
            raise ConfigurationError(f"{_WANTED}; {problem}")

    def _problem(self) -> str | None:
        if self._value is None:
            return "none was given"
        if isinstance(self._value, bytes):
            wrong = len(self._value) != RAW_BYTES
            return f"these are {len(self._value)} bytes" if wrong else None
        if isinstance(self._value, str):
            return self._problem_of_text()
        return None if callable(self._value) else f"this is of type {type(self._value).__name__}"

    def _problem_of_text(self) -> str | None:
        assert isinstance(self._value, str)
        if not self._value:
            return "this text is empty"
        if "\0" in self._value:
            return "this text holds U+0000, at which SQLCipher would end it"
        if _SURROGATE.search(self._value):
            return "this text holds a lone surrogate"
        if _RAW_AS_TEXT.fullmatch(self._value):
            return "this text is a raw key as SQL writes it: give its 32 bytes"
        return None

    def asked(self) -> Key:
        """The key itself: where it is a function, what that returns now."""
        if not callable(self._value):
            return self
        answer = Key(self._value())
        if callable(answer._value):
            raise ConfigurationError(f"{_WANTED}; the function returned another one")
        answer.check()
        return answer

    @property
    def salted(self) -> bool:
        """Whether the file's salt is needed to make a key of it."""
        return isinstance(self._value, str)

    def give(self, take: Callable[[str], object], salt: str | None) -> None:
        """Hand the key to SQLCipher as it wants it: raw, or as the passphrase where there is no salt yet."""
        _ = take(self._spelled(salt))

    def _spelled(self, salt: str | None) -> str:
        if isinstance(self._value, bytes):
            return f"x'{self._value.hex()}'"
        assert isinstance(self._value, str)
        if salt is None:
            return self._value
        if self._derived is None or self._derived[0] != salt:
            self._derived = (salt, self._derive(bytes.fromhex(salt)))
        return self._derived[1]

    def _derive(self, salt: bytes) -> str:
        # SQLCipher would do the same for each connection, a tenth of a second each time.
        assert isinstance(self._value, str)
        return (
            f"x'{hashlib.pbkdf2_hmac('sha512', self._value.encode(), salt, _ROUNDS, 32).hex()}{salt.hex()}'"
        )


Secret: TypeAlias = str | bytes | Callable[[], str | bytes]
KeySource: TypeAlias = Secret | Key
