"""What `module:factory` names: a store's factory, or one of clients."""

from __future__ import annotations

import inspect
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tidesync.contracts.store import Store
from tidesync.contracts.transport import Transport
from tidesync.errors import ConfigurationError


def load(text: str) -> Callable[..., Any]:
    """The function or class that `module:name` says. Raises `ConfigurationError` naming what is not there."""
    module, _, name = text.partition(":")
    if not module or not name:
        raise ConfigurationError(f"name a factory as MODULE:NAME, not {text!r:.80}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{text!r:.80}: {error}") from error
    if not callable(found):
        raise ConfigurationError(f"{text!r:.80} is {type(found).__name__}, and must be a function or a class")
    factory: Callable[..., Any] = found
    return factory


def load_store(text: str) -> Callable[[], Store]:
    """A function that makes stores of that factory, all in one new folder, as a rule does."""
    return in_folder(load(text), Path(tempfile.mkdtemp(prefix="tidesync-")))


def load_clients(text: str) -> Sequence[Transport]:
    """The clients of one new remote that the factory makes, as a rule has them."""
    clients: Sequence[Transport] = in_folder(load(text), Path(tempfile.mkdtemp(prefix="tidesync-")))()
    return clients


def takes_folder(make: Callable[..., object]) -> bool:
    """Whether a factory must be given one argument: the folder to make it in."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(each.kind in positional and each.default is each.empty for each in parameters)


def in_folder(make: Callable[..., Any], folder: Path) -> Callable[[], Any]:
    """The factory without arguments; what it makes is in the folder, where it takes one."""
    if not takes_folder(make):
        return make

    def made() -> Any:
        return make(folder)

    made.__wrapped__ = make  # type: ignore[attr-defined]  # as functools.wraps does, so that it can be named
    return made


def name_of(make: object) -> str:
    """`module:name` of a factory, where that is how others reach it; else empty."""
    make = inspect.unwrap(make) if callable(make) else make
    module, name = getattr(make, "__module__", ""), getattr(make, "__qualname__", "")
    if not name or "<" in name or module in ("", "__main__"):
        return ""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is make else ""
