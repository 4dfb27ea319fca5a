"""Texts that are no filters: one kind of error, at the place that is wrong, and never another exception."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.transports.service.odata.movies import MOVIES, ROWS, ids, parsed
from tests.transports.service.odata.test_filters import (
    COMPARISONS,
    FUNCTIONS,
    LOGIC,
    MOMENTS,
    NUMBERS,
    SLICES,
)
from tidesync.predicate import matcher
from tidesync.query import Order
from tidesync.schema import Column, TableSchema
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.odata import FilterError, parse_filter, parse_order, parse_select
from tidesync.values import ColumnType

LIMITS = Limits()


def refused(text: str, dialect: str = "3.0", *, closed: bool = True, **limits: int) -> FilterError:
    """The error that a text is answered with."""
    with pytest.raises(FilterError) as caught:
        parsed(text, dialect, closed=closed, **limits)
    return caught.value


# `^` stands before the character whose position the error names; it is no part of the text.
WRONG = [
    ("^", "a value is missing"), ("  ^", "a value is missing"), ("year eq^", "a value is missing"),
    ("year eq ^)", "a value belongs here"), ("^'john'", "no condition"), ("^5", "no condition"),
    ("^year", "no condition"), ("^null", "no condition"), ("not ^year", "no condition"),
    ("year eq 1 and ^title", "no condition"), ("year eq 1 ^1", "an operator belongs here"),
    ("year ^equals 1", "an operator belongs here"), ("year ^EQ 1", "an operator belongs here"),
    ("^(year eq 1", "not closed"), ("year eq 1^)", "nothing is open"), ("(year eq 1^,year eq 2)", "a comma"),
    ("title eq ^'abc", "no closing quote"), ("title eq 'a' ^'", "no closing quote"),
    ("title eq ^\"abc\"", "no meaning"), ("year ^= 1", "no meaning"), ("year eq 1^;drop", "no meaning"),
    ("year eq ^\x00", "no meaning"), ("year eq ^\ud800", "no meaning"), ("title eq ^'\udfff'", "surrogate"),
    ("^nobody eq 1", "no column"), ("year eq 1 or ^nobody eq 1", "no column"), ("^FF eq 1", "no column"),
    ("year eq ^0A", "neither a number"), ("year eq ^1.", "neither a number"), ("year eq ^1e", "neither a number"),
    ("year eq ^2020-1-1", "neither a number"), ("year eq ^" + "9" * 61, "more than 60"),
    ("score eq ^1e999", "as large as this"), ("year eq ^99999999999999999999", "64 bits"),
    ("price eq ^1e-500M", "too large or too small"),
    ("title^/first eq 1", "a path"), ("nobody^/first eq 1", "a path"),
    ("year eq ^'1970'", "never compared"), ("title eq ^5", "never compared"), ("year eq ^true", "never compared"),
    ("bestPictureWinner eq ^1", "never compared"), ("title eq ^2020-01-01", "never compared"),
    ("year eq ^datetime'2020-01-01T00:00:00Z'", "never compared"), ("day eq ^5", "never compared"),
    ("cast eq ^'x'", "never compared"), ("year in (1,^'x')", "never compared"), ("^'x' eq year", "never compared"),
    ("day eq ^'2020-02-30'", "does not fit"), ("day eq ^datetime'2020-01-01T01:00:00Z'", "time of day as well"),
    ("releaseDate eq ^'yesterday'", "does not fit"), ("ref eq ^'x'", "does not fit"),
    ("price eq ^'x'", "does not fit"), ("price eq ^'NaN'", "does not fit"), ("poster eq ^'x'", "does not fit"),
    ("releaseDate eq ^datetime'2020-13-01T00:00:00Z'", "is not a date and time"),
    ("releaseDate eq ^datetime'9999-12-31T23:59:59-10:00'", "is not a date and time"),
    ("releaseDate eq ^0000-01-01T00:00:00Z", "is not a date and time"),
    ("ref eq ^guid'x'", "is not a guid"), ("starts eq ^25:00", "is not a time of day"),
    ("title eq ^year", "never compare"), ("1 eq ^'1'", "never compared"), ("true eq ^1", "never compared"),
    ("poster ^gt 'QUJD'", "no order"), ("cast eq ^title", "never compare"),
    ("^title add 1 eq 2", "takes numbers"), ("year add ^'1' eq 2", "takes numbers"),
    ("year add ^null eq 2", "takes numbers"), ("-^title eq 1", "takes numbers"),
    ("year eq 1 add ^bestPictureWinner", "takes numbers"),
    ("contains(^year,'1')", "takes text"), ("contains(title,^5)", "takes text"),
    ("tolower(^null) eq 'a'", "takes text"),
    ("year(^title) eq 5", "dates or times"), ("hour(^day) eq 5", "dates or times"),
    ("year(^'2020-01-01') eq 5", "dates or times"),
    ("^contains(title)", "takes 2"), ("^length(title,title) eq 1", "takes 1"), ("length(^) eq 1", "a value belongs"),
    ("^replace(title,'a','b') eq 'c'", "not supported"), ("^geo.distance(title,'a') lt 1", "not supported"),
    ("^date(releaseDate) eq 2020-01-01", "not supported"), ("^now() gt releaseDate", "not supported"),
    ("^indexof(title,'a') eq 3", "not supported here"), ("^indexof(title,'a') eq year", "not supported here"),
    ("^indexof(title,'a') add 1 eq 3", "not supported here"), ("^indexof(title,'a')", "not supported here"),
    ("1 eq 1 and ^indexof(title,'a') eq 1.0", "not supported here"),
    ("^indexof(title,'a') in (0)", "not supported here"),
    ("tolower(^substring(title,1)) eq 'a'", "not supported here"),
    ("^substring(title,1,2) eq 'ab'", "not supported here"),
    ("^substring(title,0,2) gt 'ab'", "not supported here"), ("substring(title,1) eq ^''", "where the text ends"),
    ("substring(title,^-1) eq 'a'", "from 0 on"), ("substring(title,^year) eq 'a'", "numbers only"),
    ("substring(title,^1.5) eq 'a'", "numbers only"), ("year eq (year div 2) ^div 2", "integer division"),
    ("year in ^5", "in parentheses"), ("year in (1^", "a comma or a parenthesis"), ("year in (1,^)", "a constant"),
    ("year in (^year)", "a constant"), ("1 ^in (1)", "a column"), ("year in (1 ^2)", "a comma or a parenthesis"),
    ("releaseDate eq cast(2020-01-01,^Edm.Int32)", "not supported"), ("ref eq cast(^5,Edm.Guid)", "is not a guid"),
    ("ref eq cast(^true,Edm.Guid)", "cannot be cast"), ("day eq cast(^day,Edm.Date)", "a constant"),
    ("day eq cast(2020-01-01^)", "a comma"), ("day eq cast(2020-01-01,Edm.Date^", "closes a cast"),
    ("day eq cast(^cast(2020-01-01,Edm.Date),Edm.Date)", "a constant"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("marked", "message"), WRONG, ids=[marked.encode("ascii", "replace").decode() for marked, _ in WRONG]
)
def test_what_is_wrong_and_where(marked: str, message: str) -> None:
    """A text that is no filter is refused with its place; nothing is guessed. [N08] [N10] [N20] [N21] [O06]"""
    position = marked.index("^")
    error = refused(marked.replace("^", "", 1))
    assert position == error.position
    assert message in error.message


@pytest.mark.parametrize("name", ["_deleted", "_sequence", "created_at", "updated_at", "__version", "a.b"])
def test_names_that_no_client_sees(name: str) -> None:
    """Fields that the service keeps for itself have no name in a filter, also where any other name has one."""
    for closed in (True, False):
        assert 10 == refused(f"1 eq 1 or {name} eq null", closed=closed).position
    with pytest.raises(FilterError, match="no column"):
        parse_select(name, MOVIES, closed=False, limits=LIMITS)


def test_names_that_differ_by_case() -> None:
    """A name without its case counts where it is one column only. [N21]"""
    table = TableSchema(
        "t", (Column("a", ColumnType.STRING, wire="Name"), Column("b", ColumnType.STRING, wire="NAME"))
    )
    assert ("a", "b") == parse_select("Name,NAME", table, closed=True, limits=LIMITS)
    with pytest.raises(FilterError, match="more than one column"):
        parse_select("name", table, closed=True, limits=LIMITS)


def test_length_and_depth_are_limited() -> None:
    """No text is read that is longer, and no expression is kept that nests deeper, than the limits allow."""
    text = "year eq 1970"
    assert (len(text) - 1, 12) == (refused(text, filter=len(text) - 1).position, len(text))
    assert ids(r for r in ROWS if r["year"] == 1970) == ids(
        filter(matcher(parsed(text, filter=len(text))), ROWS)
    )
    for depth in (3, 32):
        deep = "not " * (depth - 2) + "(year eq 1)"
        _ = parsed(deep, depth=depth)
        assert 0 == refused("not " + deep, depth=depth).position
    chain = "year eq 1" + " add 1" * 40
    assert chain.index(" add") + 1 + 6 * 31 == refused(chain).position
    assert "nests more than 32" in refused("-" * 40 + "year eq 1").message
    assert "nests more than 32" in refused("tolower(" * 40 + "title" + ")" * 40 + " eq 'a'").message
    assert (
        "nests more than 32"
        in refused("bestPictureWinner and (year eq 1 or (" * 20 + "true" + "))" * 20).message
    )


def test_brackets_and_long_lists_cost_no_depth() -> None:
    """Clients write a long list of alternatives as pairs in pairs; thousands of brackets do not matter."""
    many = "(" * 300 + "year eq 1970" + "".join(f" or id eq 'm{number:02}')" for number in range(300))
    assert 30 == len(ids(filter(matcher(parsed(many)), ROWS)))
    assert parsed("year eq 1") == parsed("(" * 4000 + "year eq 1" + ")" * 4000)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 8192, "not " * 2048, "-" * 8192, "cast(" * 1638, "year eq " + "9" * 8000, "year eq 1e" + "9" * 8000,
        "'" * 8191, "''" * 4000, "title in (" * 800, "tolower(" * 1000, "a/" * 4000, "\ud800" * 8000, "\x00" * 8000,
        "1 div " * 1300 + "1 eq 1", "a." * 4000, "0" * 8000, ("year div year div ") * 400 + "1 eq 1", "," * 8000,
        "true and " * 900 + "true or " * 10, "price eq " + "1" * 59 + "e5M", "price eq 1e400M"
    ],
)  # fmt: skip
def test_hostile_texts_are_refused(text: str) -> None:
    """Neither the stack, nor the size of a number, nor the time runs out: it is one error."""
    assert 0 <= refused(text).position <= len(text)


VALID = [text for text, _ in (*COMPARISONS, *LOGIC, *MOMENTS, *FUNCTIONS, *SLICES, *NUMBERS)]
WORDS = [
    "year", "title", "price", "releaseDate", "nobody", "cast", "not", "and", "or", "eq", "ne", "gt", "in", "add",
    "div", "mod", "null", "true", "(", ")", ",", "/", "-", "'", "''", "'a'", "1", "1.5M", "2020-01-01", "12:00",
    "datetime'2020-01-01T00:00:00Z'", "guid'", "contains(", "substring(", "indexof(", "cast(", "Edm.Date", "_deleted",
    "\x00", "\ud800", "é", "9" * 70, "1e999", " ",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A filter in which something was taken out, put in or turned round."""
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 6)))
        text = text[:start] + draw(st.sampled_from(WORDS) | st.text(max_size=2) | st.just("")) + text[end:]
    return text


def outcome(parse: Callable[[], Any]) -> Any:
    """What a text is read as, or the error."""
    try:
        return parse()
    except FilterError as error:
        return error


TEXTS = (
    mutated()
    | st.text(st.characters(), max_size=40)
    | st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
    | st.lists(st.sampled_from(WORDS), max_size=12).map("".join)
)


@given(TEXTS, st.sampled_from(["2.0", "3.0"]), st.booleans())
@example("cast(" * 500, "3.0", True)
def test_any_text_is_a_filter_or_one_error(text: str, dialect: Any, closed: bool) -> None:
    """Whatever the text, it is a condition that can be asked, or a `FilterError` at a place in it. [N10]"""
    where = outcome(lambda: parse_filter(text, MOVIES, dialect=dialect, closed=closed, limits=LIMITS))
    if isinstance(where, FilterError):
        assert 0 <= where.position <= len(text)
        assert str(where).encode()
    else:
        assert {True, False} >= {matcher(where)(row) for row in ROWS}


@given(TEXTS, st.booleans())
def test_any_text_is_an_order_and_a_selection_or_one_error(text: str, closed: bool) -> None:
    """The same for `$orderby` and `$select`."""
    for parse in (parse_order, parse_select):
        found = outcome(lambda parse=parse: parse(text, MOVIES, closed=closed, limits=LIMITS))
        assert found if isinstance(found, tuple) else 0 <= found.position <= len(text)


def ordered(text: str, *, closed: bool = True) -> list[tuple[str, bool]]:
    """Columns and directions of an order."""
    keys: list[tuple[str, bool]] = []
    for key in parse_order(text, MOVIES, closed=closed, limits=LIMITS):
        assert isinstance(key, Order)
        keys.append((getattr(key.by, "name", ""), key.descending))
    return keys


def test_orders() -> None:
    """Columns with asc, desc or nothing; one that comes again adds nothing. [N06] [N21] [O06]"""
    assert [("year", True), ("title", False)] == ordered("year desc,title")
    assert [("year", False), ("updated_at", True)] == ordered(" year asc , updatedAt DESC,year desc")
    assert [("best", False), ("_deleted", False), ("id", True)] == ordered(
        "bestpicturewinner,deleted,id desc"
    )
    assert [("x", True)] == ordered("x desc", closed=False)


def test_selections() -> None:
    """Columns, each once, by their local names. [N06] [N21] [O06]"""
    found = parse_select(
        "id, Title,bestPictureWinner,title,deleted,updatedAt", MOVIES, closed=True, limits=LIMITS
    )
    assert ("id", "title", "best", "_deleted", "updated_at") == found
    assert ("x",) == parse_select("x", MOVIES, closed=False, limits=LIMITS)


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        ("^", "a column belongs"), ("year,^", "a column belongs"), ("^nobody", "no column"), ("year ^up", "asc, desc"),
        ("year desc ^year", "a comma"), ("year^/x", "a path"), ("^5", "a column belongs"),
        ("^-year", "a column belongs"),
        ("tolower^(title)", "a comma"), ("^cast", "no order"), ("year ^'desc'", "a comma"), ("year^;", "no meaning"),
    ],
)  # fmt: skip
def test_orders_that_are_none(marked: str, message: str) -> None:
    """An order is refused with its place. [N21]"""
    with pytest.raises(FilterError, match=message) as caught:
        ordered(marked.replace("^", "", 1))
    assert marked.index("^") == caught.value.position
    if " " not in marked and "cast" not in marked:
        with pytest.raises(FilterError) as again:
            parse_select(marked.replace("^", "", 1), MOVIES, closed=True, limits=LIMITS)
        assert marked.index("^") == again.value.position


def test_an_order_has_sixteen_columns_at_most() -> None:
    """A sort of more keys is no listing that anybody reads."""
    text = ",".join(f"x{number}" for number in range(16))
    assert 16 == len(ordered(text, closed=False))
    with pytest.raises(FilterError, match="16 columns"):
        ordered(f"{text},y", closed=False)
    with pytest.raises(FilterError, match="characters"):
        parse_order("x" * 8193, MOVIES, closed=False, limits=LIMITS)


def test_no_digit_limit_of_the_interpreter_shows() -> None:
    """A number is refused by its length before anything converts it."""
    digits = "1" * (sys.get_int_max_str_digits() + 1)
    assert "more than 60" in refused(f"year eq {digits}").message
