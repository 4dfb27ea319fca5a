"""What an application's own rules do to REST requests, and every status that the service promises."""

import pytest

from tests.transports.service.conftest import Serve
from tests.transports.service.rest.support import FILM, FILMS, Client, Dialect, address, keep
from tidesync import table
from tidesync.contracts.transport import Rejected
from tidesync.records import Record
from tidesync.stores import MemoryStore
from tidesync.transports.service import Limits, Principal, bearer
from tidesync.transports.service.conditions import entity_tag

TOKEN = "0123456789abcdef"
_films = table("films", {"owner": str})
ANN = Principal("ann", {"films": _films.c.owner == "ann"})


def _later_year_wins(old: Record | None, new: Record | None, _: Principal) -> Record | Rejected | None:
    """Refuses what is forbidden, upper-cases titles, and settles a conflict in favour of the later year."""
    if new is None:
        return Rejected("kept", "films are not deleted") if old and old.get("year") == 1927 else None
    if new.get("title") == "forbidden":
        return Rejected("forbidden", "not this one")
    if new.get("title") == "fails":
        raise RuntimeError("do-not-tell")
    if old is not None and old["version"] != new.get("version"):
        return {**old, "year": max(int(str(old["year"])), int(str(new["year"])))} if "year" in new else None
    return {**new, "title": str(new.get("title")).upper()}


@pytest.mark.parametrize("dialect", ["2.0", "3.0"])
def test_a_rule_hears_of_conflicts_and_may_settle_them(serve: Serve, dialect: Dialect) -> None:
    """It sees the version that a write was made from; its answer is the reply. [O01] [O04]"""
    client = Client(serve(MemoryStore(), [FILMS], before_write=_later_year_wins), dialect)
    created = client("POST", "films", {"id": "one", "title": "Metropolis", "year": 1926})
    stale = {"If-Match": '"0.old"'}

    settled = client("PATCH", "films/one", {"year": 1927}, stale)
    refused = client("PATCH", "films/one", {"year": None, "title": "forbidden"}, stale)
    failed = client("PATCH", "films/one", {"title": "fails"})
    kept = client("DELETE", "films/one")

    assert (201, "METROPOLIS") == (created.status_code, created.json()["title"])
    assert (200, 1927, "METROPOLIS") == (settled.status_code, settled.json()["year"], settled.json()["title"])
    assert (403, "not this one") == (refused.status_code, refused.json()["error"])
    assert (500, False) == (failed.status_code, "do-not-tell" in failed.text)
    assert (400, "kept") == (kept.status_code, kept.json()["code"])
    assert settled.json() == client.get("films/one").json()


def test_every_promised_status_is_reached(serve: Serve) -> None:
    """By requests that mean it, each answered in JSON or with nothing. [O02] [O05] [O09] [O10]"""
    limits = Limits(body=2000, rate=0.001, burst=60)
    who = bearer({TOKEN: ANN, TOKEN[::-1]: Principal("busy")})
    served = serve(MemoryStore(), [FILMS], authorize=who, limits=limits)
    ann = Client(served, "3.0", Authorization=f"Bearer {TOKEN}")
    busy = Client(served, "3.0", Authorization=f"Bearer {TOKEN[::-1]}")
    two = Client(served, "2.0", **{"X-ZUMO-AUTH": TOKEN})
    film = {**FILM, "owner": "ann"}
    _ = keep(served, "hidden", **{**film, "owner": "bob"})
    _ = keep(served, "dead", deleted=True, **film)
    tag = entity_tag(keep(served, "live", **film))
    _ = [busy.get("films") for _ in range(60)]

    replies = [
        ann.get("films"),
        ann("POST", "films", {**film, "id": "new"}),
        ann("DELETE", "films/new"),
        ann.get("films/live", {"If-None-Match": tag}),
        ann("POST", "films", b"{"),
        Client(served, "3.0").get("films"),
        ann("POST", "films", {**film, "id": "hidden"}),
        ann.get("films/nobody"),
        ann("POST", "films", {**film, "id": "live"}),
        ann.get("films/dead"),
        two("PATCH", "films/live", {"title": "x"}, {"If-Match": '"0.no"'}),
        ann("POST", "films", {**film, "title": "x" * 3000}),
        ann("POST", "films", b"{}", {"Content-Type": "text/xml"}),
        busy.get("films"),
    ]

    expected = [200, 201, 204, 304, 400, 401, 403, 404, 409, 410, 412, 413, 415, 429]
    assert expected == [reply.status_code for reply in replies]
    for reply in replies:
        if reply.status_code in (204, 304):
            assert b"" == reply.content
        else:
            assert isinstance(reply.json(), dict)
    assert int(replies[-1].headers["Retry-After"]) > 0


def test_a_hidden_record_never_was(serve: Serve) -> None:
    """Not in lists, counts or pages, and what is answered about it is what is answered about nothing. [O05] [O06]"""
    served = serve(
        MemoryStore(), [FILMS], authorize=bearer({TOKEN: ANN}), limits=Limits(page=3, page_default=2)
    )
    ann = Client(served, "3.0", Authorization=f"Bearer {TOKEN}")
    for number in range(12):
        owner = "ann" if number % 3 == 0 else "bob"
        _ = keep(served, f"f{number:02}", deleted=number > 8, owner=owner)
    hidden, nothing = ann.get(address("f01")), ann.get(address("nobody"))
    first = ann.get("films?$count=true&__includedeleted=true")

    assert ["f00", "f03", "f06", "f09"] == [row["id"] for row in ann.walk("films?__includedeleted=true")]
    assert (4, 2) == (first.json()["count"], len(first.json()["items"]))
    assert nothing.status_code == hidden.status_code == 404
    assert nothing.json() == hidden.json()
    dead = "?__includedeleted=true"
    assert ann.get(address("f10") + dead).json() == ann.get(address("nobody") + dead).json()
