"""What HttpTransport leans on, asked of the real server with bare httpx.

When one of these fails after an upgrade of the peer, the transport's rule that it names is to be looked at.
"""

import base64
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.peers.server_process import Peer
from tests.peers.tables import HEADERS, Row, found, insert, match, version

pytestmark = pytest.mark.peer


@pytest.fixture
def row(http: httpx.Client, id: str) -> Row:
    """A live row of version 1."""
    return insert(http, id)


@pytest.fixture
def tombstone(http: httpx.Client, row: Row) -> Row:
    """A soft-deleted row of version 2."""
    return dict(http.delete(f"/todoitem/{row['id']}").json())


# Inserting


def test_an_insert_answers_201_with_the_whole_row_and_its_version(http: httpx.Client, id: str) -> None:
    """The reply has every column, system ones included; the ETag is the version in quotes."""
    reply = http.post("/todoitem", json={"id": id, "text": "first"})

    row = reply.json()
    stamp = row["createdAt"]
    assert [201, f'"{version(1)}"'] == [reply.status_code, reply.headers["etag"]]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)
    columns = {"id": id, "text": "first", "complete": None, "priority": None}
    assert row == columns | {"createdAt": stamp, "updatedAt": stamp, "version": version(1), "deleted": False}


def test_an_insert_of_a_live_id_answers_409_with_what_was_sent(http: httpx.Client, row: Row) -> None:
    """The body of the 409 is no server copy, and its ETag no version: the record must be read."""
    sent = {"id": row["id"], "text": "second"}

    reply = http.post("/todoitem", json=sent)

    assert [409, sent] == [reply.status_code, reply.json()]
    assert reply.headers["etag"].startswith('W/"')
    assert row == http.get(f"/todoitem/{row['id']}").json()


def test_an_insert_of_a_soft_deleted_id_answers_409_with_what_was_sent(
    http: httpx.Client, tombstone: Row
) -> None:
    """A tombstone keeps its id, and is not shown by the 409."""
    sent = {"id": tombstone["id"], "text": "second"}

    reply = http.post("/todoitem", json=sent)

    assert [409, sent] == [reply.status_code, reply.json()]


@pytest.mark.parametrize("column", ["createdAt", "updatedAt", "deleted", "Deleted"])
def test_system_columns_must_not_be_sent(http: httpx.Client, id: str, column: str) -> None:
    """`createdAt`, `updatedAt` and `deleted` are refused in any case, even null."""
    reply = http.post("/todoitem", json={"id": id, column: None})

    assert [400, f"Cannot update item with property '{column}' as it is reserved"] == [
        reply.status_code,
        reply.json()["error"],
    ]


def test_a_version_sent_with_an_insert_becomes_the_version(http: httpx.Client, id: str) -> None:
    """`version` in an insert is stored, so it must not be sent."""
    assert base64.b64encode(b"AAA=").decode() == insert(http, id, version="AAA=")["version"]


# Updating


def test_an_update_with_the_right_version_counts_it_up(http: httpx.Client, row: Row) -> None:
    """200 with the row; columns that were not sent stay; version + 1; updatedAt renewed."""
    reply = http.patch(f"/todoitem/{row['id']}", json={"priority": 7}, headers=match(row["version"]))

    after = reply.json()
    assert [200, f'"{version(2)}"'] == [reply.status_code, reply.headers["etag"]]
    assert row | {"priority": 7, "version": version(2), "updatedAt": after["updatedAt"]} == after
    assert after["updatedAt"] >= row["updatedAt"]


@pytest.mark.parametrize("etag", [f'"{version(9)}"', "*", f'W/"{version(1)}"', '"not base64"'])
def test_an_update_with_another_version_answers_412_with_the_servers_row(
    http: httpx.Client, row: Row, etag: str
) -> None:
    """The body of the 412 is the server's row and its ETag the version; `*` and weak tags never match."""
    reply = http.patch(f"/todoitem/{row['id']}", json={"text": "second"}, headers={"If-Match": etag})

    assert [412, row, f'"{row["version"]}"'] == [reply.status_code, reply.json(), reply.headers["etag"]]


def test_an_update_with_a_stale_version_in_the_body_answers_409_with_the_servers_row(
    http: httpx.Client, row: Row
) -> None:
    """Without If-Match, `version` in the body is the expectation: its 409 is a conflict."""
    reply = http.patch(f"/todoitem/{row['id']}", json={"text": "second", "version": version(9)})

    assert [409, row] == [reply.status_code, reply.json()]


def test_an_update_without_a_version_is_unconditional(http: httpx.Client, row: Row) -> None:
    """The last write wins, and makes a new version also when nothing is changed."""
    replies = [http.patch(f"/todoitem/{row['id']}", json={"text": "first"}) for _ in range(2)]

    assert [version(2), version(3)] == [reply.json()["version"] for reply in replies]


@pytest.mark.parametrize("headers", [{}, match(version(1))], ids=["unconditional", "right version"])
def test_an_update_of_nothing_is_a_server_error(
    http: httpx.Client, row: Row, headers: dict[str, str]
) -> None:
    """An update with no column to set is 500: it must not be sent."""
    replies = [
        http.patch(f"/todoitem/{row['id']}", json=body, headers=headers) for body in ({}, {"id": row["id"]})
    ]

    assert [500, 500] == [reply.status_code for reply in replies]
    assert row == http.get(f"/todoitem/{row['id']}").json()


@pytest.mark.parametrize("expected", [1, 2])
def test_an_update_or_delete_of_a_tombstone_answers_404(
    http: httpx.Client, tombstone: Row, expected: int
) -> None:
    """404 says missing or soft-deleted, whatever version was expected."""
    path, headers = f"/todoitem/{tombstone['id']}", match(version(expected))

    replies = [http.patch(path, json={"text": "second"}, headers=headers), http.delete(path, headers=headers)]

    assert [404, 404] == [reply.status_code for reply in replies]


def test_of_parallel_updates_that_expect_one_version_one_wins(
    shared_peer: Peer, http: httpx.Client, row: Row
) -> None:
    """The check of the version and the write are one step."""
    url = f"{shared_peer.url}/tables/todoitem/{row['id']}"

    def update(number: int) -> int:
        headers = HEADERS | match(row["version"])
        return httpx.patch(url, json={"priority": number}, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(update, range(8)))

    assert [200] + [412] * 7 == statuses
    assert version(2) == http.get(f"/todoitem/{row['id']}").json()["version"]


# Deleting and undeleting


def test_a_delete_answers_200_with_the_tombstone(http: httpx.Client, row: Row) -> None:
    """The row comes back with `deleted`, version + 1 and a new updatedAt."""
    reply = http.delete(f"/todoitem/{row['id']}", headers=match(row["version"]))

    after = reply.json()
    assert [200, f'"{version(2)}"'] == [reply.status_code, reply.headers["etag"]]
    assert row | {"deleted": True, "version": version(2), "updatedAt": after["updatedAt"]} == after


def test_a_delete_with_another_version_answers_412_with_the_servers_row(http: httpx.Client, row: Row) -> None:
    """Nothing is deleted, and the body is the server's row."""
    reply = http.delete(f"/todoitem/{row['id']}", headers=match(version(9)))

    assert [412, row] == [reply.status_code, reply.json()]


@pytest.mark.parametrize("parameters", [{}, {"__includeDeleted": "true"}], ids=["plain", "includeDeleted"])
def test_a_tombstone_cannot_be_read_by_its_id(
    http: httpx.Client, tombstone: Row, parameters: dict[str, str]
) -> None:
    """GET of a soft-deleted id is the same 404 as of a missing one."""
    deleted = http.get(f"/todoitem/{tombstone['id']}", params=parameters)
    missing = http.get(f"/todoitem/{tombstone['id']}-missing", params=parameters)

    assert [404, {"error": "The item does not exist"}] == [deleted.status_code, deleted.json()]
    assert [404, deleted.json()] == [missing.status_code, missing.json()]


def test_a_tombstone_is_found_by_a_filter_on_its_id(http: httpx.Client, tombstone: Row) -> None:
    """A list with __includeDeleted=true is the only way to a tombstone and its version."""
    filter = f"id eq '{tombstone['id']}'"

    assert [tombstone] == found(http, filter, __includeDeleted="true")
    assert [] == found(http, filter)


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        ({"__includeDeleted": "true"}, True),
        ({"__includeDeleted": "false"}, True),
        ({"__includeDeleted": ""}, False),
        ({"__includedeleted": "true"}, False),
        ({"$includeDeleted": "true"}, False),
    ],
    ids=str,
)
def test_any_value_of_includeDeleted_includes_and_only_in_this_spelling(  # noqa: N802
    http: httpx.Client, tombstone: Row, parameters: dict[str, str], shown: bool
) -> None:
    """`__includeDeleted=false` includes deleted rows: leave the parameter out instead."""
    assert shown == ([tombstone] == found(http, f"id eq '{tombstone['id']}'", **parameters))


@pytest.mark.parametrize("headers", [{}, match(version(2))], ids=["unconditional", "right version"])
def test_an_undelete_answers_201_and_ignores_its_body(
    http: httpx.Client, tombstone: Row, headers: dict[str, str]
) -> None:
    """POST to the id brings the old content back as version + 1."""
    reply = http.post(f"/todoitem/{tombstone['id']}", json={"text": "second"}, headers=headers)

    after = reply.json()
    assert [201, f'"{version(3)}"'] == [reply.status_code, reply.headers["etag"]]
    assert tombstone | {"deleted": False, "version": version(3), "updatedAt": after["updatedAt"]} == after


def test_an_undelete_with_another_version_answers_412_with_the_tombstone(
    http: httpx.Client, tombstone: Row
) -> None:
    """Nothing is revived, and the body is the tombstone."""
    reply = http.post(f"/todoitem/{tombstone['id']}", headers=match(version(1)))

    assert [412, tombstone] == [reply.status_code, reply.json()]


def test_an_undelete_of_a_live_row_makes_a_new_version(http: httpx.Client, row: Row) -> None:
    """A repeated undelete without the tombstone's version is not harmless; with it, it is 412."""
    conditional = http.post(f"/todoitem/{row['id']}", headers=match(version(9)))
    unconditional = http.post(f"/todoitem/{row['id']}")

    assert [412, row] == [conditional.status_code, conditional.json()]
    assert [201, version(2)] == [unconditional.status_code, unconditional.json()["version"]]


def test_without_soft_delete_a_row_comes_back_with_the_first_version(http: httpx.Client, id: str) -> None:
    """Such a table has no `deleted` and no undelete, and a version names another row after a re-creation."""
    created = http.post("/label", json={"id": id, "name": "one"})
    deleted = http.delete(f"/label/{id}")
    again, undeleted = http.delete(f"/label/{id}"), http.post(f"/label/{id}")
    recreated = http.post("/label", json={"id": id, "name": "two"})

    assert [200, created.json()] == [deleted.status_code, deleted.json()]
    assert "deleted" not in created.json()
    assert [404, 500] == [again.status_code, undeleted.status_code]
    assert [201, version(1)] == [recreated.status_code, recreated.json()["version"]]


# Values


def test_text_comes_back_as_it_was_sent(http: httpx.Client, id: str) -> None:
    """Unicode, NUL, line separators and quotes survive, in ids too."""
    text = "e\u0301 é 😀 \0 \u2028 \"'\\ %_"
    key = f"{id} a/b?c#d é😀"

    sent = insert(http, key, text=text)

    assert [key, text] == [sent["id"], sent["text"]]
    assert sent == http.get(f"/todoitem/{id}%20a%2Fb%3Fc%23d%20%C3%A9%F0%9F%98%80").json()


@pytest.mark.parametrize(
    ("columns", "stored"),
    [
        ({"text": {"a": 1}}, {"text": "[object Object]"}),
        ({"text": [1, 2]}, {"text": "[object Object]"}),
        ({"text": 12.50}, {"text": "12.5"}),
        ({"text": True}, {"text": "1"}),
        ({"complete": "false"}, {"complete": True}),
        ({"priority": "high"}, {"priority": "high"}),
        ({"priority": 2**53 + 1}, {"priority": 2**53}),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_taken_and_changed(
    http: httpx.Client, id: str, columns: Row, stored: Row
) -> None:
    """The server answers 201 and stores something else: the transport must encode, or refuse."""
    after = insert(http, id, **columns)

    assert stored == {name: after[name] for name in stored}


def test_a_column_it_does_not_know_is_added_by_a_value_and_never_by_null(peer: Peer) -> None:
    """An insert ignores a new column that holds null, an update of one is a server error."""
    with httpx.Client(base_url=f"{peer.url}/tables", headers=HEADERS, verify=False) as http:
        ignored = insert(http, "a", note=None)
        refused = http.patch("/todoitem/a", json={"note": None})
        added = insert(http, "b", note="new")
        cleared = http.patch("/todoitem/a", json={"note": None})

    assert ["note" in ignored, 500] == [False, refused.status_code]
    assert ["new", 200, None] == [added["note"], cleared.status_code, cleared.json()["note"]]


# Refusals


def test_what_the_refusals_look_like(shared_peer: Peer, http: httpx.Client, row: Row) -> None:
    """Bodies of refusals are JSON or Express's HTML page, and a body that is too large is 400."""
    json_error = {"content-type": "application/json; charset=utf-8"}
    html_error = {"content-type": "text/html; charset=utf-8"}
    path = f"/todoitem/{row['id']}"
    replies = {
        "no API version": (400, json_error, httpx.get(f"{shared_peer.url}/tables/todoitem")),
        "malformed": (
            400,
            json_error,
            http.patch(path, content=b"{", headers={"Content-Type": "application/json"}),
        ),
        "too large": (400, json_error, http.patch(path, json={"text": "x" * 110_000})),
        "another id": (400, json_error, http.patch(path, json={"id": "another", "text": "x"})),
        "garbage token": (401, json_error, http.get(path, headers={"X-ZUMO-AUTH": "garbage"})),
        "no such table": (404, html_error, http.get("/nowhere")),
        "PUT": (404, html_error, http.put(path, json={"text": "x"})),
        "an array": (500, json_error, http.post("/todoitem", json=[{"text": "x"}])),
    }

    assert {name: (status, kind["content-type"]) for name, (status, kind, _) in replies.items()} == {
        name: (reply.status_code, reply.headers["content-type"]) for name, (_, _, reply) in replies.items()
    }
    assert row == http.get(path).json()


# Stopping and starting


@pytest.mark.parametrize("end", [Peer.stop, Peer.kill])
def test_rows_versions_and_columns_survive_a_restart(peer: Peer, end: Callable[[Peer], None]) -> None:
    """What was answered is on disk, also when the server is killed; address and identity stay."""
    with httpx.Client(base_url=f"{peer.url}/tables", headers=HEADERS, verify=False) as http:
        insert(http, "a", note="new column")
        kept = http.patch("/todoitem/a", json={"priority": 2}).json()
        end(peer)
        with pytest.raises(httpx.TransportError):
            http.get("/todoitem/a")
        peer.start()

        assert kept == http.get("/todoitem/a").json()


def test_idle_connections_are_closed_after_five_seconds(http: httpx.Client, row: Row) -> None:
    """The server says how long it keeps a connection: a client must drop it sooner, or lose requests."""
    assert "timeout=5" == http.get(f"/todoitem/{row['id']}").headers["keep-alive"]
