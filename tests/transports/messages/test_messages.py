"""The messages of tidesync's own protocol: what is sent arrives bit for bit, what is wrong is said by its field."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.messages.strategies import answered, changes, pages, requests, welcomes
from tidesync.conformance.strategies import json_values
from tidesync.contracts.transport import Applied, Change, Outcome, Page, PullRequest
from tidesync.query import And, Expr, Field, In, Not, Query
from tidesync.records import Json
from tidesync.transports.messages import (
    change_json,
    outcome_json,
    page_json,
    read_change,
    read_outcome,
    read_page,
    read_request,
    request_json,
    speaks,
)
from tidesync.transports.strict import Malformed, parse, parse_lines, to_line
from tidesync.transports.welcome import Welcome, read_welcome, welcome_json

CHANGE = Change(
    id="o", table="t", record_id="r", kind="insert", record={"id": "r", "text": "x"}, fields=("text",)
)
MESSAGE = change_json(CHANGE)
REQUEST = request_json(PullRequest(query=Query("t")))


def travelled(message: Json) -> Json:
    """The message after it was a line, in which no line feed stands."""
    line = to_line(message)
    assert b"\n" not in line
    return parse(line)


@given(changes)
def test_a_change_arrives_as_it_was(change: Change) -> None:
    """Every float, 64-bit integer and text is the same, also in its type and order of fields."""
    assert repr(change) == repr(read_change(travelled(change_json(change))))


@given(answered)
def test_an_outcome_arrives_as_it_was(pair: tuple[Change, Outcome]) -> None:
    """Also where the record is left out, because it is what was sent."""
    change, outcome = pair
    found = read_outcome(travelled(outcome_json(change.id, outcome, change.record)), change)
    assert outcome == found
    assert type(outcome) is type(found)


def test_a_record_that_is_what_was_sent_does_not_travel_back() -> None:
    """Its version and times do; one that differs, be it 1 for true, comes whole."""
    stamps = {"version": "3", "created_at": "a", "updated_at": "b"}
    same = Applied("3", {**(CHANGE.record or {}), **stamps})
    told = {"id": "o", "outcome": "applied", "version": "3", "created_at": "a", "updated_at": "b"}
    assert told == outcome_json("o", same, CHANGE.record)
    for sent in ({"id": "r", "text": "y"}, {"id": "r"}, {"id": "r", "text": "x", "version": "3"}):
        assert {"id": "r", "text": "x", **stamps} == outcome_json("o", same, sent)["record"]
    truth = Applied("3", {"id": "r", "text": True, **stamps})
    assert "record" in outcome_json("o", truth, {"id": "r", "text": 1})


@given(requests)
def test_a_request_arrives_as_it_was(request: PullRequest) -> None:
    """The query with all of its expressions, and every option."""
    assert repr(request) == repr(read_request(travelled(request_json(request))))


@given(pages)
def test_a_page_arrives_as_it_was(page: Page) -> None:
    """Records, tombstones, departed ids, and what its end says."""
    body = b"".join(to_line(message) + b"\n" for message in page_json(page))
    assert repr(page) == repr(read_page(parse_lines(body)))


@given(welcomes)
def test_a_welcome_arrives_as_it_was(welcome: Welcome) -> None:
    """Everything that a remote says of itself."""
    assert welcome == read_welcome(travelled(welcome_json(welcome)))


# ---- what is wrong

READERS: tuple[Callable[[Any], object], ...] = (
    read_change,
    read_request,
    read_welcome,
    lambda message: read_outcome(message, CHANGE),
    lambda message: read_page([message]),
    lambda message: read_page([{"record": message}, {"end": message}]),
)


@st.composite
def damaged(draw: st.DrawFn) -> Json:
    """A message of any kind in which something is replaced, added or left out."""
    message: Any = draw(
        st.one_of(
            changes.map(change_json),
            requests.map(request_json),
            welcomes.map(welcome_json),
            answered.map(lambda pair: outcome_json(pair[0].id, pair[1])),
        )
    )
    place: Any = message
    for _ in range(draw(st.integers(0, 3))):
        inner = [each for each in (place.values() if isinstance(place, dict) else place) if each]
        inner = [each for each in inner if isinstance(each, dict | list)]
        if not inner:
            break
        place = draw(st.sampled_from(inner))
    odd = draw(json_values() | st.sampled_from(("field", "and", "call", 2**70, 1e400, "\ud800", -1)))
    if isinstance(place, dict):
        place[draw(st.sampled_from([*place, "odd"]))] = odd
    elif place:
        place[draw(st.integers(0, len(place) - 1))] = odd
    return message


@given(damaged() | json_values())
def test_a_stranger_s_message_is_read_or_malformed(message: Json) -> None:
    """Whatever it is: nothing else is ever raised."""
    for read in READERS:
        with suppress(Malformed):
            _ = read(message)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_a_stranger_s_bytes_are_read_or_malformed(raw: bytes) -> None:
    """Whatever they are: nothing else is ever raised."""
    for read in (parse, parse_lines):
        with suppress(Malformed):
            _ = read(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a":NaN}', "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b'{"a":1,"a":2}', "a key occurs twice"),
        (b'"\xff"', "not JSON"),
        ('"x"'.encode("utf-16"), "not JSON"),
        (b"[" * 100_000, "too deeply"),
        (b"1" * 5000, "too many digits"),
        (b"", "not JSON"),
        (b"{} {}", "not JSON"),
    ],
)
def test_what_only_python_calls_json_is_refused(raw: bytes, reason: str) -> None:
    """UTF-8 alone, standard numbers, each key once, and no nesting that breaks the reader."""
    with pytest.raises(Malformed, match=reason):
        _ = parse(raw)


def without(message: dict[str, Json], name: str) -> dict[str, Json]:
    return {key: value for key, value in message.items() if key != name}


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ([], ""),
        ({**MESSAGE, "odd": 1}, "'odd'"),
        ({**MESSAGE, "kind": "upsert"}, "kind"),
        ({**MESSAGE, "kind": ["insert"]}, "kind"),
        (without(MESSAGE, "kind"), "kind"),
        (without(MESSAGE, "id"), "id"),
        ({**MESSAGE, "id": "\ud800"}, "id"),
        ({**MESSAGE, "table": 5}, "table"),
        (without(MESSAGE, "record_id"), "record_id"),
        ({**MESSAGE, "record": []}, "record"),
        ({**MESSAGE, "fields": "text"}, "fields"),
        ({**MESSAGE, "fields": [1]}, "fields"),
        ({**MESSAGE, "fields": ["x"] * 10_001}, "fields"),
        ({**MESSAGE, "expected": "present"}, "expected"),
        ({**MESSAGE, "expected": {"version": 5}}, "expected"),
        ({**MESSAGE, "expected": {"version": "1", "x": 1}}, "expected"),
        ({**MESSAGE, "expected": {"tombstone": 5}}, "expected"),
        ({**MESSAGE, "attempts": 0}, "attempts"),
        ({**MESSAGE, "attempts": True}, "attempts"),
        ({**MESSAGE, "attempts": 2**63}, "attempts"),
        ({**MESSAGE, "parameters": {"a": 1}}, "parameters.'a'"),
        ({**MESSAGE, "parameters": []}, "parameters"),
    ],
)
def test_a_malformed_change_names_its_field(message: Json, field: str) -> None:
    """So that its author finds it."""
    with pytest.raises(Malformed) as error:
        _ = read_change(message)
    assert field == error.value.field


def asking(**members: Json) -> Json:
    return {**REQUEST, **members}


def where(expression: Json) -> Json:
    return {**REQUEST, "query": {"table": "t", "where": expression}}


X: Json = ["field", "x", "any"]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (without(REQUEST, "query"), "query"),
        (asking(odd=1), "'odd'"),
        (asking(query={"table": "t", "odd": 1}), "query.'odd'"),
        (asking(query={"table": 5}), "query.table"),
        (asking(query={"table": "t", "skip": -1}), "query.skip"),
        (asking(query={"table": "t", "take": True}), "query.take"),
        (asking(query={"table": "t", "fields": [None]}), "query.fields"),
        (asking(query={"table": "t", "order": 5}), "query.order"),
        (asking(query={"table": "t", "order": [[X, 1]]}), "query.order[0]"),
        (asking(query={"table": "t", "order": [[X, True]] * 101}), "query.order"),
        (asking(limit=0), "limit"),
        (asking(limit="x"), "limit"),
        (asking(overlap=-1), "overlap"),
        (asking(ids="x"), "ids"),
        (asking(fields=5), "fields"),
        (asking(deleted=None), "deleted"),
        (asking(cursor={"x": 2**64}), "cursor"),
        (asking(cursor={"x": 1e400}), "cursor"),
        (where(5), "query.where"),
        (where([]), "query.where"),
        (where(["field", "x"]), "query.where"),
        (where(["field", 5, "any"]), "query.where[1]"),
        (where(["field", "x", "blob"]), "query.where[2]"),
        (where(["value", [], "any"]), "query.where[1]"),
        (where(["value", 2**63, "any"]), "query.where[1]"),
        (where(["compare", "like", X, X]), "query.where[1]"),
        (where(["compare", "eq", X, 5]), "query.where[3]"),
        (where(["in", X, [1, {}]]), "query.where[2][1]"),
        (where(["in", X, 5]), "query.where"),
        (where(["not", X, X]), "query.where"),
        (where(["call", "exec", X]), "query.where[1]"),
        (where(["call", "lower", X, X]), "query.where"),
        (where(["call", "concat", X]), "query.where"),
        (where(["arithmetic", "pow", X, X]), "query.where[1]"),
        (where(["and", X, ["or", ["sleep", 5]]]), "query.where[2][1]"),
    ],
)
def test_a_malformed_request_names_its_field(message: Json, field: str) -> None:
    """With the way to it through the query's expressions."""
    with pytest.raises(Malformed) as error:
        _ = read_request(message)
    assert field == error.value.field


def test_queries_are_bounded_in_depth_and_size() -> None:
    """Before anything is made of them."""
    deep: Expr = Field("x")
    for _ in range(31):
        deep = Not(deep)
    message = request_json(PullRequest(query=Query("t", deep)))
    assert deep == read_request(message).query.where
    with pytest.raises(Malformed, match="deeper than 32"):
        _ = read_request(request_json(PullRequest(query=Query("t", Not(deep)))))
    with pytest.raises(Malformed, match="deeper than 5"):
        _ = read_request(message, depth=5)
    for wide, limit in (
        (And((Field("x"),) * 2_001), "2000 parts"),
        (In(Field("x"), (1,) * 50_001), "50000 values"),
    ):
        with pytest.raises(Malformed, match=limit):
            _ = read_request(request_json(PullRequest(query=Query("t", wide))))


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"id": "o"},
        {"id": "p", "outcome": "untried"},
        {"id": "o", "outcome": "done"},
        {"id": "o", "outcome": "applied", "version": 5},
        {"id": "o", "outcome": "applied", "version": "1", "record": {"id": "other"}},
        {"id": "o", "outcome": "applied", "version": "1", "record": None},
        {"id": "o", "outcome": "applied", "version": "1", "tombstone": 5},
        {"id": "o", "outcome": "conflicted"},
        {"id": "o", "outcome": "conflicted", "absent": False},
        {"id": "o", "outcome": "rejected", "code": "x"},
        {"id": "o", "outcome": "undeleted", "tombstone": "x"},
        {"id": "o", "outcome": "denied", "message": "x"},
    ],
)
def test_an_outcome_of_something_else_is_malformed(message: Json) -> None:
    """Another operation's, another record's, or one that is not said in full."""
    with pytest.raises(Malformed):
        _ = read_outcome(message, CHANGE)


def test_what_a_page_holds_that_is_no_record_is_junk() -> None:
    """The rest of it stays; a page without its end, or with something behind it, is none."""
    messages: list[Json] = [{"record": {"id": "a"}}, {"record": 5}, 7, {"tombstone": 1}, {"departed": None}]
    page = read_page([*messages, {"end": {"cursor": 1, "more": False}}])
    assert ([{"id": "a"}], 4) == (list(page.records), len(page.junk))
    assert "{'record': 5}" == page.junk[0].raw
    for wrong in (messages, [{"end": {"cursor": 1, "more": False}}, *messages]):
        with pytest.raises(Malformed, match="end"):
            _ = read_page(wrong)


@pytest.mark.parametrize(
    ("header", "spoken"),
    [("1", True), ("1, 2", True), ("2,1", True), ("2", False), ("11", False), ("", False), (None, False)],
)
def test_a_remote_speaks_the_versions_that_it_names(header: str | None, spoken: bool) -> None:
    """One that speaks newer ones alone is not understood."""
    assert spoken is speaks(header)


def test_replies_may_say_more_than_is_known() -> None:
    """A newer remote may add members to what it answers."""
    outcome = outcome_json("o", Applied("1"))
    assert Applied("1") == read_outcome({**outcome, "cost": 5}, CHANGE)
    assert [] == read_page([{"end": {"cursor": None, "more": False, "cost": 5}}]).records
