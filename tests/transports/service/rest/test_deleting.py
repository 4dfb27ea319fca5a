"""Deletes and undeletes, as the clients of both dialects send and read them."""

from typing import Any

import pytest

from tests.transports.service.rest.support import Client, address, content, keep, version_at
from tidesync.transports.service.conditions import entity_tag

JSON_PATCH = {"Content-Type": "application/json-patch+json"}


def test_a_delete_is_answered_as_each_dialect_knows_it(two: Client, three: Client) -> None:
    """2.0 shows the deleted record with its new version, 3.0 has nothing to say. [O02] [O09]"""
    for client in (two, three):
        id = f"delete {client.dialect}"
        version = keep(client.served, id, title="old")
        reply = client("DELETE", address(id), None, {"If-Match": entity_tag(version)})
        if client is three:
            assert (204, b"") == (reply.status_code, reply.content)
        else:
            row = reply.json()
            assert (200, True, "old") == (reply.status_code, row["deleted"], row["title"])
            assert version_at(two.served, id) == row["version"] != version
            assert entity_tag(row["version"]) == reply.headers["ETag"]
            assert row["updatedAt"] > row["createdAt"]


def test_a_deleted_record_is_kept_with_itscontent(either: Client) -> None:
    """Not shown unless asked for; then whole, marked as deleted. [O02] [O05] [O10]"""
    id = f"kept {either.dialect}"
    version = keep(either.served, id, deleted=True, title="old")
    hidden = either.get(address(id))
    shown = either.get(address(id) + "?__includeDeleted=true")

    assert (404 if either.dialect == "2.0" else 410) == hidden.status_code
    assert (200, True, "old") == (shown.status_code, shown.json()["deleted"], shown.json()["title"])
    assert entity_tag(version) == shown.headers["ETag"]


def test_undelete_brings_back_thecontent(two: Client) -> None:
    """201 as its published server says; again, and of what is alive, changes nothing. [O14]"""
    version = keep(two.served, "undelete", deleted=True, title="old")
    stale = two("POST", "films/undelete", None, {"If-Match": '"AAA="'})
    reply = two("POST", "films/undelete", None, {"If-Match": entity_tag(version)})
    again = two("POST", "films/undelete")
    late = two("POST", "films/undelete", None, {"If-Match": entity_tag(version)})

    assert (412, True) == (stale.status_code, stale.json()["deleted"])
    assert (201, False, "old") == (reply.status_code, reply.json()["deleted"], reply.json()["title"])
    assert (201, reply.json()) == (again.status_code, again.json())
    assert (412, reply.json()) == (late.status_code, late.json())
    assert 404 == two("POST", "films/never there").status_code


@pytest.mark.parametrize(
    "patch", [{"deleted": False}, [{"op": "replace", "path": "/deleted", "value": False}]]
)
def test_undelete_by_patch(three: Client, patch: Any) -> None:
    """As the first servers of 3.0 know it; either form of a patch. [O14] [O04]"""
    id, headers = f"by patch {type(patch).__name__}", JSON_PATCH if isinstance(patch, list) else {}
    version = keep(three.served, id, deleted=True, title="old")

    stale = three("PATCH", address(id), patch, {**headers, "If-Match": '"AAA="'})
    gone = three("PATCH", address(id), {"title": "new"})
    reply = three("PATCH", address(id), patch, {**headers, "If-Match": entity_tag(version)})

    assert (412, 410) == (stale.status_code, gone.status_code)
    assert (200, False, "old") == (reply.status_code, reply.json()["deleted"], reply.json()["title"])
    assert 404 == three("PATCH", "films/never there", patch, headers).status_code


def test_undelete_with_new_content_is_one_change(three: Client) -> None:
    """A patch changes what it names, a PUT replaces all; where the table refuses it, nothing comes back. [O14]"""
    _ = keep(three.served, "revive", deleted=True, title="old", year=1999)
    first = version_at(three.served, "revive")
    refused = three("PATCH", "films/revive", {"deleted": False, "year": "1999"})
    after_refusal = version_at(three.served, "revive")
    patched = three("PATCH", "films/revive", {"deleted": False, "title": "new"})
    _ = three("DELETE", "films/revive")
    gone = three("PUT", "films/revive", {"id": "revive", "title": "again", "deleted": False})
    put = three("PUT", "films/revive?__includedeleted=true", {"id": "revive", "title": "again"})

    assert (400, first) == (refused.status_code, after_refusal)
    assert {"title": "new", "year": 1999} == content(patched.json())
    assert (410, 200) == (gone.status_code, put.status_code)
    assert ({"title": "again"}, False) == (content(put.json()), put.json()["deleted"])


def test_nothing_is_deleted_by_setting_a_column(three: Client) -> None:
    """`deleted` true in a body is 400: DELETE deletes."""
    version = keep(three.served, "by column", title="old")

    for method in ("PATCH", "PUT"):
        for said in (True, 1, 0, "false"):
            assert 400 == three(method, "films/by column", {"title": "x", "deleted": said}).status_code
    assert version == version_at(three.served, "by column")
