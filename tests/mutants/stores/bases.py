"""What broken stores are made from: sound ones, of which a mutant is a subclass with one mistake."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import attrs

from tests.mutants.registry import Mutant, words
from tests.mutants.stores.json_file import JsonFileStore, JsonFileTransaction
from tests.mutants.stores.meaning import Meaning, MeaningStore, MeaningTransaction
from tests.mutants.stores.secret_file import SecretFileStore, SecretFileTransaction
from tidesync.contracts.store import StoreCapabilities
from tidesync.stores import MemoryStore, SQLCipherStore, SQLiteStore
from tidesync.stores.memory import MemoryTransaction
from tidesync.stores.sqlite_transaction import SQLiteTransaction

C = TypeVar("C", bound=type)


class CipherTransaction(SQLiteTransaction):
    """A transaction of a SQLCipher store."""


MUTANTS: Final[dict[str, Mutant]] = {}
"""All broken stores, by name."""


@attrs.frozen(kw_only=True)
class Base:
    """A sound store: its class, that of its transactions, and what it declares; `place` is the name of its file."""

    name: str
    store: type
    transaction: type
    place: str = ""
    capabilities: StoreCapabilities = attrs.field(factory=StoreCapabilities)
    parts: type | None = None
    key: bytes | None = None

    def made_of(self, part: type, key: bytes | None = None) -> Callable[..., Any]:
        """A factory of stores with this subclass of the store, of its transaction, or of what else it is made of."""
        store: Any = part
        if self.parts is not None and issubclass(part, self.parts):
            store = type(part.__name__, (self.store,), {"meaning": part()})
        elif issubclass(part, self.transaction):
            store = type(
                part.__name__, (self.store,), {"transaction": lambda self, *, write: part(self, write)}
            )
        if not self.place:
            return store

        def make(folder: Path) -> Any:
            with_key = {"key": key or self.key} if self.key else {}
            return store(folder / self.place, **with_key)

        return make

    def options(self, part: type) -> Mapping[str, Any]:
        """What `check_store` is told of a store with this part."""
        options: dict[str, Any] = {"capabilities": self.capabilities}
        if self.capabilities.indexed:
            options["count_steps"] = lambda: _Steps.taken
        if self.key:
            options["make_locked"] = self.made_of(part, bytes(32))
        return options


class _Steps:
    taken = 0


@contextmanager
def counted_steps() -> Generator[None]:
    """Count the instructions that SQLite's machine carries out, on every connection that is made inside."""

    def done(event: dict[str, Any]) -> None:
        _Steps.taken += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    def watch(connection: apsw.Connection) -> None:
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, done)

    apsw.connection_hooks.append(watch)
    yield
    apsw.connection_hooks.remove(watch)


BASES: Final = {
    base.name: base
    for base in (
        Base(
            name="memory",
            store=MemoryStore,
            transaction=MemoryTransaction,
        ),
        Base(
            name="meaning",
            store=MeaningStore,
            transaction=MeaningTransaction,
            parts=Meaning,
        ),
        Base(
            name="JSON file",
            store=JsonFileStore,
            transaction=JsonFileTransaction,
            place="store.json",
            capabilities=JsonFileStore.capabilities,
        ),
        Base(
            name="SQLite",
            store=SQLiteStore,
            transaction=SQLiteTransaction,
            place="store.db",
            capabilities=StoreCapabilities(durable=True, multiprocess=True, indexed=True),
        ),
        Base(
            name="encrypted file",
            store=SecretFileStore,
            transaction=SecretFileTransaction,
            place="store.secret",
            capabilities=SecretFileStore.capabilities,
            key=bytes(range(32)),
        ),
        Base(
            name="SQLCipher",
            store=SQLCipherStore,
            transaction=CipherTransaction,
            place="store.db",
            capabilities=StoreCapabilities(durable=True, multiprocess=True, indexed=True, encrypted=True),
            key=bytes(range(32)),
        ),
    )
}


def _base_of(part: type) -> Base:
    # From the most special one on: a JSON file's transaction is one of memory, too.
    for name in ("SQLCipher", "SQLite", "encrypted file", "JSON file", "meaning", "memory"):
        base = BASES[name]
        if issubclass(part, tuple(filter(None, (base.store, base.transaction, base.parts)))):
            return base
    raise TypeError(f"{part.__name__} is based on no sound store")


def broken(caught_by: str) -> Callable[[C], C]:
    """Register a class as a broken store: its docstring is the mistake, a rule's method must catch it."""

    def register(part: C) -> C:
        base = _base_of(part)
        name = words(part.__name__)
        if name in MUTANTS:
            raise ValueError(f"two mutants are named {name}")
        MUTANTS[name] = Mutant(
            name=name,
            mistake=" ".join((part.__doc__ or "").split()),
            caught_by=caught_by,
            make=base.made_of(part),
            base=base.name,
            options=partial(base.options, part),
        )
        return part

    return register
