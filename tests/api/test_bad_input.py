"""Bad input: each a typed error that names the thing; nothing has changed, and the next call works."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
import pytest

from tests.api.failing import contents
from tests.api.support import NOTES, SOME_DAY, TABLES, TODOS, Todo, Wire, World
from tidesync import SyncContext, table
from tidesync.errors import InvalidId, InvalidQuery, InvalidRecord, TidesyncError, UnknownColumn, UnknownTable
from tidesync.rows import SYSTEM_TABLES


@attrs.define
class Money:
    id: str
    amount: Decimal = Decimal(0)
    count: int = 0
    tags: list[str] = attrs.field(factory=list)
    meta: dict[str, int] = attrs.field(factory=dict)
    when: datetime | None = None


MONEY = table(Money, name="note")


def everything(ctx: SyncContext) -> Any:
    return contents(ctx._store, [each.name for each in (*SYSTEM_TABLES, *TABLES)])


@pytest.fixture
def refuses(ctx: SyncContext, wire: Wire) -> Iterator[Callable[..., None]]:
    """Says that a call raises this, naming that, and that nothing has changed since."""
    ctx[NOTES].insert({"id": "kept", "text": "x"})
    ctx[TODOS].insert(Todo("kept", "x"))

    def check(call: Callable[[], object], error: type[Exception], *names: str) -> None:
        before, asked = everything(ctx), wire.requests
        with pytest.raises(error) as caught:
            _ = call()
        assert isinstance(caught.value, TidesyncError | TypeError)
        for name in names:
            assert re.search(re.escape(name), str(caught.value)), f"{name!r} is not in: {caught.value}"
        assert (before, asked) == (everything(ctx), wire.requests)

    yield check
    ctx[NOTES].update("kept", text="y")
    ctx.push()
    ctx[NOTES].pull(name="all")
    assert ("y", 0) == ((ctx[NOTES].get("kept") or {})["text"], ctx.pending_operations)


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("x" * 256, "256 characters"),
        ("a\nb", "U+000A"),
        ("\x00", "U+0000"),
        ("a\x7f", "U+007F"),
        ("\x85", "U+0085"),
        ("a\ud800", "surrogate"),
        (5, "int"),
        (True, "bool"),
        (b"a", "bytes"),
        (["a"], "list"),
    ],
)
def test_illegal_ids(ctx: SyncContext, refuses: Callable[..., None], id: Any, reason: str) -> None:
    """Ids that no remote could hold are refused by every call, saying what is wrong with them. [C06] [M14]"""
    for call in (
        lambda: ctx[NOTES].insert({"id": id}),
        lambda: ctx[NOTES].insert_many([{"id": "fine"}, {"id": id}]),
        lambda: ctx[NOTES].upsert({"id": id}),
        lambda: ctx[NOTES].update({"id": id, "text": "x"}),
        lambda: ctx[NOTES].delete({"id": id}),
        lambda: ctx[NOTES].get(id),
        lambda: ctx[TODOS].insert(Todo(id)),
        lambda: ctx.remote(NOTES).get(id),
    ):
        refuses(call, InvalidId, reason)


@pytest.mark.parametrize("id", ["", None])
def test_missing_ids(ctx: SyncContext, refuses: Callable[..., None], id: Any) -> None:
    """Only an insert may leave the id to be made. [B06]"""
    for call in (
        lambda: ctx[NOTES].update({"id": id, "text": "x"}),
        lambda: ctx[NOTES].delete({"id": id}),
        lambda: ctx[NOTES].get(id),
        lambda: ctx[TODOS].refresh(Todo(id)),
        lambda: ctx[TODOS].update("", text="x"),
    ):
        refuses(call, InvalidId, "cannot be an id")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (object(), "object"),
        ({1, 2}, "set"),
        ((1, 2), "tuple"),
        (b"raw", "bytes"),
        (1 + 2j, "complex"),
        (float("nan"), "float"),
        (float("inf"), "float"),
        (2**63, "int"),
        (-(2**63) - 1, "int"),
        ("\udfff", "str"),
        ({"deep": [{"er": {1, 2}}]}, "deep[0].er"),
        ({5: "x"}, "key"),
        ([0.1, float("-inf")], "[1]"),
        (SOME_DAY, "datetime"),
        (Decimal(1), "Decimal"),
        (timedelta(1), "timedelta"),
    ],
)
def test_values_that_are_not_json(
    ctx: SyncContext, refuses: Callable[..., None], value: Any, kind: str
) -> None:
    """An undeclared field holds JSON and nothing else; the error names field and type."""
    for call in (
        lambda: ctx[NOTES].insert({"id": "a", "odd": value}),
        lambda: ctx[NOTES].update("kept", odd=value),
        lambda: ctx[NOTES].update({"id": "kept", "odd": value}),
        lambda: ctx[NOTES].upsert({"id": "kept", "odd": value}),
        lambda: ctx.remote(NOTES).insert({"id": "a", "odd": value}),
    ):
        refuses(call, InvalidRecord, "note.odd", kind)


def test_values_nested_too_deep(ctx: SyncContext, refuses: Callable[..., None]) -> None:
    """A value that is nested without end is refused before anything recurses too far."""
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    for value in (endless, deep):
        refuses(lambda value=value: ctx[NOTES].insert({"id": "a", "odd": value}), InvalidRecord, "note.odd")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", 5),
        ("text", b"x"),
        ("stars", "5"),
        ("stars", 1.5),
        ("stars", True),
        ("tags", "x"),
        ("tags", [1]),
    ],
)
def test_values_that_do_not_fit_their_column(
    ctx: SyncContext, refuses: Callable[..., None], field: str, value: Any
) -> None:
    """A declared column takes its own type only; the error names column and type."""
    for call in (
        lambda: ctx[NOTES].insert({"id": "a", field: value}),
        lambda: ctx[NOTES].update("kept", **{field: value}),
        lambda: ctx.remote(NOTES).update({"id": "kept", field: value}),
    ):
        refuses(call, InvalidRecord, f"note.{field}", type(value).__name__)


def test_naive_datetimes(ctx: SyncContext, refuses: Callable[..., None]) -> None:
    """A datetime without a zone is ambiguous: refused in records and in queries."""
    naive = datetime(2024, 1, 1)  # noqa: DTZ001
    for call in (
        lambda: ctx[TODOS].insert(Todo("a", due=naive)),
        lambda: ctx[TODOS].update("kept", due=naive),
        lambda: ctx.remote(TODOS).insert(Todo("a", due=naive)),
    ):
        refuses(call, InvalidRecord, "todo.due", "datetime")
    for query in (
        lambda: ctx[TODOS].where(due=naive).all(),
        lambda: ctx[TODOS].where(TODOS.c.due < naive).all(),
    ):
        refuses(query, InvalidQuery, "due")


def test_unknown_columns(ctx: SyncContext, refuses: Callable[..., None]) -> None:
    """A column that the table does not declare is named, with what was probably meant. [N21]"""
    todos = ctx[TODOS]
    for call in (
        lambda: TODOS.c.txet,
        lambda: todos.where(txet="x"),
        lambda: todos.order_by("txet"),
        lambda: todos.values("txet"),
        lambda: todos.update("kept", txet="x"),
        lambda: todos.update({"id": "kept", "txet": "x"}),
        lambda: todos.insert({"id": "a", "txet": "x"}),
    ):
        refuses(call, UnknownColumn, "txet", "'text'")


def test_queries_without_meaning(ctx: SyncContext, refuses: Callable[..., None], world: World) -> None:
    """What cannot be compared, sorted or counted says so, and names the column. [N08] [N20]"""
    money = world.device("money", tables=[MONEY])[MONEY]
    column = MONEY.c
    for call in (
        lambda: money.where(column.tags == ["x"]).all(),
        lambda: money.where(column.meta == {"x": 1}).all(),
        lambda: money.where(tags=["x"]).all(),
        lambda: money.order_by(column.tags).all(),
        lambda: money.where(column.tags.contains("x")).all(),
    ):
        refuses(call, InvalidQuery, "note")
    for call in (
        lambda: money.where(column.count + "x" == 1),
        lambda: money.where(column.count == "x"),
        lambda: money.where(column.count.contains("x")),
        lambda: money.where(column.when.lower() == "x"),
        lambda: money.where(column.when == 5),
        lambda: money.where("count > 1"),
        lambda: money.where().skip(-1),
        lambda: money.where().take(1.5),
        lambda: money.where().take(True),
        lambda: money.where(None),
    ):
        refuses(call, (InvalidQuery, TypeError))  # type: ignore[arg-type]


def test_conditions_have_no_truth_value(ctx: SyncContext, refuses: Callable[..., None]) -> None:
    """`if condition`, `and`, chained comparisons and plain True are mistakes: TypeErrors say why."""
    column = TODOS.c
    for call in (
        lambda: bool(column.complete),
        lambda: column.complete and column.text == "x",
        lambda: not column.complete,
        lambda: "a" < column.text < "b",
        lambda: ctx[TODOS].where(True),
        lambda: ctx[TODOS].where(column.text is not None),
        lambda: "x" in column.text,
    ):
        refuses(call, TypeError)


def test_a_table_that_was_never_declared(ctx: SyncContext, refuses: Callable[..., None]) -> None:
    """A stranger is named, with the tables that are known. [A17]"""
    stranger = table("stranger", {"text": str})
    for call in (lambda: ctx[stranger], lambda: ctx.pull(stranger), lambda: ctx.push([stranger])):
        refuses(call, UnknownTable, "stranger", "list, todo, note")


def test_a_name_reused_with_another_query(ctx: SyncContext, wire: Wire) -> None:
    """The error names the pull, nothing is read, and the first query goes on under its name."""
    from tidesync.errors import QueryNameReused

    ctx[TODOS].pull(ctx[TODOS].where(complete=False), name="open")
    before, asked = everything(ctx)["__cursors"], wire.requests
    for other in (None, ctx[TODOS].where(complete=True), ctx[TODOS].where(complete=False, text="x")):
        with pytest.raises(QueryNameReused, match="todo: the name 'open' belongs to another query"):
            ctx[TODOS].pull(other, name="open")
    assert (before, asked) == (everything(ctx)["__cursors"], wire.requests)
    ctx[TODOS].pull(ctx[TODOS].where(complete=False), name="open")
