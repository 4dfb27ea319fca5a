"""What a user brings into the simulation: a policy, tables, a store, a remote; and what must hold in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from tidesync.conflicts import Policy, merge_fields
from tidesync.contracts.store import Store
from tidesync.contracts.transport import Transport
from tidesync.declare import table
from tidesync.errors import ConfigurationError
from tidesync.objects import Table
from tidesync.records import Json, Record
from tidesync.schema import TableSchema
from tidesync.transports.authority import Authority
from tidesync.transports.principal import BeforeWrite

MakeStore: TypeAlias = Callable[[Path], Store]
MakeRemote: TypeAlias = Callable[[], Authority | Callable[[], Transport]]
Holds: TypeAlias = Callable[[Mapping[str, Sequence[Record]]], str | None]
Given: TypeAlias = Table[Any] | TableSchema

LISTS = table("list", {"title": str, "color": str, "place": int}, references={})
ITEMS = table(
    "item", {"text": str, "done": bool, "place": int, "list_id": str}, references={"list_id": LISTS}
)


def _tables(given: Iterable[Given]) -> tuple[Given, ...]:
    if isinstance(given, Table | TableSchema):
        raise ConfigurationError("tables are a list, such as tables=[todos]")
    return tuple(given)


@attrs.frozen(kw_only=True)
class Scenario:
    """A kind of world that is not ours: whatever is not given is the simulation's own.

    `policy(conflict)` settles the conflicts of every device; `merges` promises that it keeps what one side alone
    changed of a record alive on both sides (True for the default, `merge_fields()`). `tables`: what `table()` returns,
    or schemas; records are made of their columns, references name records that are there, and `values` gives the
    values of a column, as in `{"todo.text": ["a", "b"]}`, where the column's type says too little. `make_store(folder)`
    makes a store of one device in an empty folder of its own; a store that declares itself durable is closed and made
    again, in the same folder, whenever the application is killed. `make_remote()` starts an empty remote, and returns
    it as an `Authority`, or as a function that makes one more client (a `Transport`) of it; nobody else may write to
    it. Without it the remote is an authority with these `before_write` and `foreign_keys`. `computed` names columns,
    as in `"todo.slug"`, that the remote sets as it likes. `holds` is asked about the records of each table when all
    agree, and says what is wrong with them, or None.

    There are `devices` with one user each, whose store so many `contexts` share, and `records` ids in each table,
    every other one of which belongs to one device alone; users delete and revive records if `deletes`. `batch` bounds
    the changes of one push (to our own remote), `page` the records of one page. A run has `steps` steps. Raises
    `ConfigurationError` for what is no world.
    """

    name: str = "scenario"
    tables: Sequence[Given] = attrs.field(default=(LISTS, ITEMS), converter=_tables)
    policy: Policy | None = None
    merges: bool | None = None
    make_store: MakeStore | None = None
    make_remote: MakeRemote | None = None
    before_write: BeforeWrite | Mapping[str, BeforeWrite] | None = None
    foreign_keys: bool = False
    values: Mapping[str, Sequence[Json]] = attrs.field(factory=dict[str, "Sequence[Json]"])
    computed: Sequence[str] = ()
    holds: Holds | None = None
    devices: int = 2
    contexts: int = 1
    records: int = 3
    deletes: bool = True
    batch: int = 2
    page: int = 2
    steps: int = 120

    def __attrs_post_init__(self) -> None:
        for name in ("devices", "contexts", "records", "batch", "page", "steps"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)!r}, and must be 1 at least")
        if not self.schemas:
            raise ConfigurationError("a scenario needs a table: tables=[todos]")
        if self.contexts > 3:
            raise ConfigurationError(f"contexts is {self.contexts}, and may be 3 at most")
        if self.make_remote is not None and (self.before_write is not None or self.foreign_keys):
            raise ConfigurationError(
                "before_write and foreign_keys are options of the simulation's own remote: give them to make_remote's"
            )
        columns = {f"{name}.{column}" for name, each in self.schemas.items() for column in each.by_name}
        for named in (*self.values, *self.computed):
            if named not in columns:
                raise ConfigurationError(f"{named!r} is no column; there are {', '.join(sorted(columns))}")

    @property
    def schemas(self) -> Mapping[str, TableSchema]:
        """The tables as stores and transports see them, by name."""
        found = [each.schema if isinstance(each, Table) else each for each in self.tables]
        return {each.name: each for each in found}

    @property
    def settles(self) -> Policy:
        """The policy, or the default one."""
        return merge_fields("local") if self.policy is None else self.policy

    @property
    def keeps_both(self) -> bool:
        """Whether the policy promises to keep what each side alone changed."""
        return self.policy is None if self.merges is None else self.merges
