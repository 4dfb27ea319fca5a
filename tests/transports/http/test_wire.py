"""What the two protocols share: bodies, messages, headers, addresses."""

import json

import httpx
import pytest

from tidesync.errors import ConfigurationError, InvalidQuery, ProtocolError
from tidesync.transports.http.values import Twice
from tidesync.transports.http.wire import (
    Reply,
    base_url,
    clock_of,
    extra_parameters,
    from_json,
    identity_of,
    if_match,
    message_of,
    query_text,
    retry_after,
    rows_of,
    shown,
    table_path,
)


def test_versions_are_quoted_and_quotes_inside_escaped() -> None:
    """An entity tag is the version in double quotes. [E28] [O08]"""
    assert '"AAA="' == if_match("AAA=")
    assert '"a\\"b"' == if_match('a"b')


def test_paths_and_queries_are_percent_encoded() -> None:
    """Ids and filters keep every character; a plus is not a space. [N13]"""
    assert "todoitem/a%2Fb%3Fc%20%F0%9F%99%82" == table_path("todoitem", "a/b?c 🙂")
    assert "$filter=x%20eq%20%27a%2Bb%26%27" == query_text([("$filter", "x eq 'a+b&'")])


@pytest.mark.parametrize("name", ["$filter", "$top", "__includeDeleted", "__INCLUDEDELETED", ""])
def test_parameters_of_the_protocol_belong_to_it(name: str) -> None:
    """A caller's parameter may not replace the protocol's own, in any case of letters. [H06]"""
    with pytest.raises(InvalidQuery):
        _ = extra_parameters({name: "true"})


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{", b"[1,]", b"\xff\xfe{", b"[" * 100_000, b'{"a":' * 50_000, b"nul", b"'a'", b"{}{}"],
)
def test_what_is_not_json_is_a_typed_error(body: bytes) -> None:
    """Broken, empty, foreign and endlessly nested bodies are `ProtocolError`, not a crash. [I30]"""
    with pytest.raises(ProtocolError, match="not JSON"):
        _ = from_json(body)


def test_strange_but_readable_json_spoils_only_itself() -> None:
    """Repeated keys, NaN and numbers without end are marked in their record, and read past."""
    value = from_json(
        b'[{"id":"a","id":"b"},{"id":"c","x":NaN},{"id":"d","x":' + b"9" * 5000 + b'},{"id":"e"}]'
    )
    assert isinstance(value, list)
    assert [Twice, dict, dict, dict] == [type(row) for row in value]
    assert {"id": "e"} == value[3]


def test_both_shapes_of_a_list_are_read() -> None:
    """2.0 answers a bare list, or results with a count; 3.0 answers items. [I30]"""
    assert ([1], None) == rows_of([1])
    assert ([1], 7) == rows_of({"results": [1], "count": 7})
    assert ([1], None) == rows_of({"items": [1], "count": "many"})
    for wrong in (None, "x", {}, {"items": {}}, 5):
        with pytest.raises(ProtocolError):
            _ = rows_of(wrong)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"The item does not exist"}', "The item does not exist"),
        (b'{"description":"no"}', "no"),
        (b'{"title":"Bad","detail":"because"}', "because"),
        (b'{"error":{"message":"inner"}}', "inner"),
        (b'"just text"', "just text"),
        (b"plain", "plain"),
        (b"<html><head><style>p{}</style></head><body><h1>Not\nFound</h1></body></html>", "Not Found"),
        (b"", "HTTP 400"),
        (b'{"error":"a\\u0000\\nb"}', "a b"),
    ],
)
def test_the_servers_words_are_found_in_any_body(body: bytes, message: str) -> None:
    """Error bodies are objects, text or pages of HTML: one line of it is the message."""
    assert message == message_of(Reply(400, httpx.Headers(), body))


def test_long_error_pages_are_cut() -> None:
    """A message is a line, not a page."""
    assert 500 >= len(message_of(Reply(500, httpx.Headers(), b"<p>" + b"x" * 10_000_000)))
    assert 80 >= len(shown(json.dumps({"a": "b" * 5000}).encode()))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("Fri, 20 Nov 2026 03:45:15 GMT", 10.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_of_the_remotes_clock(value: str, seconds: float | None) -> None:
    """Both forms of RFC 9110; nonsense is nothing."""
    headers = httpx.Headers({"retry-after": value, "date": "Fri, 20 Nov 2026 03:45:05 GMT"})
    assert seconds == retry_after(headers)


def test_the_clock_is_the_date_header_less_its_second() -> None:
    """The Date header tells whole seconds: the second before is safe."""
    assert "2026-11-20T03:45:04.000000Z" == clock_of(httpx.Headers({"date": "Fri, 20 Nov 2026 03:45:05 GMT"}))
    assert [None] * 3 == [clock_of(httpx.Headers({"date": text})) for text in ("yesterday", "", "Fri, 99")]
    assert clock_of(httpx.Headers()) is None


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("https://Example.COM:443/App/", "https://example.com/App"),
        ("https://example.com", "https://example.com"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:5000/x/", "http://[::1]:5000/x"),
    ],
)
def test_an_address_has_one_form(url: str, identity: str) -> None:
    """The identity of a remote is its address without case, default port and trailing slash."""
    assert identity == identity_of(base_url(url))


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "ftp://example.com", "/tables", "https://", "https://u:p@example.com",
     "ftp://u:p@example.com", "https://example.com/?a=1", "https://example.com/#x", "http://example.com",
     "http://127.0.0.1.example.com", "http://10.0.0.1", "https://exa mple.com"],
)  # fmt: skip
def test_addresses_that_cannot_be_used_are_refused_at_once(url: str) -> None:
    """Plain http only to this machine; no credentials in addresses; absolute http addresses only. [A16]"""
    with pytest.raises(ConfigurationError) as caught:
        _ = base_url(url)
    assert "u:p" not in str(caught.value)


def test_plain_http_to_a_host_that_is_allowed_by_name() -> None:
    """A test network may be allowed, host by host."""
    assert "http://box.lan:81" == identity_of(base_url("http://BOX.lan:81/", ["box.lan"]))
    with pytest.raises(ConfigurationError, match="allow_plain_http_to"):
        _ = base_url("http://other.lan", ["box.lan"])
