"""The network: one request, one reply, with limits; everything that goes wrong becomes a typed error.

What an error proves is all that matters to a push: `NotReachable` that nothing was sent or nothing done,
`Unauthorized` and a reply of 4xx that nothing was done; `RemoteUnavailable` and `ProtocolError` prove nothing.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs
import httpx

from tidesync.errors import (
    ConfigurationError,
    NotReachable,
    ProtocolError,
    RemoteUnavailable,
    TransportError,
    Unauthorized,
)
from tidesync.transports.http.auth import Tokens, header_of
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
ERROR_LIMIT: Final = 64 * 1024
LONGEST_WAIT: Final = 5.0
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_BEFORE: Final = (407, 421, 425, 429)  # a proxy wants a login, another host is meant, too early, too many
_BODY_IS_RECORD: Final = (409, 412)


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
    """One remote's network: thread-safe, as httpx.Client is. `budget()` gives the calls of one exchange.

    `identity` is the remote's address, `longest` how long one exchange can take, in seconds.
    """

    def __init__(
        self,
        client: httpx.Client,
        base: httpx.URL,
        headers: Mapping[str, str],
        auth: httpx.Auth | Tokens | None,
        limits: Limits,
    ) -> None:
        self._client, self._headers = client, dict(headers)
        self._auth, self._limits = auth, limits
        self.identity, self.longest = identity_of(base), limits.longest
        self._tables = self.identity + "/tables/"
        self._origin = origin(base)
        self._random = random.Random()  # noqa: S311  # jitter, not a secret
        self.dialect: Dialect = "2.0"
        self.dialect_headers: Mapping[str, str] = {}

    def budget(self) -> Budgeted:
        """The calls of one exchange, which together take a bounded time."""
        return Budgeted(self, self._limits.exchange)

    def send(self, request: Request, deadline: float) -> Reply:
        """Send once (twice after a 401). Raises what the module says; 3xx and 4xx are replies."""
        tokens = self._auth if isinstance(self._auth, Tokens) else None
        token = tokens.current() if tokens else None
        reply = self._once(request, token, deadline)
        if reply.status == 401 and tokens and token is not None:
            token = tokens.renewed(token)
            if token is not None:
                reply = self._once(request, token, deadline)
        said = self._hide(message_of(reply)) if reply.status >= 400 else ""
        wait = retry_after(reply.headers)
        if reply.status == 401:
            raise Unauthorized(f"the remote refuses the credentials: {said}")
        if reply.status in _BEFORE or (reply.status == 503 and wait is not None and HEADER in reply.headers):
            raise NotReachable(f"{reply.status}, before anything was done: {said}", retry_after=wait)
        if reply.status >= 500 or reply.status == 408:
            raise RemoteUnavailable(f"{reply.status}: {said}", retry_after=wait)
        return reply

    def read(self, request: Request, deadline: float) -> Reply:
        """Send a read: redirects within the origin are followed, passing failures tried again."""
        for attempt in range(self._limits.retries + 1):
            try:
                return self._redirected(request, deadline)
            except (RemoteUnavailable, NotReachable) as error:
                if isinstance(error.__cause__, _NOT_SENT) or attempt == self._limits.retries:
                    raise
                wait = error.retry_after
                if wait is None:
                    wait = self._random.uniform(0.5, 1.0) * 0.2 * 2**attempt
                if wait > LONGEST_WAIT or time.monotonic() + wait >= deadline:
                    raise
                pause(wait)
        raise AssertionError("the last attempt returns or raises")

    def _redirected(self, request: Request, deadline: float) -> Reply:
        url: httpx.URL | None = None
        for _ in range(REDIRECTS + 1):
            reply = self.send(
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

    def _built(self, request: Request, token: str | None, timeout: float) -> httpx.Request:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            **self._headers,
            **self.dialect_headers,
        }
        if token is not None:
            headers.update(header_of(token, self.dialect))
        content: bytes | _Paced | None = None
        if isinstance(request.body, Content):
            content = _Paced(request.body.pieces, time.monotonic() + timeout)
            headers |= {"Content-Type": request.body.type, "Content-Length": str(request.body.size)}
            if request.body.encoding is not None:
                headers["Content-Encoding"] = request.body.encoding
        elif request.body is not NOTHING:
            content = to_json(request.body)
            headers["Content-Type"] = "application/json"
        if request.etag is not None:
            headers["If-Match"] = if_match(request.etag)
        return self._client.build_request(
            request.method,
            self._url(request),
            headers=headers,
            content=content,
            timeout=httpx.Timeout(timeout),
        )

    def _once(self, request: Request, token: str | None, deadline: float) -> Reply:
        left = deadline - time.monotonic()
        if left <= 0:
            raise RemoteUnavailable("the exchange took too long")
        timeout = min(self._limits.timeout, left)
        auth = self._auth if isinstance(self._auth, httpx.Auth) else httpx.USE_CLIENT_DEFAULT
        try:
            built = self._built(request, token, timeout)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ConfigurationError(f"the request cannot be built: {type(error).__name__}") from error
        try:
            reply = self._client.send(built, auth=auth, stream=True, follow_redirects=False)
        except _NOT_SENT as error:
            raise NotReachable(self._hide(f"nothing was sent: {type(error).__name__}: {error}")) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise RemoteUnavailable(self._hide(f"no reply: {type(error).__name__}: {error}")) from error
        body, cut = bytearray(), None
        partial = request.partial and reply.is_success
        try:
            self._fill(body, reply, time.monotonic() + timeout)
        except TransportError as error:
            if not partial:
                raise
            cut = str(error)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            cut = self._hide(f"the reply broke off: {type(error).__name__}: {error}")
            if not partial:
                raise RemoteUnavailable(cut) from error
        finally:
            reply.close()
        return Reply(reply.status_code, reply.headers, bytes(body), cut)

    def _fill(self, body: bytearray, reply: httpx.Response, deadline: float) -> None:
        """Read the body, decompressed and within the limit."""
        precious = reply.is_success or reply.status_code in _BODY_IS_RECORD
        limit = self._limits.max_reply_bytes if precious else min(ERROR_LIMIT, self._limits.max_reply_bytes)
        for piece in _pieces(reply, limit):
            body += piece
            if len(body) > limit:
                if precious:
                    raise ProtocolError(
                        f"the reply is larger than {limit} bytes: ask for smaller pages, or allow more"
                    )
                del body[limit:]
                break
            if time.monotonic() > deadline:
                raise RemoteUnavailable("the reply came too slowly")

    def _hide(self, text: str) -> str:
        return self._auth.hide(text) if isinstance(self._auth, Tokens) else text


class _Paced:
    """The pieces of a body, none of which is sent too late; an auth flow may send them all again."""

    def __init__(self, pieces: Sequence[bytes], deadline: float) -> None:
        self._pieces, self._deadline = pieces, deadline

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if time.monotonic() > self._deadline:
                raise RemoteUnavailable("the request went too slowly")
            yield piece


def _pieces(reply: httpx.Response, limit: int) -> Iterator[bytes]:
    """The body in pieces, decompressed here so that none is larger than what may be taken."""
    if reply.is_stream_consumed:  # read already: by an event hook, or made in memory
        yield reply.content
        return
    encoding = reply.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        yield from reply.iter_raw()
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ProtocolError(f"the reply is compressed with {encoding[:20]!r}, which was not asked for")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | (32 if encoding == "deflate" else 16))
    empty = True
    try:
        for raw in reply.iter_raw():
            empty = empty and not raw
            yield unpack.decompress(raw, limit + 1)
            while unpack.unconsumed_tail:
                yield unpack.decompress(unpack.unconsumed_tail, limit + 1)
    except zlib.error as error:
        raise ProtocolError(f"the reply cannot be decompressed: {error}") from error
    if not unpack.eof and not empty:
        raise ProtocolError("the reply ends in the middle of its compressed form")


def pause(seconds: float) -> None:
    """Wait before a read is tried again."""
    time.sleep(seconds)


class Budgeted:
    """The calls of one exchange; after its time no further request is begun."""

    def __init__(self, caller: Caller, seconds: float) -> None:
        self._caller, self._deadline = caller, time.monotonic() + seconds

    def write(self, request: Request) -> Reply:
        """Send what changes something, once. Raises `TransportError`."""
        return self._caller.send(request, self._deadline)

    def read(self, request: Request) -> Reply:
        """Send what changes nothing, again if need be. Raises `TransportError`."""
        return self._caller.read(request, self._deadline)

    @property
    def spent(self) -> bool:
        """Whether no further request will be begun."""
        return time.monotonic() >= self._deadline
