"""Bodies of requests: how much of them is read, how long they may take, and what counts as JSON."""

from __future__ import annotations

import json
import math
import re
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final, NoReturn

import anyio
import anyio.lowlevel
from starlette.requests import Request

from tidesync.records import RECORD_DEPTH, Json
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.problems import Problem

PACE: Final = 4096
"""Bytes a second: whoever sends fewer for longer than `Limits.patience` is not waited for."""
_PART: Final = 1 << 18
_SLACK: Final = 1 << 16
_GZIP: Final = 16 + zlib.MAX_WBITS
_INTEGER_LIMIT: Final = (
    310  # the digits of the largest float, which JavaScript writes without exponent to 1e21
)
_FLOAT_LIMIT: Final = 1100  # the exact decimals of any float


async def read_body(request: Request, limits: Limits, most: int) -> bytes:
    """The whole body, decompressed: `most` bytes at most. Raises `Problem` as `stream_body` does."""
    parts: list[bytes] = []
    async with aclosing(stream_body(request, limits, most)) as body:
        async for part in body:
            parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def stream_body(request: Request, limits: Limits, most: int) -> AsyncGenerator[bytes]:
    """The body in parts that are not empty, decompressed: `most` bytes together at most.

    Waiting for the client, in total, takes no longer than `limits.patience` seconds and one more for every
    4096 bytes that came; the time that the caller takes between parts does not count. Raises `Problem`: 413 for
    more than `most`, 408 for a client that is too slow, 415 for a `Content-Encoding` other than gzip, 400 for
    gzip that is cut, broken or followed by something; `starlette.requests.ClientDisconnect` if nobody is left.
    """
    encoding = ", ".join(request.headers.getlist("content-encoding")).strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        detail = f"a body may be compressed with gzip, or not at all, and this one says {encoding!r:.80}"
        raise Problem(415, "unsupported_encoding", detail, headers={"Accept-Encoding": "gzip, identity"})
    zipped = encoding in ("gzip", "x-gzip")
    # What gzip cannot make smaller grows by less than the slack; a stream of empty blocks ends there too.
    arriving = most + _SLACK if zipped else most
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdigit() and (len(told) > 18 or int(told) > arriving):
        raise _too_large(most)
    parts = _arriving(request, limits, arriving, most)
    async with aclosing(parts), aclosing(_unzipped(parts, most) if zipped else parts) as body:
        async for part in body:
            yield part


async def _arriving(request: Request, limits: Limits, arriving: int, most: int) -> AsyncGenerator[bytes]:
    waited, came = 0.0, 0
    async with aclosing(request.stream()) as stream:
        while True:
            left = limits.patience + came / PACE - waited
            part = None
            began = time.monotonic()
            with anyio.move_on_after(max(left, 0.0)):
                part = await anext(stream, b"")
            if part is None:
                detail = f"the body comes too slowly: {came} bytes within {waited + left:.0f} s"
                raise Problem(408, "slow_body", detail, headers={"Connection": "close"})
            if not part:
                return
            waited += time.monotonic() - began
            came += len(part)
            if came > arriving:
                raise _too_large(most)
            yield part


async def _unzipped(parts: AsyncIterator[bytes], most: int) -> AsyncGenerator[bytes]:
    inflater, size, began = zlib.decompressobj(_GZIP), 0, False
    async for compressed in parts:
        began, rest = True, compressed
        while rest:
            if inflater.eof:
                raise Problem(400, "malformed_body", "something follows the end of the gzip stream")
            try:
                part = inflater.decompress(rest, min(_PART, most - size + 1))
            except zlib.error as error:
                raise Problem(400, "malformed_body", "the body is not gzip, and says that it is") from error
            size += len(part)
            if size > most:
                raise _too_large(most)
            rest = inflater.unused_data or inflater.unconsumed_tail
            if part:
                yield part
            if rest:
                await anyio.lowlevel.checkpoint()
    if began and not inflater.eof:
        raise Problem(400, "malformed_body", "the gzip stream is cut before its end")


def _too_large(most: int) -> Problem:
    return Problem(413, "too_large", f"the body has more than {most} bytes, decompressed")


# ---- JSON


class _Refused(Exception):
    """What Python's parser takes and nobody should send; `text` is how a number stands there."""

    def __init__(self, detail: str, text: str | None = None) -> None:
        self.text = text
        super().__init__(detail)


NESTED: Final = RECORD_DEPTH + 2
"""How deep JSON may nest: a record may be in an operation of a JSON Patch, which is in a list."""


def read_json(raw: bytes, nested: int = NESTED) -> Json:
    """The JSON value that is all of `raw`, and means the same to everyone who reads it.

    That is stricter than Python: UTF-8 alone, no NaN or infinities (also none that a number rounds to), no key
    twice in one object, no lone surrogates, no integer of more than 310 digits, and no more than
    `nested` levels of lists and objects. Raises `Problem` 400, with the position where there is one.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        position = len(raw[: error.start].decode())
        raise Problem(400, "malformed_json", "the body is not UTF-8", position=position) from error
    if raw.count(b"[") + raw.count(b"{") > nested:
        _check_depth(text, nested)
    if b"\\u" in raw:
        _check_surrogates(text)
    try:
        found: Json = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        _refuse(f"the body is not JSON: {error.msg}", error.pos)
    except _Refused as error:
        _refuse(str(error), _position(text, error.text))
    return found


def _refuse(detail: str, position: int | None) -> NoReturn:
    raise Problem(400, "malformed_json", detail, position=position)


_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_SCALAR: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|-?[0-9][0-9.eE+-]*|NaN|-?Infinity', re.DOTALL)


def _check_depth(text: str, most: int) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        match text[token.start()]:
            case "[" | "{":
                depth += 1
                if depth > most:
                    _refuse(f"lists and objects nest deeper than {most} levels", token.start())
            case "]" | "}":
                depth -= 1
            case _:
                pass


def _check_surrogates(text: str) -> None:
    for escape in _ESCAPE.finditer(text):
        if escape[1] is not None:
            _refuse("half a surrogate pair is no character", escape.start())


def _position(text: str, number: str | None) -> int | None:
    """Where the number stands that was refused; None for a key, which the message names."""
    return next((token.start() for token in _SCALAR.finditer(text) if token[0] == number), None)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Refused(f"the key {key!r:.80} is twice in one object")
            seen.add(key)
    return found


def _integer(text: str) -> int:
    if len(text) > _INTEGER_LIMIT:
        raise _Refused(f"an integer has more than {_INTEGER_LIMIT} digits", text)
    return int(text)


def _float(text: str) -> float:
    if len(text) > _FLOAT_LIMIT:
        raise _Refused(f"a number has more than {_FLOAT_LIMIT} characters", text)
    found = float(text)
    if math.isinf(found):
        raise _Refused("a number is too large for 64 bits", text)
    return found


def _constant(text: str) -> Any:
    raise _Refused(f"{text} is not JSON", text)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
