"""What autosync can be given, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.api.support import LISTS, NOTES, TODOS, Remote, TodoList, Wire
from tests.autosync.support import TINY, device, threads
from tidesync import Pull, SyncContext
from tidesync.errors import (
    BatchActive,
    ConfigurationError,
    ContextClosed,
    InvalidQuery,
    UnknownTable,
    UsageError,
)
from tidesync.stores.memory import MemoryStore


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": 0}, {"every": -1}, {"every": math.nan}, {"every": "60"}, {"every": True}, {"on_change": 1},
        {"quiet": -0.1}, {"quiet": 2, "within": 1}, {"within": math.inf}, {"backoff": 0}, {"max_backoff": 0.1},
        {"max_backoff": math.inf}, {"online": True}, {"pulls": NOTES}, {"pulls": "note"}, {"pulls": 5},
        {"pulls": [NOTES, NOTES]}, {"pulls": [NOTES, Pull(NOTES, name="autosync")]},
    ],
)  # fmt: skip
def test_what_it_cannot_be_given(remote: Remote, wrong: dict[str, Any]) -> None:
    """Refused at once, with the name of what is wrong; nothing has begun."""
    ctx, _, _ = device(remote.authority)
    with ctx, pytest.raises(ConfigurationError, match=next(iter(wrong)).partition("_")[0]):
        ctx.autosync(**wrong)


def test_a_predicate_that_has_to_be_awaited(remote: Remote) -> None:
    """There is no event loop here."""

    async def online() -> bool:
        return True

    class Online:
        async def __call__(self) -> bool:
            return True

    ctx, _, _ = device(remote.authority)
    for wrong in (online, Online()):
        with ctx, pytest.raises(ConfigurationError, match="AsyncSyncContext"):
            ctx.autosync(online=wrong)  # type: ignore[arg-type]  # that is the mistake


def test_pulls_are_checked_as_pull_does(remote: Remote) -> None:
    """A query needs a name of its own, has no order, and belongs to the table; tables are those of the context."""
    ctx, wire, _ = device(remote.authority)
    with ctx:
        query = ctx[NOTES].where(stars=1)
        with pytest.raises(ConfigurationError, match="name"):
            ctx.autosync([Pull(NOTES, query)])
        for wrong in (
            Pull(NOTES, query.order_by("stars"), name="x"),
            Pull(TODOS, query, name="x"),
            Pull(NOTES, departures="drop"),  # type: ignore[arg-type]  # that is the mistake
            Pull(NOTES, parameters={"$top": "1"}),
        ):
            with pytest.raises(InvalidQuery):
                ctx.autosync([wrong])
        with pytest.raises(UnknownTable):
            ctx.autosync(["note"])  # type: ignore[list-item]  # that is the mistake
        assert 0 == wire.requests


def test_options_of_a_pull_are_those_of_pull(remote: Remote) -> None:
    """Departures, reconcile and parameters arrive."""
    remote.write("note", "a", stars=1)
    ctx, wire, watch = device(remote.authority)
    with ctx:
        stars = ctx[NOTES].where(stars=1)
        pulls = [
            Pull(NOTES, stars, name="stars", departures="remove", parameters={"scope": "mine"}),
            Pull(LISTS, reconcile=True),
        ]
        with ctx.autosync(pulls, **TINY) as auto:
            watch.cycles(1)
            assert 1 == ctx[NOTES].count()
            remote.write("note", "a", stars=2)
            auto.trigger()
            watch.cycles(2)
            assert (0, {"scope": "mine"}) == (ctx[NOTES].count(), wire.pulls[0].parameters)
            assert 2 * 2 == sum(each.query.table == "list" for each in wire.pulls)


def test_one_at_a_time(remote: Remote) -> None:
    """A second one is refused while the first is on; a context that cannot sync has none."""
    ctx, _, _ = device(remote.authority)
    with pytest.raises(ContextClosed):
        SyncContext(MemoryStore(), Wire(remote.authority), [NOTES]).autosync()
    with SyncContext(MemoryStore(), None, [NOTES]) as local, pytest.raises(ConfigurationError):
        local.autosync()
    with ctx:
        with ctx.batch(), pytest.raises(BatchActive):
            ctx.autosync()
        for _ in range(2):
            auto = ctx.autosync()
            with pytest.raises(UsageError, match="on already"):
                ctx.autosync()
            auto.stop()
        assert [] == threads()


def test_what_it_does_is_that_of_a_list(remote: Remote) -> None:
    """An object of a declared class travels as well."""
    ctx, _, watch = device(remote.authority)
    with ctx, ctx.autosync([LISTS], **TINY):
        ctx[LISTS].insert(TodoList("l", "shop"))
        watch.until(lambda: ctx.pending_operations == 0)
    assert ["l"] == remote.ids("list")
