"""What filters select: each against a line of Python over thirty records, on the predicate and on both stores."""

import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.transports.service.odata.movies import ROWS, STORED, ids, parsed, query
from tidesync.contracts.store import Store
from tidesync.predicate import matcher
from tidesync.query import And, Compare, Field, In, Not, Or, Value
from tidesync.schema import Column, TableSchema
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.odata import FilterError, parse_filter
from tidesync.values import ColumnType

Row = dict[str, Any]
Says = Callable[[Row], bool]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    """A store of each kind with all the records."""
    stores: list[Store] = [
        MemoryStore(),
        SQLiteStore(tmp_path_factory.mktemp("movies") / "x.db", synchronous="normal"),
    ]
    for store in stores:
        store.open([STORED])
        with store.transaction(write=True) as transaction:
            transaction.put("movies", ROWS)
    yield stores
    for store in stores:
        store.close()


def check(text: str, says: Says, stores: list[Store], dialect: str = "3.0") -> None:
    """The filter selects what the line of Python does, wherever it is asked; some records, and not all."""
    where = parsed(text, dialect)
    expected = ids(row for row in ROWS if says(row))
    assert expected == ids(filter(matcher(where), ROWS))
    for store in stores:
        with store.transaction(write=False) as transaction:
            assert expected == ids(transaction.select(query(where)))
    assert 0 < len(expected) < len(ROWS)


def title(row: Row) -> str:
    return row["title"] or ""


def half_away(value: Fraction) -> int:
    size = math.floor(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size


COMPARISONS: list[tuple[str, Says]] = [
    ("year eq 1970", lambda r: r["year"] == 1970),
    ("year ne 1970", lambda r: r["year"] != 1970),
    ("year gt 1970", lambda r: r["year"] > 1970),
    ("year ge 1970", lambda r: r["year"] >= 1970),
    ("year lt 1970", lambda r: r["year"] < 1970),
    ("year le 1970L", lambda r: r["year"] <= 1970),
    ("1970 lt year", lambda r: r["year"] > 1970),
    ("year ge 1970.5", lambda r: r["year"] > 1970),
    ("year eq 1.97e3", lambda r: r["year"] == 1970),
    ("year le 1.97E+03", lambda r: r["year"] <= 1970),
    ("score eq -1.5", lambda r: r["score"] == -1.5),
    ("score eq -1.5f", lambda r: r["score"] == -1.5),
    ("score lt -1.0d", lambda r: r["score"] is not None and r["score"] < -1),
    ("score eq 2M", lambda r: r["score"] == 2),
    ("score eq null", lambda r: r["score"] is None),
    ("score ne null", lambda r: r["score"] is not None),
    ("null eq score", lambda r: r["score"] is None),
    ("score ne 0.25", lambda r: r["score"] != 0.25),
    ("not (score gt 1)", lambda r: not (r["score"] is not None and r["score"] > 1)),
    ("rating eq 'R'", lambda r: r["rating"] == "R"),
    ("rating ne 'PG-13'", lambda r: r["rating"] != "PG-13"),
    ("rating eq null", lambda r: r["rating"] is None),
    ("title eq 'Alien''s'", lambda r: r["title"] == "Alien's"),
    ("title eq ''", lambda r: r["title"] == ""),
    ("title gt 'T'", lambda r: r["title"] is not None and r["title"] > "T"),
    ("id eq 'm07'", lambda r: r["id"] == "m07"),
    ("version eq 'v7'", lambda r: r["version"] == "v7"),
    ("price eq 7.50M", lambda r: r["price"] == "7.50"),
    ("price eq 7.5", lambda r: r["price"] == "7.50"),
    ("price eq '7.500'", lambda r: r["price"] == "7.50"),
    ("price gt 9m", lambda r: r["price"] is not None and Decimal(r["price"]) > 9),
    ("price in (7.5,-1,10.50M)", lambda r: r["price"] in ("7.50", "10.50")),
    ("ref eq guid'0190A6F2-7C1E-7A3B-8F00-000000000007'", lambda r: r["id"] == "m07"),
    ("ref eq 0190a6f2-7c1e-7a3b-8f00-000000000007", lambda r: r["id"] == "m07"),
    ("ref eq cast(0190a6f2-7c1e-7a3b-8f00-000000000007,Edm.Guid)", lambda r: r["id"] == "m07"),
    ("ref eq '0190A6F2-7c1e-7a3b-8f00-000000000007'", lambda r: r["id"] == "m07"),
    ("poster eq 'QUJD'", lambda r: r["poster"] == "QUJD"),
    ("cast ne null", lambda r: r["cast"] is not None),
    ("YEAR eq 1970", lambda r: r["year"] == 1970),
    ("bestpicturewinner", lambda r: r["best"] is True),
    ("ID eq 'm07' or Version eq 'v8'", lambda r: r["id"] in ("m07", "m08")),
]


@pytest.mark.parametrize(("text", "says"), COMPARISONS, ids=[text for text, _ in COMPARISONS])
def test_comparisons(text: str, says: Says, stores: list[Store]) -> None:
    """Each type with its own constants, null as a value that equals itself only. [N05] [N12] [N16] [N18] [O06]"""
    check(text, says, stores)


LOGIC: list[tuple[str, Says]] = [
    ("bestPictureWinner", lambda r: r["best"] is True),
    ("not bestPictureWinner", lambda r: r["best"] is not True),
    ("not(bestPictureWinner)", lambda r: r["best"] is not True),
    ("bestPictureWinner eq false", lambda r: r["best"] is False),
    ("bestPictureWinner ne true", lambda r: r["best"] is not True),
    ("not(bestPictureWinner ne false)", lambda r: r["best"] is False),
    ("not bestPictureWinner eq true", lambda r: r["best"] is not True),
    ("(bestPictureWinner eq true) eq false", lambda r: r["best"] is not True),
    ("deleted", lambda r: r["_deleted"]),
    ("deleted eq false", lambda r: not r["_deleted"]),
    ("year ge 1970 and year lt 1975 or year eq 1990", lambda r: 1970 <= r["year"] < 1975 or r["year"] == 1990),
    ("year eq 1990 or year ge 1970 and year lt 1975", lambda r: 1970 <= r["year"] < 1975 or r["year"] == 1990),
    ("year ge 1970 and (year lt 1975 or year eq 1990)", lambda r: 1970 <= r["year"] < 1975 or r["year"] == 1990),
    ("not (year lt 1970) and not bestPictureWinner", lambda r: r["year"] >= 1970 and r["best"] is not True),
    ("(((id eq 'm01') or (id eq 'm02')) or (id eq 'm03'))", lambda r: r["id"] in ("m01", "m02", "m03")),
    ("id in ('m01','m02', 'm03')", lambda r: r["id"] in ("m01", "m02", "m03")),
    ("title in ('Heat',null)", lambda r: r["title"] in ("Heat", None)),
    ("not(tolower(title) in ('heat'))", lambda r: r["title"] != "Heat"),
    ("price add 0M in (7.5,8.5)", lambda r: r["price"] in ("7.50", "8.50")),
    ("(true eq false) or year eq 1970", lambda r: r["year"] == 1970),
    ("true and year eq 1970 and 'a' eq 'a' and 1 eq 1.0 and 1M eq 1.0 and null eq null", lambda r: r["year"] == 1970),
    ("id in () or year eq 1970", lambda r: r["year"] == 1970),
    ("\tyear\r\n  eq 1970 ", lambda r: r["year"] == 1970),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), LOGIC, ids=[text for text, _ in LOGIC])
def test_logic(text: str, says: Says, stores: list[Store]) -> None:
    """Conditions nest with and, or, not, in and brackets; a boolean column is one by itself. [N01] [N05] [N24] [O06]"""
    check(text, says, stores)


MOMENTS: list[tuple[str, Says]] = [
    (f"updatedAt {op} {literal}", says)
    for literal in (
        "datetimeoffset'2026-11-20T03:45:07.507Z'",
        "datetimeoffset'2026-11-20T03:45:07.5070000+00:00'",
        "datetime'2026-11-20T03:45:07.507Z'",
        "datetime'2026-11-20T03:45:07.507'",
        "cast(2026-11-20T03:45:07.507Z,Edm.DateTimeOffset)",
        "cast('2026-11-20T03:45:07.507Z',Edm.DateTimeOffset)",
        "2026-11-20T05:45:07.507+02:00",
        "'2026-11-20T03:45:07.507Z'",
    )
    for op, says in (
        ("eq", lambda r: r["id"] == "m07"),
        ("ge", lambda r: r["id"] >= "m07"),
        ("gt", lambda r: r["id"] > "m07"),
    )
] + [
    ("releaseDate lt datetime'1970-01-01T00:00:00Z'", lambda r: r["year"] < 1970),
    ("releaseDate ge 1970-01-01", lambda r: r["year"] >= 1970),
    ("releaseDate eq 1972-08-08T07:07:07Z", lambda r: r["id"] == "m07"),
    ("releaseDate ge datetime'1970-01-01T00:00'", lambda r: r["year"] >= 1970),
    ("day eq cast(1972-08-08,Edm.Date)", lambda r: r["id"] == "m07"),
    ("day eq 1972-08-08", lambda r: r["id"] == "m07"),
    ("day eq '1972-08-08'", lambda r: r["id"] == "m07"),
    ("day gt datetime'1972-08-08T00:00:00.000Z'", lambda r: r["year"] > 1972),
    ("starts eq cast(07:30:00,Edm.TimeOfDay)", lambda r: r["id"] == "m07"),
    ("starts ge 20:30", lambda r: r["starts"] >= "20:30"),
    ("starts lt '07:30:00.0000000'", lambda r: r["starts"] < "07:30"),
    ("year(releaseDate) eq 1972", lambda r: r["year"] == 1972),
    ("(month(releaseDate) sub 1) eq 7", lambda r: r["day"][5:7] == "08"),
    ("day(day) eq 8", lambda r: r["day"][8:] == "08"),
    ("hour(releaseDate) lt 3", lambda r: int(r["released"][11:13]) < 3),
    ("minute(releaseDate) eq 7", lambda r: r["id"] == "m07"),
    ("hour(starts) ge 22 or second(releaseDate) ne 7", lambda r: r["starts"] >= "22"),
]


@pytest.mark.parametrize(("text", "says"), MOMENTS, ids=[text for text, _ in MOMENTS])
def test_dates_and_times(text: str, says: Says, stores: list[Store]) -> None:
    """Every spelling of a moment, of either protocol, means that moment; its parts are in UTC. [N02] [N18] [O06]"""
    check(text, says, stores)


FUNCTIONS: list[tuple[str, Says]] = [
    ("endswith(title, 'er')", lambda r: title(r).endswith("er")),
    ("endswith(tolower(title), 'matrix')", lambda r: title(r).lower().endswith("matrix")),
    ("startswith(toupper(title),'THE')", lambda r: title(r).upper().startswith("THE")),
    ("startswith(title,'100%')", lambda r: title(r).startswith("100%")),
    ("contains(title,'_')", lambda r: "_" in title(r)),
    ("substringof('rd',title)", lambda r: "rd" in title(r)),
    ("substringof('rd',title) eq true", lambda r: "rd" in title(r)),
    ("not contains(title,'rd')", lambda r: "rd" not in title(r)),
    ("length(title) le 4", lambda r: r["title"] is not None and len(r["title"]) <= 4),
    ("trim(title) eq 'padded'", lambda r: title(r).strip() == "padded"),
    ("concat(concat(id,'-'),title) eq 'm09-Heat'", lambda r: r["id"] == "m09"),
    ("startswith(rating,'PG')", lambda r: (r["rating"] or "").startswith("PG")),
    ("contains(title,'''s')", lambda r: "'s" in title(r)),
]


@pytest.mark.parametrize(("text", "says"), FUNCTIONS, ids=[text for text, _ in FUNCTIONS])
def test_functions_of_text(text: str, says: Says, stores: list[Store]) -> None:
    """Text functions of both protocols; every character means itself. [N08] [N13] [N16] [N20] [N24] [R-N27] [O06]"""
    check(text, says, stores)


@pytest.mark.parametrize("op", ["eq", "ne", "lt", "le", "gt", "ge"])
@pytest.mark.parametrize("number", [-1, 0, 1])
@pytest.mark.parametrize("part", ["'e'", "'Heat'", "''", "id"])
def test_indexof_is_a_search(op: str, number: int, part: str, stores: list[Store]) -> None:
    """`indexof` compared with 0, 1 or -1 is a search wherever that says the same, and is refused elsewhere. [N16]"""
    wanted = {
        "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a is not None and a < b,
        "le": lambda a, b: a is not None and a <= b, "gt": lambda a, b: a is not None and a > b,
        "ge": lambda a, b: a is not None and a >= b,
    }[op]  # fmt: skip

    def index(row: Row) -> int | None:
        needle = row["id"] if part == "id" else part.strip("'")
        return None if row["title"] is None else row["title"].find(needle)

    text = f"indexof(title,{part}) {op} {number}"
    if (op, number) in {("eq", 1), ("ne", 1), ("le", 1), ("gt", 1), ("lt", -1), ("ge", -1)}:
        with pytest.raises(FilterError, match="not supported here"):
            parsed(text)
        return
    expected = ids(row for row in ROWS if wanted(index(row), number))
    turned = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}.get(op, op)
    for spelt in (text, f"{number} {turned} indexof(title,{part})"):
        where = parsed(spelt)
        assert expected == ids(filter(matcher(where), ROWS))
        for store in stores:
            with store.transaction(write=False) as transaction:
                assert expected == ids(transaction.select(query(where)))


SLICES: list[tuple[str, Says]] = [
    ("substring(title,0,3) eq 'The'", lambda r: title(r)[:3] == "The"),
    ("substring(title,0,5) eq 'Heat'", lambda r: title(r)[:5] == "Heat"),
    ("substring(title,0,2) eq 'Heat' or id eq 'm01'", lambda r: r["id"] == "m01"),
    ("substring(title,1) eq 'eat'", lambda r: title(r)[1:] == "eat"),
    ("substring(title,0) eq 'Heat'", lambda r: title(r) == "Heat"),
    ("'The' ne substring(title,0,3)", lambda r: r["title"] is None or r["title"][:3] != "The"),
    ("substring(title,1) ne 'eat'", lambda r: r["title"] is None or r["title"][1:] != "eat"),
]


@pytest.mark.parametrize(("text", "says"), SLICES, ids=[text for text, _ in SLICES])
def test_substring_is_a_search(text: str, says: Says, stores: list[Store]) -> None:
    """The beginning or the rest of a text equals a constant, or does not. [N16]"""
    check(text, says, stores)


NUMBERS: list[tuple[str, Says]] = [
    ("(year sub 1900) ge 80", lambda r: r["year"] >= 1980),
    ("year add 10 mul 2 le 1990", lambda r: r["year"] + 20 <= 1990),
    ("((year add 10) mul 2) le 3970", lambda r: (r["year"] + 10) * 2 <= 3970),
    ("year mod 4 eq 0", lambda r: r["year"] % 4 == 0),
    ("(score mod 2) eq -1.0", lambda r: r["score"] is not None and math.fmod(r["score"], 2) == -1),
    ("0 sub year lt -1980", lambda r: r["year"] > 1980),
    ("-year lt -1980", lambda r: r["year"] > 1980),
    ("- (year add 1) lt -1980", lambda r: r["year"] + 1 > 1980),
    ("duration div 60.0 gt 2", lambda r: r["duration"] > 120),
    ("(year div 985.5) eq 2", lambda r: r["year"] == 1971),
    ("ceiling(duration div 60.0) eq 2", lambda r: math.ceil(Fraction(r["duration"], 60)) == 2),
    ("floor(duration div 60.0) eq 2", lambda r: r["duration"] // 60 == 2),
    ("round(duration div 60.0) eq 2", lambda r: half_away(Fraction(r["duration"], 60)) == 2),
    ("round(score) eq -2", lambda r: r["score"] is not None and half_away(Fraction(r["score"])) == -2),
    ("floor(price) eq 7", lambda r: r["price"] == "7.50"),
    ("price gt 1 and 0.1M add 0.2 eq 0.3", lambda r: r["price"] is not None and Decimal(r["price"]) > 1),
    ("score mul 0.1M eq 0.175M", lambda r: r["score"] == 1.75),
    ("price add 0.05M eq 7.55", lambda r: r["price"] == "7.50"),
    ("price mul 2 ge 40", lambda r: r["price"] is not None and Decimal(r["price"]) >= 20),
    ("score lt price", lambda r: None not in (r["score"], r["price"]) and r["score"] < float(r["price"])),
]


@pytest.mark.parametrize(("text", "says"), NUMBERS, ids=[text for text, _ in NUMBERS])
def test_arithmetic(text: str, says: Says, stores: list[Store]) -> None:
    """Arithmetic and rounding, exact for decimals; null where an operand is. [N04] [N08] [N20] [O06]"""
    check(text, says, stores)


@pytest.mark.parametrize(
    ("text", "real", "whole"),
    [
        ("(year sub 1975) div 4 eq 2", lambda y: (y - 1975) == 8, lambda y: 8 <= y - 1975 < 12),
        ("(year sub 1975) div 4 eq -2", lambda y: (y - 1975) == -8, lambda y: -12 < y - 1975 <= -8),
        ("(year sub 1975) div -4 ge 1", lambda y: y <= 1971, lambda y: y <= 1971),
        ("7 div 2 eq 3.5 and year eq 1970", lambda y: y == 1970, None),
        ("7 div 2 eq 3 and year eq 1970", None, lambda y: y == 1970),
    ],
)  # fmt: skip
def test_a_division_of_integers(text: str, real: Any, whole: Any, stores: list[Store]) -> None:
    """Two integers divide as numbers in 2.0, and as integers towards zero in 3.0. [N20]"""
    for dialect, says in (("2.0", real), ("3.0", whole)):
        where = parsed(text, dialect)
        expected = [] if says is None else ids(row for row in ROWS if says(row["year"]))
        assert expected == ids(filter(matcher(where), ROWS))
        for store in stores:
            with store.transaction(write=False) as transaction:
                assert expected == ids(transaction.select(query(where)))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("not " * 30 + "(year eq 1970)", 1),
        ("-" * 30 + "year eq 1970", 1),
        ("year eq 1970" + " add 1 sub 1" * 15, 1),
        ("tolower(" * 30 + "title" + ")" * 30 + " eq 'heat'", 2),
        ("(year eq 1970 or (deleted and " * 15 + "true" + "))" * 15, 4),
        (" or ".join(["bestPictureWinner"] * 390), 8),
        (" and ".join(["(year eq 1970 or year eq 1971)"] * 230), 2),
        ("id in (" + ",".join(f"'m{number:02}'" for number in range(1_000)) + ")", 30),
    ],
)
def test_the_largest_filters_can_be_asked(text: str, count: int, stores: list[Store]) -> None:
    """What the limits let through, both stores can answer."""
    where = parsed(text)
    assert count == len(ids(filter(matcher(where), ROWS)))
    for store in stores:
        with store.transaction(write=False) as transaction:
            assert count == transaction.count(query(where))


def test_the_tree_of_a_filter() -> None:
    """Names are local, constants canonical and of their column's type, and a chain is one node. [N10]"""
    year, best = Field("year", ColumnType.INTEGER), Field("best", ColumnType.BOOLEAN)
    integer = ColumnType.INTEGER
    first, last = Compare("eq", year, Value(1, integer)), Compare("eq", year, Value(2, integer))
    assert Or((first, last, And((best, Not(best))))) == parsed(
        "((year eq 1) or (year eq 2)) or (bestPictureWinner and not bestPictureWinner)"
    )
    decimal = Compare("eq", Field("price", ColumnType.DECIMAL), Value("1.50", ColumnType.DECIMAL))
    assert decimal == parsed("price eq 1.50M")
    assert In(Field("ref", ColumnType.UUID), ("0190a6f2-7c1e-7a3b-8f00-000000000007",)) == parsed(
        "ref in (guid'0190A6F2-7C1E-7A3B-8F00-000000000007')"
    )


def test_an_open_table_has_any_column() -> None:
    """Any name is a column of any values; a moment meets it as the wire spells one. [N16]"""
    rows = [
        {"id": "a", "x": 1, "y": "2026-11-20T03:45:05.507Z"},
        {"id": "b", "x": "1"},
        {"id": "c", "x": True},
    ]

    def found(text: str) -> list[str]:
        return ids(filter(matcher(parsed(text, closed=False)), rows))

    assert (["a"], ["b"], ["c"]) == (found("x eq 1"), found("x eq '1'"), found("x"))
    assert ["a"] == found("y eq datetime'2026-11-20T05:45:05.507+02:00'")
    assert ["a"] == found("x add 1 eq 2")
    assert ["b", "c"] == found("y eq null")


@pytest.mark.parametrize("name", ["datetime", "guid", "eq", "and", "in", "cast", "year", "contains", "Größe"])
def test_a_column_may_be_called_like_a_word_of_the_language(name: str) -> None:
    """What a word is follows from where it stands. [R-N26]"""
    table = TableSchema("t", (Column("c", ColumnType.STRING, wire=name),))
    where = parse_filter(
        f"{name} eq 'x' and 'y' ne {name}", table, dialect="2.0", closed=True, limits=Limits()
    )
    column = Field("c", ColumnType.STRING)
    value = Value("x", ColumnType.STRING), Value("y", ColumnType.STRING)
    assert And((Compare("eq", column, value[0]), Compare("ne", value[1], column))) == where
