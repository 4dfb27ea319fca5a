"""Read by mypy and pyright, never run: what an editor knows about tables."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_type

import attrs

from tidesync.columns import Columns
from tidesync.declare import table
from tidesync.expressions import Expression
from tidesync.objects import Table
from tidesync.query import Expr, Order
from tidesync.records import Record


@attrs.define
class TodoItem:
    """An attrs class."""

    id: str
    text: str
    complete: bool = False


@dataclass
class TodoList:
    """A dataclass."""

    id: str
    title: str


todos = table(TodoItem)
lists = table(TodoList, name="lists", indexes=["title"], rename="camel")
dicts = table(
    "todoitem", {"text": str, "due": datetime | None}, references={"list_id": lists, "other": "other"}
)

assert_type(todos, Table[TodoItem])
assert_type(lists, Table[TodoList])
assert_type(dicts, Table[dict[str, Any]])
assert_type(todos.cls, type[TodoItem])
assert_type(todos.c, Columns)
assert_type(todos.c.text, Expression)
assert_type(todos.c["text"], Expression)
assert_type(todos.c.text == "x", Expression)
assert_type(~todos.c.complete & (todos.c.text.length() > 3), Expression)
assert_type(1 + todos.c.text.length() * 2, Expression)
assert_type(todos.to_record(TodoItem("1", "x")), Record)
assert_type(todos.from_record({"id": "1", "text": "x"}), TodoItem)
assert_type(dicts.from_record({"id": "1"}), dict[str, Any])
assert_type(todos.overlay(TodoItem("1", "x"), {"id": "1"}), Record)
assert_type(todos.fits({"id": "1"}), str | None)
assert_type(todos.where(todos.c.complete, text="x"), Expr | None)
assert_type(todos.ordering(todos.c.text, "complete"), tuple[Order, ...])

todos.to_record(TodoList("1", "x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
table("todoitem")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
table(TodoItem, concurrency="never")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
