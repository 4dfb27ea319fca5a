"""What `table()` makes of classes and columns, and what it refuses before anything is opened."""

import enum
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Optional
from uuid import UUID

import attrs
import pytest

from tidesync.declare import camel, table
from tidesync.errors import ConfigurationError
from tidesync.objects import Table
from tidesync.schema import Column, TableSchema
from tidesync.values import ColumnType

Name = NewType("Name", str)


class Mood(enum.StrEnum):
    """Text values."""

    GOOD = "good"


@attrs.define
class Place:
    """A nested class."""

    street: str


@attrs.define
class Everything:
    """A column of each type."""

    id: str
    text: str
    size: int
    weight: float
    done: bool
    due: datetime
    day: date
    clock: time
    price: Decimal
    key: UUID
    mood: Mood
    raw: bytes
    tags: list[str]
    place: Place
    anything: Any
    level: Literal["low", "high"]
    either: int | str
    named: Annotated[Name, "the name"]
    maybe: Optional[int] = None  # noqa: UP045  # both spellings count
    count: int = 0
    version: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass
class TodoItem:
    """A dataclass."""

    id: str
    text: str
    created_on: datetime | None = None
    list_id: str | None = None
    tags: list[str] = field(default_factory=list)
    shown: bool = field(init=False, default=False)


def test_columns_of_a_class() -> None:
    """Each annotation has its column type; id and system fields are no columns. [L05]"""
    types = [
        "string", "integer", "float", "boolean", "datetime", "date", "time", "decimal", "uuid", "enum",
        "bytes", "json", "json", "any", "enum", "any", "string", "integer", "integer",
    ]  # fmt: skip
    columns = table(Everything).schema.columns
    assert types == [column.type.value for column in columns]
    assert ["anything", "maybe", "count"] == [column.name for column in columns if column.nullable]


def test_the_name_of_a_class() -> None:
    """A table is called like its class, in lower case, unless it is named."""
    assert "todoitem" == table(TodoItem).name
    assert "Todo_2" == table(TodoItem, name="Todo_2").name


def test_columns_of_a_dataclass() -> None:
    """What the constructor does not take is no column."""
    assert ["text", "created_on", "list_id", "tags"] == [
        column.name for column in table(TodoItem).schema.columns
    ]


def test_columns_by_name() -> None:
    """Columns without a class make a table of dicts, every column nullable."""
    todos = table("todoitem", {"id": str, "text": str, "due": datetime | None, "version": str | None})
    assert (Column("text", ColumnType.STRING), Column("due", ColumnType.DATETIME)) == todos.schema.columns
    assert dict is todos.cls


def test_columns_named_like_keywords() -> None:
    """A column may be called datetime, or like a keyword of Python or SQL. [R-N26]"""
    schema = table(
        "t", {"datetime": datetime, "class": str, "select": int, "Version": int, "version_": str}
    ).schema
    assert ["datetime", "class", "select", "Version", "version_"] == [
        column.name for column in schema.columns
    ]


def test_names_that_differ_in_case() -> None:
    """Names that differ only in case are different columns. [L04]"""
    assert ["text", "Text"] == [
        column.name for column in table("t", {"text": str, "Text": str}).schema.columns
    ]


def test_references() -> None:
    """References name a table, or a table's name; nothing said is None, and `{}` says that there are none."""
    lists = table("lists", {"title": str})
    assert {"list_id": "lists"} == table(TodoItem, references={"list_id": lists}).schema.references
    assert {"list_id": "todoitem"} == table(TodoItem, references={"list_id": "todoitem"}).schema.references
    assert {} == table(TodoItem, references={}).schema.references
    assert table(TodoItem).schema.references is None


def test_indexes_and_concurrency() -> None:
    """An index of one column may be a bare name."""
    schema = table(TodoItem, indexes=["text", ("list_id", "text")], concurrency="last-write-wins").schema
    assert (("text",), ("list_id", "text")) == schema.indexes
    assert "last-write-wins" == schema.concurrency


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("created_on", "createdOn"), ("text", "text"), ("a_b_c", "aBC"), ("_private_name", "_privateName"),
        ("name_", "name_"), ("a__b", "aB"), ("_", "_"), ("has2_parts", "has2Parts"),
        ("alreadyCamel", "alreadyCamel"),
    ],
)  # fmt: skip
def test_camel(name: str, expected: str) -> None:
    """Underscores inside a name become capitals; those at its ends stay."""
    assert expected == camel(name)


@pytest.mark.parametrize(
    "rename",
    ["camel", {"created_on": "createdOn", "list_id": "listId"}, camel],
    ids=["camel", "mapping", "callable"],
)
def test_rename(rename: Any) -> None:
    """Wire names come from a rule, a mapping or a callable; what a mapping leaves out keeps its name."""
    assert ["text", "createdOn", "listId", "tags"] == list(table(TodoItem, rename=rename).schema.by_wire)


def test_a_table_is_a_key() -> None:
    """Tables compare and hash by identity, so a context can be asked with one."""
    one, other = table(TodoItem), table(TodoItem)
    assert {one: 1, other: 2}[one] == 1
    assert one != other
    assert "<table todoitem of TodoItem>" == repr(one)


@attrs.define
class NoId:
    """Has no id."""

    text: str


@attrs.define
class UpperId:
    """Spells it wrong."""

    ID: str


@attrs.define
class NumberId:
    """Ids are text."""

    id: int


@attrs.define
class MaybeId:
    """Ids are never null."""

    id: str | None


@attrs.define
class OwnVersion:
    """Version is the remote's."""

    id: str
    version: int = 0


@attrs.define
class OwnTime:
    """So is created_at."""

    id: str
    created_at: str | None = None


@attrs.define
class Complex:
    """No column can be complex."""

    id: str
    wave: complex


@attrs.define
class Sets:
    """Sets have no order, and JSON no sets."""

    id: str
    tags: set[str]


@attrs.define
class DeepSets:
    """Nor inside of lists."""

    id: str
    tags: list[Sets]


@attrs.define
class Torn:
    """Nothing tells a date from a text."""

    id: str
    due: date | str


@attrs.define
class Lost:
    """Names what is nowhere."""

    id: str
    other: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


@dataclass
class Needy:
    """Cannot be made from its fields."""

    id: str
    secret: InitVar[str]


class Plain:
    """Neither attrs class nor dataclass."""

    id: str


class FloatEnum(enum.Enum):
    """Floats are no enum values."""

    HALF = 0.5


@pytest.mark.parametrize(
    ("declare", "reason"),
    [
        (lambda: table(NoId), "NoId has no id"),
        (lambda: table(UpperId), "UpperId.ID: write it `id`"),
        (lambda: table(NumberId), "NumberId.id must be str"),
        (lambda: table(MaybeId), "MaybeId.id must be str"),
        (lambda: table(OwnVersion), "OwnVersion.version is the remote's"),
        (lambda: table(OwnTime), "OwnTime.created_at is the remote's"),
        (lambda: table(Complex), "Complex.wave: complex has no JSON form"),
        (lambda: table(Sets), "Sets.tags: .*set"),
        (lambda: table(DeepSets), "DeepSets.tags: .*set"),
        (lambda: table(Torn), "Torn.due: a union"),
        (lambda: table(Lost), "Lost: the annotation 'Nowhere'"),
        (lambda: table(Needy), "Needy.. requires 'secret'"),
        (lambda: table(Plain), "Plain is neither"),
        (lambda: table(TodoItem, name="__secret"), "start with __"),
        (lambda: table(TodoItem, name="to do"), "'to do' cannot be a table name"),
        (lambda: table(TodoItem, name=""), "'' cannot be a table name"),
        (lambda: table(TodoItem, name="x" * 64), "cannot be a table name"),
        (lambda: table(TodoItem, {"text": str}), "leave them out"),  # type: ignore[call-overload]
        (lambda: table(5), "class or a name"),  # type: ignore[call-overload]
        (lambda: table("t"), "give the columns"),  # type: ignore[call-overload]
        (lambda: table("1t", {}), "'1t' cannot be a table name"),
        (lambda: table("t", {"a b": str}), "'a b' cannot be a column name"),
        (lambda: table("t", {"__x": str}), "'__x' cannot be a column name"),
        (lambda: table("t", {5: str}), "must be text"),  # type: ignore[dict-item]
        (lambda: table("t", {"id": int}), "id must be str"),
        (lambda: table("t", {"Id": str}), "write it `id`"),
        (lambda: table("t", {"version": int}), "version is the remote's"),
        (lambda: table("t", {"a": None}), "'t'.a: None"),
        (lambda: table("t", {"a": "str"}), "'t'.a: str has no JSON form"),
        (lambda: table("t", {"a": FloatEnum}), "HALF is float"),
        (lambda: table("t", {"a": Literal[b"x"]}), "'t'.a: a Literal"),
        (lambda: table("t", {"a": dict[int, str]}), "'t'.a: dict"),
        (lambda: table("t", {"a": tuple[int, str]}), "'t'.a: tuple"),
        (lambda: table(TodoItem, references={"list": "lists"}), "references name 'list'"),
        (lambda: table(TodoItem, references={"list_id": 5}), "list_id must reference"),  # type: ignore[dict-item]
        (lambda: table(TodoItem, references={"tags": "lists"}), "tags names records by id"),
        (lambda: table(TodoItem, indexes=["texts"]), "indexes name 'texts'"),
        (lambda: table(TodoItem, indexes=[()]), "at least one column"),
        (lambda: table(TodoItem, indexes=["tags"]), "tags is JSON"),
        (lambda: table(TodoItem, concurrency="never"), "concurrency"),  # type: ignore[call-overload]
        (lambda: table(TodoItem, rename="snake"), "rename must be 'camel'"),
        (lambda: table(TodoItem, rename={"created": "createdOn"}), "rename names created"),
        (lambda: table(TodoItem, rename={"text": ""}), "text must have a text"),
        (lambda: table(TodoItem, rename={"text": "tags"}), "'tags' is twice among the wire names"),
        (lambda: table(TodoItem, rename={"text": "version"}), "'version' is reserved"),
        (lambda: table(TodoItem, rename=lambda name: "id"), "'id' is reserved"),
    ],
)
def test_refused_declarations(declare: Callable[[], Table[Any]], reason: str) -> None:
    """A declaration that cannot work is refused at once, naming class and field. [A13] [L13]"""
    with pytest.raises(ConfigurationError, match=reason):
        _ = declare()


def test_an_untyped_field_is_refused() -> None:
    """An attrs field without a type says nothing about its column. [L13]"""
    untyped = attrs.make_class("Bare", {"id": attrs.field(type=str), "text": attrs.field()})
    with pytest.raises(ConfigurationError, match=r"Bare\.text has no type"):
        _ = table(untyped)


def test_fields_typed_without_annotations() -> None:
    """An attrs field may carry its type itself."""
    typed = attrs.make_class("Typed", {"id": attrs.field(type=str), "size": attrs.field(type=int, default=0)})
    assert (Column("size", ColumnType.INTEGER),) == table(typed).schema.columns


def test_the_engines_own_tables_have_other_rules() -> None:
    """A schema made directly may start with __, and still not name a column twice."""
    assert "__heads" == TableSchema("__heads", (Column("version"),)).name
    with pytest.raises(ConfigurationError, match="twice"):
        _ = TableSchema("__heads", (Column("a"), Column("a")))
