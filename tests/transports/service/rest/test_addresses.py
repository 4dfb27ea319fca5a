"""Addresses, versions, methods and bodies: what is taken for what, and what is refused."""

import gzip
import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.transports.service.conftest import Host
from tests.transports.service.rest.support import FILM, FILMS, Client, address, keep
from tests.transports.service.support import Serving
from tidesync.records import check_id
from tidesync.stores import MemoryStore
from tidesync.transports.service import create_app

# ---- versions


@pytest.mark.parametrize(
    ("headers", "query", "dialect"),
    [
        ({}, "", "3.0"),
        ({"ZUMO-API-VERSION": "2.0.0"}, "", "2.0"),
        ({"zumo-api-version": "2.0.1"}, "", "2.0"),
        ({"ZUMO-API-VERSION": "2.1"}, "", "2.0"),
        ({"ZUMO-API-VERSION": "3.0.0"}, "", "3.0"),
        ({"ZUMO-API-VERSION": "3.1.0"}, "?ZUMO-API-VERSION=2.0.0", "3.0"),
        ({}, "?zumo-api-version=2.0.0", "2.0"),
        ({}, "?ZUMO-API-VERSION=3.0.0", "3.0"),
    ],
)
def test_the_dialect_is_chosen_by_request(
    films: Serving, headers: dict[str, str], query: str, dialect: str
) -> None:
    """By header, else by parameter, both without case; nothing means 3.0, as the community's clients send it."""
    reply = films.http.get(f"/tables/films{query}", headers=headers)

    assert 200 == reply.status_code
    assert ("2.0" if isinstance(reply.json(), list) else "3.0") == dialect


@pytest.mark.parametrize("said", ["1.0.0", "4.0.0", "2", "3", "", "two", "2.0.0, 3.0.0", "2.x", "٢.0"])
def test_other_versions_are_refused(films: Serving, said: str) -> None:
    """400; nothing is written."""
    reply = films.http.post(
        "/tables/films", params={"ZUMO-API-VERSION": said}, json={"id": "version", **FILM}
    )
    assert (400, "unknown_version") == (reply.status_code, reply.json()["code"])
    assert 404 == films.http.get("/tables/films/version").status_code


def test_two_versions_are_refused(films: Serving) -> None:
    """Two headers that agree are one."""
    url = f"{films.url}/tables/films"
    for second, status in (("2.0.0", 200), ("3.0.0", 400)):
        headers = [("ZUMO-API-VERSION", "2.0.0"), ("ZUMO-API-VERSION", second)]
        assert status == httpx.get(url, headers=headers, trust_env=False).status_code


# ---- addresses


def _legal(text: str) -> bool:
    try:
        _ = check_id("films", text)
    except ValueError:
        return False
    return text not in (".", "..")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=20).filter(_legal), st.sampled_from(["2.0", "3.0"]))
def test_an_id_may_be_any_text(films: Serving, id: str, dialect: Any) -> None:
    """Also with slashes, percent signs, quotes and all of Unicode: the path is parted before it is decoded. [O05]"""
    client = Client(films, dialect)
    created = client("POST", "films", {"id": id, "title": id})
    assert created.status_code in (201, 409)

    assert id == client.get(address(id)).json()["id"]
    assert created.status_code == 409 or id == client.follow(created.headers["Location"]).json()["id"]
    assert 200 == client("PATCH", address(id), {"title": "x"}).status_code


@pytest.mark.parametrize("id", ["x" * 256, "%00", "a%09b", "%C2%85"])
def test_what_cannot_be_an_id_is_refused(either: Client, id: str) -> None:
    """400, whatever the method. [O09]"""
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        reply = either(method, f"films/{id}", {} if method.startswith("P") else None)
        assert (400, "invalid_id") == (reply.status_code, reply.json()["code"])


@pytest.mark.parametrize("path", ["films/%ff", "%ff", "%ff/a"])
def test_addresses_are_utf_8(either: Client, path: str) -> None:
    """400 for other bytes."""
    assert (400, "malformed_address") == (either.get(path).status_code, either.get(path).json()["code"])


def test_an_address_may_end_with_a_slash(community: Client) -> None:
    """The community's clients write a table's address so. [O09]"""
    reply = community("POST", "films/", {"id": "slash", **FILM})

    assert f"{community.served.url}/tables/films/slash" == reply.headers["Location"]
    assert 200 == community.get("films/").status_code
    assert 404 == community.get("films/slash/").status_code
    assert 404 == community.get("films//slash").status_code


def test_a_tables_name_counts_without_case(either: Client) -> None:
    """As its published server of 2.0 has it; clients name tables after their classes."""
    _ = keep(either.served, f"case {either.dialect}")

    assert 200 == either.get(f"Films/case {either.dialect}").status_code
    assert 200 == either.get("FILMS?$top=1").status_code


def test_an_unknown_table_is_404(either: Client) -> None:
    """In a body that tells it from a record that is not there. [O05]"""
    for method, path in (("GET", "actors"), ("POST", "actors"), ("GET", "actors/1"), ("DELETE", "actors/1")):
        reply = either(method, path, {} if method == "POST" else None)
        assert (404, "unknown_table") == (reply.status_code, reply.json()["code"])
    assert "not_found" == either.get("films/nobody").json()["code"]


@pytest.mark.parametrize(
    ("method", "path", "dialect", "allowed"),
    [
        ("PUT", "films", "2.0", "GET, HEAD, POST"),
        ("PATCH", "films", "2.0", "GET, HEAD, POST"),
        ("DELETE", "films?$filter=year gt 0", "2.0", "GET, HEAD, POST"),
        ("DELETE", "films/", "3.0", "GET, HEAD, POST"),
        ("POST", "films/one", "3.0", "GET, HEAD, PUT, PATCH, DELETE"),
    ],
)
def test_a_method_that_an_address_has_not(
    films: Serving, method: str, path: str, dialect: Any, allowed: str
) -> None:
    """405 with those that there are; above all, no table is emptied by one request."""
    reply = Client(films, dialect)(method, path)

    assert (405, allowed) == (reply.status_code, reply.headers["Allow"])


def test_head_is_get_without_a_body(either: Client) -> None:
    """The same headers, also of a list."""
    _ = keep(either.served, f"head {either.dialect}")
    for path in (f"films/head {either.dialect}", "films?$top=1"):
        get, head = either.get(path), either("HEAD", path)

        assert (200, b"") == (head.status_code, head.content)
        for name in ("ETag", "Last-Modified", "Link", "Content-Length", "Content-Type"):
            assert get.headers.get(name) == head.headers.get(name)


def test_links_lead_through_a_mount(host: Host) -> None:
    """Location and the next page's address have the path that the application was mounted under, and the host."""
    app = create_app(MemoryStore(), [FILMS])
    served = host(Starlette(routes=[Mount("/a/b", app)]))
    app.open()
    try:
        three, two = {"ZUMO-API-VERSION": "3.0.0"}, {"ZUMO-API-VERSION": "2.0.0"}
        at = f"{served.url}/a/b/tables/films"
        for id in ("one/1", "two"):
            reply = served.http.post("/a/b/tables/films", json={"id": id, **FILM}, headers=three)
        assert f"{at}/two" == reply.headers["Location"]
        assert "one/1" == served.http.get("/a/b/tables/films/one%2F1").json()["id"]
        link = served.http.get("/a/b/tables/films?$top=1", headers=two).headers["Link"]
        assert link.startswith(f"{at}?")
        assert ["two"] == [row["id"] for row in served.http.get(link.partition(";")[0], headers=two).json()]
    finally:
        app.close()


# ---- bodies


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"", {}, 400),
        (b"[]", {}, 400),
        (b'"text"', {}, 400),
        (b"null", {}, 400),
        (b'{"title":NaN}', {}, 400),
        (b'{"title":"a","title":"b"}', {}, 400),
        (b'{"title":"\\ud800"}', {}, 400),
        (b'{"title":"\xff"}', {}, 400),
        (b"[" * 100_000, {}, 413),
        (b'{"title":"' + b"x" * 5000 + b'"}', {}, 413),
        (gzip.compress(b'{"title":"' + b"x" * 50_000 + b'"}', mtime=0), {"Content-Encoding": "gzip"}, 413),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/json+problem"}, 415),
        (b"{}", {"Content-Type": "application/json; charset=iso-8859-1"}, 415),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_bodies_that_are_no_record(
    either: Client, method: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    """400, 413 or 415, each in JSON; nothing is written. [O04] [O09]"""
    id = f"bodies {either.dialect}"
    if method != "POST" and either.get(address(id)).status_code == 404:
        _ = keep(either.served, id, title="old")
    reply = either(method, "films" if method == "POST" else address(id), body, headers)

    assert (status, status) == (reply.status_code, reply.json()["status"]), reply.text
    assert method == "POST" or "old" == either.get(address(id)).json()["title"]


def test_malformed_json_is_placed(either: Client) -> None:
    """The position of what is wrong is told. [O04]"""
    reply = either("POST", "films", b'{"title": tru}')

    assert (400, 10) == (reply.status_code, reply.json()["position"])


@pytest.mark.parametrize(
    "type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf8"']
)
def test_json_in_every_spelling_is_taken(either: Client, type: str) -> None:
    """As clients write it, compressed too."""
    body = gzip.compress(json.dumps(FILM).encode())

    reply = either("POST", "films", body, {"Content-Type": type, "Content-Encoding": "gzip"})
    assert 201 == reply.status_code, reply.text


def test_a_body_without_a_type(two: Client, three: Client) -> None:
    """JSON on 2.0, as its published server has it; 415 on 3.0. [O04]"""
    body = json.dumps(FILM).encode()

    assert 201 == two("POST", "films", body, {"Content-Type": ""}).status_code
    assert 415 == three("POST", "films", body, {"Content-Type": ""}).status_code
