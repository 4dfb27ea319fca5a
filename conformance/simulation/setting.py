"""What the profiles' worlds are set in: two tables, the records that are fought over, what devices want of them."""

from __future__ import annotations

from tidesync.conformance.simulation.calls import Key
from tidesync.conformance.simulation.profiles import Profile
from tidesync.conformance.simulation.tapes import Draw
from tidesync.query import Compare, Field, Value
from tidesync.records import Record
from tidesync.schema import Column, TableSchema

FIELDS = {"item": ("f0", "f1", "f2", "ref"), "list": ("f0", "f1", "f2")}
SYSTEM = ("version", "created_at", "updated_at", "_sequence", "_deleted")
SMALL = Compare("lt", Field("f0"), Value(2))
"""What devices want where they do not want all."""


def tables_of(profile: Profile) -> dict[str, TableSchema]:
    """The two tables, and what they say about references."""
    named: dict[str, dict[str, str] | None] = {
        "declared": {"ref": "list"}, "self": {"ref": "item"}, "none": {}, "undeclared": None
    }  # fmt: skip
    references = named[profile.references]
    item = TableSchema(
        "item", tuple(map(Column, FIELDS["item"])), references, concurrency=profile.concurrency
    )
    none: dict[str, str] | None = None if profile.references == "undeclared" else {}
    return {
        "list": TableSchema(
            "list", tuple(map(Column, FIELDS["list"])), none, concurrency=profile.concurrency
        ),
        "item": item,
    }


class Endless(Draw):
    """Decisions while nothing is left to chance: a fixed walk."""

    def __init__(self) -> None:
        super().__init__(0)
        self.state = 12345

    def below(self, bound: int) -> int:
        """The next."""
        self.state = (self.state * 1103515245 + 12345) % 2147483648
        return (self.state >> 8) % bound


DECLARED = Profile(name="declared")
KEYS: list[Key] = [
    ("list", "P"), ("item", "A"), ("item", "B"), ("list", "Q"), ("item", "C"), ("item", "D"),
]  # fmt: skip
SELF: list[Key] = [("item", "A"), ("item", "B"), ("item", "C"), ("item", "D")]


def blank(table: str) -> Record:
    """A record's fields before anybody wrote one."""
    return {field: None if field == "ref" else 0 for field in FIELDS[table]}
