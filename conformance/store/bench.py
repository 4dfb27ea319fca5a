"""What a rule for stores works with: stores on a place of its own, sizes, and a program of what was done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

import attrs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tidesync.conformance.domain import Domain
from tidesync.conformance.profiles import Profile
from tidesync.conformance.program import Program
from tidesync.conformance.store.tables import KNOWN, THING
from tidesync.contracts.store import Store, StoreCapabilities
from tidesync.errors import ConfigurationError, StoreError
from tidesync.query import Query
from tidesync.records import Record
from tidesync.schema import TableSchema


def offered_by(capabilities: StoreCapabilities) -> frozenset[str]:
    """What rules may require: the names of the capabilities that are declared."""
    return frozenset(name for name, declared in attrs.asdict(capabilities).items() if declared)


_SHAPES: Final = ("{:06}", "00000000-0000-4000-8000-{:012}", "{:024}")
"""Ids of which a narrow domain may take one sort."""


class StoreBench:
    """The place of one rule. Stores made by one bench share what they hold, as far as they are durable."""

    def __init__(
        self,
        make_store: Callable[[], Store],
        *,
        folder: Path,
        profile: Profile,
        capabilities: StoreCapabilities | None = None,
        domain: Domain | None = None,
        make_locked: Callable[[], Store] | None = None,
        count_steps: Callable[[], int] | None = None,
    ) -> None:
        self._make, self._make_locked = make_store, make_locked
        self._made: list[Store] = []
        self.folder, self.profile = folder, profile
        self.count_steps = count_steps
        self.capabilities = capabilities or StoreCapabilities()
        self.domain = domain or Domain()
        self.program = Program(make_store, known=KNOWN)

    def __enter__(self) -> StoreBench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.program.attach(error)
        # What came first is told, and not what closing makes of it.
        with suppress(*([Exception] if error is not None else [])):
            self.close()

    def make(self) -> Store:
        """A store that is not open yet; it is closed at the end."""
        store = self.program.store(self._make())
        self._made.append(store)
        return store

    def make_locked(self) -> Store:
        """A store on the same place with another key (of an encrypted store)."""
        store = self.program.store(self._with_another_key())
        self._made.append(store)
        return store

    def _with_another_key(self) -> Store:
        if self._make_locked is None:
            raise ConfigurationError(
                "the store is declared encrypted: give the fixture make_locked_store (check_store: make_locked=), "
                "which makes a store on the same place with another key"
            )
        return self._make_locked()

    def bare(self, *, locked: bool = False) -> Store:
        """A store as it was made, with another key if `locked`: its calls are not written down, nor is it closed."""
        return self._with_another_key() if locked else self._make()

    def open(self, *tables: TableSchema) -> Store:
        """An open store, with these tables or with `THING`."""
        store = self.make()
        store.open(list(tables or (THING,)))
        return store

    def filled(self, *records: Record) -> Store:
        """An open store whose `THING` holds these records."""
        store = self.open()
        put(store, *records)
        return store

    def ids(self, count: int) -> list[str]:
        """So many ids that the domain takes, in their order."""
        for shape in _SHAPES:
            found = [shape.format(number) for number in range(count)]
            if len(self.domain.legal_ids(found)) == count:
                return found
        raise ConfigurationError(f"the domain takes neither numbers nor UUIDs as ids: {self.domain.says}")

    def close(self) -> None:
        """Close what was made; a store that cannot is left to the rules about closing."""
        made, self._made = self._made, []
        for store in made:
            with suppress(StoreError):
                store.close()

    def each(self, check: Callable[..., None], **strategies: st.SearchStrategy[Any]) -> None:
        """Call `check` with examples of the strategies: a property. The program is that of the last example."""

        def tried(**values: Any) -> None:
            self.program.mark()
            check(**values)

        tried.__name__, tried.__qualname__ = check.__name__, check.__qualname__
        given(**strategies)(self.profile.settings()(tried))()

    def machine(self, made: type[RuleBasedStateMachine] | Callable[[], RuleBasedStateMachine]) -> None:
        """Run a state machine in as many steps as the profile says."""
        run_state_machine_as_test(
            cast("type[RuleBasedStateMachine]", made), settings=self.profile.settings(self.profile.machines)
        )


def put(store: Store, *records: Record, table: str = THING.name) -> None:
    """Put records, in a transaction of their own."""
    with store.transaction(write=True) as transaction:
        transaction.put(table, list(records))


def held(store: Store, query: Query | None = None) -> list[Record]:
    """What a transaction of its own selects; all of `THING` for None."""
    with store.transaction(write=False) as transaction:
        return list(transaction.select(query or Query(THING.name)))


def refill(store: Store, records: Iterable[Record], table: str = THING.name) -> None:
    """Make these the records of the table."""
    with store.transaction(write=True) as transaction:
        _ = transaction.delete_where(Query(table))
        transaction.put(table, list(records))
