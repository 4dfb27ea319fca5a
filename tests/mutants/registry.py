"""Broken parts: small, believable mistakes, each with what must catch it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

import attrs

from tests.mutants.unshrunk import Unshrunk
from tidesync.conformance.profiles import PROFILES
from tidesync.conformance.report import Result
from tidesync.conformance.rules import Suite, rules_of

QUICK: Final = Unshrunk(**attrs.asdict(PROFILES["quick"]))
"""The quick profile: the same examples in the same order; what fails is not made shorter."""


@attrs.frozen(kw_only=True)
class Mutant:
    """A broken part of some sort.

    `mistake` is a line in a user's words. `caught_by` is the name of the rule's method, which stays when ids are
    renumbered. `make` makes the part, as `check_store` and `check_transport` take it; `options` are the rest.
    """

    name: str
    mistake: str
    caught_by: str
    make: Callable[..., Any]
    base: str = ""
    options: Callable[[], Mapping[str, Any]] = dict

    def tried(self, check: Callable[..., Any], suite: type[Suite]) -> Result:
        """What comes of the rule that must catch it, and of no other."""
        return tried(check, suite, self.make, self.caught_by, self.options())


def tried(
    check: Callable[..., Any],
    suite: type[Suite],
    make: Callable[..., Any],
    rule: str,
    options: Mapping[str, Any],
) -> Result:
    """What comes of the rule of that name in the quick profile."""
    report = check(make, only=[rule_ids(suite)[rule]], profile=QUICK, **options)
    (result,) = report.results
    return result


@cache
def rule_ids(suite: type[Suite]) -> Mapping[str, str]:
    """The ids of a suite's rules by the names of their methods."""
    return {each.name: each.id for each, _ in rules_of(suite)}


def words(name: str) -> str:
    """A name in CamelCase as words: "PutMerges" is "put merges"."""
    return re.sub(r"(?<!^)([A-Z]|(?<![0-9])[0-9])", r" \1", name).lower()


def table(mutants: Iterable[Mutant], suite: type[Suite]) -> list[tuple[str, str, str, str]]:
    """Rows for the documentation: name, mistake, what it is based on, and the id of the rule that catches it."""
    ids = rule_ids(suite)
    order = list(ids)
    return [
        (each.name, each.mistake, each.base, ids[each.caught_by])
        for each in sorted(mutants, key=lambda each: (order.index(each.caught_by), each.name))
    ]
