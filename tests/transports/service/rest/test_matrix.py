"""Every method on every state of a record under every condition, against a table that is written out here."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from tests.transports.service.rest.support import SYSTEM, Client, Dialect, address, keep, version_at
from tests.transports.service.support import Serving
from tidesync.transports.service.conditions import entity_tag

STATES = ("missing", "live", "deleted", "hidden")
PAST, FUTURE = "Fri, 20 Nov 2020 10:00:00 GMT", "Fri, 20 Nov 2099 10:00:00 GMT"

CONDITIONS: Mapping[str, Mapping[str, str]] = {
    "none": {},
    "match right": {"If-Match": "{right}"},
    "match wrong": {"If-Match": '"0.no"'},
    "match weak": {"If-Match": "W/{right}"},
    "match any": {"If-Match": "*"},
    "match list": {"If-Match": '"0.no", {right}'},
    "none-match right": {"If-None-Match": "{right}"},
    "none-match weak": {"If-None-Match": "W/{right}"},
    "none-match wrong": {"If-None-Match": '"0.no"'},
    "none-match any": {"If-None-Match": "*"},
    "unmodified since long": {"If-Unmodified-Since": PAST},
    "unmodified since now": {"If-Unmodified-Since": FUTURE},
    "modified since long": {"If-Modified-Since": PAST},
    "modified since now": {"If-Modified-Since": FUTURE},
    "no date": {"If-Unmodified-Since": "yesterday"},
    "right over date": {"If-Match": "{right}", "If-Unmodified-Since": PAST},
}
_HELD_FAILS = {"match wrong", "match weak", "unmodified since long"}
_HAD = {"none-match right", "none-match weak", "none-match any"}
_NOTHING_FAILS = {name for name in CONDITIONS if name.startswith(("match", "unmodified", "right"))}

# Method, what its address has behind the id, and its body.
METHODS: Mapping[str, tuple[str, str, Any]] = {
    "read": ("GET", "", None),
    "look": ("HEAD", "", None),
    "read deleted": ("GET", "?__includedeleted=true", None),
    "patch": ("PATCH", "", {"title": "new"}),
    "put": ("PUT", "", {"title": "new", "owner": "ann"}),
    "delete": ("DELETE", "", None),
    "undelete": ("PATCH", "", {"deleted": False}),
    "revive": ("PATCH", "", {"deleted": False, "title": "new"}),
    "put deleted": ("PUT", "?__includedeleted=true", {"title": "new", "owner": "ann", "deleted": False}),
    "post": ("POST", "", None),
}
PLAIN: Mapping[Dialect, Mapping[str, tuple[int, int, int, int]]] = {
    # What each method answers without a condition where the record is missing, live, deleted, hidden.
    "2.0": {
        "read": (404, 200, 404, 404),
        "look": (404, 200, 404, 404),
        "read deleted": (404, 200, 200, 404),
        "patch": (404, 200, 404, 404),
        "put": (404, 200, 404, 404),
        "delete": (404, 200, 404, 404),
        "undelete": (400, 400, 400, 400),  # deleted is a reserved name there
        "post": (404, 201, 201, 404),
        "insert": (201, 409, 409, 403),
    },
    "3.0": {
        "read": (404, 200, 410, 404),
        "look": (404, 200, 410, 404),
        "read deleted": (404, 200, 200, 404),
        "patch": (404, 200, 410, 404),
        "put": (404, 200, 410, 404),
        "put deleted": (404, 200, 200, 404),
        "delete": (404, 204, 410, 404),
        "undelete": (404, 200, 200, 404),
        "revive": (404, 200, 200, 404),
        "post": (405, 405, 405, 405),
        "insert": (201, 409, 409, 403),
    },
}


def expected_status(dialect: Dialect, what: str, state: str, condition: str) -> int:
    """The status: a condition counts only where the request would else succeed (RFC 9110 13.2.1)."""
    plain = PLAIN[dialect][what][STATES.index(state)]
    if what == "insert" and state in ("missing", "hidden"):
        # Whether something hidden is there is told last of all.
        return 412 if condition in _NOTHING_FAILS else plain
    if plain >= 300:
        return plain
    if condition in _HELD_FAILS:
        return 412
    reading = METHODS[what][0] in ("GET", "HEAD")
    if condition in _HAD or (condition == "modified since now" and (reading or dialect == "3.0")):
        return 304 if reading else 412
    return plain


@pytest.mark.parametrize(
    ("dialect", "what"), [(dialect, what) for dialect, table in PLAIN.items() for what in table]
)
def test_a_method_under_every_condition(films: Serving, dialect: Dialect, what: str) -> None:
    """The table says it; a refusal changes nothing, and shows the record that is held. [O01] [O02] [O04] [O05] [O14]"""
    ann = Client(films, dialect, **{"X-Who": "ann"})
    expected = {
        (state, condition): expected_status(dialect, what, state, condition)
        for state, condition in itertools.product(STATES, CONDITIONS)
    }

    actual = {(state, condition): _ask(films, ann, what, state, condition) for state, condition in expected}

    assert expected == actual


def _ask(films: Serving, ann: Client, what: str, state: str, condition: str) -> int:
    """The status, after a look at the body and at what is held now."""
    id = f"{ann.dialect} {what} {state} {condition}"
    before = None
    if state != "missing":
        owner = "bob" if state == "hidden" else "ann"
        before = keep(films, id, deleted=state == "deleted", title="old", owner=owner)
    right = entity_tag(before or "1.none")
    headers = {name: value.replace("{right}", right) for name, value in CONDITIONS[condition].items()}
    if what == "insert":
        reply = ann("POST", "films", {"id": id, "owner": "ann"}, headers)
    else:
        method, options, body = METHODS[what]
        reply = ann(method, address(id) + options, body, headers)

    left, status = version_at(films, id), reply.status_code
    refused = status >= 300 or METHODS.get(what, ("",))[0] in ("GET", "HEAD")
    if refused:
        assert before == left, (id, status)
    if state == "hidden":
        assert str(before) not in reply.text + str(reply.headers), reply.text
    held = status in (304, 409, 412) and state in ("live", "deleted")
    if status in (304, 409, 412):
        assert (right if held else None) == reply.headers.get("ETag"), (id, status)
    if status == 304 or what == "look":
        assert b"" == reply.content
    elif held:
        row = reply.json()
        assert (id, before, state == "deleted", "old") == tuple(
            row[name] for name in ("id", "version", "deleted", "title")
        )
        assert set(row) > SYSTEM
    elif status >= 400:
        assert status == reply.json()["status"], reply.text
    return status
