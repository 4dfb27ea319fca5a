"""What is asked of one remote's network: flows of one request and its reply, with limits.

Everything that goes wrong becomes a typed error, and what an error proves is all that matters to a push:
`NotReachable` that nothing was sent or nothing done, `Unauthorized` and a reply of 4xx that nothing was done;
`RemoteUnavailable` and `ProtocolError` prove nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import httpx

from tidesync.errors import NotReachable, ProtocolError, RemoteUnavailable, TransportError, Unauthorized
from tidesync.transports.http.auth import Tokens, header_of
from tidesync.transports.http.exchange import Incoming, Outgoing, unbuildable
from tidesync.transports.http.flow import Authorize, Flow, Pause, Send
from tidesync.transports.http.values import Dialect
from tidesync.transports.http.wire import (
    NOTHING,
    Content,
    Reply,
    Request,
    identity_of,
    if_match,
    message_of,
    origin,
    query_text,
    retry_after,
    to_json,
)
from tidesync.transports.messages import HEADER

REDIRECTS: Final = 5
LONGEST_WAIT: Final = 5.0
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_BEFORE: Final = (407, 421, 425, 429)  # a proxy wants a login, another host is meant, too early, too many


@attrs.frozen(kw_only=True)
class Limits:
    """How long and how much; `timeout` is in seconds, for each phase of a request."""

    timeout: float = 20.0
    retries: int = 2
    max_reply_bytes: int = 64 * 1024 * 1024

    @property
    def exchange(self) -> float:
        """Seconds after which no further request of one exchange is begun."""
        return 2 * self.timeout

    @property
    def longest(self) -> float:
        """The longest that one exchange can take, in seconds."""
        # The last request is begun just in time, and takes its connect, write, read and body.
        return self.exchange + 4 * self.timeout


class Caller:
    """One remote as requests are made for it: its address, headers, credentials. `budget()` begins an exchange.

    `identity` is the remote's address, `longest` how long one exchange can take, in seconds.
    """

    def __init__(
        self, base: httpx.URL, headers: Mapping[str, str], auth: httpx.Auth | Tokens | None, limits: Limits
    ) -> None:
        self._headers = dict(headers)
        self._tokens = auth if isinstance(auth, Tokens) else None
        self._auth = auth if isinstance(auth, httpx.Auth) else None
        self._limits = limits
        self.identity, self.longest = identity_of(base), limits.longest
        self._tables = self.identity + "/tables/"
        self._origin = origin(base)
        self._random = random.Random()  # noqa: S311  # jitter, not a secret
        self.dialect: Dialect = "2.0"
        self.dialect_headers: Mapping[str, str] = {}

    def budget(self) -> Budgeted:
        """The calls of one exchange, which together take a bounded time."""
        return Budgeted(self, self._limits.exchange)

    def send(self, request: Request, deadline: float) -> Flow[Reply]:
        """Send once (twice after a 401). Raises what the module says; 3xx and 4xx are replies."""
        tokens = self._tokens
        token = (yield from Authorize(tokens)) if tokens else None
        reply = yield from self._once(request, token, deadline)
        if reply.status == 401 and tokens and token is not None:
            token = yield from Authorize(tokens, token)
            if token is not None:
                reply = yield from self._once(request, token, deadline)
        said = self._hide(message_of(reply)) if reply.status >= 400 else ""
        wait = retry_after(reply.headers)
        if reply.status == 401:
            raise Unauthorized(f"the remote refuses the credentials: {said}")
        if reply.status in _BEFORE or (reply.status == 503 and wait is not None and HEADER in reply.headers):
            raise NotReachable(f"{reply.status}, before anything was done: {said}", retry_after=wait)
        if reply.status >= 500 or reply.status == 408:
            raise RemoteUnavailable(f"{reply.status}: {said}", retry_after=wait)
        return reply

    def read(self, request: Request, deadline: float) -> Flow[Reply]:
        """Send a read: redirects within the origin are followed, passing failures tried again."""
        for attempt in range(self._limits.retries + 1):
            try:
                return (yield from self._redirected(request, deadline))
            except (RemoteUnavailable, NotReachable) as error:
                if isinstance(error.__cause__, _NOT_SENT) or attempt == self._limits.retries:
                    raise
                wait = error.retry_after
                if wait is None:
                    wait = self._random.uniform(0.5, 1.0) * 0.2 * 2**attempt
                if wait > LONGEST_WAIT or time.monotonic() + wait >= deadline:
                    raise
            yield from Pause(wait)
        raise AssertionError("the last attempt returns or raises")

    def _redirected(self, request: Request, deadline: float) -> Flow[Reply]:
        url: httpx.URL | None = None
        for _ in range(REDIRECTS + 1):
            reply = yield from self.send(
                request if url is None else attrs.evolve(request, path=str(url), parameters=()), deadline
            )
            location = reply.headers.get("location")
            if reply.status not in (301, 302, 303, 307, 308) or location is None:
                return reply
            try:
                url = httpx.URL(url or self._url(request)).join(location)
            except httpx.InvalidURL as error:
                raise ProtocolError("the remote redirects to something that is no address") from error
            if origin(url) != self._origin:
                raise ProtocolError(
                    f"the remote redirects to {url.scheme}://{url.host}, where these credentials do not "
                    "belong: use that address if it is right"
                )
        raise ProtocolError(f"the remote redirects more than {REDIRECTS} times")

    def _url(self, request: Request) -> str:
        if request.path.startswith(("http://", "https://")):
            return request.path
        query = query_text(request.parameters)
        return self._tables + request.path + (f"?{query}" if query else "")

    def _outgoing(self, request: Request, token: str | None, timeout: float) -> Outgoing:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            **self._headers,
            **self.dialect_headers,
            **request.headers,
        }
        if token is not None:
            headers.update(header_of(token, self.dialect))
        content: bytes | Sequence[bytes] | None = None
        if isinstance(request.body, Content):
            content = request.body.pieces
            headers |= {"Content-Type": request.body.type, "Content-Length": str(request.body.size)}
            if request.body.encoding is not None:
                headers["Content-Encoding"] = request.body.encoding
        elif request.body is not NOTHING:
            content = to_json(request.body)
            headers["Content-Type"] = "application/json"
        if request.etag is not None:
            headers["If-Match"] = if_match(request.etag)
        return Outgoing(
            method=request.method,
            url=self._url(request),
            headers=headers,
            content=content,
            timeout=timeout,
            auth=self._auth,
        )

    def _once(self, request: Request, token: str | None, deadline: float) -> Flow[Reply]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise RemoteUnavailable("the exchange took too long")
        timeout = min(self._limits.timeout, left)
        try:
            outgoing = self._outgoing(request, token, timeout)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise unbuildable(error) from error
        incoming, cut = Incoming(self._limits.max_reply_bytes, timeout), None
        try:
            yield from Send(outgoing, incoming)
        except TransportError as error:
            if not (request.partial and incoming.success):
                raise
            cut = str(error)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            failure = self._failure(error, begun=incoming.status is not None)
            if not (request.partial and incoming.success):
                raise failure from error
            cut = str(failure)
        assert incoming.status is not None
        return Reply(incoming.status, incoming.headers, incoming.body, cut)

    def _failure(self, error: Exception, *, begun: bool) -> TransportError:
        """What an error of httpx proves; `begun`: after the head of a reply."""
        text = self._hide(f"{type(error).__name__}: {error}")
        if begun:
            return RemoteUnavailable(f"the reply broke off: {text}")
        if isinstance(error, _NOT_SENT):
            return NotReachable(f"nothing was sent: {text}")
        return RemoteUnavailable(f"no reply: {text}")

    def _hide(self, text: str) -> str:
        return self._tokens.hide(text) if self._tokens else text


class Budgeted:
    """The calls of one exchange; after its time no further request is begun."""

    def __init__(self, caller: Caller, seconds: float) -> None:
        self._caller, self._deadline = caller, time.monotonic() + seconds

    def write(self, request: Request) -> Flow[Reply]:
        """Send what changes something, once. Raises `TransportError`."""
        return self._caller.send(request, self._deadline)

    def read(self, request: Request) -> Flow[Reply]:
        """Send what changes nothing, again if need be. Raises `TransportError`."""
        return self._caller.read(request, self._deadline)

    @property
    def spent(self) -> bool:
        """Whether no further request will be begun."""
        return time.monotonic() >= self._deadline
