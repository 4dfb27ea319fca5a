"""Names on the wire: declared columns are renamed, and nothing else is ever lost or mixed up."""

from hypothesis import given
from hypothesis import strategies as st

from tidesync.records import Record
from tidesync.schema import Column, TableSchema

NAMES = st.sampled_from(["a", "b", "c", "d"])
FIELDS = st.dictionaries(
    st.builds(lambda tildes, name: "~" * tildes + name, st.integers(0, 3), NAMES | st.just("id")),
    st.integers(),
)


@st.composite
def schemas(draw: st.DrawFn) -> TableSchema:
    """Columns whose wire names are anything, also each other's names."""
    names = draw(st.lists(NAMES, unique=True))
    wires = draw(st.permutations(["a", "b", "c", "d"]))
    return TableSchema("t", tuple(Column(name, wire=wire) for name, wire in zip(names, wires, strict=False)))


def test_declared_columns_are_renamed() -> None:
    """A column has its wire name on the wire; id, system fields and unknown fields keep theirs."""
    schema = TableSchema("t", (Column("created_on", wire="createdOn"),))
    record: Record = {"id": "1", "created_on": 1, "version": "v", "other_field": 2}
    wire: Record = {"id": "1", "createdOn": 1, "version": "v", "other_field": 2}
    assert wire == schema.to_wire(record)
    assert record == schema.from_wire(wire)


def test_an_undeclared_namesake_survives() -> None:
    """An unknown field that has the local name of a renamed column is kept beside it."""
    schema = TableSchema("t", (Column("created", wire="createdOn"),))
    wire: Record = {"id": "1", "createdOn": 1, "created": 2, "~created": 3}
    record: Record = {"id": "1", "created": 1, "~created": 2, "~~created": 3}
    assert record == schema.from_wire(wire)
    assert wire == schema.to_wire(record)


@given(schemas(), FIELDS)
def test_names_survive_the_wire(schema: TableSchema, fields: dict[str, int]) -> None:
    """Both ways round, whatever the declaration and the fields: nothing is lost, nothing is mixed up."""
    record: Record = {**fields}
    assert record == schema.from_wire(schema.to_wire(record))
    assert record == schema.to_wire(schema.from_wire(record))


@given(schemas(), schemas(), FIELDS)
def test_a_changed_declaration_loses_nothing(
    old: TableSchema, new: TableSchema, fields: dict[str, int]
) -> None:
    """What was stored under one declaration is found under the next one, by way of the wire."""
    wire: Record = {**fields}
    assert wire == new.to_wire(new.from_wire(old.to_wire(old.from_wire(wire))))
