"""Any query that can be said has an answer or a typed refusal, and means what it means on a device."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings

from tests.transports.messages.strategies import queries
from tidesync.conformance.store.tables import THING
from tidesync.conformance.strategies import records
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Absent, Change, PullRequest
from tidesync.errors import InvalidQuery, RequestRefused
from tidesync.predicate import matcher
from tidesync.query import Query
from tidesync.records import Record
from tidesync.stores.memory import MemoryStore
from tidesync.stores.sqlite import SQLiteStore
from tidesync.transports.authority import Authority
from tidesync.transports.messages import page_json, read_page, read_request, request_json
from tidesync.transports.strict import parse, parse_lines, to_line


@pytest.fixture(params=["memory", "sqlite"])
def authority(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Authority]:
    store: Store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "it.db")
    with Authority(store, [THING]) as found:
        yield found


def asked(authority: Authority, request: PullRequest) -> list[Record]:
    """The records of a page, through both ends of the protocol."""
    page = authority.pull(read_request(parse(to_line(request_json(request)))))
    return list(read_page(parse_lines(b"".join(to_line(each) + b"\n" for each in page_json(page)))).records)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queries, records())
def test_every_query_is_answered_or_refused(authority: Authority, query: Query, record: Record) -> None:
    """Whatever types it gives to fields and constants: the record that it finds is one that matches."""
    record = {
        name: value for name, value in record.items() if name not in ("version", "_sequence", "_deleted")
    }
    id = str(record["id"])
    change = Change(id=id, table=THING.name, record_id=id, kind="insert", record=record, expected=Absent())
    _ = authority.push([change])
    query = attrs.evolve(query, table=THING.name, skip=0, take=None, order=(), fields=None, total=False)
    request = PullRequest(query=query, ids=None)
    try:
        found = asked(authority, request)
    except (InvalidQuery, RequestRefused):
        return
    matches = matcher(query.where)
    assert all(map(matches, found))
    held = authority.get(THING.name, id)
    if isinstance(held, dict):
        assert matches(held) is (held in found)
    listing = attrs.evolve(request, incremental=False, query=attrs.evolve(query, take=3))
    assert len(asked(authority, listing)) <= 3
