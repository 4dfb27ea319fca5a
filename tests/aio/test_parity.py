"""The two faces have the same words: name by name, parameter by parameter, docstring by docstring.

What differs, and why, is listed here, and must differ.
"""

import importlib
import inspect
import re
import typing
from typing import Any, Final

import pytest

import tidesync

PAIRS: Final = {
    "SyncContext": ("tidesync.context", "tidesync.aio.context"),
    "SyncTable": ("tidesync.tables", "tidesync.aio.tables"),
    "Selection": ("tidesync.selection", "tidesync.aio.selection"),
    "RemoteTable": ("tidesync.remote", "tidesync.aio.remote"),
    "SyncHandler": ("tidesync.session", "tidesync.session"),
    "Watch": ("tidesync.watching", "tidesync.aio.watching"),
    "EventStream": ("tidesync.watching", "tidesync.aio.watching"),
    "Autosync": ("tidesync.autosync", "tidesync.aio.autosync"),
    "Transport": ("tidesync.contracts.transport", "tidesync.contracts.transport"),
    "HttpTransport": ("tidesync.transports.http", "tidesync.transports.http"),
    "FileTransport": ("tidesync.transports.files.transport", "tidesync.transports.files.aio"),
}
"""By the name of the synchronous class: where it is, and where the one is whose name begins with Async."""

TWINS: Final = {
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}
CALLED: Final = {*TWINS, *TWINS.values(), "__call__", "__contains__", "__getitem__", "__len__"}
"""What Python calls, where a class has it."""
CONSTRUCTED: Final = {"SyncContext", "HttpTransport", "FileTransport"}
"""Those that users make; all others are made by them."""

DIFFERENT: Final = {
    "SyncContext.batch: result": "a block of `with` is a generator, one of `async with` has two coroutines",
    "SyncTable.__contains__": "Python's `in` cannot wait for an answer: `await table.get(id) is not None`",
    "SyncHandler.execute: docstring": "what `send()` returns has to be awaited",
    "Autosync.begin": "a thread has to be begun; a task begins by itself",
    "Autosync.end: docstring": "a task that takes too long is cancelled, a thread cannot be",
    "Autosync.end: parameters": "so it is waited for as long as it takes",
}
"""What is not the same in both, and why."""

CLASSES: Final = {
    "SyncContext": "which loop, which threads, what becomes of what is cancelled",
    "Watch": "`async with`",
    "Autosync": "`async with`; tasks are cancelled",
    "Transport": "calls that are cancelled, instead of calls from several threads",
    "HttpTransport": "a function that renews a token may be awaited; `httpx.AsyncClient`",
    "FileTransport": "on which thread it works, and what becomes of a call that is cancelled",
}
"""Whose docstrings say something else after the first line, and what."""

AT_ONCE: Final = {
    "SyncContext": {
        "__getitem__", "table", "remote",  # names
        "batch", "autosync", "watch", "events",  # blocks and streams: what they do is awaited
        "stop", "subscribe",  # notes that are taken at once
        "resolve_error", "pending_operations",  # what they return is awaited
    },
    "SyncTable": {"where", "order_by", "watch", "__aiter__"},
    "Selection": {
        "where", "order_by", "skip", "take", "include_total_count", "rows_of", "values_of", "query", "table",
        "__aiter__",
    },
    "RemoteTable": {"where"},
    "SyncHandler": set[str](),
    "Watch": {"closed", "__aiter__"},
    "EventStream": {"closed", "__aiter__"},
    "Autosync": {"status", "on", "trigger", "stop", "changed"},
    "Transport": set[str](),
    "HttpTransport": set[str](),
    "FileTransport": set[str](),
}  # fmt: skip
"""What each asynchronous class answers at once: nothing of it takes time. All else is a coroutine function."""


def twins(name: str) -> tuple[type[Any], type[Any]]:
    here, there = PAIRS[name]
    return getattr(importlib.import_module(here), name), getattr(
        importlib.import_module(there), f"Async{name}"
    )


def members(kind: type[Any]) -> dict[str, Any]:
    """The public names of a class and its bases, and what Python calls."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("tidesync"):
            found |= {name: value for name, value in vars(base).items() if name in CALLED or name[0] != "_"}
    return found


def twin(name: str) -> str:
    return TWINS.get(name, name)


def plain(annotation: object) -> str:
    """An annotation without what the asynchronous face adds to it."""
    text = re.sub(r"Async(?=[A-Z])", "", str(annotation))
    text = re.sub(r"\b(?:Awaitable|Coroutine\[Any, Any,)\[?((?:[^\[\]]|\[[^\[\]]*\])*)\]", r"\1", text)
    return re.sub(r"\b(\w+) \| \1\b", r"\1", text)


def function_of(member: Any) -> Any:
    if isinstance(member, property):
        return member.fget
    return inspect.unwrap(getattr(member, "__func__", member))


def parameters(member: Any) -> list[tuple[str, Any, Any, str]]:
    found = inspect.signature(function_of(member)).parameters.values()
    return [(each.name, each.kind, each.default, plain(each.annotation)) for each in found]


def shape(member: Any) -> dict[str, Any]:
    """All of a member that must be the same in both faces."""
    if not isinstance(member, property) and not callable(function_of(member)):
        return {"kind": type(member).__name__, "value": member}
    signature = inspect.signature(function_of(member))
    return {
        "kind": "property" if isinstance(member, property) else "method",
        "parameters": parameters(member),
        "result": plain(signature.return_annotation),
        "docstring": inspect.getdoc(function_of(member)),
        "overloads": [parameters(each) for each in typing.get_overloads(function_of(member))],
    }


def differences() -> set[str]:
    found: set[str] = set()
    for name in PAIRS:
        one, other = map(members, twins(name))
        found |= {f"{name}.{each}" for each in one if twin(each) not in other}
        found |= {f"Async{name}.{each}" for each in other if each not in map(twin, one)}
        for each in one:
            if twin(each) in other:
                here, there = shape(one[each]), shape(other[twin(each)])
                found |= {
                    f"{name}.{each}: {part}" for part in here | there if here.get(part) != there.get(part)
                }
    return found


def test_what_differs_is_what_is_listed() -> None:
    """Every other name is in both faces, with the same parameters, annotations and docstring."""
    assert DIFFERENT.keys() == differences()


@pytest.mark.parametrize("name", PAIRS)
def test_what_takes_time_is_awaited(name: str) -> None:
    """Each method of an asynchronous class is a coroutine function, but for those that are listed."""
    at_once = {
        each
        for each, member in members(twins(name)[1]).items()
        if not inspect.iscoroutinefunction(function_of(member))
    }
    assert AT_ONCE[name] == at_once


@pytest.mark.parametrize("name", sorted(CONSTRUCTED))
def test_they_are_made_alike(name: str) -> None:
    """With the same options, in the same order, with the same defaults."""
    one, other = twins(name)
    assert parameters(one.__init__) == parameters(other.__init__)


@pytest.mark.parametrize("name", sorted(PAIRS.keys() - CLASSES.keys()))
def test_the_classes_promise_the_same(name: str) -> None:
    """What follows on the first line of a class's docstring."""
    one, other = ((inspect.getdoc(each) or "").partition("\n")[2] for each in twins(name))
    assert one == other


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_that_promises_something_else(name: str) -> None:
    """Where more is to be said on a loop, it is."""
    one, other = ((inspect.getdoc(each) or "").partition("\n")[2] for each in twins(name))
    assert one != other


def test_every_public_class_has_its_twin() -> None:
    """Whatever `tidesync` exports under a name that begins with Async has a pair here."""
    named = {name.removeprefix("Async") for name in tidesync.__all__ if name.startswith("Async")}
    assert named - {"Policy"} == set(PAIRS) - {"Transport", "HttpTransport", "FileTransport"}
