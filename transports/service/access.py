"""Who is let in: what an application may be asked, and bearer tokens ready-made."""

from __future__ import annotations

import hashlib
import hmac
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, final

import anyio.to_thread
from starlette.requests import Request

from tidesync.arguments import is_async
from tidesync.errors import ConfigurationError
from tidesync.transports.principal import Principal

Authorize: TypeAlias = Callable[[Request], Principal | Awaitable[Principal | None] | None]
"""Tells who asks, None for nobody who is let in (401). It may be a coroutine function; any other is called on a
worker thread. What it raises is 500 and told to nobody, except a `Problem`."""

_LEAST: Final = 16


@final
class Bearer:
    """Lets in whoever brings one of the tokens; made by `bearer`. Neither tokens nor digests are shown."""

    def __init__(self, tokens: Mapping[str, Principal]) -> None:
        self._known = tuple((_digest(token), principal) for token, principal in tokens.items())

    def __repr__(self) -> str:
        return f"<bearer of {len(self._known)} token(s)>"

    def __reduce__(self) -> str:
        raise TypeError("tokens are not pickled")

    async def __call__(self, request: Request) -> Principal | None:
        """The principal of the request's token; the time this takes tells nothing about any token."""
        given = _token(request)
        if given is None:
            return None
        digest, found = _digest(given), None
        for known, principal in self._known:
            if hmac.compare_digest(digest, known):
                found = principal
        return found


def bearer(tokens: Mapping[str, Principal]) -> Bearer:
    """An `authorize` that lets in by token, as `{token: Principal("ann")}`; several tokens may be one's.

    A request carries its token as `Authorization: Bearer TOKEN`, or as `X-ZUMO-AUTH: TOKEN`, as clients of 2.0
    do. All tokens are compared, each in constant time. Raises `ConfigurationError` for tokens that cannot be
    sent or are shorter than 16 characters; no message names one.
    """
    given: Any = tokens
    if not isinstance(given, Mapping) or not given:
        raise ConfigurationError('tokens are a mapping that is not empty, as {token: Principal("ann")}')
    for token, principal in tokens.items():
        name: Any = token
        who: Any = principal
        if not isinstance(name, str) or not name.isascii() or not name.isprintable() or " " in name:
            raise ConfigurationError("a token is text of printable ASCII characters without spaces")
        if len(name) < _LEAST:
            raise ConfigurationError(
                f"a token has {_LEAST} characters at least: secrets.token_urlsafe() makes one"
            )
        if not isinstance(who, Principal):
            raise ConfigurationError(f"a token leads to a Principal, not to {type(who).__name__}")
    return Bearer(tokens)


def _digest(token: str) -> bytes:
    return hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=32).digest()


def _token(request: Request) -> str | None:
    """The one token that the request carries; None without one, and where two differ."""
    found = {value.strip() for value in request.headers.getlist("x-zumo-auth")}
    for value in request.headers.getlist("authorization"):
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        found.add(token.strip())
    return found.pop() if len(found) == 1 else None


async def ask(authorize: Authorize, request: Request) -> Principal | None:
    """What `authorize` says, wherever it wants to be called. Raises TypeError for another answer."""
    if is_async(authorize):
        answer: Any = authorize(request)
    else:
        answer = await anyio.to_thread.run_sync(authorize, request)
    if inspect.isawaitable(answer):
        answer = await answer
    if answer is not None and not isinstance(answer, Principal):
        raise TypeError(f"authorize answers a Principal or None, not {type(answer).__name__}")
    return answer
