"""What becomes of a change, on a 2.0 server that does what the real one does."""

import json
from typing import Any

import attrs
import httpx
import pytest

from tests.transports.http.fake_server import FakeServer, reply, version
from tests.transports.http.support import (
    COLUMNS,
    TODO,
    Way,
    change,
    delete,
    insert,
    push_one,
    transport,
    update,
)
from tidesync.contracts.transport import (
    Anything,
    Applied,
    Conflicted,
    Outcome,
    Rejected,
    Undeleted,
    Unknown,
)
from tidesync.records import Tombstone, alive
from tidesync.schema import TableSchema

pytestmark = pytest.mark.usefixtures("driver")


@pytest.fixture
def server() -> FakeServer:
    return FakeServer({"todoitem": COLUMNS})


@pytest.fixture
def way(server: FakeServer) -> Way:
    return transport(server)


def copy_of(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Applied | Conflicted)
    assert alive(outcome.copy)
    return outcome.copy


def test_an_insert_is_one_post_and_answers_the_servers_record(server: FakeServer, way: Way) -> None:
    """An insert is one POST to the table; the result is the server's copy. [E05] [E28] [F12]"""
    outcome = push_one(way, insert("a", text="Bread", complete=False))
    (request,) = server.requests
    assert ("POST", "/app/tables/todoitem") == (request.method, request.url.path)
    assert {"id": "a", "text": "Bread", "complete": False} == json.loads(request.content)
    assert "if-match" not in request.headers
    assert ("Bread", False, version(1)) == tuple(
        copy_of(outcome)[key] for key in ("text", "complete", "version")
    )
    assert {"created_at", "updated_at"} < copy_of(outcome).keys()


def test_an_update_sends_what_changed_under_the_quoted_version(server: FakeServer, way: Way) -> None:
    """An update is a PATCH of the changed fields, with the version as a quoted entity tag. [E05] [E28]"""
    server.put("todoitem", "a", text="Bread", complete=False)
    outcome = push_one(
        way,
        change(
            "update",
            "a",
            {"id": "a", "text": "Rye", "complete": False},
            ("text",),
            update("a", version(1)).expected,
        ),
    )
    (request,) = server.requests
    assert ("PATCH", "/app/tables/todoitem/a") == (request.method, request.url.path)
    assert {"text": "Rye"} == json.loads(request.content)
    assert f'"{version(1)}"' == request.headers["if-match"]
    assert version(2) == copy_of(outcome)["version"]


def test_a_delete_carries_its_version_and_answers_a_tombstone(server: FakeServer, way: Way) -> None:
    """A delete is a DELETE with If-Match, and the tombstone's version comes back. [E04] [E28]"""
    server.put("todoitem", "a", text="Bread")
    outcome = push_one(way, delete("a", version(1)))
    assert Applied(version(2), Tombstone(version(2))) == outcome
    assert ("DELETE", f'"{version(1)}"') == (
        server.requests[0].method,
        server.requests[0].headers["if-match"],
    )


def test_without_a_version_nothing_is_expected(server: FakeServer, way: Way) -> None:
    """If-Match is sent only where a version is known. [E04] [E05]"""
    server.put("todoitem", "a", text="Bread")
    for one in (
        change("update", "a", {"id": "a", "text": "Rye"}, ("text",), Anything()),
        change("delete", "a", None, (), Anything()),
    ):
        assert isinstance(push_one(way, one), Applied)
        assert "if-match" not in server.requests[-1].headers


def test_a_stale_update_or_delete_meets_the_servers_record(server: FakeServer, way: Way) -> None:
    """412 is a conflict that carries what the server has. [F18] [F21]"""
    server.put("todoitem", "a", text="Bread")
    server.put("todoitem", "a", text="Rye")
    for one in (update("a", version(1), text="Spelt"), delete("a", version(1))):
        outcome = push_one(way, one)
        assert isinstance(outcome, Conflicted)
        assert ("Rye", version(2)) == (copy_of(outcome)["text"], copy_of(outcome)["version"])


def test_an_insert_that_meets_a_record_reads_it(server: FakeServer, way: Way) -> None:
    """The body of a 409 may be what was sent: the record is read before it is a conflict. [F18] [F21]"""
    server.put("todoitem", "a", text="Theirs")
    outcome = push_one(way, insert("a", text="Mine"))
    assert "Theirs" == copy_of(outcome)["text"]
    assert ["POST", "GET"] == [request.method for request in server.requests]


def test_an_insert_that_meets_a_tombstone_says_so_with_its_version(server: FakeServer, way: Way) -> None:
    """A GET of a deleted record is 404, so a list finds the tombstone: reviving it can then be expected."""
    server.put("todoitem", "a", text="Theirs")
    server.put("todoitem", "a", deleted=True)
    assert Conflicted(Tombstone(version(2))) == push_one(way, insert("a", text="Mine"))


def test_a_refused_insert_of_what_is_not_there_is_a_tombstone_of_any_version(way: Way) -> None:
    """Refused as existing, yet not there: something was deleted in between."""
    way = transport(lambda request: reply(409, {}) if request.method == "POST" else reply(200, []))
    assert Conflicted(Tombstone(None)) == push_one(way, insert("a", text="Mine"))


@pytest.mark.parametrize("status", [409, 412])
@pytest.mark.parametrize("answer", [reply(500), reply(401), httpx.Response(200, text="<html>")])
def test_a_conflict_that_cannot_be_read_is_unknown(status: int, answer: httpx.Response) -> None:
    """Where the server's copy cannot be had, nothing is said about it."""
    way = transport(
        lambda request: (
            reply(status) if request.method != "GET" else httpx.Response(answer.status_code, text="<html>")
        ),
        retries=0,
    )
    assert isinstance(push_one(way, insert("a", text="Mine")), Unknown)


@pytest.mark.parametrize("kind", ["update", "delete"])
def test_a_refusal_of_the_version_that_is_there_is_no_conflict(kind: str) -> None:
    """412 with the very version that was sent would be settled for ever: it is a refusal."""
    row = {"id": "a", "text": "x", "version": "AAA="}
    way = transport(lambda request: reply(412, row) if request.method != "GET" else reply(200, [row]))
    one = update("a", "AAA=", text="y") if kind == "update" else delete("a", "AAA=")
    outcome = push_one(way, one)
    assert isinstance(outcome, Rejected)
    assert "412" == outcome.code


def test_a_delete_of_what_is_gone_is_done(server: FakeServer, way: Way) -> None:
    """A delete that answers 404 or 410 took effect: the record is gone. [F09] [F10]"""
    assert Applied(None, Tombstone(None)) == push_one(way, delete("a", version(1)))
    gone = transport(lambda request: reply(410))
    assert Applied(None, Tombstone(None)) == push_one(gone, delete("a", version(1)))


def test_a_404_that_is_not_the_tables_own_is_looked_into(server: FakeServer) -> None:
    """An unknown table answers 404 with a page of HTML: nothing was deleted there, and nothing lost here."""
    way = transport(server, tables=[TODO, TableSchema("nowhere")])
    one = change("delete", "a", None, (), Anything())
    for kind in ("delete", "update", "insert"):
        record = None if kind == "delete" else {"id": "a", "text": "x"}
        outcome = push_one(
            way, attrs.evolve(one, table="nowhere", kind=kind, record=record, fields=("text",))
        )
        assert isinstance(outcome, Rejected), kind
        assert "404" == outcome.code
        assert "<" not in outcome.message


def test_a_404_that_names_the_table_is_no_word_of_the_record() -> None:
    """A service that says in JSON that it has no such table has deleted nothing."""
    body = {"code": "unknown_table", "error": "there is no table 'todoitem' here"}
    outcome = push_one(transport(lambda request: reply(404, body)), delete("a", version(1)))
    assert isinstance(outcome, Rejected)
    assert "404" == outcome.code


def test_an_update_of_what_is_gone_is_a_conflict(server: FakeServer, way: Way) -> None:
    """404 for an update means missing or deleted: the copy is nothing, or the tombstone with its version."""
    assert Conflicted(None) == push_one(way, update("a", version(1), text="x"))
    server.put("todoitem", "a", text="y")
    server.put("todoitem", "a", deleted=True)
    assert Conflicted(Tombstone(version(2))) == push_one(way, update("a", version(1), text="x"))


def test_an_update_with_nothing_to_set_is_never_sent(server: FakeServer, way: Way) -> None:
    """An empty PATCH is an error at the server: the version is compared by reading instead."""
    server.put("todoitem", "a", text="x")
    assert version(1) == copy_of(push_one(way, update("a", version(1))))["version"]
    assert isinstance(push_one(way, update("a", version(9))), Conflicted)
    assert Conflicted(None) == push_one(way, update("b", version(9)))
    assert {"GET"} == {request.method for request in server.requests}


def test_a_null_for_a_column_that_is_not_there_is_not_sent(server: FakeServer, way: Way) -> None:
    """The server fails on a PATCH that brings a new column holding null, which says nothing anyway."""
    server.put("todoitem", "a", text="x")
    outcome = push_one(way, update("a", version(1), text="y", brand_new=None))
    assert ("y", None) == (copy_of(outcome)["text"], copy_of(outcome)["brand_new"])
    assert isinstance(push_one(way, update("a", version(2), brand_new=None)), Applied)
    assert isinstance(push_one(way, update("a", version(2), text=None)), Applied)
    assert [{"text": "y"}, {"text": None}] == [
        json.loads(request.content) for request in server.requests if request.method == "PATCH"
    ]


def test_a_field_that_left_the_record_becomes_null(server: FakeServer, way: Way) -> None:
    """What is named as changed and is not in the record any more was taken away."""
    server.put("todoitem", "a", text="x", priority=1.0)
    taken = change(
        "update", "a", {"id": "a", "text": "y"}, ("text", "priority"), update("a", version(1)).expected
    )
    assert copy_of(push_one(way, taken))["priority"] is None


def test_reviving_is_an_exchange_of_its_own(server: FakeServer, way: Way) -> None:
    """An insert over a tombstone undeletes it with its version, and writes nothing more."""
    server.put("todoitem", "a", text="Old")
    server.put("todoitem", "a", deleted=True)
    outcome = push_one(way, insert("a", text="New", expected=Tombstone(version(2))))
    assert isinstance(outcome, Undeleted)
    assert ("Old", version(3)) == (outcome.record["text"], outcome.record["version"])
    (request,) = server.requests
    assert ("POST", "/app/tables/todoitem/a", f'"{version(2)}"', b"") == (
        request.method, request.url.path, request.headers["if-match"], request.content,
    )  # fmt: skip


def test_reviving_what_is_no_tombstone_any_more_is_a_conflict(server: FakeServer, way: Way) -> None:
    """Undelete answers what is there instead: nothing, a newer tombstone, a live record."""
    assert Conflicted(None) == push_one(way, insert("a", text="New", expected=Tombstone("AAA=")))
    server.put("todoitem", "a", text="Old")
    server.put("todoitem", "a", deleted=True)
    assert Conflicted(Tombstone(version(2))) == push_one(
        way, insert("a", text="New", expected=Tombstone("AAA="))
    )
    server.put("todoitem", "a", deleted=False)
    assert "Old" == copy_of(push_one(way, insert("a", text="New", expected=Tombstone(version(2)))))["text"]


def test_a_tombstone_of_unknown_version_is_read_before_it_is_revived(server: FakeServer, way: Way) -> None:
    """Undelete without a version would also touch a live record."""
    server.put("todoitem", "a", text="Old")
    unknown = insert("a", text="New", expected=Tombstone(None))
    assert version(1) == copy_of(push_one(way, unknown))["version"]
    server.put("todoitem", "a", deleted=True)
    assert isinstance(push_one(way, unknown), Undeleted)
    assert Conflicted(None) == push_one(way, insert("b", text="New", expected=Tombstone(None)))


def test_an_undelete_that_was_asked_for_is_applied(server: FakeServer, way: Way) -> None:
    """A remote table's own undelete answers the record. [O14]"""
    server.put("todoitem", "a", text="Old")
    server.put("todoitem", "a", deleted=True)
    outcome = push_one(way, change("undelete", "a", None, (), Anything()))
    assert isinstance(outcome, Applied)
    assert "Old" == copy_of(outcome)["text"]
