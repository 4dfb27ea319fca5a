"""What users pass to a context, checked before anything happens."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from tidesync.conflicts import merge_fields
from tidesync.errors import ConfigurationError, InvalidQuery, UsageError
from tidesync.objects import Table
from tidesync.query import Query
from tidesync.records import ID_LIMIT

RESERVED: Final = "$", "__"
"""Parameters that begin like this belong to the protocol."""


def check_ends(store: object, transport: object, handler: object) -> None:
    """Raise `ConfigurationError` unless these can be a store, a transport or None, and a handler or None."""
    if isinstance(store, type) or not _has(store, "transaction", "open"):
        raise ConfigurationError(
            f"a store is needed, such as MemoryStore() or SQLiteStore(path), not {_told(store)}"
        )
    if transport is not None and (isinstance(transport, type) or not _has(transport, "open", "pull")):
        raise ConfigurationError(
            f"a transport is an HttpTransport(url), or None to work locally only, not {_told(transport)}"
        )
    if handler is not None and (
        isinstance(handler, type) or not _has(handler, "execute", "on_push_complete")
    ):
        raise ConfigurationError(f"a handler is an instance, say of a DefaultHandler, not {_told(handler)}")


def is_async(function: object) -> bool:
    """Whether it is a coroutine function, or an object that is called as one."""
    called = getattr(type(function), "__call__", None)  # noqa: B004  # asks for its kind, not whether it is there
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def check_plain(what: str, *functions: object) -> None:
    """Raise `ConfigurationError` for what has to be awaited, which a `SyncContext` does nowhere."""
    if any(map(is_async, functions)):
        raise ConfigurationError(f"{what} is asynchronous: give it to an AsyncSyncContext")


def check_synchronous(transport: object, handler: object, policies: Iterable[object]) -> None:
    """Raise `ConfigurationError` for what has to be awaited, which a `SyncContext` does nowhere."""
    check_plain("this transport", *(getattr(transport, name, None) for name in ("push", "pull")))
    check_plain("this handler", getattr(handler, "execute", None))
    check_plain("this policy", *policies)


def _has(given: object, *names: str) -> bool:
    return all(callable(getattr(given, name, None)) for name in names)


def _told(given: object) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else f"{given!r:.60}"


def listed_tables(tables: Any) -> tuple[Table[Any], ...]:
    """The tables; `ConfigurationError` unless they are a list of what table() returned, each name once."""
    if isinstance(tables, Table | str) or not hasattr(tables, "__iter__"):
        raise ConfigurationError(
            f"tables are a list of what table() returns, such as [todos], not {tables!r:.60}"
        )
    found = tuple(tables)
    seen: set[str] = set()
    for each in found:
        if not isinstance(each, Table):
            raise ConfigurationError(f"tables are what table() returns, not {_told(each)}")
        if each.name in seen:
            raise ConfigurationError(f"two tables are named {each.name!r}: give one of them another name=")
        seen.add(each.name)
    return found


def check_options(policy: object, policies: object, page_size: object, patience: object) -> None:
    """Raise `ConfigurationError` unless a context can be given these."""
    if policies is not None and not isinstance(policies, Mapping):
        raise ConfigurationError(f"policies are by table, as in {{todos: keep_remote}}, not {policies!r:.60}")
    by_table = cast("Mapping[object, object]", policies or {})
    for chosen in (policy, *by_table.values()):
        if chosen is merge_fields:
            raise ConfigurationError(
                'merge_fields makes a policy: write merge_fields(), or merge_fields("remote")'
            )
        if isinstance(chosen, type) or not callable(chosen):
            raise ConfigurationError(f"a policy is a callable Conflict -> Resolution, not {_told(chosen)}")
    if isinstance(page_size, bool) or not isinstance(page_size, int) or page_size < 1:
        raise ConfigurationError(f"page_size is a whole number from 1, not {page_size!r}")
    if not isinstance(patience, int | float) or not patience >= 0:  # NaN is not
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
    if not isinstance(parameters, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
        raise InvalidQuery(f"parameters are texts by name, not {parameters!r:.60}")
    for key, value in parameters.items():
        if not isinstance(key, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            raise InvalidQuery(f"parameters are texts by name, not {key!r:.60}: {value!r:.60}")
        if key.startswith(RESERVED):
            raise InvalidQuery(f"the parameter {key!r} belongs to the protocol: say it with the query")


def check_kind(call: str, given: object, kind: type[object], what: str) -> None:
    """Raise `UsageError` unless this is of the kind that the call takes."""
    if not isinstance(given, kind):
        raise UsageError(f"{call}() takes {what}, not {given!r:.60}")


def check_watch(callback: object, poll: object) -> None:
    """Raise `ConfigurationError` unless a watch can be given these."""
    if callback is not None and not callable(callback):
        raise ConfigurationError(
            f"a watch calls back what is callable, with each result, not {callback!r:.60}"
        )
    if poll is not None and (isinstance(poll, bool) or not isinstance(poll, int | float) or not poll > 0):
        raise ConfigurationError(f"poll is in seconds, above 0, or None for never, not {poll!r:.60}")


def check_buffer(buffer: object) -> None:
    """Raise `ConfigurationError` unless so many events can wait to be read."""
    if isinstance(buffer, bool) or not isinstance(buffer, int) or buffer < 1:
        raise ConfigurationError(f"buffer is how many events may wait to be read, from 1, not {buffer!r:.60}")


def check_subscriber(callback: object) -> None:
    """Raise `ConfigurationError` unless this can be called back."""
    if not callable(callback):
        raise ConfigurationError(
            f"subscribe() takes a callable that is given each event, not {callback!r:.60}"
        )
    if is_async(callback):
        raise ConfigurationError(
            "a subscriber is called, and not awaited: let it begin a task, or iterate events()"
        )
