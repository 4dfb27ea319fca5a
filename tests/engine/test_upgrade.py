"""What is kept follows the declaration of its table."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tidesync import SyncContext, Table, table
from tidesync.errors import QueryNameReused
from tidesync.stores.memory import MemoryStore
from tidesync.transports.authority import Authority
from tidesync.transports.loopback import LoopbackTransport


@attrs.define
class Plain:
    id: str
    text: str


@attrs.define
class Note:
    id: str
    text: str
    created_on: str = ""


def _remote() -> Authority:
    return Authority(MemoryStore(), [table(Plain, name="note").schema]).open()


def _device(store: MemoryStore, remote: Authority, declared: Table[Any]) -> SyncContext:
    return SyncContext(store, LoopbackTransport(remote), [declared])


def test_a_field_named_later_under_a_wire_name_moves_to_its_column() -> None:
    """A value that came under a wire name is found when a class names that column, in records and queued edits."""
    store, remote = MemoryStore(), _remote()
    plain, note = table(Plain, name="note"), table(Note, name="note", rename="camel")
    untyped = table("note", {"text": str})
    with _device(MemoryStore(), remote, untyped) as other:
        _ = other[untyped].insert({"id": "a", "text": "hers", "createdOn": "monday"})
        _ = other[untyped].insert({"id": "b", "text": "hers", "createdOn": "tuesday"})
        _ = other.push()
    with _device(store, remote, plain) as ctx:
        _ = ctx.pull(plain)
        _ = ctx[plain].update("a", text="mine")
    with _device(store, remote, note) as ctx:
        assert ["monday", "tuesday"] == [found.created_on for found in ctx[note].all()]
        assert ["monday"] == [
            operation.content["created_on"] for operation in ctx.operations() if operation.content
        ]
        assert 1 == ctx.pending_operations


def test_a_declaration_dropped_again_keeps_the_value() -> None:
    """A column that is declared no longer becomes an unknown field under its wire name."""
    store, remote = MemoryStore(), _remote()
    plain, note = table(Plain, name="note"), table(Note, name="note", rename="camel")
    untyped = table("note", {"text": str})
    with _device(store, remote, note) as ctx:
        _ = ctx[note].insert(Note("a", "mine", "monday"))
    with _device(store, remote, plain) as ctx:
        _ = ctx[plain].update("a", text="again")
    with _device(store, remote, untyped) as ctx:
        assert {"id": "a", "text": "again", "createdOn": "monday"} == ctx[untyped].get("a")
        assert [{"id": "a", "text": "again", "createdOn": "monday"}] == [
            each.content for each in ctx.operations()
        ]


def test_references_declared_later_order_what_is_queued_already() -> None:
    """An operation queued before a reference was declared is waited for as if it always had been."""
    store = MemoryStore()
    lists, loose = (
        table("lists", {"name": str}, references={}),
        table("items", {"list_id": str}, references={}),
    )
    strict = table("items", {"list_id": str}, references={"list_id": lists})
    remote = Authority(MemoryStore(), [lists.schema, strict.schema], foreign_keys=True).open()
    with SyncContext(store, LoopbackTransport(remote), [lists, loose]) as ctx:
        _ = ctx[lists].insert({"id": "L", "name": "home"})
        _ = ctx[loose].insert({"id": "i", "list_id": "L"})
        _ = ctx.push()
        _ = ctx[loose].update("i", list_id=None)
    with SyncContext(store, LoopbackTransport(remote), [lists, strict]) as ctx:
        ctx[lists].delete("L")
        first, second = ctx.operations()
        assert ("items", "lists") == (first.table, second.table)
        assert first.key == second.blocker
        assert 2 == len(ctx.push().pushed)


def _flagged() -> Authority:
    """A remote with two records, of which one is done, and the other finished."""
    flags = table("flags", {"done": bool, "finished": bool}, references={})
    remote = Authority(MemoryStore(), [flags]).open()
    with _device(MemoryStore(), remote, flags) as other:
        _ = other[flags].insert({"id": "1", "done": False, "finished": True})
        _ = other[flags].insert({"id": "2", "done": True, "finished": False})
        _ = other.push()
    return remote


def test_a_named_pull_goes_on_when_its_columns_are_called_otherwise_here() -> None:
    """A query that names the same columns of the remote is the same query, and keeps its cursor."""
    store, remote = MemoryStore(), _flagged()
    before = table("flags", {"done": bool})
    after = table("flags", {"complete": bool}, rename={"complete": "done"})
    with _device(store, remote, before) as ctx:
        assert 1 == ctx.pull(before, ctx[before].where(done=False), name="open").records
    with _device(store, remote, after) as ctx:
        assert 0 == ctx.pull(after, ctx[after].where(complete=False), name="open").records


def test_a_named_pull_is_another_when_its_columns_are_others_of_the_remote() -> None:
    """A query of the same words that names other columns of the remote does not go on behind the old cursor."""
    store, remote = MemoryStore(), _flagged()
    before = table("flags", {"done": bool})
    after = table("flags", {"done": bool}, rename={"done": "finished"})
    with _device(store, remote, before) as ctx:
        assert 1 == ctx.pull(before, ctx[before].where(done=False), name="open").records
    with _device(store, remote, after) as ctx:
        with pytest.raises(QueryNameReused):
            _ = ctx.pull(after, ctx[after].where(done=False), name="open")
        _ = ctx.purge(after, ctx[after].where(done=False), name="open")
        assert 1 == ctx.pull(after, ctx[after].where(done=False), name="open").records
