"""What a call of the file transport costs in requests, as docs/files.md says."""

from collections.abc import Callable

import attrs
import pytest

from tests.peers.wire_proxy import WireProxy
from tests.transports.files.s3_server import S3Server
from tidesync import table
from tidesync.contracts.transport import Absent, Change, PullRequest
from tidesync.query import Query
from tidesync.transports import FileTransport

TODOS = table("todoitem", {"text": str})


def insert(id: str) -> Change:
    return Change(
        id=f"insert {id}", table="todoitem", record_id=id, kind="insert", record={"text": "Buy milk"},
        fields=("text",), expected=Absent(),
    )  # fmt: skip


def test_requests_are_as_few_as_the_page_says(
    s3: S3Server, bucket: str, wire: WireProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening, pushing and pulling cost what the table in docs/files.md says."""
    monkeypatch.setattr("tidesync.transports.files.replica.CHECKED_FOR", 3600.0)  # on however slow a machine

    def cost(call: Callable[[], object]) -> int:
        wire.clear()
        call()
        return len(wire.requests)

    one, other = (FileTransport(f"s3://{bucket}/todo", options=s3.options(wire.url)) for _ in range(2))
    assert (10, 2) == (cost(lambda: one.open([TODOS.schema])), cost(lambda: other.open([TODOS.schema])))
    begun = PullRequest(query=Query("todoitem"))
    assert 3 + 3 + 1 == cost(lambda: one.push([insert("first")]))
    cursor = other.pull(begun).cursor

    def pull() -> None:
        assert not other.pull(attrs.evolve(begun, cursor=cursor)).more

    third = FileTransport(f"s3://{bucket}/todo", options=s3.options(wire.url))
    assert 2 == cost(lambda: third.open([TODOS.schema]))
    assert 1 + 1 + 3 == cost(lambda: third.pull(begun))
    assert 3 == cost(lambda: one.push([insert(str(number)) for number in range(100)]))
    assert 3 == cost(lambda: one.push([insert("milk")]))
    assert 1 + 2 == cost(pull)
    assert 1 == cost(pull)
    assert 3 + 1 == cost(lambda: other.push([insert("bread")]))
    assert 3 == cost(lambda: other.push([insert("butter")]))
    assert 1 + 2 == cost(lambda: one.get("todoitem", "butter"))
    assert 1 == cost(lambda: one.get("todoitem", "butter"))
