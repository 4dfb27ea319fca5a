"""What users pass to a context, checked before anything happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tidesync.errors import ConfigurationError, InvalidQuery, UsageError
from tidesync.objects import Table
from tidesync.query import Query
from tidesync.records import ID_LIMIT

RESERVED: Final = "$", "__"
"""Parameters that begin like this belong to the protocol."""


def check_context(
    store: object, tables: Sequence[object], policies: Sequence[object], page_size: object, patience: object
) -> None:
    """Raise `ConfigurationError` unless a context can be made of these."""
    if store is None or not hasattr(store, "transaction"):
        raise ConfigurationError(
            f"a store is needed, such as MemoryStore() or SQLiteStore(path), not {store!r:.60}"
        )
    seen: set[str] = set()
    for each in tables:
        if not isinstance(each, Table):
            raise ConfigurationError(f"tables are what table() returns, not {each!r:.60}")
        if each.name in seen:
            raise ConfigurationError(f"two tables are named {each.name!r}: give one of them another name=")
        seen.add(each.name)
    for policy in policies:
        if not callable(policy):
            raise ConfigurationError(f"a policy is a callable Conflict -> Resolution, not {policy!r:.60}")
    if isinstance(page_size, bool) or not isinstance(page_size, int) or page_size < 1:
        raise ConfigurationError(f"page_size is a whole number from 1, not {page_size!r}")
    if not isinstance(patience, int | float) or patience < 0:
        raise ConfigurationError(f"patience is in seconds, from 0, not {patience!r}")


def check_collection(tables: object) -> None:
    """Raise `ConfigurationError` unless this can be a collection of tables."""
    if tables is not None and (isinstance(tables, str) or not isinstance(tables, Iterable)):
        raise ConfigurationError(f"push() takes a list of tables, such as [todos], not {tables!r:.60}")


def check_pull(query: Query, name: str | None, departures: object, push: object) -> None:
    """Raise `InvalidQuery` unless this can be pulled."""
    if query.fields is not None:
        raise InvalidQuery(f"{query.table}: a pull brings whole records: leave out values()")
    if departures not in ("keep", "remove") or push not in ("context", "table", "none"):
        raise InvalidQuery("departures is 'keep' or 'remove', push is 'context', 'table' or 'none'")
    if name is None:
        if departures == "remove":
            raise InvalidQuery(
                f"{query.table}: departures='remove' needs a name: only then is known what was here"
            )
        return
    check_name(query.table, name)
    if query.order or query.skip or query.take is not None:
        raise InvalidQuery(
            f"{query.table}: a named pull has an order of its own: leave out order_by, skip and take"
        )


def check_name(table: str, name: object) -> None:
    """Raise `InvalidQuery` unless this can name a pull."""
    if not isinstance(name, str) or not name or len(name) > ID_LIMIT or not name.isprintable():
        raise InvalidQuery(
            f"{table}: a pull's name is 1 to {ID_LIMIT} printable characters, not {name!r:.60}"
        )


def check_parameters(parameters: Mapping[str, str]) -> None:
    """Raise `InvalidQuery` where a parameter would overrule the protocol."""
    if not isinstance(parameters, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidQuery(f"parameters are texts by name, not {parameters!r:.60}")
    for key, value in parameters.items():
        if not isinstance(key, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidQuery(f"parameters are texts by name, not {key!r:.60}: {value!r:.60}")
        if key.startswith(RESERVED):
            raise InvalidQuery(f"the parameter {key!r} belongs to the protocol: say it with the query")


def check_kind(call: str, given: object, kind: type[object], what: str) -> None:
    """Raise `UsageError` unless this is of the kind that the call takes."""
    if not isinstance(given, kind):
        raise UsageError(f"{call}() takes {what}, not {given!r:.60}")


def check_subscriber(callback: object) -> None:
    """Raise `ConfigurationError` unless this can be called back."""
    if not callable(callback):
        raise ConfigurationError(
            f"subscribe() takes a callable that is given each event, not {callback!r:.60}"
        )
