"""Column handles: what they freeze into the AST, and what they refuse where it is written."""

import copy
import enum
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import attrs
import pytest

from tidesync import predicate
from tidesync.declare import table
from tidesync.errors import InvalidQuery, UnknownColumn
from tidesync.expressions import Expression, any_of, every_of
from tidesync.query import (
    And,
    Arithmetic,
    Call,
    Compare,
    Expr,
    Field,
    In,
    Negate,
    Not,
    Or,
    Order,
    Query,
    Value,
)
from tidesync.records import Record
from tidesync.values import ColumnType

KEY = UUID("0190a6f2-7c1e-7a3b-8f00-1234567890ab")
DUE = datetime(2026, 11, 20, 4, 45, 5, tzinfo=timezone(timedelta(hours=1)))
DUE_TEXT = "2026-11-20T03:45:05.000000Z"


class Mood(enum.Enum):
    """Text values."""

    GOOD = "good"
    BAD = "bad"


@attrs.define
class TodoItem:
    """A column of each type."""

    id: str
    text: str
    complete: bool
    count: int
    rating: float | None
    due: datetime
    day: date
    clock: time
    price: Decimal
    key: UUID
    mood: Mood
    raw: bytes
    tags: list[str]
    level: Literal["low", "high"] = "low"
    created_on: datetime | None = None


TODOS = table(TodoItem, rename="camel")
C = TODOS.c
DICTS = table("todoitem", {"text": str, "datetime": datetime, "class": int})


def field(name: str) -> Field:
    """The AST of a column."""
    return Field(name, TODOS.schema.by_name[name].type)


def compare(op: Any, name: str, value: Any, type: ColumnType | None = None) -> Compare:
    """The AST of a comparison with a constant."""
    return Compare(op, field(name), Value(value, type or field(name).type))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (C.text == "x", compare("eq", "text", "x")),
        (C.text != "x", compare("ne", "text", "x")),
        (C.count < 5, compare("lt", "count", 5)),
        (C.count >= 2.5, compare("ge", "count", 2.5, ColumnType.FLOAT)),
        (C.rating <= 5, compare("le", "rating", 5.0)),
        (C.complete == True, compare("eq", "complete", True)),  # what a user may write  # noqa: E712  # what a user may write
        (C.due > DUE, compare("gt", "due", DUE_TEXT)),
        (C.day == date(2026, 1, 2), compare("eq", "day", "2026-01-02")),
        (C.clock < time(3, 4), compare("lt", "clock", "03:04:00.000000")),
        (C.price == Decimal("1.50"), compare("eq", "price", "1.50")),
        (C.price > 2, compare("gt", "price", "2")),
        (C.key == KEY, compare("eq", "key", str(KEY))),
        (C.mood == Mood.GOOD, compare("eq", "mood", "good")),
        (C.mood == "bad", compare("eq", "mood", "bad")),
        (C.level != "high", compare("ne", "level", "high")),
        (C.raw == b"\x00\xff", compare("eq", "raw", "AP8=")),
        (C.id == "1", Compare("eq", Field("id", ColumnType.STRING), Value("1", ColumnType.STRING))),
        (
            C.version.is_null(),
            Compare("eq", Field("version", ColumnType.STRING), Value(None, ColumnType.STRING)),
        ),
        (
            C.updated_at >= DUE,
            Compare("ge", Field("updated_at", ColumnType.DATETIME), Value(DUE_TEXT, ColumnType.DATETIME)),
        ),
        ("a" == C.text, compare("eq", "text", "a")),  # both ways round
        (5 > C.count, compare("lt", "count", 5)),
        (C.count == C.rating, Compare("eq", field("count"), field("rating"))),
        (C.created_on == None, compare("eq", "created_on", None)),  # noqa: E711
        (C.created_on != None, compare("ne", "created_on", None)),  # noqa: E711
        (C.created_on.is_not_null(), compare("ne", "created_on", None)),
    ],
)
def test_comparisons(expression: Expression, expected: Expr) -> None:
    """A constant is encoded by its column's type where it is written; None means null. [N12] [N18] [N22]"""
    assert expected == expression.expr


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (C.text.is_in(["a", None]), In(field("text"), ("a", None))),
        (C.mood.is_in(Mood), In(field("mood"), ("good", "bad"))),
        (C.price.is_in([Decimal("1.50"), 2]), In(field("price"), ("1.50", "2"))),
        (C.count.is_in(range(3)), In(field("count"), (0, 1, 2))),
        (C.count.is_in([]), In(field("count"), ())),
        # A set of text has another order in each process, and a query is known again by its text.
        (C.text.is_in(set("fbdaec")), In(field("text"), tuple("abcdef"))),
        (C.count.between(1, 5), And((compare("ge", "count", 1), compare("le", "count", 5)))),
        (C.text.contains("%"), Call("contains", (field("text"), Value("%", ColumnType.STRING)))),
        (C.text.startswith(C.id), Call("startswith", (field("text"), Field("id", ColumnType.STRING)))),
        (C.text.endswith("x"), Call("endswith", (field("text"), Value("x", ColumnType.STRING)))),
        (C.text.lower(), Call("lower", (field("text"),))),
        (C.text.trim().upper(), Call("upper", (Call("trim", (field("text"),)),))),
        (C.text + "x", Call("concat", (field("text"), Value("x", ColumnType.STRING)))),
        ("x" + C.text, Call("concat", (Value("x", ColumnType.STRING), field("text")))),
        (
            C.text.length() > 3,
            Compare("gt", Call("length", (field("text"),)), Value(3, ColumnType.INTEGER)),
        ),
        (C.due.year() == 2026, Compare("eq", Call("year", (field("due"),)), Value(2026, ColumnType.INTEGER))),
        (C.day.month(), Call("month", (field("day"),))),
        (C.day.day(), Call("day", (field("day"),))),
        (C.clock.hour(), Call("hour", (field("clock"),))),
        (C.clock.minute(), Call("minute", (field("clock"),))),
        (C.due.second(), Call("second", (field("due"),))),
        (C.rating.round(), Call("round", (field("rating"),))),
        (C.price.floor(), Call("floor", (field("price"),))),
        (C.count.ceiling(), Call("ceiling", (field("count"),))),
        (-C.count, Negate(field("count"))),
        (C.count + 1, Arithmetic("add", field("count"), Value(1, ColumnType.INTEGER))),
        (1 - C.count, Arithmetic("sub", Value(1, ColumnType.INTEGER), field("count"))),
        (C.count * 2.5, Arithmetic("mul", field("count"), Value(2.5, ColumnType.FLOAT))),
        (2 * C.price, Arithmetic("mul", Value("2", ColumnType.DECIMAL), field("price"))),
        (C.count / C.rating, Arithmetic("div", field("count"), field("rating"))),
        (1 / C.count, Arithmetic("div", Value(1, ColumnType.INTEGER), field("count"))),
        (C.count % 3, Arithmetic("mod", field("count"), Value(3, ColumnType.INTEGER))),
        (7 % C.count, Arithmetic("mod", Value(7, ColumnType.INTEGER), field("count"))),
        (1 + C.count, Arithmetic("add", Value(1, ColumnType.INTEGER), field("count"))),
        (C.count - 1, Arithmetic("sub", field("count"), Value(1, ColumnType.INTEGER))),
    ],
)
def test_functions_and_arithmetic(expression: Expression, expected: Expr) -> None:
    """Functions and operators build the AST that they are named for. [N08] [N16] [N20]"""
    assert expected == expression.expr


def test_conditions_combine() -> None:
    """`& | ~` nest like brackets; chains of one operator stay flat. [N01] [N05] [N21]"""
    a, b, c = C.complete, C.count > 1, C.text == "x"
    assert And((a.expr, b.expr, c.expr)) == (a & b & c).expr
    assert Or((a.expr, And((b.expr, Not(c.expr))))) == (a | (b & ~c)).expr
    assert And((Or((a.expr, b.expr)), c.expr)) == ((a | b) & c).expr
    assert Not(field("complete")) == (~C.complete).expr
    assert Or((a.expr, b.expr)) == any_of(a, b).expr
    assert And((a.expr, b.expr)) == every_of(a, b).expr
    assert (Or(()), And(())) == (any_of().expr, every_of().expr)


def test_a_thousand_alternatives_stay_flat() -> None:
    """A condition built in a loop does not nest as deep as it is long. [N24]"""
    built = C.count == 0
    for number in range(1, 1000):
        built = built | (C.count == number)
    assert predicate.matcher(built.expr)({"id": "1", "count": 999})


def test_decimal_lists_of_computed_values() -> None:
    """A computed decimal is compared as a number, in lists too."""
    wanted = (C.price * 2).is_in([Decimal("3.00")])
    assert predicate.matcher(wanted.expr)({"id": "1", "price": "1.5"})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: C.due > datetime(2026, 1, 1), r"todoitem\.due is datetime.*no time zone"),  # naive  # noqa: DTZ001  # naive on purpose
        (lambda: C.due == "2026-01-01", r"todoitem\.due is datetime, and cannot be compared with a str"),
        (lambda: C.due > date(2026, 1, 1), r"todoitem\.due is datetime, and cannot be compared with a date"),
        (lambda: C.day == DUE, r"todoitem\.day is date, and cannot be compared with a datetime"),
        (lambda: C.text == 5, r"todoitem\.text is string, and cannot be compared with a int"),
        (lambda: C.count == "5", r"todoitem\.count is integer, and cannot be compared with a str"),
        (lambda: C.count == True, r"todoitem\.count is integer, and cannot be compared with a bool"),  # noqa: E712
        (lambda: C.count < 2**63, "64 bits"),
        (lambda: C.count == Decimal(1), "no decimal"),
        (lambda: C.price == 1.5, r"todoitem\.price is decimal, and cannot be compared with a float"),
        (lambda: C.rating == -float("inf"), r"todoitem\.rating is float"),
        (lambda: C.complete == 1, r"todoitem\.complete is boolean"),
        (lambda: C.mood == "ugly", r"todoitem\.mood is enum.*Mood"),
        (lambda: C.level == "middle", r"todoitem\.level is enum.*none of"),
        (lambda: C.key == str(KEY), r"todoitem\.key is uuid"),
        (lambda: C.text.is_in(["a", 5]), r"todoitem\.text is string"),
        (lambda: C.text.is_in("abc"), "list of values"),
        (lambda: C.count < None, "is_null"),
        (lambda: C.count.between(1, None), "is_null"),
        (lambda: C.text.contains(None), "give a text"),
        (lambda: C.text.contains(5), r"todoitem\.text is string"),
        (lambda: C.count + None, "None is no number"),
        (lambda: C.count + "1", r"todoitem\.count is integer"),
        (lambda: C.text - 1, r"'sub' has no meaning for todoitem\.text, which is string"),
        (lambda: 1 - C.text, r"'sub' has no meaning for todoitem\.text"),
        (lambda: C.count + C.text, r"'add' has no meaning for todoitem\.text"),
        (lambda: -C.text, r"- has no meaning for todoitem\.text"),
        (C.count.lower, r"lower\(\) has no meaning for todoitem\.count, which is integer"),
        (C.text.year, r"year\(\) has no meaning for todoitem\.text"),
        (C.clock.year, r"year\(\) has no meaning for todoitem\.clock"),
        (C.day.hour, r"hour\(\) has no meaning for todoitem\.day"),
        (C.text.round, r"round\(\) has no meaning"),
        (lambda: C.raw < b"x", "no order in their stored form"),
        (lambda: C.text == C.count, "never compare"),
        (lambda: C.due == C.day, "never compare"),
        (lambda: C.text & C.complete, r"todoitem\.text is string, which is no condition"),
        (lambda: ~C.text, r"todoitem\.text is string, which is no condition"),
        (lambda: TODOS.where(C.count), r"todoitem\.count is integer, which is no condition"),
        (lambda: TODOS.selection(C.count + 1), "only whole columns"),
        (lambda: DICTS.c["other"] == [1], "undeclared"),
        (lambda: DICTS.c["other"] == DUE, "declare the column"),
    ],
)
def test_queries_without_meaning(make: Callable[[], object], reason: str) -> None:
    """A query that could not mean anything is refused where it is written, naming the column. [N08] [N20]"""
    with pytest.raises(InvalidQuery, match=reason):
        _ = make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: C.tags == ["a"],
        C.tags.is_null,
        lambda: C.tags.is_in([]),
        lambda: C.tags.contains("a"),
        lambda: C.text == C.tags,
        C.tags.length,
        lambda: TODOS.ordering(C.tags),
        C.tags.descending,
    ],
)
def test_a_complex_column_cannot_be_queried(make: Callable[[], object]) -> None:
    """Lists, dicts and nested classes are stored, not queried inside."""
    with pytest.raises(InvalidQuery, match=r"todoitem\.tags is JSON"):
        _ = make()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: bool(C.complete), "use & | ~ instead of and, or, not"),
        (lambda: C.complete and C.count > 1, "use & | ~"),
        (lambda: not C.complete, "use & | ~"),
        (lambda: 1 < C.count < 5, "instead of a < x < b"),
        (lambda: TODOS.where(True), "True is no condition: it says the same of every record"),
        (lambda: TODOS.where(False), "False is no condition"),
        (lambda: C.complete & True, "True is no condition"),
        (lambda: False | C.complete, "False is no condition"),
        (lambda: TODOS.where("complete"), "str is no condition"),
        (lambda: TODOS.where(None), "null is no condition"),
        (lambda: TODOS.ordering(5), "int is no key to order by"),
        (lambda: "a" in C.text, "is not iterable"),
    ],
)
def test_what_python_would_get_wrong(make: Callable[[], object], reason: str) -> None:
    """An expression has no truth value, a plain boolean is no condition: each says what to write."""
    with pytest.raises(TypeError, match=reason.replace("|", r"\|")):
        _ = make()


@pytest.mark.parametrize(
    ("make", "name", "suggestion"),
    [
        (lambda: C.txt, "txt", "text"),
        (lambda: C["Complete"], "Complete", "complete"),
        (lambda: C.createdOn, "createdOn", "created_on"),
        (lambda: TODOS.where(completed=True), "completed", "complete"),
        (lambda: TODOS.ordering("texts"), "texts", "text"),
        (lambda: TODOS.selection("zzz"), "zzz", None),
        (lambda: DICTS.c.txt, "txt", "text"),
    ],
)
def test_unknown_columns(make: Callable[[], object], name: str, suggestion: str | None) -> None:
    """A column that is not there is refused by name, with what was probably meant. [N21]"""
    with pytest.raises(UnknownColumn) as caught:
        _ = make()
    assert ("todoitem", name, suggestion) == (
        caught.value.table,
        caught.value.column,
        caught.value.suggestion,
    )


def test_undeclared_fields_of_dicts() -> None:
    """A table of dicts may be queried by any field; the item form says that it is not a slip."""
    anything = DICTS.c["~other"]
    assert Compare("eq", Field("~other"), Value(5)) == (anything == 5).expr
    assert Call("concat", (Field("~other"), Value("x"))) == (anything + "x").expr
    assert And((Field("~other"), Field("~other"))) == (anything & anything).expr
    assert Compare("eq", Field("other"), Value("x")) == DICTS.where(other="x")


def test_columns_named_like_keywords() -> None:
    """A column called datetime, or class, can be queried by name or as an item. [R-N26]"""
    assert Field("datetime", ColumnType.DATETIME) == DICTS.c.datetime.expr
    assert (
        Compare("eq", Field("class", ColumnType.INTEGER), Value(1, ColumnType.INTEGER))
        == (DICTS.c["class"] == 1).expr
    )
    expected = Compare("eq", Field("class", ColumnType.INTEGER), Value(1, ColumnType.INTEGER))
    assert expected == (DICTS.c["class"] == 1).expr
    assert expected == DICTS.where(**{"class": 1})


def test_where() -> None:
    """Conditions and equalities hold together; none means all records. [N21]"""
    assert TODOS.where() is None
    assert compare("eq", "text", "x") == TODOS.where(text="x")
    assert And((field("complete"), compare("eq", "text", "x"))) == TODOS.where(C.complete, text="x")
    assert compare("eq", "count", 1) == TODOS.where((C.count == 1).expr)


def test_ordering() -> None:
    """Keys are handles, names or expressions; a key may say its own direction. [N06] [N21]"""
    assert (Order(field("text")), Order(field("count"))) == TODOS.ordering(C.text, "count")
    assert (Order(field("text"), True), Order(field("count"))) == TODOS.ordering(
        C.text, C.count.ascending(), descending=True
    )
    assert (Order(Call("lower", (field("text"),)), True),) == TODOS.ordering(C.text.lower().descending())


def test_selection() -> None:
    """Columns are selected by handle or by name. [N14]"""
    assert ("text", "id", "version") == TODOS.selection(C.text, "id", C.version)


def test_the_wire_name_is_not_used_locally() -> None:
    """A query speaks of local names; the transport knows the others."""
    assert "created_on" == C.created_on.expr.name  # type: ignore[union-attr]


def test_handles_print_and_copy() -> None:
    """Handles say which column they are, live in sets, and can be listed and copied. [N17]"""
    assert "<todoitem.text: string>" == repr(C.text)
    assert {C.text} == {C.text}
    assert "text" in dir(C)
    assert ["id", "text"] == [handle.label.partition(".")[2] for handle in C][:2]
    assert "todoitem.text" == copy.copy(C.text).label


def test_a_query_finds_what_it_says() -> None:
    """Handles, AST and meaning together, on the special characters of texts. [N13]"""
    texts = [f"a{character}b" for character in "&\"' +/\\%_?#;:,.<>[]{}()=@!$^`~|*-"]
    rows: list[Record] = [{"id": str(index), "text": text} for index, text in enumerate(texts)]
    for text in texts:
        found = predicate.select(Query("todoitem", TODOS.where(text=text)), rows)
        assert [text] == [row["text"] for row in found]


def test_prefixes_without_case() -> None:
    """Lower-case both sides to search without case. [N24]"""
    matches = predicate.matcher(C.text.lower().startswith("élan").expr)
    assert [True, False] == [matches({"id": "1", "text": text}) for text in ("ÉLANs", "elan")]


def test_instants_compare_whatever_their_zone() -> None:
    """Instants are compared as instants, and given back in UTC. [N02]"""
    matches = predicate.matcher((C.due == DUE.astimezone(UTC)).expr)
    assert matches({"id": "1", "due": DUE_TEXT})
    assert DUE.astimezone(UTC) == TODOS.decode_field("due", DUE_TEXT)
