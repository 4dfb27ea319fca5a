"""Inserts, updates, deletes and undeletes, as the clients of both dialects send and read them."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.transports.service.rest.support import (
    FILM,
    SYSTEM,
    Client,
    address,
    authority_of,
    content,
    keep,
    version_at,
)
from tests.transports.service.support import Serving
from tidesync.records import RECORD_DEPTH
from tidesync.transports.service.conditions import entity_tag, http_date

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")


# ---- insert


@pytest.mark.parametrize("given", [True, False])
def test_an_insert_gives_the_whole_record(either: Client, given: bool) -> None:
    """201, the address and tag of the record, its system columns, and null for columns without a value. [O01] [O09]"""
    id = f"insert {either.dialect}"
    reply = either("POST", "films", {**FILM, "id": id} if given else FILM)
    row = reply.json()

    assert 201 == reply.status_code
    assert FILM == content(row)
    assert id == row["id"] if given else GUID.match(row["id"])
    assert row["createdAt"] == row["updatedAt"]
    assert MOMENT.match(row["updatedAt"])
    assert (False, None) == (row["deleted"], row["tags"])
    assert entity_tag(row["version"]) == reply.headers["ETag"]
    assert http_date(row["updatedAt"]) == reply.headers["Last-Modified"]
    assert f"{either.served.url}/tables/{address(row['id'])}" == reply.headers["Location"]
    assert row == either.follow(reply.headers["Location"]).json()


@pytest.mark.parametrize("none", ["", None, 0])
def test_clients_of_numbered_tables_send_no_id(two: Client, none: object) -> None:
    """An empty id, null and 0 are no id on 2.0: the service makes one. [O01]"""
    reply = two("POST", "films", {**FILM, "id": none})

    assert 201 == reply.status_code
    assert GUID.match(reply.json()["id"])


@pytest.mark.parametrize(("levels", "status"), [(RECORD_DEPTH, 201), (RECORD_DEPTH + 1, 400)])
def test_a_record_nests_as_deep_as_on_a_device(three: Client, levels: int, status: int) -> None:
    """What a device keeps can be sent; what it would refuse is 400 here too. [O01]"""
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    reply = three("POST", "films", {**FILM, "id": f"deep {levels}", "tags": value})

    assert status == reply.status_code


@pytest.mark.parametrize("deleted", [False, True])
def test_an_insert_of_what_is_there_shows_it(either: Client, deleted: bool) -> None:
    """409 with the record that is held, deleted or not; nothing is written. [O01] [O09] [O10]"""
    id = f"existing {either.dialect} {deleted}"
    version = keep(either.served, id, deleted=deleted, title="first")

    reply = either("POST", "films", {"id": id, "title": "second"})

    assert (409, entity_tag(version)) == (reply.status_code, reply.headers["ETag"])
    assert ("first", deleted) == (reply.json()["title"], reply.json()["deleted"])
    assert version == version_at(either.served, id)


def test_system_columns_of_an_insert_are_ignored_on_3(three: Client) -> None:
    """The service alone says when and which version. [O01]"""
    said = {"updatedAt": "2018-12-31T01:01:01.000Z", "createdAt": None, "version": "AAA=", "deleted": True}
    row = three("POST", "films", {**FILM, **said, "id": "overwrite"}).json()

    assert row["updatedAt"] > "2026"
    assert row["createdAt"] == row["updatedAt"]
    assert row["version"] != "AAA="
    assert row["deleted"] is False


@pytest.mark.parametrize("name", ["createdAt", "updatedAt", "deleted", "UpdatedAT"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_system_columns_are_reserved_on_2(two: Client, method: str, name: str) -> None:
    """Its published server refuses them, with any case, also null. [O04]"""
    version = keep(two.served, f"reserved {method} {name}")
    path = "films" if method == "POST" else address(f"reserved {method} {name}")

    reply = two(method, path, {"title": "x", name: None})

    assert (400, "reserved_field") == (reply.status_code, reply.json()["code"])
    assert f"Cannot update item with property '{name}' as it is reserved" == reply.json()["error"]
    assert version == version_at(two.served, f"reserved {method} {name}")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"title": 5}, "invalid_value"),
        ({"year": "1999"}, "invalid_value"),
        ({"won": "false"}, "invalid_value"),
        ({"released": "yesterday"}, "invalid_value"),
        ({"director": "Coogler"}, "unknown_field"),
        ({"_sequence": 1}, "invalid_record"),
        ({"id": 42}, "invalid_id"),
        ({"id": "a\nb"}, "invalid_id"),
        ({"id": "x" * 256}, "invalid_id"),
    ],
)
def test_what_does_not_fit_the_table_is_refused(either: Client, fault: dict[str, object], code: str) -> None:
    """400 and the name of the field; nothing is written. [O01]"""
    before = len(authority_of(either.served).records("films"))

    reply = either("POST", "films", {**FILM, **fault})

    assert (400, code) == (reply.status_code, reply.json()["code"])
    assert "id" in reply.json()["detail"] if "id" in fault else next(iter(fault)) in reply.json()["detail"]
    assert before == len(authority_of(either.served).records("films"))


def test_values_are_kept_in_one_form(two: Client, three: Client) -> None:
    """Moments of any offset, numbers in decimal columns, and JSON text on 2.0 where 3.0 has JSON."""
    sent = {
        "id": "forms",
        "released": "2026-11-20T05:45:05.5071234+02:00",
        "price": 1.5,
        "rating": 4,
        "year": 1999.0,
        "tags": '[1,{"a":"\\u00e9"}]',
        "day": "2026-11-20",
    }
    row = two("POST", "films", sent).json()
    forms = {"released": "2026-11-20T03:45:05.507123Z", "price": "1.5", "rating": 4.0, "year": 1999}

    assert {**forms, "day": "2026-11-20", "tags": '[1,{"a":"é"}]'} == content(row)
    assert {**forms, "day": "2026-11-20", "tags": [1, {"a": "é"}]} == content(three.get("films/forms").json())
    assert (
        200 == three("PATCH", "films/forms", {"released": "2026-11-20T03:45:05Z", "tags": None}).status_code
    )
    row = two.get("films/forms").json()
    assert ("2026-11-20T03:45:05.000Z", None) == (row["released"], row["tags"])


def test_a_table_without_columns_takes_anything(either: Client) -> None:
    """Fields come back under their names, also those that mean something inside."""
    note = {
        "id": f"note {either.dialect}",
        "anything": [1, {"b": None}],
        "created_at": "mine",
        "__x": 1,
        "é\u2028": "ü",
    }
    reply = either("POST", "notes", note)

    assert 201 == reply.status_code, reply.text
    assert note == {name: value for name, value in reply.json().items() if name not in SYSTEM - {"id"}}


# ---- update


def test_a_patch_sets_what_it_names(either: Client) -> None:
    """Other fields stay; null is a value like any other. [O04]"""
    id = f"patch {either.dialect}"
    version = keep(either.served, id, title="old", year=1999, won=True)

    reply = either("PATCH", address(id), {"title": "new", "won": None}, {"If-Match": entity_tag(version)})

    assert 200 == reply.status_code
    assert {"title": "new", "year": 1999} == content(reply.json())
    assert entity_tag(version_at(either.served, id) or "") == reply.headers["ETag"] != entity_tag(version)


def test_a_put_leaves_nothing_of_the_old_record(either: Client) -> None:
    """What it does not name has no value any more, in any table. [O09]"""
    id = f"put {either.dialect}"
    for table, old in (("films", {"year": 1999}), ("notes", {"color": "red"})):
        _ = keep(either.served, id, table=table, title="old", **old)
        reply = either("PUT", f"{table}/{id}", {"id": id, "title": "new"})

        assert 200 == reply.status_code
        assert {"title": "new"} == content(reply.json())
        assert {"title": "new"} == content(either.get(f"{table}/{id}").json())


def test_replacing_checks_the_version(three: Client) -> None:
    """412 with the record that is held, else 200 with a new version. [O10]"""
    version = keep(three.served, "replace", title="old")
    film = {"id": "replace", "title": "new"}

    stale = three("PUT", "films/replace", film, {"If-Match": '"AAA="'})
    right = three("PUT", "films/replace", film, {"If-Match": entity_tag(version)})
    again = three("PUT", "films/replace", film, {"If-Match": entity_tag(version)})

    assert (412, "old") == (stale.status_code, stale.json()["title"])
    assert (200, "new") == (right.status_code, right.json()["title"])
    assert (412, right.headers["ETag"]) == (again.status_code, again.headers["ETag"])


def test_a_version_in_a_body_of_2_is_a_condition(two: Client) -> None:
    """409 with the record that is held; an If-Match beside it decides instead. [O04]"""
    version = keep(two.served, "body version", title="old")
    path, stale = "films/body version", {"title": "new", "version": "AAA="}

    refused = two("PATCH", path, stale)
    taken = two("PATCH", path, {"title": "new", "version": version})
    over = two("PATCH", path, stale, {"If-Match": taken.headers["ETag"]})
    odd = two("PATCH", path, {"version": 7})

    assert (409, "old", version) == (refused.status_code, refused.json()["title"], refused.json()["version"])
    assert (200, 200, 400) == (taken.status_code, over.status_code, odd.status_code)


def test_a_tag_without_quotes_is_taken_on_2(two: Client, three: Client) -> None:
    """As its published server does; on 3.0 it is malformed."""
    version = keep(two.served, "bare", title="old")

    assert 400 == three("PATCH", "films/bare", {"title": "x"}, {"If-Match": version}).status_code
    assert 412 == two("PATCH", "films/bare", {"title": "x"}, {"If-Match": "MQ=="}).status_code
    assert 200 == two("PATCH", "films/bare", {"title": "x"}, {"If-Match": version}).status_code


@pytest.mark.parametrize(
    ("name", "other"), [("updatedAt", "2018-12-31T05:00:00.000Z"), ("version", "dGVzdA==")]
)
def test_a_patch_of_3_may_repeat_system_columns(three: Client, name: str, other: str) -> None:
    """What is held already changes nothing, anything else is 400. [O04]"""
    _ = keep(three.served, f"repeat {name}", title="old")
    row = three.get(f"films/repeat {name}").json()

    assert 400 == three("PATCH", f"films/repeat {name}", {"title": "x", name: other}).status_code
    assert row == three.get(f"films/repeat {name}").json()
    assert 200 == three("PATCH", f"films/repeat {name}", {"title": "x", name: row[name]}).status_code


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_the_id_of_a_body_is_that_of_the_address(either: Client, method: str) -> None:
    """400 where it is another; the same, null or none is the same. [O04]"""
    id = f"same id {either.dialect} {method}"
    _ = keep(either.served, id, title="old")

    assert 400 == either(method, address(id), {"id": "another", "title": "new"}).status_code
    assert 400 == either(method, address(id), {"id": 7, "title": "new"}).status_code
    for body in ({"id": id}, {"id": None}, {}):
        assert 200 == either(method, address(id), {**body, "title": "new"}).status_code


JSON_PATCH = {"Content-Type": "application/json-patch+json"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


def test_a_json_patch_is_taken_for_whole_fields(three: Client) -> None:
    """RFC 6902: add, replace and remove, later ones after earlier ones. [O04]"""
    _ = keep(three.served, "json patch", title="old", year=1999, won=True)
    patch = [
        {"op": "replace", "path": "/title", "value": "new"},
        {"op": "remove", "path": "/year"},
        {"op": "remove", "path": "/won"},
        {"op": "add", "path": "/won", "value": False},
    ]
    reply = three("PATCH", "films/json patch", patch, JSON_PATCH)

    assert 200 == reply.status_code, reply.text
    assert {"title": "new", "won": False} == content(reply.json())


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"op": "remove", "path": "/title"}, "malformed_patch"),
        (["remove"], "malformed_patch"),
        ([{"op": "replace", "path": "/title"}], "malformed_patch"),
        ([{"op": "test", "path": "/title", "value": "old"}], "unsupported_patch"),
        ([{"op": "replace", "path": "/tags/0", "value": 1}], "unsupported_patch"),
        ([{"op": "replace", "path": "title", "value": 1}], "unsupported_patch"),
        ([{"op": "replace", "path": "", "value": {}}], "unsupported_patch"),
        ([{"op": "remove", "path": "/version"}], "reserved_field"),
        ([{"op": "remove", "path": "/id"}], "reserved_field"),
        ([{"op": "replace", "path": "/id", "value": "x"}], "id_mismatch"),
        ([{"op": "replace", "path": "/version", "value": "x"}], "reserved_field"),
        ([{"op": "replace", "path": "/deleted", "value": True}], "reserved_field"),
        ([{"op": "add", "path": "/nothing", "value": 1}], "unknown_field"),
    ],
)
def test_other_json_patches_are_refused(three: Client, patch: object, code: str) -> None:
    """400 and why; the record stays. [O04]"""
    version = version_at(three.served, "refused patch") or keep(three.served, "refused patch", title="old")

    reply = three("PATCH", "films/refused patch", patch, JSON_PATCH)

    assert (400, code) == (reply.status_code, reply.json()["code"])
    assert version == version_at(three.served, "refused patch")


def test_a_merge_patch_removes_with_null(three: Client) -> None:
    """RFC 7396 for whole fields; an object would have to be merged inside one. [O04]"""
    _ = keep(three.served, "merge patch", title="old", year=1999)

    refused = three("PATCH", "films/merge patch", {"tags": {"a": 1}}, MERGE_PATCH)
    reply = three("PATCH", "films/merge patch", {"title": "new", "year": None}, MERGE_PATCH)

    assert (400, "unsupported_patch") == (refused.status_code, refused.json()["code"])
    assert (200, {"title": "new"}) == (reply.status_code, content(reply.json()))


# ---- preferences


def test_a_client_may_prefer_no_body(either: Client) -> None:
    """RFC 7240: the headers still tell the new version."""
    prefer = {"Prefer": "respond-async, return=minimal"}
    id = f"minimal {either.dialect}"
    created = either("POST", "films", {"id": id, **FILM}, prefer)
    patched = either("PATCH", address(id), {"title": "new"}, prefer)

    assert (201, 204) == (created.status_code, patched.status_code)
    assert b"" == created.content == patched.content
    assert "return=minimal" == patched.headers["Preference-Applied"]
    assert entity_tag(version_at(either.served, id) or "") == patched.headers["ETag"]
    assert 200 == either("PATCH", address(id), {}, {"Prefer": "return=representation"}).status_code


def test_twenty_updates_of_one_version_make_one(films: Serving) -> None:
    """The others are told what is held: none is lost, none is silently overwritten."""
    client = Client(films, "2.0")
    version = keep(films, "race", title="old")

    def change(number: int) -> int:
        return client("PATCH", "films/race", {"year": number}, {"If-Match": entity_tag(version)}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(change, range(20)))

    assert [200, *[412] * 19] == statuses
