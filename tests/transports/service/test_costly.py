"""A request that would take for ever to find is given up, and others are answered."""

from pathlib import Path

import pytest

from tests.transports.service.conftest import Serve
from tidesync.contracts.transport import Absent, Change, PullRequest
from tidesync.errors import RequestRefused
from tidesync.query import Call, Compare, Field, Or, Query, Value
from tidesync.schema import TableSchema
from tidesync.stores import SQLiteStore
from tidesync.transports import HttpTransport

NOTES = TableSchema("notes")
WORDS = [f"no {n}" for n in range(150)]


def test_a_costly_read_is_400(serve: Serve, tmp_path: Path) -> None:
    """In every protocol, where the store was told how long a read may take."""
    served = serve(SQLiteStore(tmp_path / "a.db", synchronous="normal", read_timeout=0.02), [NOTES])
    texts = {f"{n}": "x" * 50 for n in range(2_000)}
    for start in range(0, 2_000, 1_000):
        _ = served.app.service.authority.push(
            [
                Change(
                    id=f"op-{id}", table="notes", record_id=id, kind="insert",
                    record={"id": id, "text": text}, fields=("text",), expected=Absent(),
                )
                for id, text in list(texts.items())[start : start + 1_000]
            ]
        )  # fmt: skip
    costly = " or ".join(f"tolower(text) eq '{word}'" for word in WORDS)
    refused = served.http.get("/tables/notes", params={"$filter": costly})
    assert (400, "too_costly") == (refused.status_code, refused.json()["code"])

    transport = HttpTransport(served.url, protocol="tidesync", retries=0)
    _ = transport.open([NOTES])
    where = Or(tuple(Compare("eq", Call("lower", (Field("text"),)), Value(word)) for word in WORDS))
    with pytest.raises(RequestRefused, match="ask for less"):
        _ = transport.pull(PullRequest(query=Query("notes", where)))
    transport.close()

    assert ["7"] == [row["id"] for row in served.http.get("/tables/notes?$filter=id eq '7'").json()["items"]]
