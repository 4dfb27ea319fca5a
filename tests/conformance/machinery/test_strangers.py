"""What the suite says of adapters that are no adapters yet: in words, at once, and never by crashing itself."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tidesync.conformance import TABLES, Verdict, check_store, check_transport
from tidesync.contracts.transport import Applied, Change, Outcome, Page, PullRequest, Rejected
from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import TableSchema
from tidesync.stores import MemoryStore
from tidesync.stores.memory import MemoryTransaction
from tidesync.transports import Authority, LoopbackTransport


class OneTooMany(LoopbackTransport):
    def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
        return [*super().push(changes), Rejected("one", "too many")]


class Words(LoopbackTransport):
    def push(self, changes: Sequence[Change], /) -> Any:
        return ["ok" for _ in changes]


class Rows(LoopbackTransport):
    def pull(self, request: PullRequest, /) -> Any:
        return list(super().pull(request).records)


class NoIds(LoopbackTransport):
    def pull(self, request: PullRequest, /) -> Page:
        return Page(records=[{"text": "no id"}])


class Nobody(LoopbackTransport):
    def open(self, tables: Sequence[TableSchema], /) -> Any:
        return None


class Numbers(LoopbackTransport):
    def get(self, table: str, id: str, /) -> Any:
        return 3


@pytest.mark.parametrize(
    ("kind", "rule", "words"),
    [
        (OneTooMany, "TRANSPORT-02", "push() of 1 change should give 1 outcome, and gives 2"),
        (Words, "TRANSPORT-02", "push() should give outcomes, and gives 'ok'"),
        (Rows, "TRANSPORT-98", "pull() should give a Page, and gives []"),
        (
            NoIds,
            "TRANSPORT-98",
            "the records of a page should be objects with an id, and one is {'text': 'no id'}",
        ),
        (Nobody, "TRANSPORT-02", "open() should give TransportCapabilities, and gives None"),
        (Numbers, "TRANSPORT-02", "get() should give a record, a Tombstone or None, and gives 3"),
    ],
)
def test_answers_of_another_shape(kind: type[LoopbackTransport], rule: str, words: str) -> None:
    """An answer that is none breaks the rule, whichever it is, and is shown: no rule trips over it."""

    def clients() -> Sequence[LoopbackTransport]:
        authority = Authority(MemoryStore(), TABLES)
        return [kind(authority), kind(authority)]

    (result,) = check_transport(clients, only=[rule]).results
    assert Verdict.BROKEN is result.verdict
    assert result.detail.startswith(f"RuleBroken: {words}"), result.detail


class Listing(MemoryStore):
    """Its `select` gives a list."""

    def transaction(self, *, write: bool) -> MemoryTransaction:
        return ListingTransaction(self, write)


class ListingTransaction(MemoryTransaction):
    def select(self, query: Query) -> Iterator[Record]:
        found: Any = list(super().select(query))
        return found


def test_a_list_is_no_iterator() -> None:
    """A `select` that gives a list is told so, and what would be right."""
    (result,) = check_store(Listing, only=["STORE-07"]).results
    assert Verdict.BROKEN is result.verdict
    assert "select() should give an iterator, and gives a list: iter() makes one of it" in result.detail


def failing(method: str, error: Callable[[], BaseException]) -> type[MemoryStore]:
    """A store of which one method raises."""

    def method_that_fails(self: MemoryStore, *given: Any, **named: Any) -> None:
        raise error()

    return type("Failing", (MemoryStore,), {method: method_that_fails})


def test_an_error_says_where_it_was_raised() -> None:
    """What a rule does not expect is told with its place in the adapter, also where the rule says it in words."""
    for rule, verdict in (("STORE-02", Verdict.ERROR), ("STORE-04", Verdict.BROKEN)):
        (result,) = check_store(failing("transaction", lambda: KeyError("x")), only=[rule]).results
        assert verdict is result.verdict, result.detail
        assert "  in test_strangers.py, line " in result.detail
        assert "method_that_fails: raise error()" in result.detail
        assert "with suppress(KeyError): store.transaction(write=" in result.detail


def test_a_store_that_cannot_close_does_not_hide_what_came_before() -> None:
    """The first error is the one that is told."""
    kind = failing("open", lambda: KeyError("first"))
    kind.close = failing("close", lambda: ValueError("last")).close  # type: ignore[method-assign]
    (result,) = check_store(kind, only=["STORE-02"]).results
    assert result.detail.startswith("KeyError: 'first'")


def test_an_adapter_that_exits_is_an_error() -> None:
    """`SystemExit` out of an adapter ends its rule, and not the run."""
    first, second = check_store(failing("open", lambda: SystemExit(0)), only=["STORE-02", "STORE-03"]).results
    assert (Verdict.ERROR, Verdict.ERROR) == (first.verdict, second.verdict)


def test_who_interrupts_is_told_which_rule_was_tried() -> None:
    """An adapter that hangs is found by Ctrl-C: the interrupt names the rule."""
    with pytest.raises(KeyboardInterrupt) as caught:
        _ = check_store(failing("open", KeyboardInterrupt), only=["STORE-02"])
    assert ["while STORE-02 was tried: test_put_replaces_whole_records"] == caught.value.__notes__


def test_shared_values_are_told_as_they_were() -> None:
    """Where the caller's change reaches what was returned, the rule shows what should be there, and not the change."""

    class Sharing(LoopbackTransport):
        def push(self, changes: Sequence[Change], /) -> Sequence[Outcome]:
            return [
                Applied(outcome.version, {**outcome.copy, "tree": (change.record or {}).get("tree")})
                if isinstance(outcome, Applied) and isinstance(outcome.copy, dict)
                else outcome
                for change, outcome in zip(changes, super().push(changes), strict=True)
            ]

    def clients() -> Sequence[LoopbackTransport]:
        authority = Authority(MemoryStore(), TABLES)
        return [Sharing(authority), Sharing(authority)]

    (result,) = check_transport(clients, only=["TRANSPORT-73"]).results
    assert (
        "the caller's record after what was returned was changed: expected [1, {'a': [2]}]" in result.detail
    )
