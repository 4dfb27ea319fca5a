"""Conflicts that were deferred: listed, and resolved later."""

from typing import Any

import pytest

from tests.api.disputes import THEIRS, both, disputed
from tests.api.support import World
from tidesync import (
    Defer,
    Drop,
    KeepLocal,
    KeepRemote,
    Merge,
    MergeFields,
    PushFailed,
    Resolution,
    keep_local,
)
from tidesync.errors import InvalidRecord, UsageError


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (KeepLocal(), {"id": "a", "text": "mine", "stars": 1}),
        (KeepRemote(), THEIRS),
        (Drop(), THEIRS),
        (MergeFields("local"), {"id": "a", "text": "mine", "stars": 1}),
        (MergeFields("remote"), THEIRS),
        (Merge({"id": "a", "text": "both", "stars": 2}), {"id": "a", "text": "both", "stars": 2}),
    ],
)
def test_conflicts_can_be_resolved_later(world: World, answer: Resolution, left: Any) -> None:
    """`ctx.resolve` takes any answer that a policy may give, in one call. [R-G33] [G09] [P06]"""
    ctx = disputed(world, "update", "update")
    with pytest.raises(PushFailed):
        ctx.push()
    [conflict] = ctx.conflicts()
    ctx.resolve(conflict, Defer("not now"))
    assert [conflict] == ctx.conflicts()
    sources: list[str] = []
    ctx.subscribe(lambda event: sources.append(getattr(event, "source", "")))
    ctx.resolve(conflict, answer)
    assert ([], ["resolution"]) == (ctx.conflicts(), [source for source in sources if source])
    ctx.push()
    assert ((left, left), 0) == (both(world, ctx), ctx.pending_operations)


@pytest.mark.parametrize(
    "wrong", [None, "keep_local", KeepLocal, 5, Merge(None), Merge({"id": "b"}), keep_local]
)
def test_what_is_no_resolution_settles_nothing(world: World, wrong: Any) -> None:
    """`ctx.resolve` takes a listed conflict and a resolution: anything else changes nothing. [G08]"""
    ctx = disputed(world, "update", "update")
    with pytest.raises(PushFailed):
        ctx.push()
    [conflict] = ctx.conflicts()
    before = ctx.operations()
    with pytest.raises((UsageError, InvalidRecord)):
        ctx.resolve(conflict, wrong)
    with pytest.raises(UsageError, match="listed"):
        ctx.resolve(wrong, KeepLocal())
    with pytest.raises(UsageError, match="listed"):
        ctx.retry(wrong)
    assert (before, [conflict]) == (ctx.operations(), ctx.conflicts())
