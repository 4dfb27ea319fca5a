"""The messages in docs/native-protocol.md are messages, and its limits are those that are kept."""

import re
from pathlib import Path

from tidesync.contracts.transport import Applied, Conflicted, Rejected, Tombstone, Undeleted, Unknown, Untried
from tidesync.query import ARITY, Compare
from tidesync.records import Json
from tidesync.transports.messages import (
    HEADER,
    REMOTE,
    ROOT,
    outcome_json,
    read_change,
    read_outcome,
    read_page,
    read_request,
)
from tidesync.transports.queries import CONSTANTS, DEPTH, NODES
from tidesync.transports.strict import parse
from tidesync.transports.welcome import read_welcome

PAGE = (Path(__file__).parents[3] / "docs" / "native-protocol.md").read_text("utf-8")
BLOCKS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def lines(block: str) -> list[Json]:
    return [parse(line.encode()) for line in block.splitlines()]


def test_every_example_is_a_message() -> None:
    """Read by the very functions that read them on the wire."""
    welcome, push, outcomes, error, pull, page = BLOCKS
    assert 1000 == read_welcome(parse(welcome.encode())).capabilities.max_changes
    changes = [read_change(message) for message in lines(push)]
    assert ["insert", "update", "delete"] == [change.kind for change in changes]
    *told, end = lines(outcomes)
    found = [read_outcome(message, change) for message, change in zip(told, changes, strict=True)]
    assert [Applied, Conflicted, Applied] == [type(outcome) for outcome in found]
    assert {"end": {"outcomes": 3}} == end
    assert {"error"} == parse(error.encode()).keys()  # type: ignore[union-attr]
    assert isinstance(read_request(parse(pull.encode())).query.where, Compare)
    read = read_page(lines(page))
    assert (1, {"r3": Tombstone("10.2233")}, ["r4"], 1) == (
        len(read.records), read.tombstones, list(read.departed), read.total,
    )  # fmt: skip


def test_every_name_is_told() -> None:
    """Outcomes, functions, headers, limits."""
    outcomes = (
        Applied("1"),
        Conflicted(None),
        Rejected("", ""),
        Undeleted({"id": "a"}),
        Unknown(""),
        Untried(),
    )
    for outcome in outcomes:
        assert f"| `{outcome_json('o', outcome)['outcome']}` |" in PAGE
    for name in (
        *ARITY,
        HEADER,
        REMOTE,
        ROOT,
        f"{DEPTH} levels",
        f"{NODES:,} parts",
        f"{CONSTANTS:,} values",
    ):
        assert name in PAGE
