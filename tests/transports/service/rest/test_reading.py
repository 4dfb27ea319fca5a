"""Lists and single records: options, shapes, pages, and what is refused."""

import itertools
import urllib.parse
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transports.service.rest.support import FILMS, SYSTEM, Client, Dialect, address, keep
from tests.transports.service.support import Serving
from tidesync.stores import MemoryStore
from tidesync.transports.service import Limits, create_app


@pytest.fixture(scope="module")
def shelf() -> Generator[Serving]:
    """A service of 25 films, of which five are deleted: f03, f08, and so on; pages of 10 at most and 4 by default."""
    served = Serving(
        create_app(MemoryStore(), [FILMS], limits=Limits(page=10, page_default=4, filter=400, body=4096))
    )
    for number in range(25):
        _ = keep(
            served,
            f"f{number:02}",
            deleted=number % 5 == 3,
            title=f"Film {number}",
            year=1990 + number // 5,
            won=number % 2 == 0,
            released=f"{1990 + number}-06-01T12:00:00.000000Z",
        )
    yield served
    served.stop()


@pytest.fixture(params=["2.0", "3.0"])
def reader(shelf: Serving, request: pytest.FixtureRequest) -> Client:
    """A client of either dialect."""
    dialect: Dialect = request.param
    return Client(shelf, dialect)


LIVE = [f"f{number:02}" for number in range(25) if number % 5 != 3]
ALL = [f"f{number:02}" for number in range(25)]


def _ids(rows: list[dict[str, object]]) -> list[object]:
    return [row["id"] for row in rows]


# ---- shapes


def test_a_list_has_the_shape_of_its_dialect(shelf: Serving) -> None:
    """An array, or results and count, on 2.0; items, count and nextLink on 3.0. [O06] [O09]"""
    two, three = Client(shelf, "2.0"), Client(shelf, "3.0")

    assert LIVE[:4] == _ids(two.get("films").json())
    assert {"results", "count"} == two.get("films?$inlinecount=allpages").json().keys()
    assert LIVE[:4] == _ids(two.get("films?$inlinecount=none").json())
    assert {"items", "nextLink"} == three.get("films").json().keys()
    assert {"items", "count", "nextLink"} == three.get("films?$count=true").json().keys()
    assert {"items"} == three.get("films?$top=3").json().keys()


def test_a_row_is_whole(reader: Client) -> None:
    """Every column, null where it has no value, and the five that each table has. [O06]"""
    (row,) = reader.items(reader.get("films?$top=1"))

    assert {column.name for column in FILMS.columns} | SYSTEM == row.keys()
    assert ("f00", None, False) == (row["id"], row["tags"], row["deleted"])


@pytest.mark.parametrize(
    "option", ["$count=true", "$inlinecount=allpages", "$Count=TRUE", "$InlineCount=AllPages"]
)
def test_the_count_is_of_all_that_match(reader: Client, option: str) -> None:
    """Whatever the page; with deleted ones where they are asked for. Either dialect knows both names. [O06] [O09]"""
    counts = [
        reader.get(f"films?{option}&{rest}").json()["count"]
        for rest in ("", "$top=2&$skip=3", "$filter=year eq 1990", "__includedeleted=true", "$top=0")
    ]

    assert [20, 20, 4, 25, 20] == counts
    assert [] == reader.items(reader.get(f"films?{option}&$top=0"))


# ---- options


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("$filter=year eq 1990 and won", ["f00", "f02", "f04"]),
        ("$filter=title eq 'Film 7'", ["f07"]),
        ("$FILTER=title eq 'Film 7'", ["f07"]),
        ("$filter=", LIVE[:4]),
        ("$filter=updatedAt ge 9999-01-01T00:00:00Z", []),
        ("$filter=deleted eq true", []),
        ("$filter=deleted eq true&__includedeleted=true", ["f03", "f08", "f13", "f18"]),
        ("$orderby=year desc,title&$top=3", ["f20", "f21", "f22"]),
        ("$OrderBy=title desc&$top=2", ["f09", "f07"]),
        ("$skip=18", ["f22", "f24"]),
        ("$skip=20", []),
        ("$top=2&$skip=2", ["f02", "f04"]),
        ("$Top=1&$SKIP=1", ["f01"]),
        ("$top=2&$top=2", ["f00", "f01"]),
        ("mine=1&mine=2&$top=1", ["f00"]),
        ("__includeDeleted=true&$skip=2", ["f02", "f03", "f04", "f05"]),
        ("__includedeleted=TRUE&$skip=2", ["f02", "f03", "f04", "f05"]),
        ("__INCLUDEDELETED=false&$skip=2", ["f02", "f04", "f05", "f06"]),
        ("__includeDeleted=&$skip=2", ["f02", "f04", "f05", "f06"]),
        ("includeDeleted=true&$skip=2", ["f02", "f04", "f05", "f06"]),
    ],
)
def test_options_in_every_spelling(reader: Client, option: str, expected: list[str]) -> None:
    """Names of options count without case; what belongs to nobody is a parameter of the application's. [O06]"""
    assert expected == _ids(reader.items(reader.get(f"films?{option}")))


def test_a_selection_gives_these_columns(reader: Client) -> None:
    """Only they, under their names on the wire; an asterisk is all. [O06]"""
    rows = reader.items(reader.get("films?$select=title,updatedAt,deleted,tags&$orderby=year desc&$top=1"))
    whole = reader.items(reader.get("films?$select=*&$top=1"))

    assert {"title", "updatedAt", "deleted", "tags"} == rows[0].keys()
    assert ("Film 20", False, None) == tuple(rows[0][name] for name in ("title", "deleted", "tags"))
    assert len(str(rows[0]["updatedAt"])) == len("2026-11-20T03:45:05.507Z")
    assert SYSTEM < whole[0].keys()


def test_deleted_ones_by_the_options_header(shelf: Serving) -> None:
    """As Microsoft.Datasync sends it. [O06] [O10]"""
    three = Client(shelf, "3.0", **{"X-ZUMO-Options": "include:deleted; nextLink=path"})

    assert ALL == _ids(three.walk("films"))
    assert 200 == three.get("films/f03").status_code
    assert three.get("films").json()["nextLink"].startswith("/tables/films?")


@pytest.mark.parametrize(
    ("option", "code", "said", "position"),
    [
        ("$filter=yeer eq 1", "invalid_option", "$filter: films has no column 'yeer'", 0),
        ("$filter=year eq", "invalid_option", "$filter: ", 7),
        ("$filter=year eq 1 and nope(title)", "invalid_option", "$filter: ", 14),
        ("$filter=" + "(" * 500, "invalid_option", "$filter: ", None),
        ("$orderby=title up", "invalid_option", "$orderby: ", 6),
        ("$orderby=nope", "invalid_option", "$orderby: ", 0),
        ("$select=title,nope", "invalid_option", "$select: ", 6),
        ("$top=-1", "invalid_option", "$top: ", None),
        ("$top=ten", "invalid_option", "$top: ", None),
        ("$top=1e3", "invalid_option", "$top: ", None),
        ("$top=", "invalid_option", "$top: ", None),
        ("$top=٣", "invalid_option", "$top: ", None),
        ("$top=99999999999999999999", "invalid_option", "$top: ", None),
        ("$skip=9223372036854775808", "invalid_option", "$skip: ", None),
        ("$count=yes", "invalid_option", "$count: ", None),
        ("$inlinecount=true", "invalid_option", "$inlinecount: ", None),
        ("__includedeleted=1", "invalid_option", "__includedeleted: ", None),
        ("$skiptoken=abc", "invalid_option", "$skiptoken: ", None),
        ("$top=1&$Top=2", "repeated_option", "$Top", None),
        ("$expand=actors", "unknown_option", "'$expand'", None),
        ("$filter=%ff", "malformed_address", "UTF-8", None),
    ],
)
def test_bad_options_are_named(
    reader: Client, option: str, code: str, said: str, position: int | None
) -> None:
    """400 with the option's name, and the place in it where there is one. [O06]"""
    reply = reader.get(f"films?{option}")
    body = reply.json()

    assert (400, code) == (reply.status_code, body["code"])
    assert said in body["detail"]
    if position is not None:
        assert position == body["position"]


def test_larger_pages_than_there_are(shelf: Serving) -> None:
    """2.0 is refused in the words that its clients know; 3.0 gets what fits, and a link to the rest. [O06]"""
    two, three = Client(shelf, "2.0"), Client(shelf, "3.0")
    refused, capped = two.get("films?$top=11"), three.get("films?$top=13")

    assert (400, "You cannot request more than 10 records") == (refused.status_code, refused.json()["error"])
    assert LIVE[:10] == _ids(three.items(capped))
    assert LIVE[10:13] == _ids(three.items(three.follow(three.next(capped) or "")))
    assert LIVE[:13] == _ids(three.walk("films?$top=13"))


# ---- pages


QUERIES = (
    "films",
    "films?$orderby=updatedAt",
    "films?$orderby=year desc",
    "films?$orderby=price&$filter=won eq true",
    "films?__includeDeleted=true&$orderby=won,title desc",
    "films?$select=title&$count=true&$orderby=rating",
    "films?$skip=3&$filter=not (title eq 'Film 4')&mine=a%26b",
)


@pytest.mark.parametrize("query", QUERIES)
def test_following_links_gives_all_once_in_order(reader: Client, query: str) -> None:
    """What one page of everything would be; filter, order, selection, count and own parameters go along. [O06]"""
    pages, reply = [], reader.get(query)
    while True:
        pages.append(reader.items(reply))
        assert len(pages) < 10, pages
        link = reader.next(reply)
        if link is None:
            break
        assert ("mine=a%26b" in link) == ("mine" in query)
        reply = reader.follow(link)
    rows = [row for page in pages for row in page]

    whole = Client(reader.served, "3.0")
    expected: list[dict[str, object]] = []
    skip = 3 if "$skip" in query else 0
    bare = query.replace("$skip=3&", "")
    mark = "&" if "?" in bare else "?"
    while part := whole.items(whole.get(f"{bare}{mark}$top=10&$skip={skip + len(expected)}")):
        expected += part
    assert len(expected) == len(rows) > 4
    assert [4] * (len(pages) - 1) == [len(page) for page in pages[:-1]]
    assert expected == rows


def test_a_link_of_2_keeps_the_size_of_the_page(shelf: Serving) -> None:
    """`$top` is the size of a page there; no link behind the last row, nor behind an empty page. [O06]"""
    two = Client(shelf, "2.0")

    assert LIVE == _ids(two.walk("films?$top=7"))
    assert LIVE == _ids(two.walk("films?$top=10"))
    assert "Link" not in two.get("films?$top=10&$skip=10").headers
    assert "Link" not in two.get("films?$top=0").headers
    assert "Link" not in two.get("films?$filter=year eq 0").headers


def test_a_link_survives_the_parameters_that_clients_add_again(shelf: Serving) -> None:
    """The published .NET client adds its own to a link that has them already. [O06]"""
    two = Client(shelf, "2.0")
    link = two.next(two.get("films?__includeDeleted=true&$top=4&mine=1"))

    assert link is not None
    assert ALL[4:8] == _ids(two.items(two.follow(f"{link}&__includeDeleted=true&mine=1")))


def test_the_communitys_clients_can_follow(shelf: Serving) -> None:
    """One takes all of a nextLink for parameters, another what is before `?` for the path; both find it. [O09]"""
    community = Client(shelf, None)
    link = community.next(community.get("films/?$count=true&$orderby=updatedAt"))
    assert link is not None
    path, _, query = link.partition("?")

    offline = community.get(f"films/?{link}")
    online = community.follow(f"{path}?{query}")

    assert LIVE[4:8] == _ids(community.items(offline)) == _ids(community.items(online))
    assert 1 == link.count("?")


def test_tokens_belong_to_their_order(reader: Client) -> None:
    """A token of another order is 400, not a page of something."""
    link = reader.next(reader.get("films?$orderby=title")) or ""
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["$skiptoken"][0]

    assert 200 == reader.get(f"films?$orderby=title&$skiptoken={token}").status_code
    assert 400 == reader.get(f"films?$orderby=year&$skiptoken={token}").status_code
    assert 400 == reader.get(f"films?$orderby=title&$skiptoken={token[:-3]}").status_code


_runs = itertools.count()
STEPS = st.lists(
    st.tuples(st.sampled_from(["insert", "touch", "delete"]), st.integers(0, 11)), min_size=0, max_size=6
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["2.0", "3.0"]),
    st.sampled_from(
        ["", "$orderby=year", "$orderby=year desc,title", "$orderby=updatedAt", "$orderby=id desc"]
    ),
    st.lists(st.integers(0, 2), min_size=12, max_size=12),
    st.lists(STEPS, min_size=4, max_size=4),
)
def test_what_nobody_touches_is_on_one_page(
    films: Serving, dialect: Dialect, order: str, years: list[int], steps: list[list[tuple[str, int]]]
) -> None:
    """While others insert, change and delete between the pages, an untouched row comes once. [O06]"""
    client = Client(films, dialect)
    run = f"run{next(_runs)}"
    for number, year in enumerate(years):
        _ = keep(films, f"{run}-{number:02}", table="notes", run=run, year=year, title=str(number % 3))
    touched: set[str] = set()
    seen: list[str] = []
    reply = client.get(
        f"notes?$filter=run eq '{run}'&$top=3&{order}"
        if dialect == "2.0"
        else f"notes?$filter=run eq '{run}'&{order}"
    )
    for step in [*steps, *[[]] * 20]:
        seen += [str(row["id"]) for row in client.items(reply)]
        for what, number in step:
            id_ = f"{run}-{number:02}"
            if what == "insert":
                id_ = f"{run}-new{len(touched)}-{number}"
                _ = client("POST", "notes", {"id": id_, "run": run, "year": number % 3, "title": "1"})
            elif what == "touch":
                _ = client("PATCH", f"notes/{id_}", {"year": number % 3})
            else:
                _ = client("DELETE", f"notes/{id_}")
            touched.add(id_)
        link = client.next(reply)
        if link is None:
            break
        reply = client.follow(link)
    untouched = [id_ for id_ in (f"{run}-{number:02}" for number in range(12)) if id_ not in touched]

    assert untouched == sorted(id_ for id_ in seen if id_ not in touched)


# ---- single records


def test_a_record_is_revalidated(reader: Client) -> None:
    """304 while it is what the client has, with the tag and the date, and 200 after a change. [O05]"""
    first = reader.get("films/f05")
    had = {"If-None-Match": first.headers["ETag"]}
    same = reader.get("films/f05", had)
    since = reader.get("films/f05", {"If-Modified-Since": first.headers["Last-Modified"]})

    assert (200, 304, 304) == (first.status_code, same.status_code, since.status_code)
    assert first.headers["ETag"] == same.headers["ETag"]
    assert 200 == reader("PATCH", "films/f05", {"title": "Film 5"}).status_code
    assert 200 == reader.get("films/f05", had).status_code


def test_moments_and_days_have_one_form(reader: Client) -> None:
    """Three decimals and Z; a date is a date. [O05]"""
    id = f"moments {reader.dialect}"
    _ = keep(reader.served, id, released="2026-11-20T03:45:05.500000Z", day="2026-02-28", deleted=True)
    row = reader.get(address(id) + "?__includedeleted=true").json()

    assert ("2026-11-20T03:45:05.500Z", "2026-02-28") == (row["released"], row["day"])
    assert len("2026-11-20T03:45:05.507Z") == len(row["updatedAt"]) == len(row["createdAt"])
