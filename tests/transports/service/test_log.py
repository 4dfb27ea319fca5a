"""The access log: what happened, and nothing that anybody wrote."""

import json
import logging
from typing import Any

import pytest

from tests.transports.service.conftest import Serve
from tests.transports.service.endpoints import SECRET, TODO, routed
from tests.transports.service.support import Serving
from tidesync.stores import MemoryStore
from tidesync.transports.service import Principal, bearer

TOKEN = "token-of-ann-0001"


def told(served: Serving, caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines, once all of them are written: that is after their replies."""
    served.stop()
    records = [each for each in caplog.records if each.name == "tidesync.service.access"]
    return [json.loads(each.getMessage()) for each in records]


@pytest.fixture(autouse=True)
def _listening(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    routed(monkeypatch)
    caplog.set_level(logging.INFO, "tidesync.service.access")


def test_one_line_of_json_for_each_request(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """All of its fields, in the order in which they are read."""
    served = serve(MemoryStore(), [TODO], authorize=bearer({TOKEN: Principal("ann")}))
    answer = served.http.get("/tables/todoitem", headers={"X-ZUMO-AUTH": TOKEN})
    (line,) = told(served, caplog)

    assert ["time", "method", "route", "table", "status", "bytes", "ms", "principal"] == list(line)
    assert ("GET", "/tables/{table}", "todoitem", 200, len(answer.content), "ann") == (
        line["method"], line["route"], line["table"], line["status"], line["bytes"], line["principal"]
    )  # fmt: skip
    assert (True, 24, "Z") == (0 < line["ms"] < 10_000, len(line["time"]), line["time"][-1])


def test_nothing_that_a_client_wrote_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """No id, query, header, body, table that is not there, address, or method of its own."""
    served = serve(MemoryStore(), [TODO])
    secret = {"X-Secret": SECRET, "Content-Type": "application/json"}
    for method, path in [
        ("POST", f"/tables/todoitem?{SECRET}=1"),
        ("GET", f"/tables/todoitem/{SECRET}?how={SECRET}"),
        ("GET", f"/tables/{SECRET}"),
        ("GET", f"/{SECRET}"),
        (SECRET.upper(), "/who"),
    ]:
        served.http.request(method, path, headers=secret, content=json.dumps({"id": SECRET}))
    lines = told(served, caplog)

    assert "" == SECRET * any(SECRET in str(line).lower() for line in lines)
    assert [201, 500, 404, 404, 405] == [line["status"] for line in lines]
    assert ["POST", "GET", "GET", "GET", "other"] == [line["method"] for line in lines]
    assert ["todoitem", "todoitem", None, None, None] == [line["table"] for line in lines]
    assert (None, "/tables/{table}/{id}") == (lines[3]["route"], lines[1]["route"])


def test_who_was_not_let_in_has_no_name(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """And what was compressed is counted as it was sent."""
    served = serve(MemoryStore(), [TODO], authorize=bearer({TOKEN: Principal("ann")}))
    served.http.get("/who")
    served.http.get("/whole?size=100000", headers={"X-ZUMO-AUTH": TOKEN, "Accept-Encoding": "gzip"})
    refused, whole = told(served, caplog)

    assert (401, None, "ann", True) == (
        refused["status"], refused["principal"], whole["principal"], 0 < whole["bytes"] < 10_000
    )  # fmt: skip


def test_a_reply_that_was_cut_says_so(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Its status was sent long before."""
    served = serve(MemoryStore(), [TODO])
    with pytest.raises(Exception, match=r"(?i)incomplete|disconnected|closed"):
        served.http.get("/fail?how=late", headers={"Accept-Encoding": "identity"})
    (line,) = told(served, caplog)

    assert (200, 5, True) == (line["status"], line["bytes"], line["cut"])


def test_a_reply_to_head_has_no_bytes(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Though its header tells how many there would be."""
    served = serve(MemoryStore(), [TODO])
    served.http.head("/whole?size=100")

    assert [("HEAD", 0)] == [(line["method"], line["bytes"]) for line in told(served, caplog)]


def test_health_is_logged_as_any_other(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever does not want it filters by its route."""
    served = serve(MemoryStore(), [TODO])
    served.http.get("/health")

    assert ["/health"] == [line["route"] for line in told(served, caplog)]
