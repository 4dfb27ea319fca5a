"""Pages, filters and ties, asked of the real server with bare httpx."""

from collections.abc import Callable

import httpx
import pytest

from tests.peers.server_process import Peer
from tests.peers.tables import HEADERS, Row, found, insert

pytestmark = pytest.mark.peer


# Reading on from where the last page ended


@pytest.fixture
def tied(http: httpx.Client, id: str) -> list[Row]:
    """Five tombstones with one updatedAt: the server deletes all that match a filter in one statement."""
    for number in (3, 1, 2, 0, 4):
        insert(http, f"{id}-{number}", text=id)
    return list(http.delete("/todoitem", params={"$filter": f"text eq '{id}'"}).json())


@pytest.fixture
def page(http: httpx.Client, id: str, tied: list[Row]) -> Callable[..., list[str]]:
    """Ask for a page of those five, by a condition where T is their updatedAt; return the numbers."""
    (stamp,) = {row["updatedAt"] for row in tied}

    def ask(condition: str, order: str = "updatedAt", **parameters: str) -> list[str]:
        timed = condition.replace("T", f"datetimeoffset'{stamp}'")
        filter = f"text eq '{id}' and ({timed})"
        rows = found(http, filter, **{"$orderby": order, "__includeDeleted": "true", **parameters})
        return [row["id"].removeprefix(f"{id}-") for row in rows]

    return ask


def test_rows_tied_on_updatedAt_are_walked_by_skip(page: Callable[..., list[str]]) -> None:  # noqa: N802
    """`ge` with $skip gives each row of a tie once, in an order that stays; `gt` jumps over the whole tie."""
    pages = [page("updatedAt ge T", **{"$top": "2", "$skip": str(skip)}) for skip in (0, 2, 4, 6)]

    assert [2, 2, 1, 0] == [len(rows) for rows in pages]
    walked = [number for rows in pages for number in rows]
    assert walked == page("updatedAt ge T")
    assert ["0", "1", "2", "3", "4"] == sorted(walked)
    assert [] == page("updatedAt gt T")


def test_rows_tied_on_updatedAt_are_ordered_by_id_when_asked(  # noqa: N802
    page: Callable[..., list[str]], id: str
) -> None:
    """A second $orderby column breaks ties, and a filter can go on inside a tie without $skip."""
    first = page("updatedAt ge T", "updatedAt,id", **{"$top": "2"})
    rest = page(f"(updatedAt gt T) or ((updatedAt eq T) and (id gt '{id}-1'))", "updatedAt,id")

    assert [["0", "1"], ["2", "3", "4"]] == [first, rest]


def test_a_date_matches_with_three_or_with_seven_decimals(http: httpx.Client, id: str) -> None:
    """`datetimeoffset` cuts what is beyond milliseconds; `datetime` knows no seven decimals."""
    row = insert(http, id)
    stamp = row["updatedAt"]
    long = stamp.replace("Z", "0000Z")
    filter = f"id eq '{id}' and updatedAt"

    assert [row] == found(http, f"{filter} eq datetimeoffset'{stamp}'")
    assert [row] == found(http, f"{filter} ge datetimeoffset'{long}'")
    assert 500 == http.get("/todoitem", params={"$filter": f"{filter} eq datetime'{long}'"}).status_code


def test_a_page_has_at_most_1000_rows_and_50_when_nothing_is_said(peer: Peer) -> None:
    """A page without $top ends at 50; the Link to the next one cannot be followed."""
    with httpx.Client(base_url=f"{peer.url}/tables", headers=HEADERS, verify=False) as http:
        for number in range(51):
            insert(http, str(number))
        plain = http.get("/todoitem")
        rest = http.get("/todoitem", params={"$skip": "50", "$inlinecount": "allpages"})
        beyond = http.get("/todoitem", params={"$skip": "99"})
        largest = http.get("/todoitem", params={"$top": "1000"})
        refused = http.get("/todoitem", params={"$top": "1001"})

    assert [50, 51, 400] == [len(plain.json()), len(largest.json()), refused.status_code]
    assert "http://127.0.0.1/?%24top=50&%24skip=50; rel=next" == plain.headers["link"]
    assert [51, 1] == [rest.json()["count"], len(rest.json()["results"])]
    assert [200, []] == [beyond.status_code, beyond.json()]


def test_a_long_filter_is_refused_with_431(http: httpx.Client) -> None:
    """Asking for many ids has a limit: request line and headers of 16 KB, and the reply has no body."""
    short = " or ".join(f"id eq '{number:036}'" for number in range(200))
    long = " or ".join(f"id eq '{number:036}'" for number in range(400))

    assert [] == found(http, short)
    reply = http.get("/todoitem", params={"$filter": long})
    assert [431, b""] == [reply.status_code, reply.content]


# Filters


@pytest.fixture(scope="module")
def sample(shared_peer: Peer) -> None:
    """Rows a to f for the filters."""
    texts = {
        "a": ("one", 1),
        "b": ("Two", 2),
        "c": ("it's", 3),
        "d": ("0", 4),
        "e": (None, None),
        "f": ("50% _x", 6),
    }
    with httpx.Client(base_url=f"{shared_peer.url}/tables", headers=HEADERS, verify=False) as http:
        for id, (text, number) in texts.items():
            insert(http, f"sample-{id}", text=text, priority=number)


def matches(http: httpx.Client, filter: str) -> str:
    rows = found(http, f"id ge 'sample-' and id lt 'sample.' and ({filter})", **{"$orderby": "id"})
    return "".join(row["id"][-1] for row in rows)


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("text eq 'one'", "a"),
        ("text eq 'two'", ""),
        ("tolower(text) eq 'two'", "b"),
        ("toupper(text) eq 'ONE'", "a"),
        ("text eq 'it''s'", "c"),
        ("text eq '50% _x'", "f"),
        ("text eq null", "e"),
        ("text ne null", "abcdf"),
        ("priority gt 2 and priority le 4", "cd"),
        ("priority lt 2 or not (priority lt 4)", "adf"),
        ("priority add 1 eq 3", "b"),
        ("(priority mul 2) sub 2 eq 4", "c"),
        ("concat(text, 'x') eq 'onex'", "a"),
        ("text gt 'a'", "ac"),
    ],
)
def test_these_filters_mean_what_they_say(http: httpx.Client, filter: str, expected: str) -> None:
    """A transport may send these as they are: text by code point and with case, null equal to null."""
    assert expected == matches(http, filter)


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize(
    ("filter", "meant", "expected"),
    [
        ("startswith(text, 'on')", "a", "d"),
        ("endswith(text, 'ne')", "a", "d"),
        ("substringof('n', text)", "a", "d"),
        ("startswith(text, 'nothing so')", "", "d"),
        ("priority mod 2 eq 1", "ac", ""),
        ("indexof(text, 'n') eq 1", "a", ""),
        ("priority ne 1", "bcdef", "bcdf"),
        ("null eq text", "e", ""),
        ("not (priority gt 2)", "abe", "ab"),
        ("version eq 'MQ=='", "abcdef", ""),
        ("nowhere eq null", "abcdef", ""),
    ],
)
def test_these_filters_are_silently_wrong(http: httpx.Client, filter: str, meant: str, expected: str) -> None:
    """200 with other rows than were meant: a filter that the remote cannot be trusted with."""
    assert [expected, True] == [matches(http, filter), meant != expected]


@pytest.mark.parametrize(
    "filter",
    [
        "length(text) eq 3",
        "substring(text, 1) eq 'ne'",
        "year(updatedAt) eq 2026",
        "contains(text, 'n')",
        "id in ('a')",
        "id EQ 'a'",
        "id eq",
    ],
)
def test_a_filter_it_cannot_read_is_a_server_error(http: httpx.Client, filter: str) -> None:
    """500 where 400 is meant: no retry will mend it."""
    assert 500 == http.get("/todoitem", params={"$filter": filter}).status_code
