"""Credentials for the HTTP transport: who may hold them, how they are sent, how they are renewed once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeGuard

import httpx

from tidesync.errors import ConfigurationError, Unauthorized
from tidesync.transports.http.values import Dialect

Credentials: TypeAlias = httpx.Auth | str | Callable[[], str]
"""An httpx.Auth (which does everything itself), a token, or a function that returns a fresh one."""
AsyncCredentials: TypeAlias = Credentials | Callable[[], Awaitable[str]]
"""The same, where the function may be an async one."""
Source: TypeAlias = Callable[[], str] | Callable[[], Awaitable[str]]


class Tokens:
    """A token, fetched when first needed and renewed at most once for all callers that were refused with it.

    Calling its source, one caller at a time, is the driver's: `wanting` says whether to, and `take` takes what it
    gave or raised.

    2.0 sends it as `X-ZUMO-AUTH: <token>` (App Service's own session token), 3.0 as `Authorization: Bearer
    <token>`. For anything else give an httpx.Auth, or headers=.
    """

    def __init__(self, source: str | Source) -> None:
        if isinstance(source, str) and not is_token(source):
            raise ConfigurationError("auth= is no token: printable ASCII, not empty")
        self._source = source
        self._token: str | None = source if isinstance(source, str) else None

    def __repr__(self) -> str:
        return "Tokens(…)"

    def wanting(self, refused: str | None) -> Source | None:
        """What to call for a token, if one is needed; `refused` is the one that was sent in vain."""
        return None if isinstance(self._source, str) or self._token != refused else self._source

    def take(self, given: object) -> None:
        """Take what the source returned, or raised. Raises `Unauthorized` for what is no token."""
        if isinstance(given, Exception):  # the caller's own code: whatever it raises means no token
            raise Unauthorized(f"the auth function failed: {type(given).__name__}") from given
        if not is_token(given):
            raise Unauthorized("the auth function gave no token: printable ASCII, not empty")
        self._token = given

    def other(self, refused: str | None) -> str | None:
        """The token to send; None if there is no other than the one that was refused."""
        return self._token if self._token != refused else None

    def hide(self, text: str) -> str:
        """The text without the token, should a server repeat it."""
        token = self._token
        return text.replace(token, "***") if token else text


def is_token(token: object) -> TypeGuard[str]:
    """Whether something fits a header as a token."""
    return isinstance(token, str) and bool(token) and token.isascii() and token.isprintable()


def header_of(token: str, dialect: Dialect) -> dict[str, str]:
    """How the token is sent."""
    return {"X-ZUMO-AUTH": token} if dialect == "2.0" else {"Authorization": f"Bearer {token}"}
