"""Rules: what the two suites are made of, and when each of them is tried.

A rule is a method that takes a bench, marked with `rule`. The one marker drives its id, the text of the contract
that it is about, the version of the suite that it came with, and the capabilities that it needs.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import getattr_static
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypeVar, cast

import attrs
import pytest

from tidesync.conformance.domain import Domain
from tidesync.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., object])

SUITE_VERSION: Final = "2026.11"
"""Year and month of the newest rules. Rules are added, and marked with their version; none changes its meaning."""
FIRST_VERSION: Final = "2026.11"
"""That of rules which do not say since when they are there."""
MARKER: Final = "conformance"

Standing: TypeAlias = Literal["run", "probe", "undeclared", "unavailable", "newer"]


@attrs.frozen(kw_only=True)
class Rule:
    """One rule: `id`, its promise in one sentence, why it matters to a user, and what to look at when it fails.

    `clause` is the text of the contract that it is tied to. `requires` are the capabilities without which it does
    not apply. `shows` names the capability that this rule proves: it is also tried where that is not declared, and
    then only the report says what came of it.
    """

    id: str
    clause: str
    since: str
    requires: tuple[str, ...]
    shows: str | None
    name: str
    promise: str
    why: str
    look: str


def rule(
    id: str,
    clause: str,
    *,
    since: str = FIRST_VERSION,
    requires: tuple[str, ...] = (),
    shows: str | None = None,
) -> Callable[[F], F]:
    """Mark a method as a rule.

    Its docstring has three parts: the promise, `Why:` and `Look at:`. `clause` quotes the contract. A rule that
    `shows` a capability requires it, too.
    """
    needed = requires if shows is None or shows in requires else (shows, *requires)
    marked: Callable[[F], F] = pytest.mark.conformance(
        id, clause=clause, since=since, requires=needed, shows=shows
    )
    return marked


def rule_of(function: object) -> Rule | None:
    """The rule that a function is, if it is one."""
    return _read(cast("Callable[..., object]", function)) if _mark(function) is not None else None


def _mark(function: object) -> pytest.Mark | None:
    marks: Sequence[pytest.Mark] = getattr(function, "pytestmark", ())
    return next((mark for mark in marks if mark.name == MARKER), None)


@cache  # a report asks of every rule, and pytest at each of its steps
def _read(function: Callable[..., object]) -> Rule:
    mark = _mark(function)
    assert mark is not None
    promise, why, look = _parts(inspect.getdoc(function) or "")
    name = getattr(function, "__name__", "")
    return Rule(id=mark.args[0], name=name, promise=promise, why=why, look=look, **mark.kwargs)


def _parts(text: str) -> tuple[str, str, str]:
    flat = re.sub(r"\s+", " ", text).strip()
    promise, _, rest = flat.partition(" Why: ")
    why, _, look = rest.partition(" Look at: ")
    return promise, why, look


class Suite:
    """What both suites share: the adapter's declarations, and that its rules are all there."""

    known_deviations: ClassVar[Mapping[str, str]] = {}
    """Ids of rules that are known to be broken, and why: they must fail, and the report lists them."""
    domain: ClassVar[Domain] = Domain()
    """Which ids and values are legal."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if _suite_of(cls) is not cls:
            cls.check_whole()
            check_deviations(cls, cls.known_deviations)

    @classmethod
    def check_whole(cls) -> None:
        """Raise `ConfigurationError` if a rule, or their bench, was deleted or overridden.

        A suite that is not whole shows nothing.
        """
        if getattr_static(cls, "bench", None) is not getattr_static(_suite_of(cls), "bench", None):
            raise ConfigurationError(f"{cls.__qualname__} has a bench of its own: the rules need the suite's")
        for id, how in altered(cls).items():
            raise ConfigurationError(
                f"{id}: {how}. The rules are not the adapter's to change: say why it is broken in known_deviations"
            )

    @classmethod
    def offered(cls) -> frozenset[str]:
        """The names of the capabilities that the adapter declares, as rules require them."""
        return frozenset()

    @classmethod
    def standing(cls, each: Rule, version: str) -> Standing:
        """Whether a rule is tried with this adapter."""
        return standing(each, cls.offered(), version)

    @classmethod
    def title(cls) -> str:
        """What the adapter declares, narrows and deviates from, in a line."""
        narrowed = f"; narrowed: {cls.domain.says}" if cls.domain.says else ""
        known = (
            f"; known deviations: {', '.join(sorted(cls.known_deviations))}" if cls.known_deviations else ""
        )
        return told(cls.offered()) + narrowed + known


def told(offered: frozenset[str]) -> str:
    """The capabilities, in words."""
    return ", ".join(sorted(offered)) or "no optional capability"


def _suite_of(cls: type) -> type:
    """The suite itself: the nearest ancestor that was published here."""
    own = (base for base in cls.__mro__ if base.__module__.startswith("tidesync.conformance."))
    return next(own, Suite)


def _rules_of(cls: type) -> Sequence[tuple[Rule, Any]]:
    return _published(_suite_of(cls))


@cache  # pytest asks at every test, several times
def _published(suite: type) -> Sequence[tuple[Rule, Any]]:
    functions = [getattr(suite, name) for name in sorted(dir(suite))]
    return [(found, function) for function in functions if (found := rule_of(function)) is not None]


def rules_of(cls: type) -> list[tuple[Rule, Any]]:
    """The rules of a suite, in the order of their ids, each with its function."""
    return sorted(_rules_of(cls), key=lambda pair: order_of(pair[0].id))


def altered(cls: type) -> Mapping[str, str]:
    """The rules that a subclass deleted or overrode, by id, and what it did."""
    found: dict[str, str] = {}
    for each, function in _rules_of(cls):
        there = getattr(cls, each.name, None)
        if there is not function:
            found[each.id] = (
                f"{each.name} is {'deleted' if there is None else 'overridden'} in {cls.__qualname__}"
            )
    return found


def check_deviations(cls: type, known: Mapping[str, str]) -> None:
    """Raise `ConfigurationError` if a deviation names no rule of the suite, or gives no reason."""
    ids = {each.id for each, _ in _rules_of(cls)}
    for id, reason in known.items():
        if id not in ids:
            raise ConfigurationError(f"known_deviations names {id!r}, which is no rule of this suite")
        if not reason:
            raise ConfigurationError(f"known_deviations gives no reason for {id}: say why it is broken")


def standing(each: Rule, offered: frozenset[str], version: str = SUITE_VERSION) -> Standing:
    """Whether a rule is tried: `offered` are the declared capabilities.

    "probe": tried because nobody declared what it shows; its failure is no failure. "unavailable": this machine
    cannot try it. "newer": it came after the version that is wanted.
    """
    if version_key(each.since) > version_key(version):
        return "newer"
    missing = [need for need in each.requires if need not in offered and need not in PLATFORM]
    if any(need in PLATFORM and not PLATFORM[need] for need in each.requires):
        return "unavailable"
    if not missing:
        return "run"
    return "probe" if missing == [each.shows] else "undeclared"


PLATFORM: Final[Mapping[str, bool]] = {"fork": hasattr(os, "fork")}
"""What a rule may need of the machine: processes that are copies of this one."""


def version_key(version: str) -> tuple[int, ...]:
    """Versions in their order: "2026.2" is before "2026.11". Raises `ConfigurationError`."""
    try:
        return tuple(int(part) for part in version.split("."))
    except ValueError as error:
        raise ConfigurationError(f"a suite version is like {SUITE_VERSION}, not {version!r:.60}") from error


def order_of(id: str) -> tuple[str, int]:
    """Ids in their order: STORE-9 is before STORE-10."""
    kind, _, number = id.rpartition("-")
    return kind, int(number)
