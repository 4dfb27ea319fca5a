"""Requests that nobody should send: the service refuses them, tells nothing of its inside, and goes on."""

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.attacks.service import words
from tests.attacks.service.fuzz import CONFINED, SECRET, Fuzz, fuzzed, hide
from tests.attacks.service.grammar import Request

SEED = 20261120


@pytest.fixture
def fuzz(tmp_path: Path) -> Iterator[Fuzz]:
    """A service with some films, its log silent."""
    logging.disable(logging.CRITICAL)
    try:
        with fuzzed(tmp_path, SEED) as found:
            yield found
            found.end()
    finally:
        logging.disable(logging.NOTSET)


def post(path: bytes, body: bytes, **headers: str) -> Request:
    """A request with a body of JSON."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Request("POST", path, [("Content-Type", "application/json"), *named], body)


def test_junk_never_fails(fuzz: Fuzz) -> None:
    """Requests from grammars, and such as our client sends with something changed, in every protocol: none is 500."""
    for _ in range(1500):
        fuzz.step()


def test_junk_tells_nothing_of_hidden_records(tmp_path: Path) -> None:
    """From somebody who sees a part only: what is hidden is in no reply, and stays as it is."""
    with fuzzed(tmp_path, SEED, CONFINED) as fuzz:
        hide(fuzz)
        hidden = [row for name in ("films", "notes") for row in fuzz.rows(name) if row["title"] == SECRET]
        for _ in range(1000):
            fuzz.step()
        fuzz.end()

        left = [row for name in ("films", "notes") for row in fuzz.rows(name) if row.get("title") == SECRET]
        assert hidden == left


FILM = b'{"id":"cut","title":"x"}'
CHANGE = b'{"id":"op","table":"films","record_id":"cut","kind":"insert","record":{"id":"cut","title":"x"}}\n'


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("path", "body"), [(b"/tables/films", FILM), (b"/tidesync/v1/push", CHANGE * 2)])
def test_a_request_cut_at_any_byte_writes_nothing(
    fuzz: Fuzz, path: bytes, body: bytes, chunked: bool
) -> None:
    """In its line, its headers or its body; whole, it is written."""
    head = (
        b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
    )
    if chunked:
        parts = (b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:], b""))
        whole = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(parts)
    else:
        whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    before = fuzz.effects()
    for cut in range(len(whole)):
        with socket.create_connection(("127.0.0.1", fuzz.serving.port)) as line:
            line.sendall(whole[:cut])
            line.shutdown(socket.SHUT_WR)
            _ = line.recv(1 << 16)  # until the service has closed it too

    reply = fuzz.line.send(Request(raw=whole))
    assert reply.status in (200, 201)
    assert before + 1 == fuzz.effects()


def test_text_of_sql_is_text(fuzz: Fuzz) -> None:
    """As a value it comes back as it was; as a filter, name, token or cursor it is refused, or matches nothing."""
    for text in words.SQL:
        before = fuzz.effects()
        check_readers(fuzz.serving.http, text)
        assert (text, before) == (text, fuzz.effects())
        made = fuzz.serving.http.post("/tables/notes", json={"id": text, text: text})
        assert (text, 201) == (text, made.status_code)
        assert text == fuzz.serving.http.get(made.headers["Location"]).json()[text]


def check_readers(http: httpx.Client, text: str) -> None:
    for name in ("$filter", "$orderby", "$select", "$top", "$skip", "$skiptoken", "__includedeleted"):
        assert (text, name, 400) == (text, name, http.get("/tables/films", params={name: text}).status_code)
    quoted = "'" + text.replace("'", "''") + "'"
    for where in (
        "title eq {}",
        "id eq {}",
        "contains(title,{})",
        "concat({},title) eq 'x'",
        "title in ({})",
    ):
        found = http.get("/tables/films", params={"$filter": where.replace("{}", quoted)})
        assert (text, 200, []) == (text, found.status_code, found.json()["items"])
    name = quote(text, safe="")
    assert [404, 404] == [http.get(path).status_code for path in (f"/tables/{name}", f"/tables/films/{name}")]
    assert 412 == http.delete("/tables/films/f1", headers={"If-Match": json.dumps(text)}).status_code
    field: Any = ["field", text, "string"]
    for node in (["compare", "eq", field, ["value", 1, "integer"]], ["in", field, ["x"]]):
        asked = {"query": {"table": "notes", "where": node}}
        assert 200 == http.post("/tidesync/v1/pull", json=asked).status_code
        assert 410 == http.post("/tidesync/v1/pull", json={**asked, "cursor": text}).status_code


def test_no_id_gets_into_a_header(fuzz: Fuzz) -> None:
    """Location names the record that was inserted: an id with a line break is none, others are percent-encoded."""
    refused = fuzz.serving.http.post("/tables/notes", json={"id": "a\r\nX-Injected: yes"})
    assert 400 == refused.status_code
    made = fuzz.serving.http.post("/tables/notes", json={"id": "a b/é?#%0d%0a"})
    assert 201 == made.status_code
    assert made.headers["Location"].endswith("/tables/notes/a%20b%2F%C3%A9%3F%23%250d%250a")
    assert "a b/é?#%0d%0a" == fuzz.serving.http.get(made.headers["Location"]).json()["id"]


def test_a_host_that_is_none_is_answered(fuzz: Fuzz) -> None:
    """Location and nextLink are made of it: whatever it says, that is no failure."""
    hosts = (
        "",
        "a:b",
        "[",
        "[::1",
        "::::",
        "a b",
        "a/b",
        "a?b",
        "a@b",
        "é",
        "\x01",
        "%00",
        "a:99999999",
        "x" * 5000,
    )
    for host in hosts:
        for line, body in ((b"POST /tables/films", b"{}"), (b"GET /tables/films?$top=1", b"")):
            head = (
                b" HTTP/1.1\r\nHost: "
                + host.encode()
                + b"\r\nContent-Type: application/json\r\nConnection: close\r\n"
            )
            raw = line + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
            assert (host, True) == (host, 200 <= fuzz.line.send(Request(raw=raw)).status < 500)


# ---- what was found


@pytest.mark.parametrize("version", ["2.0.0", "3.0.0"])
def test_an_integer_that_no_float_holds_is_400(fuzz: Fuzz, version: str) -> None:
    """In a column of floats; it has fewer digits than JSON may bring."""
    body = b'{"rating":1' + b"0" * 309 + b"}"
    reply = fuzz.line.send(post(b"/tables/films", body, ZUMO_API_VERSION=version))

    assert 400 == reply.status


@pytest.mark.parametrize("path", [b"/tidesync/v1/push", b"/tidesync/v1/pull"])
def test_a_number_without_end_is_refused_in_our_own_words(fuzz: Fuzz, path: bytes) -> None:
    """Python's name the function that would raise its limit."""
    reply = fuzz.line.send(post(path, b"9" * 100_000))

    assert b"an integer has too many digits" in reply.body
    assert b"set_int_max" not in reply.body
