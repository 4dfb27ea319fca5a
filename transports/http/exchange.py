"""One request and what comes of its reply, as a driver has them: nothing here sends or waits."""

from __future__ import annotations

import time
import zlib
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import attrs
import httpx

from tidesync.errors import ConfigurationError, ProtocolError, RemoteUnavailable

ERROR_LIMIT: Final = 64 * 1024
PIECE: Final = 1 << 18
"""Bytes that are decompressed at once, at most."""
_BODY_IS_RECORD: Final = (409, 412)
_NONE: Final = httpx.Headers()


@attrs.frozen(kw_only=True, eq=False)
class Outgoing:
    """A request, ready to be sent.

    `timeout`: seconds for each of its phases, and for its body as a whole. `auth` None: what the client has.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | Sequence[bytes] | None
    timeout: float
    auth: httpx.Auth | None
    begun: float = attrs.field(factory=time.monotonic, init=False)


class _Unpacker(Protocol):
    """What `zlib.decompressobj` returns."""

    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Incoming:
    """What comes of one reply: its status and headers, and its body, decompressed and within the limit.

    A driver calls `begin` once the headers are there. If that says so, it calls `take` for each piece of the body as
    it travelled, until that wants no more, or else `end`. Each raises `TransportError`.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self.status: int | None = None
        self.headers = _NONE
        self._body = bytearray()
        self._limit, self._precious, self._deadline = most, True, 0.0
        self._unpack: _Unpacker | None = None
        self._empty = True

    @property
    def body(self) -> bytes:
        """What was taken so far."""
        return bytes(self._body)

    @property
    def success(self) -> bool:
        """Whether a reply came whose status says so."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def packed(self) -> bool:
        """Whether the body comes compressed, so that a small piece may be much."""
        return self._unpack is not None

    def begin(self, reply: httpx.Response) -> bool:
        """Take the head; whether the body is still to come."""
        self.status, self.headers = reply.status_code, reply.headers
        self._precious = self.success or self.status in _BODY_IS_RECORD
        if not self._precious:
            self._limit = min(ERROR_LIMIT, self._most)
        self._deadline = time.monotonic() + self._seconds
        if reply.is_stream_consumed:  # read already: by an event hook, or made in memory
            _ = self._keep(reply.content)
            return False
        encoding = reply.headers.get("content-encoding", "identity").strip().lower()
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._unpack = zlib.decompressobj(zlib.MAX_WBITS | (32 if encoding == "deflate" else 16))
        elif encoding not in ("", "identity"):
            raise ProtocolError(f"the reply is compressed with {encoding[:20]!r}, which was not asked for")
        return True

    def take(self, raw: bytes) -> bool:
        """Take a piece; whether more is wanted."""
        if self._unpack is None:
            return self._keep(raw)
        self._empty = self._empty and not raw
        # Decompressed here, so that no piece is larger than what may be taken.
        size = min(self._limit + 1, PIECE)
        left = raw
        while True:
            try:
                piece = self._unpack.decompress(left, size)
            except zlib.error as error:
                raise ProtocolError(f"the reply cannot be decompressed: {error}") from error
            if not self._keep(piece):
                return False
            left = self._unpack.unconsumed_tail
            if not left and len(piece) < size:
                return True

    def end(self) -> None:
        """There is nothing more."""
        if self._unpack is not None and not self._unpack.eof and not self._empty:
            raise ProtocolError("the reply ends in the middle of its compressed form")

    def _keep(self, piece: bytes) -> bool:
        self._body += piece
        if len(self._body) > self._limit:
            if self._precious:
                raise ProtocolError(
                    f"the reply is larger than {self._limit} bytes: ask for smaller pages, or allow more"
                )
            del self._body[self._limit :]
            return False
        if time.monotonic() > self._deadline:
            raise RemoteUnavailable("the reply came too slowly")
        return True


def request_of(
    client: httpx.Client | httpx.AsyncClient,
    outgoing: Outgoing,
    content: bytes | Iterable[bytes] | AsyncIterable[bytes] | None,
) -> httpx.Request:
    """The request as httpx has it. Raises `ConfigurationError`."""
    try:
        return client.build_request(
            outgoing.method,
            outgoing.url,
            headers=outgoing.headers,
            content=content,
            timeout=httpx.Timeout(outgoing.timeout),
        )
    except (httpx.InvalidURL, UnicodeError) as error:
        raise unbuildable(error) from error


def unbuildable(error: Exception) -> ConfigurationError:
    """The error for a request that cannot be made, whoever asks."""
    return ConfigurationError(f"the request cannot be built: {type(error).__name__}")


def paced(outgoing: Outgoing, pieces: Sequence[bytes]) -> Iterator[bytes]:
    """The pieces of a body, none of which is sent too late."""
    for piece in pieces:
        if time.monotonic() > outgoing.begun + outgoing.timeout:
            raise RemoteUnavailable("the request went too slowly")
        yield piece
