"""Each marked rule, broken: the simulation must notice, and must be content without the break."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.engines.all import MUTANTS, RULES, Mutant
from tidesync.conformance.simulation.command import play
from tidesync.conformance.simulation.profiles import PROFILES
from tidesync.conformance.simulation.tapes import tapes_of

BOUND = 300
"""Runs in which a broken rule must show."""


@pytest.mark.parametrize("broken", MUTANTS.values(), ids=list(MUTANTS))
def test_a_broken_rule_is_noticed(broken: Mutant) -> None:
    """The run that fails with the rule broken passes with the rule as it is."""
    profile = PROFILES[broken.profile]
    found: int | None = None
    with broken():
        for seed in range(broken.start, broken.start + BOUND):
            if play(profile, tapes_of(profile.name, seed, profile.steps), checking=True):
                found = seed
                break
    assert found is not None, f"{BOUND} runs of {profile.name} did not notice"
    assert play(profile, tapes_of(profile.name, found, profile.steps), checking=True) == {}


def test_every_marked_rule_is_broken_somewhere() -> None:
    """A rule that DESIGN marks has a mutant here, or a test of its own that is named."""
    broken = {mutant.rule for mutant in MUTANTS.values()}
    assert {rule for rule, test in RULES.items() if test is None} <= broken
    assert broken <= set(RULES)


@pytest.mark.parametrize("rule", [rule for rule, test in RULES.items() if test is not None])
def test_a_rule_about_one_device_has_a_test_of_its_own(rule: str) -> None:
    """The test that is named for a rule is there."""
    tests = Path(__file__).parents[1]
    assert any(f"def {RULES[rule]}(" in path.read_text() for path in tests.rglob("test_*.py"))
