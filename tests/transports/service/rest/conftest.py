"""One service for the tests of a file, asked by two people."""

from collections.abc import Generator

import pytest
from starlette.requests import Request

from tests.transports.service.rest.support import FILMS, NOTES, Client, Dialect
from tests.transports.service.support import Serving
from tidesync import table
from tidesync.stores import MemoryStore
from tidesync.transports.service import Limits, Principal, create_app

ANYBODY = Principal("")
_films = table("films", {"owner": str})
ANN = Principal("ann", {"films": _films.c.owner == "ann"})


def _who(request: Request) -> Principal:
    return ANN if request.headers.get("X-Who") == "ann" else ANYBODY


@pytest.fixture(scope="module")
def films() -> Generator[Serving]:
    """A service of films and notes, with pages of 10 rows at most and 4 by default; header `X-Who: ann` is Ann's."""
    limits = Limits(page=10, page_default=4, body=4096, filter=400)
    served = Serving(create_app(MemoryStore(), [FILMS, NOTES], authorize=_who, limits=limits))
    yield served
    served.stop()


@pytest.fixture
def two(films: Serving) -> Client:
    """A client of Azure Mobile Apps 2.0."""
    return Client(films, "2.0")


@pytest.fixture
def three(films: Serving) -> Client:
    """A client of Datasync 3.0."""
    return Client(films, "3.0")


@pytest.fixture
def community(films: Serving) -> Client:
    """A client that names no version, as those of the community toolkit."""
    return Client(films, None)


@pytest.fixture(params=["2.0", "3.0"])
def either(films: Serving, request: pytest.FixtureRequest) -> Client:
    """A client of one dialect after the other."""
    dialect: Dialect = request.param
    return Client(films, dialect)
