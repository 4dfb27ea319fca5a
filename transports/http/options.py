"""What an HTTP transport is made with, checked once for threads and for event loops."""

from __future__ import annotations

import importlib.metadata
import ssl
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal, TypeAlias, get_args

import attrs
import httpx

from tidesync.errors import ConfigurationError
from tidesync.transports.http.auth import AsyncCredentials, Tokens
from tidesync.transports.http.client import Limits
from tidesync.transports.http.wire import base_url, loopback

Protocol: TypeAlias = Literal["auto", "tidesync", "2.0", "3.0"]


@attrs.frozen(kw_only=True)
class Options:
    """The options of a transport; `auth` of an httpx.Auth is that, else the tokens that it stands for."""

    base: httpx.URL
    protocol: Protocol
    headers: Mapping[str, str] = attrs.field(repr=False)
    auth: httpx.Auth | Tokens | None
    limits: Limits
    concurrency: int
    overlap: float
    page_limit: int

    @property
    def outside(self) -> bool:
        """Whether the remote is on another machine, which the environment's proxies are for."""
        return not loopback(self.base)

    @property
    def pool(self) -> httpx.Limits:
        """How many connections there may be."""
        return httpx.Limits(max_connections=self.concurrency + 4, max_keepalive_connections=None)


def checked(  # noqa: PLR0913  # each is an option of its own, by keyword
    url: str,
    *,
    protocol: Protocol,
    auth: AsyncCredentials | None,
    headers: Mapping[str, str] | None,
    timeout: float,
    retries: int,
    concurrency: int,
    overlap: float,
    allow_plain_http_to: Sequence[str],
    max_reply_bytes: int,
    page_limit: int,
) -> Options:
    """The options, if a transport can be made with them. Raises `ConfigurationError`."""
    if isinstance(allow_plain_http_to, str):
        allow_plain_http_to = (allow_plain_http_to,)
    base = base_url(url, allow_plain_http_to)
    if protocol not in get_args(Protocol):
        raise ConfigurationError(f"protocol is 'auto', 'tidesync', '2.0' or '3.0', not {protocol!r}")
    for name, value, least in (
        ("timeout", timeout, 0.001),
        ("overlap", overlap, 0),
        ("retries", retries, 0),
        ("concurrency", concurrency, 1),
        ("max_reply_bytes", max_reply_bytes, 1024),
        ("page_limit", page_limit, 1),
    ):
        seconds = name in ("timeout", "overlap")
        kind = int | float if seconds else int
        if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            what = "a number" if seconds else "a whole number"
            raise ConfigurationError(f"{name} is {what}, {least} or more, not {value!r:.60}")
    try:
        headers = {"User-Agent": f"tidesync/{_version()}", **(headers or {})}
        _ = httpx.Headers(headers)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError("headers= maps names to text") from error
    if auth is not None and not isinstance(auth, httpx.Auth | str) and not callable(auth):
        raise ConfigurationError(f"auth= is an httpx.Auth, a token or a function, not {type(auth).__name__}")
    return Options(
        base=base,
        protocol=protocol,
        headers=headers,
        auth=auth if auth is None or isinstance(auth, httpx.Auth) else Tokens(auth),
        limits=Limits(timeout=timeout, retries=retries, max_reply_bytes=max_reply_bytes),
        concurrency=concurrency,
        overlap=overlap,
        page_limit=page_limit,
    )


@cache
def _version() -> str:
    try:
        return importlib.metadata.version("tidesync")
    except importlib.metadata.PackageNotFoundError:
        return "0"


@cache
def certificates(*, trust_env: bool) -> ssl.SSLContext:
    """What httpx trusts by default, read once: that takes longer than a hundred requests."""
    return httpx.create_ssl_context(trust_env=trust_env)
