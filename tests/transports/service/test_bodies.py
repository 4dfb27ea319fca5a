"""Bodies: bounds, compression, slowness, and JSON that means the same to everyone."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from tidesync.records import Json, same
from tidesync.transports.service.bodies import NESTED, read_body, read_json, stream_body
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.problems import Problem

LIMITS = Limits()
MIB = 1 << 20


def request(*parts: bytes, delay: float = 0.0, ends: bool = True, **headers: str) -> Request:
    """A request whose body comes in these parts, `delay` seconds before each; it may never end."""
    coming = list(parts)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(delay)
        if not coming:
            if not ends:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": coming.pop(0), "more_body": True}

    named = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": named}, receive)


def read(asked: Request, limits: Limits = LIMITS, most: int = MIB) -> bytes:
    return asyncio.run(read_body(asked, limits, most))


def refused(run: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        run()
    return caught.value.status, caught.value.code


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


# ---- bounds


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_a_body_up_to_the_limit_is_read(size: int) -> None:
    """The limit itself is allowed."""
    assert b"x" * size == read(request(b"x" * size), most=1000)


def test_a_body_beyond_the_limit_is_413_also_in_parts() -> None:
    """What was told by Content-Length does not matter: the bytes are counted."""
    assert (413, "too_large") == refused(lambda: read(request(b"x" * 600, b"x" * 401), most=1000))


def test_a_length_beyond_the_limit_is_413_before_anything_is_read() -> None:
    """A client that waits for 100 Continue need not send it at all."""
    asked = request(ends=False, content_length="1001")

    assert (413, "too_large") == refused(lambda: read(asked, most=1000))


@pytest.mark.parametrize("told", ["-5", "\u0663", "five", "0x10"])
def test_a_length_that_is_no_number_is_not_believed(told: str) -> None:
    """The bytes are counted in any case."""
    headers = [(b"content-length", told.encode())]
    asked = request(b"abc")
    asked.scope["headers"] = headers

    assert b"abc" == read(asked)


def test_a_length_of_many_digits_is_too_large() -> None:
    """And never turned into a number."""
    assert (413, "too_large") == refused(lambda: read(request(ends=False, content_length="9" * 5000)))


# ---- compression


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_gzip_is_decompressed(encoding: str) -> None:
    """In parts of any size."""
    packed = zipped(b"hello" * 1000)
    parts = [packed[at : at + 7] for at in range(0, len(packed), 7)]

    assert b"hello" * 1000 == read(request(*parts, content_encoding=encoding))


def test_identity_is_no_encoding() -> None:
    """Some clients say it."""
    assert b"plain" == read(request(b"plain", content_encoding="identity"))


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "identity, gzip", "zstd", "?"])
def test_any_other_encoding_is_415_and_told_what_is_taken(encoding: str) -> None:
    """RFC 9110, 15.5.16."""
    with pytest.raises(Problem) as caught:
        read(request(b"x", content_encoding=encoding))

    assert (415, "gzip, identity") == (caught.value.status, caught.value.headers["Accept-Encoding"])


def test_a_bomb_is_413_and_never_held() -> None:
    """The limit counts what comes out: 64 MiB of nothing are 64 KiB of gzip."""
    bomb = zipped(bytes(64 * MIB))
    parts = list[int]()

    async def stream() -> None:
        async for part in stream_body(request(bomb, content_encoding="gzip"), LIMITS, 2 * MIB):
            parts.append(len(part))

    assert len(bomb) < MIB // 8
    assert (413, "too_large") == refused(lambda: asyncio.run(stream()))
    assert (2 * MIB, True) == (sum(parts), max(parts) <= MIB // 4)


def test_a_stream_of_empty_blocks_ends_too() -> None:
    """Compressed bytes that yield nothing are counted as well."""
    packer = zlib.compressobj(wbits=31)
    header = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    nothing = b"\x00\x00\x00\xff\xff" * 2000

    assert (413, "too_large") == refused(
        lambda: read(request(header, *[nothing] * 20, content_encoding="gzip"), most=1000)
    )


@pytest.mark.parametrize("cut", [1, 5, 12, -1, -8])
def test_cut_gzip_is_400(cut: int) -> None:
    """Also when only its checksum is missing."""
    assert (400, "malformed_body") == refused(
        lambda: read(request(zipped(b"hello")[:cut], content_encoding="gzip"))
    )


@pytest.mark.parametrize("behind", [b"garbage", b"\x00", zipped(b"second")])
@pytest.mark.parametrize("apart", [True, False])
def test_whatever_follows_the_gzip_stream_is_400(behind: bytes, *, apart: bool) -> None:
    """A second member too: no client sends one, and thousands of empty ones cost time."""
    first = zipped(b"first")
    parts = [first, behind] if apart else [first + behind]

    assert (400, "malformed_body") == refused(lambda: read(request(*parts, content_encoding="gzip")))


@pytest.mark.parametrize("raw", [b"plain text", zlib.compress(b"zlib"), zipped(b"hello")[:-8] + bytes(8)])
def test_what_is_not_gzip_is_400(raw: bytes) -> None:
    """Nor is a wrong checksum."""
    assert (400, "malformed_body") == refused(lambda: read(request(raw, content_encoding="gzip")))


def test_an_empty_body_is_empty_whatever_it_says() -> None:
    """A client that compresses by default says so on a DELETE too."""
    assert b"" == read(request(content_encoding="gzip"))


# ---- slowness


def test_a_body_that_drips_is_408() -> None:
    """Each part is in time, and all of them are not: a byte now and then holds no slot."""
    asked = request(*[b"x"] * 100, delay=0.02)

    assert (408, "slow_body") == refused(lambda: read(asked, Limits(patience=0.1)))


def test_a_body_that_stops_is_408_and_the_connection_ends() -> None:
    """What comes later cannot be told from the next request."""
    with pytest.raises(Problem) as caught:
        read(request(b"x", delay=5), Limits(patience=0.05))

    assert (408, "close") == (caught.value.status, caught.value.headers["Connection"])


def test_a_body_that_flows_may_take_longer_than_patience() -> None:
    """Patience is for nothing coming; a large body over a slow line has a second for every 4096 bytes."""
    asked = request(*[b"x" * 4096] * 10, delay=0.02)

    assert 40960 == len(read(asked, Limits(patience=0.1)))


def test_the_time_that_the_service_takes_does_not_count() -> None:
    """A batch is committed while it comes; that is not the client's slowness."""

    async def slowly() -> int:
        size = 0
        async for part in stream_body(request(*[b"x"] * 5), Limits(patience=0.1), MIB):
            await asyncio.sleep(0.05)
            size += len(part)
        return size

    assert 5 == asyncio.run(slowly())


def test_a_client_that_leaves_is_told_apart() -> None:
    """Nobody is there to take a reply."""
    with pytest.raises(ClientDisconnect):
        read(request(b"half", ends=False))


# ---- JSON


def parsed(text: str | bytes, nested: int = NESTED) -> Json:
    return read_json(text.encode() if isinstance(text, str) else text, nested)


def wrong(text: str | bytes, nested: int = NESTED) -> tuple[int | None, str]:
    with pytest.raises(Problem) as caught:
        parsed(text, nested)
    assert (400, "malformed_json") == (caught.value.status, caught.value.code)
    return caught.value.position, caught.value.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_what_was_written_is_read(value: Json, escaped: bool) -> None:
    """Every value that JSON has, with and without escapes."""
    assert same(value, parsed(json.dumps(value, ensure_ascii=escaped)))


@given(
    st.binary(max_size=40)
    | st.text(alphabet='{}[]",:\\u0d8e1.-NaInfity \ud800', max_size=20).map(
        lambda text: text.encode("utf-8", "replace")
    )
)
def test_anything_else_is_a_problem(raw: bytes) -> None:
    """Whatever comes, it is JSON that a strict reader takes, or 400."""
    with suppress(Problem):
        assert same(parsed(raw), json.loads(raw))


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("{", 1),
        ('{"a" 1}', 5),
        ('["\u00e9", nope]', 6),
        ('{"a": 1} x', 9),
        ("[NaN]", 1),
        ('{"NaN": "NaN", "b": NaN}', 20),
        ("[-Infinity]", 1),
        ("[1, 1e999]", 4),
        ("[1, -" + "9" * 400 + "]", 4),
        ("[" + "9" * 5000 + "]", 1),
        ("[0." + "1" * 2000 + "]", 1),
        (r'["\\ud800", "\ud800"]', 13),
        (r'["\ud800A"]', 2),
        (r'["\ud83d\ude00\udc00"]', 14),
        ('["\x00"]', 2),
        ("\ufeff{}", 0),
    ],
)
def test_what_is_wrong_is_told_with_its_position(text: str, position: int) -> None:
    """In characters, from 0."""
    assert position == wrong(text)[0]


def test_a_key_that_is_twice_is_named() -> None:
    """Nobody can say which of the two was meant."""
    assert "'a' is twice" in wrong('[{"b": {"a": 1, "c": 2, "a": 3}}]')[1]


@pytest.mark.parametrize("raw", [b'["\xff"]', '["é"]'.encode("latin-1"), '{"a": 1}'.encode("utf-16")])
def test_other_encodings_are_refused(raw: bytes) -> None:
    """JSON between programs is UTF-8 (RFC 8259, 8.1)."""
    assert wrong(raw)[0] is not None


def test_nesting_is_limited_and_brackets_in_text_are_text() -> None:
    """However wide a value is, its depth counts."""
    assert [[["[[[[[[[["]], [], [], []] == parsed('[[["[[[[[[[["]], [], [], []]', 3)
    assert 3 == wrong("[[[[]]]]", 3)[0]
    assert 1 << 16 > (wrong("[" * 1_000_000)[0] or 0)


def test_whole_numbers_as_javascript_writes_them_are_read() -> None:
    """It uses an exponent from 1e21 on only."""
    assert 10**20 == parsed("1" + "0" * 20)
