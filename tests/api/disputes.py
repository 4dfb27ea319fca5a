"""A record that was edited here and at the remote: what conflicts are made of."""

from typing import Any

from tests.api.support import NOTES, Wire, World, plain
from tidesync import SyncContext

THERE = {"text": "there", "stars": 1}
THEIRS = {"id": "a", "text": "theirs", "stars": 1}


def disputed(world: World, edit: str, news: str, wire: Wire | None = None, **options: Any) -> SyncContext:
    """A device on which a record was edited in one way, and at the remote in another."""
    ctx = world.device("one", wire, **options)
    if edit != "insert":
        world.remote.write("note", "a", **THERE)
        ctx[NOTES].pull()
    match edit:
        case "insert":
            ctx[NOTES].insert({"id": "a", "text": "mine"})
        case "update":
            ctx[NOTES].update("a", text="mine")
        case _:
            ctx[NOTES].delete("a")
    if news == "delete":
        world.remote.delete("note", "a")
    else:
        world.remote.write("note", "a", text="theirs", stars=1)
    return ctx


SITUATIONS = [("insert", "update"), ("update", "update"), ("delete", "update"), ("update", "delete")]
"""What happened here, and what happened there."""


def both(world: World, ctx: SyncContext) -> tuple[Any, Any]:
    found = ctx.read(lambda transaction: transaction.get("note", ["a"]))[0]
    return plain(found), world.remote.content("note", "a")
