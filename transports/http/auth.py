"""Credentials for the HTTP transport: who may hold them, how they are sent, how they are renewed once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

import httpx

from tidesync.errors import ConfigurationError, Unauthorized
from tidesync.transports.http.values import Dialect

Credentials: TypeAlias = httpx.Auth | str | Callable[[], str]
"""An httpx.Auth (which does everything itself), a token, or a function that returns a fresh one."""


class Tokens:
    """A token, fetched when first needed and renewed at most once for all threads that were refused with it.

    2.0 sends it as `X-ZUMO-AUTH: <token>` (App Service's own session token), 3.0 as `Authorization: Bearer
    <token>`. For anything else give an httpx.Auth, or headers=.
    """

    def __init__(self, source: str | Callable[[], str]) -> None:
        if isinstance(source, str) and not is_token(source):
            raise ConfigurationError("auth= is no token: printable ASCII, not empty")
        self._source = source
        self._lock = threading.Lock()
        self._token: str | None = source if isinstance(source, str) else None

    def __repr__(self) -> str:
        return "Tokens(…)"

    def current(self) -> str:
        """The token to send. Raises `Unauthorized` if there is none to be had."""
        with self._lock:
            if self._token is None:
                self._token = self._fetch()
            return self._token

    def renewed(self, refused: str) -> str | None:
        """Another token than the one that was refused; None if there is no other."""
        with self._lock:
            if self._token == refused and not isinstance(self._source, str):
                self._token = self._fetch()
            return self._token if self._token != refused else None

    def hide(self, text: str) -> str:
        """The text without the token, should a server repeat it."""
        token = self._token
        return text.replace(token, "***") if token else text

    def _fetch(self) -> str:
        source = self._source
        assert not isinstance(source, str)
        try:
            token = source()
        except Exception as error:  # the caller's own code: whatever it raises means no token
            raise Unauthorized(f"the auth function failed: {type(error).__name__}") from error
        if not is_token(token):
            raise Unauthorized("the auth function gave no token: printable ASCII, not empty")
        return token


def is_token(token: object) -> bool:
    """Whether something fits a header as a token."""
    return isinstance(token, str) and bool(token) and token.isascii() and token.isprintable()


def header_of(token: str, dialect: Dialect) -> dict[str, str]:
    """How the token is sent."""
    return {"X-ZUMO-AUTH": token} if dialect == "2.0" else {"Authorization": f"Bearer {token}"}
