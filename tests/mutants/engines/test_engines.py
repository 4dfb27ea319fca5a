"""Broken engines: the simulation must notice each of them, and must be content without the break."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.engines.all import MUTANTS, RULES, Mutant
from tests.mutants.engines.worlds import problems
from tidesync.conformance import StoreConformance, TransportConformance
from tidesync.conformance.rules import rules_of

WITHIN = 60
"""Runs, from the seed that is noted on, in which a mistake must show; most show in the first."""


@pytest.mark.parametrize("broken", MUTANTS.values(), ids=list(MUTANTS))
def test_a_broken_engine_is_noticed(broken: Mutant) -> None:
    """The run that fails with the engine broken passes with the engine as it is."""
    seeds = range(broken.seed, broken.seed + WITHIN)
    with broken():
        found = next((seed for seed in seeds if problems(broken.profile, seed)), None)
    assert found is not None, f"{WITHIN} runs of {broken.profile} from {broken.seed} on did not notice"
    assert {} == problems(broken.profile, found)


def test_there_are_enough_of_them() -> None:
    """At least 35 distinct mistakes, each told in a line of its own."""
    mistakes = {broken.mistake for broken in MUTANTS.values()}
    assert len(mistakes) == len({broken.replaces for broken in MUTANTS.values()}) >= 35
    assert all(mistake and "\n" not in mistake for mistake in mistakes)


def test_every_marked_rule_is_broken_somewhere() -> None:
    """A rule that is marked in the design has a mutant here, or a test of its own that is named."""
    broken = {mutant.rule for mutant in MUTANTS.values()}
    assert {rule for rule, test in RULES.items() if test is None} <= broken
    assert broken <= set(RULES)


@pytest.mark.parametrize("rule", [rule for rule, test in RULES.items() if test is not None])
def test_a_rule_about_one_device_has_a_test_of_its_own(rule: str) -> None:
    """The test, or the rule of the suite, that is named for a rule is there."""
    tests = Path(__file__).parents[2]
    suites = {each.name for suite in (StoreConformance, TransportConformance) for each, _ in rules_of(suite)}
    named = any(f"def {RULES[rule]}(" in path.read_text() for path in tests.rglob("test_*.py"))
    assert named or RULES[rule] in suites
