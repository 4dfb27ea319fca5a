"""Thirty records, and stores that hold them."""

from typing import Any

from tidesync.query import Expr, Query
from tidesync.records import Record
from tidesync.schema import Column, TableSchema
from tidesync.transports.service.limits import Limits
from tidesync.transports.service.odata import parse_filter
from tidesync.values import ColumnType

T = ColumnType
MOVIES = TableSchema(
    "movies",
    (
        Column("title", T.STRING),
        Column("rating", T.ENUM),
        Column("year", T.INTEGER),
        Column("duration", T.INTEGER),
        Column("score", T.FLOAT),
        Column("price", T.DECIMAL),
        Column("best", T.BOOLEAN, wire="bestPictureWinner"),
        Column("released", T.DATETIME, wire="releaseDate"),
        Column("day", T.DATE),
        Column("starts", T.TIME),
        Column("ref", T.UUID),
        Column("poster", T.BYTES),
        Column("cast", T.JSON),
    ),
)
STORED = TableSchema("movies", (*MOVIES.columns, Column("_deleted", T.BOOLEAN)))
"""The same with the hidden field that an authority keeps."""
TITLES = [
    "The Godfather", "the Matrix", "Alien's", "100% Wolf", "A_B", "Ünder", "", " padded ", "Parker's Order", "Heat",
]  # fmt: skip
RATINGS = ["R", "PG-13", None]


def row(number: int) -> Record:
    """The record of a number; every third or so lacks a value."""
    day = f"{1965 + number}-{number % 12 + 1:02}-{number % 28 + 1:02}"
    return {
        "id": f"m{number:02}",
        "version": f"v{number}",
        "created_at": "2026-11-20T03:45:05.507000Z",
        "updated_at": f"2026-11-20T03:45:{number:02}.507000Z",
        "_deleted": number % 10 == 9,
        "title": TITLES[number % 10] if number < 27 else None,
        "rating": RATINGS[number % 3],
        "year": 1965 + number,
        "duration": 60 + 7 * number % 100,
        "score": None if number % 7 == 6 else number / 4 - 2,
        "price": None if number % 5 == 4 else f"{number}.50",
        "best": None if number == 0 else number % 4 == 1,
        "released": f"{day}T{number % 24:02}:{number:02}:07.000000Z",
        "day": day,
        "starts": f"{number % 24:02}:30:00.000000",
        "ref": f"0190a6f2-7c1e-7a3b-8f00-0000000000{number:02}",
        "poster": "QUJD" if number % 2 else None,
        "cast": ["x"] if number % 2 else None,
    }


ROWS = [row(number) for number in range(30)]


def parsed(text: str, dialect: Any = "3.0", *, closed: bool = True, **limits: int) -> Expr:
    """The filter of MOVIES that a text is."""
    return parse_filter(text, MOVIES, dialect=dialect, closed=closed, limits=Limits(**limits))


def ids(rows: Any) -> list[str]:
    """The ids of records, sorted."""
    return sorted(str(row["id"]) for row in rows)


def query(where: Expr) -> Query:
    """The records for which a condition holds."""
    return Query("movies", where)
