"""Values as the Python that makes them again, and the imports which that needs."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, cast

import attrs

from tidesync.conformance.sequences import LONG, counted

LONGEST: Final = 16_000
"""Characters of one value; a longer one is cut, and the program says that it cannot be run as it is."""
_LONG_TEXT: Final = 200
_UNIT: Final = 16


class Name(str):
    """An expression in place of a value: `source` gives it as it is."""

    __slots__ = ()


class Imports:
    """The names that a program needs, by module; `known` are constants with their modules and names."""

    def __init__(self, known: Sequence[tuple[object, str, str]] = ()) -> None:
        self._names: dict[str, set[str]] = {}
        self._modules: set[str] = set()
        self._known = {id(value): (module, name) for value, module, name in known}

    def add(self, module: str, name: str) -> str:
        """Import the name, which `builtins` needs not; it is returned."""
        if module != "builtins":
            self._names.setdefault(module, set()).add(name)
        return name

    def add_module(self, module: str) -> None:
        """Import the module itself."""
        self._modules.add(module)

    def constant(self, value: object) -> str | None:
        """The name of a constant that the value is, imported; None if it is none."""
        found = self._known.get(id(value))
        return None if found is None else self.add(*found)

    def lines(self) -> list[str]:
        """The import statements, in order."""
        modules = [f"import {module}" for module in sorted(self._modules)]
        return modules + [
            f"from {module} import {', '.join(sorted(names))}"
            for module, names in sorted(self._names.items())
        ]


def source(value: object, imports: Imports) -> str:
    """An expression that makes the value."""
    if isinstance(value, Name):
        return str(value)
    constant = imports.constant(value)
    if constant is not None:
        return constant
    if isinstance(value, enum.Enum):
        return f"{imports.add(type(value).__module__, type(value).__name__)}.{value.name}"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return (
            "{" + ", ".join(f"{source(key, imports)}: {source(item, imports)}" for key, item in pairs) + "}"
        )
    if isinstance(value, list):
        return _listed(cast("list[object]", value), imports)
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        return f"({_joined(items, imports)}{',' if len(items) == 1 else ''})"
    if isinstance(value, Set):
        members = cast("Set[object]", value)
        return f"frozenset([{_joined(sorted(members, key=str), imports)}])"
    if attrs.has(type(value)):
        return _made(cast("attrs.AttrsInstance", value), imports)
    return _text(value) if isinstance(value, str) else _other(value, imports)


def _other(value: object, imports: Imports) -> str:
    """What a stranger's value says of itself, where that is Python; `object()` for what cannot be written."""
    text = ascii(value)
    if type(value).__module__ == "datetime":
        imports.add_module("datetime")
    elif type(value).__module__ != "builtins":
        _ = imports.add(type(value).__module__, type(value).__name__)
    return "object()" if text.startswith("<") else text


def _text(value: str) -> str:
    """A literal; for a long text that repeats a short one, the product that makes it."""
    for size in range(1, _UNIT + 1) if len(value) > _LONG_TEXT else ():
        if value[size:] == value[:-size]:
            times, rest = divmod(len(value), size)
            return f"{value[:size]!a} * {times}" + (f" + {value[:rest]!a}" if rest else "")
    return ascii(value)


def _listed(items: list[object], imports: Imports) -> str:
    item = counted(items, lambda each: source(each, imports)) if len(items) >= LONG else None
    return f"[{_joined(items, imports)}]" if item is None else f"[{item} for n in range({len(items)})]"


def _joined(items: Any, imports: Imports) -> str:
    return ", ".join(source(item, imports) for item in items)


def _made(value: attrs.AttrsInstance, imports: Imports) -> str:
    kind = type(value)
    given: list[str] = []
    by_name = False
    for field in attrs.fields(kind):
        if not field.init:
            continue
        item = getattr(value, field.name)
        if _is_default(field, item, value):
            by_name = True
            continue
        text = source(item, imports)
        given.append(f"{field.name}={text}" if by_name or field.kw_only else text)
    return f"{imports.add(kind.__module__, kind.__name__)}({', '.join(given)})"


def _is_default(field: attrs.Attribute[Any], item: object, value: object) -> bool:
    default = cast("Any", field.default)
    if default is attrs.NOTHING:
        return False
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # it is a class that attrs types as a function
        default = default.factory(value) if default.takes_self else default.factory()
    return bool(type(default) is type(item) and default == item)
