"""Replies of tidesync's own protocol that are cut, mixed up or made up: no change is told another's outcome."""

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.http.native_server import SPOKEN, NativeServer, reply
from tests.transports.http.support import READ, Pieces, Way, insert, transport
from tidesync.conformance.strategies import json_values
from tidesync.contracts.transport import Applied, Change, Outcome, Rejected, Unknown, Untried
from tidesync.errors import ProtocolError, RemoteUnavailable, TransportError

pytestmark = pytest.mark.usefixtures("driver")

CHANGES = [insert(id, text=id * 3) for id in "abc"]
Lines = list[bytes]


def native(server: Any, **options: Any) -> Way:
    return transport(server, protocol="tidesync", retries=0, **options)


def pushed(
    edit: Callable[[bytes], bytes] = bytes, cut: int | None = None
) -> tuple[list[Outcome], list[Outcome]]:
    """What the transport says of three changes, and what the remote did with them."""
    server = NativeServer(edit=edit)
    way = native(server)
    server.cut = cut
    return list(way.push(CHANGES)), server.outcomes


def whole() -> bytes:
    """The reply to the three changes."""
    seen: Lines = []
    _ = pushed(lambda body: seen.append(body) or body)  # type: ignore[func-returns-value]
    return seen[0]


SIZE = len(whole())


def edited(change: Callable[[Lines], Lines]) -> Callable[[bytes], bytes]:
    """The reply with its lines changed."""
    return lambda body: b"".join(line + b"\n" for line in change(body.split(b"\n")[:-1]))


def told(outcomes: list[Outcome]) -> str:
    """Outcomes by their first letters."""
    return "".join(type(outcome).__name__[:2] for outcome in outcomes)


@pytest.mark.parametrize("breaks", [True, False])
def test_a_push_reply_that_is_cut_at_any_byte_is_believed_as_far_as_it_came(breaks: bool) -> None:
    """Outcomes that came whole are known, the rest is in doubt; whether or not the network tells of the cut."""
    known: list[int] = []
    for at in range(SIZE + 1):
        found, true = pushed(cut=at) if breaks else pushed(lambda body, at=at: body[:at])  # type: ignore[misc]
        count = next((place for place, each in enumerate(found) if isinstance(each, Unknown)), 3)
        assert true[:count] == found[:count]
        assert ["Unknown"] * (3 - count) == [type(each).__name__ for each in found[count:]]
        known.append(count)
    assert (sorted(known), {0, 1, 2, 3}) == (known, set(known))


def test_a_compressed_push_reply_that_is_cut_is_believed_as_far_as_it_came() -> None:
    """At any byte of it: an outcome counts once its line is whole."""
    size, most = len(gzip.compress(whole())), 0
    for at in range(0, size + 1, 3):
        server = NativeServer()

        def zipped(request: httpx.Request, server: NativeServer = server, at: int = at) -> httpx.Response:
            answer = server(request)
            if not request.url.path.endswith("/push"):
                return answer
            body = gzip.compress(answer.content)
            return httpx.Response(
                200,
                headers={**SPOKEN, "Content-Encoding": "gzip"},
                stream=Pieces([body[:at], httpx.ReadError("cut")]),
            )

        way = native(zipped)
        found, true = list(way.push(CHANGES)), server.outcomes
        assert all(isinstance(each, Unknown) or each == true[place] for place, each in enumerate(found))
        most = max(most, told(found).count("Ap"))
    assert most > 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: [lines[1], lines[0], *lines[2:]], "UnUnUn"),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], "ApUnUn"),
        (lambda lines: [lines[0], lines[0], *lines[1:]], "ApUnUn"),
        (lambda lines: lines[1:], "UnUnUn"),
        (lambda lines: [lines[0], *lines[2:]], "ApUnUn"),
        (lambda lines: lines[:2] + lines[3:], "ApApUn"),
        (lambda lines: lines[:3], "ApApAp"),
        (lambda lines: [*lines[:3], lines[2], lines[3]], "ApApAp"),
        (lambda lines: [lines[3], *lines[:3]], "UnUnUn"),
        (lambda lines: [lines[0], b"", *lines[1:]], "ApUnUn"),
        (lambda lines: [lines[0], b"{", *lines[1:]], "ApUnUn"),
        (lambda lines: [lines[0], lines[1][:-1], *lines[2:]], "ApUnUn"),
        (lambda lines: [lines[0], b"null", *lines[1:]], "ApUnUn"),
        (lambda lines: [lines[0], b'{"id":"op-b"}', *lines[2:]], "ApUnAp"),
        (lambda lines: [lines[0], b'{"id":"op-b","outcome":"denied"}', *lines[2:]], "ApUnAp"),
        (
            lambda lines: [lines[0], b'{"id":"op-b","outcome":"applied","record":{"id":"a"}}', *lines[2:]],
            "ApUnAp",
        ),
        (lambda lines: [lines[0].replace(b"op-a", b"op-x"), *lines[1:]], "UnUnUn"),
        (lambda lines: [b"\xff" + lines[0], *lines[1:]], "UnUnUn"),
    ],
)
def test_an_outcome_counts_only_in_its_place(change: Callable[[Lines], Lines], expected: str) -> None:
    """Swapped, doubled, missing, of another id: from there on all are in doubt; one unreadable is so alone."""
    found, true = pushed(edited(change))
    assert expected == told(found)
    assert all(each == true[place] for place, each in enumerate(found) if isinstance(each, Applied))


def error(rest: str) -> bytes:
    return json.dumps({"error": {"code": "odd", "detail": "it is odd", "rest": rest}}).encode()


@pytest.mark.parametrize(
    ("known", "rest", "expected"),
    [
        (1, "untried", [Untried(), Untried()]),
        (1, "unknown", [Unknown("odd: it is odd")] * 2),
        (1, "refused", [Rejected("odd", "it is odd"), Untried()]),
        (1, "whatever", [Unknown("odd: it is odd")] * 2),
        (3, "refused", []),
        (0, "refused", [Rejected("odd", "it is odd"), Untried(), Untried()]),
    ],
)
def test_the_last_line_says_what_becomes_of_the_rest(known: int, rest: str, expected: list[Outcome]) -> None:
    """Refused is the first one without an outcome, and that one alone."""
    found, true = pushed(edited(lambda lines: [*lines[:known], error(rest)]))
    assert [*true[:known], *expected] == found


def test_a_reply_that_ends_too_early_leaves_doubts() -> None:
    """The remote says that it was all, and has said nothing of some."""
    found, true = pushed(edited(lambda lines: [lines[0], lines[3]]))
    assert (true[0], [Unknown, Unknown]) == (found[0], [type(each) for each in found[1:]])


@given(
    st.lists(st.binary(max_size=20) | json_values().map(lambda value: json.dumps(value).encode()), max_size=5)
)
def test_junk_is_no_outcome(junk: Lines) -> None:
    """Whatever the reply holds, every change is in doubt, and nothing is raised."""
    found, _ = pushed(lambda body: b"\n".join(junk))
    assert "UnUnUn" == told(found)


# ---- pulls


def filled(**options: Any) -> tuple[NativeServer, Way]:
    server = NativeServer(**options)
    way = native(server)
    gone = Change(id="d", table="todoitem", record_id="b", kind="delete", record=None)
    assert "ApApApAp" == told(list(way.push([*CHANGES, gone])))
    return server, way


def test_a_page_that_is_cut_at_any_byte_is_no_page() -> None:
    """Whether or not the network tells of the cut: nothing of it is kept, and the cursor stays."""
    server, way = filled()
    bodies: Lines = []
    server.edit = lambda body: bodies.append(body) or body  # type: ignore[func-returns-value]
    page = way.pull(READ)
    assert ({"a", "c"}, ["b"]) == ({record["id"] for record in page.records}, list(page.tombstones))
    for at in range(len(bodies[0])):
        server.edit, server.cut = (lambda body, at=at: body[:at]), None  # type: ignore[misc]
        with pytest.raises(RemoteUnavailable):
            _ = way.pull(READ)
        server.edit, server.cut = None, at
        with pytest.raises(RemoteUnavailable, match="broke off"):
            _ = way.pull(READ)


@pytest.mark.parametrize(
    "body",
    [
        b"[]\n",
        b'{"end":{}}\n{"end":{"cursor":1,"more":false}}\n',
        b'{"end":{"cursor":1}}\n{"record":{"id":"a"}}\n{"end":5}\n',
        b'{"end":{"cursor":1,"more":"yes"}}\n',
        b'{"end":{"cursor":1e999,"more":false}}\n',
        b'{"end":{"cursor":1,"more":false,"total":-1}}\n',
        b'{"end":{"cursor":1,"more":false,"clock":5}}\n',
        b'{"record":{"id":"a"}\n{"end":{"cursor":1,"more":false}}\n',
        b'{"record":{"id":"\xff"}}\n{"end":{"cursor":1,"more":false}}\n',
        b"[" * 100_000 + b"\n",
        b"<html></html>\n",
    ],
)
def test_a_page_that_cannot_be_read_is_a_protocol_error(body: bytes) -> None:
    """Nothing of it is kept."""
    server, way = filled()
    server.answers = [reply(200, body)]
    with pytest.raises(TransportError) as raised:
        _ = way.pull(READ)
    assert type(raised.value) in (ProtocolError, RemoteUnavailable)


@given(st.binary(max_size=60) | json_values().map(lambda value: json.dumps({"end": value}).encode() + b"\n"))
def test_junk_is_no_page_and_no_record(junk: bytes) -> None:
    """Whatever the reply holds: a typed error."""
    server = NativeServer()
    way = native(server)
    for read in (lambda: way.pull(READ), lambda: way.get("todoitem", "a")):
        server.answers = [reply(200, junk)]
        with suppress(ProtocolError, RemoteUnavailable):
            _ = read()


def test_a_record_of_another_id_is_not_taken() -> None:
    """Nor an answer that says nothing."""
    server = NativeServer()
    way = native(server)
    for body in (b'{"record":{"id":"b"}}', b"{}", b'{"record":5}', b'{"tombstone":5}', b"[]"):
        server.answers = [reply(200, body)]
        with pytest.raises(ProtocolError):
            _ = way.get("todoitem", "a")


def test_replies_are_bounded() -> None:
    """A page that is too large is none; of a push reply, what came before the bound counts."""
    server = NativeServer()

    def slowly(request: httpx.Request) -> httpx.Response:
        body = server(request).content
        pieces = Pieces(body[start : start + 100] for start in range(0, len(body), 100))
        return httpx.Response(200, headers=SPOKEN, stream=pieces)

    way = native(slowly, max_reply_bytes=2000)
    outcomes = list(way.push([insert(f"r{n}", text="x") for n in range(60)]))
    known = told(outcomes).count("Ap")
    assert 5 < known < 60
    assert "Ap" * known + "Un" * (60 - known) == told(outcomes)
    with pytest.raises(ProtocolError, match="larger than 2000"):
        _ = way.pull(READ)
